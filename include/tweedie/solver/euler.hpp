// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/churn.hpp>

#include <span>
#include <string>

namespace tweedie::solver {

/// Euler's method for the probability-flow ODE in the schedule's own time, with optional churn.
///
///     x_t = x_s + (t - s) u(x_s, s),    u = alpha'(s) x0_hat + sigma'(s) eps_hat
///
/// Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1 without the correction; on a flow schedule it is
/// the sampler of rectified flow (Liu et al. 2022, arXiv:2209.03003). On the EDM and flow
/// schedules it equals `ddim`; on curved ones it does not. A step to sigma = 0 returns x0_hat scaled by
/// alpha: the exact limit, and what Euler gives where sigma is linear in time. With churn s is the level
/// raised by it; without, levels that rise in noise invert a sample to its noise.
/// - order   1 in the schedule's time; weak order 1 with churn.
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - random  none without churn, one draw per churned step with it.
/// - errors  `std::invalid_argument`: levels that are not strictly denoising, nor (without churn) strictly
///           rising in noise; a schedule whose rates are infinite at a level; churn out of range.
/// - choose  for straight flows; otherwise `ddim` has the same cost and a smaller error.
struct euler {
    solver::churn churn = {};  ///< noise added before each step; none by default

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_churn(churn, "euler");
        require_levels(levels, "euler", churn.s_churn == 0.0 ? walk::either : walk::denoising);
        const std::string options = describe(churn);
        plan_writer p(options.empty() ? "euler" : "euler(" + options + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [from, t] = p.step(i);
            const level s = apply_churn(p, x, from, churn, schedule);
            if (t.sigma == 0.0) {
                x = t.alpha * p.data_prediction(x, s);
                continue;
            }
            const linear_form u = p.velocity(x, s, schedule);
            x = x + (t.t - s.t) * u;
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
