// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

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

/// How far below its target an ancestral step goes before it adds noise.
enum class downstep {
    posterior,  ///< so that eta = 1 adds the noise of the forward process' posterior (`ancestral`)
    flow,  ///< linear in the noise level of a straight path, as flow models are sampled in popular software
};

/// The ancestral step of a straight path, for any schedule.
///
///     tau_down = tau_t (1 + eta (tau_t / tau_s - 1)),    tau = sigma / (alpha + sigma)
///
/// tau is the noise level of `schedule::flow` with the same signal-to-noise ratio: on flow, sigma itself. eta
/// = 0 adds no noise. Unlike the posterior's, a step from pure noise keeps some of x. Source: the LTX-Video
/// and ComfyUI samplers for rectified flow; no paper known.
/// - `eta`  0 to 1.
[[nodiscard]] inline renoised_step ancestral_flow(const level& s, const level& t, double eta) {
    const double tau_s = s.sigma / (s.alpha + s.sigma);
    const double tau_t = t.sigma / (t.alpha + t.sigma);
    const double down = tau_t * (1.0 + eta * (tau_t / tau_s - 1.0));
    level clean = t;
    clean.sigma = eta == 0.0 ? t.sigma : std::min(t.sigma, t.alpha * down / (1.0 - down));
    return {clean, std::sqrt((t.sigma - clean.sigma) * (t.sigma + clean.sigma))};
}

/// Either of the two.
[[nodiscard]] inline renoised_step ancestral_step(const level& s, const level& t, double eta,
                                                  downstep variant) {
    if (t.sigma == 0.0) { return {t, 0.0}; }
    return variant == downstep::posterior ? ancestral(s, t, eta) : ancestral_flow(s, t, eta);
}

/// Throws unless the options of an ancestral method can be used; `who` is the solver.
inline void require_ancestral(double eta, double s_noise, downstep variant, const std::string& who) {
    if (variant != downstep::posterior && variant != downstep::flow) {
        throw std::invalid_argument(who + ": variant must be downstep::posterior or downstep::flow");
    }
    if (variant == downstep::flow && !(eta >= 0.0 && eta <= 1.0)) {
        throw std::invalid_argument(who + ": eta must lie in [0, 1] with downstep::flow");
    }
    if (!(eta >= 0.0)) { throw std::invalid_argument(who + ": eta must be >= 0"); }
    if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
        throw std::invalid_argument(who + ": s_noise must be finite and not negative");
    }
}

/// The options in words, for the name of a plan.
[[nodiscard]] inline std::string describe_ancestral(double eta, double s_noise, downstep variant) {
    std::string text = "eta=" + detail::shortest(eta);
    if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
    if (variant == downstep::flow) { text += ", flow"; }
    return text;
}

}  // namespace tweedie::solver
