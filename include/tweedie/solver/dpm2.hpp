// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/churn.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cstddef>
#include <span>
#include <string>

namespace tweedie::solver {

/// DPM2 (KDPM2): a step along the noise prediction half way in half-log-SNR.
///
///     lambda_m = (lambda_s + lambda_t) / 2            kappa_m = sqrt(kappa_s kappa_t)
///     x_m = alpha_m (x_s / alpha_s + (kappa_m - kappa_s) eps_hat(x_s, s))
///     x_t = alpha_t (x_s / alpha_s + (kappa_t - kappa_s) eps_hat(x_m, m))
///
/// Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2 with the midpoint of Crowson's k-diffusion
/// (`sample_dpm_2`, on VE); the deterministic method is DPM-Solver-2 of Lu et al. 2022, arXiv:2206.00927,
/// with r_1 = 1/2. `churn` adds noise before each step, as in their algorithm. A step to sigma = 0 and one
/// from pure noise are DDIM's.
/// - order   2; 1 on a step to sigma = 0.
/// - cost    2 network calls per step, 1 on a step to sigma = 0 or from pure noise; 2 live tensors.
/// - random  one draw per churned step.
/// - errors  `std::invalid_argument`: levels that are not strictly denoising, nor (without churn) strictly
///           rising in noise; options of churn out of range.
/// - choose  with churn at 30 calls and more; without it multistep methods are better for the same cost.
struct dpm2 {
    solver::churn churn = {};  ///< noise added before each step; none by default

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_churn(churn, "dpm2");
        require_levels(levels, "dpm2", churn.s_churn == 0.0 ? walk::either : walk::denoising);
        const std::string words = describe(churn);
        plan_writer p(words.empty() ? "dpm2" : "dpm2(" + words + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const plan_step step = p.step(i);
            const level t = step.t;
            const level s = apply_churn(p, x, step.s, churn, schedule);
            const linear_form x0 = p.data_prediction(x, s);
            if (s.alpha == 0.0 || t.sigma == 0.0) {
                x = data_step(x, s, t, x0);
                continue;
            }
            const level m = at_half_log_snr(schedule, s.half_log_snr() + log_snr_step(s, t) / 2);
            const linear_form eps = (static_cast<linear_form>(x) - s.alpha * x0) / s.sigma;
            const linear_form eps_mid = p.noise_prediction(noise_step(x, s, m, eps), m);
            x = noise_step(x, s, t, eps_mid);
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
