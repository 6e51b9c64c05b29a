// SPDX-License-Identifier: MIT
// How much memory do 64 directions of 2,000 images of 12,288 numbers take, and how long beside the exact
// eigenvectors from the matrix of their inner products? Memory is the most that the program ever held, the
// images included, in MiB (Linux only).

#include <tweedie/analytic/randomized.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Eigenvalues>
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstddef>
#include <fstream>
#include <span>
#include <string>

namespace {

using namespace tweedie;

constexpr Eigen::Index numbers = 12'288;
constexpr Eigen::Index count = 2'000;

/// Smooth pictures, more so the stronger: variance falls with the square of the frequency.
const Eigen::MatrixXf& images() {
    static const Eigen::MatrixXf all = [] {
        constexpr Eigen::Index waves = 200;
        Eigen::MatrixXf shapes(numbers, waves);
        for (Eigen::Index k = 0; k < waves; ++k) {
            for (Eigen::Index i = 0; i < numbers; ++i) {
                shapes(i, k) =
                    std::cos(static_cast<float>((k + 1) * i) * 3.14159265F / static_cast<float>(numbers)) /
                    static_cast<float>(k + 1);
            }
        }
        Eigen::MatrixXf strengths(waves, count);
        const normal_stream stream = noise{.seed = 1}.stream(draw_kind::user, 0);
        stream(0, 0, std::span<float>(strengths.data(), static_cast<std::size_t>(strengths.size())));
        Eigen::MatrixXf out = shapes * strengths;
        return out;
    }();
    return all;
}

/// A line of /proc/self/status in MiB; 0 where there is none.
double memory(const std::string& line) {
    std::ifstream status("/proc/self/status");
    for (std::string word; status >> word;) {
        double kibibytes = 0.0;
        if (word == line && status >> kibibytes) { return kibibytes / 1024.0; }
    }
    return 0.0;
}

void ours(benchmark::State& state) {
    const Eigen::MatrixXf& data = images();
    std::ofstream("/proc/self/clear_refs") << "5";  // the most from here on
    for (auto _ : state) {
        const analytic::gaussian fitted = analytic::randomized_fit(data, {.rank = 64});
        benchmark::DoNotOptimize(fitted.eigenvalues().data());
    }
    state.counters["count"] = memory("VmHWM:");
    state.counters["bar_count"] = 1024;
}

void baseline(benchmark::State& state) {
    const Eigen::MatrixXf& data = images();
    for (auto _ : state) {
        Eigen::MatrixXd centred = data.cast<double>();
        const Eigen::VectorXd mean = centred.rowwise().mean();
        centred.colwise() -= mean;
        const Eigen::MatrixXd gram = centred.transpose() * centred / static_cast<double>(count);
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
        Eigen::MatrixXd directions = centred * solver.eigenvectors().rightCols(64);
        directions.colwise().normalize();
        benchmark::DoNotOptimize(directions.data());
    }
}

}  // namespace

// Seconds each: three repetitions are enough.
BENCHMARK(ours)->Name("rank 64 of 12288, MiB/ours")->Unit(benchmark::kMillisecond)->Repetitions(3);
BENCHMARK(baseline)->Name("rank 64 of 12288, MiB/baseline")->Unit(benchmark::kMillisecond)->Repetitions(3);
