// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// Options of `polyexponential`.
struct polyexponential_options {
    double rho = 1.0;  ///< power, above 1 crowds the clean end; > 0, finite; 1 is `log_snr`
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; default: the schedule's
    final_level last = final_level::zero;  ///< whether the exact clean level follows
    double pure_noise_as = 160.0;  ///< the sigma / alpha that stands in for a start at alpha = 0; > 0, finite
};

/// Noise levels at a power of equally spaced fractions of the way in half-log-SNR.
///
///     lambda_i = lambda_clean - (1 - i / (n - 1))^rho (lambda_clean - lambda_noisy),    i = 0 .. n - 1
///
/// Source: k-diffusion, `get_sigmas_polyexponential`. Deviation: sigma is sigma / alpha, which makes it valid
/// on every schedule.
///
/// - `steps`, returns, pure noise, errors  as of `grid::karras`.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> polyexponential(const Schedule& schedule, int steps,
                                                 const polyexponential_options& options = {}) {
    constexpr const char* who = "grid::polyexponential";
    const double rho = options.rho;
    if (!(rho > 0.0 && std::isfinite(rho))) {
        throw std::invalid_argument("grid::polyexponential: rho must be positive and finite");
    }
    const auto place_of = [=](double noisy, double clean) {
        return [=](double fraction) { return clean - std::pow(1.0 - fraction, rho) * (clean - noisy); };
    };
    return detail::lay_out_between(schedule, steps, options, place_of, who);
}

}  // namespace tweedie::grid
