// SPDX-License-Identifier: MIT
// What does an optimizer's step cost beside a loop that only reads and writes the same arrays, and what does
// it cost for many small tensors?
//
// Rows without a remark make one pass (`on_non_finite::report`): four arrays read and three written, as by
// their loop. "default" reads gradients once more, before anything is written (`on_non_finite::refuse`): an
// array more has to come from memory, and its loop writes one more, all four that it reads.

#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/dual_adam.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

using namespace tweedie;

struct arrays {
    explicit arrays(std::size_t size) : parameters(size, 1.0F), gradients(size, 1e-3F) {
        (void)optim::adam{}.step(parameters, gradients, state);
    }
    std::vector<float> parameters;
    std::vector<float> gradients;
    optim::state<float> state;
};

/// Made once for each size: both sides work on the same memory.
arrays& of(std::size_t size) {
    static std::map<std::size_t, std::unique_ptr<arrays>> all;
    auto& found = all[size];
    if (!found) { found = std::make_unique<arrays>(size); }
    return *found;
}

void use_threads([[maybe_unused]] int threads) {
#ifdef _OPENMP
    omp_set_num_threads(threads);
#endif
}

template <class Optimizer>
void ours(benchmark::State& state, std::size_t size, int threads, Optimizer optimizer) {
    use_threads(threads);
    arrays& at = of(size);
    for (auto _ : state) {
        const auto result = optimizer.step(at.parameters, at.gradients, at.state);
        if (!result) { state.SkipWithError("not finite"); }
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
    state.counters["bar"] = 1.1;
}

enum class loop { writes_three, writes_four };

/// Reads four arrays and writes three of them, or all.
template <loop Kind>
void touch(float* __restrict p, float* __restrict g, float* __restrict m, float* __restrict v,
           std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        p[i] = p[i] + g[i];
        m[i] = m[i] + g[i];
        v[i] = v[i] + g[i];
        if constexpr (Kind == loop::writes_four) { g[i] = -g[i]; }
    }
}

template <loop Kind>
void baseline(benchmark::State& state, std::size_t size, int threads) {
    use_threads(threads);
    arrays& at = of(size);
    float* const p = at.parameters.data();
    float* const g = at.gradients.data();
    float* const m = at.state.values.data();
    float* const v = m + size;
    for (auto _ : state) {
        const std::size_t part = size / static_cast<std::size_t>(threads);
#ifdef _OPENMP
#pragma omp parallel for schedule(static) if (threads > 1)
#endif
        for (int k = 0; k < threads; ++k) {
            const std::size_t first = part * static_cast<std::size_t>(k);
            const std::size_t count = k + 1 == threads ? size - first : part;
            touch<Kind>(p + first, g + first, m + first, v + first, count);
        }
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
    for (std::size_t i = 0; i < size; ++i) { p[i] = 1; }  // as it was
    for (std::size_t i = 0; i < size; ++i) { g[i] = 1e-3F; }
    for (std::size_t i = 0; i < size; ++i) { m[i] = 0; }
    for (std::size_t i = 0; i < size; ++i) { v[i] = 1e-6F; }
}

/// Per tensor of 64 elements, in a list of a thousand.
void small_tensors(benchmark::State& state) {
    use_threads(1);
    const std::size_t count = 1000;
    std::vector<std::vector<float>> parameters(count, std::vector<float>(64, 1.0F));
    const std::vector<std::vector<float>> gradients(count, std::vector<float>(64, 1e-3F));
    optim::state<float> memory;
    for (auto _ : state) {
        const auto result = optim::adam{}.step(parameters, gradients, memory);
        if (!result) { state.SkipWithError("not finite"); }
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(count));
    state.counters["bar_ns_per_item"] = 1000;
}

template <loop Kind = loop::writes_three, class Optimizer>
void add(const std::string& name, std::size_t size, const std::string& text, int threads,
         const Optimizer& optimizer) {
    const std::string what =
        name + " " + text + (threads == 1 ? "" : " " + std::to_string(threads) + " threads");
    benchmark::RegisterBenchmark((what + "/ours").c_str(), ours<Optimizer>, size, threads, optimizer);
    benchmark::RegisterBenchmark((what + "/baseline").c_str(), baseline<Kind>, size, threads);
}

}  // namespace

int main(int argc, char** argv) {
    constexpr auto one_pass = optim::on_non_finite::report;
    int most = 1;
#ifdef _OPENMP
    most = 2;
#endif
    for (int threads = 1; threads <= most; ++threads) {
        for (const auto& [size, text] : {std::pair{std::size_t{1'000'000}, "1e6"},
                                         {std::size_t{10'000'000}, "1e7"},
                                         {std::size_t{50'000'000}, "5e7"}}) {
            add("adam", size, text, threads, optim::adam{.non_finite = one_pass});
            add("adamw", size, text, threads, optim::adamw{.non_finite = one_pass});
            add("dual_adam first phase", size, text, threads,
                optim::dual_adam{.switch_rate = 1e-9, .non_finite = one_pass});
            add<loop::writes_four>("adam, default", size, text, threads, optim::adam{});
        }
    }
    benchmark::RegisterBenchmark("adam, one of 1000 tensors of 64/ours", small_tensors);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
