// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/deis.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_v3.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/model_statistics.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tune/fitted_multistep.hpp>
#include <tweedie/tune/level_space.hpp>
#include <tweedie/tune/recommendation.hpp>
#include <tweedie/tune/simplex_search.hpp>
#include <tweedie/tune/spectrum_levels.hpp>
#include <tweedie/tune/stand_in.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// Any solver.
/// - `elements`  of the samples it is for, as a plan's; 0: any.
struct any_solver {
    std::size_t elements = 0;
    std::function<tweedie::plan(const any_schedule&, std::span<const level>)> write;

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        return write(schedule, levels);
    }
};

/// The solvers that `recommend` chooses from: all have one call per step. DPM-Solver-v3 is there if its
/// statistics are.
[[nodiscard]] inline std::vector<any_solver> solvers_of_choice(
    const solver::model_statistics& statistics = {}) {
    using namespace solver;
    std::vector<any_solver> out;
    const auto add = [&out](auto method, std::size_t elements = 0) {
        out.push_back({elements, [method](const any_schedule& schedule, std::span<const level> levels) {
                           return method.plan(schedule, levels);
                       }});
    };
    add(unipc{.order = 3});
    add(unipc{.order = 2});
    add(unipc{.order = 3, .predicts = form::noise});
    add(dpm_solver{.order = 2});
    add(dpm_solver{.order = 3});
    add(ipndm{.order = 2});
    add(ipndm{.order = 3});
    add(ipndm{.order = 4});
    add(deis{.order = 3});
    if (!statistics.empty()) {
        add(dpm_solver_v3{.order = 3, .statistics = statistics},
            statistics.elements() > 1 ? statistics.elements() : 0);
    }
    return out;
}

[[nodiscard]] inline double median_of(std::vector<double> values) {
    const std::size_t half = values.size() / 2;
    std::ranges::nth_element(values, values.begin() + static_cast<std::ptrdiff_t>(half));
    const double above = values[half];
    if (values.size() % 2 == 1) { return above; }
    return 0.5 * (above + *std::ranges::max_element(values.begin(),
                                                    values.begin() + static_cast<std::ptrdiff_t>(half)));
}

/// The mean logarithm: smooth where a median jumps, and as deaf to the few trajectories that change sides.
[[nodiscard]] inline double mean_log_of(const std::vector<double>& values, double least) {
    double sum = 0.0;
    for (const double v : values) { sum += std::log(v + least); }
    return sum / static_cast<double>(values.size());
}

/// Between which levels a search takes place, and how hard it tries.
struct search_range {
    level first;         ///< may be pure noise
    level last;          ///< may be clean
    double noisy = 0.0;  ///< half-log-SNR of the first, or what stands in for pure noise
    double clean = 0.0;  ///< of the last level with noise
    bool teleports = true;
    double effort = 1.0;
    std::size_t starts = 128;
    bool fits_weights = true;
};

/// Levels of `calls` steps in the range, to begin a search at.
struct named_levels {
    const char* name;
    std::vector<level> levels;
};

[[nodiscard]] inline std::vector<named_levels> usual_levels(const any_schedule& schedule, int calls,
                                                            const search_range& range, double sigma_max) {
    const double sigma_min = std::exp(-range.clean);
    const bool to_zero = range.last.sigma == 0.0;
    const auto last = to_zero ? grid::final_level::zero : grid::final_level::sigma_min;
    std::vector<named_levels> out = {
        {"log_snr",
         grid::log_snr(schedule, calls, {.sigma_max = sigma_max, .sigma_min = sigma_min, .last = last})},
        {"karras",
         grid::karras(schedule, calls, {.sigma_max = sigma_max, .sigma_min = sigma_min, .last = last})}};
    for (named_levels& l : out) { l.levels.back() = range.last; }
    return out;
}

/// A candidate of the search.
struct contender {
    std::size_t solver = 0;
    const char* from = "";
    bool teleports = false;
    Eigen::VectorXd place;
    double value = std::numeric_limits<double>::infinity();
    bool fitted = false;  ///< a `fitted_multistep` in place of the solver
};

/// The search of `recommend`.
///
/// Every solver is tried on the usual levels, from the start and teleported, and the best place of each
/// improved by a simplex; the best few again; the least error on starts that no search saw wins. Where the
/// stand-in leaves directions out and all are known, the second half takes place in all of them, on fewer
/// starts.
class candidate_search {
public:
    /// - `first`  what the search begins on.
    /// - `whole`  what it ends on; may be the same.
    candidate_search(int nfe, const stand_in& first, const stand_in& whole, const any_schedule& schedule,
                     const search_range& range, std::vector<any_solver> solvers)
        : nfe_(nfe),
          first_(first),
          whole_(whole),
          schedule_(schedule),
          range_(range),
          solvers_(std::move(solvers)),
          spaces_{space(false), space(true)} {}

    [[nodiscard]] tune::recommendation run() {
        const std::vector<starting_levels> starts = usual_starts();
        std::vector<contender> all = usual(first_, starts);
        std::vector<contender> best = best_of_each(all);
        const bool same = &first_ == &whole_;
        refine(best, first_, 0.3, most(14.0, 160.0), few(first_));
        if (!same) {
            all = usual(whole_, starts);
            for (contender& c : best) { c.value = value_of(whole_, c, few(whole_)); }
            best.insert(best.end(), all.begin(), all.end());
            best = best_of_each(best);
        }
        std::ranges::stable_sort(best, {}, &contender::value);
        std::vector<contender> last(
            best.begin(),
            best.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(same ? 3 : 2, best.size())));
        refine(last, whole_, 0.15, same ? most(40.0, 400.0) : most(10.0, 130.0), whole_.searched());
        if (range_.fits_weights && whole_.has_trajectories()) {
            std::vector<contender> fits(
                last.begin(),
                last.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(2, last.size())));
            for (contender& c : fits) { c.fitted = true; }
            refine(fits, whole_, 0.2, most(20.0, 250.0), few(whole_));
            refine(fits, whole_, 0.1, same ? most(20.0, 250.0) : most(6.0, 80.0), whole_.searched());
            last.insert(last.end(), fits.begin(), fits.end());
        }
        last.insert(last.end(), best.begin(), best.end());
        last.insert(last.end(), all.begin(), all.end());
        return report(last);
    }

private:
    /// Levels to begin at.
    struct starting_levels {
        const char* name;
        bool teleports;
        std::vector<level> levels;
    };

    [[nodiscard]] level_space space(bool teleports) const {
        return {
            schedule_, static_cast<std::size_t>(nfe_), range_.first, range_.last, range_.noisy, range_.clean,
            teleports};
    }
    [[nodiscard]] static Eigen::Index few(const stand_in& on) {
        return std::max<Eigen::Index>(8, on.searched() / 2);
    }
    [[nodiscard]] std::size_t most(double each, double limit) const {
        return static_cast<std::size_t>(range_.effort *
                                        std::min(each * static_cast<double>(nfe_ + 1), limit));
    }

    /// Large where a plan means nothing.
    [[nodiscard]] double value_of(const stand_in& on, const any_solver& solver, std::span<const level> levels,
                                  Eigen::Index starts) const {
        constexpr double meaningless = 1e3;
        if (levels.empty() || !fits(solver, on)) { return meaningless; }
        const std::vector<double> errors = on.errors(solver.plan(schedule_, levels), schedule_, 0, starts);
        const double value = mean_log_of(errors, 1e-10 * on.deviation());
        return std::isfinite(value) ? value : meaningless;
    }
    [[nodiscard]] static double fitted_value(const stand_in& on, const std::vector<level>& levels,
                                             Eigen::Index starts) {
        constexpr double meaningless = 1e3;
        if (levels.empty()) { return meaningless; }
        const fitted_multistep method(on, levels, starts);
        const double value =
            mean_log_of(on.distances(method.ends(), method.plan(), 0), 1e-10 * on.deviation());
        return std::isfinite(value) ? value : meaningless;
    }
    [[nodiscard]] double value_of(const stand_in& on, const contender& c, Eigen::Index starts) const {
        return value_of(on, solvers_[c.solver], levels_of(c), starts);
    }
    [[nodiscard]] static bool fits(const any_solver& solver, const stand_in& on) {
        return solver.elements == 0 || solver.elements == static_cast<std::size_t>(on.mixture().dimension());
    }
    [[nodiscard]] const level_space& space_of(const contender& c) const {
        return spaces_[c.teleports ? 1 : 0];
    }
    [[nodiscard]] std::vector<level> levels_of(const contender& c) const {
        return space_of(c).levels_at(c.place);
    }

    /// The usual grids and `spectrum_levels` of UniPC, from the start and from a few levels to teleport to.
    [[nodiscard]] std::vector<starting_levels> usual_starts() const {
        std::vector<std::optional<double>> jumps = {std::nullopt};
        for (const double deviations : {8.0, 4.0, 2.0}) {
            const double sigma = deviations * whole_.largest_deviation();
            const bool inside = -std::log(sigma) > range_.noisy && -std::log(sigma) < range_.clean - 1.0;
            if (range_.teleports && inside) { jumps.emplace_back(sigma); }
        }
        std::vector<starting_levels> out;
        for (const std::optional<double>& jump : jumps) {
            const double sigma = jump ? *jump : std::exp(-range_.noisy);
            for (named_levels& l : usual_levels(schedule_, nfe_, range_, sigma)) {
                if (!jump) { l.levels.front() = range_.first; }
                out.push_back({l.name, jump.has_value(), std::move(l.levels)});
            }
        }
        const analytic::spectrum of = analytic::binned(analytic::spectrum_of(whole_.whole()), 12);
        out.push_back({"spectrum", false,
                       tune::spectrum_levels(solver::unipc{}, schedule_, nfe_, of,
                                             {.from = range_.first,
                                              .to = at_half_log_snr(schedule_, range_.clean),
                                              .last = range_.last.sigma == 0.0 ? grid::final_level::zero
                                                                               : grid::final_level::sigma_min,
                                              .iterations = 20,
                                              .pure_noise_as = std::exp(-range_.noisy)})});
        return out;
    }

    /// Every solver on levels to begin at.
    [[nodiscard]] std::vector<contender> usual(const stand_in& on,
                                               const std::vector<starting_levels>& starts) const {
        std::vector<contender> out;
        for (const starting_levels& l : starts) {
            for (std::size_t s = 0; s < solvers_.size(); ++s) {
                out.push_back({s, l.name, l.teleports, spaces_[l.teleports ? 1 : 0].place_of(l.levels)});
            }
        }
        for_each_index(out.size(), parallel_threshold, [&](std::size_t i) {
            out[i].value = value_of(on, solvers_[out[i].solver], starts[i / solvers_.size()].levels, few(on));
            return true;
        });
        return out;
    }

    [[nodiscard]] std::vector<contender> best_of_each(const std::vector<contender>& of) const {
        std::vector<contender> out;
        for (std::size_t s = 0; s < solvers_.size(); ++s) {
            const contender* least = nullptr;
            for (const contender& c : of) {
                if (c.solver == s && (least == nullptr || c.value < least->value)) { least = &c; }
            }
            out.push_back(*least);
        }
        return out;
    }

    void refine(std::vector<contender>& them, const stand_in& on, double reach, std::size_t evaluations,
                Eigen::Index starts) const {
        for_each_index(them.size(), parallel_threshold, [&](std::size_t i) {
            contender& c = them[i];
            const level_space& in = space_of(c);
            if (in.size() == 0 || (!c.fitted && !fits(solvers_[c.solver], on))) { return true; }
            found_place found = simplex_search(
                [&](const Eigen::VectorXd& x) {
                    return c.fitted ? fitted_value(on, in.levels_at(x), starts)
                                    : value_of(on, solvers_[c.solver], in.levels_at(x), starts);
                },
                c.place, reach, evaluations);
            c.place = std::move(found.at);
            c.value = found.value;
            c.from = "found";
            return true;
        });
    }

    /// The one with the least median error on the starts that no search saw.
    [[nodiscard]] tune::recommendation report(const std::vector<contender>& them) const {
        std::vector<tweedie::plan> plans(them.size());
        std::vector<double> errors(them.size(), std::numeric_limits<double>::infinity());
        for_each_index(them.size(), parallel_threshold, [&](std::size_t i) {
            const std::vector<level> levels = levels_of(them[i]);
            if (levels.empty() || (!them[i].fitted && !fits(solvers_[them[i].solver], whole_))) {
                return true;
            }
            plans[i] = them[i].fitted ? fitted_multistep(whole_, levels, whole_.searched()).plan()
                                      : solvers_[them[i].solver].plan(schedule_, levels);
            errors[i] = median_of(whole_.errors(plans[i], schedule_, whole_.searched(), whole_.searched()));
            return true;
        });
        tune::recommendation out;
        std::size_t chosen = 0;
        for (std::size_t i = 0; i < them.size(); ++i) {
            if (!std::isfinite(errors[i])) { continue; }
            if (errors[i] < errors[chosen]) { chosen = i; }
            std::optional<double> to;
            if (them[i].teleports) { to = plans[i].levels.front().sigma / plans[i].levels.front().alpha; }
            out.tried.push_back({plans[i].solver, them[i].from, to, errors[i]});
        }
        if (out.tried.empty()) { throw std::invalid_argument("recommend: no candidate stays finite"); }
        std::ranges::stable_sort(out.tried, {}, &tune::trial::error);
        out.plan = std::move(plans[chosen]);
        out.predicted_error = errors[chosen];
        if (them[chosen].teleports) {
            out.teleport.emplace(whole_.whole(), range_.first, out.plan.levels.front());
        }
        return out;
    }

    int nfe_;
    const stand_in& first_;
    const stand_in& whole_;
    const any_schedule& schedule_;
    search_range range_;
    std::vector<any_solver> solvers_;
    level_space spaces_[2];
};

}  // namespace tweedie::detail
