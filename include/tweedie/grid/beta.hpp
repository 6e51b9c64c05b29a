// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/beta_quantile.hpp>
#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// What a beta law spreads the levels over.
enum class beta_over {
    time,   ///< the schedule's time, as published
    sigma,  ///< sigma / alpha, as diffusers does (on its flow classes sigma is the time: use `time` there)
};

/// Options of `beta`. alpha = beta = 0.6 is the published choice.
struct beta_options {
    double alpha = 0.6;                    ///< below 1 crowds the clean end; in [0.05, 50]
    double beta = 0.6;                     ///< below 1 crowds the noisy end; in [0.05, 50]
    beta_over over = beta_over::time;      ///< what is spread
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; > 0; default: see `beta`
    final_level last = final_level::zero;  ///< whether the grid ends at the exact clean level
    double pure_noise_as = 160.0;  ///< `beta_over::sigma`: stands in for a start at alpha = 0; > 0, finite
};

/// Noise levels at equally spaced quantiles of a beta law, crowded at both ends by default.
///
///     u_i = end + Q(1 - i / m) (noisy - end),    Q the quantile function of Beta(alpha, beta)
///
/// u is the schedule's time, or sigma / alpha.
/// Source: Lee et al. 2024 (Beta Sampling is All You Need), arXiv:2407.12173: over the time. Deviation: the
/// times are not rounded to training indices.
///
/// - `steps`    network levels, in [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean; both ends exact. Over the time the grid ends, and has m, as
///              `grid::uniform` does; over sigma as `grid::karras`: diffusers' grid, m = steps - 1.
/// - accuracy   quantiles to 1e-13.
/// - errors     tier 1: steps, alpha, beta, over, or a range that is empty or that the schedule does not
///              have; NaN each time. Extreme shapes that put two nodes on one number are refused too.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> beta(const Schedule& schedule, int steps, const beta_options& options = {}) {
    constexpr const char* who = "grid::beta";
    const double a = options.alpha;
    const double b = options.beta;
    if (!(a >= 0.05 && a <= 50.0 && b >= 0.05 && b <= 50.0)) {
        throw std::invalid_argument("grid::beta: alpha and beta must lie in [0.05, 50]");
    }
    if (options.over == beta_over::time) {
        const auto time = [=](double noisy, double end, double done, double all) {
            // from the nearer end, where the quantile is exact
            const double left = detail::beta_quantile((all - done) / all, done / all, a, b);
            if (left > 0.5) {
                return noisy + detail::beta_quantile(done / all, (all - done) / all, b, a) * (end - noisy);
            }
            return end + left * (noisy - end);
        };
        return detail::lay_out_in_time(schedule, steps, options, time, who);
    }
    if (options.over != beta_over::sigma) {
        throw std::invalid_argument("grid::beta: over must be beta_over::time or beta_over::sigma");
    }
    const auto place_of = [=](double noisy, double clean) {
        const double first = std::exp(-noisy);
        const double last = std::exp(-clean);
        return [=](double fraction) {
            return -std::log(last + detail::beta_quantile(1.0 - fraction, fraction, a, b) * (first - last));
        };
    };
    return detail::lay_out_between(schedule, steps, options, place_of, who);
}

}  // namespace tweedie::grid
