// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::grid {

/// Options of `linear_quadratic`; the defaults are those of Mochi.
struct linear_quadratic_options {
    double threshold = 0.025;              ///< share of the way that is walked in equal steps; in (0, 1)
    std::optional<int> linear_steps = {};  ///< how many of those; in [1, steps]; default: half of all
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; > 0; default: see `uniform`
    final_level last = final_level::zero;  ///< whether the grid ends at the exact clean level
};

/// Small equal steps of time at the noisy end, then steps that grow: a line that goes over into a parabola
/// without a kink.
///
///     x_i = slope i,                                                       i <= L
///     x_i = threshold + slope (i - L) + c (i - L)^2,                       i >  L
///     slope = threshold / L,    c = (1 - threshold - slope Q) / Q^2,       Q = m - L
///     t_i = t_noisy + x_i (t_end - t_noisy)
///
/// Source: Mochi 1 and LTX-Video (Genmo, Lightricks 2024), as `linear_quadratic_schedule` of diffusers; the
/// idea of few linear steps is that of Movie Gen, Polyak et al. 2024, arXiv:2410.13720. Deviation: made for
/// flow, where x = 1 - t; here it is the time of any schedule.
///
/// - `steps`    network levels, in [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean; both ends exact. It ends, and has m, as `grid::uniform`
///              does.
/// - errors     tier 1: steps, threshold or linear_steps out of range, a threshold so large that the parabola
///              turns back, or a range that is empty or that the schedule does not have; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> linear_quadratic(const Schedule& schedule, int steps,
                                                  const linear_quadratic_options& options = {}) {
    constexpr const char* who = "grid::linear_quadratic";
    detail::require_steps(steps, who);
    const double threshold = options.threshold;
    if (!(threshold > 0.0 && threshold < 1.0)) {
        throw std::invalid_argument("grid::linear_quadratic: threshold must lie in (0, 1)");
    }
    if (options.linear_steps && !(*options.linear_steps >= 1 && *options.linear_steps <= steps)) {
        throw std::invalid_argument("grid::linear_quadratic: linear_steps must lie in [1, " +
                                    std::to_string(steps) + "]");
    }
    const double linear = options.linear_steps ? *options.linear_steps : (steps > 1 ? steps / 2 : 1);
    const double slope = threshold / linear;
    if (!(2.0 * (1.0 - threshold) >= slope * (steps - linear))) {
        throw std::invalid_argument(
            "grid::linear_quadratic: threshold is too large for linear_steps: 2 (1 - threshold) must be at "
            "least "
            "threshold (steps - linear_steps) / linear_steps");
    }
    const auto time = [=](double noisy, double end, double done, double all) {
        const double more = done - linear;
        double share = slope * done;
        if (more > 0.0) {
            const double quadratic = all - linear;
            const double c = (1.0 - threshold - slope * quadratic) / (quadratic * quadratic);
            share = threshold + more * (slope + c * more);
        }
        return noisy * (1.0 - share) + end * share;
    };
    return detail::lay_out_in_time(schedule, steps, options, time, who);
}

}  // namespace tweedie::grid
