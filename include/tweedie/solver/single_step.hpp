// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/start.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

/// How an exponential single step is made.
///
/// - errors  `std::invalid_argument` when used: order outside [1, 3]; r1 or r2 outside (0, 1], or equal.
struct single_step_options {
    std::size_t order = 2;                      ///< 1 to 3; as many network calls, the one at s included
    form predicts = form::data;                 ///< which prediction is interpolated
    difference variant = difference::midpoint;  ///< how the last stage weights the differences
    difference inner = difference::taylor;      ///< how the middle stage of order 3 does
    std::optional<double> r1 = {};  ///< first inner node, a share of h in (0, 1]; default: 1/2, order 3: 1/3
    std::optional<double> r2 = {};  ///< second; default: 2/3, the only place where order 3 is of order 3
};

/// One exponential single step from s to t through the levels `inner`: of order 2 through one, of order 3
/// through two, of order 1 through none.
///
///     u1  = step s -> s1 with m0                               m1 = prediction at u1
///     u2  = step s -> s2 with m0, m1 (line)                    m2 = prediction at u2       (order 3)
///     x_t = step s -> t  with m0, m1                           (order 2, `midpoint` or `taylor`)
///           step s -> t  with m0, m2 (line), `midpoint`; with m0, m1, m2 (parabola), `taylor`   (order 3)
///
/// "Step" is `exponential_step`. These are DPM-Solver-2 and -3 (noise prediction) and DPM-Solver++(2S) and
/// (3S) (data prediction). Source: Lu et al. 2022, arXiv:2206.00927, algorithms 1 and 2, and
/// arXiv:2211.01095, algorithm 1; their Taylor forms as in the authors' code.
/// - `p`       where it is written; the calls belong to the step begun last.
/// - `x`       the state at s.
/// - `m`       the prediction there, `evaluate(p, x, s, predicts)`: known, not asked again.
/// - `inner`   levels between s and t, noisy to clean (of order 3 the first two in this order; t itself may
///             be the last one).
/// - returns   the state at t.
/// - order     inner.size() + 1; with two inner levels 3 only where the second lies at 2/3 of the step, or
///             tends to it: elsewhere the first stage, of low order, enters with weight (`res` corrects for
///             that). A step to sigma = 0 or from alpha = 0 is of first order and makes no call.
/// - cost      inner.size() network calls; x, m and one stage are held.
[[nodiscard]] inline linear_form single_step(plan_writer& p, const linear_form& x, const linear_form& m,
                                             const level& s, std::span<const level> inner, const level& t,
                                             const single_step_options& options = {}) {
    const form predicts = form_at(s, options.predicts);
    // held by the plan across the calls below
    plan_variable x_s = p.variable("x_s");
    plan_variable m0 = p.variable("m0");
    x_s = x;
    m0 = m;
    const auto node = [&](const level& at, const linear_form& value) {
        return exponential_node{at.half_log_snr(), value};
    };
    const auto step_to = [&](const level& target, std::span<const exponential_node> nodes,
                             difference variant) {
        return exponential_step(x_s, s, target, nodes, predicts, variant);
    };
    if (inner.empty() || !std::isfinite(log_snr_step(s, t))) {
        return step_to(t, std::array{node(s, m0)}, options.variant);
    }
    if (inner.size() > 2) { throw std::invalid_argument("single_step: order must lie in [1, 3]"); }

    plan_variable u = p.variable("u");
    plan_variable m1 = p.variable("m1");
    u = step_to(inner[0], std::array{node(s, m0)}, options.variant);
    m1 = evaluate(p, u, inner[0], predicts);
    if (inner.size() == 1) {
        return step_to(t, std::array{node(s, m0), node(inner[0], m1)}, options.variant);
    }
    u = step_to(inner[1], std::array{node(s, m0), node(inner[0], m1)}, options.inner);
    const linear_form m2 = evaluate(p, u, inner[1], predicts);
    if (options.variant == difference::midpoint) {
        return step_to(t, std::array{node(s, m0), node(inner[1], m2)}, difference::taylor);
    }
    return step_to(t, std::array{node(s, m0), node(inner[0], m1), node(inner[1], m2)}, difference::taylor);
}

/// The same with inner nodes at shares r1 and r2 of the step in half-log-SNR, levels of `schedule`.
[[nodiscard]] inline linear_form single_step(plan_writer& p, const any_schedule& schedule,
                                             const linear_form& x, const linear_form& m, const level& s,
                                             const level& t, const single_step_options& options = {}) {
    if (!(options.order >= 1 && options.order <= 3)) {
        throw std::invalid_argument("single_step: order must lie in [1, 3]");
    }
    const double h = log_snr_step(s, t);
    const bool third = options.order == 3;
    const double r1 = options.r1.value_or(third ? 1.0 / 3.0 : 0.5);
    const double r2 = options.r2.value_or(2.0 / 3.0);
    if (!(r1 > 0.0 && r1 <= 1.0)) { throw std::invalid_argument("single_step: r1 must lie in (0, 1]"); }
    if (!(r2 > 0.0 && r2 <= 1.0)) { throw std::invalid_argument("single_step: r2 must lie in (0, 1]"); }
    if (third && r1 == r2) { throw std::invalid_argument("single_step: r1 and r2 must differ"); }
    std::vector<level> inner;
    if (std::isfinite(h)) {
        for (const double r : {r1, r2}) {
            if (inner.size() + 1 == options.order) { break; }
            inner.push_back(r == 1.0 ? t : at_half_log_snr(schedule, s.half_log_snr() + r * h));
        }
    }
    return single_step(p, x, m, s, inner, t, options);
}

/// The order of the single step that a multistep method of order `order` takes instead of its own lower one,
/// or 0 if its own is accurate enough.
///
/// A method of order p keeps its order if the values it starts from have local errors O(h^p). With k values
/// known its own step has local error O(h^(k + 1)); where that is not enough, a single step of order p - 1
/// is: for order 3 in the first step (1 more call), for order 4 in the first two (4 more calls). Orders 1 and
/// 2 need none; above 4 the single steps, of order 3 at most, cap the order at 4.
/// - `known`  predictions known at s and before, at finite half-log-SNR.
[[nodiscard]] inline std::size_t starting_order(start how, std::size_t known, std::size_t order) {
    if (how == start::multistep || known + 1 >= order) { return 0; }
    return std::min<std::size_t>(3, order - 1);
}

}  // namespace tweedie::solver
