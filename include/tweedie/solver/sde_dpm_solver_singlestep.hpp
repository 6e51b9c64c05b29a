// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/linear_path.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// SDE-DPM-Solver and ++ as single steps whose stages are the levels given: one network call per level, a
/// step of order k over k intervals.
///
///     u_1  = step s -> l_1 with m0 + noise(l_1)                    m1 = prediction at u_1
///     u_2  = step s -> l_2 with m0, m1 + noise(l_2)                m2 = prediction at u_2     (order 3)
///     x_t  = step s -> t with m0, m1 (order 2); m0, m2 (order 3, midpoint); m0, m1, m2 (taylor) + noise(t)
///
/// "Step" is `exponential_step` with eta = tau^2, noise(.) one Brownian path (`linear_path`). The orders of
/// the steps are those of `dpm_solver_singlestep`, which this is with eta = 0. Source: the sde-dpmsolver++ of
/// diffusers' DPMSolverSinglestepScheduler; Lu et al. 2022, arXiv:2211.01095, for the steps.
///
/// Deviation: the peer draws the noise of the stages and of the end independently, and in order 3 with
/// `taylor` has `- 1/2` for `+ 1/2` in the weight of the second difference. `peer_formula` does both.
/// - order   of the drift: `order` in half-log-SNR (3 with `midpoint` only where l_2 tends to 2/3 of the
///           step). On Gaussian data the deviation converges with 1 for order 1, 2 for 2 and 3; 1 with
///           `peer_formula`.
/// - cost    one network call and one draw per interval; `order` live tensors in data prediction, at most one
///           more in noise prediction and with `peer_formula`.
/// - random  one draw per interval when eta > 0, none at sigma = 0.
/// - errors  `std::invalid_argument`: order outside [1, 3]; eta or s_noise negative, NaN or infinite;
///           `orders` that do not fit the levels or lie outside [1, 3]; levels that are not strictly
///           denoising.
/// - choose  where levels are given and steps must not look back; `seeds` places its own stages.
struct sde_dpm_solver_singlestep {
    std::size_t order = 2;                      ///< 1 to 3
    form predicts = form::data;                 ///< data is SDE-DPM-Solver++
    difference variant = difference::midpoint;  ///< how the last stage weights the differences
    double eta = 1.0;                           ///< tau^2; 0 is the ODE, 1 the reverse-time SDE
    double s_noise = 1.0;                       ///< factor on the noise; 1 keeps the law
    bool lower_order_final = true;              ///< the run ends with steps of lower order
    std::vector<std::size_t> orders = {};       ///< order of each step; empty: as above
    difference inner = difference::taylor;      ///< how the middle stage of order 3 weights the difference
    bool peer_formula = false;                  ///< independent draws, and the peer's third order

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 3)) {
            throw std::invalid_argument("sde_dpm_solver_singlestep: order must lie in [1, 3]");
        }
        if (!(eta >= 0.0 && std::isfinite(eta))) {
            throw std::invalid_argument("sde_dpm_solver_singlestep: eta must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("sde_dpm_solver_singlestep: s_noise must be finite and not negative");
        }
        require_levels(levels, "sde_dpm_solver_singlestep");
        const std::vector<std::size_t> steps =
            dpm_solver_singlestep{.order = order, .lower_order_final = lower_order_final, .orders = orders}
                .orders_over(levels, "sde_dpm_solver_singlestep");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable x_s = p.variable("x_s");
        const double tau = std::sqrt(eta);
        std::size_t i = 0;
        for (const std::size_t k : steps) {
            const level& s = levels[i];
            const form f = form_at(s, predicts);
            linear_path w(p, x, s, f, tau, s_noise);
            plan_history m = p.remember("m", 3);
            x_s = x;
            for (std::size_t stage = 0; stage < k; ++stage) {
                const level at = p.step(i + stage).s;
                m.push(evaluate(p, x, at, predicts));
                const level& to = levels[i + stage + 1];
                // one path, or, as the peer has it, a new one for each stage
                const auto linear = [&] {
                    return peer_formula ? linear_path(p, x_s, s, f, tau, s_noise).at(to) : w.at(to);
                };
                x = linear() + drift(levels.subspan(i, stage + 1), to, m, f, stage + 1 == k);
            }
            i += k;
        }
        return p.finish(x);
    }

private:
    /// What the predictions add from known[0] to `to`, with the predictions at `known`, of which m[0] belongs
    /// to the last.
    [[nodiscard]] linear_form drift(std::span<const level> known, const level& to, const plan_history& m,
                                    form f, bool end) const {
        const double tau = std::sqrt(eta);
        const level& s = known[0];
        std::vector<exponential_node> nodes;
        for (std::size_t j = 0; j < known.size(); ++j) {
            nodes.push_back({known[j].half_log_snr(), m[known.size() - 1 - j]});
        }
        if (nodes.size() == 2) {
            return exponential_step(linear_form(), s, to, nodes, f, end ? variant : inner, tau);
        }
        if (nodes.size() == 3 && variant == difference::midpoint) {
            nodes.erase(nodes.begin() + 1);
            return exponential_step(linear_form(), s, to, nodes, f, tau);
        }
        linear_form out = exponential_step(linear_form(), s, to, nodes, f, tau);
        if (nodes.size() == 3 && peer_formula && f == form::data) {
            const double h = log_snr_step(s, to);
            const double r1 = (nodes[1].half_log_snr - nodes[0].half_log_snr) / h;
            const double r2 = (nodes[2].half_log_snr - nodes[0].half_log_snr) / h;
            const linear_form d1 = (nodes[1].value - nodes[0].value) / r1;
            const linear_form d2 = (nodes[2].value - nodes[0].value) / r2;
            out -= to.alpha * (2.0 / (r2 - r1)) * (d2 - d1);
        }
        return out;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "sde_dpm_solver_singlestep(order=" + std::to_string(order);
        text += predicts == form::data ? ", data" : ", noise";
        text += ", eta=" + detail::shortest(eta);
        text += variant == difference::midpoint ? ", midpoint" : ", taylor";
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        if (inner == difference::midpoint) { text += ", inner midpoint"; }
        if (!lower_order_final) { text += ", full order to the end"; }
        if (peer_formula) { text += ", peer formula"; }
        for (std::size_t k = 0; k < orders.size(); ++k) {
            text += (k == 0 ? ", orders " : " ") + std::to_string(orders[k]);
        }
        return text + ")";
    }
};

}  // namespace tweedie::solver
