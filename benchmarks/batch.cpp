// SPDX-License-Identifier: MIT
// What does a run cost beside its arithmetic, when ten thousand are in flight? A network that does nothing
// and states of one number leave the bookkeeping: the queue, the stepper, the pass of one element.

#include <tweedie/grid/karras.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/run/batch.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/host.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace {

using namespace tweedie;

/// Steps of runs in flight; who ends is followed by a new one at once.
void ours(benchmark::State& state, std::size_t in_flight) {
    using tensor = std::vector<float>;
    const schedule::edm schedule;
    const program shared(solver::unipc{.order = 3}.plan(schedule, grid::karras(schedule, 20)),
                         convention(prediction::x0, schedule));
    batch<tensor> runs;
    for (std::size_t i = 0; i < in_flight; ++i) { runs.add(stepper(shared, tensor(1, 80.0F))); }
    const auto network = [](const batched_query<tensor>& asked) {
        for (std::size_t i = 0; i < asked.inputs.size(); ++i) { (*asked.outputs[i])[0] = 0.0F; }
    };
    std::size_t steps = 0;
    for (auto _ : state) {
        steps += runs.advance(network, 256);
        runs.finished([&](std::size_t, stepper<tensor>&&) { runs.add(stepper(shared, tensor(1, 80.0F))); });
    }
    state.SetItemsProcessed(static_cast<std::int64_t>(steps));
    state.counters["bar_ns_per_item"] = 2000.0;
}

[[maybe_unused]] const bool registered = [] {
    for (const std::size_t in_flight : {256U, 10'000U}) {
        benchmark::RegisterBenchmark(
            ("batch/a run's step beside its arithmetic/ours/" + std::to_string(in_flight)).c_str(),
            [=](benchmark::State& state) { ours(state, in_flight); });
    }
    return true;
}();

}  // namespace
