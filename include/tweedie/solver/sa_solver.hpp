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
#include <tweedie/solver/tau.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// SA-Solver: stochastic Adams, predictor and corrector, with any stochasticity tau(lambda).
///
///     base    = sigma_t/sigma_s e^(-int tau^2) x_s + sigma_t sqrt(1 - e^(-2 int tau^2)) z
///     predict   x~_t = base + int of the polynomial through the last `order` predictions
///     correct   x_t  = base + int of the polynomial through that at x~_t and `corrector` - 1 before it
///
/// the integral over the step is `alpha_t int (1 + tau^2) e^(-(lambda_t - lambda) - int_lambda^(lambda_t)
/// tau^2)`, exact where tau is constant in pieces; noise prediction likewise. The noise of a step is the same
/// in both. Source: Xue et al. 2023, arXiv:2309.05019 (SA-Predictor, SA-Corrector); appendix D for
/// `few_steps`, which replaces the exact weight of the difference in second-order formulas by `int (1 +
/// tau^2) / 2`, as UniPC's bh1 does.
/// - order   of the drift: `order`, with a corrector min(order + 1, corrector); the first steps, with fewer
///           nodes, cap it at 2, with a corrector at 3, and so do the last with `lower_order_final`.
///           Deviation of Gaussian data: at most 2 where tau > 0. A step to sigma = 0 or from alpha = 0 is of
///           first order, and in PEC the state before a step to sigma = 0 is not corrected: x0_hat is all
///           that counts.
/// - cost    1 network call per step (PECE: 2, the first 1); one more with `correct_last`. max(order,
///           corrector - 1) + 1 live tensors; as many + 2 reads, noise included, and 2 writes.
/// - random  one draw per step where tau > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: order outside [1, 4], corrector outside [0, 4]; s_noise negative, NaN
///           or infinite; a tau_profile for another number of steps; levels that are not strictly denoising.
/// - choose  order 2, corrector 2 for stochastic sampling from 20 calls on: the corrector costs no call and
///           leaves two thirds (24 calls) to a quarter (96) of the error of DPM++ 2M SDE on Gaussian data.
///           `few_steps` has been worse there at every number of calls.
struct sa_solver {
    enum class evaluation {
        pec,   ///< the prediction at x~_t is kept
        pece,  ///< the network is asked again at the corrected state
    };

    std::size_t order = 2;              ///< nodes of the predictor; 1 to 4
    std::size_t corrector = 2;          ///< nodes of the corrector, the new one among them; 0 (none) to 4
    tau_profile tau = 1.0;              ///< stochasticity
    form predicts = form::data;         ///< which prediction is interpolated
    evaluation mode = evaluation::pec;  ///< what the history holds
    bool few_steps = false;             ///< appendix D's weights where two nodes are used (data prediction)
    bool lower_order_final = true;      ///< the last steps use fewer nodes
    bool correct_last = false;          ///< one more call to correct the end, where sigma > 0
    double s_noise = 1.0;               ///< factor on the noise; 1 keeps the law

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 4)) {
            throw std::invalid_argument("sa_solver: order must lie in [1, 4]");
        }
        if (!(corrector <= 4)) { throw std::invalid_argument("sa_solver: corrector must lie in [0, 4]"); }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("sa_solver: s_noise must be finite and not negative");
        }
        require_levels(levels, "sa_solver");
        tau.require_steps(levels.size() - 1, "sa_solver");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable predicted = p.variable("x~");
        predicted = x;
        plan_history m =
            p.remember(predicts == form::data ? "x0_hat" : "eps_hat", std::max(order, corrector));
        std::size_t predicted_with = 0;  // nodes of the prediction of the step before
        std::size_t correct_with = 0;    // and of its correction; 0: it is not corrected
        // base = x~ less what the predictor added, so it is not kept
        const auto correct = [&](std::size_t i, const linear_form& ahead) {
            const level& s = levels[i - 1];
            std::vector<exponential_node> nodes = {{levels[i].half_log_snr(), ahead}};
            for (const exponential_node& n : history_nodes(m, levels, i - 1, 0, correct_with - 1)) {
                nodes.push_back(n);
            }
            return predicted + drift(i - 1, s, levels[i], nodes) -
                   drift(i - 1, s, levels[i], history_nodes(m, levels, i - 1, 0, predicted_with));
        };
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (s.alpha == 0.0 || t.sigma == 0.0) {
                // at these ends only the data prediction has a limit, and only one value of it
                if (correct_with > 0 && mode == evaluation::pece) {
                    const linear_form ahead = evaluate(p, predicted, s, predicts);
                    x = correct(i, ahead);
                } else {
                    x = predicted;
                }
                const linear_form x0 = p.data_prediction(x, s);
                predicted = end_step(p, x, i, s, t, x0);
                correct_with = 0;
                continue;
            }
            linear_form ahead = evaluate(p, predicted, s, predicts);
            if (correct_with > 0) {
                x = correct(i, ahead);
                if (mode == evaluation::pece) { ahead = evaluate(p, x, s, predicts); }
            } else {
                x = predicted;
            }
            m.push(ahead);

            const std::vector<tau_piece> pieces = tau.pieces(i, s, t);
            const std::size_t left = lower_order_final ? p.steps() - i : order + corrector;
            predicted_with = std::min({order, m.size(), left});
            correct_with = std::min({corrector, m.size() + 1, left + 1});
            predicted = exponential_decay(s, t, predicts, pieces) * x +
                        drift(i, s, t, history_nodes(m, levels, i, 0, predicted_with));
            const double noise = s_noise * exponential_noise(s, t, predicts, pieces);
            if (noise > 0.0) { predicted = predicted + noise * p.noise(); }
        }
        if (correct_last && correct_with > 0) {
            const linear_form ahead = evaluate(p, predicted, levels.back(), predicts);
            return p.finish(correct(p.steps(), ahead));
        }
        return p.finish(predicted);
    }

private:
    [[nodiscard]] linear_form end_step(plan_writer& p, const linear_form& x, std::size_t i, const level& s,
                                       const level& t, const linear_form& x0) const {
        const std::vector<tau_piece> pieces = tau.pieces(i, s, t);
        const exponential_node only{s.half_log_snr(), x0};
        linear_form out = exponential_step(x, s, t, std::span(&only, 1), form::data, pieces);
        const double noise = s_noise * exponential_noise(s, t, form::data, pieces);
        if (noise > 0.0) { out += noise * p.noise(); }
        return out;
    }

    /// What the predictions add over step `i` from s to t: exact for their polynomial, but for `few_steps`.
    [[nodiscard]] linear_form drift(std::size_t i, const level& s, const level& t,
                                    const std::vector<exponential_node>& nodes) const {
        const std::vector<tau_piece> pieces = tau.pieces(i, s, t);
        const linear_form nothing;
        if (!(few_steps && predicts == form::data && nodes.size() == 2)) {
            return exponential_step(nothing, s, t, nodes, predicts, pieces);
        }
        const bool correcting = nodes[0].half_log_snr > s.half_log_snr();
        const exponential_node& at_s = nodes[correcting ? 1 : 0];
        const exponential_node& other = nodes[correcting ? 0 : 1];
        const double h = log_snr_step(s, t);
        const double weight = (h + integral_of_tau_squared(pieces)) / 2.0;  // int (1 + tau^2) / 2
        const double slope = h / (other.half_log_snr - s.half_log_snr());
        return exponential_step(nothing, s, t, std::span(&at_s, 1), predicts, pieces) +
               t.alpha * weight * slope * (other.value - at_s.value);
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "sa_solver(order=" + std::to_string(order);
        text += ", corrector=" + std::to_string(corrector) + ", tau=" + tau.describe();
        text += predicts == form::data ? ", data" : ", noise";
        if (mode == evaluation::pece) { text += ", PECE"; }
        if (few_steps) { text += ", few steps"; }
        if (!lower_order_final) { text += ", full order to the end"; }
        if (correct_last) { text += ", end corrected"; }
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        return text + ")";
    }
};

}  // namespace tweedie::solver
