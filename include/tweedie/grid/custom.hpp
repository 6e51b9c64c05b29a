// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// The levels of a schedule at given times, noisy to clean; all of them, nothing is appended.
///
/// - `times`  in the schedule's own time, at least two; the clean end is `schedule.time_at(+infinity)`.
/// - errors   tier 1: a time the schedule does not have, or levels that do not strictly lose noise; NaN each
///            time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_times(const Schedule& schedule, std::span<const double> times) {
    std::vector<level> out;
    out.reserve(times.size());
    for (const double t : times) { out.push_back(at(schedule, t)); }
    require_levels(out, "grid::from_times");
    return out;
}

template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_times(const Schedule& schedule, std::initializer_list<double> times) {
    return from_times(schedule, std::span<const double>(times.begin(), times.size()));
}

/// The levels of a schedule at given noise-to-signal ratios, noisy to clean; all of them, nothing is
/// appended.
///
/// - `sigmas`  sigma / alpha, which is what EDM, k-diffusion and diffusers list as sigmas (flow models
///             excepted: there a sigma is the time, use `from_times`); strictly falling, at least two; the
///             last may be 0, the clean level; the first may be +infinity, pure noise, if the schedule has
///             it.
/// - errors    tier 1: a negative ratio, one the schedule does not have, or ratios that do not fall; NaN each
///             time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_sigmas(const Schedule& schedule, std::span<const double> sigmas) {
    std::vector<level> out;
    out.reserve(sigmas.size());
    for (const double sigma : sigmas) {
        if (!(sigma >= 0.0)) {
            throw std::invalid_argument("grid::from_sigmas: sigmas must not be negative");
        }
        const double lambda = sigma == 0.0 ? std::numeric_limits<double>::infinity() : -std::log(sigma);
        out.push_back(at_half_log_snr(schedule, lambda));
    }
    require_levels(out, "grid::from_sigmas");
    return out;
}

template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_sigmas(const Schedule& schedule, std::initializer_list<double> sigmas) {
    return from_sigmas(schedule, std::span<const double>(sigmas.begin(), sigmas.size()));
}

/// The levels of a schedule at given half-log-SNRs, strictly rising, at least two; the last may be +infinity
/// (clean), the first -infinity (pure noise) if the schedule has it.
///
/// - errors  tier 1: a value the schedule does not have, or values that do not rise; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_half_log_snr(const Schedule& schedule, std::span<const double> values) {
    std::vector<level> out;
    out.reserve(values.size());
    for (const double value : values) { out.push_back(at_half_log_snr(schedule, value)); }
    require_levels(out, "grid::from_half_log_snr");
    return out;
}

template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from_half_log_snr(const Schedule& schedule,
                                                   std::initializer_list<double> values) {
    return from_half_log_snr(schedule, std::span<const double>(values.begin(), values.size()));
}

/// Levels made elsewhere, checked by `require_levels`. For a schedule the library does not have, `from_times`
/// on your own `noise_schedule` is better: solvers that visit levels in between ask the schedule for them.
[[nodiscard]] inline std::vector<level> from_levels(std::span<const level> levels) {
    require_levels(levels, "grid::from_levels");
    return {levels.begin(), levels.end()};
}

}  // namespace tweedie::grid
