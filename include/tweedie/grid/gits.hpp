// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/tabulated.hpp>

#include <array>
#include <vector>

namespace tweedie::grid {

/// The levels that GITS found for EDM on CIFAR-10 with six steps.
inline constexpr std::array<double, 7> gits_cifar10_sigmas = {80.0,   10.9836, 3.8811, 1.584,
                                                              0.5666, 0.1698,  0.002};

/// Noise levels placed where the sampling trajectories bend: geometry-inspired time schedule (GITS).
///
/// Source: Chen et al. 2024 (On the Trajectory Regularity of ODE-based Diffusion Sampling), arXiv:2405.11326,
/// by dynamic programming over the trajectories of a network; here its six steps for CIFAR-10, interpolated
/// log-linearly to other numbers, which the authors do not do.
///
/// - `steps`    network levels, in [1, 1000000]; 6 are the published ones.
/// - returns    steps + 1 levels, noisy to clean, as of `grid::tabulated`; the published runs end at sigma =
///              0.002, `.last = final_level::sigma_min`.
/// - errors     tier 1: steps, or levels the schedule does not have.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> gits_cifar10(const Schedule& schedule, int steps,
                                              const tabulated_options& options = {}) {
    return tabulated(schedule, steps, gits_cifar10_sigmas, options);
}

}  // namespace tweedie::grid
