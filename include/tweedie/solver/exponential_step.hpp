// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

/// Which prediction of the network a method interpolates.
enum class form {
    data,   ///< x0_hat
    noise,  ///< eps_hat
};

/// A prediction the method knows, and where on the half-log-SNR axis it belongs.
struct exponential_node {
    double half_log_snr = 0.0;
    linear_form value;
};

/// Standard deviation of the fresh noise of an exponential step of the SDE with stochasticity `tau`.
///
///     data    sigma_t sqrt(1 - e^(-2 tau^2 h))
///     noise   sigma_t tau sqrt(e^(2 h) - 1)
///
/// Zero for tau = 0 and on a step to sigma_t = 0.
[[nodiscard]] inline double exponential_noise(const level& s, const level& t, form predicts, double tau) {
    if (tau == 0.0 || t.sigma == 0.0) { return 0.0; }
    const double h = log_snr_step(s, t);
    if (predicts == form::data) { return t.sigma * std::sqrt(-std::expm1(-2.0 * tau * tau * h)); }
    return t.sigma * tau * std::sqrt(std::expm1(2.0 * h));
}

/// One step from s to t in which everything linear is exact and the network's predictions are a polynomial in
/// half-log-SNR through `nodes`.
///
///     data    x_t = sigma_t/sigma_s e^(-tau^2 h) x_s + alpha_t (1 + tau^2) sum_j w_j x0_j
///     noise   x_t = alpha_t/alpha_s x_s - sigma_t (1 + tau^2) sum_j w_j eps_j
///
/// h = lambda_t - lambda_s, w from `exponential_weights` at rate 1 + tau^2 (data) or -1 (noise). This is the
/// step of DPM-Solver(++), UniPC, RES, SA-Solver and SEEDS; they differ in their nodes. A predictor's nodes lie
/// at s and before, a corrector's include t.
/// Source: Lu et al. 2022, arXiv:2211.01095, proposition 4.1; Xue et al. 2023, arXiv:2309.05019, proposition
/// 4.2 and its noise-prediction counterpart.
/// - `nodes`  nodes[0] at s; distinct. A step to sigma_t = 0 or from alpha_s = 0 has a limit for one value only:
///            nodes[0] is used. Nodes at infinity are left out.
/// - `tau`    stochasticity, 0 for the ODE; add `exponential_noise` times a fresh draw. On a step to sigma_t = 0
///            in noise form it counts as 0.
/// - order    as many as nodes (local order one more).
/// - errors   `std::invalid_argument`: no node; noise prediction from pure noise (alpha = 0).
[[nodiscard]] inline linear_form exponential_step(const linear_form& x, const level& s, const level& t,
                                                  std::span<const exponential_node> nodes, form predicts,
                                                  double tau = 0.0) {
    if (nodes.empty()) { throw std::invalid_argument("exponential_step: need at least one node"); }
    const double h = log_snr_step(s, t);
    const bool data = predicts == form::data;
    if (!data && s.alpha == 0.0) {
        throw std::invalid_argument(
            "exponential_step: noise prediction is not defined from pure noise (alpha = 0)");
    }
    if (!std::isfinite(h)) {
        if (data) { return (tau == 0.0 ? t.sigma / s.sigma : 0.0) * x + t.alpha * nodes[0].value; }
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
    const double drift = 1.0 + tau * tau;
    const double scale = data ? t.alpha * drift : -t.sigma * drift;
    const std::vector<double> w = exponential_weights(at, 0.0, h, data ? drift : -1.0);
    linear_form sum = (data ? t.sigma / s.sigma * std::exp(-tau * tau * h) : t.alpha / s.alpha) * x;
    for (std::size_t j = 0; j < at.size(); ++j) { sum += scale * w[j] * *values[j]; }
    return sum;
}

}  // namespace tweedie::solver
