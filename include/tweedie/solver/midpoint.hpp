// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>

namespace tweedie::solver {

/// Whether a step in the schedule's own time can end at `t`: always at sigma > 0, at sigma = 0 where sigma
/// leaves zero at a finite rate (flow, trig, EDM). Elsewhere sigma is like the square root of time there,
/// or its time is infinite.
[[nodiscard]] inline bool smooth_end(const any_schedule& schedule, const level& t) {
    if (t.sigma > 0.0) { return true; }
    if (!std::isfinite(t.t)) { return false; }
    const double rate = schedule.sigma_rate(t.t);
    return std::isfinite(rate) && rate != 0.0;
}

/// The explicit midpoint rule for the probability-flow ODE in the schedule's own time.
///
///     m   = (s + t) / 2
///     x'  = x_s + (t - s) / 2 u(x_s, s)
///     x_t = x_s + (t - s) u(x', m)
///
/// It is RF-Solver: Wang et al. 2024, arXiv:2411.04746, writes `x_s + h u + h^2 / 2 u^(1)` with the
/// derivative by the finite difference `u^(1) = (u(x', m) - u) / (h / 2)`, and the two terms in u cancel.
/// Levels that rise in noise invert a sample to its noise. Deviation: a step to sigma = 0 is the rule
/// itself where sigma leaves zero at a finite rate in time (flow, trig, EDM); on other schedules it returns
/// alpha_t x0_hat(x_s), since the rule would leave noise behind there.
/// - order   2 in the schedule's time.
/// - cost    2 network calls per step, 1 where the step returns alpha_t x0_hat; 2 live tensors.
/// - errors  `std::invalid_argument`: levels that are neither strictly denoising nor strictly rising in
///           noise; a schedule whose rates are infinite at a level.
/// - choose  on flow schedules, to sample and to invert; `fireflow` is nearly as accurate for half the calls.
struct midpoint {
    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "midpoint", walk::either);
        plan_writer p("midpoint", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (!smooth_end(schedule, t)) {
                x = t.alpha * p.data_prediction(x, s);
                continue;
            }
            const double dt = t.t - s.t;
            const level m = at(schedule, s.t + dt / 2);
            const linear_form u = p.velocity(x, s, schedule);
            const linear_form half_way = static_cast<linear_form>(x) + (dt / 2) * u;
            const linear_form u_mid = p.velocity(half_way, m, schedule);
            x = x + dt * u_mid;
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
