// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/linear_path.hpp>
#include <tweedie/solver/single_step.hpp>
#include <tweedie/solver/start.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// SDE-DPM-Solver (noise prediction) and SDE-DPM-Solver++ (data prediction), multistep, orders 1 to 3. With
/// the data prediction it is DPM++ 2M SDE and 3M SDE.
///
///     z    = (1 + eta) h,    D1 = (m0 - m1) / r,    r = h_prev / h
///     data     x_t = sigma_t/sigma_s e^(-eta h) x_s + alpha_t (1 - e^(-z)) m0
///                    + alpha_t (1 - e^(-z))/2 D1              (midpoint)
///                    + alpha_t ((e^(-z) - 1)/z + 1) D1        (taylor: the exact integral)
///                    + sigma_t sqrt(1 - e^(-2 eta h)) noise
///     noise    x_t = alpha_t/alpha_s x_s - (1 + eta) sigma_t ((e^h - 1) m0 + ...)
///                    + sigma_t sqrt(eta (e^(2h) - 1)) noise
///
/// The third order integrates the parabola through m0, m1, m2 exactly. eta = tau^2 scales the diffusion: 0 is
/// the ODE (DPM-Solver(++)), 1 the reverse-time SDE. Source: Lu et al. 2022, arXiv:2211.01095
/// (SDE-DPM-Solver-1, -2M and ++ forms, eta = 1); k-diffusion's sample_dpmpp_2m_sde and sample_dpmpp_3m_sde
/// for eta.
///
/// Deviation: published third orders are not: k-diffusion gives the second difference half its weight (order
/// 2), diffusers half its weight and the wrong sign of a term (order 1). `peer_formula` reproduces either.
/// - order   of the drift: `order` in half-log-SNR; the first steps use what is known. Mean and variance on
///           Gaussian data: 1 for order 1, 2 for order 2 and 3 (the mean of order 3 converges with 3 when the
///           start is single_step). A step to sigma = 0 is of first order.
/// - cost    1 network call per step (one more in all with `start::single_step`); `order` live tensors; order
///           + 2 reads (noise included) and 2 writes.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: order outside [1, 3]; eta or s_noise negative, NaN or infinite; a peer
///           formula of an order or prediction where there is none; levels that are not strictly denoising.
/// - choose  order 2 as the robust default where noise is wanted, at 12 to 50 calls; `sa_solver` and `er_sde`
///           are more accurate on Gaussian data from 24 calls on.
struct sde_dpm_solver {
    enum class peer {
        none,         ///< the third order as derived
        k_diffusion,  ///< half the second difference: sample_dpmpp_3m_sde
        diffusers,    ///< that, and `- 1/2` where `+ 1/2` belongs: DPMSolverMultistepScheduler
    };

    std::size_t order = 2;                      ///< 1 to 3
    form predicts = form::data;                 ///< data is SDE-DPM-Solver++
    difference variant = difference::midpoint;  ///< of the second order; taylor is called heun by peers
    double eta = 1.0;                           ///< tau^2; 0 is the ODE, 1 the reverse-time SDE
    double s_noise = 1.0;                       ///< factor on the noise; 1 keeps the law
    bool lower_order_final = true;              ///< the last steps use fewer nodes
    bool euler_at_final = false;  ///< the last step is of first order, whatever `lower_order_final` says
    solver::start start = solver::start::multistep;  ///< before there is a history
    peer peer_formula = peer::none;                  ///< only where pictures must be reproduced

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_options();
        require_levels(levels, "sde_dpm_solver");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_history m = p.remember(predicts == form::data ? "x0_hat" : "eps_hat", order);
        const double tau = std::sqrt(eta);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            m.push(evaluate(p, x, s, predicts));
            std::size_t wanted = order;
            if (lower_order_final) { wanted = std::min(wanted, p.steps() - i); }
            if (t.sigma == 0.0 || (euler_at_final && i + 1 == p.steps())) { wanted = 1; }
            const std::vector<exponential_node> nodes =
                history_nodes(m, levels, i, 0, std::min(wanted, m.size()));
            linear_path w(p, x, s, form_at(s, predicts), tau, s_noise);
            if (std::isfinite(log_snr_step(s, t)) && starting_order(start, nodes.size(), wanted) > 0) {
                first_step(p, schedule, x, s, t, m, w);
            } else {
                x = w.at(t) + drift(s, t, nodes);
            }
        }
        return p.finish(x);
    }

private:
    void require_options() const {
        if (!(order >= 1 && order <= 3)) {
            throw std::invalid_argument("sde_dpm_solver: order must lie in [1, 3]");
        }
        if (!(eta >= 0.0 && std::isfinite(eta))) {
            throw std::invalid_argument("sde_dpm_solver: eta must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("sde_dpm_solver: s_noise must be finite and not negative");
        }
        if (peer_formula != peer::none && !(order == 3 && predicts == form::data)) {
            throw std::invalid_argument(
                "sde_dpm_solver: peer_formula exists for order 3 in data prediction only");
        }
    }

    /// A single step of second order, whose history is the start's own prediction alone.
    void first_step(plan_writer& p, const any_schedule& schedule, plan_variable& x, const level& s,
                    const level& t, const plan_history& m, linear_path& w) const {
        const double tau = std::sqrt(eta);
        const level u = at_half_log_snr(schedule, s.half_log_snr() + log_snr_step(s, t) / 2.0);
        const exponential_node known{s.half_log_snr(), m[0]};
        x = w.at(u) + exponential_step(linear_form(), s, u, std::span(&known, 1), predicts, tau);
        const linear_form m_u = evaluate(p, x, u, predicts);
        const std::array<exponential_node, 2> nodes = {exponential_node{s.half_log_snr(), m[0]},
                                                       exponential_node{u.half_log_snr(), m_u}};
        x = w.at(t) + exponential_step(linear_form(), s, t, nodes, predicts, variant, tau);
    }

    /// What the predictions add.
    [[nodiscard]] linear_form drift(const level& s, const level& t,
                                    const std::vector<exponential_node>& nodes) const {
        const double tau = std::sqrt(eta);
        const form f = form_at(s, predicts);
        if (nodes.size() < 3 || peer_formula == peer::none) {
            return exponential_step(linear_form(), s, t, nodes, f, variant, tau);
        }
        const linear_form base = exponential_step(linear_form(), s, t, std::span(nodes).first(1), f, tau);
        const double h = log_snr_step(s, t);
        const double r0 = (nodes[0].half_log_snr - nodes[1].half_log_snr) / h;
        const linear_form d0 = (nodes[0].value - nodes[1].value) / r0;
        const double z = (1.0 + eta) * h;
        const double r1 = (nodes[1].half_log_snr - nodes[2].half_log_snr) / h;
        const linear_form d1 = (nodes[1].value - nodes[2].value) / r1;
        const linear_form first = d0 + r0 / (r0 + r1) * (d0 - d1);
        const linear_form second = (d0 - d1) / (r0 + r1);  // half of what the Taylor series asks for
        const double phi_2 = std::expm1(-z) / z + 1.0;
        const double weight = peer_formula == peer::k_diffusion ? 0.5 - phi_2 / z : -0.5 - phi_2 / z;
        return base + t.alpha * phi_2 * first + t.alpha * weight * second;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = predicts == form::data ? "sde_dpmpp_" : "sde_dpm_";
        text += std::to_string(order) + "m(eta=" + detail::shortest(eta);
        if (order > 1) { text += variant == difference::midpoint ? ", midpoint" : ", taylor"; }
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        if (!lower_order_final) { text += ", full order to the end"; }
        if (euler_at_final) { text += ", euler at final"; }
        if (start == solver::start::single_step) { text += ", single-step start"; }
        if (peer_formula == peer::k_diffusion) { text += ", k-diffusion's third order"; }
        if (peer_formula == peer::diffusers) { text += ", diffusers' third order"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
