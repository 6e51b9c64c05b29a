// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace tweedie::grid {

/// Noise levels of v-diffusion's "crash" schedule: sigma^2 + alpha^2 = 1 with
///
///     sigma_i = sin^2(pi u_i / 2),    u_i = 1 - i / steps,    i = 0 .. steps
///
/// Source: v-diffusion (Crowson 2021); the levels of diffusers' IPNDM. Deviation: on a schedule with another
/// sum of squares the level of equal sigma / alpha = sin^2 / (cos sqrt(1 + sin^2)) is taken.
///
/// - `schedule`  one that has pure noise (`trig`, `flow`, zero terminal SNR).
/// - `steps`     network levels, in [1, 1000000].
/// - returns     steps + 1 levels, from exactly pure noise to the exact clean level.
/// - errors      tier 1: steps, or a schedule without pure noise.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> crash(const Schedule& schedule, int steps) {
    constexpr const char* who = "grid::crash";
    constexpr double half_pi = 1.57079632679489661923;
    constexpr double infinity = std::numeric_limits<double>::infinity();
    detail::require_steps(steps, who);
    std::vector<level> out = {at_half_log_snr(schedule, -infinity)};
    for (int i = 1; i < steps; ++i) {
        const double left = static_cast<double>(steps - i) / steps;
        const double s = std::sin(half_pi * left);
        const double c =
            std::sin(half_pi * (static_cast<double>(i) / steps));  // the cosine, exact next to u = 1
        out.push_back(at_half_log_snr(schedule, std::log(c / s * (std::sqrt(1.0 + s * s) / s))));
    }
    out.push_back(at_half_log_snr(schedule, infinity));
    require_levels(out, who);
    return out;
}

}  // namespace tweedie::grid
