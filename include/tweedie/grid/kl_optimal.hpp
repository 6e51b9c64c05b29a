// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// Options of `kl_optimal`.
struct kl_optimal_options {
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; default: the schedule's
    final_level last = final_level::zero;  ///< whether the exact clean level follows
};

/// Noise levels equally spaced in the angle arctan(sigma / alpha), which minimise the KL divergence bound of
/// a first-order solver when the data are standard normal.
///
///     s_i = tan((1 - i / (n - 1)) arctan(s_max) + i / (n - 1) arctan(s_min)),    i = 0 .. n - 1
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507, its closed form for Gaussian data.
/// Deviation: s is sigma / alpha, which makes it valid on every schedule; on `trig` it is equal spacing in
/// time. A start at alpha = 0 is an angle like all others, pi / 2, and needs no stand-in.
///
/// - `steps`    network levels. `final_level::zero`: n = steps nodes, then the clean level;
///              `final_level::sigma_min`: n = steps + 1 nodes, the last one ends the grid. In [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean. The ends of the schedule's own range come back exactly.
/// - errors     tier 1: steps, or a range that is empty or that the schedule does not have; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> kl_optimal(const Schedule& schedule, int steps,
                                            const kl_optimal_options& options = {}) {
    constexpr const char* who = "grid::kl_optimal";
    detail::require_steps(steps, who);
    detail::require_final_level(options.last, who);
    const level noisy = detail::noisy_end(schedule, options.sigma_max, who);
    const level clean = detail::clean_end(schedule, options.sigma_min, who);
    const detail::grid_range range{noisy, clean, noisy.half_log_snr(), clean.half_log_snr()};
    if (!(range.noisy_half_log_snr < range.clean_half_log_snr)) {
        throw std::invalid_argument("grid::kl_optimal: the range needs sigma_max > sigma_min");
    }
    const double first = std::atan(std::exp(-range.noisy_half_log_snr));
    const double last = std::atan(std::exp(-range.clean_half_log_snr));
    const auto place = [=](double fraction) {
        return -std::log(std::tan((1.0 - fraction) * first + fraction * last));
    };
    return detail::lay_out(schedule, steps, range, options.last, place, who);
}

}  // namespace tweedie::grid
