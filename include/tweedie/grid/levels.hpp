// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie {

/// Which way a sampler may walk along its levels.
enum class walk {
    denoising,  ///< from noisy to clean
    either,     ///< or from clean to noisy all the way: inversion, which takes a sample back to its noise
};

/// Throws unless `levels` is a sequence a sampler can walk: from noisy to clean, every step removes noise.
///
/// - at least two levels (one step);
/// - t is a number (infinite only at the clean level); alpha and sigma finite, >= 0, not both 0;
/// - half_log_snr strictly increasing, hence only the last level may be clean (sigma = 0) and only the first
///   pure noise (alpha = 0).
/// - `who`      the thing that asks, first word of the message: `"who: rule"`.
/// - `allowed`  with `walk::either` the first step decides: half_log_snr may also decrease all the way, from
///              sigma > 0 (a clean sample does not determine its noise) to alpha > 0.
/// - errors     tier 1, one message per rule, with the index of the level.
inline void require_levels(std::span<const level> levels, const char* who, walk allowed = walk::denoising) {
    const auto refuse = [who](std::size_t i, const char* rule) {
        throw std::invalid_argument(std::string(who) + ": level " + std::to_string(i) + ": " + rule);
    };
    if (levels.size() < 2) {
        throw std::invalid_argument(std::string(who) +
                                    ": need at least two levels, where to start and where to end");
    }
    const bool rising =
        allowed == walk::either && levels[1].half_log_snr() < levels[0].half_log_snr();  // in noise
    double before = 0.0;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        const level& l = levels[i];
        if (!(l.alpha >= 0.0 && l.sigma >= 0.0 && std::isfinite(l.alpha) && std::isfinite(l.sigma))) {
            refuse(i, "alpha and sigma must be finite and not negative");
        }
        if (l.alpha == 0.0 && l.sigma == 0.0) { refuse(i, "alpha and sigma must not both be zero"); }
        if (std::isnan(l.t) || (std::isinf(l.t) && l.sigma > 0.0)) { refuse(i, "t must be finite"); }
        const double now = l.half_log_snr();
        if (rising) {
            if (std::isinf(now)) { refuse(i, "levels that rise in noise need sigma > 0 and alpha > 0"); }
            if (i > 0 && !(now < before)) {
                refuse(i, "half_log_snr must decrease from level to level, as it does in the first step");
            }
        } else if (i > 0 && !(now > before)) {
            refuse(i, "half_log_snr must increase from level to level");
        }
        before = now;
    }
}

namespace grid {

/// Where a grid ends; the same words in every grid.
enum class final_level {
    zero,       ///< the exact clean level, sigma = 0, follows the last level a network sees
    sigma_min,  ///< the grid ends with noise left: at the last noise level of its range
};

/// The number of steps no grid goes beyond: a typing error should not fill the memory.
inline constexpr int max_steps = 1000000;

/// Where sampling starts when it starts in the middle: the levels of `levels` less noisy than `start`, after
/// `start`.
///
/// Used for image-to-image and for resuming: noise the data to `start`, then sample from there. A level that
/// equals `start` up to rounding (1e-9 in half_log_snr) is replaced by it, so no step is vanishingly short.
/// - `levels`  a valid sequence, noisy to clean.
/// - `start`   a level of the same schedule; sigma > 0; not noisier than the first level, noisier than the
///             last.
/// - errors    tier 1: `start` outside the levels, NaN, or levels that are no valid sequence.
/// - choose    this to keep the nodes of a grid; to spend all steps below the start, give a grid its
///             `.sigma_max` instead.
[[nodiscard]] inline std::vector<level> from(std::span<const level> levels, const level& start) {
    require_levels(levels, "grid::from");
    const double begin = start.half_log_snr();
    const double rounding = std::isinf(begin) ? 0.0 : 1e-9 * (1.0 + std::abs(begin));
    if (!(begin >= levels.front().half_log_snr() - rounding)) {
        throw std::invalid_argument("grid::from: start must not be noisier than the first level");
    }
    if (!(begin + rounding < levels.back().half_log_snr())) {
        throw std::invalid_argument("grid::from: start must be noisier than the last level");
    }
    std::vector<level> out;
    out.reserve(levels.size());
    out.push_back(start);
    for (const level& l : levels) {
        if (l.half_log_snr() > begin + rounding) { out.push_back(l); }
    }
    require_levels(out, "grid::from");
    return out;
}

/// The same, the start given as a noise-to-signal ratio `sigma / alpha` of the schedule the levels came from;
/// > 0.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> from(const Schedule& schedule, std::span<const level> levels,
                                      double sigma_max) {
    if (!(sigma_max > 0.0)) { throw std::invalid_argument("grid::from: sigma_max must be positive"); }
    return from(levels, at_half_log_snr(schedule, -std::log(sigma_max)));
}

}  // namespace grid

namespace detail {

// The range of a grid in half-log-SNR, its two ends as exact levels.
struct grid_range {
    level noisy;
    level clean;
    double noisy_half_log_snr = 0.0;  // finite: stands in for a pure-noise end
    double clean_half_log_snr = 0.0;
};

inline void require_steps(int steps, const char* who) {
    if (steps < 1 || steps > grid::max_steps) {
        throw std::invalid_argument(std::string(who) + ": steps must lie in [1, " +
                                    std::to_string(grid::max_steps) + "]");
    }
}

inline void require_final_level(grid::final_level last, const char* who) {
    if (last != grid::final_level::zero && last != grid::final_level::sigma_min) {
        throw std::invalid_argument(std::string(who) +
                                    ": last must be final_level::zero or final_level::sigma_min");
    }
}

// The noisy end of a grid: the schedule's own or the one asked for.
template <noise_schedule Schedule>
[[nodiscard]] level noisy_end(const Schedule& schedule, const std::optional<double>& sigma_max,
                              const char* who) {
    if (!sigma_max) { return at(schedule, schedule.range().noisy); }
    if (!(*sigma_max > 0.0)) {
        throw std::invalid_argument(std::string(who) + ": sigma_max must be positive");
    }
    return at_half_log_snr(schedule, -std::log(*sigma_max));
}

// The last noise level of a grid: the schedule's own or the one asked for.
template <noise_schedule Schedule>
[[nodiscard]] level clean_end(const Schedule& schedule, const std::optional<double>& sigma_min,
                              const char* who) {
    if (!sigma_min) { return at(schedule, schedule.range().clean); }
    if (!(*sigma_min > 0.0)) {
        throw std::invalid_argument(std::string(who) + ": sigma_min must be positive");
    }
    return at_half_log_snr(schedule, -std::log(*sigma_min));
}

// Both ends of a grid that is laid out in half-log-SNR.
template <noise_schedule Schedule>
[[nodiscard]] grid_range range_of(const Schedule& schedule, const std::optional<double>& sigma_max,
                                  const std::optional<double>& sigma_min, double pure_noise_as,
                                  const char* who) {
    grid_range out;
    out.noisy = noisy_end(schedule, sigma_max, who);
    out.clean = clean_end(schedule, sigma_min, who);
    out.noisy_half_log_snr = out.noisy.half_log_snr();
    out.clean_half_log_snr = out.clean.half_log_snr();
    if (out.noisy.alpha == 0.0) {
        if (!(pure_noise_as > 0.0 && std::isfinite(pure_noise_as))) {
            throw std::invalid_argument(std::string(who) + ": pure_noise_as must be positive and finite");
        }
        out.noisy_half_log_snr = -std::log(pure_noise_as);
    }
    if (!(out.noisy_half_log_snr < out.clean_half_log_snr)) {
        throw std::invalid_argument(std::string(who) + ": the range needs sigma_max > sigma_min");
    }
    return out;
}

// `steps` + 1 levels between two ends. `place(fraction)` is the half-log-SNR at a fraction of the way from
// noisy to clean. Both ends of the range are used as they are; final_level::zero keeps the last step for the
// way to the clean level.
template <noise_schedule Schedule, class Place>
[[nodiscard]] std::vector<level> lay_out(const Schedule& schedule, int steps, const grid_range& range,
                                         grid::final_level last, const Place& place, const char* who) {
    const auto nodes = static_cast<std::size_t>(steps) + (last == grid::final_level::sigma_min ? 1U : 0U);
    std::vector<level> out;
    out.reserve(static_cast<std::size_t>(steps) + 1);
    for (std::size_t i = 0; i < nodes; ++i) {
        if (i == 0) {
            out.push_back(range.noisy);
        } else if (i + 1 == nodes) {
            out.push_back(range.clean);
        } else {
            const double fraction = static_cast<double>(i) / static_cast<double>(nodes - 1);
            out.push_back(at_half_log_snr(schedule, place(fraction)));
        }
    }
    if (last == grid::final_level::zero) {
        out.push_back(at_half_log_snr(schedule, std::numeric_limits<double>::infinity()));
    }
    require_levels(out, who);
    return out;
}

// What the grids laid out in half-log-SNR share: their options `sigma_max`, `sigma_min`, `last` and
// `pure_noise_as`. `place_of(noisy, clean)` makes the place of `lay_out` from the two ends, both finite.
template <noise_schedule Schedule, class Options, class PlaceOf>
[[nodiscard]] std::vector<level> lay_out_between(const Schedule& schedule, int steps, const Options& options,
                                                 const PlaceOf& place_of, const char* who) {
    require_steps(steps, who);
    require_final_level(options.last, who);
    const grid_range range =
        range_of(schedule, options.sigma_max, options.sigma_min, options.pure_noise_as, who);
    return lay_out(schedule, steps, range, options.last,
                   place_of(range.noisy_half_log_snr, range.clean_half_log_snr), who);
}

// What the grids laid out in the schedule's time share: their options `sigma_max`, `sigma_min` and `last`,
// and where they end, which `grid::uniform` documents. `time(noisy, end, done, all)` is the time after `done`
// of `all` intervals between the times of the two ends.
template <noise_schedule Schedule, class Options, class Time>
[[nodiscard]] std::vector<level> lay_out_in_time(const Schedule& schedule, int steps, const Options& options,
                                                 const Time& time, const char* who) {
    require_steps(steps, who);
    require_final_level(options.last, who);
    const level noisy = noisy_end(schedule, options.sigma_max, who);
    const level zero = at_half_log_snr(schedule, std::numeric_limits<double>::infinity());
    const bool to_zero =
        options.last == grid::final_level::zero && !options.sigma_min && std::isfinite(zero.t);
    const level end = to_zero ? zero : clean_end(schedule, options.sigma_min, who);
    if (!(noisy.half_log_snr() < end.half_log_snr())) {
        throw std::invalid_argument(std::string(who) + ": the range needs sigma_max > sigma_min");
    }
    const bool append_zero = options.last == grid::final_level::zero && !to_zero;
    const auto nodes = static_cast<std::size_t>(steps) + (append_zero ? 0U : 1U);
    std::vector<level> out;
    out.reserve(static_cast<std::size_t>(steps) + 1);
    for (std::size_t i = 0; i < nodes; ++i) {
        if (i == 0) {
            out.push_back(noisy);
        } else if (i + 1 == nodes) {
            out.push_back(end);
        } else {
            out.push_back(
                at(schedule, time(noisy.t, end.t, static_cast<double>(i), static_cast<double>(nodes - 1))));
        }
    }
    if (append_zero) { out.push_back(zero); }
    require_levels(out, who);
    return out;
}

}  // namespace detail
}  // namespace tweedie
