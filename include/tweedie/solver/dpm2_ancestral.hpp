// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cstddef>
#include <span>

namespace tweedie::solver {

/// DPM2 ancestral (KDPM2 ancestral): a midpoint step in kappa = sigma / alpha to a level below the target,
/// then fresh noise up to it.
///
///     y_m = y_s + (kappa_m - kappa_s) eps_hat(y_s, s),  y = x / alpha,  kappa_m = sqrt(kappa_s kappa_down)
///     y_t = y_s + (kappa_down - kappa_s) eps_hat(y_m, m) + s_noise kappa_up z
///
/// Source: k-diffusion's `sample_dpm_2_ancestral`, after Karras et al. 2022, arXiv:2206.00364, and Lu et al.
/// 2022, arXiv:2206.00927; there on VE, here on any schedule. A step whose lower level is clean (eta = 1 from
/// pure noise, or to sigma = 0) and a step from alpha = 0 are first-order, `ddim`.
/// - order   2 in sigma / alpha with eta = 0; weak order 2 with any finite eta, because the noise is exact
///           (none with s_noise != 1, which changes the law).
/// - cost    2 network calls per step, 1 where first-order; 2 live tensors.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta negative or NaN, above 1 with `downstep::flow`; s_noise negative or
///           not finite; levels that are not strictly denoising.
/// - choose  `dpmpp_2s_ancestral` instead with guidance: it steps in x0_hat and is steadier.
struct dpm2_ancestral {
    double eta = 1.0;                        ///< share of the noise; >= 0
    double s_noise = 1.0;                    ///< factor on the noise; >= 0
    downstep variant = downstep::posterior;  ///< how far below the target the step goes

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_ancestral(eta, s_noise, variant, "dpm2_ancestral");
        require_levels(levels, "dpm2_ancestral");
        plan_writer p("dpm2_ancestral(" + describe_ancestral(eta, s_noise, variant) + ")", levels);
        plan_variable x = p.state();
        plan_variable start = p.variable("x_s");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const auto [clean, noise] = ancestral_step(s, t, eta, variant);
            if (clean.sigma == 0.0 || s.alpha == 0.0) {
                const linear_form x0 = p.data_prediction(x, s);
                x = data_step(x, s, clean, x0);
            } else {
                const level m = at_half_log_snr(schedule, (s.half_log_snr() + clean.half_log_snr()) / 2.0);
                start = x;
                const linear_form eps = p.noise_prediction(x, s);
                x = noise_step(start, s, m, eps);
                const linear_form eps_m = p.noise_prediction(x, m);
                x = noise_step(start, s, clean, eps_m);
            }
            if (noise * s_noise > 0.0) { x = x + (noise * s_noise) * p.noise(); }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
