// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// Options of `time_power`.
struct time_power_options {
    double power = 2.0;                    ///< above 1 crowds the clean end; > 0, finite; 1 is `uniform`
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; > 0; default: see `uniform`
    final_level last = final_level::zero;  ///< whether the grid ends at the exact clean level
};

/// Noise levels equally spaced in a root of the time left to the clean level.
///
///     d_i = (d_noisy^(1/power) + i / m (d_end^(1/power) - d_noisy^(1/power)))^power,    d = |t - t_clean|
///
/// Source: "time_quadratic" of dpm_solver_pytorch (power 2, `.last = final_level::sigma_min`) and "time" of
/// SA-Solver. Deviation: the time is counted from the clean level, which is where theirs begins.
///
/// - `steps`    network levels, in [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean; both ends exact. It ends, and has m, as `grid::uniform`
///              does.
/// - errors     tier 1: steps, power, a schedule whose clean level has no finite time (`ve`), or a range that
///              is empty or that the schedule does not have; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> time_power(const Schedule& schedule, int steps,
                                            const time_power_options& options = {}) {
    constexpr const char* who = "grid::time_power";
    const double power = options.power;
    if (!(power > 0.0 && std::isfinite(power))) {
        throw std::invalid_argument("grid::time_power: power must be positive and finite");
    }
    const double zero = schedule.time_at(std::numeric_limits<double>::infinity());
    if (!std::isfinite(zero)) {
        throw std::invalid_argument("grid::time_power: the clean level of the schedule needs a finite time");
    }
    const auto time = [=](double noisy, double end, double done, double all) {
        const double first = std::pow(std::abs(noisy - zero), 1.0 / power);
        const double last = std::pow(std::abs(end - zero), 1.0 / power);
        const double left = std::pow((first * (all - done) + last * done) / all, power);
        return noisy > zero ? zero + left : zero - left;
    };
    return detail::lay_out_in_time(schedule, steps, options, time, who);
}

}  // namespace tweedie::grid
