// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <stdexcept>

namespace tweedie::schedule {

/// Options of `trig`.
struct trig_options {
    double clean = 1e-3;  ///< time of the last noise level sampled by default, in radians; in (0, pi/2)
};

/// The trigonometric path (TrigFlow): time is the angle between data and noise.
///
///     alpha = cos t,    sigma = sin t,    lambda = -ln tan t
///
/// Source: Lu and Song 2024, arXiv:2410.11081, section 3 (TrigFlow), for data scaled to unit variance (their
/// sigma_d = 1); Albergo et al. 2023, arXiv:2303.08797 (one-sided trigonometric interpolant, in the angle
/// instead of 2t/pi). Deviation: none.
/// - `t`       in [0, pi/2], radians; 0 is clean (sigma = 0 exactly), the double nearest pi/2 is pure noise
///             (alpha = 0 exactly).
/// - range     {pi/2, options.clean}.
/// - accuracy  next to pi/2 the scale alpha is known to 1e-16 absolutely: lambda below -36 rounds to pure
///             noise.
/// - errors    tier 1: options out of range, t outside [0, pi/2]; NaN each time.
class trig {
public:
    trig() : trig(trig_options{}) {}
    explicit trig(const trig_options& options) : options_(options) {
        if (!(options.clean > 0.0 && options.clean < half_pi)) {
            throw std::invalid_argument("schedule::trig: clean must lie in (0, pi/2)");
        }
    }

    [[nodiscard]] double alpha(double t) const {
        require(t);
        return t == half_pi ? 0.0 : std::cos(t);
    }
    [[nodiscard]] double sigma(double t) const {
        require(t);
        return std::sin(t);
    }
    [[nodiscard]] double alpha_rate(double t) const { return -sigma(t); }
    [[nodiscard]] double sigma_rate(double t) const { return alpha(t); }
    [[nodiscard]] double half_log_snr(double t) const { return at(*this, t).half_log_snr(); }
    [[nodiscard]] double time_at(double half_log_snr) const {
        if (std::isnan(half_log_snr)) {
            throw std::invalid_argument("schedule::trig: half_log_snr must be a number");
        }
        const double t = std::atan(std::exp(-half_log_snr));
        return t < half_pi ? t : half_pi;
    }
    [[nodiscard]] time_range range() const { return {half_pi, options_.clean}; }
    [[nodiscard]] const trig_options& options() const { return options_; }

private:
    static constexpr double half_pi = 1.57079632679489661923;

    static void require(double t) {
        if (!(t >= 0.0 && t <= half_pi)) {
            throw std::invalid_argument("schedule::trig: t must lie in [0, pi/2]");
        }
    }

    trig_options options_;
};

}  // namespace tweedie::schedule
