// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// Options of `tabulated` and of the grids published as tables.
struct tabulated_options {
    final_level last = final_level::zero;  ///< zero: the clean level in place of the table's last
};

/// A list of noise levels found for one number of steps, at any number of steps: interpolated log-linearly.
///
///     ln s_i = the ln of the list at i / steps of its length, linear between its entries,    i = 0 .. steps
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507, and its published recipe. Deviation:
/// none; with as many steps as the list has intervals the list itself comes back.
///
/// - `steps`    network levels, in [1, 1000000].
/// - `sigmas`   sigma / alpha, strictly falling, positive, finite, at least two.
/// - returns    steps + 1 levels, noisy to clean; `final_level::zero` puts the clean level in the place of
///              the last one (the published practice), `final_level::sigma_min` keeps it. A first level that
///              is noisier than the schedule by less than 0.1 % is the schedule's noisiest: published lists
///              are rounded.
/// - errors     tier 1: steps, a list that does not fall, or a level the schedule does not have; NaN each
///              time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> tabulated(const Schedule& schedule, int steps,
                                           std::span<const double> sigmas,
                                           const tabulated_options& options = {}) {
    constexpr const char* who = "grid::tabulated";
    detail::require_steps(steps, who);
    detail::require_final_level(options.last, who);
    bool falls = sigmas.size() >= 2;
    for (std::size_t i = 0; i < sigmas.size(); ++i) {
        falls = falls && sigmas[i] > 0.0 && std::isfinite(sigmas[i]) && (i == 0 || sigmas[i] < sigmas[i - 1]);
    }
    if (!falls) {
        throw std::invalid_argument(
            "grid::tabulated: sigmas must be at least two, positive, finite and strictly falling");
    }
    std::vector<level> out;
    out.reserve(static_cast<std::size_t>(steps) + 1);
    const std::size_t parts = sigmas.size() - 1;
    const auto count = static_cast<std::size_t>(steps);
    for (std::size_t i = 0; i <= count; ++i) {
        if (i == count && options.last == final_level::zero) {
            out.push_back(at_half_log_snr(schedule, std::numeric_limits<double>::infinity()));
            break;
        }
        const std::size_t whole = i * parts / count;
        const double fraction = static_cast<double>(i * parts % count) / static_cast<double>(count);
        double lambda = -std::log(sigmas[whole]);
        if (fraction > 0.0) { lambda += fraction * std::log(sigmas[whole] / sigmas[whole + 1]); }
        if (i == 0) {
            const level noisiest = at(schedule, schedule.range().noisy);
            const double end = noisiest.half_log_snr();
            if (end - lambda > -1e-12 * (1.0 + std::abs(end)) && end - lambda < 1e-3) {
                out.push_back(noisiest);
                continue;
            }
        }
        out.push_back(at_half_log_snr(schedule, lambda));
    }
    require_levels(out, who);
    return out;
}

}  // namespace tweedie::grid
