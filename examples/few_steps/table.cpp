// SPDX-License-Identifier: MIT
#include "table.hpp"

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/analytic/teleport.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/run/jump.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/deis.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_v3.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tune/align_your_steps.hpp>
#include <tweedie/tune/gits.hpp>
#include <tweedie/tune/recommend.hpp>
#include <tweedie/tune/spectrum_levels.hpp>
#include <tweedie/tune/statistics.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>

#include "../digits/median.hpp"
#include "../digits/progress.hpp"

namespace few_steps {

namespace {

using namespace tweedie;
using tweedie::grid::final_level;
using levels_t = std::vector<level>;

constexpr std::array methods = {method::unipc, method::dpm_solver, method::ipndm,
                                method::deis,  method::v3,         method::heun};

/// Above this many of the data's largest standard deviation a Gaussian describes them well enough to teleport.
constexpr double deviations = 5.0;

/// `run(i)` for i = 0 .. count - 1, on all processors.
template <class Run>
void for_each(std::size_t count, const char* what, const Run& run) {
    digits::progress bar(what, count);
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic)
#endif
    for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) {
        run(static_cast<std::size_t>(i));
#ifdef _OPENMP
#pragma omp critical
#endif
        bar.advance();
    }
}

/// A problem, and what is known of its data: Gaussian, spectrum, statistics, where trajectories bend.
class subject {
public:
    explicit subject(const proof::problem& of)
        : problem_(of),
          schedule_({.sigma_min = of.sigma_min, .sigma_max = of.sigma_max}),
          model_(std::cref(of.data), prediction::x0, schedule_),
          whole_(of.data.mean(), of.data.covariance()),
          spectrum_(analytic::binned(analytic::spectrum_of(whole_), 12)) {
        const double largest = std::sqrt(spectrum_of(whole_).variances.front());
        jump_ = analytic::teleport(whole_, schedule_,
                                   std::clamp(deviations * largest, 2.0 * of.sigma_min, 0.9 * of.sigma_max));
        starts_ = {of.starts, of.starts};
        (*jump_)(starts_[1]);
        for (const bool teleported : {false, true}) {
            const auto candidates = tweedie::grid::log_snr(schedule_, 200, range(teleported));
            klub_.emplace_back(spectrum_, candidates);
            const Eigen::MatrixXd few =
                starts_[teleported ? 1 : 0].leftCols(std::min<Eigen::Index>(64, of.starts.cols()));
            costs_.emplace_back(solver::ipndm{}.plan(
                schedule_, tweedie::grid::karras(schedule_, 60, karras_range(teleported))));
            costs_.back().add(model_, few);
        }
        estimate();
    }

    [[nodiscard]] levels_t levels(grid which, int steps, bool teleported) const {
        switch (which) {
            case grid::karras: return tweedie::grid::karras(schedule_, steps, karras_range(teleported));
            case grid::log_snr: return tweedie::grid::log_snr(schedule_, steps, range(teleported));
            case grid::align_your_steps:
                return tune::align_your_steps(schedule_, steps, klub_[teleported ? 1 : 0],
                                              {.last = final_level::sigma_min});
            case grid::gits: return tune::gits(steps, costs_[teleported ? 1 : 0]);
            case grid::spectrum:
            case grid::found: break;
        }
        throw std::invalid_argument("few_steps: these levels depend on the solver");
    }

    [[nodiscard]] plan plan_of(method solver, grid which, int steps, bool teleported) const {
        return with_solver(solver, [&](const auto& s) {
            if (which != grid::spectrum) { return s.plan(schedule_, levels(which, steps, teleported)); }
            const tune::spectrum_levels_options options = {.from = first(teleported),
                                                           .last = final_level::sigma_min};
            // v3's plans are one number per element: its levels are those of UniPC, which it resembles
            if (solver == method::v3) {
                return s.plan(schedule_,
                              tune::spectrum_levels(solver::unipc{}, schedule_, steps, spectrum_, options));
            }
            return s.plan(schedule_, tune::spectrum_levels(s, schedule_, steps, spectrum_, options));
        });
    }

    [[nodiscard]] Eigen::MatrixXd run(method solver, grid which, int calls, bool teleported) const {
        const int steps = solver == method::heun ? calls / 2 : calls;
        Eigen::MatrixXd x = starts_[teleported ? 1 : 0];
        require(sample(plan_of(solver, which, steps, teleported), model_, x));
        return x;
    }

    [[nodiscard]] tune::recommendation recommended(int calls) const {
        return tune::recommend(calls, problem_.data, schedule_,
                               {.last = final_level::sigma_min, .statistics = statistics_});
    }

    [[nodiscard]] Eigen::MatrixXd run(const tune::recommendation& of) const {
        Eigen::MatrixXd x = problem_.starts;
        require(sample(of, model_, x));
        return x;
    }

    [[nodiscard]] double error(const Eigen::MatrixXd& ends) const {
        const Eigen::VectorXd squares = (ends - problem_.ends).colwise().squaredNorm();
        std::vector<double> errors;
        for (const double square : squares) {
            errors.push_back(std::sqrt(square / static_cast<double>(ends.rows())));
        }
        return digits::median(std::move(errors));
    }

private:
    template <class Use>
    [[nodiscard]] plan with_solver(method solver, const Use& use) const {
        switch (solver) {
            case method::unipc: return use(solver::unipc{.order = 3});
            case method::dpm_solver: return use(solver::dpm_solver{.order = 2});
            case method::ipndm: return use(solver::ipndm{.order = 4});
            case method::deis: return use(solver::deis{.order = 3});
            case method::heun: return use(solver::heun{});
            case method::v3: return use(solver::dpm_solver_v3{.order = 3, .statistics = statistics_});
            case method::recommended: break;
        }
        throw std::invalid_argument("few_steps: no such solver");
    }

    static void require(const run_result& ended) {
        if (!ended) { throw std::runtime_error(to_string(ended.status)); }
    }

    [[nodiscard]] level first(bool teleported) const { return teleported ? jump_->to() : jump_->from(); }
    [[nodiscard]] tweedie::grid::log_snr_options range(bool teleported) const {
        return {.sigma_max = first(teleported).sigma, .last = final_level::sigma_min};
    }
    [[nodiscard]] tweedie::grid::karras_options karras_range(bool teleported) const {
        return {.sigma_max = first(teleported).sigma, .last = final_level::sigma_min};
    }

    /// DPM-Solver-v3's statistics, from samples of the data.
    void estimate() {
        const Eigen::Index d = problem_.data.dimension();
        const auto& parts = problem_.data.components();
        Eigen::MatrixXd samples(d, d > 100 ? 256 : 1024);
        tweedie::start_from_noise(samples, {0.0, 0.0, 1.0}, noise{.seed = 5});
        double left = 0.0;
        std::size_t part = 0;
        for (Eigen::Index j = 0; j < samples.cols(); ++j) {
            while (part + 1 < parts.size() &&
                   static_cast<double>(j) >=
                       (left + problem_.data.weights()[part]) * static_cast<double>(samples.cols())) {
                left += problem_.data.weights()[part++];
            }
            samples.col(j) = parts[part].flow(samples.col(j), {0.0, 0.0, 1.0}, {0.0, 1.0, 0.0});
        }
        statistics_ = tune::estimate_statistics(
                          model_, tweedie::grid::log_snr(schedule_, d > 100 ? 60 : 120, range(false)),
                          samples, noise{.seed = 6})
                          .statistics;
    }

    const proof::problem& problem_;
    schedule::edm schedule_;
    denoiser<std::reference_wrapper<const analytic::mixture>> model_;
    analytic::gaussian whole_;
    analytic::spectrum spectrum_;
    std::optional<analytic::teleport> jump_;
    std::array<Eigen::MatrixXd, 2> starts_;
    std::vector<tune::gaussian_klub> klub_;  // from the start, teleported
    std::vector<tune::euler_costs> costs_;
    solver::model_statistics statistics_;
};

std::string in_words(const tune::recommendation& r) {
    std::string text = r.plan.solver;
    char number[32];
    const auto append = [&](const char* before, double value) {
        std::snprintf(number, sizeof number, "%.3g", value);
        text += before + std::string(number);
    };
    if (r.teleport) { append(", teleported to ", r.plan.levels.front().sigma); }
    const char* before = ", levels ";
    for (const level& l : r.plan.levels) {
        append(before, l.sigma);
        before = " ";
    }
    append("; predicted ", r.predicted_error);
    return text;
}

}  // namespace

const char* name_of(method which) {
    switch (which) {
        case method::unipc: return "UniPC-3";
        case method::dpm_solver: return "2M";
        case method::ipndm: return "iPNDM-4";
        case method::deis: return "DEIS-3";
        case method::heun: return "Heun";
        case method::v3: return "v3-PC";
        case method::recommended: return "recommend";
    }
    return "";
}

const char* name_of(grid which) {
    switch (which) {
        case grid::karras: return "karras";
        case grid::log_snr: return "log_snr";
        case grid::align_your_steps: return "AYS";
        case grid::gits: return "GITS";
        case grid::spectrum: return "spectrum";
        case grid::found: return "its own";
    }
    return "";
}

grid default_of(method which) {
    return which == method::ipndm || which == method::heun ? grid::karras : grid::log_snr;
}

const line& table::at(method solver, grid levels, bool teleported) const {
    const auto found = std::ranges::find_if(lines, [&](const line& l) {
        return l.solver == solver && l.levels == levels && l.teleported == teleported;
    });
    if (found == lines.end()) { throw std::invalid_argument("few_steps: no such line"); }
    return *found;
}

table measure(const data_set& on, const extent& of) {
    table out;
    out.calls = of.calls;
    for (const method solver : methods) {
        for (const bool teleported : {false, true}) {
            for (const grid levels : of.grids) {
                out.lines.push_back({solver, levels, teleported, std::vector<double>(of.calls.size(), 0.0)});
            }
        }
    }
    out.lines.push_back({method::recommended, grid::found, false, std::vector<double>(of.calls.size(), 0.0)});
    const auto share = 1.0 / static_cast<double>(on.problems.size());
    for (const proof::problem& problem : on.problems) {
        const subject here(problem);
        const std::size_t columns = of.calls.size();
        for_each((out.lines.size() - 1) * columns, on.name.c_str(), [&](std::size_t task) {
            line& l = out.lines[task / columns];
            const std::size_t column = task % columns;
            l.errors[column] +=
                share * std::log(here.error(here.run(l.solver, l.levels, of.calls[column], l.teleported)));
        });
        digits::progress bar("recommend", columns);
        for (std::size_t column = 0; column < columns; ++column) {
            const tune::recommendation best = here.recommended(of.calls[column]);
            out.lines.back().errors[column] += share * std::log(here.error(here.run(best)));
            if (&problem == on.problems.data()) { out.recommended.push_back(in_words(best)); }
            bar.advance();
        }
    }
    for (line& l : out.lines) {
        for (double& e : l.errors) { e = std::exp(e); }
    }
    return out;
}

std::vector<strip> strips(const data_set& of, int calls, Eigen::Index count) {
    const subject here(of.problems.front());
    std::vector<strip> out;
    const auto add = [&](std::string name, const Eigen::MatrixXd& samples) {
        out.push_back({std::move(name), samples.leftCols(count)});
    };
    add("Heun", here.run(method::heun, grid::karras, calls, false));
    add("UniPC-3", here.run(method::unipc, grid::log_snr, calls, false));
    add("iPNDM-4", here.run(method::ipndm, grid::karras, calls, false));
    add("v3-PC", here.run(method::v3, grid::log_snr, calls, false));
    add("v3, teleport", here.run(method::v3, grid::log_snr, calls, true));
    add("recommend", here.run(here.recommended(calls)));
    add("exact", of.problems.front().ends);
    return out;
}

}  // namespace few_steps
