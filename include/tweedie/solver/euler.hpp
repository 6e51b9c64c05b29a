// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <span>

namespace tweedie::solver {

/// Euler's method for the probability-flow ODE in the schedule's own time.
///
///     x_t = x_s + (t - s) u(x_s, s),    u = alpha'(s) x0_hat + sigma'(s) eps_hat
///
/// Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1 without the correction; on a flow schedule it is
/// the sampler of rectified flow (Liu et al. 2022, arXiv:2209.03003, section 2.2). On the EDM and flow
/// schedules it equals `ddim`; on curved ones it does not. A step to sigma = 0 returns x0_hat scaled by
/// alpha: the exact limit, and what Euler gives where sigma is linear in time.
/// - order   1 in the schedule's time.
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - errors  `std::invalid_argument`: levels that are not strictly denoising; a schedule whose rates are
///           infinite at a level.
/// - choose  for straight flows; otherwise `ddim` has the same cost and a smaller error.
struct euler {
    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "euler");
        plan_writer p("euler", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
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
