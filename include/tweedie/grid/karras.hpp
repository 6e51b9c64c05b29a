// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <vector>

namespace tweedie::grid {

/// Options of `karras`. rho = 7 is that of Karras et al. 2022.
struct karras_options {
    double rho = 7.0;                      ///< warp of the grid, larger crowds the clean end; > 0, finite
    std::optional<double> sigma_max = {};  ///< where to start, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< last noise level, sigma / alpha; default: the schedule's
    final_level last = final_level::zero;  ///< whether the exact clean level follows
    double pure_noise_as = 160.0;  ///< the sigma / alpha that stands in for a start at alpha = 0; > 0, finite
};

/// The noise levels of EDM: equally spaced in (sigma / alpha)^(1 / rho).
///
///     s_i = (s_max^(1/rho) + i / (n - 1) (s_min^(1/rho) - s_max^(1/rho)))^rho,    i = 0 .. n - 1
///
/// Source: Karras et al. 2022, arXiv:2206.00364, equation 5. Deviation: s is the noise-to-signal ratio
/// sigma / alpha, which is their sigma on EDM and VE and makes the grid valid on every schedule.
///
/// The karras, exponential (`log_snr`), lu (`log_snr`) and beta (`beta_over::sigma`) options of diffusers are
/// these grids over a discrete schedule. Its classes differ in the range: DPM-Solver, UniPC, DEIS and
/// SA-Solver take that of the whole table, which is the default here; the Euler family takes `.sigma_max` and
/// `.sigma_min` of the first and the last index that its spacing would visit. What they call final sigma_min
/// lists the last level twice, so that the last network call changes nothing; here it does not. Times lie
/// between the training indices: for a network that knows whole ones alone, `condition::index` rounds (the
/// peer truncates those of exponential and beta).
///
/// - `steps`    network levels. `final_level::zero`: n = steps nodes, then the clean level (EDM's practice);
///              `final_level::sigma_min`: n = steps + 1 nodes, the last one ends the grid. In [1, 1000000].
/// - returns    steps + 1 levels, noisy to clean. The ends of the schedule's own range come back exactly.
/// - pure noise where the range starts at alpha = 0 (flow, trig, zero terminal SNR) the first level is
///              exactly that one, and the others are those of a grid from s_max = pure_noise_as. Its default
///              160 is EDM's 80 for data of standard deviation 1/2.
/// - errors     tier 1: steps, rho, or a range that is empty or that the schedule does not have; NaN each
///              time.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> karras(const Schedule& schedule, int steps,
                                        const karras_options& options = {}) {
    constexpr const char* who = "grid::karras";
    const double rho = options.rho;
    if (!(rho > 0.0 && std::isfinite(rho))) {
        throw std::invalid_argument("grid::karras: rho must be positive and finite");
    }
    const auto place_of = [=](double noisy, double clean) {
        const double first = std::exp(-noisy / rho);
        const double last = std::exp(-clean / rho);
        return [=](double fraction) { return -rho * std::log(first + fraction * (last - first)); };
    };
    return detail::lay_out_between(schedule, steps, options, place_of, who);
}

}  // namespace tweedie::grid
