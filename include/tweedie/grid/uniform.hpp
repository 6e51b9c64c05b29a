// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <optional>
#include <vector>

namespace tweedie::grid {

/// Options of `uniform`.
struct uniform_options {
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; > 0; default: see `uniform`
    final_level last = final_level::zero;  ///< whether the grid ends at the exact clean level
};

/// Noise levels equally spaced in the schedule's time.
///
///     t_i = t_noisy + i / m (t_end - t_noisy)
///
/// Where the grid ends, and how many intervals m that leaves:
///
///     zero, no sigma_min    m = steps        t_end = time_at(+infinity), the clean level itself
///     zero, a sigma_min     m = steps - 1    t_end at sigma_min; then the clean level
///     sigma_min             m = steps        t_end at sigma_min, or else range().clean; nothing follows
///
/// The first is 1, 1 - 1/steps, ..., 0 on flow, and the trailing spacing without its rounding on a discrete
/// schedule; VE, whose clean level is at t = -infinity, ends as in the second line, at its range. The second
/// is the grid of diffusers' flow classes; its last network call does little. The third is "time_uniform" of
/// DPM-Solver.
///
/// - `steps`    network levels, in [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean; both ends exact.
/// - errors     tier 1: steps, or a range that is empty or that the schedule does not have; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> uniform(const Schedule& schedule, int steps,
                                         const uniform_options& options = {}) {
    // one division, last: exact wherever the products are, fused or not
    const auto time = [](double noisy, double end, double done, double all) {
        return (noisy * (all - done) + end * done) / all;
    };
    return detail::lay_out_in_time(schedule, steps, options, time, "grid::uniform");
}

}  // namespace tweedie::grid
