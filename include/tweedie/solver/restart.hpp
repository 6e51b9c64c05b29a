// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/heun.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// One interval of `restart`: from s_tmin back up to s_tmax, `times` times, each time down again in `steps`
/// steps.
struct restart_interval {
    double s_tmin = 0.0;    ///< kappa = sigma / alpha to restart from; the nearest level is taken; > 0
    double s_tmax = 0.0;    ///< kappa the state is raised to; > s_tmin
    std::size_t times = 1;  ///< K, how often
    std::size_t steps = 0;  ///< Heun steps on the way down; 0 for as many as the grid itself takes there

    friend bool operator==(const restart_interval&, const restart_interval&) = default;
};

/// Restart: Heun's method that, at chosen levels, adds a lot of noise and runs the probability flow again.
///
///     x_max = (alpha_max / alpha_min) x_min + alpha_max sqrt(kappa_max^2 - kappa_min^2) s_noise z
///     x_min = Heun from kappa_max to kappa_min                                  (K times in each interval)
///
/// kappa = sigma / alpha; the inner levels lie on Karras' rho = 7 curve in kappa. The noise contracts the
/// error made so far, the deterministic way down makes little new. The levels of the plan are the denoising
/// grid; its calls go up and down. Source: Xu et al. 2023, arXiv:2306.14878, with the
/// second-order solver. Deviation: none on the EDM schedule; on others in x / alpha, and Heun's steps are in
/// the schedule's own time.
/// - order   weak order 2 in the schedule's time where `steps` grows with the grid (0 does), because the
///           noise is exact (with s_noise = 1); 1 on a step to sigma = 0.
/// - cost    that of `heun` and 2 K steps network calls per interval; 2 live tensors.
/// - random  one draw per restart.
/// - errors  `std::invalid_argument`: an interval that is not 0 < s_tmin < s_tmax < infinity,
///           or reaches beyond what the schedule knows; s_noise negative or not finite; levels that are not
///           strictly denoising; a schedule whose rates are infinite at a level.
/// - choose  where `heun` has converged and its samples are still worse than an SDE's: the published
///           intervals for CIFAR-10 lie around kappa 0.06 to 0.3, with up to 10 restarts.
///
/// An interval is left out where the grid has no noisy level below its s_tmax, besides the one it starts at.
struct restart {
    std::vector<restart_interval> intervals = {};  ///< none: `heun`
    double s_noise = 1.0;                          ///< factor on the noise; the paper's code uses 1.003

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_options();
        require_levels(levels, "restart");
        plan_writer p(name(), levels);
        plan_variable x = p.state();
        plan_variable half = p.variable("half");
        std::vector<std::size_t> where;  // each interval restarts
        for (const restart_interval& interval : intervals) { where.push_back(nearest(levels, interval)); }
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            heun_step(p, x, half, s, t, schedule);
            for (std::size_t r = 0; r < intervals.size(); ++r) {
                if (where[r] != i + 1) { continue; }
                const restart_interval& interval = intervals[r];
                const std::vector<level> inner =
                    way_down(schedule, t, interval.s_tmax,
                             interval.steps > 0 ? interval.steps : steps_of_grid(levels, i + 1, interval));
                for (std::size_t k = 0; k < interval.times; ++k) {
                    raise(p, x, t, inner.front());
                    for (std::size_t j = 0; j + 1 < inner.size(); ++j) {
                        heun_step(p, x, half, inner[j], inner[j + 1], schedule);
                    }
                }
            }
        }
        return p.finish(x);
    }

private:
    /// The level of the grid where an interval restarts: nearest to its s_tmin in ln kappa, below its s_tmax;
    /// 0 if there is none.
    [[nodiscard]] static std::size_t nearest(std::span<const level> levels,
                                             const restart_interval& interval) {
        std::size_t best = 0;
        double least = std::numeric_limits<double>::infinity();
        for (std::size_t i = 1; i < levels.size(); ++i) {
            if (levels[i].sigma == 0.0) { continue; }
            const double kappa = levels[i].sigma / levels[i].alpha;
            const double distance = std::abs(std::log(kappa / interval.s_tmin));
            if (kappa < interval.s_tmax && distance < least) {
                best = i;
                least = distance;
            }
        }
        return best;
    }

    /// How many steps the grid takes from s_tmax to its level `index`; at least 1.
    [[nodiscard]] static std::size_t steps_of_grid(std::span<const level> levels, std::size_t index,
                                                   const restart_interval& interval) {
        std::size_t steps = 1;
        while (index > steps && levels[index - steps].alpha > 0.0 &&
               levels[index - steps].sigma / levels[index - steps].alpha < interval.s_tmax) {
            ++steps;
        }
        return steps;
    }

    /// The levels from s_tmax down to the level `end`.
    [[nodiscard]] static std::vector<level> way_down(const any_schedule& schedule, const level& end,
                                                     double s_tmax, std::size_t steps) {
        constexpr double rho = 7.0;
        const double top = std::pow(s_tmax, 1.0 / rho);
        const double bottom = std::pow(end.sigma / end.alpha, 1.0 / rho);
        std::vector<level> out;
        for (std::size_t j = 0; j < steps; ++j) {
            const double fraction = static_cast<double>(j) / static_cast<double>(steps);
            const double kappa = std::pow(top + fraction * (bottom - top), rho);
            try {
                out.push_back(at_half_log_snr(schedule, -std::log(kappa)));
            } catch (const std::invalid_argument&) {
                throw std::invalid_argument(
                    "restart: an interval reaches beyond the noisy end of the schedule");
            }
        }
        out.push_back(end);
        return out;
    }

    void raise(plan_writer& p, plan_variable& x, const level& from, const level& to) const {
        const double kappa = from.sigma / from.alpha;
        const double kappa_max = to.sigma / to.alpha;
        const double noise = to.alpha * std::sqrt((kappa_max - kappa) * (kappa_max + kappa)) * s_noise;
        x = (to.alpha / from.alpha) * x;
        if (noise > 0.0) { x = x + noise * p.noise(); }
    }

    void require_options() const {
        for (const restart_interval& i : intervals) {
            if (!(i.s_tmin > 0.0 && i.s_tmin < i.s_tmax && std::isfinite(i.s_tmax))) {
                throw std::invalid_argument("restart: an interval needs 0 < s_tmin < s_tmax < infinity");
            }
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("restart: s_noise must be finite and not negative");
        }
    }

    [[nodiscard]] std::string name() const {
        std::string text = "restart(";
        for (const restart_interval& i : intervals) {
            text += detail::shortest(i.s_tmin) + " to " + detail::shortest(i.s_tmax) + " x" +
                    std::to_string(i.times) +
                    (i.steps > 0 ? " in " + std::to_string(i.steps) + " steps, " : ", ");
        }
        return text + "s_noise=" + detail::shortest(s_noise) + ")";
    }
};

}  // namespace tweedie::solver
