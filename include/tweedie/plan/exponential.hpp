// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie {

/// The step in half-log-SNR from level s to level t, `h = lambda_t - lambda_s`; +infinity when t is clean or
/// s is pure noise.
///
/// Formed from ratios, so that close levels do not lose digits to the size of lambda.
[[nodiscard]] inline double log_snr_step(const level& s, const level& t) {
    if (t.sigma == 0.0 || s.alpha == 0.0) { return std::numeric_limits<double>::infinity(); }
    return std::log(t.alpha / s.alpha) - std::log(t.sigma / s.sigma);
}

/// The phi functions of exponential integrators:
///
///     phi_0(z) = e^z,    phi_k(z) = int_0^1 e^((1 - u) z) u^(k-1) / (k-1)! du    (k >= 1)
///
/// Source: Hochbruck and Ostermann 2010, Exponential integrators, Acta Numerica 19, section 2. By the series
/// `sum z^n / (n + k)!` where its terms only fall (|z| <= k + 1), by the recurrence `phi_(k+1) = (phi_k
/// - 1/k!) / z` beyond; relative error below 1e-14 for k <= 8. Finite at z = -infinity.
[[nodiscard]] inline double phi(int k, double z) {
    if (k == 0) { return std::exp(z); }
    if (std::abs(z) <= k + 1.0) {
        double term = 1.0;
        for (int i = 2; i <= k; ++i) { term /= i; }
        double sum = 0.0;
        for (int n = 1; sum + term != sum; ++n) {
            sum += term;
            term *= z / (n + k);
        }
        return sum;
    }
    double value = std::expm1(z) / z;
    double factorial = 1.0;
    for (int i = 1; i < k; ++i) {
        factorial *= i;
        value = (value - 1.0 / factorial) / z;
    }
    return value;
}

/// Weights of an exponential integrator: the exact integral of the interpolation polynomial against the
/// exponential kernel,
///
///     sum_j w_j m_j = int_s^t e^(-rate (lambda_t - lambda)) M(lambda) dlambda,
///
/// M the polynomial through (nodes_j, m_j), by divided differences and phi functions. This one function is
/// behind DPM-Solver(++), UniPC, DEIS, SA-Solver and their kin:
///
///     data prediction    rate = 1            x_t = sigma_t/sigma_s x_s + alpha_t sum w_j x0_j
///     noise prediction   rate = -1           x_t = alpha_t/alpha_s x_s - sigma_t sum w_j eps_j
///     SDE, tau constant  rate = 1 + tau^2    drift as in data prediction with (1 + tau^2) w_j
///
/// Sources: DPM-Solver++, arXiv:2211.01095, proposition 4.1; DPM-Solver, arXiv:2206.00927, proposition 3.1;
/// SA-Solver, arXiv:2309.05019.
///
/// - from, to  half-log-SNR of the two ends; `from < to` removes noise, `from > to` adds it (inversion).
/// - nodes     half-log-SNR of the known values; distinct, anywhere (behind `from`: predictor; `to` among
///             them: corrector).
/// - returns   one weight per node. They sum to `(1 - e^(-rate h)) / rate`.
/// - order     as many as nodes.
/// - errors    `std::invalid_argument`: no node, equal nodes, and more than one node when the interval is
///             infinite (sigma = 0 or alpha = 0 at an end: only the constant has a limit there; for one node
///             the weight is exact, with rate > 0).
[[nodiscard]] inline std::vector<double> exponential_weights(std::span<const double> nodes, double from,
                                                             double to, double rate = 1.0) {
    if (nodes.empty()) { throw std::invalid_argument("exponential_weights: need at least one node"); }
    if (!(from < to || from > to)) { throw std::invalid_argument("exponential_weights: need from != to"); }
    const double h = to - from;
    const std::size_t n = nodes.size();
    if (n == 1) { return {rate == 0.0 ? h : -std::expm1(-rate * h) / rate}; }
    std::vector<double> r(n);
    for (std::size_t j = 0; j < n; ++j) {
        r[j] = (nodes[j] - from) / h;
        if (!std::isfinite(r[j]) || !std::isfinite(h)) {
            throw std::invalid_argument(
                "exponential_weights: several nodes need a finite interval and finite nodes");
        }
        for (std::size_t i = 0; i < j; ++i) {
            if (r[i] == r[j]) { throw std::invalid_argument("exponential_weights: nodes must be distinct"); }
        }
    }
    // Moments of u^k, then of Newton's basis N_k(u) = prod_(i<k) (u - r_i), then the divided differences
    // transposed.
    std::vector<double> moment(n);
    double factorial = 1.0;
    for (std::size_t k = 0; k < n; ++k) {
        if (k > 1) { factorial *= static_cast<double>(k); }
        moment[k] = factorial * phi(static_cast<int>(k) + 1, -rate * h);
    }
    std::vector<double> weights(n, 0.0);
    std::vector<double> newton(n, 0.0);  // coefficients of N_k in powers of u
    newton[0] = 1.0;
    for (std::size_t k = 0; k < n; ++k) {
        double integral = 0.0;
        for (std::size_t i = 0; i <= k; ++i) { integral += newton[i] * moment[i]; }
        for (std::size_t j = 0; j <= k; ++j) {
            double product = 1.0;
            for (std::size_t i = 0; i <= k; ++i) {
                if (i != j) { product *= r[j] - r[i]; }
            }
            weights[j] += h * integral / product;
        }
        if (k + 1 < n) {
            for (std::size_t i = k + 1; i > 0; --i) { newton[i] = newton[i - 1] - r[k] * newton[i]; }
            newton[0] *= -r[k];
        }
    }
    return weights;
}

}  // namespace tweedie
