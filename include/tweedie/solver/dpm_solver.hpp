// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/single_step.hpp>
#include <tweedie/solver/start.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// DPM-Solver++(1M, 2M, 3M) and DPM-Solver of the same orders: multistep exponential integrators.
///
///     D1_0 = (m0 - m1) / r0,    D1_1 = (m1 - m2) / r1,    r_k = h_k / h  (earlier steps over this one)
///     1M   x_t = (sigma_t/sigma_s) x_s + alpha_t (1 - e^(-h)) m0
///     2M   1M + alpha_t (1 - e^(-h))/2 D1_0               midpoint
///          1M + alpha_t ((e^(-h) - 1)/h + 1) D1_0         taylor (called heun in popular software)
///     3M   1M + alpha_t phi_2 D1 - alpha_t phi_3 D2,      phi_2 = (e^(-h) - 1)/h + 1,  phi_3 = phi_2/h - 1/2
///          D1 = D1_0 + r0/(r0 + r1) (D1_0 - D1_1),        D2 = 2 (D1_0 - D1_1)/(r0 + r1)
///
/// m0, m1, m2 are the data predictions at s and at the levels before it: polynomials through one, two and
/// three of them, integrated exactly (`exponential_step`) but for the shortcut of `midpoint`. Noise
/// prediction (DPM-Solver) is the same with `alpha_t/alpha_s`, `-sigma_t` and e^(+h). Source: Lu et al. 2022,
/// arXiv:2211.01095, algorithm 2 (2M), and arXiv:2206.00927. Third order as in the authors' code with one
/// correction: there, and in all software derived from it, D2 lacks the factor 2, which makes that method one
/// of second order; `peer_formula` leaves it out too, to reproduce pictures.
/// - order   `order` in half-log-SNR. Order 3 keeps it from the first step on with `start::single_step`; with
///           `start::multistep` the first step, of first order, costs it (about 2 in the end). A step to
///           sigma = 0 or from alpha = 0 is of first order, and with `lower_order_final` the last ones are of
///           order 2 and 1. `peer_formula` of order 3: 2.
/// - cost    1 network call per step (single-step start: 1 more in all, for order 3); `order` live tensors;
///           2M reads 3 tensors per step and writes 2 at most, 3M reads 4 and writes 2 at most.
/// - errors  `std::invalid_argument`: order outside [1, 3]; levels that are neither strictly denoising nor
///           strictly rising in noise (inversion).
/// - choose  order 2 as the robust default with guidance at 15 to 30 calls; `unipc` is more accurate at the
///           same cost where the network is smooth.
struct dpm_solver {
    std::size_t order = 2;                      ///< 1 to 3
    form predicts = form::data;                 ///< data: DPM-Solver++; noise: DPM-Solver
    difference variant = difference::midpoint;  ///< how order 2 weights its difference
    bool lower_order_final = true;  ///< the last steps are of order 2 and 1; steadier below about 15 steps
    bool euler_at_final = false;    ///< the last step is of first order, whatever `lower_order_final` says
    solver::start start = solver::start::multistep;  ///< how order 3 begins
    bool peer_formula = false;                       ///< order 3 without the factor 2 in D2, as published

    /// The step from s to t through `nodes`: the predictions at s and before, newest first. Of order
    /// nodes.size().
    [[nodiscard]] linear_form step(const linear_form& x, const level& s, const level& t,
                                   std::span<const exponential_node> nodes) const {
        const form f = form_at(s, predicts);
        const linear_form full = exponential_step(x, s, t, nodes, f, variant);
        const double h = log_snr_step(s, t);
        if (!peer_formula || nodes.size() != 3 || !std::isfinite(h)) { return full; }
        // half of the term of D2 comes off: h phi_3(-h) is the integral of u^2 / 2
        const double r0 = (nodes[0].half_log_snr - nodes[1].half_log_snr) / h;
        const double r1 = (nodes[1].half_log_snr - nodes[2].half_log_snr) / h;
        const linear_form d1_0 = (nodes[0].value - nodes[1].value) / r0;
        const linear_form d1_1 = (nodes[1].value - nodes[2].value) / r1;
        const double weight = f == form::data ? t.alpha * h * phi(3, -h) : -t.sigma * h * phi(3, h);
        return full - weight / (r0 + r1) * (d1_0 - d1_1);
    }

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 3)) {
            throw std::invalid_argument("dpm_solver: order must lie in [1, 3]");
        }
        require_levels(levels, "dpm_solver", walk::either);
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_history m = p.remember(predicts == form::data ? "x0_hat" : "eps_hat", order);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            m.push(evaluate(p, x, s, predicts));
            std::size_t wanted = order;
            if (lower_order_final) { wanted = std::min(wanted, p.steps() - i); }
            if (t.sigma == 0.0 || (euler_at_final && i + 1 == p.steps())) { wanted = 1; }
            const std::vector<exponential_node> nodes =
                history_nodes(m, levels, i, 0, std::min(wanted, m.size()));
            if (const std::size_t single = starting_order(start, nodes.size(), wanted); single > 0) {
                x = single_step(p, schedule, x, m[0], s, t,
                                {.order = single, .predicts = predicts, .variant = variant});
            } else {
                x = step(x, s, t, nodes);
            }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] std::string describe() const {
        std::string text = "dpm_solver(order=" + std::to_string(order);
        text += predicts == form::data ? ", data" : ", noise";
        text += variant == difference::midpoint ? ", midpoint" : ", taylor";
        if (!lower_order_final) { text += ", full order to the end"; }
        if (euler_at_final) { text += ", euler at final"; }
        if (start == solver::start::single_step) { text += ", single-step start"; }
        if (peer_formula) { text += ", peer formula"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
