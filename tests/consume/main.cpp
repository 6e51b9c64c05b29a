// SPDX-License-Identifier: MIT
// What a stranger writes first: a network of their own, sampled on a tensor of the standard library.
#include <tweedie/tweedie.hpp>

#include <Eigen/Core>  // comes with the target

#include <cstdio>
#include <vector>

int main() {
    using namespace tweedie;
    const auto network = [](std::vector<float> x,
                            const network_level& at) {  // exact for data of mean 3, variance 1
        for (float& value : x) {
            const auto a = static_cast<float>(at.alpha);
            value =
                3.0F + a * (value - 3.0F * a) / static_cast<float>(at.alpha * at.alpha + at.sigma * at.sigma);
        }
        return x;
    };
    const schedule::flow schedule;
    const auto plan = solver::unipc{}.plan(schedule, grid::uniform(schedule, 20));
    std::vector<float> x(1000);
    start_from_noise(x, plan.levels.front(), noise{.seed = 1});
    const auto run = sample(plan, denoiser(network, prediction::x0, schedule), x);
    float sum = 0.0F;
    for (const float value : x) { sum += value; }
    std::printf("tweedie %s: mean %.2f (expected 3)\n", version_string, static_cast<double>(sum) / 1000.0);
    return run && sum > 2850.0F && sum < 3150.0F && Eigen::Vector2d(3.0, 4.0).norm() == 5.0 ? 0 : 1;
}
