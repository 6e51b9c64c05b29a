// SPDX-License-Identifier: MIT
// What does a normal number cost, on one thread?

#include <tweedie/random/noise.hpp>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace {

template <class Scalar>
void ours(benchmark::State& state, std::size_t size) {
    std::vector<Scalar> out(size);
    std::uint32_t draw = 0;
    for (auto _ : state) {
        const tweedie::normal_stream stream =
            tweedie::noise{.seed = 7}.stream(tweedie::draw_kind::step, draw++ % 1000);
        stream(0, 0, std::span<Scalar>(out));
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
    if (sizeof(Scalar) == sizeof(float)) { state.counters["bar_ns_per_item"] = 1.0; }
}

template <class Scalar>
void baseline(benchmark::State& state, std::size_t size) {
    std::vector<Scalar> out(size);
    std::mt19937 engine(7);
    std::normal_distribution<Scalar> normal;
    for (auto _ : state) {
        for (Scalar& number : out) { number = normal(engine); }
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

template <class Scalar>
void add_cases(const std::string& scalar, std::size_t size) {
    const std::string name = "normals " + scalar + " " + std::to_string(size);
    benchmark::RegisterBenchmark((name + "/ours").c_str(), ours<Scalar>, size);
    benchmark::RegisterBenchmark((name + "/baseline").c_str(), baseline<Scalar>, size);
}

}  // namespace

int main(int argc, char** argv) {
    for (const std::size_t size : {std::size_t{65'536}, std::size_t{262'144}, std::size_t{3'145'728}}) {
        add_cases<float>("float", size);
        add_cases<double>("double", size);
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
