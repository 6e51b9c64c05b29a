// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <stdexcept>

namespace tweedie::schedule {

/// Options of `ve`; the defaults are those of Song et al. 2021 for CIFAR-10.
struct ve_options {
    double sigma_min = 0.01;  ///< noise level at t = 0, in units of the data; > 0
    double sigma_max = 50.0;  ///< noise level at t = 1, in units of the data; > sigma_min, finite
};

/// Variance-exploding schedule, geometric in time.
///
///     alpha = 1,    sigma = sigma_min (sigma_max / sigma_min)^t,    lambda = -ln sigma
///
/// Source: Song et al. 2021, arXiv:2011.13456, equations 30 and 31. Deviation: the paper sets sigma(0) = 0, a
/// jump; here sigma(0) = sigma_min, the geometric law goes on below t = 0, and the clean level is its limit,
/// t = -infinity.
/// - `t`     in [-infinity, 1]; -infinity is clean (sigma = 0 exactly). There is no pure-noise level:
///           `time_at(-infinity)` throws.
/// - range   {1, 0}: from sigma_max to sigma_min.
/// - rates   finite everywhere; 0 at t = -infinity.
/// - errors  tier 1: options out of range, t above 1, `half_log_snr` below -ln(sigma_max); NaN each time.
class ve {
public:
    ve() : ve(ve_options{}) {}
    explicit ve(const ve_options& options) : options_(options) {
        if (!(options.sigma_min > 0.0 && options.sigma_max > options.sigma_min &&
              std::isfinite(options.sigma_max))) {
            throw std::invalid_argument("schedule::ve: need 0 < sigma_min < sigma_max < infinity");
        }
        log_min_ = std::log(options.sigma_min);
        log_max_ = std::log(options.sigma_max);
    }

    [[nodiscard]] double alpha(double t) const {
        require(t);
        return 1.0;
    }
    [[nodiscard]] double sigma(double t) const {
        require(t);
        // from the nearer end, so that both ends come back exactly
        if (t > 0.5) { return options_.sigma_max * std::exp((t - 1.0) * (log_max_ - log_min_)); }
        return options_.sigma_min * std::exp(t * (log_max_ - log_min_));
    }
    [[nodiscard]] double alpha_rate(double t) const {
        require(t);
        return 0.0;
    }
    [[nodiscard]] double sigma_rate(double t) const { return sigma(t) * (log_max_ - log_min_); }
    [[nodiscard]] double half_log_snr(double t) const {
        require(t);
        if (t > 0.5) { return -log_max_ - (t - 1.0) * (log_max_ - log_min_); }
        return -log_min_ - t * (log_max_ - log_min_);
    }
    [[nodiscard]] double time_at(double half_log_snr) const {
        // a level\'s own lambda must always be accepted, whatever way it was rounded
        const double rounding = 1e-12 * (1.0 + std::abs(log_max_));
        if (!(half_log_snr >= -log_max_ - rounding)) {
            throw std::invalid_argument(
                "schedule::ve: half_log_snr must be at least that of t = 1, -ln(sigma_max)");
        }
        if (half_log_snr <= -log_max_) { return 1.0; }
        const double t = (-half_log_snr - log_min_) / (log_max_ - log_min_);
        return t < 1.0 ? t : 1.0;
    }
    [[nodiscard]] time_range range() const { return {1.0, 0.0}; }
    [[nodiscard]] const ve_options& options() const { return options_; }

private:
    static void require(double t) {
        if (!(t <= 1.0)) { throw std::invalid_argument("schedule::ve: t must lie in [-infinity, 1]"); }
    }

    ve_options options_;
    double log_min_ = 0.0;
    double log_max_ = 0.0;
};

}  // namespace tweedie::schedule
