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

/// What a predictor of UniPC may use for a step from s to t.
///
/// - `known`     the predictions at s and before, newest first, as many as the order of this step.
/// - `predicts`  which prediction they are.
/// - `writer`    to evaluate the network in between (with `evaluate`); such calls belong to this step.
struct predictor_step {
    plan_writer& writer;
    const any_schedule& schedule;
    level s;
    level t;
    std::span<const exponential_node> known;
    form predicts;
};

/// A predictor for UniPC: the state at t from the state x at s.
///
///     .predictor = [](const linear_form& x, const predictor_step& of) {
///         return dpm_solver{.variant = difference::taylor}.step(x, of.s, of.t, of.known);
///     }
using predictor = linear_form (*)(const linear_form& x, const predictor_step& of);

/// UniPC: unified predictor-corrector of any order, one network call per step.
///
///     base    = (sigma_t / sigma_s) x_s - alpha_t (e^(-h) - 1) m0
///     UniP-p    x~_t = base - alpha_t B(h) sum_(j<p)  a_j (m_j - m0) / r_j
///     UniC-p    x_t  = base - alpha_t B(h) sum_(j<=p) c_j (m_j - m0) / r_j
///
/// r_j = (lambda_j - lambda_s) / h; the corrector's last node is the predicted point itself, r = 1, whose
/// evaluation serves as m0 of the next step. Source: Zhao et al. 2023, arXiv:2302.04867, algorithms 1 and 2,
/// in their data-prediction form.
///
/// a and c solve the paper's moment conditions `R a B(h) = phi(h)`. These say that polynomials up to degree p
/// are integrated exactly against the exponential kernel, so the solution is `exponential_step` and B(h)
/// cancels. B(h) is left only where the paper replaces the solution by a constant: a = 1/2 for UniP-2 and c =
/// 1/2 for UniC-1. There B = -h (bh1) or e^(-h) - 1 (bh2). vary_coeff solves these cases too, so it is
/// `exponential_step` throughout. Noise prediction is the same with `alpha_t / alpha_s`, `-sigma_t` and the
/// kernel e^(+h).
///
/// The authors' code for the corrector of vary_coeff sums over too few rows of its matrix (its error does not
/// fall with the steps from order 2 on); ours sums over all. `peer_formula` is theirs, to reproduce pictures.
/// - order   p for the predictor, p + 1 with the corrector (measured; the paper's theorem 3.1). Start-up and,
///           with `lower_order_final`, the last steps use fewer nodes; `start::single_step` keeps the order
///           up to 3 without and 4 with the corrector. A step to sigma = 0 is of first order: only that has a
///           limit.
/// - cost    1 network call per step, none is spent on the corrector (single-step start: 1 more for order 3
///           without, 2 with the corrector; those of a predictor of yours come on top); order + 1 live
///           tensors, order + 2 in noise prediction.
/// - errors  `std::invalid_argument`: order 0 or above 8; levels that are neither strictly denoising nor
///           strictly rising in noise (inversion).
/// - noise   prediction with order 3 and more amplifies perturbations on strongly uneven levels (steps whose
///           lengths in half-log-SNR differ by tens): that is the method's, in exact arithmetic too. Data
///           prediction does not.
/// - choose  at 5 to 20 calls: order 3 unconditional, order 2 with guidance; on `grid::log_snr` over the
///           range that matters, since the long first steps of `grid::karras` over a wide range cost more
///           than the order gains (`analyze` shows it for your data's variance).
struct unipc {
    enum class bh { bh1, bh2, vary_coeff };

    std::size_t order = 3;                      ///< order of the predictor; 1 to 8
    bh variant = bh::bh2;                       ///< B(h) of the shortcuts; vary_coeff: no shortcuts
    form predicts = form::data;                 ///< which prediction is interpolated
    bool corrector = true;                      ///< use UniC
    std::vector<std::size_t> uncorrected = {};  ///< steps whose result is not corrected, counted from 0
    bool lower_order_final = true;  ///< the last steps use fewer nodes; steadier below about 15 steps
    bool euler_at_final = false;    ///< the last step is of first order, whatever `lower_order_final` says
    solver::start start = solver::start::multistep;  ///< how orders from 3 on begin
    solver::predictor predictor = nullptr;           ///< instead of UniP
    bool peer_formula = false;                       ///< the corrector of vary_coeff as published

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 8)) { throw std::invalid_argument("unipc: order must lie in [1, 8]"); }
        require_levels(levels, "unipc", walk::either);
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable predicted = p.variable("x~");
        predicted = x;
        plan_history m = p.remember(predicts == form::data ? "x0_hat" : "eps_hat", order + 1);
        std::size_t used = 0;  // nodes of the step before; 0 after a single step, which is not corrected
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            m.push(evaluate(p, predicted, s, predicts));
            if (used > 0 && corrected(i - 1)) {
                const std::vector<exponential_node> nodes = history_nodes(m, levels, i, 1, used);
                x = correct(x, levels[i - 1], s, nodes, {s.half_log_snr(), m[0]});
            } else {
                x = predicted;
            }
            std::size_t wanted = order;
            if (lower_order_final) { wanted = std::min(wanted, p.steps() - i); }
            if (t.sigma == 0.0 || (euler_at_final && i + 1 == p.steps())) { wanted = 1; }
            const std::vector<exponential_node> nodes =
                history_nodes(m, levels, i, 0, std::min(wanted, m.size()));
            const std::size_t reached = wanted + (corrector ? 1 : 0);
            if (const std::size_t single = starting_order(start, nodes.size() + (corrector ? 1 : 0), reached);
                single > 0) {
                predicted = single_step(p, schedule, x, m[0], s, t, {.order = single, .predicts = predicts});
                used = 0;
            } else {
                predicted = predictor == nullptr
                                ? predict(x, s, t, nodes)
                                : predictor(x, {p, schedule, s, t, nodes, form_at(s, predicts)});
                used = nodes.size();
            }
        }
        return p.finish(predicted);
    }

private:
    [[nodiscard]] bool corrected(std::size_t step) const {
        return corrector && std::find(uncorrected.begin(), uncorrected.end(), step) == uncorrected.end();
    }

    /// B(h), positive.
    [[nodiscard]] double b(const level& s, const level& t, form f) const {
        return variant == bh::bh1 ? log_snr_step(s, t) : exponential_integral(s, t, f);
    }

    /// UniP from s to t.
    [[nodiscard]] linear_form predict(const linear_form& x, const level& s, const level& t,
                                      std::span<const exponential_node> known) const {
        const form f = form_at(s, predicts);
        if (known.size() == 2 && variant != bh::vary_coeff) {
            return shortcut_step(x, s, t, known[0], known[1], f, b(s, t, f));
        }
        return exponential_step(x, s, t, known, f);
    }

    /// UniC from s to t, with the value `ahead` at t.
    [[nodiscard]] linear_form correct(const linear_form& x, const level& s, const level& t,
                                      std::vector<exponential_node> known,
                                      const exponential_node& ahead) const {
        const form f = form_at(s, predicts);
        if (known.size() == 1 && variant != bh::vary_coeff) {
            return shortcut_step(x, s, t, known[0], ahead, f, b(s, t, f));
        }
        known.push_back(ahead);
        if (variant == bh::vary_coeff && peer_formula) { return published_vary_coeff(x, s, t, known, f); }
        return exponential_step(x, s, t, known, f);
    }

    /// The corrector of vary_coeff as its authors' code has it. With D_j = (m_j - m0)/r_j and A the inverse
    /// of C, C_jk = r_j^k / (k + 1)!, the step is base + scale sum_k h phi_(k+2) sum_j A_kj D_j; there the
    /// last row is left out for all nodes but the last, and that one has the row before it.
    [[nodiscard]] static linear_form published_vary_coeff(const linear_form& x, const level& s,
                                                          const level& t,
                                                          std::span<const exponential_node> nodes, form f) {
        const linear_form base = exponential_step(x, s, t, nodes.first(1), f);
        const double h = log_snr_step(s, t);
        const std::size_t n = nodes.size() - 1;
        if (!std::isfinite(h)) { return base; }
        std::vector<double> r;
        for (std::size_t j = 1; j <= n; ++j) {
            r.push_back((nodes[j].half_log_snr - nodes[0].half_log_snr) / h);
        }
        const double scale = f == form::data ? t.alpha : -t.sigma;
        const double z = f == form::data ? -h : h;
        const auto term = [&](std::size_t k) { return scale * h * phi(static_cast<int>(k) + 2, z); };
        linear_form sum = base;
        for (std::size_t j = 0; j < n; ++j) {
            // A_kj = (k + 1)! times the coefficient of r^k in Lagrange's polynomial of node j
            std::vector<double> a(n, 0.0);
            a[0] = 1.0;
            for (std::size_t i = 0; i < n; ++i) {
                if (i == j) { continue; }
                for (std::size_t k = n - 1; k > 0; --k) { a[k] = (a[k - 1] - r[i] * a[k]) / (r[j] - r[i]); }
                a[0] *= -r[i] / (r[j] - r[i]);
            }
            double factorial = 1.0;
            for (std::size_t k = 0; k < n; ++k) {
                factorial *= static_cast<double>(k + 1);
                a[k] *= factorial;
            }
            double weight = 0.0;
            if (j + 1 == n) {
                weight = term(n - 1) * a[n < 2 ? 0 : n - 2];
            } else {
                for (std::size_t k = 0; k + 1 < n; ++k) { weight += term(k) * a[k]; }
            }
            sum += weight / r[j] * (nodes[j + 1].value - nodes[0].value);
        }
        return sum;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "unipc(order=" + std::to_string(order);
        text += variant == bh::bh1 ? ", bh1" : variant == bh::bh2 ? ", bh2" : ", vary_coeff";
        text += predicts == form::data ? ", data" : ", noise";
        if (!corrector) { text += ", no corrector"; }
        for (const std::size_t step : uncorrected) { text += ", uncorrected " + std::to_string(step); }
        if (!lower_order_final) { text += ", full order to the end"; }
        if (euler_at_final) { text += ", euler at final"; }
        if (start == solver::start::single_step) { text += ", single-step start"; }
        if (predictor != nullptr) { text += ", own predictor"; }
        if (peer_formula) { text += ", peer formula"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
