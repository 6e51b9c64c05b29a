// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <span>

namespace tweedie::solver {

/// Heun's method (explicit trapezoid) for the probability-flow ODE in the schedule's own time.
///
///     u   = u(x_s, s)
///     x'  = x_s + (t - s) u
///     x_t = x_s + (t - s) (u + u(x', t)) / 2        (alpha_t x0_hat(x_s) when sigma_t = 0)
///
/// Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1. Deviation: none on the EDM schedule; on others
/// their equation 1 in the schedule's time.
/// - order   2 in the schedule's time; 1 on a step to sigma = 0.
/// - cost    2 network calls per step, 1 on a step to sigma = 0; 2 live tensors (`half` accumulates `x_s + (t
///           - s) u / 2`).
/// - errors  `std::invalid_argument`: levels that are not strictly denoising; a schedule whose rates are
///           infinite at a level.
/// - choose  at 20 to 50 network calls on EDM levels; below that multistep methods are far better for the
///           same cost.
struct heun {
    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "heun");
        plan_writer p("heun", levels);
        plan_variable x = p.state();
        plan_variable half = p.variable("half");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (t.sigma == 0.0) {
                x = t.alpha * p.data_prediction(x, s);
                continue;
            }
            const double dt = t.t - s.t;
            const linear_form u = p.velocity(x, s, schedule);
            half = x + (dt / 2) * u;
            x = x + dt * u;
            const linear_form u_next = p.velocity(x, t, schedule);
            x = half + (dt / 2) * u_next;
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
