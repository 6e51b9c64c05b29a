// SPDX-License-Identifier: MIT
// Continuous batching: pictures with different seeds, solvers, steps and guidance, asked for at random times,
// share the calls of one network. Three ways to serve the same queue are compared in throughput, latency and
// use of the network, and every picture is the one its request gets alone, to the bit.
//
//     tweedie.example.continuous_batching [--requests N] [--most N] [--gap MS] [--seed N]

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "serving.hpp"

namespace continuous_batching {

namespace {

struct options {
    std::size_t requests = 200;
    std::size_t most = 16;
    double gap = 40.0;
    std::uint64_t seed = 1;
};

options read_options(int count, char** arguments) {
    options read;
    for (int i = 1; i < count; i += 2) {
        const std::string name = arguments[i];
        char* end = nullptr;
        const double value = i + 1 < count ? std::strtod(arguments[i + 1], &end) : 0.0;
        if (end == nullptr || *end != '\0' || !(value > 0.0 && value <= 1e6) ||
            (name != "--gap" && value != std::floor(value))) {
            throw std::invalid_argument(
                "usage: continuous_batching [--requests N] [--most N] [--gap MS] [--seed N]");
        }
        if (name == "--requests") {
            read.requests = static_cast<std::size_t>(value);
        } else if (name == "--most") {
            read.most = static_cast<std::size_t>(value);
        } else if (name == "--gap") {
            read.gap = value;
        } else if (name == "--seed") {
            read.seed = static_cast<std::uint64_t>(value);
        } else {
            throw std::invalid_argument("unknown option " + name);
        }
    }
    if (read.requests == 0 || read.most == 0) {
        throw std::invalid_argument("--requests and --most must be whole");
    }
    return read;
}

double percentile(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    const double at = share * static_cast<double>(values.size() - 1);
    return values[static_cast<std::size_t>(at + 0.5)];
}

int compare(const options& asked) {
    const std::vector<request> requests = traffic(asked.requests, asked.gap, asked.seed);
    const train_digits::trained trained =
        train_digits::load(TWEEDIE_EXAMPLE_DATA "/../train_digits/digits_mlp.bin");
    engine network(trained, asked.most);
    const cost of_call;

    // Alone: in an engine of its own, with nobody before or after it.
    std::vector<picture> alone;
    for (const request& one : requests) {
        engine own(trained, asked.most);
        alone.push_back(serve(own, {one}, policy::one_at_a_time, of_call).pictures.front());
    }

    std::printf("%zu requests, one every %g ms; a call of n pictures takes %g + %g n ms, n at most %zu.\n\n",
                requests.size(), asked.gap, of_call.start, of_call.each, asked.most);
    std::printf(
        "                 pictures/s   latency, ms: 50 %%    90 %%    99 %%   network used   longest "
        "queue\n");
    const char* const names[] = {"one at a time", "static batches", "continuous"};
    double throughput[3] = {};
    bool same = true;
    for (const policy by : {policy::one_at_a_time, policy::static_batch, policy::continuous}) {
        const outcome seen = serve(network, requests, by, of_call);
        const auto i = static_cast<std::size_t>(by);
        throughput[i] = 1e3 * static_cast<double>(requests.size()) / seen.end;
        const double places = static_cast<double>(seen.calls * asked.most);
        std::printf("%-14s %12.2f %20.0f %7.0f %7.0f %12.0f %% %15zu\n", names[i], throughput[i],
                    percentile(seen.latency, 0.5), percentile(seen.latency, 0.9),
                    percentile(seen.latency, 0.99), 100.0 * static_cast<double>(seen.evaluations) / places,
                    seen.most_waiting);
        for (std::size_t r = 0; r < requests.size(); ++r) {
            same =
                same && seen.pictures[r].size() == alone[r].size() &&
                std::memcmp(seen.pictures[r].data(), alone[r].data(), alone[r].size() * sizeof(float)) == 0;
        }
    }
    std::printf("\nEvery picture %s the one its request gets alone, to the bit.\n", same ? "is" : "IS NOT");
    const bool better = throughput[2] >= throughput[1] && throughput[1] >= throughput[0];
    return same && better ? 0 : 1;
}

}  // namespace

}  // namespace continuous_batching

int main(int count, char** arguments) {
    try {
        return continuous_batching::compare(continuous_batching::read_options(count, arguments));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "continuous_batching: %s\n", error.what());
        return 1;
    }
}
