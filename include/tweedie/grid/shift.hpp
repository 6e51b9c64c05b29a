// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

// Maps from levels to levels, applied after any grid, in any order:
//
//     const auto levels = grid::stretch_terminal(flow, grid::shift(flow, grid::uniform(flow, 20), 3.0), 0.1);
//
// A map is applied exactly once, by the one who calls it: neither a schedule nor a grid shifts by itself.

namespace tweedie::grid {

/// The levels of a grid, carried over to another schedule at equal half-log-SNR.
///
/// Thus any grid can be laid out in the time of one schedule and walked on another:
/// `onto(edm, uniform(vp_linear{}, n))` are the VP sigmas of k-diffusion.
/// - `levels`  noisy to clean; the clean level and pure noise become those of `schedule`.
/// - errors    tier 1: levels that `schedule` does not have, or that are no valid sequence.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> onto(const Schedule& schedule, std::span<const level> levels) {
    require_levels(levels, "grid::onto");
    std::vector<level> out;
    out.reserve(levels.size());
    for (const level& l : levels) { out.push_back(at_half_log_snr(schedule, l.half_log_snr())); }
    require_levels(out, "grid::onto");
    return out;
}

/// Adds `change` to the half-log-SNR of every level: below 0 all levels become noisier.
///
///     lambda' = lambda + change
///
/// The clean level and pure noise are fixed points; both are kept to the bit.
/// - `levels`  levels of `schedule`, noisy to clean.
/// - errors    tier 1: change infinite or NaN; a level moved beyond the noisiest one of `schedule` (which
///             `flow` and `trig` do not have: there every change is possible). On such a schedule give the
///             grid a `.sigma_max` that leaves room.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> shift_half_log_snr(const Schedule& schedule, std::span<const level> levels,
                                                    double change) {
    require_levels(levels, "grid::shift_half_log_snr");
    if (!std::isfinite(change)) {
        throw std::invalid_argument("grid::shift_half_log_snr: change must be finite");
    }
    std::vector<level> out;
    out.reserve(levels.size());
    for (const level& l : levels) {
        const double lambda = l.half_log_snr();
        const bool fixed = std::isinf(lambda) || change == 0.0;
        out.push_back(fixed ? l : at_half_log_snr(schedule, lambda + change));
    }
    require_levels(out, "grid::shift_half_log_snr");
    return out;
}

/// The time shift of flow models: more steps at the noisy end for larger pictures.
///
///     t' = shift t / (1 + (shift - 1) t)        on flow, t = sigma
///
/// It multiplies sigma / alpha by `shift`, so it is `shift_half_log_snr` by -ln(shift) and means the same on
/// every schedule. Shifts compose: by a and then by b is by a b.
/// Source: Esser et al. 2024 (Stable Diffusion 3), arXiv:2403.03206, section on resolution-dependent
/// shifting. Deviation: none. The flow classes of diffusers (FlowMatchEuler, FlowMatchHeun) shift twice when
/// asked for `shift` != 1: their range ends at a sigma_min that is shifted already, and the grid over it is
/// shifted again, so that at shift 3 the last noise level is 0.0089 instead of 0.0030. To reproduce them,
/// give the grid that range, `.sigma_min = shift * s` with s the sigma / alpha of the first training level (1
/// / 999), and shift.
///
/// - `levels`  levels of `schedule`, noisy to clean; pure noise and the clean level stay as they are.
/// - `shift`   > 0, finite; 1 changes nothing. For dynamic shifting use `shift_of(mu)`.
/// - errors    tier 1: shift out of range, NaN; a level beyond the noisiest one of the schedule.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> shift(const Schedule& schedule, std::span<const level> levels,
                                       double shift) {
    if (!(shift > 0.0 && std::isfinite(shift))) {
        throw std::invalid_argument("grid::shift: shift must be positive and finite");
    }
    return shift_half_log_snr(schedule, levels, -std::log(shift));
}

/// How the parameter mu of dynamic shifting becomes a shift.
enum class mu_is {
    log_shift,  ///< shift = exp(mu): "exponential" of diffusers (Flux)
    shift,      ///< shift = mu: "linear" of diffusers
};

/// The shift that belongs to the parameter mu of dynamic shifting.
///
/// - `mu`      finite; positive where it is the shift itself.
/// - errors    tier 1: mu out of range, NaN.
[[nodiscard]] inline double shift_of(double mu, mu_is meaning = mu_is::log_shift) {
    const double out = meaning == mu_is::log_shift ? std::exp(mu) : mu;
    if (!(out > 0.0 && std::isfinite(out))) {
        throw std::invalid_argument("grid::shift_of: mu must give a positive and finite shift");
    }
    return out;
}

/// Options of `mu_of_tokens`; the defaults are those of Flux in diffusers.
struct mu_of_tokens_options {
    double base_tokens = 256.0;  ///< sequence length whose mu is base_mu; > 0
    double max_tokens = 4096.0;  ///< sequence length whose mu is max_mu; > base_tokens, finite
    double base_mu = 0.5;        ///< finite
    double max_mu = 1.15;        ///< finite
};

/// The parameter mu of dynamic shifting for a picture of so many tokens: linear in their number, beyond both
/// ends too (`calculate_shift` of diffusers).
///
///     mu = base_mu + (tokens - base_tokens) (max_mu - base_mu) / (max_tokens - base_tokens)
///
/// - `tokens`  length of the network's picture sequence; > 0, finite.
/// - errors    tier 1: tokens or options out of range; NaN each time.
[[nodiscard]] inline double mu_of_tokens(double tokens, const mu_of_tokens_options& options = {}) {
    if (!(tokens > 0.0 && std::isfinite(tokens))) {
        throw std::invalid_argument("grid::mu_of_tokens: tokens must be positive and finite");
    }
    if (!(options.base_tokens > 0.0 && options.max_tokens > options.base_tokens &&
          std::isfinite(options.max_tokens) && std::isfinite(options.base_mu) &&
          std::isfinite(options.max_mu))) {
        throw std::invalid_argument(
            "grid::mu_of_tokens: need 0 < base_tokens < max_tokens < infinity and finite base_mu, max_mu");
    }
    const double slope = (options.max_mu - options.base_mu) / (options.max_tokens - options.base_tokens);
    return options.base_mu + (tokens - options.base_tokens) * slope;
}

/// Stretches the levels so that the last one with noise left has a given share of noise.
///
///     f' = f (1 - terminal) / f_last,    f = alpha / (alpha + sigma)
///
/// On flow f = 1 - t: all times are stretched away from t = 1 until the last one before the clean level is
/// `terminal`. On other schedules f is that of the flow level of equal half-log-SNR. Pure noise and the clean
/// level stay as they are.
/// Source: LTX-Video, `shift_terminal` of diffusers. Deviation: where the last noise level is pure noise
/// itself (one step from it) there is nothing to stretch and the levels come back; the peer divides 0 by 0.
///
/// - `levels`    levels of `schedule`, noisy to clean.
/// - `terminal`  sigma / (alpha + sigma) of the last noise level, the time of flow; in (0, 1); 0.1 for
///               LTX-Video.
/// - errors      tier 1: terminal out of range, NaN; a level beyond the noisiest one of the schedule.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> stretch_terminal(const Schedule& schedule, std::span<const level> levels,
                                                  double terminal) {
    require_levels(levels, "grid::stretch_terminal");
    if (!(terminal > 0.0 && terminal < 1.0)) {
        throw std::invalid_argument("grid::stretch_terminal: terminal must lie in (0, 1)");
    }
    const std::size_t noisy = levels.size() - (levels.back().sigma == 0.0 ? 1U : 0U);
    const level& last = levels[noisy - 1];
    std::vector<level> out(levels.begin(), levels.end());
    if (last.alpha == 0.0) { return out; }
    const double last_signal = last.alpha / (last.alpha + last.sigma);
    const double last_noise = last.sigma / (last.alpha + last.sigma);
    for (std::size_t i = 0; i < noisy; ++i) {
        if (out[i].alpha == 0.0) { continue; }
        const double total = out[i].alpha + out[i].sigma;
        const double share = out[i].alpha / total / last_signal;
        const double signal = (1.0 - terminal) * share;
        // 1 - signal, from terms of one sign
        const double noise = terminal + (1.0 - terminal) * (out[i].sigma / total - last_noise) / last_signal;
        out[i] = at_half_log_snr(schedule, std::log(signal / noise));
    }
    require_levels(out, "grid::stretch_terminal");
    return out;
}

}  // namespace tweedie::grid
