// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/tabulated.hpp>

#include <array>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// The networks that Align Your Steps published ten steps for.
enum class align_your_steps_for {
    stable_diffusion_1,      ///< Stable Diffusion 1.5
    stable_diffusion_xl,     ///< SDXL
    stable_video_diffusion,  ///< SVD
    deepfloyd_if,            ///< DeepFloyd-IF, stage one
};

/// The published eleven noise levels, sigma / alpha, of ten steps.
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507.
/// - errors  tier 1: no such network.
[[nodiscard]] inline std::span<const double> align_your_steps_sigmas(align_your_steps_for network) {
    static constexpr std::array<double, 11> sd = {14.615, 6.475, 3.861, 2.697, 1.886, 1.396,
                                                  0.963,  0.652, 0.399, 0.152, 0.029};
    static constexpr std::array<double, 11> sdxl = {14.615, 6.315, 3.771, 2.181, 1.342, 0.862,
                                                    0.555,  0.380, 0.234, 0.113, 0.029};
    static constexpr std::array<double, 11> svd = {700.0, 54.5,  15.886, 7.977, 4.248, 1.789,
                                                   0.981, 0.403, 0.173,  0.034, 0.002};
    static constexpr std::array<double, 11> deepfloyd = {160.41, 8.081, 3.315, 1.885, 1.207, 0.785,
                                                         0.553,  0.293, 0.186, 0.030, 0.006};
    switch (network) {
        case align_your_steps_for::stable_diffusion_1: return sd;
        case align_your_steps_for::stable_diffusion_xl: return sdxl;
        case align_your_steps_for::stable_video_diffusion: return svd;
        case align_your_steps_for::deepfloyd_if: return deepfloyd;
    }
    throw std::invalid_argument("grid::align_your_steps: no such network");
}

/// The same as ten training indices and the clean level, for `from_times` on a discrete schedule of 1000
/// levels.
///
/// Source: the lists of diffusers. Each index is that of the level next to the published sigma, to within
/// one.
/// - errors  tier 1: no such network, or one that has no training indices (SVD, DeepFloyd-IF are not listed).
[[nodiscard]] inline std::span<const double> align_your_steps_times(align_your_steps_for network) {
    static constexpr std::array<double, 11> sd = {999.0, 850.0, 736.0, 645.0, 545.0, 455.0,
                                                  343.0, 233.0, 124.0, 24.0,  -1.0};
    static constexpr std::array<double, 11> sdxl = {999.0, 845.0, 730.0, 587.0, 443.0, 310.0,
                                                    193.0, 116.0, 53.0,  13.0,  -1.0};
    if (network == align_your_steps_for::stable_diffusion_1) { return sd; }
    if (network == align_your_steps_for::stable_diffusion_xl) { return sdxl; }
    throw std::invalid_argument(
        "grid::align_your_steps: training indices are published for SD 1.5 and SDXL only");
}

/// Noise levels optimised for a network, at any number of steps.
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507: ten steps per network, interpolated
/// log-linearly to other numbers. Deviation: none.
///
/// - `steps`    network levels, in [1, 1000000]; 10 are the published ones.
/// - returns    steps + 1 levels, noisy to clean, as of `grid::tabulated`.
/// - errors     tier 1: no such network, steps, or levels the schedule does not have (those of SVD reach
///              700).
/// - choose     for these networks and about ten steps; the sigmas suit no other data.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> align_your_steps(const Schedule& schedule, int steps,
                                                  align_your_steps_for network,
                                                  const tabulated_options& options = {}) {
    return tabulated(schedule, steps, align_your_steps_sigmas(network), options);
}

}  // namespace tweedie::grid
