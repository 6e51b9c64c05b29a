// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/churn.hpp>

#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// One step of `heun` from level s to level t: `x` is the state before and after, `half` is its second
/// register.
/// - cost  2 network calls, 1 when sigma_t = 0.
inline void heun_step(plan_writer& p, plan_variable& x, plan_variable& half, const level& s, const level& t,
                      const any_schedule& schedule, double alpha = 1.0) {
    if (t.sigma == 0.0) {
        x = t.alpha * p.data_prediction(x, s);
        return;
    }
    const double dt = t.t - s.t;
    const linear_form u = p.velocity(x, s, schedule);
    half = x + dt * (1.0 - 1.0 / (2.0 * alpha)) * u;
    x = x + alpha * dt * u;
    const level inner = alpha == 1.0 ? t : at(schedule, s.t + alpha * dt);
    const linear_form u_next = p.velocity(x, inner, schedule);
    x = half + dt / (2.0 * alpha) * u_next;
}

/// Heun's method (explicit trapezoid) for the probability-flow ODE in the schedule's own time, with optional
/// churn.
///
///     u   = u(x_s, s)
///     x'  = x_s + alpha (t - s) u
///     x_t = x_s + (t - s) ((1 - 1 / (2 alpha)) u + u(x', s + alpha (t - s)) / (2 alpha))
///
/// and alpha_t x0_hat(x_s) when sigma_t = 0. alpha = 1 is Heun's method, 1/2 the midpoint, 2/3 Ralston's; s
/// is raised by the churn first. Source: Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2, alpha from
/// their appendix D (algorithm 3). Deviation: none on the EDM schedule; on others their equation 1 in the
/// schedule's time. Without churn, levels that rise in noise invert a sample to its noise.
/// - order   2 in the schedule's time, 1 on a step to sigma = 0; weak order 2 with churn, whose noise is
///           exact.
/// - cost    2 network calls per step, 1 on a step to sigma = 0; 2 live tensors (`half` accumulates `x_s + (t
///           - s) u / 2`).
/// - random  none without churn, one draw per churned step with it.
/// - errors  `std::invalid_argument`: alpha outside (0, 1]; churn out of range; levels that are not strictly
///           denoising, nor (without churn) strictly rising in noise; a schedule whose rates are infinite at
///           a level.
/// - choose  at 20 to 50 network calls on EDM levels; below that multistep methods are far better for the
///           same cost.
struct heun {
    double alpha = 1.0;        ///< where in the step the second slope is taken; in (0, 1]
    solver::churn churn = {};  ///< noise added before each step; none by default

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(alpha > 0.0 && alpha <= 1.0)) { throw std::invalid_argument("heun: alpha must lie in (0, 1]"); }
        require_churn(churn, "heun");
        require_levels(levels, "heun", churn.s_churn == 0.0 ? walk::either : walk::denoising);
        plan_writer p(describe_options(), levels);
        plan_variable x = p.state();
        plan_variable half = p.variable("half");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [from, t] = p.step(i);
            const level s = apply_churn(p, x, from, churn, schedule);
            heun_step(p, x, half, s, t, schedule, alpha);
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] std::string describe_options() const {
        const std::string noise = describe(churn);
        const std::string where = alpha == 1.0 ? "" : "alpha=" + detail::shortest(alpha);
        if (noise.empty() && where.empty()) { return "heun"; }
        return "heun(" + where + (noise.empty() || where.empty() ? "" : ", ") + noise + ")";
    }
};

}  // namespace tweedie::solver
