// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

/// Which prediction of the network a method interpolates.
enum class form {
    data,   ///< x0_hat
    noise,  ///< eps_hat
};

/// How a step through two nodes weights their difference.
enum class difference {
    midpoint,  ///< by half of what the constant gets: DPM-Solver's shortcut
    taylor,    ///< by the exact integral of the straight line (popular software calls it heun)
};

/// Which prediction a step from `s` uses where the method interpolates `predicts`: at pure noise (alpha = 0)
/// eps_hat is x / sigma whatever the network says, so the step from there is one in data prediction.
[[nodiscard]] inline form form_at(const level& s, form predicts) {
    return s.alpha == 0.0 ? form::data : predicts;
}

/// Evaluates the network at `x` and gives the prediction a step from `at` uses. One network call.
[[nodiscard]] inline linear_form evaluate(plan_writer& p, const linear_form& x, const level& at,
                                          form predicts) {
    return form_at(at, predicts) == form::data ? p.data_prediction(x, at) : p.noise_prediction(x, at);
}

/// A prediction the method knows, and where on the half-log-SNR axis it belongs.
struct exponential_node {
    double half_log_snr = 0.0;
    linear_form value;
};

/// The `count` values of `history` from age `first` on, as nodes: the value of age a belongs to
/// `levels[newest - a]`. After the first, a node at pure noise ends the list: it has no place on the axis.
[[nodiscard]] inline std::vector<exponential_node> history_nodes(const plan_history& history,
                                                                 std::span<const level> levels,
                                                                 std::size_t newest, std::size_t first,
                                                                 std::size_t count) {
    std::vector<exponential_node> nodes;
    for (std::size_t age = first; age < first + count; ++age) {
        const double at = levels[newest - age].half_log_snr();
        if (age > first && !std::isfinite(at)) { break; }
        nodes.push_back({at, history[age]});
    }
    return nodes;
}

/// A stretch of a step over which the stochasticity is constant.
///
/// - `from`, `to`  its ends, as distances in half-log-SNR from the start of the step: 0 to h, infinite where
///                 the step is.
/// - `tau`         stochasticity, >= 0.
struct tau_piece {
    double from = 0.0;
    double to = 0.0;
    double tau = 0.0;
};

/// Integral of tau^2 over a step.
[[nodiscard]] inline double integral_of_tau_squared(std::span<const tau_piece> pieces) {
    double sum = 0.0;
    for (const tau_piece& p : pieces) {
        if (p.tau > 0.0) { sum += p.tau * p.tau * (p.to - p.from); }
    }
    return sum;
}

/// Weight of x_s in an exponential step from s to t: `sigma_t/sigma_s e^(-int tau^2)` in data prediction,
/// `alpha_t/alpha_s` in noise prediction. Noise that entered at s arrives at t with this weight.
[[nodiscard]] inline double exponential_decay(const level& s, const level& t, form predicts,
                                              std::span<const tau_piece> pieces) {
    if (predicts == form::data) { return t.sigma / s.sigma * std::exp(-integral_of_tau_squared(pieces)); }
    return t.alpha / s.alpha;
}

/// Standard deviation of the fresh noise of an exponential step of the SDE with stochasticity `tau`.
///
///     data    sigma_t sqrt(1 - e^(-2 int tau^2))
///     noise   sigma_t sqrt(int 2 tau^2 e^(2 (lambda_t - lambda)))
///
/// which for a constant tau are sigma_t sqrt(1 - e^(-2 tau^2 h)) and sigma_t tau sqrt(e^(2 h) - 1).
///
/// Zero for tau = 0 and on a step to sigma_t = 0.
[[nodiscard]] inline double exponential_noise(const level& s, const level& t, form predicts,
                                              std::span<const tau_piece> pieces) {
    if (t.sigma == 0.0) { return 0.0; }
    if (predicts == form::data) {
        return t.sigma * std::sqrt(-std::expm1(-2.0 * integral_of_tau_squared(pieces)));
    }
    const double h = log_snr_step(s, t);
    double variance = 0.0;
    for (const tau_piece& p : pieces) {
        if (p.tau == 0.0) { continue; }
        variance += p.tau * p.tau * std::exp(2.0 * (h - p.to)) * std::expm1(2.0 * (p.to - p.from));
    }
    return t.sigma * std::sqrt(variance);
}

/// The same for a constant tau.
[[nodiscard]] inline double exponential_noise(const level& s, const level& t, form predicts, double tau) {
    const tau_piece whole{0.0, log_snr_step(s, t), tau};
    return exponential_noise(s, t, predicts, std::span(&whole, 1));
}

/// One step from s to t in which everything linear is exact and the network's predictions are a polynomial in
/// half-log-SNR through `nodes`.
///
///     data    x_t = sigma_t/sigma_s e^(-tau^2 h) x_s + alpha_t (1 + tau^2) sum_j w_j x0_j
///     noise   x_t = alpha_t/alpha_s x_s - sigma_t (1 + tau^2) sum_j w_j eps_j
///
/// h = lambda_t - lambda_s, w from `exponential_weights` at rate 1 + tau^2 (data) or -1 (noise); where tau
/// varies along the step, the sum over the pieces on which it is constant. This is the step of
/// DPM-Solver(++), UniPC, RES, SA-Solver and SEEDS; they differ in their nodes. A predictor's nodes lie at s
/// and before, a corrector's include t.
/// Source: Lu et al. 2022, arXiv:2211.01095, proposition 4.1; Xue et al. 2023, arXiv:2309.05019, proposition
/// 4.2 and its noise-prediction counterpart.
/// - `nodes`   nodes[0] at s; distinct. A step to sigma_t = 0 or from alpha_s = 0 has a limit for one value
///             only: nodes[0] is used. Nodes at infinity are left out.
/// - `pieces`  stochasticity, covering the step in order; `tau = 0` is the ODE. Add `exponential_noise` times
///             a fresh draw. On a step to sigma_t = 0 in noise form it counts as 0.
/// - order     as many as nodes (local order one more).
/// - errors    `std::invalid_argument`: no node; noise prediction from pure noise (alpha = 0).
[[nodiscard]] inline linear_form exponential_step(const linear_form& x, const level& s, const level& t,
                                                  std::span<const exponential_node> nodes, form predicts,
                                                  std::span<const tau_piece> pieces) {
    if (nodes.empty()) { throw std::invalid_argument("exponential_step: need at least one node"); }
    const double h = log_snr_step(s, t);
    const bool data = predicts == form::data;
    if (!data && s.alpha == 0.0) {
        throw std::invalid_argument(
            "exponential_step: noise prediction is not defined from pure noise (alpha = 0)");
    }
    if (!std::isfinite(h)) {
        if (data) { return exponential_decay(s, t, predicts, pieces) * x + t.alpha * nodes[0].value; }
        return (t.alpha / s.alpha) * (x - s.sigma * nodes[0].value);  // sigma_t = 0
    }
    std::vector<double> at;
    std::vector<const linear_form*> values;
    for (const exponential_node& n : nodes) {
        if (!std::isfinite(n.half_log_snr)) { continue; }
        // the distance from s by differences of lambda is what is interpolated over; s itself is exactly 0
        at.push_back(n.half_log_snr - s.half_log_snr());
        values.push_back(&n.value);
    }
    if (at.empty()) { throw std::invalid_argument("exponential_step: need a node at a finite half_log_snr"); }
    linear_form sum = exponential_decay(s, t, predicts, pieces) * x;
    double after = integral_of_tau_squared(pieces);  // of tau^2, from the end of the piece to t
    for (const tau_piece& p : pieces) {
        if (p.to == p.from) { continue; }
        const double drift = 1.0 + p.tau * p.tau;
        after -= p.tau * p.tau * (p.to - p.from);
        // what enters during the piece still decays until t; exactly 1 for the last piece
        const bool last = p.to == h;
        const double remains = last ? 1.0 : data ? std::exp(p.to - h - after) : std::exp(h - p.to);
        const double scale = (data ? t.alpha * drift : -t.sigma * drift) * remains;
        const std::vector<double> w = exponential_weights(at, p.from, p.to, data ? drift : -1.0);
        for (std::size_t j = 0; j < at.size(); ++j) { sum += scale * w[j] * *values[j]; }
    }
    return sum;
}

/// The same for a constant tau.
[[nodiscard]] inline linear_form exponential_step(const linear_form& x, const level& s, const level& t,
                                                  std::span<const exponential_node> nodes, form predicts,
                                                  double tau = 0.0) {
    const tau_piece whole{0.0, log_snr_step(s, t), tau};
    return exponential_step(x, s, t, nodes, predicts, std::span(&whole, 1));
}

/// What the constant gets in `exponential_step`: `int e^(-rate (lambda_t - lambda)) dlambda` from s to t.
[[nodiscard]] inline double exponential_integral(const level& s, const level& t, form predicts,
                                                 double tau = 0.0) {
    const double rate = predicts == form::data ? 1.0 + tau * tau : -1.0;
    return -std::expm1(-rate * log_snr_step(s, t)) / rate;
}

/// `exponential_step` through two nodes with the shortcut of DPM-Solver and UniPC: the difference gets B / 2
/// instead of the integral of the straight line, to which it is equal up to O(h^2).
///
///     data    x_t = (step with m0) + alpha_t (1 + tau^2) B/2 (m1 - m0) / r,    r = (lambda_1 - lambda_s) / h
///     noise   x_t = (step with m0) - sigma_t (1 + tau^2) B/2 (m1 - m0) / r
///
/// Source: Lu et al. 2022, arXiv:2206.00927, algorithm 1, and arXiv:2211.01095, algorithms 1 and 2; Zhao et
/// al. 2023, arXiv:2302.04867.
/// - `b`     B > 0: `exponential_integral` (DPM-Solver's midpoint, UniPC's bh2) or h (bh1).
/// - order   2 (local order 3). Where `exponential_step` uses one node, so does this.
[[nodiscard]] inline linear_form shortcut_step(const linear_form& x, const level& s, const level& t,
                                               const exponential_node& m0, const exponential_node& m1,
                                               form predicts, double b, double tau = 0.0) {
    const linear_form base = exponential_step(x, s, t, {&m0, 1}, predicts, tau);
    const double h = log_snr_step(s, t);
    if (!std::isfinite(h) || !std::isfinite(m1.half_log_snr)) { return base; }
    const double r = (m1.half_log_snr - m0.half_log_snr) / h;
    const double scale = (predicts == form::data ? t.alpha : -t.sigma) * (1.0 + tau * tau);
    return base + scale * b / (2.0 * r) * (m1.value - m0.value);
}

/// `exponential_step` through `nodes`, where two nodes are weighted as `variant` says.
[[nodiscard]] inline linear_form exponential_step(const linear_form& x, const level& s, const level& t,
                                                  std::span<const exponential_node> nodes, form predicts,
                                                  difference variant, double tau = 0.0) {
    if (nodes.size() == 2 && variant == difference::midpoint) {
        return shortcut_step(x, s, t, nodes[0], nodes[1], predicts, exponential_integral(s, t, predicts, tau),
                             tau);
    }
    return exponential_step(x, s, t, nodes, predicts, tau);
}

}  // namespace tweedie::solver
