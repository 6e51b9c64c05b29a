// SPDX-License-Identifier: MIT
// What does a normal number cost, on one thread?

#include <tweedie/random/brownian.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/random/torch_cpu.hpp>
#include <tweedie/random/torch_cuda.hpp>

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
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

/// torch's numbers; the baseline makes them as torch's documentation of its method reads, with the C library.
template <class Scalar>
void torch_ours(benchmark::State& state, std::size_t size) {
    std::vector<Scalar> out(size);
    tweedie::torch_cpu_generator generator(7);
    for (auto _ : state) {
        generator.randn(out);
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

template <class Scalar>
void torch_baseline(benchmark::State& state, std::size_t size) {
    std::vector<Scalar> out(size);
    std::mt19937 engine(7);
    const auto uniform = [&engine] {
        if constexpr (sizeof(Scalar) == sizeof(float)) {
            return static_cast<float>(engine() & 0xffffffu) * 0x1p-24f;
        } else {
            const std::uint64_t high = engine();
            return static_cast<double>((high << 32 | engine()) & 0x1fffffffffffffu) * 0x1p-53;
        }
    };
    for (auto _ : state) {
        for (Scalar& number : out) { number = uniform(); }
        for (std::size_t i = 0; i + 16 <= size; i += 16) {
            for (std::size_t j = i; j < i + 8; ++j) {
                const Scalar radius = std::sqrt(Scalar(-2) * std::log(Scalar(1) - out[j]));
                const Scalar angle = 2 * std::numbers::pi_v<Scalar> * out[j + 8];
                out[j] = radius * std::cos(angle);
                out[j + 8] = radius * std::sin(angle);
            }
        }
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

/// What a stream costs that is no plain draw; against a draw of `noise`.
template <class Stream>
void stream_cost(benchmark::State& state, const Stream& stream, std::size_t size) {
    std::vector<float> out(size);
    for (auto _ : state) {
        stream(0, 0, std::span<float>(out));
        benchmark::DoNotOptimize(out.data());
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size));
}

void add_streams(std::size_t size) {
    const auto add = [size](const std::string& name, const auto& stream) {
        const auto run = [size](benchmark::State& state, const auto& s) { stream_cost(state, s, size); };
        benchmark::RegisterBenchmark((name + "/ours").c_str(), run, stream);
        benchmark::RegisterBenchmark((name + "/baseline").c_str(), run,
                                     tweedie::noise{.seed = 7}.stream(tweedie::draw_kind::step, 0));
    };
    const tweedie::brownian_noise path({.seed = 7}, {0.3, 0.7});
    add("a step of a Brownian path, float " + std::to_string(size), path.stream(tweedie::draw_kind::step, 0));
    const tweedie::torch_cuda_noise cuda{
        .seed = 7, .elements = size, .grid = tweedie::torch_cuda_device::a100};
    add("torch's CUDA normals float " + std::to_string(size), cuda.stream(tweedie::draw_kind::step, 0));
}

template <class Scalar>
void add_cases(const std::string& scalar, std::size_t size) {
    const std::string name = "normals " + scalar + " " + std::to_string(size);
    benchmark::RegisterBenchmark((name + "/ours").c_str(), ours<Scalar>, size);
    benchmark::RegisterBenchmark((name + "/baseline").c_str(), baseline<Scalar>, size);
    benchmark::RegisterBenchmark(("torch's " + name + "/ours").c_str(), torch_ours<Scalar>, size);
    benchmark::RegisterBenchmark(("torch's " + name + "/baseline").c_str(), torch_baseline<Scalar>, size);
}

}  // namespace

int main(int argc, char** argv) {
    for (const std::size_t size : {std::size_t{65'536}, std::size_t{262'144}, std::size_t{3'145'728}}) {
        add_cases<float>("float", size);
        add_cases<double>("double", size);
    }
    add_streams(65'536);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
}
