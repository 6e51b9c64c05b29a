// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adams.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// Steps of a flow map, a network that knows the whole way from one level to another.
///
///     r   = the level with kappa_r = sqrt(1 - eta^2) kappa_t,    kappa = sigma / alpha
///     x_r = (sigma_r / sigma_s) x_s + (alpha_r - alpha_s sigma_r / sigma_s) X(x_s; s -> r)
///     x_t = (alpha_t / alpha_r) x_r + eta sigma_t z
///
/// X is what the network stands for, as a data prediction: constant along the way, it would give that step.
/// On flow schedules the second line is `x_s + (r - s) U(x_s; s -> r)` with U the mean velocity (MeanFlow,
/// shortcut models, FlowMapEuler). Source: Kim et al. 2023, arXiv:2310.02279 (CTM), whose gamma is `eta`;
/// Geng et al. 2025, arXiv:2505.13447 (MeanFlow). eta = 0 follows the map from level to level, eta = 1 is
/// `consistency` with the network asked to go all the way.
///
/// The network finds r in `network_level::to`, on its own schedule. One that does not look there, an ordinary
/// denoiser, makes this DDIM.
/// - order   that of the map; exact with an exact one. 1 with an ordinary denoiser and eta = 0.
/// - cost    1 network call per step; 1 live tensor.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta outside [0, 1] or NaN; levels that are not strictly denoising.
/// - choose  for networks distilled into flow maps, at 1 to 8 calls; eta > 0 washes out their errors at
///           more calls.
struct flow_map {
    double eta = 0.0;  ///< share of the next level's noise that is fresh; 0 to 1

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(eta >= 0.0 && eta <= 1.0)) { throw std::invalid_argument("flow_map: eta must lie in [0, 1]"); }
        require_levels(levels, "flow_map");
        plan_writer p(eta == 0.0 ? "flow_map" : "flow_map(eta=" + detail::shortest(eta) + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            level scaled = t;  // r in the scale of t: x_r alpha_t / alpha_r
            scaled.sigma = t.sigma * std::sqrt((1.0 - eta) * (1.0 + eta));
            const level r = scaled == t ? t : at_half_log_snr(schedule, scaled.half_log_snr());
            const double noise = eta * t.sigma;

            const linear_form x0 = p.data_prediction(x, s, r);
            x = data_step(x, s, scaled, x0);
            if (noise > 0.0) { x = x + noise * p.noise(); }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
