// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/grid/align_your_steps.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tune/least_squares.hpp>
#include <tweedie/tune/test_directions.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::tune {

/// The root mean square error that a plan makes on Gaussian data with this spectrum, per element of a sample,
/// from exact starts and without any network:
///
///     sqrt(sum_k counts_k e_k^2 / sum_k counts_k)
///     e_k = (gain_k - exact gain_k) sqrt(alpha^2 v_k + sigma^2)        alpha, sigma of the first level
///
/// A stochastic plan has no end to compare with; there e_k is the difference of the standard deviations, the
/// Wasserstein distance between the two Gaussians. The data's mean adds nothing: every solver that
/// integrates a constant data prediction exactly carries the mean to where it belongs.
/// - `p`       a plan that is not folded; its ends are its levels' ends.
/// - cost      one `analyze` per variance.
/// - errors    `std::invalid_argument`: what `analyze` refuses; a spectrum that is empty, negative, not
///             finite or counts no direction.
[[nodiscard]] inline double gaussian_error(const plan& p, const analytic::spectrum& of) {
    detail::require_directions(of, "gaussian_error");
    require_levels(p.levels, "gaussian_error", walk::either);
    const bool stochastic = !detail::draws_of(p).empty();
    double squares = 0.0;
    double directions = 0.0;
    for (std::size_t k = 0; k < of.variances.size(); ++k) {
        const double v = of.variances[k];
        const transfer planned = analyze(p, v);
        const double start = detail::deviation(p.levels.front(), v);
        const double exact = detail::deviation(p.levels.back(), v);
        const double reached = stochastic
                                   ? std::hypot(planned.start * start, std::sqrt(planned.noise_variance))
                                   : planned.start * start;
        squares += of.counts[k] * (reached - exact) * (reached - exact);
        directions += of.counts[k];
    }
    return std::sqrt(squares / directions);
}

/// Options of `spectrum_levels`. The weights were chosen on five mixtures, four solvers, 5 to 15 steps.
struct spectrum_levels_options {
    /// The first level, that of a teleport for instance; default: the schedule's noisiest.
    std::optional<level> from = {};
    std::optional<level> to = {};  ///< the last level with noise; default: the schedule's
    /// zero: the clean level ends the levels, and the last one a network sees lies where it is best, not
    /// below `to`; sigma_min: `to` ends them.
    grid::final_level last = grid::final_level::zero;
    double two_modes = 2.0;     ///< weight of the errors on data with two modes per direction; >= 0, finite
    double cancellation = 0.4;  ///< weight of the errors of single steps, which may cancel; >= 0, finite
    /// Further levels to begin the search at, steps + 1 each; their interior is used.
    std::vector<std::vector<level>> starts = {};
    int iterations = 60;           ///< most rounds per start; >= 0
    double pure_noise_as = 160.0;  ///< the sigma / alpha that stands in for a start at alpha = 0; > 0, finite
};

}  // namespace tweedie::tune

namespace tweedie::detail {

using levels_planner = std::function<plan(const std::vector<level>&)>;  // so that a search compiles once

/// The levels of a search, by their gaps in half-log-SNR between two finite ends.
///
/// x holds the logarithm of each gap over the last one, so that every x is a valid sequence. A tenth of the
/// range is shared equally: no gap vanishes.
struct gap_levels {
    any_schedule schedule;
    level first;
    level last;
    double noisy = 0.0;
    double clean = 0.0;

    static constexpr double shared = 0.1;

    [[nodiscard]] std::vector<double> half_log_snrs(const Eigen::VectorXd& x) const {
        const double largest = std::max(0.0, x.size() == 0 ? 0.0 : x.maxCoeff());
        std::vector<double> gaps;
        for (const double log_gap : x) { gaps.push_back(std::exp(log_gap - largest)); }
        gaps.push_back(std::exp(-largest));
        double sum = 0.0;
        for (const double gap : gaps) { sum += gap; }
        std::vector<double> out = {noisy};
        const double equal = shared / static_cast<double>(gaps.size());
        for (std::size_t i = 0; i + 1 < gaps.size(); ++i) {
            out.push_back(out.back() + (clean - noisy) * ((1.0 - shared) * gaps[i] / sum + equal));
        }
        out.push_back(clean);
        return out;
    }

    /// The x nearest to these half-log-SNRs; only what is between the ends counts.
    [[nodiscard]] Eigen::VectorXd position(std::span<const double> half_log_snrs) const {
        const std::size_t n = half_log_snrs.size() - 1;
        const double equal = shared / static_cast<double>(n);
        std::vector<double> logs;
        double before = noisy;
        for (std::size_t i = 1; i <= n; ++i) {
            const double now = i == n ? clean : std::clamp(half_log_snrs[i], before, clean);
            const double share = ((now - before) / (clean - noisy) - equal) / (1.0 - shared);
            logs.push_back(std::log(std::max(share, 1e-4)));
            before = now;
        }
        Eigen::VectorXd x(static_cast<Eigen::Index>(n) - 1);
        for (Eigen::Index i = 0; i < x.size(); ++i) {
            x[i] = logs[static_cast<std::size_t>(i)] - logs.back();
        }
        return x;
    }

    [[nodiscard]] std::vector<level> levels(const Eigen::VectorXd& x) const {
        const std::vector<double> values = half_log_snrs(x);
        std::vector<level> out = {first};
        for (std::size_t i = 1; i + 1 < values.size(); ++i) {
            out.push_back(at_half_log_snr(schedule, values[i]));
        }
        out.push_back(last);
        return out;
    }
};

/// The search that `spectrum_levels` was asked for.
template <noise_schedule Schedule>
[[nodiscard]] gap_levels gap_levels_of(const Schedule& schedule, int steps,
                                       const tune::spectrum_levels_options& options) {
    constexpr const char* who = "spectrum_levels";
    const auto refuse = [](const char* rule) {
        throw std::invalid_argument(std::string("spectrum_levels: ") + rule);
    };
    require_steps(steps, who);
    require_final_level(options.last, who);
    for (const double weight : {options.two_modes, options.cancellation}) {
        if (!(weight >= 0.0 && std::isfinite(weight))) {
            refuse("two_modes and cancellation must be finite and not negative");
        }
    }
    if (options.iterations < 0) { refuse("iterations must not be negative"); }
    const level first = options.from.value_or(at(schedule, schedule.range().noisy));
    const level last = options.to.value_or(at(schedule, schedule.range().clean));
    if (!(last.sigma > 0.0)) { refuse("to must have noise left; the clean level is asked for by last"); }
    require_levels(std::vector<level>{first, last}, who);
    gap_levels out{schedule, first, last, first.half_log_snr(), last.half_log_snr()};
    if (first.alpha == 0.0) {
        if (!(options.pure_noise_as > 0.0 && std::isfinite(options.pure_noise_as))) {
            refuse("pure_noise_as must be positive and finite");
        }
        out.noisy = -std::log(options.pure_noise_as);
    }
    if (!(out.noisy < out.clean)) { refuse("from must be noisier than to"); }
    if (options.last == grid::final_level::zero) {
        out.last = at_half_log_snr(schedule, std::numeric_limits<double>::infinity());
    }
    return out;
}

/// Published levels at another number of steps: linear in half-log-SNR between those that lie between the
/// ends.
[[nodiscard]] inline std::vector<double> interpolated(const gap_levels& on, std::span<const double> sigmas,
                                                      std::size_t steps) {
    std::vector<double> nodes = {on.noisy};
    for (const double sigma : sigmas) {
        const double node = -std::log(sigma);
        if (node > on.noisy && node < on.clean) { nodes.push_back(node); }
    }
    nodes.push_back(on.clean);
    std::vector<double> out;
    for (std::size_t i = 0; i <= steps; ++i) {
        const double place = static_cast<double>(i * (nodes.size() - 1)) / static_cast<double>(steps);
        const std::size_t whole = std::min(static_cast<std::size_t>(place), nodes.size() - 2);
        const double part = place - static_cast<double>(whole);
        out.push_back((1.0 - part) * nodes[whole] + part * nodes[whole + 1]);
    }
    return out;
}

/// Where a search may begin: equal steps in half-log-SNR, in (sigma / alpha)^(1/7), in time, and the
/// published tables of Align Your Steps, with and without the ends they have.
[[nodiscard]] inline std::vector<std::vector<double>> usual_half_log_snrs(const gap_levels& on,
                                                                          std::size_t steps) {
    constexpr double rho = 7.0;
    const double first = std::exp(-on.noisy / rho);
    const double last = std::exp(-on.clean / rho);
    const double first_time = on.schedule.time_at(on.noisy);
    const double last_time = on.schedule.time_at(on.clean);
    std::vector<std::vector<double>> out(3);
    for (std::size_t i = 0; i <= steps; ++i) {
        const double part = static_cast<double>(i) / static_cast<double>(steps);
        out[0].push_back(on.noisy + part * (on.clean - on.noisy));
        out[1].push_back(-rho * std::log(first + part * (last - first)));
        out[2].push_back(on.schedule.half_log_snr(first_time + part * (last_time - first_time)));
    }
    using grid::align_your_steps_for;
    for (const align_your_steps_for network :
         {align_your_steps_for::stable_diffusion_1, align_your_steps_for::stable_diffusion_xl,
          align_your_steps_for::stable_video_diffusion, align_your_steps_for::deepfloyd_if}) {
        const std::span<const double> sigmas = grid::align_your_steps_sigmas(network);
        out.push_back(interpolated(on, sigmas, steps));
        out.push_back(interpolated(on, sigmas.subspan(1, sigmas.size() - 2), steps));
    }
    return out;
}

/// What a search of levels makes small.
class level_search {
public:
    level_search(levels_planner plan_for, gap_levels on, const analytic::spectrum& of,
                 const tune::spectrum_levels_options& options)
        : plan_for_(std::move(plan_for)),
          on_(std::move(on)),
          gaussian_(analytic::binned(of, 48), on_.first, on_.last),
          modes_(analytic::binned(of, 24), on_.first, on_.last),
          options_(&options) {}

    /// The best levels of searches from the most promising of these starts; the first of equals.
    [[nodiscard]] std::vector<level> from(const std::vector<std::vector<double>>& starts) const {
        std::vector<Eigen::VectorXd> begin;
        for (const std::vector<double>& start : starts) { begin.push_back(on_.position(start)); }
        const auto straight = [&](const Eigen::VectorXd& x) { return gaussian_error(x); };
        std::ranges::stable_sort(begin, {}, straight);
        const Eigen::VectorXd least = begin.front();
        const double enough = gaussian_error(least);
        std::ranges::stable_sort(begin, {}, [&](const Eigen::VectorXd& x) { return cost(x, 1.0); });
        begin.resize(std::min(begin.size(), most_starts));
        double others = options_->two_modes + options_->cancellation > 0.0 ? 1.0 : 0.0;
        for (;;) {
            const Eigen::VectorXd best = best_from(begin, others);
            const bool few = best.size() + 1 < few_steps;
            if (!few || others == 0.0 || gaussian_error(best) < 0.99 * enough) { return on_.levels(best); }
            begin = {best, least};
            others = others > 0.01 ? 0.7 * others : 0.0;
        }
    }

private:
    static constexpr std::size_t most_starts = 6;
    // With fewer steps the levels must not be worse on Gaussian data than the best start: the other weights
    // give way. With more, a start is better by a lucky cancellation only, and giving way cost up to 0.3 on
    // mixtures.
    static constexpr Eigen::Index few_steps = 8;

    [[nodiscard]] Eigen::VectorXd residuals(const Eigen::VectorXd& x, double others) const {
        const plan p = plan_for_(on_.levels(x));
        const Eigen::VectorXd straight = gaussian_.errors(p, others * options_->cancellation);
        const double weight = others * options_->two_modes;
        if (weight == 0.0 || !draws_of(p).empty()) { return straight; }
        const Eigen::VectorXd bent = weight * modes_.errors(p);
        Eigen::VectorXd all(straight.size() + bent.size());
        all << straight, bent;
        return all;
    }

    [[nodiscard]] double cost(const Eigen::VectorXd& x, double others) const {
        const double sum = residuals(x, others).squaredNorm();
        return std::isnan(sum) ? std::numeric_limits<double>::infinity() : sum;
    }

    [[nodiscard]] double gaussian_error(const Eigen::VectorXd& x) const { return std::sqrt(cost(x, 0.0)); }

    [[nodiscard]] Eigen::VectorXd best_from(const std::vector<Eigen::VectorXd>& begin, double others) const {
        least_squares_result best{{}, std::numeric_limits<double>::infinity()};
        for (const Eigen::VectorXd& x : begin) {
            const auto residuals_at = [&](const Eigen::VectorXd& here) { return residuals(here, others); };
            const least_squares_result found = least_squares(residuals_at, x, options_->iterations);
            if (found.cost < best.cost) { best = found; }
        }
        if (std::isinf(best.cost)) {
            throw std::invalid_argument("spectrum_levels: the plans of this solver are not finite");
        }
        return best.x;
    }

    levels_planner plan_for_;
    gap_levels on_;
    gaussian_directions gaussian_;
    two_mode_directions modes_;
    const tune::spectrum_levels_options* options_;
};

}  // namespace tweedie::detail

namespace tweedie::tune {

/// The levels on which a solver errs least for data of a known spectrum, found without calling a network.
///
/// Minimises, over the gaps in half-log-SNR between fixed ends, the squared errors of the solver's plan
/// - on Gaussian data of this spectrum (`gaussian_error`);
/// - on data with two modes along each direction, weight `two_modes`;
/// - of each step by itself on the Gaussian data, carried to the end, weight `cancellation`.
///
/// The Gaussian error alone can be driven to nothing at 10 steps, by errors that cancel on exactly these
/// variances and on nothing else. The other two terms ask for what real data need: directions in which a
/// sample decides between modes, late and quickly, and no trust in cancellation. Below 8 steps the weights
/// are reduced until the result is no worse on Gaussian data than the best start. A stochastic plan is judged
/// by the law of its Gaussian ends and by `cancellation`.
///
/// Measured on five mixtures (dimension 4 to 784), six solvers, 8 to 20 steps, against the best of
/// `grid::karras`, `grid::log_snr` and four tables of Align Your Steps in each case: half the median error in
/// the geometric mean (UniPC-3 a quarter, DDIM 0.88), never more of it than all. By the Gaussian error alone
/// it is 0.9, with single cases of 3 to 5. On six mixtures that the weights were not chosen on, at 8, 10
/// and 15 steps, in the geometric mean: UniPC-3 0.31 to 0.46, 2M 0.51 to 0.69, DDIM 0.96 to 1.09, iPNDM-4 1.1
/// to 1.6: there it loses. At 5 and 6 steps iPNDM-4 can lose by 0.3.
/// - `solver`    anything with `.plan(schedule, levels)`; its number of calls per step is its own affair.
/// - `steps`     in [1, 1000000]; made for up to some 30.
/// - `of`        of the data the network was trained on, scaled as the network sees them.
/// - returns     steps + 1 levels, noisy to clean, the ends as asked for.
/// - cost        no network call; Levenberg-Marquardt searches from the six most promising of eleven usual
///               grids: a fifth of a second for 10 steps.
/// - random      nothing: the same arguments give the same levels.
/// - errors      `std::invalid_argument`: steps, a spectrum that is empty, negative, not finite or counts no
///               direction, ends that are no noisier and cleaner level of the schedule, starts that are not
///               steps + 1 levels, weights or iterations out of range; NaN each time; a plan whose weights
///               differ from element to element.
/// - choose      at 5 to 20 steps with exponential integrators (UniPC, DPM-Solver, DEIS), when the covariance
///               of the data can be had; with DDIM and iPNDM it gains little over a fitting table.
template <class Solver, noise_schedule Schedule>
    requires requires(const Solver& solver, const any_schedule& schedule, std::span<const level> levels) {
        { solver.plan(schedule, levels) } -> std::convertible_to<plan>;
    }
[[nodiscard]] std::vector<level> spectrum_levels(const Solver& solver, const Schedule& schedule, int steps,
                                                 const analytic::spectrum& of,
                                                 const spectrum_levels_options& options = {}) {
    constexpr const char* who = "spectrum_levels";
    const detail::gap_levels on = detail::gap_levels_of(schedule, steps, options);
    detail::require_directions(of, who);
    const auto count = static_cast<std::size_t>(steps);
    std::vector<std::vector<double>> starts = detail::usual_half_log_snrs(on, count);
    for (const std::vector<level>& start : options.starts) {
        require_levels(start, who);
        if (start.size() != count + 1) {
            throw std::invalid_argument("spectrum_levels: starts must have steps + 1 levels");
        }
        std::vector<double>& values = starts.emplace_back();
        for (const level& l : start) { values.push_back(l.half_log_snr()); }
    }
    const auto plan_for = [&](const std::vector<level>& given) -> plan {
        return solver.plan(on.schedule, given);
    };
    return detail::level_search(plan_for, on, of, options).from(starts);
}

}  // namespace tweedie::tune
