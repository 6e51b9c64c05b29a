// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// Churn: before a step, noise is added so that the step starts from a noisier level.
///
///     kappa_hat = kappa (1 + gamma),    gamma = min(s_churn / N, sqrt(2) - 1) if s_tmin <= kappa <= s_tmax
///     x_hat     = (alpha_hat / alpha) x + alpha_hat sqrt(kappa_hat^2 - kappa^2) s_noise z
///
/// kappa = sigma / alpha, N the number of steps. Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2;
/// their sigma is kappa, their s(t) is alpha. With `s_noise` = 1 the law of x_hat is exactly that of level
/// kappa_hat. Deviations: none on the EDM schedule. A level of pure noise is not churned, and no state is
/// raised beyond the noisiest level its schedule knows (t = 1 of `vp_linear` and `ve`, the last entry of a
/// table): there x is raised up to that end only.
struct churn {
    double s_churn = 0.0;  ///< noise added over the whole run, shared out among the steps; >= 0, 0 for none
    double s_tmin = 0.0;   ///< smallest kappa that is churned; >= 0
    double s_tmax = std::numeric_limits<double>::infinity();  ///< largest kappa that is churned; >= s_tmin
    double s_noise = 1.0;  ///< standard deviation of z; slightly above 1 makes up for over-smoothing networks

    friend bool operator==(const churn&, const churn&) = default;
};

/// Throws unless the four numbers can be used; `who` is the solver, first word of the message.
inline void require_churn(const churn& c, const std::string& who) {
    if (!(c.s_churn >= 0.0)) { throw std::invalid_argument(who + ": churn.s_churn must be >= 0"); }
    if (!(c.s_tmin >= 0.0)) { throw std::invalid_argument(who + ": churn.s_tmin must be >= 0"); }
    if (!(c.s_tmax >= c.s_tmin)) { throw std::invalid_argument(who + ": churn.s_tmax must be >= s_tmin"); }
    if (!(c.s_noise >= 0.0 && std::isfinite(c.s_noise))) {
        throw std::invalid_argument(who + ": churn.s_noise must be finite and not negative");
    }
}

/// The options in words, for the name of a plan; empty without churn.
[[nodiscard]] inline std::string describe(const churn& c) {
    if (c.s_churn == 0.0) { return ""; }
    std::string text = "churn=" + detail::shortest(c.s_churn);
    if (c.s_tmin > 0.0) { text += " from " + detail::shortest(c.s_tmin); }
    if (std::isfinite(c.s_tmax)) { text += " to " + detail::shortest(c.s_tmax); }
    if (c.s_noise != 1.0) { text += " s_noise=" + detail::shortest(c.s_noise); }
    return text;
}

/// The level that churn raises `s` to in a run of `steps` steps: `s` itself where it does nothing.
[[nodiscard]] inline level churned_level(const churn& c, const any_schedule& schedule, const level& s,
                                         std::size_t steps) {
    if (c.s_churn == 0.0 || s.alpha == 0.0 || s.sigma == 0.0) { return s; }
    const double kappa = s.sigma / s.alpha;
    if (!(kappa >= c.s_tmin && kappa <= c.s_tmax)) { return s; }
    const double gamma = std::min(c.s_churn / static_cast<double>(steps), std::sqrt(2.0) - 1.0);
    level raised;
    try {
        raised = at_half_log_snr(schedule, -std::log(kappa * (1.0 + gamma)));
    } catch (const std::invalid_argument&) {  // beyond the noisy end of the schedule
        raised = at(schedule, schedule.range().noisy);
    }
    const bool noisier = raised.alpha > 0.0 && raised.sigma / raised.alpha > kappa;
    return noisier ? raised : s;
}

/// Adds the noise of churn to the state `x` of a plan at level `s`; returns the level the state is at
/// afterwards.
/// - random  one draw where the level is raised and s_noise > 0.
[[nodiscard]] inline level apply_churn(plan_writer& p, plan_variable& x, const level& s, const churn& c,
                                       const any_schedule& schedule) {
    const level raised = churned_level(c, schedule, s, p.steps());
    if (raised == s) { return s; }
    const double kappa = s.sigma / s.alpha;
    const double kappa_hat = raised.sigma / raised.alpha;
    const double noise = raised.alpha * std::sqrt((kappa_hat - kappa) * (kappa_hat + kappa)) * c.s_noise;
    x = (raised.alpha / s.alpha) * x;
    if (noise > 0.0) { x = x + noise * p.noise(); }
    return raised;
}

}  // namespace tweedie::solver
