// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>

namespace tweedie::solver {

/// A step from s to t taken in two: without noise to a cleaner level, then fresh noise back up to t.
///
/// - `clean`  the level reached without noise: alpha_t and a smaller sigma. Its time is that of t; it lies on
///            the schedule only up to scale, so ask the schedule for a level of its half_log_snr where a
///            network is to be evaluated there.
/// - `noise`  standard deviation of the noise added to arrive at t: `clean.sigma^2 + noise^2 = t.sigma^2`.
struct renoised_step {
    level clean;
    double noise = 0.0;
};

/// The ancestral step: as much noise as the exact posterior of the forward process has, times eta.
///
///     noise = min(sigma_t, eta sigma_t sqrt(1 - (kappa_t / kappa_s)^2)),    kappa = sigma / alpha
///
/// eta = 0 adds none, eta = 1 is DDPM's posterior. Source: k-diffusion's `get_ancestral_step` (`sigma_up`,
/// `sigma_down`), for any schedule: on VE it is theirs, on VP and flow the same in x / alpha.
/// - `eta`  >= 0; above 1 the noise is capped at sigma_t.
[[nodiscard]] inline renoised_step ancestral(const level& s, const level& t, double eta) {
    // at most 1, also where two levels differ by a rounding
    const double ratio =
        t.sigma == 0.0 || s.alpha == 0.0 ? 0.0 : std::min(1.0, t.sigma / t.alpha * (s.alpha / s.sigma));
    const double noise = std::min(t.sigma, eta * t.sigma * std::sqrt((1.0 - ratio) * (1.0 + ratio)));
    level clean = t;
    clean.sigma = std::sqrt((t.sigma - noise) * (t.sigma + noise));
    return {clean, noise};
}

}  // namespace tweedie::solver
