// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace tweedie::schedule {

/// Options of `vp_linear`; the defaults are those of Song et al. 2021.
struct vp_linear_options {
    double beta_min = 0.1;   ///< noise rate at t = 0, per unit of t; > 0, finite
    double beta_max = 20.0;  ///< noise rate at t = 1, per unit of t; >= beta_min, finite
    double clean = 1e-3;     ///< time of the last noise level sampled by default; in (0, 1)
};

/// Variance-preserving schedule with a noise rate linear in time.
///
///     beta(t) = beta_min + t (beta_max - beta_min),    B(t) = int_0^t beta
///     alpha   = exp(-B / 2),    sigma = sqrt(1 - exp(-B)),    alpha^2 + sigma^2 = 1
///     lambda  = -ln(exp(B) - 1) / 2
///
/// Source: Song et al. 2021, arXiv:2011.13456, equation 33 (the continuous limit of DDPM). Deviation: none;
/// sigma and lambda are evaluated by expm1 and log1p, so they keep full relative accuracy down to t = 0.
/// - `t`     in [0, 1]; 0 is clean (sigma = 0 exactly), 1 is the noisy end, where alpha > 0 (0.0064 by
///           default): there is no pure-noise level, `time_at(-infinity)` throws.
/// - range   {1, options.clean}.
/// - rates   `sigma_rate(0)` is +infinity: sigma grows like sqrt(beta_min t).
/// - errors  tier 1: options out of range, t outside [0, 1], `half_log_snr` below that of t = 1; NaN each
///           time.
class vp_linear {
public:
    vp_linear() : vp_linear(vp_linear_options{}) {}
    explicit vp_linear(const vp_linear_options& options) : options_(options) {
        if (!(options.beta_min > 0.0 && options.beta_max >= options.beta_min &&
              std::isfinite(options.beta_max))) {
            throw std::invalid_argument("schedule::vp_linear: need 0 < beta_min <= beta_max < infinity");
        }
        if (!(options.clean > 0.0 && options.clean < 1.0)) {
            throw std::invalid_argument("schedule::vp_linear: clean must lie in (0, 1)");
        }
        if (!(alpha(1.0) >= std::numeric_limits<double>::min())) {
            throw std::invalid_argument(
                "schedule::vp_linear: beta_max must leave a signal at t = 1, alpha > 0");
        }
    }

    [[nodiscard]] double alpha(double t) const { return std::exp(-0.5 * integral(t)); }
    [[nodiscard]] double sigma(double t) const { return std::sqrt(-std::expm1(-integral(t))); }
    [[nodiscard]] double alpha_rate(double t) const { return -0.5 * rate(t) * alpha(t); }
    [[nodiscard]] double sigma_rate(double t) const {
        const double b = integral(t);
        if (b == 0.0) { return std::numeric_limits<double>::infinity(); }
        return 0.5 * rate(t) * std::exp(-b) / std::sqrt(-std::expm1(-b));
    }
    [[nodiscard]] double half_log_snr(double t) const { return half_log_snr_of(integral(t)); }
    [[nodiscard]] double time_at(double half_log_snr) const {
        const double end = half_log_snr_of(integral(1.0));
        // a level\'s own lambda must always be accepted, whatever way it was rounded
        const double rounding = 1e-12 * (1.0 + std::abs(end));
        if (!(half_log_snr >= end - rounding)) {
            throw std::invalid_argument("schedule::vp_linear: half_log_snr must be at least that of t = 1");
        }
        if (half_log_snr <= end) { return 1.0; }
        // B = ln(1 + exp(-2 lambda)), written so that neither exponential can overflow
        const double b = half_log_snr > 0.0 ? std::log1p(std::exp(-2.0 * half_log_snr))
                                            : -2.0 * half_log_snr + std::log1p(std::exp(2.0 * half_log_snr));
        // the root of B(t) = b without cancellation
        const double slope = options_.beta_max - options_.beta_min;
        const double root = std::sqrt(options_.beta_min * options_.beta_min + 2.0 * slope * b);
        const double t = 2.0 * b / (options_.beta_min + root);
        return t < 1.0 ? t : 1.0;
    }
    [[nodiscard]] time_range range() const { return {1.0, options_.clean}; }
    [[nodiscard]] const vp_linear_options& options() const { return options_; }

private:
    [[nodiscard]] double rate(double t) const {
        return options_.beta_min + t * (options_.beta_max - options_.beta_min);
    }
    [[nodiscard]] double integral(double t) const {
        if (!(t >= 0.0 && t <= 1.0)) {
            throw std::invalid_argument("schedule::vp_linear: t must lie in [0, 1]");
        }
        return t * (options_.beta_min + 0.5 * t * (options_.beta_max - options_.beta_min));
    }
    [[nodiscard]] static double half_log_snr_of(double b) {
        if (b == 0.0) { return std::numeric_limits<double>::infinity(); }
        if (b < 1.0) { return -0.5 * std::log(std::expm1(b)); }
        return -0.5 * (b + std::log1p(-std::exp(-b)));
    }

    vp_linear_options options_;
};

/// Options of `vp_cosine`. `offset` is that of Nichol and Dhariwal 2021; `noisy` is the end of sampling that
/// Lu et al. 2022 (DPM-Solver, arXiv:2206.00927, and its code) use for this schedule.
struct vp_cosine_options {
    double noisy = 0.9946;  ///< time where sampling starts by default; in (clean, 1]; 1 is exactly pure noise
    double clean = 1e-3;    ///< time of the last noise level sampled by default; in (0, 1)
    double offset = 0.008;  ///< the paper's s, keeps the first steps from vanishing; > 0, finite
};

/// Variance-preserving schedule whose signal scale is a quarter of a cosine.
///
///     alpha = cos(w (t + s)) / cos(w s),    w = (pi / 2) / (1 + s),    sigma = sqrt(1 - alpha^2)
///
/// Source: Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17, in continuous time. Deviation: nothing is
/// clipped here (the paper clips beta at 0.999, which only the table has: `discrete::cosine`); t = 1 is
/// exactly pure noise, alpha = 0. What is clipped is the default sampling range, because a network that
/// predicts epsilon says nothing about the data at alpha = 0; a network that predicts v or x0 may start at
/// `.noisy = 1`.
/// - `t`       in [0, 1]; 0 is clean (sigma = 0 exactly), 1 is pure noise (alpha = 0 exactly).
/// - range     {options.noisy, options.clean}.
/// - rates     `sigma_rate(0)` is +infinity: sigma grows like the square root of t.
/// - accuracy  alpha, sigma and `time_at` keep full relative accuracy at both ends (products of sines, no 1 -
///             alpha^2).
/// - errors    tier 1: options out of range, t outside [0, 1]; NaN each time.
class vp_cosine {
public:
    vp_cosine() : vp_cosine(vp_cosine_options{}) {}
    explicit vp_cosine(const vp_cosine_options& options) : options_(options) {
        if (!(options.offset > 0.0 && std::isfinite(options.offset))) {
            throw std::invalid_argument("schedule::vp_cosine: need 0 < offset < infinity");
        }
        if (!(options.clean > 0.0 && options.clean < options.noisy && options.noisy <= 1.0)) {
            throw std::invalid_argument("schedule::vp_cosine: need 0 < clean < noisy <= 1");
        }
        frequency_ = half_pi / (1.0 + options.offset);
        // cos(w s) as the sine of the complement, so that alpha(0) is the quotient of two equal numbers
        cos_start_ = std::sin(frequency_);
        sin_start_ = std::sin(frequency_ * options.offset);
    }

    [[nodiscard]] double alpha(double t) const {
        require(t);
        return std::sin(frequency_ * (1.0 - t)) / cos_start_;
    }
    [[nodiscard]] double sigma(double t) const {
        const double a = alpha(t);
        if (a < 0.5) { return std::sqrt((1.0 - a) * (1.0 + a)); }
        // cos^2 p - cos^2 q = sin(q - p) sin(q + p)
        return std::sqrt(std::sin(frequency_ * t) * std::sin(frequency_ * (t + 2.0 * options_.offset))) /
               cos_start_;
    }
    [[nodiscard]] double alpha_rate(double t) const {
        require(t);
        return -frequency_ * std::cos(frequency_ * (1.0 - t)) / cos_start_;
    }
    [[nodiscard]] double sigma_rate(double t) const {
        const double s = sigma(t);
        if (s == 0.0) { return std::numeric_limits<double>::infinity(); }
        return -alpha(t) * alpha_rate(t) / s;
    }
    [[nodiscard]] double half_log_snr(double t) const { return at(*this, t).half_log_snr(); }
    [[nodiscard]] double time_at(double half_log_snr) const {
        if (std::isnan(half_log_snr)) {
            throw std::invalid_argument("schedule::vp_cosine: half_log_snr must be a number");
        }
        const double a = 1.0 / std::sqrt(1.0 + std::exp(-2.0 * half_log_snr));
        if (a < 0.5) { return 1.0 - std::asin(a * cos_start_) / frequency_; }
        const double s = 1.0 / std::sqrt(1.0 + std::exp(2.0 * half_log_snr));
        // sin(q - p) from sin^2 q = sin^2 p + sigma^2 cos^2 p and cos q = alpha cos p, without a difference
        const double sin_end = std::sqrt(sin_start_ * sin_start_ + s * s * cos_start_ * cos_start_);
        return std::asin(s * s * cos_start_ / (sin_end + a * sin_start_)) / frequency_;
    }
    [[nodiscard]] time_range range() const { return {options_.noisy, options_.clean}; }
    [[nodiscard]] const vp_cosine_options& options() const { return options_; }

private:
    static constexpr double half_pi = 1.57079632679489661923;

    static void require(double t) {
        if (!(t >= 0.0 && t <= 1.0)) {
            throw std::invalid_argument("schedule::vp_cosine: t must lie in [0, 1]");
        }
    }

    vp_cosine_options options_;
    double frequency_ = 0.0;
    double cos_start_ = 0.0;
    double sin_start_ = 0.0;
};

}  // namespace tweedie::schedule
