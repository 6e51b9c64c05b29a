// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// LCM: multistep sampling of a latent consistency model.
///
///     f   = c_skip x_s + c_out x0_hat(x_s, s)
///     x_t = alpha_t f + sigma_t z
///
///     c_skip = sigma_data^2 / (tau^2 + sigma_data^2),    c_out = tau / sqrt(tau^2 + sigma_data^2)
///     tau    = timestep_scaling 999 (t_s - t_clean) / (t_noisy - t_clean)
///
/// t_noisy and t_clean are the ends of the schedule's `range()`, so that a table of 1000 training levels
/// counts them, as the authors' code does, and every other schedule counts the same. At t_clean (the table's
/// first entry) f = x; the scalings only matter within a few training levels of it. A step to sigma = 0
/// returns f.
/// Source: Luo et al. 2023, arXiv:2310.04378; the numbers of the scalings are those of the authors' code.
/// - order   none, as for `consistency`, to which it tends with timestep_scaling.
/// - cost    1 network call per step; 1 live tensor.
/// - random  one draw per step, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: timestep_scaling or sigma_data not positive and finite; levels that
///           are not strictly denoising.
/// - choose  for networks distilled as LCM or LCM-LoRA, at 2 to 8 calls.
struct lcm {
    double timestep_scaling = 10.0;  ///< of training levels in the scalings; > 0
    double sigma_data = 0.5;         ///< of the scalings; > 0

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(timestep_scaling > 0.0 && std::isfinite(timestep_scaling))) {
            throw std::invalid_argument("lcm: timestep_scaling must be positive and finite");
        }
        if (!(sigma_data > 0.0 && std::isfinite(sigma_data))) {
            throw std::invalid_argument("lcm: sigma_data must be positive and finite");
        }
        require_levels(levels, "lcm");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        const time_range range = schedule.range();
        const double way = std::abs(range.noisy - range.clean);
        const double level_length = way > 0.0 ? way / 999.0 : 1.0;  // a table may have one level only
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const double tau = timestep_scaling * std::abs(s.t - range.clean) / level_length;
            const double total = tau * tau + sigma_data * sigma_data;

            const linear_form x0 = p.data_prediction(x, s);
            const linear_form f = (sigma_data * sigma_data / total) * static_cast<linear_form>(x) +
                                  (tau / std::sqrt(total)) * x0;
            x = t.alpha * f;
            if (t.sigma > 0.0) { x = x + t.sigma * p.noise(); }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] std::string describe() const {
        std::string words;
        if (timestep_scaling != 10.0) { words += "timestep_scaling=" + detail::shortest(timestep_scaling); }
        if (sigma_data != 0.5) {
            words += (words.empty() ? "" : ", ") + ("sigma_data=" + detail::shortest(sigma_data));
        }
        return words.empty() ? "lcm" : "lcm(" + words + ")";
    }
};

}  // namespace tweedie::solver
