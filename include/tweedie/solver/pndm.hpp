// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tweedie::solver {

/// PNDM (F-PNDM): pseudo linear multistep steps (PLMS) after a pseudo Runge-Kutta start (PRK).
///
///     phi(x, e, s, t) = alpha_t (x - sigma_s e) / alpha_s + sigma_t e                   DDIM's transfer
///
///     PLMS    e_0 = eps_hat(x_s, s),    x_t = phi(x_s, (55 e_0 - 59 e_1 + 37 e_2 - 9 e_3) / 24, s, t)
///     PRK     m half way in time,       x_1 = phi(x_s, e_0, s, m),    e' = eps_hat(x_1, m)
///                                       x_2 = phi(x_s, e', s, m),     e'' = eps_hat(x_2, m)
///                                       x_3 = phi(x_s, e'', s, t),    e''' = eps_hat(x_3, t)
///             x_t = phi(x_s, (e_0 + 2 e' + 2 e'' + e''') / 6, s, t)
///
/// Source: Liu et al. 2022, arXiv:2202.09778, algorithm 2. With `skip_prk` the start
/// is Crowson's for Stable Diffusion: one step of the improved Euler method, then lower orders, (3, -1) / 2
/// and (23, -16, 5) / 12. Deviations: the target is the next level, whatever the grid. From pure noise the
/// first step is DDIM's limit, and the start follows it; a start that meets sigma = 0 takes the lower
/// orders instead.
/// It is always epsilon that is extrapolated: popular software extrapolates v where a network returns v, and
/// is then of first order.
/// - order   2 on any smooth grid, as the paper proves: the weights are those of equal steps.
/// - cost    1 network call per step, 4 in each of the first 3 steps (PRK) or 2 in the first one
///           (`skip_prk`); 4 live tensors, 6 during PRK.
/// - errors  `std::invalid_argument`: levels that are neither strictly denoising nor strictly rising in
///           noise (inversion).
/// - choose  to reproduce older pictures; `ipndm` is the same without the costly start, `unipc` is better.
struct pndm {
    bool skip_prk = false;  ///< start by improved Euler and lower orders instead of Runge-Kutta

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "pndm", walk::either);
        plan_writer p(skip_prk ? "pndm(plms)" : "pndm(prk, plms)", levels);
        plan_variable x = p.state();
        plan_history e = p.remember("eps_hat", 4);
        plan_variable sum = p.variable("sum");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form x0 = p.data_prediction(x, s);
            if (s.alpha == 0.0) {
                x = data_step(x, s, t, x0);
                continue;
            }
            e.push((static_cast<linear_form>(x) - s.alpha * x0) / s.sigma);
            const std::size_t known = e.size();
            if (t.sigma > 0.0 && skip_prk && known == 1) {
                sum = e[0];
                sum = (static_cast<linear_form>(sum) + p.noise_prediction(noise_step(x, s, t, e[0]), t)) / 2;
                x = noise_step(x, s, t, sum);
            } else if (t.sigma > 0.0 && !skip_prk && known < 4) {
                const level m = at(schedule, s.t + (t.t - s.t) / 2);
                sum = e[0];
                const linear_form e1 = p.noise_prediction(noise_step(x, s, m, e[0]), m);
                sum = static_cast<linear_form>(sum) + 2 * e1;
                const linear_form e2 = p.noise_prediction(noise_step(x, s, m, e1), m);
                sum = static_cast<linear_form>(sum) + 2 * e2;
                const linear_form e3 = p.noise_prediction(noise_step(x, s, t, e2), t);
                x = noise_step(x, s, t, (static_cast<linear_form>(sum) + e3) / 6);
            } else {
                const std::vector<double> weights = equal_step_adams(known);
                linear_form mean;
                for (std::size_t j = 0; j < known; ++j) { mean += weights[j] * e[j]; }
                x = noise_step(x, s, t, mean);
            }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
