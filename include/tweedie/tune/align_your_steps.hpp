// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tune/klub.hpp>
#include <tweedie/tune/step_costs.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace tweedie::tune {

/// Options of `align_your_steps`.
struct align_your_steps_options {
    /// zero: the clean level in place of the last candidate.
    grid::final_level last = grid::final_level::zero;
    /// The share of the attainable decrease of the KLUB after which the search stops; in [0, 1]. 0 keeps the
    /// candidates' own spacing, 1 goes to the minimum, which is bad.
    double decrease = 0.5;
    int sweeps = 1000;      ///< most sweeps over the levels; >= 0
    int coarse_steps = 10;  ///< steps the search is for; other numbers are interpolated; in [1, 1000000]
};

}  // namespace tweedie::tune

namespace tweedie::detail {

/// A choice of candidate levels, by index, and the sum of what its steps cost.
template <class Costs>
class candidate_path {
public:
    /// Equally spaced over all candidates.
    candidate_path(const Costs& costs, std::size_t steps) : costs_(&costs) {
        const std::size_t last = std::span<const level>(costs.levels()).size() - 1;
        for (std::size_t i = 0; i <= steps; ++i) { at_.push_back(last * i / steps); }
    }

    [[nodiscard]] const std::vector<std::size_t>& at() const { return at_; }
    [[nodiscard]] std::size_t steps() const { return at_.size() - 1; }

    [[nodiscard]] double cost() const {
        double sum = 0.0;
        for (std::size_t i = 1; i < at_.size(); ++i) { sum += cost_of(at_[i - 1], at_[i]); }
        return sum;
    }

    /// Moves each level in turn, noisy to clean, to the best candidate between its neighbours.
    /// - returns  whether any moved.
    bool sweep() {
        bool moved = false;
        for (std::size_t i = 1; i + 1 < at_.size(); ++i) {
            const std::size_t best = best_between(at_[i - 1], at_[i + 1], at_[i]);
            moved = moved || best != at_[i];
            at_[i] = best;
        }
        return moved;
    }

    /// Divides each step: from its middle candidate towards the best one, until `decrease` of what that would
    /// gain is gained. - returns  whether every step had a candidate within it; nothing is done otherwise.
    bool halve(double decrease) {
        std::vector<std::size_t> finer = {at_[0]};
        for (std::size_t i = 1; i < at_.size(); ++i) {
            const std::size_t before = at_[i - 1];
            const std::size_t after = at_[i];
            if (after - before < 2) { return false; }
            std::size_t here = before + (after - before) / 2;
            const auto cost = [&](std::size_t k) { return cost_of(before, k) + cost_of(k, after); };
            const std::size_t best = best_between(before, after, here);
            const double enough = cost(here) - decrease * (cost(here) - cost(best));
            while (here != best && cost(here) > enough) { here = best > here ? here + 1 : here - 1; }
            finer.push_back(here);
            finer.push_back(after);
        }
        at_ = finer;
        return true;
    }

private:
    [[nodiscard]] double cost_of(std::size_t j, std::size_t k) const {
        return static_cast<double>((*costs_)(j, k));
    }

    [[nodiscard]] std::size_t best_between(std::size_t before, std::size_t after, std::size_t now) const {
        std::size_t best = now;
        double least = cost_of(before, now) + cost_of(now, after);
        for (std::size_t k = before + 1; k < after; ++k) {
            const double cost = cost_of(before, k) + cost_of(k, after);
            if (cost < least) {
                least = cost;
                best = k;
            }
        }
        return best;
    }

    const Costs* costs_;
    std::vector<std::size_t> at_;
};

/// `steps` + 1 levels from the chosen candidates, linear in half-log-SNR over their list, as of
/// `grid::tabulated`.
template <noise_schedule Schedule>
[[nodiscard]] std::vector<level> interpolated_candidates(const Schedule& schedule, std::size_t steps,
                                                         std::span<const level> candidates,
                                                         std::span<const std::size_t> chosen,
                                                         grid::final_level last) {
    const std::size_t parts = chosen.size() - 1;
    const auto place = [&](std::size_t i) {
        const double lambda = candidates[chosen[i]].half_log_snr();
        // pure noise counts as one candidate's spacing before the next, which is what grids start from
        return std::isinf(lambda) && candidates.size() > 2
                   ? 2.0 * candidates[1].half_log_snr() - candidates[2].half_log_snr()
                   : lambda;
    };
    std::vector<level> out;
    out.reserve(steps + 1);
    for (std::size_t i = 0; i <= steps; ++i) {
        const std::size_t whole = i * parts / steps;
        const std::size_t rest = i * parts % steps;
        if (i == steps && last == grid::final_level::zero) {
            out.push_back(at_half_log_snr(schedule, std::numeric_limits<double>::infinity()));
        } else if (rest == 0) {
            out.push_back(candidates[chosen[whole]]);
        } else {
            const double fraction = static_cast<double>(rest) / static_cast<double>(steps);
            const double from = place(whole);
            out.push_back(at_half_log_snr(schedule, from + fraction * (place(whole + 1) - from)));
        }
    }
    require_levels(out, "align_your_steps");
    return out;
}

/// Nothing to validate with.
struct no_validation {};

}  // namespace tweedie::detail

namespace tweedie::tune {

/// Noise levels for your network or your data by the method of Align Your Steps: those over which the data
/// prediction moves least within the steps.
///
///     KLUB = sum_i klub(level i - 1, level i)        over levels from the noisiest candidate to the cleanest
///
/// Minimised by coordinate search: each level in turn goes to the best candidate between its neighbours.
/// Stopped early, because the minimum itself is bad: a bound on a divergence weighs the least noise most, and
/// for Gaussian data of standard deviation 1/2 it takes ten steps 80, 0.36, 0.18, ..., the first of which no
/// sampler survives. Not to be confused with `grid::align_your_steps`, the tables the authors published for
/// four networks.
///
///     const auto where = grid::log_snr(schedule, 200, {.last = grid::final_level::sigma_min});
///     const tune::gaussian_klub klub(analytic::spectrum_of(data), where);
///     const std::vector<level> levels = tune::align_your_steps(schedule, 8, klub);
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507. Kept: the objective, the coordinate
/// search from a common grid, ten steps first, then each of them divided with the found levels fixed, and
/// log-linear interpolation to any other number. Deviations: the integrals are known before the search
/// (`gaussian_klub`, `network_klub`), so it tries every candidate and needs no noise; and it stops where the
/// KLUB has fallen by `decrease` of what it could fall, a rule of ours that means the same for every number
/// of steps and of candidates. Measured on three mixtures: 0.4 to 0.6 do about as well; at 0.8 DDIM is worse
/// at 8 and 10 steps than where the search starts.
///
/// - `steps`     network levels, in [1, 1000000].
/// - `klub`      `gaussian_klub`, `network_klub`, or step costs of your own, with at least `coarse_steps` + 1
///               candidates. The search starts at equal distances in their list, and being stopped early
///               stays near it: give those of `grid::log_snr`. Their first and last are the ends.
/// - `options`   see there.
/// - `validate`  optional: `double(std::span<const level>)`, the error of your solver on these levels, for
///               instance on held-out samples of an exact model. Asked before the search and after each
///               sweep; the search stops when it no longer falls, and the best levels are returned.
/// - returns     steps + 1 levels, noisy to clean, as of `grid::tabulated`.
/// - cost        no network call; O(sweeps * candidates) step costs.
/// - errors      `std::invalid_argument`: steps or options out of range, too few candidates, a candidate the
///               schedule does not have; NaN each time.
/// - choose      `gaussian_klub` for the levels of any solver without a network; `network_klub` for DDIM and
///               stochastic solvers, whose error it bounds. Of higher orders it knows nothing.
template <noise_schedule Schedule, step_costs Klub, class Validate = detail::no_validation>
    requires std::same_as<Validate, detail::no_validation> ||
             std::is_invocable_r_v<double, Validate&, std::span<const level>>
[[nodiscard]] std::vector<level> align_your_steps(const Schedule& schedule, int steps, const Klub& klub,
                                                  const align_your_steps_options& options = {},
                                                  Validate validate = {}) {
    constexpr const char* who = "tune::align_your_steps";
    detail::require_steps(steps, who);
    detail::require_final_level(options.last, who);
    if (!(options.decrease >= 0.0 && options.decrease <= 1.0)) {
        throw std::invalid_argument("tune::align_your_steps: decrease must lie in [0, 1]");
    }
    if (!(options.sweeps >= 0)) {
        throw std::invalid_argument("tune::align_your_steps: sweeps must not be negative");
    }
    const std::span<const level> candidates = klub.levels();
    detail::require_candidates(candidates, who);
    if (!(options.coarse_steps >= 1 && static_cast<std::size_t>(options.coarse_steps) < candidates.size())) {
        throw std::invalid_argument(
            "tune::align_your_steps: coarse_steps must lie in [1, number of candidates - 1]");
    }
    const auto count = static_cast<std::size_t>(steps);
    const auto finish = [&](detail::candidate_path<Klub> path) {
        while (2 * path.steps() <= count && path.halve(options.decrease)) {}
        return detail::interpolated_candidates(schedule, count, candidates, path.at(), options.last);
    };

    detail::candidate_path<Klub> path(klub, static_cast<std::size_t>(options.coarse_steps));
    if constexpr (std::same_as<Validate, detail::no_validation>) {
        detail::candidate_path<Klub> lowest = path;
        while (lowest.sweep()) {}
        const double start = path.cost();
        const double enough = start - options.decrease * (start - lowest.cost());
        for (int i = 0; i < options.sweeps && path.cost() > enough && path.sweep(); ++i) {}
        return finish(path);
    } else {
        std::vector<level> best = finish(path);
        double least = validate(std::span<const level>(best));
        for (int i = 0; i < options.sweeps && path.sweep(); ++i) {
            std::vector<level> now = finish(path);
            const double error = validate(std::span<const level>(now));
            if (!(error < least)) { break; }
            least = error;
            best = std::move(now);
        }
        return best;
    }
}

}  // namespace tweedie::tune
