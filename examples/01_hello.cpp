// SPDX-License-Identifier: MIT
// From noise to data in ten network calls:  g++ -std=c++20 -O2 -I include examples/01_hello.cpp && ./a.out
#include <tweedie/grid/uniform.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/solver/unipc.hpp>

#include <cstdio>
#include <numeric>
#include <vector>

int main() {
    using namespace tweedie;
    const auto network = [](std::vector<double> x, const network_level& at) {
        for (double& value : x)  // yours goes here; this one is exact for data of mean 3 and variance 1/4
            value = 3 + at.alpha * (value - 3 * at.alpha) / (at.alpha * at.alpha + 4 * at.sigma * at.sigma);
        return x;
    };
    const schedule::flow schedule;                                       // how the network's data were noised
    const auto levels = grid::uniform(schedule, 10);                     // which noise levels to visit
    const auto plan = solver::unipc{.order = 3}.plan(schedule, levels);  // how to get from each to the next
    std::vector<double> x(100'000);
    start_from_noise(x, levels.front(), noise{.seed = 7});
    const auto run = sample(plan, denoiser(network, prediction::x0, schedule), x);
    const double mean = std::accumulate(x.begin(), x.end(), 0.0) / 1e5;
    const double variance = std::inner_product(x.begin(), x.end(), x.begin(), 0.0) / 1e5 - mean * mean;
    std::printf("mean %.3f (expected 3), variance %.3f (expected 0.25)\n", mean, variance);
    return run && mean > 2.99 && mean < 3.01 && variance > 0.24 && variance < 0.26 ? 0 : 1;
}
