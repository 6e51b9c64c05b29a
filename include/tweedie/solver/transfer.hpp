// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/schedule/concept.hpp>

namespace tweedie::solver {

/// DDIM's transfer: the step from s to t along one noise prediction, exact where eps_hat is constant.
///
///     x_t = (alpha_t / alpha_s) x_s + (sigma_t - alpha_t sigma_s / alpha_s) eps
///
/// Source: Song, Meng and Ermon 2020, arXiv:2010.02502, equation 12 with sigma = 0.
/// - `s`  alpha > 0.
[[nodiscard]] inline linear_form noise_step(const linear_form& x, const level& s, const level& t,
                                            const linear_form& eps) {
    return (t.alpha / s.alpha) * x + (t.sigma - t.alpha * s.sigma / s.alpha) * eps;
}

/// The same transfer in data prediction, which has its limits built in: from pure noise (alpha_s = 0),
/// where sigma / alpha is infinite and eps_hat says nothing about the data, and to sigma_t = 0.
///
///     x_t = (sigma_t / sigma_s) x_s + (alpha_t - alpha_s sigma_t / sigma_s) x0
///
/// - `s`  sigma > 0.
[[nodiscard]] inline linear_form data_step(const linear_form& x, const level& s, const level& t,
                                           const linear_form& x0) {
    const double keep = t.sigma / s.sigma;
    return keep * x + (t.alpha - s.alpha * keep) * x0;
}

}  // namespace tweedie::solver
