// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <stdexcept>
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
    constexpr const char* who = "grid::uniform";
    detail::require_steps(steps, who);
    detail::require_final_level(options.last, who);
    const level noisy = detail::noisy_end(schedule, options.sigma_max, who);
    const level zero = at_half_log_snr(schedule, std::numeric_limits<double>::infinity());
    const bool to_zero = options.last == final_level::zero && !options.sigma_min && std::isfinite(zero.t);
    const level end = to_zero ? zero : detail::clean_end(schedule, options.sigma_min, who);
    if (!(noisy.half_log_snr() < end.half_log_snr())) {
        throw std::invalid_argument("grid::uniform: the range needs sigma_max > sigma_min");
    }
    const bool append_zero = options.last == final_level::zero && !to_zero;
    const auto nodes = static_cast<std::size_t>(steps) + (append_zero ? 0U : 1U);
    std::vector<level> out;
    out.reserve(static_cast<std::size_t>(steps) + 1);
    for (std::size_t i = 0; i < nodes; ++i) {
        if (i == 0) {
            out.push_back(noisy);
        } else if (i + 1 == nodes) {
            out.push_back(end);
        } else {
            // one division, last: exact wherever the products are, fused or not
            const auto done = static_cast<double>(i);
            const auto all = static_cast<double>(nodes - 1);
            out.push_back(at(schedule, (noisy.t * (all - done) + end.t * done) / all));
        }
    }
    if (append_zero) { out.push_back(zero); }
    require_levels(out, who);
    return out;
}

}  // namespace tweedie::grid
