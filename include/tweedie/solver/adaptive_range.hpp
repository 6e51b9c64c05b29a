// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// The part of a grid that an adaptive method walks at its own pace, with the two ends where half-log-SNR is
/// infinite set apart.
///
/// - `first`, `last`  ends of the grid; what lies between is not visited, except that the level before a
///                    clean end is where the walk ends.
/// - `from`, `to`     the walk: both at finite half-log-SNR. `from` is `first` unless that is pure noise;
///                    `to` is `last` unless that is clean.
struct adaptive_range {
    level first;
    level last;
    level from;
    level to;

    [[nodiscard]] bool from_pure_noise() const { return first.alpha == 0.0; }
    [[nodiscard]] bool to_clean() const { return last.sigma == 0.0; }
};

/// - `pure_noise_as`  the sigma / alpha up to which the first step goes from pure noise, as in
///                    `grid::log_snr`.
/// - errors           `std::invalid_argument`: levels that are no valid sequence.
[[nodiscard]] inline adaptive_range range_of(const any_schedule& schedule, std::span<const level> levels,
                                             double pure_noise_as, const char* who) {
    require_levels(levels, who);
    if (!(pure_noise_as > 0.0 && std::isfinite(pure_noise_as))) {
        throw std::invalid_argument(std::string(who) + ": pure_noise_as must be positive and finite");
    }
    adaptive_range r{levels.front(), levels.back(), levels.front(), levels.back()};
    if (r.to_clean()) {
        // a grid's own last noise level; with the two ends alone, the schedule's
        r.to = levels.size() > 2 ? levels[levels.size() - 2] : at(schedule, schedule.range().clean);
        if (!(r.to.half_log_snr() > r.first.half_log_snr())) { r.to = r.first; }
    }
    if (r.from_pure_noise()) {
        r.from = at_half_log_snr(schedule, -std::log(pure_noise_as));
        if (!(r.from.half_log_snr() < r.to.half_log_snr())) { r.from = r.to; }
    }
    return r;
}

}  // namespace tweedie::solver
