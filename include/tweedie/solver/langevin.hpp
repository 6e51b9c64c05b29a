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

/// Annealed Langevin dynamics: at each level, `repeats` steps of unadjusted Langevin with a step fixed in
/// advance.
///
///     x <- x - (a / 2) sigma eps_hat(x) + sqrt(a) sigma z,    a = step
///     x <- (alpha_t / alpha_s) x                              on to the next level
///
/// The score is -eps_hat / sigma, so this is the step `a sigma^2` of the paper, whose alpha_i = epsilon
/// sigma_i^2 / sigma_L^2 has a = epsilon / sigma_L^2 (2e-5 and sigma_L = 0.01: a = 0.2). Source: Song and
/// Ermon 2019, arXiv:1907.05600, algorithm 1; Song and Ermon 2020, arXiv:2006.09011, for the last, noise-free
/// step (to sigma = 0: alpha_t x0_hat). Deviation: on schedules with alpha != 1 the state is carried over in
/// x / alpha; at pure noise (alpha = 0), where the start already has the law of the level, no step is spent
/// and x is scaled by sigma_t / sigma_s.
/// - order   none: at each level the law tends to that level's as `repeats` grows, up to a bias of order a.
///           For Gaussian data with variance V at the level, the stationary variance is V / (1 - a sigma^2 /
///           (4 V)).
/// - cost    `repeats` network calls per noisy level, the last one included, and one to reach sigma = 0; 1
///           live tensor.
/// - random  one draw per call but the last to sigma = 0.
/// - errors  `std::invalid_argument`: step outside (0, 4), where it diverges; repeats 0; levels that are not
///           strictly denoising.
/// - choose  to reproduce score-matching papers; it needs hundreds of calls. As a corrector after a predictor
///           it is useful with steps scaled by the norm of the score, which no plan can hold.
struct langevin {
    double step = 0.2;         ///< a, in units of sigma^2; in (0, 4)
    std::size_t repeats = 10;  ///< steps at each level; the paper uses 100

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(step > 0.0 && step < 4.0)) { throw std::invalid_argument("langevin: step must lie in (0, 4)"); }
        if (repeats < 1) { throw std::invalid_argument("langevin: repeats must be at least 1"); }
        require_levels(levels, "langevin");
        plan_writer p(
            "langevin(step=" + detail::shortest(step) + ", repeats=" + std::to_string(repeats) + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (s.alpha > 0.0) { walk(p, x, s); }
            if (t.sigma == 0.0) {
                x = t.alpha * p.data_prediction(x, s);
            } else if (s.alpha > 0.0) {
                x = (t.alpha / s.alpha) * x;
            } else {
                x = (t.sigma / s.sigma) * x;
            }
        }
        if (levels.back().sigma > 0.0) { walk(p, x, levels.back()); }
        return p.finish(x);
    }

private:
    void walk(plan_writer& p, plan_variable& x, const level& at) const {
        for (std::size_t k = 0; k < repeats; ++k) {
            const linear_form eps = p.noise_prediction(x, at);
            x = x - (step / 2.0 * at.sigma) * eps + (std::sqrt(step) * at.sigma) * p.noise();
        }
    }
};

}  // namespace tweedie::solver
