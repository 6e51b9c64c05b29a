// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/single_step.hpp>
#include <tweedie/solver/start.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// RES, the refined exponential solver: exponential Runge-Kutta and Adams methods that meet all order
/// conditions of stiff problems.
///
///     single_step, order 2    u   = step s -> s_2 with m0;               s_2 at share c2 of the step
///                             x_t = e^(-h)-part + h alpha_t [(phi_1 - phi_2/c2) m0 + phi_2/c2 m(u)]
///     single_step, order 3    u2, u3 at shares c2, c3 with weights
///                             a_32 = gamma c2 phi_2(-c2 h) + c3^2/c2 phi_2(-c3 h)
///                             a_31 = c3 phi_1(-c3 h) - a_32
///                             b_3  = phi_2 / (gamma c2 + c3),  b_2 = gamma b_3,     b_1  = phi_1 - b_2 - b_3
///                             gamma = (3 c3^2 - 2 c3) / (c2 (2 - 3 c2))
///     multistep               the polynomial through the last `order` predictions, integrated exactly
///
/// phi_k at -h where no argument is given. In terms of `exponential_step`: order 2 is the straight line
/// through m0 and m(u), integrated exactly; DPM-Solver(++) weights its difference by a shortcut instead
/// (`midpoint`), and with its `taylor` the two are one method. With c3 = 2/3 (gamma = 0) order 3 is
/// DPM-Solver-3. Source: Zhang, Huang, Chen, Zhu and Chen 2023, arXiv:2308.02157; the tableau of order 3 is
/// that of Hochbruck and Ostermann 2005, Explicit exponential Runge-Kutta methods for semilinear parabolic
/// problems, their family with parameter gamma, which makes 2 (gamma c2 + c3) = 3 (gamma c2^2 + c3^2), the
/// condition of order 3. Popular code has c3 cubed in gamma; that meets it at c3 = 1 only.
/// - order   `order` in half-log-SNR. Multistep of order 3 needs `start::single_step` to keep it from the
///           first step. A step to sigma = 0 or from alpha = 0 is of first order, and with
///           `lower_order_final` the last multistep ones are of order 2 and 1.
/// - cost    multistep: 1 network call per step; single-step: `order` calls per step, 1 on a step to sigma =
///           0 or from alpha = 0. `order` live tensors.
/// - errors  `std::invalid_argument`: order outside [2, 3]; c2 or c3 outside (0, 1]; for order 3 c2 = c3 or
///           c2 = 2/3; levels that are neither strictly denoising nor strictly rising in noise (inversion).
/// - choose  single-step where a step must not look back; otherwise `dpm_solver` and `unipc` do as well.
struct res {
    enum class stepping { multistep, single_step };

    std::size_t order = 2;                  ///< 2 or 3
    stepping method = stepping::multistep;  ///< where the other predictions come from
    form predicts = form::data;             ///< which prediction is interpolated
    double c2 = 0.5;                        ///< single-step: share of the step of the second stage; (0, 1]
    double c3 = 1.0;                        ///< order 3: of the third stage; (0, 1]
    bool lower_order_final = true;          ///< multistep: the last steps are of order 2 and 1
    bool euler_at_final = false;  ///< the last step is of first order, whatever `lower_order_final` says
    solver::start start = solver::start::multistep;  ///< how multistep of order 3 begins

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order == 2 || order == 3)) { throw std::invalid_argument("res: order must be 2 or 3"); }
        if (!(c2 > 0.0 && c2 <= 1.0)) { throw std::invalid_argument("res: c2 must lie in (0, 1]"); }
        if (!(c3 > 0.0 && c3 <= 1.0)) { throw std::invalid_argument("res: c3 must lie in (0, 1]"); }
        if (order == 3 && method == stepping::single_step) { require_third_order(); }
        require_levels(levels, "res", walk::either);
        if (method == stepping::multistep) {
            tweedie::plan p = dpm_solver{.order = order,
                                         .predicts = predicts,
                                         .variant = difference::taylor,
                                         .lower_order_final = lower_order_final,
                                         .euler_at_final = euler_at_final,
                                         .start = start}
                                  .plan(schedule, levels);
            p.solver = describe();
            return p;
        }
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form m = evaluate(p, x, s, predicts);
            const bool lowest = euler_at_final && i + 1 == p.steps();
            if (order == 3 && !lowest && std::isfinite(log_snr_step(s, t))) {
                x = third_order(p, schedule, x, m, s, t);
            } else {
                x = solver::single_step(p, schedule, x, m, s, t,
                                        {.order = lowest ? 1U : 2U,
                                         .predicts = predicts,
                                         .variant = difference::taylor,
                                         .r1 = c2});
            }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] linear_form third_order(plan_writer& p, const any_schedule& schedule, const linear_form& x,
                                          const linear_form& m, const level& s, const level& t) const {
        const double h = log_snr_step(s, t);
        const double z = predicts == form::data ? -h : h;
        const level s2 = inside(schedule, s, t, c2 * h, c2);
        const level s3 = inside(schedule, s, t, c3 * h, c3);
        const double gamma = gamma_of();
        plan_variable x_s = p.variable("x_s");  // held by the plan across the calls below
        plan_variable m0 = p.variable("m0");
        plan_variable m1 = p.variable("m1");
        plan_variable u = p.variable("u");
        x_s = x;
        m0 = m;
        // every stage is the step with m0, and h scale times weighted differences to m0
        const auto constant = [&](const level& to) {
            return exponential_step(x_s, s, to, std::array{exponential_node{s.half_log_snr(), m0}}, predicts);
        };
        const auto scale = [&](const level& to) {
            return (predicts == form::data ? to.alpha : -to.sigma) * h;
        };

        u = constant(s2);
        m1 = evaluate(p, u, s2, predicts);
        const double a_32 = gamma * c2 * phi(2, c2 * z) + c3 * c3 / c2 * phi(2, c3 * z);
        u = constant(s3) + scale(s3) * a_32 * (m1 - m0);
        const linear_form m2 = evaluate(p, u, s3, predicts);
        const double b_3 = phi(2, z) / (gamma * c2 + c3);
        return constant(t) + scale(t) * b_3 * (gamma * (m1 - m0) + (m2 - m0));
    }

    [[nodiscard]] static level inside(const any_schedule& schedule, const level& s, const level& t,
                                      double distance, double share) {
        return share == 1.0 ? t : at_half_log_snr(schedule, s.half_log_snr() + distance);
    }

    [[nodiscard]] double gamma_of() const { return (3.0 * c3 - 2.0) * c3 / (c2 * (2.0 - 3.0 * c2)); }

    void require_third_order() const {
        const double sum = gamma_of() * c2 + c3;
        if (!(std::abs(2.0 - 3.0 * c2) > 1e-6 && std::abs(sum) > 1e-6)) {
            throw std::invalid_argument("res: order 3 needs c2 other than 2/3 and c3");
        }
    }

    [[nodiscard]] std::string describe() const {
        const bool single = method == stepping::single_step;
        std::string text = "res(order=" + std::to_string(order);
        text += single ? ", single step" : ", multistep";
        text += predicts == form::data ? ", data" : ", noise";
        if (single) { text += ", c2=" + detail::shortest(c2); }
        if (single && order == 3) { text += ", c3=" + detail::shortest(c3); }
        if (!single && !lower_order_final) { text += ", full order to the end"; }
        if (euler_at_final) { text += ", euler at final"; }
        if (!single && start == solver::start::single_step) { text += ", single-step start"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
