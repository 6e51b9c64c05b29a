// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cmath>
#include <cstddef>
#include <span>

namespace tweedie::solver {

/// DPM-Solver++(2S) ancestral: a single-step second-order step to a level below the target, then fresh noise
/// up to it.
///
///     x_m = (sigma_m / sigma_s) x_s - alpha_m (e^(-h/2) - 1) x0_hat(x_s, s),    h = lambda_down - lambda_s
///     x_t = (sigma_down / sigma_s) x_s - alpha_t (e^(-h) - 1) x0_hat(x_m, m) + s_noise sigma_up z
///
/// m lies half-way in half-log-SNR. Source: k-diffusion's `sample_dpmpp_2s_ancestral`, after Lu et al. 2022,
/// arXiv:2211.01095, algorithm 1 with r = 1/2; there on VE, here on any schedule. A step whose lower level is
/// clean (eta = 1 from pure noise, or to sigma = 0) and a step from alpha = 0 are first-order, `ddim`.
/// - order   2 in half-log-SNR with eta = 0; weak order 2 with any finite eta, because the noise is exact
///           (none with s_noise != 1, which changes the law).
/// - cost    2 network calls per step, 1 where first-order; 2 live tensors.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta negative or NaN, above 1 with `downstep::flow`; s_noise negative or
///           not finite; levels that are not strictly denoising.
/// - choose  for stochastic sampling with guidance where two calls per step are affordable.
struct dpmpp_2s_ancestral {
    double eta = 1.0;                        ///< share of the noise; >= 0
    double s_noise = 1.0;                    ///< factor on the noise; >= 0
    downstep variant = downstep::posterior;  ///< how far below the target the step goes

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_ancestral(eta, s_noise, variant, "dpmpp_2s_ancestral");
        require_levels(levels, "dpmpp_2s_ancestral");
        plan_writer p("dpmpp_2s_ancestral(" + describe_ancestral(eta, s_noise, variant) + ")", levels);
        plan_variable x = p.state();
        plan_variable start = p.variable("x_s");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const auto [clean, noise] = ancestral_step(s, t, eta, variant);
            if (clean.sigma == 0.0 || s.alpha == 0.0) {
                const linear_form x0 = p.data_prediction(x, s);
                x = data_step(x, s, clean, x0);
            } else {
                const double h = log_snr_step(s, clean);
                const level m = at_half_log_snr(schedule, s.half_log_snr() + h / 2.0);
                start = x;
                const linear_form x0 = p.data_prediction(x, s);
                x = (m.sigma / s.sigma) * start - m.alpha * std::expm1(-h / 2.0) * x0;
                const linear_form x0_m = p.data_prediction(x, m);
                x = (clean.sigma / s.sigma) * start - t.alpha * std::expm1(-h) * x0_m;
            }
            if (noise * s_noise > 0.0) { x = x + (noise * s_noise) * p.noise(); }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
