// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <stdexcept>

namespace tweedie::schedule {

/// Which way the time of a flow runs.
enum class flow_time {
    noise_at_one,  ///< t = sigma: data at t = 0, noise at t = 1 (Stable Diffusion 3, Flux, diffusers)
    data_at_one,   ///< t = alpha: noise at t = 0, data at t = 1 (Liu et al. 2022, Lipman et al. 2022)
};

/// Options of `flow`.
struct flow_options {
    double sigma_min = 1e-3;  ///< last noise level sampled by default before the clean end; in (0, 1)
    flow_time time = flow_time::noise_at_one;  ///< which end of the time is noise
};

/// The straight path of rectified flow (flow matching, linear interpolant).
///
///     alpha = 1 - t,    sigma = t        (flow_time::noise_at_one)
///     alpha = t,        sigma = 1 - t    (flow_time::data_at_one)
///
/// Source: Liu et al. 2022, arXiv:2209.03003, equation 1 (data at t = 1); Esser et al. 2024,
/// arXiv:2403.03206, equation 13 (noise at t = 1). Deviation: none. Shifts of the time are maps applied to a
/// grid, not part of the path.
/// - `t`       in [0, 1]; both ends are exact: one is clean (sigma = 0), the other pure noise (alpha = 0).
/// - range     from pure noise (alpha = 0) to sigma = options.sigma_min; its default 0.001 is that of the
///             1000 training levels of Stable Diffusion 3 in diffusers.
/// - rates     +1 and -1 everywhere.
/// - accuracy  next to t = 1 the smaller scale is 1 - t, known to 1e-16 absolutely: |lambda| beyond 36 rounds
///             to that end.
/// - errors    tier 1: options out of range, t outside [0, 1]; NaN each time.
class flow {
public:
    flow() : flow(flow_options{}) {}
    explicit flow(const flow_options& options) : options_(options) {
        if (!(options.sigma_min > 0.0 && options.sigma_min < 1.0)) {
            throw std::invalid_argument("schedule::flow: sigma_min must lie in (0, 1)");
        }
        if (options.time != flow_time::noise_at_one && options.time != flow_time::data_at_one) {
            throw std::invalid_argument("schedule::flow: time must be noise_at_one or data_at_one");
        }
    }

    [[nodiscard]] double alpha(double t) const {
        require(t);
        return data_at_one() ? t : 1.0 - t;
    }
    [[nodiscard]] double sigma(double t) const {
        require(t);
        return data_at_one() ? 1.0 - t : t;
    }
    [[nodiscard]] double alpha_rate(double t) const {
        require(t);
        return data_at_one() ? 1.0 : -1.0;
    }
    [[nodiscard]] double sigma_rate(double t) const {
        require(t);
        return data_at_one() ? -1.0 : 1.0;
    }
    [[nodiscard]] double half_log_snr(double t) const { return at(*this, t).half_log_snr(); }
    [[nodiscard]] double time_at(double half_log_snr) const {
        if (std::isnan(half_log_snr)) {
            throw std::invalid_argument("schedule::flow: half_log_snr must be a number");
        }
        // t = sigma is the logistic function of -lambda, t = alpha that of +lambda; the exponential never
        // overflows
        const double argument = data_at_one() ? half_log_snr : -half_log_snr;
        const double e = std::exp(-std::abs(argument));
        return argument > 0.0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
    }
    [[nodiscard]] time_range range() const {
        if (data_at_one()) { return {0.0, 1.0 - options_.sigma_min}; }
        return {1.0, options_.sigma_min};
    }
    [[nodiscard]] const flow_options& options() const { return options_; }

private:
    [[nodiscard]] bool data_at_one() const { return options_.time == flow_time::data_at_one; }
    static void require(double t) {
        if (!(t >= 0.0 && t <= 1.0)) { throw std::invalid_argument("schedule::flow: t must lie in [0, 1]"); }
    }

    flow_options options_;
};

}  // namespace tweedie::schedule
