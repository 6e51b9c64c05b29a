// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::solver {

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
/// are integrated exactly against the exponential kernel, so the solution is `exponential_weights` and B(h)
/// cancels. B(h) is left only where the paper replaces the solution by a constant: a = 1/2 for UniP-2 and c =
/// 1/2 for UniC-1. There B = -h (bh1) or e^(-h) - 1 (bh2). Noise prediction is the same with `alpha_t /
/// alpha_s`, `-sigma_t` and the kernel e^(+h).
/// - order   p for the predictor, p + 1 with the corrector (measured; the paper's theorem 3.1). Start-up and,
///           with `lower_order_final`, the last steps use fewer nodes. A step to sigma = 0 is of first order:
///           only that has a limit.
/// - cost    1 network call per step, none is spent on the corrector; order + 1 live tensors, order + 2 in
///           noise prediction.
/// - errors  `std::invalid_argument`: order 0 or above 8; levels that are not strictly denoising.
/// - choose  at 5 to 20 calls: order 3 unconditional, order 2 with guidance; on `grid::log_snr` over the
///           range that matters, since the long first steps of `grid::karras` over a wide range cost more
///           than the order gains (`analyze` shows it for your data's variance).
struct unipc {
    enum class bh { bh1, bh2 };
    enum class form { data, noise };

    std::size_t order = 3;                      ///< order of the predictor; 1 to 8
    bh variant = bh::bh2;                       ///< B(h) of the shortcuts
    form predicts = form::data;                 ///< which prediction is interpolated
    bool corrector = true;                      ///< use UniC
    std::vector<std::size_t> uncorrected = {};  ///< steps whose result is not corrected, counted from 0
    bool lower_order_final = true;  ///< the last steps use fewer nodes; steadier below about 15 steps

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 8)) { throw std::invalid_argument("unipc: order must lie in [1, 8]"); }
        require_levels(levels, "unipc");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable predicted = p.variable("x~");
        predicted = x;
        plan_history m = p.remember(predicts == form::data ? "x0_hat" : "eps_hat", order + 1);
        std::size_t previous_order = 0;
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            m.push(predicts == form::data ? p.data_prediction(predicted, s)
                                          : p.noise_prediction(predicted, s));
            const auto known = [&](std::size_t age) { return node{levels[i - age].half_log_snr(), m[age]}; };
            const bool correct =
                i > 0 && corrector &&
                std::find(uncorrected.begin(), uncorrected.end(), i - 1) == uncorrected.end();
            if (correct) {
                const node ahead = known(0);
                x = update(x, levels[i - 1], s, nodes(known, 1, previous_order), &ahead);
            } else {
                x = predicted;
            }
            std::size_t usable = std::min(order, i + 1);
            if (lower_order_final) { usable = std::min(usable, p.steps() - i); }
            if (t.sigma == 0.0) { usable = 1; }
            const std::vector<node> used = nodes(known, 0, usable);
            predicted = update(x, s, t, used, nullptr);
            previous_order = used.size();
        }
        return p.finish(predicted);
    }

private:
    struct node {
        double lambda = 0.0;
        linear_form m;
    };

    /// The nodes of ages `first`, `first + 1`, ...; a node at pure noise has no place on the lambda axis and
    /// is used only alone.
    template <class Known>
    [[nodiscard]] static std::vector<node> nodes(const Known& known, std::size_t first, std::size_t count) {
        std::vector<node> chosen;
        for (std::size_t j = 0; j < count; ++j) {
            node next = known(first + j);
            if (j > 0 && !std::isfinite(next.lambda)) { break; }
            chosen.push_back(std::move(next));
        }
        return chosen;
    }

    /// One update from s to t: UniP through `known` (known[0] at s), UniC with the value `ahead` at t as
    /// well.
    [[nodiscard]] linear_form update(const linear_form& x, const level& s, const level& t,
                                     std::vector<node> known, const node* ahead) const {
        const double h = log_snr_step(s, t);
        const linear_form m0 = known[0].m;
        // A step from pure noise or to clean data has the same limit in both forms.
        const bool data = predicts == form::data;
        const double rate = data ? 1.0 : -1.0;
        const double scale = data ? t.alpha : -t.sigma;
        if (!std::isfinite(h)) { return infinite_step(x, s, t, m0); }
        const double exact = -std::expm1(-rate * h) / rate;  // int e^(-rate (lambda_t - lambda))
        const linear_form base = (data ? t.sigma / s.sigma : t.alpha / s.alpha) * x + scale * exact * m0;

        const double shortcut = (variant == bh::bh1 ? h : exact) / 2;  // |B(h)| times the constant 1/2
        if (ahead == nullptr && known.size() == 2) {
            const double r = (known[1].lambda - known[0].lambda) / h;
            return base + scale * shortcut * ((known[1].m - m0) / r);
        }
        if (ahead != nullptr && known.size() == 1) { return base + scale * shortcut * (ahead->m - m0); }

        if (ahead != nullptr) { known.push_back(*ahead); }
        std::vector<double> lambdas;
        for (const node& n : known) { lambdas.push_back(n.lambda); }
        const std::vector<double> w =
            exponential_weights(lambdas, known[0].lambda, known[0].lambda + h, rate);
        linear_form sum = base;
        for (std::size_t j = 1; j < known.size(); ++j) { sum += scale * w[j] * (known[j].m - m0); }
        return sum;
    }

    [[nodiscard]] linear_form infinite_step(const linear_form& x, const level& s, const level& t,
                                            const linear_form& m0) const {
        const double keep = t.sigma / s.sigma;
        if (predicts == form::data) { return keep * x + t.alpha * m0; }
        if (s.alpha == 0.0) {
            throw std::invalid_argument("unipc: noise prediction is not defined from pure noise (alpha = 0)");
        }
        return (t.alpha / s.alpha) * (x - s.sigma * m0);  // sigma_t = 0
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "unipc(order=" + std::to_string(order);
        text += variant == bh::bh1 ? ", bh1" : ", bh2";
        text += predicts == form::data ? ", data" : ", noise";
        if (!corrector) { text += ", no corrector"; }
        for (const std::size_t step : uncorrected) { text += ", uncorrected " + std::to_string(step); }
        if (!lower_order_final) { text += ", full order to the end"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
