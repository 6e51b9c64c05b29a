// SPDX-License-Identifier: MIT
#include "serving.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace continuous_batching {

outcome serve(engine& network, const std::vector<request>& requests, policy by, const cost& of_call) {
    outcome seen;
    seen.pictures.resize(requests.size());
    seen.latency.resize(requests.size());
    tweedie::batch<picture, tweedie::noise> runs;
    std::vector<const request*> of_run;  // runs are numbered in the order in which they begin
    const std::size_t places = by == policy::one_at_a_time ? 1 : network.most();
    const auto call = [&](const tweedie::batched_query<picture>& asked) { network.serve(asked, of_run); };
    double now = 0.0;
    std::size_t arrived = 0;
    std::size_t begun = 0;
    for (std::size_t done = 0; done < requests.size();) {
        if (runs.size() == 0 && begun == arrived) { now = std::max(now, requests[begun].arrival); }
        while (arrived < requests.size() && requests[arrived].arrival <= now) { ++arrived; }
        if (runs.size() == 0 || by == policy::continuous) {
            for (; begun < arrived && runs.size() < places; ++begun) {
                of_run.push_back(&requests[begun]);
                runs.add(network.start(requests[begun]));
            }
        }
        seen.most_waiting = std::max(seen.most_waiting, arrived - begun);
        const std::size_t pictures = runs.advance(call, places);
        now += of_call.start + of_call.each * static_cast<double>(pictures);
        ++seen.calls;
        seen.evaluations += pictures;
        runs.finished([&](std::size_t name, run&& ended) {
            if (!ended.result()) { throw std::runtime_error(to_string(ended.result().status)); }
            seen.latency[name] = now - requests[name].arrival;
            seen.pictures[name] = std::move(ended).take();
            ++done;
        });
    }
    seen.end = now - requests.front().arrival;
    return seen;
}

}  // namespace continuous_batching
