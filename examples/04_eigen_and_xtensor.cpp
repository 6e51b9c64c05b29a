// SPDX-License-Identifier: MIT
// One sampler, one network, four containers: an Eigen array, an Eigen map of a vector, an xtensor array and
// an xtensor adaptor give the same samples, bit for bit.
// g++ -std=c++20 -O2 -I include -isystem /usr/include/eigen3 examples/04_eigen_and_xtensor.cpp && ./a.out
#include <tweedie/grid/uniform.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/xtensor.hpp>

#include <Eigen/Core>
#if __has_include(<xtensor/containers/xarray.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <span>
#include <vector>

int main() {
    using namespace tweedie;
    const schedule::flow schedule;
    const plan plan = solver::unipc{.order = 3}.plan(schedule, grid::uniform(schedule, 20));

    // Written once for every library: the exact data prediction for normal data of deviation 1/2.
    const auto network = [](const auto& x, const network_level& at, auto& out) {
        const double a = at.alpha;
        out = static_cast<float>(a / (a * a + 4 * at.sigma * at.sigma)) * x;
    };
    const denoiser model(network, prediction::x0, schedule);

    bool good = true;
    std::vector<float> first;
    const auto run = [&](const char* name, auto& x, std::span<const float> elements) {
        start_from_noise(x, plan.levels.front(), noise{.seed = 7});
        const run_result result = sample(plan, model, x);
        double square = 0.0;
        for (const float value : elements) {
            square += static_cast<double>(value) * static_cast<double>(value);
        }
        const double deviation = std::sqrt(square / static_cast<double>(elements.size()));
        if (first.empty()) { first.assign(elements.begin(), elements.end()); }
        const bool same = std::equal(elements.begin(), elements.end(), first.begin(), first.end());
        good = good && result && same && std::abs(deviation - 0.5) < 0.01;
        std::printf("%-16s deviation %.4f (expected 0.5), the same bits: %s (expected yes)\n", name,
                    deviation, same ? "yes" : "no");
    };

    // 16 samples of 1024 numbers: columns in Eigen, rows in xtensor.
    constexpr std::size_t size = 16 * 1024;
    Eigen::ArrayXXf array(1024, 16);
    run("Eigen::Array", array, {array.data(), size});

    std::vector<float> memory(size);
    Eigen::Map<Eigen::ArrayXXf> map(memory.data(), 1024, 16);
    run("Eigen::Map", map, memory);

    xt::xarray<float> xarray = xt::zeros<float>({16, 1024});
    run("xt::xarray", xarray, {xarray.data(), size});

    std::vector<float> more(size);
    auto adaptor = xt::adapt(more, std::vector<std::size_t>{16, 1024});
    run("xt::adapt", adaptor, more);
    return good ? 0 : 1;
}
