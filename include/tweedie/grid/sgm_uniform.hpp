// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/uniform.hpp>

#include <limits>
#include <vector>

namespace tweedie::grid {

/// Noise levels equally spaced in the schedule's time, the last of which gives way to the clean level.
///
///     t_i = t_noisy + i / steps (t_clean - t_noisy),    i = 0 .. steps - 1;    then sigma = 0
///
/// t_clean is at sigma_min, or else range().clean: training index 0 of a discrete schedule, where the levels
/// are those of `linspace` with index 0 skipped, without its rounding.
/// Source: "sgm_uniform" of Stability's generative-models and of ComfyUI; on flow the grid of diffusers'
/// UniPC. Deviation: none.
///
/// - `steps`    network levels, in [1, 1000000].
/// - `options`  of `uniform`; `final_level::sigma_min` keeps the last level, and is that grid.
/// - returns    steps + 1 levels, noisy to clean; both ends exact.
/// - errors     tier 1: steps, or a range that is empty or that the schedule does not have; NaN each time.
/// - not to be confused with `uniform`, which by default is spaced all the way to sigma = 0.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> sgm_uniform(const Schedule& schedule, int steps,
                                             const uniform_options& options = {}) {
    constexpr const char* who = "grid::sgm_uniform";
    detail::require_final_level(options.last, who);
    uniform_options down_to_clean = options;
    down_to_clean.last = final_level::sigma_min;
    const auto time = [](double noisy, double end, double done, double all) {
        return (noisy * (all - done) + end * done) / all;
    };
    std::vector<level> out = detail::lay_out_in_time(schedule, steps, down_to_clean, time, who);
    if (options.last == final_level::zero) {
        out.back() = at_half_log_snr(schedule, std::numeric_limits<double>::infinity());
    }
    return out;
}

}  // namespace tweedie::grid
