// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/start.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// Adams-Bashforth for equal steps: (1), (3, -1) / 2, (23, -16, 5) / 12, (55, -59, 37, -9) / 24, newest
/// first.
[[nodiscard]] inline std::vector<double> equal_step_adams(std::size_t nodes) {
    switch (nodes) {
        case 1: return {1.0};
        case 2: return {3.0 / 2, -1.0 / 2};
        case 3: return {23.0 / 12, -16.0 / 12, 5.0 / 12};
        default: return {55.0 / 24, -59.0 / 24, 37.0 / 24, -9.0 / 24};
    }
}

/// iPNDM: linear multistep on the noise prediction, from the first step on.
///
///     e'  = (55 e_0 - 59 e_1 + 37 e_2 - 9 e_3) / 24        (before: (23, -16, 5) / 12, (3, -1) / 2, e_0)
///     x_t = alpha_t (x_s - sigma_s e') / alpha_s + sigma_t e'
///
/// Source: Liu et al. 2022, arXiv:2202.09778 (PNDM), with the improved start of Zhang and Chen 2022,
/// arXiv:2204.13902 (iPNDM). The weights are those of equal steps, whatever the steps are.
/// `steps::variable` takes the true Adams-Bashforth weights of the levels in kappa = sigma / alpha: what
/// popular software calls iPNDM_v, whose third-order weights there have a misplaced parenthesis; it is
/// `lms` of the same order.
///
/// Deviation: from pure noise (alpha = 0) the published code divides by a small number instead and so loses
/// x0_hat in its first step, and keeps that noise prediction; here the first step is DDIM's limit and the
/// method begins after it. `peer_formula` does as published.
/// - order   constant weights: 2 on any smooth grid (1 with `order` = 1). Variable weights: `order` with
///           `start::single_step`, 2 with `start::multistep` (the first steps are lower orders).
/// - cost    1 network call per step, `order` live tensors; `start::single_step` costs 1 call more for
///           order 3 and 4 for order 4.
/// - errors  `std::invalid_argument`: order 0 or above 4; `peer_formula` with variable steps; levels that are
///           neither strictly denoising nor strictly rising in noise (inversion).
/// - choose  constant weights, order 4, on `grid::karras` at 5 to 10 calls without guidance: formally of
///           second order and yet hard to beat there without preparation.
struct ipndm {
    enum class steps { constant, variable };

    std::size_t order = 4;                           ///< past noise predictions used; 1 to 4
    steps variant = steps::constant;                 ///< weights of equal steps, or of the levels as they are
    solver::start start = solver::start::multistep;  ///< before the history is full; variable steps only
    bool peer_formula = false;  ///< the published first step from pure noise, of constant steps only

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 4)) { throw std::invalid_argument("ipndm: order must lie in [1, 4]"); }
        if (peer_formula && variant == steps::variable) {
            throw std::invalid_argument("ipndm: peer_formula exists for constant steps only");
        }
        require_levels(levels, "ipndm", walk::either);
        if (peer_formula && levels[0].alpha == 0.0) { return published(levels); }
        return multistep_in_noise(
            describe(), schedule, levels, order,
            variant == steps::variable ? start : solver::start::multistep,
            [](std::size_t /*step*/, std::size_t known) { return known; },
            [&](std::span<const level> nodes, const level& t) {
                if (variant == steps::variable) { return adams_weights(nodes, t); }
                std::vector<double> weights = equal_step_adams(nodes.size());
                const double h = t.sigma / t.alpha - nodes[0].sigma / nodes[0].alpha;
                for (double& w : weights) { w *= h; }
                return weights;
            });
    }

private:
    /// From pure noise as published: x_t = sigma_t eps at first, and eps kept.
    [[nodiscard]] tweedie::plan published(std::span<const level> levels) const {
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_history eps = p.remember("eps_hat", order);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            eps.push(p.noise_prediction(x, s));
            const std::vector<double> weights = equal_step_adams(eps.size());
            linear_form e;
            for (std::size_t j = 0; j < eps.size(); ++j) { e += weights[j] * eps[j]; }
            x = s.alpha == 0.0 ? t.sigma * e : noise_step(x, s, t, e);
        }
        return p.finish(x);
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "ipndm(order=" + std::to_string(order);
        if (variant == steps::variable) { text += ", variable steps"; }
        if (variant == steps::variable && start == solver::start::single_step) {
            text += ", single-step start";
        }
        if (peer_formula) { text += ", as published"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
