// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tune/recommend.hpp>
#include <tweedie/verify/exactness.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/tolerance.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace tweedie;

namespace {

/// Three Gaussians in three dimensions, of unlike size and shape.
const analytic::mixture& bent() {
    static const analytic::mixture data = [] {
        const auto part = [](const Eigen::Vector3d& mean, const Eigen::Vector3d& variances) {
            return analytic::gaussian(mean, variances.asDiagonal().toDenseMatrix());
        };
        return analytic::mixture({0.5, 0.3, 0.2}, {part({0.8, -0.4, 0.1}, {0.05, 0.01, 0.002}),
                                                   part({-0.9, 0.2, 0.5}, {0.01, 0.04, 0.02}),
                                                   part({0.1, 0.9, -0.7}, {0.02, 0.005, 0.03})});
    }();
    return data;
}

/// A fraction of the usual search: a test should take seconds without optimization, too.
tune::recommend_options little(grid::final_level last = grid::final_level::sigma_min) {
    return {.last = last, .effort = 0.3, .starts = 32, .components = 3};
}

/// As many of each component as its weight says.
Eigen::MatrixXd samples_of(const analytic::mixture& data, double count) {
    const level pure{0.0, 0.0, 1.0};
    Eigen::MatrixXd out(data.dimension(), 0);
    for (std::size_t c = 0; c < data.components().size(); ++c) {
        Eigen::MatrixXd z(data.dimension(), std::lround(count * data.weights()[c]));
        start_from_noise(z, pure, noise{.seed = 40 + c});
        const Eigen::Index before = out.cols();
        out.conservativeResize(Eigen::NoChange, before + z.cols());
        out.rightCols(z.cols()) = data.components()[c].flow(z, pure, {0.0, 1.0, 0.0});
    }
    return out;
}

double median_error(const Eigen::MatrixXd& ends, const Eigen::MatrixXd& exact) {
    std::vector<double> errors;
    for (Eigen::Index j = 0; j < ends.cols(); ++j) {
        errors.push_back((ends.col(j) - exact.col(j)).norm() / std::sqrt(static_cast<double>(ends.rows())));
    }
    std::ranges::sort(errors);
    return errors[errors.size() / 2];
}

/// Starts that no recommendation was made from, and their exact ends.
struct new_starts {
    Eigen::MatrixXd x{3, 101};
    Eigen::MatrixXd ends;

    new_starts() {
        const schedule::edm edm;
        const level first = at(edm, edm.range().noisy);
        start_from_noise(x, first, noise{.seed = 77});
        const auto exact = verify::reference_flow(bent(), edm, first, at(edm, edm.range().clean), x);
        REQUIRE(exact);
        ends = exact.x;
    }

    [[nodiscard]] double error_of(const auto& p) const {
        Eigen::MatrixXd moved = x;
        REQUIRE(sample(p, denoiser(std::cref(bent()), prediction::x0, schedule::edm{}), moved));
        return median_error(moved, ends);
    }
};

}  // namespace

TEST_CASE("what is recommended is better than every solver on the usual levels, on starts it never saw",
          "[tune][recommend][exact]") {
    const new_starts starts;
    const schedule::edm edm;
    const grid::final_level last = grid::final_level::sigma_min;
    const analytic::gaussian whole(bent().mean(), bent().covariance());
    for (const int nfe : {5, 8}) {
        CAPTURE(nfe);
        const tune::recommendation best = tune::recommend(nfe, bent(), edm, little());
        CHECK(best.plan.calls.size() == static_cast<std::size_t>(nfe));
        const double error = starts.error_of(best);
        const double unipc =
            starts.error_of(solver::unipc{}.plan(edm, grid::log_snr(edm, nfe, {.last = last})));
        CHECK(6.0 * error <= unipc);
        // two medians, of 32 and of 101 trajectories whose errors spread over a decade
        CHECK(error < 1.6 * best.predicted_error);
        CHECK(error > best.predicted_error / 1.6);

        double rest = unipc;
        for (const detail::any_solver& method : detail::solvers_of_choice()) {
            for (const double sigma : {80.0, 7.0, 4.0}) {
                for (const auto& levels : {grid::log_snr(edm, nfe, {.sigma_max = sigma, .last = last}),
                                           grid::karras(edm, nfe, {.sigma_max = sigma, .last = last})}) {
                    const tweedie::plan p = method.plan(edm, levels);
                    rest = std::min(rest, starts.error_of(analytic::teleport(whole, edm, sigma).then(p)));
                }
            }
        }
        CHECK(error <= 1.1 * rest);
        CHECK(best.why.find("Unprepared, unipc(order=3, bh2, data) on log_snr levels") != std::string::npos);
        CHECK(best.tried.front().error == best.predicted_error);
        CHECK(best.tried.front().solver == best.plan.solver);
    }
}

TEST_CASE("a recommendation is the jump and the plan, to the bit", "[tune][recommend][identity]") {
    const schedule::edm edm;
    const tune::recommendation best = tune::recommend(4, bent(), edm, little());
    REQUIRE(best.teleport.has_value());
    Eigen::MatrixXd x(3, 5);
    start_from_noise(x, best.jump().from(), noise{.seed = 3});
    Eigen::MatrixXd by_hand = x;
    const denoiser model(std::cref(bent()), prediction::x0, edm);
    CHECK(sample(best, model, x).network_calls == 4);
    (*best.teleport)(by_hand);
    REQUIRE(sample(best.plan, model, by_hand));
    CHECK(x == by_hand);
}

TEST_CASE("the same input gives the same recommendation, for any number of threads",
          "[tune][recommend][identity]") {
    const schedule::vp_linear vp;
    const auto once = [&] { return tune::recommend(3, bent(), vp, little(grid::final_level::zero)); };
    const tune::recommendation first = once();
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
    omp_set_num_threads(threads == 1 ? 2 : 1);
#endif
    const tune::recommendation second = once();
#ifdef _OPENMP
    omp_set_num_threads(threads);
#endif
    CHECK(first.plan == second.plan);
    CHECK(first.predicted_error == second.predicted_error);
    CHECK(first.why == second.why);
    CHECK(tune::recommend(3, bent(), vp,
                          {.last = grid::final_level::zero, .effort = 0.3, .starts = 32, .seed = 1})
              .plan.levels != first.plan.levels);
}

TEST_CASE("recommendations begin and end where they should on VP and flow, clean or not, teleported or not",
          "[tune][recommend][exact]") {
    const auto on = [](const auto& schedule) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            for (const bool teleports : {true, false}) {
                tune::recommend_options options = little(last);
                options.teleports = teleports;
                options.effort = 0.05;
                const tune::recommendation best = tune::recommend(3, bent(), schedule, options);
                const level noisy = at(schedule, schedule.range().noisy);
                CHECK(best.jump().from() == noisy);
                CHECK(best.jump().to() == best.plan.levels.front());
                CHECK((teleports || !best.teleport));
                if (!best.teleport) { CHECK(best.plan.levels.front() == noisy); }
                const level& end = best.plan.levels.back();
                CHECK(end == (last == grid::final_level::zero
                                  ? at_half_log_snr(schedule, std::numeric_limits<double>::infinity())
                                  : at(schedule, schedule.range().clean)));
                Eigen::MatrixXd x(3, 4);
                start_from_noise(x, best.jump().from(), noise{.seed = 3});
                CHECK(sample(best, denoiser(std::cref(bent()), prediction::x0, schedule), x));
            }
        }
    };
    on(schedule::vp_linear{});
    on(schedule::flow{});
}

TEST_CASE("a spectrum or a Gaussian alone is enough, and the prediction is the exact Gaussian error",
          "[tune][recommend][exact]") {
    const analytic::gaussian data(bent().mean(), bent().covariance());
    const schedule::edm edm;
    const grid::final_level last = grid::final_level::sigma_min;
    const tune::recommendation bare = tune::recommend(5, analytic::spectrum_of(data), edm, little());
    CHECK_FALSE(bare.teleport);
    CHECK(bare.predicted_error == tune::gaussian_error(bare.plan, analytic::spectrum_of(data)));
    const plan usual = solver::unipc{}.plan(edm, grid::log_snr(edm, 5, {.last = last}));
    CHECK(bare.predicted_error < 0.1 * tune::gaussian_error(usual, analytic::spectrum_of(data)));

    const tune::recommendation known = tune::recommend(5, data, edm, little());
    REQUIRE(known.teleport);
    const double deviation = std::sqrt(analytic::spectrum_of(data).variances.front());
    CHECK_THAT(known.plan.levels.front().sigma, WithinRel(5.0 * deviation, tol<double>::identity));
    // chosen for more than Gaussian data, it is good on the mixture too
    const new_starts starts;
    CHECK(starts.error_of(known) < 0.5 * starts.error_of(usual));

    CHECK(tune::recommend(4, data, schedule::flow{}).plan.levels.back().sigma == 0.0);
}

TEST_CASE("samples stand for the mixture they come from", "[tune][recommend][exact]") {
    const new_starts starts;
    const schedule::edm edm;
    const tune::recommendation best = tune::recommend(5, samples_of(bent(), 1000.0), edm, little());
    // the mixture fitted to 1000 samples is not quite theirs: the error is not the one predicted, but small
    const double unipc = starts.error_of(
        solver::unipc{}.plan(edm, grid::log_snr(edm, 5, {.last = grid::final_level::sigma_min})));
    CHECK(4.0 * starts.error_of(best) < unipc);
}

TEST_CASE("of many dimensions only the leading ones have trajectories", "[tune][recommend][exact]") {
    const Eigen::MatrixXd inside = samples_of(bent(), 200.0);
    Eigen::MatrixXd many = Eigen::MatrixXd::Zero(40, inside.cols());
    start_from_noise(many, {0.0, 0.0, 0.02}, noise{.seed = 9});  // little noise in 37 of them
    many.topRows(3) += inside;
    tune::recommend_options options = little();
    options.rank = 3;
    const tune::recommendation best = tune::recommend(5, many, schedule::edm{}, options);
    REQUIRE(best.teleport);
    CHECK(best.teleport->dimension() == 40);
    CHECK(best.plan.elements == 0);  // no statistics per element
    CHECK(best.predicted_error < 0.1);
}

TEST_CASE("a mixture of more dimensions than are searched is measured in all of them",
          "[tune][recommend][exact]") {
    const schedule::edm edm;
    tune::recommend_options options = little();
    options.rank = 2;
    const new_starts starts;
    const tune::recommendation best = tune::recommend(5, bent(), edm, options);
    // medians of 32 and 101 trajectories, as above
    CHECK(starts.error_of(best) < 1.6 * best.predicted_error);
    const double unipc = starts.error_of(
        solver::unipc{}.plan(edm, grid::log_snr(edm, 5, {.last = grid::final_level::sigma_min})));
    CHECK(6.0 * starts.error_of(best) <= unipc);
}

TEST_CASE("without fitted weights a published solver is recommended", "[tune][recommend][exact]") {
    const schedule::edm edm;
    tune::recommend_options options = little();
    CHECK(tune::recommend(5, bent(), edm, options).plan.solver.starts_with("multistep fitted to data"));
    options.fits_weights = false;
    for (const tune::trial& t : tune::recommend(5, bent(), edm, options).tried) {
        CHECK_FALSE(t.solver.starts_with("multistep fitted to data"));
    }
}

TEST_CASE("recommend refuses what it cannot answer", "[tune][recommend][errors]") {
    const schedule::edm edm;
    const auto with = [&](const tune::recommend_options& options) {
        return tune::recommend(5, bent(), edm, options);
    };
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH(tune::recommend(0, bent(), edm), "recommend: nfe must lie in [1, 1000]");
    CHECK_THROWS_WITH(tune::recommend(1001, bent(), edm), "recommend: nfe must lie in [1, 1000]");
    for (const double effort : {0.0, nan}) {
        CHECK_THROWS_WITH(with({.effort = effort}), "recommend: effort must be positive and finite");
    }
    CHECK_THROWS_WITH(with({.starts = 7}), "recommend: starts must be at least 8");
    CHECK_THROWS_WITH(with({.rank = 0}), "recommend: rank must be at least 1");
    CHECK_THROWS_WITH(with({.components = 0}), "recommend: components must be at least 1");
    CHECK_THROWS_WITH(with({.sigma_max = nan}), "recommend: sigma_max must be positive");
    CHECK_THROWS_WITH(with({.sigma_min = 90.0}), "recommend: the range needs sigma_max > sigma_min");
    CHECK_THROWS_WITH(tune::recommend(5, bent(), schedule::flow{}, {.pure_noise_as = nan}),
                      "recommend: pure_noise_as must be positive and finite");

    CHECK_THROWS_WITH(tune::recommend(5, Eigen::MatrixXd(3, 0), edm),
                      "recommend: need at least one sample of one element");
    Eigen::MatrixXd data = Eigen::MatrixXd::Constant(3, 50, 0.5);
    CHECK_THROWS_WITH(tune::recommend(5, data, edm), "recommend: the data must not all be the same");
    data(1, 1) = nan;
    CHECK_THROWS_WITH(tune::recommend(5, data, edm), "recommend: the data must be finite");
    CHECK_THROWS_WITH(tune::recommend(5, analytic::gaussian::isotropic(Eigen::Vector3d::Zero(), 0.0), edm),
                      "recommend: the data must not all be the same");
    CHECK_THROWS_AS(tune::recommend(5, analytic::spectrum{{1.0}, {}}, edm), std::invalid_argument);
    CHECK_THROWS_AS(tune::recommend(5, analytic::spectrum{{-1.0}, {1.0}}, edm), std::invalid_argument);

    const tune::recommendation best = tune::recommend(2, bent(), edm, little());
    Eigen::MatrixXd other = Eigen::MatrixXd::Zero(4, 2);
    const denoiser model(std::cref(bent()), prediction::x0, edm);
    CHECK_THROWS_AS(sample(best, model, other), std::invalid_argument);
}
