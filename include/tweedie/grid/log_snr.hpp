// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <optional>
#include <vector>

namespace tweedie::grid {

/// Options of `log_snr`.
struct log_snr_options {
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; default: the schedule's
    final_level last = final_level::zero;  ///< whether the exact clean level follows
    double pure_noise_as = 160.0;  ///< the sigma / alpha that stands in for a start at alpha = 0; > 0, finite
};

/// Noise levels equally spaced in half-log-SNR, that is geometric in sigma / alpha.
///
///     lambda_i = lambda_noisy + i / (n - 1) (lambda_clean - lambda_noisy),    i = 0 .. n - 1
///
/// Source: Lu et al. 2022 (DPM-Solver), arXiv:2206.00927, steps uniform in lambda ("logSNR" in their code);
/// the "exponential" grid of k-diffusion and diffusers, and with rho = 1, which is all it is used with, the
/// "lu" grid of diffusers. Deviation: none.
///
/// - `steps`    network levels. `final_level::zero`: n = steps nodes, then the clean level;
///              `final_level::sigma_min`: n = steps + 1 nodes, the last one ends the grid (DPM-Solver's own).
///              In [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean. The ends of the schedule's own range come back exactly.
/// - pure noise where the range starts at alpha = 0, lambda = -infinity (flow, trig, zero terminal SNR), the
///              first level is exactly that one, and the others are those of a grid from sigma / alpha =
///              pure_noise_as.
/// - errors     tier 1: steps, or a range that is empty or that the schedule does not have; NaN each time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> log_snr(const Schedule& schedule, int steps,
                                         const log_snr_options& options = {}) {
    const auto place_of = [](double noisy, double clean) {
        return [=](double fraction) { return noisy + fraction * (clean - noisy); };
    };
    return detail::lay_out_between(schedule, steps, options, place_of, "grid::log_snr");
}

}  // namespace tweedie::grid
