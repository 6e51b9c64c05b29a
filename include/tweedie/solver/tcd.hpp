// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// TCD: trajectory consistency distillation's strategic stochastic sampling.
///
///     r   = the level a share eta of the way in time from t to the clean end
///     x_r = alpha_r x0_hat(x_s, s) + sigma_r eps_hat(x_s, s)
///     x_t = (alpha_t / alpha_r) x_r + alpha_t sqrt(kappa_t^2 - kappa_r^2) z,    kappa = sigma / alpha
///
/// Source: Zheng et al. 2024, arXiv:2402.19159, their gamma being `eta`: r is (1 - eta) t in the schedule's
/// own time, counted from where sigma = 0 (from the last noise level on `ve`, where that is at no finite
/// time). eta = 0 is DDIM, eta = 1 is `consistency`. `peer_formula` rounds r down to a whole time, counted
/// from time 0, as popular software does on its table of training levels.
/// - order   1 with eta = 0; none otherwise: the jump to r does not shrink with the step.
/// - cost    1 network call per step; 1 live tensor.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta outside [0, 1] or NaN; levels that are not strictly denoising.
/// - choose  for networks distilled as TCD or Hyper-SD, at 2 to 8 calls; a larger eta for more calls.
struct tcd {
    double eta = 0.3;           ///< share of the way to the clean end that is made fresh noise; 0 to 1
    bool peer_formula = false;  ///< r at a whole time

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(eta >= 0.0 && eta <= 1.0)) { throw std::invalid_argument("tcd: eta must lie in [0, 1]"); }
        require_levels(levels, "tcd");
        plan_writer p("tcd(eta=" + detail::shortest(eta) + (peer_formula ? ", whole times)" : ")"), levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form x0 = p.data_prediction(x, s);
            if (t.sigma == 0.0) {
                x = t.alpha * x0;
                continue;
            }
            const level r = cleaner(schedule, t);
            const double ratio = r.t == t.t ? 1.0 : r.sigma / r.alpha * (t.alpha / t.sigma);
            const double noise = t.sigma * std::sqrt((1.0 - ratio) * (1.0 + ratio));
            x = (t.alpha / r.alpha) * data_step(x, s, r, x0);
            if (noise > 0.0) { x = x + noise * p.noise(); }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] level cleaner(const any_schedule& schedule, const level& t) const {
        if (eta == 0.0) { return t; }
        if (peer_formula) { return at(schedule, std::floor((1.0 - eta) * t.t)); }
        const double end = schedule.time_at(std::numeric_limits<double>::infinity());
        const double clean = std::isfinite(end) ? end : schedule.range().clean;
        const level r = at(schedule, eta == 1.0 ? clean : t.t + eta * (clean - t.t));
        // a level below the last noise level of `ve` stays where it is
        return r.half_log_snr() > t.half_log_snr() ? r : t;
    }
};

}  // namespace tweedie::solver
