// SPDX-License-Identifier: MIT
#pragma once

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
#include <tweedie/tune/recommendation.hpp>
#include <tweedie/tune/simplex_search.hpp>
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
struct any_solver {
    std::function<tweedie::plan(const any_schedule&, std::span<const level>)> write;

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        return write(schedule, levels);
    }
};

/// The solvers that `recommend` chooses from: all have one call per step. Those that need statistics are there
/// if these are.
[[nodiscard]] inline std::vector<any_solver> solvers_of_choice(
    const solver::model_statistics& statistics = {}) {
    using namespace solver;
    std::vector<any_solver> out;
    const auto add = [&out](auto method) {
        out.push_back({[method](const any_schedule& schedule, std::span<const level> levels) {
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
    if (!statistics.empty()) { add(dpm_solver_v3{.order = 3, .statistics = statistics}); }
    return out;
}

/// Where the levels of a search lie: the numbers it changes, and the levels they mean.
///
///     x = (ln of each gap in half-log-SNR, up to a common factor; [-lambda of the first]; [lambda of the last])
class level_space {
public:
    /// - `calls`     network calls: levels less one.
    /// - `teleports` whether the first level is free.
    level_space(any_schedule schedule, std::size_t calls, const level& first, const level& last, double noisy,
                double clean, bool teleports)
        : schedule_(std::move(schedule)),
          first_(first),
          last_(last),
          noisy_(noisy),
          clean_(clean),
          gaps_(static_cast<Eigen::Index>(last.sigma == 0.0 ? calls - 1 : calls)),
          teleports_(teleports) {}

    /// Equal to these levels, whose ends are replaced by those of the space where they are not free.
    [[nodiscard]] Eigen::VectorXd place_of(std::span<const level> levels) const {
        Eigen::VectorXd x(size());
        const auto lambda = [&](Eigen::Index i) {
            return i == 0 ? std::max(levels[0].half_log_snr(), noisy_)
                          : levels[static_cast<std::size_t>(i)].half_log_snr();
        };
        for (Eigen::Index i = 0; i < gaps_; ++i) { x(i) = std::log(lambda(i + 1) - lambda(i)); }
        Eigen::Index next = gaps_;
        if (teleports_) { x(next++) = -lambda(0); }
        if (free_end()) { x(next) = lambda(gaps_); }
        return x;
    }

    /// The levels at a place; empty where it means none.
    [[nodiscard]] std::vector<level> levels_at(const Eigen::VectorXd& x) const {
        Eigen::Index next = gaps_;
        const double from = teleports_ ? -x(next++) : noisy_;
        const double to = free_end() ? x(next) : clean_;
        if (!(from >= noisy_ && to <= clean_ && from < to)) { return {}; }
        const Eigen::ArrayXd gaps =
            (x.head(gaps_).array() - (gaps_ > 0 ? x.head(gaps_).maxCoeff() : 0.0)).exp();
        const double unit = gaps_ > 0 ? (to - from) / gaps.sum() : 0.0;
        std::vector<level> out = {from == noisy_ ? first_ : at_half_log_snr(schedule_, from)};
        double lambda = from;
        for (Eigen::Index i = 0; i < gaps_; ++i) {
            const double gap = unit * gaps(i);
            if (!(gap > smallest_gap)) { return {}; }
            lambda += gap;
            const bool ends = i + 1 == gaps_ && !free_end();
            out.push_back(ends ? last_ : at_half_log_snr(schedule_, lambda));
        }
        if (last_.sigma == 0.0) { out.push_back(last_); }
        return out;
    }

    [[nodiscard]] Eigen::Index size() const { return gaps_ + (teleports_ ? 1 : 0) + (free_end() ? 1 : 0); }

private:
    static constexpr double smallest_gap = 0.02;  // closer levels make differences of like predictions

    [[nodiscard]] bool free_end() const { return last_.sigma == 0.0 && gaps_ > 0; }

    any_schedule schedule_;
    level first_;
    level last_;
    double noisy_;  // half-log-SNR of the first level, or what stands in for pure noise
    double clean_;  // of the last level with noise
    Eigen::Index gaps_;
    bool teleports_;
};

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
};

/// The search of `recommend`: every solver on the usual levels, from the start and teleported; the best place of
/// each is improved by a simplex, the best three of those again; the least error on other starts wins.
class candidate_search {
public:
    candidate_search(int nfe, const stand_in& data, const any_schedule& schedule, const search_range& range,
                     std::vector<any_solver> solvers)
        : nfe_(nfe),
          data_(data),
          schedule_(schedule),
          range_(range),
          solvers_(std::move(solvers)),
          spaces_{space(false), space(true)} {}

    [[nodiscard]] tune::recommendation run() {
        std::vector<contender> all = usual();
        std::vector<contender> best;  // of each solver, teleported or not
        for (std::size_t s = 0; s < solvers_.size(); ++s) {
            const contender* least = nullptr;
            for (const contender& c : all) {
                if (c.solver == s && (least == nullptr || c.value < least->value)) { least = &c; }
            }
            best.push_back(*least);
        }
        const auto n = static_cast<double>(nfe_ + 1);
        const auto most = [&](double each, double limit) {
            return static_cast<std::size_t>(range_.effort * std::min(each * n, limit));
        };
        refine(best, 0.3, most(14.0, 160.0), few());
        std::ranges::stable_sort(best, {}, &contender::value);
        constexpr std::size_t finalists = 3;
        std::vector<contender> last(
            best.begin(), best.begin() + static_cast<std::ptrdiff_t>(std::min(finalists, best.size())));
        refine(last, 0.15, most(40.0, 400.0), searched());
        return report(all, best, last);
    }

private:
    [[nodiscard]] level_space space(bool teleports) const {
        return {
            schedule_, static_cast<std::size_t>(nfe_), range_.first, range_.last, range_.noisy, range_.clean,
            teleports};
    }
    [[nodiscard]] Eigen::Index searched() const { return static_cast<Eigen::Index>(range_.starts); }
    [[nodiscard]] Eigen::Index few() const { return std::max<Eigen::Index>(8, searched() / 2); }

    [[nodiscard]] double value_of(std::size_t solver, std::span<const level> levels,
                                  Eigen::Index starts) const {
        constexpr double meaningless = 1e3;
        if (levels.empty()) { return meaningless; }
        const std::vector<double> errors =
            data_.errors(solvers_[solver].plan(schedule_, levels), schedule_, 0, starts);
        const double value = mean_log_of(errors, 1e-10 * data_.deviation());
        return std::isfinite(value) ? value : meaningless;
    }

    /// Median on the starts that no search saw.
    [[nodiscard]] double held_out(const tweedie::plan& p) const {
        return median_of(data_.errors(p, schedule_, searched(), searched()));
    }

    /// Every solver on the usual levels, from the start and from a few levels to teleport to.
    [[nodiscard]] std::vector<contender> usual() const {
        std::vector<std::optional<double>> jumps = {std::nullopt};
        for (const double deviations : {10.0, 5.0, 2.5}) {
            const double sigma = deviations * data_.deviation();
            const bool inside = -std::log(sigma) > range_.noisy && -std::log(sigma) < range_.clean - 1.0;
            if (range_.teleports && inside) { jumps.emplace_back(sigma); }
        }
        std::vector<contender> out;
        std::vector<std::vector<level>> levels;
        for (const std::optional<double>& jump : jumps) {
            const double sigma = jump ? *jump : std::exp(-range_.noisy);
            for (named_levels& l : usual_levels(schedule_, nfe_, range_, sigma)) {
                if (!jump) { l.levels.front() = range_.first; }
                for (std::size_t s = 0; s < solvers_.size(); ++s) {
                    out.push_back({s, l.name, jump.has_value(), spaces_[jump ? 1 : 0].place_of(l.levels)});
                    levels.push_back(l.levels);
                }
            }
        }
        for_each_index(out.size(), parallel_threshold, [&](std::size_t i) {
            out[i].value = value_of(out[i].solver, levels[i], few());
            return true;
        });
        return out;
    }

    void refine(std::vector<contender>& them, double reach, std::size_t most, Eigen::Index starts) const {
        for_each_index(them.size(), parallel_threshold, [&](std::size_t i) {
            contender& c = them[i];
            const level_space& in = spaces_[c.teleports ? 1 : 0];
            if (in.size() == 0) { return true; }
            found_place found = simplex_search(
                [&](const Eigen::VectorXd& x) { return value_of(c.solver, in.levels_at(x), starts); },
                c.place, reach, most);
            c.place = std::move(found.at);
            c.value = found.value;
            c.from = "found";
            return true;
        });
    }

    [[nodiscard]] tune::trial trial_of(const contender& c, const tweedie::plan& p, double error) const {
        std::optional<double> to;
        if (c.teleports) { to = p.levels.front().sigma / p.levels.front().alpha; }
        return {p.solver, c.from, to, error};
    }

    [[nodiscard]] tweedie::plan plan_of(const contender& c) const {
        return solvers_[c.solver].plan(schedule_, spaces_[c.teleports ? 1 : 0].levels_at(c.place));
    }

    [[nodiscard]] tune::recommendation report(const std::vector<contender>& usual,
                                              const std::vector<contender>& best,
                                              const std::vector<contender>& last) const {
        tune::recommendation out;
        out.predicted_error = std::numeric_limits<double>::infinity();
        const contender* chosen = nullptr;
        const auto consider = [&](const contender& c, bool may_win) {
            if (spaces_[c.teleports ? 1 : 0].levels_at(c.place).empty()) { return; }
            tweedie::plan p = plan_of(c);
            const double error = held_out(p);
            out.tried.push_back(trial_of(c, p, error));
            if (may_win && error < out.predicted_error) {
                out.predicted_error = error;
                out.plan = std::move(p);
                chosen = &c;
            }
        };
        for (const contender& c : last) { consider(c, true); }
        for (std::size_t i = last.size(); i < best.size(); ++i) { consider(best[i], true); }
        for (const contender& c : usual) { consider(c, true); }
        if (chosen == nullptr) { throw std::invalid_argument("recommend: no candidate stays finite"); }
        if (chosen->teleports) { out.teleport.emplace(data_.whole(), range_.first, out.plan.levels.front()); }
        std::ranges::stable_sort(out.tried, {}, &tune::trial::error);
        return out;
    }

    int nfe_;
    const stand_in& data_;
    const any_schedule& schedule_;
    search_range range_;
    std::vector<any_solver> solvers_;
    level_space spaces_[2];
};

}  // namespace tweedie::detail
