// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/single_step.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// Where the inner nodes of single steps lie.
enum class inner_nodes {
    levels,  ///< at the levels given: one network call per level, a step of order k goes over k intervals
    own,     ///< inside the intervals given, at r1 and r2 in half-log-SNR: a step of k calls per interval
};

/// DPM-Solver-1, -2, -3 and DPM-Solver++(1S, 2S, 3S): single-step exponential integrators.
///
/// The step is `single_step`. With `inner_nodes::levels` the levels are one per network call, as for every
/// multistep method, and consecutive ones are the nodes of a step: of `calls` of them, order 3 makes steps of
/// orders
///
///     3, ..., 3, 2, 1  (calls = 3n)        3, ..., 3, 1  (3n + 1)        3, ..., 3, 2  (3n + 2)
///
/// and order 2 makes 2, ..., 2, 1, 1 (even) or 2, ..., 2, 1 (odd), with `lower_order_final`; without it steps
/// of full order, and one or two of order 2 (one of order 1) for what is left. The last call of a run to
/// sigma = 0 makes a step of its own. Source: Lu et al. 2022, arXiv:2206.00927, algorithms 1 and 2,
/// and their DPM-Solver-fast; the sequence of order 2 as diffusers has it. `variant = taylor` and `inner
/// = midpoint` are the other forms of the authors' code and of diffusers.
///
/// The published variants: `singlestep_fixed` is `lower_order_final = false` with a number of calls divisible
/// by the order. k-diffusion's dpm_fast (n calls) makes its steps of equal length in half-log-SNR:
///
///     const auto orders = dpm_solver_singlestep::order_list(n, 3);
///     dpm_solver_singlestep{.predicts = form::noise, .nodes = inner_nodes::own, .orders = orders}
///         .plan(schedule, grid::log_snr(schedule, static_cast<int>(orders.size()), {.last = sigma_min}));
///
/// - order   `order` in half-log-SNR; of order 3 where the second node tends to 2/3 of the step, as it does
///           on every smooth grid. A step to sigma = 0 or from alpha = 0 is of first order; with
///           `lower_order_final` the last step is too, which costs order 3 one.
/// - cost    with `inner_nodes::levels` as many network calls as intervals; with `own` the sum of the orders.
///           2 live tensors for order 2, 3 for order 3.
/// - random  with eta > 0 (own nodes) each step goes to the cleaner level of `ancestral`, but none beyond the
///           last level of the run, and adds its noise, as dpm_fast does: one draw per step, none on the
///           last. Mean and variance converge with the order.
/// - errors  `std::invalid_argument`: order outside [1, 3]; r1 or r2 outside (0, 1], or equal; `orders` that
///           do not fit the levels or lie outside [1, 3]; eta or s_noise negative or not finite; eta > 0, r1
///           or r2 with `inner_nodes::levels`; levels that are not strictly denoising, nor (with eta = 0)
///           strictly rising in noise (inversion).
/// - choose  where a step must not look back: under edits of the state and strong guidance that make the
///           history stale. At equal calls `dpm_solver` and `unipc` are more accurate.
struct dpm_solver_singlestep {
    std::size_t order = 3;                      ///< 1 to 3
    form predicts = form::data;                 ///< data: DPM-Solver++; noise: DPM-Solver
    difference variant = difference::midpoint;  ///< how the last stage weights the differences
    bool lower_order_final = true;              ///< the run ends with steps of lower order
    inner_nodes nodes = inner_nodes::levels;    ///< where the inner nodes lie
    std::vector<std::size_t> orders = {};   ///< order of each step; empty: as above (`own`: all of `order`)
    difference inner = difference::taylor;  ///< how the middle stage of order 3 weights the difference
    std::optional<double> r1 = {};          ///< `own`: first inner node, (0, 1]; default: 1/2, order 3: 1/3
    std::optional<double> r2 = {};          ///< `own`: second inner node, (0, 1]; default: 2/3
    double eta = 0.0;                       ///< `own`: share of the ancestral step's noise, >= 0; 0: the ODE
    double s_noise = 1.0;                   ///< `own`: factor of that noise, >= 0

    /// The orders of the steps that spend `calls` network calls.
    [[nodiscard]] static std::vector<std::size_t> order_list(std::size_t calls, std::size_t order,
                                                             bool lower_order_final = true) {
        require_order(order, "dpm_solver_singlestep: order");
        std::vector<std::size_t> out(calls / order, order);
        if (calls % order > 0) { out.push_back(calls % order); }
        if (lower_order_final && order > 1 && calls % order == 0 && calls > 0) {
            // the last step is taken in two
            out.back() = order - 1;
            out.push_back(1);
        }
        if (!lower_order_final && order == 3 && calls % 3 == 1 && calls > 3) {
            // a step of first order would cost the run its third
            out[out.size() - 2] = 2;
            out.back() = 2;
        }
        return out;
    }

    /// The orders of the steps over the intervals of `levels`, a step of order k over k of them: `orders`, or
    /// where that is empty those of `order_list`. A step from pure noise or to sigma = 0 is of first order,
    /// over one interval.
    /// - errors  `std::invalid_argument`: orders outside [1, 3], or that do not sum to the intervals; `who`
    ///           begins the message.
    [[nodiscard]] std::vector<std::size_t> orders_over(std::span<const level> levels,
                                                       const std::string& who) const {
        const std::size_t intervals = levels.size() - 1;
        std::size_t total = 0;
        for (const std::size_t k : orders) {
            require_order(k, who + ": orders");
            total += k;
        }
        if (!orders.empty() && total != intervals) {
            throw std::invalid_argument(who + ": orders must sum to the steps of the levels");
        }
        const bool noise = levels.front().alpha == 0.0;
        std::vector<std::size_t> out = orders;
        if (out.empty()) {
            const std::size_t calls = intervals - (noise && intervals > 1 ? 1 : 0);
            out = order_list(calls, order, lower_order_final);
            if (calls < intervals) { out.insert(out.begin(), 1); }
        } else if (noise && out.front() > 1) {
            out.front() -= 1;
            out.insert(out.begin(), 1);
        }
        if (levels.back().sigma == 0.0 && out.back() > 1) {
            out.back() -= 1;
            out.push_back(1);
        }
        return out;
    }

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_options();
        require_levels(levels, "dpm_solver_singlestep", eta == 0.0 ? walk::either : walk::denoising);
        const std::vector<std::size_t> steps = orders_on(levels);
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        std::size_t i = 0;
        for (const std::size_t k : steps) {
            const std::size_t end = nodes == inner_nodes::levels ? i + k : i + 1;
            const level s = p.step(i).s;
            const level t = levels[end];
            const linear_form m = evaluate(p, x, s, predicts);
            const single_step_options options{
                .order = k, .predicts = predicts, .variant = variant, .inner = inner, .r1 = r1, .r2 = r2};
            if (nodes == inner_nodes::levels) {
                x = single_step(p, x, m, s, levels.subspan(i + 1, k - 1), t, options);
            } else {
                const renoised_step to = below(s, t, levels.back());
                x = single_step(p, schedule, x, m, s, to.clean, options);
                if (to.noise * s_noise > 0.0) { x = x + to.noise * s_noise * p.noise(); }
            }
            i = end;
        }
        return p.finish(x);
    }

private:
    void require_options() const {
        require_order(order, "dpm_solver_singlestep: order");
        if (!(eta >= 0.0 && std::isfinite(eta))) {
            throw std::invalid_argument("dpm_solver_singlestep: eta must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("dpm_solver_singlestep: s_noise must be finite and not negative");
        }
        if (r1 && !(*r1 > 0.0 && *r1 <= 1.0)) {
            throw std::invalid_argument("dpm_solver_singlestep: r1 must lie in (0, 1]");
        }
        if (r2 && !(*r2 > 0.0 && *r2 <= 1.0)) {
            throw std::invalid_argument("dpm_solver_singlestep: r2 must lie in (0, 1]");
        }
        if (nodes == inner_nodes::levels && (eta > 0.0 || r1 || r2)) {
            throw std::invalid_argument("dpm_solver_singlestep: eta, r1 and r2 need inner_nodes::own");
        }
    }

    static void require_order(std::size_t order, const std::string& who) {
        if (!(order >= 1 && order <= 3)) { throw std::invalid_argument(who + " must lie in [1, 3]"); }
    }

    /// The ancestral step from s to t, no cleaner than the last level of the run: so none on the last step.
    [[nodiscard]] renoised_step below(const level& s, const level& t, const level& end) const {
        if (eta == 0.0 || t == end) { return {t, 0.0}; }
        level clean = ancestral(s, t, eta).clean;
        clean.sigma = std::min(t.sigma, std::max(clean.sigma, end.sigma / end.alpha * t.alpha));
        return {clean, std::sqrt((t.sigma - clean.sigma) * (t.sigma + clean.sigma))};
    }

    [[nodiscard]] std::vector<std::size_t> orders_on(std::span<const level> levels) const {
        if (nodes == inner_nodes::levels) { return orders_over(levels, "dpm_solver_singlestep"); }
        const std::size_t intervals = levels.size() - 1;
        for (const std::size_t k : orders) { require_order(k, "dpm_solver_singlestep: orders"); }
        if (!orders.empty() && orders.size() != intervals) {
            throw std::invalid_argument(
                "dpm_solver_singlestep: orders must be as many as the steps of the levels");
        }
        return orders.empty() ? std::vector<std::size_t>(intervals, order) : orders;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "dpm_solver_singlestep(order=" + std::to_string(order);
        text += predicts == form::data ? ", data" : ", noise";
        text += variant == difference::midpoint ? ", midpoint" : ", taylor";
        if (inner == difference::midpoint) { text += ", inner midpoint"; }
        if (!lower_order_final) { text += ", full order to the end"; }
        if (nodes == inner_nodes::own) { text += ", own nodes"; }
        if (r1) { text += ", r1=" + detail::shortest(*r1); }
        if (r2) { text += ", r2=" + detail::shortest(*r2); }
        if (eta != 0.0) { text += ", eta=" + detail::shortest(eta); }
        if (eta != 0.0 && s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        for (std::size_t k = 0; k < orders.size(); ++k) {
            text += (k == 0 ? ", orders " : " ") + std::to_string(orders[k]);
        }
        return text + ")";
    }
};

}  // namespace tweedie::solver
