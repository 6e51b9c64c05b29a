// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/expectation_maximization.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/analytic/randomized.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/analytic/teleport.hpp>
#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/jump.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/model_statistics.hpp>
#include <tweedie/tune/candidate_search.hpp>
#include <tweedie/tune/recommendation.hpp>
#include <tweedie/tune/spectrum_levels.hpp>
#include <tweedie/tune/stand_in.hpp>
#include <tweedie/tune/statistics.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::tune {

/// Options of `recommend`.
struct recommend_options {
    std::optional<double> sigma_max = {};  ///< where sampling starts, sigma / alpha; default: the schedule's
    std::optional<double> sigma_min = {};  ///< the last noise level, sigma / alpha; default: the schedule's
    /// zero: samples end clean, and the last level a network sees lies where it is best, not below
    /// `sigma_min`; sigma_min: they end there.
    grid::final_level last = grid::final_level::zero;
    bool teleports = true;     ///< whether the way may begin with a jump (`analytic::teleport`)
    bool fits_weights = true;  ///< whether the weights of a method may be fitted to the data
    double effort = 1.0;       ///< of the search, plans tried relative to the default; > 0
    std::size_t starts = 128;  ///< trajectories to search by, and as many others to measure by; >= 8
    Eigen::Index rank = 16;    ///< most dimensions of the trajectories; the others count as Gaussian; >= 1
    Eigen::Index components = 10;  ///< of the mixture fitted to samples; >= 1
    std::uint64_t seed = 0;        ///< of the trajectories
    double pure_noise_as = 160.0;  ///< the sigma / alpha that stands in for a start at alpha = 0; > 0, finite
    /// DPM-Solver-v3's, of the network or of all dimensions of the data; default: of the mixture, up to
    /// `rank` dimensions.
    solver::model_statistics statistics = {};
};

}  // namespace tweedie::tune

namespace tweedie::detail {

[[nodiscard]] inline search_range range_of_recommendation(int nfe, const any_schedule& schedule,
                                                          const tune::recommend_options& options) {
    if (!(nfe >= 1 && nfe <= 1000)) { throw std::invalid_argument("recommend: nfe must lie in [1, 1000]"); }
    require_final_level(options.last, "recommend");
    if (!(options.effort > 0.0 && std::isfinite(options.effort))) {
        throw std::invalid_argument("recommend: effort must be positive and finite");
    }
    if (!(options.starts >= 8)) { throw std::invalid_argument("recommend: starts must be at least 8"); }
    if (!(options.rank >= 1)) { throw std::invalid_argument("recommend: rank must be at least 1"); }
    if (!(options.components >= 1)) {
        throw std::invalid_argument("recommend: components must be at least 1");
    }
    const grid_range range =
        range_of(schedule, options.sigma_max, options.sigma_min, options.pure_noise_as, "recommend");
    search_range out{range.noisy,       range.clean,    range.noisy_half_log_snr, range.clean_half_log_snr,
                     options.teleports, options.effort, options.starts,           options.fits_weights};
    if (options.last == grid::final_level::zero) {
        out.last = at_half_log_snr(schedule, std::numeric_limits<double>::infinity());
    }
    return out;
}

[[nodiscard]] inline std::string few_digits(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g", value);
    return text;
}

/// "unipc(...) on found levels, teleported to 2.1: 1.2e-3"
[[nodiscard]] inline std::string in_words(const tune::trial& t) {
    std::string text = t.solver + " on " + t.levels + " levels";
    if (t.teleported_to) { text += ", teleported to sigma / alpha = " + few_digits(*t.teleported_to); }
    return text + ": " + few_digits(t.error);
}

/// What was compared: the best; the best of another solver; UniPC where nothing is known.
[[nodiscard]] inline std::string comparison_of(const std::vector<tune::trial>& tried) {
    std::string text = in_words(tried.front()) + ".";
    const auto say = [&](const char* what, const auto& is) {
        const auto found = std::ranges::find_if(tried, is);
        if (found == tried.end() || found == tried.begin()) { return; }
        text += std::string(" ") + what + ", " + in_words(*found) + " (" +
                few_digits(found->error / tried.front().error) + " times as much).";
    };
    say("Next", [&](const tune::trial& t) { return t.solver != tried.front().solver; });
    say("Unprepared", [](const tune::trial& t) {
        return t.solver == "unipc(order=3, bh2, data)" && t.levels == "log_snr" && !t.teleported_to;
    });
    return text;
}

/// DPM-Solver-v3's statistics of a stand-in, where they are cheap.
[[nodiscard]] inline solver::model_statistics statistics_of(const stand_in& data, const search_range& range) {
    constexpr Eigen::Index large = 64;
    if (data.projected() || data.mixture().dimension() > large) { return {}; }
    constexpr int nodes = 100;
    constexpr std::size_t samples = 1024;
    const schedule::edm edm({.sigma_min = std::exp(-range.clean), .sigma_max = std::exp(-range.noisy)});
    const denoiser model(std::cref(data.mixture()), prediction::x0, edm);
    return tune::estimate_statistics(model, grid::log_snr(edm, nodes, {.last = grid::final_level::sigma_min}),
                                     data.samples(samples), noise{.seed = 1})
        .statistics;
}

/// - `first`, `whole`  as in `candidate_search`.
[[nodiscard]] inline tune::recommendation recommend_for(const stand_in& first, const stand_in& whole, int nfe,
                                                        const any_schedule& schedule,
                                                        const search_range& range,
                                                        const solver::model_statistics& given) {
    const solver::model_statistics statistics = given.empty() ? statistics_of(first, range) : given;
    tune::recommendation out =
        candidate_search(nfe, first, whole, schedule, range, solvers_of_choice(statistics)).run();
    out.why = "Median error of " + std::to_string(whole.searched()) + " trajectories of a mixture of " +
              std::to_string(whole.mixture().components().size()) + " Gaussians in " +
              std::to_string(whole.whole().dimension()) + " dimensions, with " + std::to_string(nfe) +
              " network calls. " + comparison_of(out.tried);
    return out;
}

/// The best solver on `spectrum_levels`, from where a jump ends or from the start.
[[nodiscard]] inline tune::recommendation recommend_for(const analytic::spectrum& of, int nfe,
                                                        const any_schedule& schedule,
                                                        const search_range& range,
                                                        const std::optional<level>& jumps_to,
                                                        double pure_noise_as) {
    require_directions(of, "recommend");
    const analytic::spectrum few = analytic::binned(of, 24);
    const level from = jumps_to.value_or(range.first);
    const level last = range.last;
    const two_mode_directions modes(few, from, last);
    const gaussian_directions gaussian(few, from, last);
    tune::recommendation out;
    double least = std::numeric_limits<double>::infinity();
    for (const any_solver& solver : solvers_of_choice()) {
        std::vector<level> levels = tune::spectrum_levels(
            solver, schedule, nfe, few,
            {.from = from,
             .to = at_half_log_snr(schedule, range.clean),
             .last = last.sigma == 0.0 ? grid::final_level::zero : grid::final_level::sigma_min,
             .pure_noise_as = pure_noise_as});
        tweedie::plan p = solver.plan(schedule, levels);
        const double value = std::hypot(modes.errors(p).norm(), gaussian.errors(p).norm());
        const double error = tune::gaussian_error(p, of);
        std::optional<double> to;
        if (jumps_to) { to = from.sigma / from.alpha; }
        out.tried.push_back({p.solver, "found", to, error});
        if (value < least) {
            least = value;
            out.predicted_error = error;
            out.plan = std::move(p);
            std::ranges::rotate(out.tried, out.tried.end() - 1);
        }
    }
    if (out.plan.calls.empty()) { throw std::invalid_argument("recommend: no candidate stays finite"); }
    std::ranges::stable_sort(out.tried.begin() + 1, out.tried.end(), {}, &tune::trial::error);
    out.why = "Exact error on Gaussian data with this spectrum, with " + std::to_string(nfe) +
              " network calls; chosen for that and for data with two modes along every direction. " +
              in_words(out.tried.front()) + ".";
    return out;
}

}  // namespace tweedie::detail

namespace tweedie::tune {

/// The way to sample with so many network calls that has the least predicted error: solver, noise levels, and
/// how far to teleport first.
///
///     const auto best = tune::recommend(8, data, schedule);       // samples, one per column
///     start_from_noise(x, best.jump().from(), noise{.seed = 7});
///     const auto result = sample(best, model, x);
///
/// No network is called. A mixture of Gaussians stands in for the data: its denoiser is exact, so what a plan
/// does with it is measured, on trajectories whose ends are known. Ten solvers (UniPC, DPM-Solver++, iPNDM,
/// DEIS, DPM-Solver-v3 with the mixture's statistics) are tried on the usual levels, from the start and
/// teleported to 8, 4 and 2 of the largest standard deviation; then the levels of each, its first included,
/// are moved where the error is least (a downhill simplex on the mean logarithm of the error). Last, on the
/// best levels, the weights of a multistep method are fitted to the trajectories (`.fits_weights`), and the
/// levels moved again. Data of more than `rank` dimensions are first searched along those of largest
/// variance, the others counting as Gaussian; what was found is improved and measured in all dimensions, on
/// up to 64 trajectories.
///
/// - `nfe`      network calls, in [1, 1000].
/// - `data`     a mixture: `analytic::mixture`, fitted by yourself.
/// - `schedule` the one sampling will use.
/// - returns    `predicted_error`: the median, over as many trajectories as the search saw but other ones, of
///              the root mean square over the elements of the distance from where the exact flow ends.
/// - honestly   that is the error on data like the mixture, with the exact network. A trained network has
///              errors of its own, which more calls do not cure; bends that the mixture does not have are not
///              seen. Fitted weights know the data best and forgive least: where the mixture is not the data,
///              they lose more than a published solver does; `.fits_weights = false` for a rough mixture.
///              Teleportation is for networks that know all of the data: one that is told a class, or guided,
///              wants the mixture of that class, or `.teleports = false`.
/// - cost       a few seconds for 10 calls, 10 components and 16 dimensions; 10 to 20 for 784 dimensions of
///              rank 24 each; grows with the square of the calls.
/// - random     of `seed` alone: the same input gives the same recommendation, for any number of threads.
/// - errors     `std::invalid_argument`: nfe or options out of range; data that are empty, not finite or all
///              the same.
/// - choose     with samples of the data at hand; `spectrum_levels` for one solver of your own choice.
[[nodiscard]] inline recommendation recommend(int nfe, const analytic::mixture& data,
                                              const any_schedule& schedule,
                                              const recommend_options& options = {}) {
    const detail::search_range range = detail::range_of_recommendation(nfe, schedule, options);
    const detail::stand_in first(data, range.first, range.last, 2 * options.starts, options.rank,
                                 options.seed);
    if (first.exact()) {
        return detail::recommend_for(first, first, nfe, schedule, range, options.statistics);
    }
    const detail::stand_in whole(data, range.first, range.last, 2 * std::min<std::size_t>(64, options.starts),
                                 data.dimension(), options.seed);
    return detail::recommend_for(first, whole, nfe, schedule, range, options.statistics);
}

/// The same for samples: a mixture is fitted to them by expectation maximization, in the `rank` directions of
/// largest variance where they have more dimensions: the other directions then count as Gaussian to the end,
/// which makes the prediction too small, and there is no DPM-Solver-v3 without `.statistics` of one number.
/// - `samples`  d x n, one per column; n >= 1. Of more than 4096 every so many are used.
[[nodiscard]] inline recommendation recommend(int nfe, const Eigen::Ref<const Eigen::MatrixXd>& samples,
                                              const any_schedule& schedule,
                                              const recommend_options& options = {}) {
    const detail::search_range range = detail::range_of_recommendation(nfe, schedule, options);
    if (samples.rows() < 1 || samples.cols() < 1) {
        throw std::invalid_argument("recommend: need at least one sample of one element");
    }
    detail::require_finite(samples, "recommend: the data must be finite");
    constexpr Eigen::Index most = 4096;
    const Eigen::Index stride = (samples.cols() + most - 1) / most;
    Eigen::MatrixXd used((samples.rows()), (samples.cols() + stride - 1) / stride);
    for (Eigen::Index j = 0; j < used.cols(); ++j) { used.col(j) = samples.col(j * stride); }
    const Eigen::VectorXd mean = used.rowwise().mean();
    const double variance = (used.colwise() - mean).squaredNorm() / static_cast<double>(used.size());
    if (!(variance > 0.0)) { throw std::invalid_argument("recommend: the data must not all be the same"); }

    constexpr Eigen::Index large = 1024;  // where a d x d decomposition takes seconds
    const bool inside = samples.rows() > options.rank;
    std::optional<analytic::gaussian> whole;
    Eigen::MatrixXd seen = used;
    if (inside) {
        whole = samples.rows() > large ? analytic::randomized_fit(used, {.rank = 4 * options.rank})
                                       : analytic::gaussian::fit(used);
        const Eigen::Index kept = std::min(options.rank, whole->rank());
        seen = detail::product(whole->eigenvectors().leftCols(kept).transpose(), used.colwise() - mean);
    }
    constexpr Eigen::Index each = 20;  // samples that a component should have
    const Eigen::Index components = std::clamp<Eigen::Index>(used.cols() / each, 1, options.components);
    const double least = 1e-4 * variance;
    const analytic::mixture start = analytic::mixture::fit(seen, components,
                                                           {.each = {.added_variance = least},
                                                            .start = analytic::cluster_start::plus_plus,
                                                            .seed = options.seed});
    analytic::mixture fitted =
        analytic::maximize_likelihood(start, seen, {.least_variance = least, .iterations = 50}).model;
    if (!inside) { return recommend(nfe, fitted, schedule, options); }
    const detail::stand_in model(*whole, std::move(fitted), range.first, range.last, 2 * options.starts,
                                 options.seed);
    return detail::recommend_for(model, model, nfe, schedule, range, options.statistics);
}

/// The same where only a spectrum is known.
///
/// No trajectory can be measured then. For every solver `spectrum_levels` finds levels, for Gaussian data and
/// for data with two modes along every direction; the solver with the least of both errors is chosen.
/// - returns  `predicted_error`: `gaussian_error`, exact for Gaussian data, too small for any other. Nothing
///            is teleported: that needs a mean and directions.
/// - cost     a fraction of a second for 5 calls, seconds for 20; no network, no random number.
[[nodiscard]] inline recommendation recommend(int nfe, const analytic::spectrum& data,
                                              const any_schedule& schedule,
                                              const recommend_options& options = {}) {
    const detail::search_range range = detail::range_of_recommendation(nfe, schedule, options);
    return detail::recommend_for(data, nfe, schedule, range, std::nullopt, options.pure_noise_as);
}

/// The same where the mean and the covariance are known.
///
/// If the data were Gaussian, teleporting all the way would be exact, which is no advice. So the jump ends,
/// by rule, at 5 of the largest standard deviation, where mixtures still look Gaussian: what teleportation
/// gets wrong falls with the inverse square of that number. `tune::skip_level` measures it for a network.
[[nodiscard]] inline recommendation recommend(int nfe, const analytic::gaussian& data,
                                              const any_schedule& schedule,
                                              const recommend_options& options = {}) {
    const detail::search_range range = detail::range_of_recommendation(nfe, schedule, options);
    const analytic::spectrum of = analytic::spectrum_of(data);
    constexpr double deviations = 5.0;
    const double sigma = deviations * std::sqrt(of.variances.front());
    if (!(sigma > 0.0)) { throw std::invalid_argument("recommend: the data must not all be the same"); }
    std::optional<level> to;
    const double lambda = -std::log(sigma);
    if (options.teleports && lambda > range.noisy && lambda < range.clean - 1.0) {
        to = at_half_log_snr(schedule, lambda);
    }
    recommendation out = detail::recommend_for(of, nfe, schedule, range, to, options.pure_noise_as);
    if (to) { out.teleport.emplace(data, range.first, *to); }
    return out;
}

}  // namespace tweedie::tune
