// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// DDIM, deterministic (eta = 0) to ancestral (eta = 1).
///
///     x_t = alpha_t x0_hat + sqrt(sigma_t^2 - s^2) eps_hat + s z,    s = eta sigma_t sqrt(1 - e^(-2h))
///
/// Source: Song, Meng and Ermon 2020, arXiv:2010.02502, eq. 12 and 16. s is their sigma written for any
/// schedule: `1 - e^(-2h)` equals `(1 - alpha_s^2 / alpha_t^2) / sigma_s^2` where `alpha^2 + sigma^2 = 1`.
/// The target is the next level, whatever the grid. With eta = 0 the levels may also rise in noise: DDIM
/// inversion, which takes a sample to the noise it comes from.
/// - order   1 in half-log-SNR with eta = 0 (it is the first-order DPM-Solver and DEIS); weak order 1
///           otherwise.
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta negative, NaN or above 1; levels that are not strictly denoising,
///           nor (for eta = 0) strictly rising in noise from sigma > 0.
/// - choose  as the baseline, and where many cheap steps are wanted; below 20 calls `dpm_solver` and `unipc`
///           are far better.
struct ddim {
    double eta = 0.0;  ///< share of the posterior's noise; 0 to 1

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(eta >= 0.0 && eta <= 1.0)) { throw std::invalid_argument("ddim: eta must lie in [0, 1]"); }
        require_levels(levels, "ddim", eta == 0.0 ? walk::either : walk::denoising);
        plan_writer p(eta == 0.0 ? "ddim" : "ddim(eta=" + detail::shortest(eta) + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const double h = log_snr_step(s, t);
            const double noise = eta == 0.0 ? 0.0 : eta * t.sigma * std::sqrt(-std::expm1(-2.0 * h));
            // of eps_hat: sqrt(sigma_t^2 - noise^2) without the cancellation at eta = 1
            const double direction =
                eta == 0.0 ? t.sigma
                           : t.sigma * std::sqrt((1.0 - eta) * (1.0 + eta) + eta * eta * std::exp(-2.0 * h));

            const linear_form x0 = p.data_prediction(x, s);
            // eps_hat = (x_s - alpha_s x0_hat) / sigma_s
            x = (direction / s.sigma) * x + (t.alpha - direction * s.alpha / s.sigma) * x0;
            if (noise > 0.0) { x = x + noise * p.noise(); }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
