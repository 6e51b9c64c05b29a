// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>

namespace tweedie::schedule {

/// Options of `edm`; the defaults are those of Karras et al. 2022, table 1. They only set the default
/// sampling range.
struct edm_options {
    double sigma_min = 0.002;  ///< last noise level before the clean end, in units of the data; > 0
    double sigma_max = 80.0;   ///< where sampling starts, in units of the data; > sigma_min, finite
};

/// The schedule of EDM: time is the noise level.
///
///     alpha = 1,    sigma = t,    lambda = -ln t
///
/// Source: Karras et al. 2022, arXiv:2206.00364, table 1 (column "Ours") and equation 4 with s(t) = 1.
/// Deviation: none.
/// - `t`     in [0, infinity); 0 is clean (sigma = 0 exactly). There is no pure-noise level:
///           `time_at(-infinity)` throws.
/// - range   {sigma_max, sigma_min}.
/// - rates   0 and 1 everywhere.
/// - errors  tier 1: options out of range, t negative or infinite, `half_log_snr` of an infinite noise level;
///           NaN each time.
/// - choose  for VE networks whose noise levels are given as sigmas; `ve` is the same family in Song's
///           geometric time.
class edm {
public:
    edm() : edm(edm_options{}) {}
    explicit edm(const edm_options& options) : options_(options) {
        if (!(options.sigma_min > 0.0 && options.sigma_max > options.sigma_min &&
              std::isfinite(options.sigma_max))) {
            throw std::invalid_argument("schedule::edm: need 0 < sigma_min < sigma_max < infinity");
        }
    }

    [[nodiscard]] double alpha(double t) const {
        require(t);
        return 1.0;
    }
    [[nodiscard]] double sigma(double t) const {
        require(t);
        return t;
    }
    [[nodiscard]] double alpha_rate(double t) const {
        require(t);
        return 0.0;
    }
    [[nodiscard]] double sigma_rate(double t) const {
        require(t);
        return 1.0;
    }
    [[nodiscard]] double half_log_snr(double t) const {
        require(t);
        return t == 0.0 ? std::numeric_limits<double>::infinity() : -std::log(t);
    }
    [[nodiscard]] double time_at(double half_log_snr) const {
        const double t = std::exp(-half_log_snr);
        if (!std::isfinite(t)) {
            throw std::invalid_argument(
                "schedule::edm: half_log_snr must be that of a finite noise level, -ln(sigma)");
        }
        return t;
    }
    [[nodiscard]] time_range range() const { return {options_.sigma_max, options_.sigma_min}; }
    [[nodiscard]] const edm_options& options() const { return options_; }

private:
    static void require(double t) {
        if (!(t >= 0.0 && std::isfinite(t))) {
            throw std::invalid_argument("schedule::edm: t must lie in [0, infinity)");
        }
    }

    edm_options options_;
};

}  // namespace tweedie::schedule
