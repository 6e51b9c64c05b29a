// SPDX-License-Identifier: MIT
// What does a Gaussian fitted to 60,000 images of 784 pixels cost, in double and batch by batch, beside one
// covariance by Eigen's matrix product and one eigendecomposition?

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Eigenvalues>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstddef>
#include <span>

namespace {

using namespace tweedie;

constexpr Eigen::Index pixels = 784;
constexpr Eigen::Index count = 60'000;

/// Numbers with a few strong directions, in float as images are.
const Eigen::MatrixXf& images() {
    static const Eigen::MatrixXf all = [] {
        Eigen::MatrixXf out(pixels, count);
        for (Eigen::Index j = 0; j < count; ++j) {
            const normal_stream stream = noise{.seed = 1}.stream(draw_kind::user, 0);
            stream(static_cast<std::size_t>(j), 0,
                   std::span<float>(&out(0, j), static_cast<std::size_t>(pixels)));
            const float strength = out(0, j);
            for (Eigen::Index i = 0; i < pixels; ++i) {
                out(i, j) = 0.5F + 0.1F * out(i, j) + strength / static_cast<float>(i + 1);
            }
        }
        return out;
    }();
    return all;
}

void ours(benchmark::State& state) {
    const Eigen::MatrixXf& data = images();
    for (auto _ : state) {
        analytic::moments sums(pixels);
        for (Eigen::Index first = 0; first < count; first += 1000) {
            sums.add(Eigen::MatrixXf(data.middleCols(first, 1000)));
        }
        const analytic::gaussian fitted = analytic::gaussian::fit(sums);
        benchmark::DoNotOptimize(fitted.eigenvalues().data());
    }
    state.counters["bar"] = 2;
}

template <class Scalar>
void by_hand(benchmark::State& state) {
    using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
    const Eigen::MatrixXf& data = images();
    for (auto _ : state) {
        matrix centred = data.cast<Scalar>();
        const Eigen::Matrix<Scalar, Eigen::Dynamic, 1> mean = centred.rowwise().mean();
        centred.colwise() -= mean;
        const matrix covariance = centred * centred.transpose() / static_cast<Scalar>(count);
        const Eigen::SelfAdjointEigenSolver<matrix> solver(covariance);
        benchmark::DoNotOptimize(solver.eigenvalues().data());
    }
}

}  // namespace

// Seconds each: three repetitions are enough.
BENCHMARK(ours)->Name("fit 60000 x 784/ours")->Unit(benchmark::kMillisecond)->Repetitions(3);
BENCHMARK(by_hand<double>)->Name("fit 60000 x 784/baseline")->Unit(benchmark::kMillisecond)->Repetitions(3);
BENCHMARK(ours)
    ->Name("fit 60000 x 784, baseline in float/ours")
    ->Unit(benchmark::kMillisecond)
    ->Repetitions(3);
BENCHMARK(by_hand<float>)
    ->Name("fit 60000 x 784, baseline in float/baseline")
    ->Unit(benchmark::kMillisecond)
    ->Repetitions(3);
