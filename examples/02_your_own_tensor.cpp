// SPDX-License-Identifier: MIT
// A tensor type of your own: four functions, and every solver works on it.
// g++ -std=c++20 -O2 -I include examples/02_your_own_tensor.cpp && ./a.out
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/tensor/contiguous.hpp>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>

// A picture as some engine has it: its own memory, movable, not copyable.
struct picture {
    std::size_t width;
    std::size_t height;
    std::unique_ptr<float[]> pixels = std::make_unique<float[]>(width * height);
};

template <>
struct tweedie::tensor_traits<picture> : tweedie::contiguous_tensor_traits<picture, float> {
    static float* data(picture& x) { return x.pixels.get(); }
    static const float* data(const picture& x) { return x.pixels.get(); }
    static std::size_t size(const picture& x) { return x.width * x.height; }
    static picture like(const picture& x) { return {x.width, x.height}; }
};

// The data: a ramp from -1 (left) to 1 (right), with normal deviations of 1/4 at each pixel.
float ramp(std::size_t pixel, std::size_t width) {
    return 2.0f * static_cast<float>(pixel % width) / static_cast<float>(width - 1) - 1.0f;
}

// The exact network for these data: the noise in x, written where the library wants it.
constexpr auto network = [](const picture& x, const tweedie::network_level& at, picture& out) {
    const auto alpha = static_cast<float>(at.alpha);
    const auto sigma = static_cast<float>(at.sigma);
    for (std::size_t i = 0; i < x.width * x.height; ++i) {
        out.pixels[i] =
            sigma * (x.pixels[i] - alpha * ramp(i, x.width)) / (alpha * alpha / 16.0f + sigma * sigma);
    }
};

int main() {
    using namespace tweedie;
    const schedule::vp_linear schedule;
    const auto plan = solver::dpm_solver{}.plan(schedule, grid::log_snr(schedule, 25));

    picture x{5, 20000};
    start_from_noise(x, plan.levels.front(), noise{.seed = 7});
    const run_result run = sample(plan, denoiser(network, prediction::epsilon, schedule), x);

    double worst = 0.0;
    const auto rows = static_cast<double>(x.height);
    for (std::size_t column = 0; column < x.width; ++column) {
        double mean = 0.0;
        double square = 0.0;
        for (std::size_t i = column; i < x.width * x.height; i += x.width) {
            mean += static_cast<double>(x.pixels[i]) / rows;
            square += static_cast<double>(x.pixels[i]) * static_cast<double>(x.pixels[i]) / rows;
        }
        const auto expected = static_cast<double>(ramp(column, x.width));
        const double deviation = std::sqrt(square - mean * mean);
        std::printf("column %zu: mean %6.3f (expected %4.1f), deviation %.3f (expected 0.25)\n", column, mean,
                    expected, deviation);
        worst = std::fmax(worst, std::fmax(std::abs(mean - expected), std::abs(deviation - 0.25)));
    }
    return run && worst < 0.01 ? 0 : 1;
}
