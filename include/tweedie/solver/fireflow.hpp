// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/midpoint.hpp>

#include <cstddef>
#include <span>

namespace tweedie::solver {

/// FireFlow: the midpoint rule with the velocity of the step before in place of the first one.
///
///     x'  = x_s + (t - s) / 2 v,    v = u(x_0, s_0) at first
///     v   = u(x', (s + t) / 2)
///     x_t = x_s + (t - s) v
///
/// Source: Deng et al. 2024, arXiv:2412.07517. The reused velocity is half a step old in each direction, an
/// error of first order that the midpoint rule multiplies by h^2. Levels that rise in noise invert a sample
/// to its noise. Deviation: as in `midpoint`, a step to sigma = 0 on a schedule where sigma is not smooth
/// in time returns alpha_t x0_hat(x_s).
/// - order   2 in the schedule's time, with a larger error than `midpoint` at equal steps and a smaller one
///           at equal calls.
/// - cost    1 network call per step, 1 more in the first; 2 live tensors.
/// - errors  `std::invalid_argument`: levels that are neither strictly denoising nor strictly rising in
///           noise; a schedule whose rates are infinite at a level.
/// - choose  on flow schedules where the network is the same from step to step: a prompt or a guidance that
///           changes makes the old velocity a wrong one.
struct fireflow {
    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "fireflow", walk::either);
        plan_writer p("fireflow", levels);
        plan_variable x = p.state();
        plan_variable v = p.variable("v");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (!smooth_end(schedule, t)) {
                x = t.alpha * p.data_prediction(x, s);
                continue;
            }
            const double dt = t.t - s.t;
            if (i == 0) { v = p.velocity(x, s, schedule); }
            const linear_form half_way = static_cast<linear_form>(x) + (dt / 2) * static_cast<linear_form>(v);
            const linear_form u_mid = p.velocity(half_way, at(schedule, s.t + dt / 2), schedule);
            v = u_mid;
            x = x + dt * u_mid;
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
