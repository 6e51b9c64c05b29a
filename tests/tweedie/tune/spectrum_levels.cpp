// SPDX-License-Identifier: MIT
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/grid/align_your_steps.hpp>
#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/tabulated.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/tune/spectrum_levels.hpp>
#include <tweedie/verify/order.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

using namespace tweedie;
using analytic::spectrum;
using grid::final_level;
using tune::gaussian_error;
using tune::spectrum_levels;
using tune::spectrum_levels_options;
using levels = std::vector<level>;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Of `examples/data/optdigits.bin`, pixels / 8 - 1: `binned(spectrum_of(gaussian::fit(data)), 24)`.
const spectrum& digits() {
    static const spectrum of = {{1.859, 0.5315, 0.1679, 0.0515, 0.01859, 0.005766, 0.001161, 0.0006194,
                                 0.0001829, 5.659e-05, 1.513e-05, 6.437e-06, 5.345e-19},
                                {6, 8, 15, 14, 6, 2, 3, 1, 2, 1, 2, 1, 3}};
    return of;
}

/// Of the 60,000 training images of Fashion-MNIST, pixels / 127.5 - 1, in the same way.
const spectrum& fashion() {
    static const spectrum of = {
        {63.84,     16.42,     11.16,    4.715,     1.981,     0.9563,    0.4336,    0.2004,
         0.09139,   0.04146,   0.01926,  0.008917,  0.004153,  0.00191,   0.0008048, 0.0003495,
         0.0001705, 6.655e-05, 2.94e-05, 1.955e-05, 6.242e-06, 2.196e-06, 4.022e-07},
        {2, 1, 3, 4, 7, 18, 32, 55, 106, 148, 167, 125, 58, 24, 14, 7, 4, 3, 2, 1, 1, 1, 1}};
    return of;
}

/// A published table over the range of a schedule: what lies within it, between its ends.
template <class Schedule>
levels table_over(const Schedule& schedule, int steps, grid::align_your_steps_for network) {
    const auto ratio = [&](double t) { return std::exp(-at(schedule, t).half_log_snr()); };
    const double noisy = std::min(ratio(schedule.range().noisy), 160.0);
    const double clean = ratio(schedule.range().clean);
    std::vector<double> sigmas = {noisy};
    for (const double sigma : grid::align_your_steps_sigmas(network)) {
        if (sigma < noisy && sigma > clean) { sigmas.push_back(sigma); }
    }
    sigmas.push_back(clean);
    levels out = grid::tabulated(schedule, steps, sigmas, {.last = final_level::sigma_min});
    out.front() = at(schedule, schedule.range().noisy);
    return out;
}

/// The grids that are there without any data, from end to end of a schedule.
template <class Schedule>
std::vector<levels> usual_grids(const Schedule& schedule, int steps) {
    std::vector<levels> out = {grid::karras(schedule, steps, {.last = final_level::sigma_min}),
                               grid::log_snr(schedule, steps, {.last = final_level::sigma_min})};
    using enum grid::align_your_steps_for;
    for (const auto network :
         {stable_diffusion_1, stable_diffusion_xl, stable_video_diffusion, deepfloyd_if}) {
        out.push_back(table_over(schedule, steps, network));
    }
    return out;
}

/// The largest ratio of the Gaussian error of spectrum levels to that of the best usual grid.
template <class Schedule, class Solver>
double worst_ratio(const Schedule& schedule, const Solver& solver, const spectrum& of,
                   std::initializer_list<int> counts) {
    double worst = 0.0;
    for (const int steps : counts) {
        const double ours = gaussian_error(
            solver.plan(schedule,
                        spectrum_levels(solver, schedule, steps, of, {.last = final_level::sigma_min})),
            of);
        for (const levels& usual : usual_grids(schedule, steps)) {
            worst = std::max(worst, ours / gaussian_error(solver.plan(schedule, usual), of));
        }
    }
    return worst;
}

/// Median over 96 starts of the root mean square over the elements.
template <class Solver>
double median_error(const Solver& solver, const levels& on, const recorded_mixture& of) {
    const Eigen::MatrixXd ends =
        verify::run_plan(solver.plan(schedule::edm{}, on), of.data, schedule::edm{}, of.starts.leftCols(96));
    std::vector<double> errors;
    for (Eigen::Index j = 0; j < ends.cols(); ++j) {
        errors.push_back((ends.col(j) - of.ends.col(j)).norm() / std::sqrt(static_cast<double>(ends.rows())));
    }
    std::ranges::sort(errors);
    return 0.5 * (errors[errors.size() / 2] + errors[(errors.size() - 1) / 2]);
}

}  // namespace

TEST_CASE("gaussian_error is what a run of the plan on doubles errs", "[tune][spectrum_levels][identity]") {
    const schedule::vp_linear schedule;
    const levels on = grid::log_snr(schedule, 7, {.last = final_level::sigma_min});
    const spectrum of = {{2.0, 0.3, 0.0}, {3.0, 5.0, 0.5}};
    const auto check = [&](const auto& solver) {
        const plan p = solver.plan(schedule, on);
        double squares = 0.0;
        for (std::size_t k = 0; k < of.variances.size(); ++k) {
            const double v = of.variances[k];
            const denoiser model(
                [v](const double& x, const network_level& at, double& x0) {
                    x0 = at.alpha * v * x / (at.alpha * at.alpha * v + at.sigma * at.sigma);
                },
                prediction::x0, schedule);
            const double start = std::hypot(on.front().alpha * std::sqrt(v), on.front().sigma);
            double x = start;
            REQUIRE(sample(p, model, x));
            const double exact = std::hypot(on.back().alpha * std::sqrt(v), on.back().sigma);
            squares += of.counts[k] * (x - exact) * (x - exact);
        }
        CHECK_THAT(gaussian_error(p, of), WithinRel(std::sqrt(squares / 8.5), tol<double>::identity));
    };
    check(solver::ddim{});
    check(solver::unipc{.order = 3});
    check(solver::heun{});
}

TEST_CASE("gaussian_error of a stochastic plan is the distance of the standard deviations",
          "[tune][spectrum_levels][identity]") {
    const schedule::edm schedule;
    const levels on = grid::karras(schedule, 6, {.last = final_level::sigma_min});
    const plan p = solver::sde_dpm_solver{}.plan(schedule, on);
    const double v = 0.7;
    const transfer t = analyze(p, v);
    const double reached = std::sqrt(t.start * t.start * (v + 6400.0) + t.noise_variance);
    CHECK_THAT(gaussian_error(p, {{v}, {4.0}}),
               WithinRel(std::abs(reached - std::sqrt(v + 4e-6)), tol<double>::identity));
}

TEST_CASE("the mean of the data arrives where it belongs on any levels",
          "[tune][spectrum_levels][identity]") {
    const schedule::flow schedule;
    const levels on = spectrum_levels(solver::ipndm{}, schedule, 6, digits());
    const auto check = [&](const auto& solver) {
        const transfer t = analyze(solver.plan(schedule, on), 0.4);
        CHECK_THAT(t.start * on.front().alpha + t.mean, WithinRel(on.back().alpha, tol<double>::identity));
    };
    check(solver::ddim{});
    check(solver::dpm_solver{});
    check(solver::unipc{.order = 3});
    check(solver::ipndm{});
}

TEST_CASE("spectrum levels err less on Gaussian data than karras, log_snr and the tables of Align Your Steps",
          "[tune][spectrum_levels][exact]") {
    const schedule::edm edm;
    for (const spectrum* of : {&digits(), &fashion()}) {
        CHECK(worst_ratio(edm, solver::ddim{}, *of, {5, 8, 10}) < 1.0);
        CHECK(worst_ratio(edm, solver::dpm_solver{}, *of, {5, 8, 10}) < 1.0);
        CHECK(worst_ratio(edm, solver::unipc{.order = 3}, *of, {5, 8, 10}) < 1.0);
    }
    // the same in other units of noise: on these schedules, too
    CHECK(worst_ratio(schedule::vp_linear{}, solver::dpm_solver{}, digits(), {8}) < 1.0);
    CHECK(worst_ratio(schedule::flow{}, solver::unipc{.order = 3}, digits(), {8}) < 1.0);
    CHECK(worst_ratio(schedule::discrete::scaled_linear(), solver::unipc{.order = 3}, digits(), {10}) < 1.0);
}

TEST_CASE("on mixtures, spectrum levels err less from 8 steps on", "[tune][spectrum_levels][exact]") {
    const std::vector<recorded_mixture> mixtures = recorded_mixtures();
    const schedule::edm schedule;
    const auto geometric_mean = [&](const auto& solver, const auto& levels_for) {
        double sum = 0.0;
        for (const recorded_mixture& m : mixtures) {
            sum += std::log(median_error(solver, levels_for(analytic::spectrum_of(m.data)), m));
        }
        return std::exp(sum / static_cast<double>(mixtures.size()));
    };
    const auto ratio = [&](const auto& solver, int steps) {
        const double ours = geometric_mean(solver, [&](const spectrum& of) {
            return spectrum_levels(solver, schedule, steps, of, {.last = final_level::sigma_min});
        });
        double best = std::numeric_limits<double>::infinity();
        for (const levels& usual : usual_grids(schedule, steps)) {
            best = std::min(best, geometric_mean(solver, [&](const spectrum&) { return usual; }));
        }
        return ours / best;
    };
    CHECK(ratio(solver::ddim{}, 8) < 0.95);
    CHECK(ratio(solver::dpm_solver{}, 10) < 0.6);
    CHECK(ratio(solver::unipc{.order = 3}, 10) < 0.4);
    CHECK(ratio(solver::ipndm{}, 8) < 0.8);
}

TEST_CASE("a single variance is met exactly when nothing else is asked for",
          "[tune][spectrum_levels][exact]") {
    const spectrum one = {{0.25}, {1.0}};
    const schedule::edm schedule;
    const spectrum_levels_options pure = {
        .last = final_level::sigma_min, .two_modes = 0.0, .cancellation = 0.0};
    const auto check = [&](const auto& solver, int steps) {
        const levels on = spectrum_levels(solver, schedule, steps, one, pure);
        CHECK(gaussian_error(solver.plan(schedule, on), one) < 1e-9);
    };
    check(solver::dpm_solver{}, 6);
    check(solver::unipc{.order = 3}, 8);
}

TEST_CASE("spectrum levels are strictly noisy to clean, finite, and end where they were asked to",
          "[tune][spectrum_levels][exact]") {
    const auto gaps_are_wide = [](const levels& on, std::size_t first, std::size_t last) {
        const double range = on[last].half_log_snr() - on[first].half_log_snr();
        bool wide = true;
        for (std::size_t i = first; i < last; ++i) {
            const double gap = on[i + 1].half_log_snr() - on[i].half_log_snr();
            wide = wide && gap > 0.0999 * range / static_cast<double>(last - first);
        }
        return wide;
    };
    const schedule::edm edm;
    for (const int steps : {1, 2, 3, 12}) {
        const levels on = spectrum_levels(solver::unipc{.order = 3}, edm, steps, fashion(),
                                          {.last = final_level::sigma_min});
        require_levels(on, "test");
        REQUIRE(on.size() == static_cast<std::size_t>(steps) + 1);
        CHECK(on.front() == at(edm, 80.0));
        CHECK(on.back() == at(edm, 0.002));
        CHECK(gaps_are_wide(on, 0, on.size() - 1));
    }
    const levels to_zero = spectrum_levels(solver::dpm_solver{}, edm, 8, digits());
    require_levels(to_zero, "test");
    CHECK(to_zero.size() == 9);
    CHECK(to_zero.back().sigma == 0.0);
    CHECK(to_zero[7].sigma > 0.002);

    const schedule::flow flow;
    const levels from_noise = spectrum_levels(solver::dpm_solver{}, flow, 8, digits());
    require_levels(from_noise, "test");
    CHECK(from_noise.front().alpha == 0.0);
    CHECK(from_noise.back().sigma == 0.0);
}

TEST_CASE("spectrum levels begin at the level of a teleport", "[tune][spectrum_levels][exact]") {
    const schedule::edm schedule;
    const level jumped_to = at(schedule, 4.9);
    const level end = at(schedule, 0.01);
    const solver::unipc solver{.order = 3};
    const levels on = spectrum_levels(solver, schedule, 6, digits(),
                                      {.from = jumped_to, .to = end, .last = final_level::sigma_min});
    require_levels(on, "test");
    CHECK(on.front() == jumped_to);
    CHECK(on.back() == end);
    const levels usual =
        grid::log_snr(schedule, 6, {.sigma_max = 4.9, .sigma_min = 0.01, .last = final_level::sigma_min});
    CHECK(gaussian_error(solver.plan(schedule, on), digits()) <
          gaussian_error(solver.plan(schedule, usual), digits()));
}

TEST_CASE("the search is deterministic and does not care in which order it begins",
          "[tune][spectrum_levels][identity]") {
    const schedule::edm schedule;
    const solver::dpm_solver solver;
    const levels a = grid::log_snr(schedule, 6, {.sigma_max = 20.0, .last = final_level::sigma_min});
    const levels b = grid::karras(schedule, 6, {.rho = 3.0, .last = final_level::sigma_min});
    const auto search = [&](const std::vector<levels>& starts) {
        return spectrum_levels(solver, schedule, 6, digits(),
                               {.last = final_level::sigma_min, .starts = starts});
    };
    const levels on = search({a, b});
    CHECK(search({a, b}) == on);
    CHECK(search({b, a}) == on);
}

TEST_CASE("a start is used: without rounds, the best of the starts comes back",
          "[tune][spectrum_levels][identity]") {
    const schedule::edm schedule;
    const solver::unipc solver{.order = 3};
    const spectrum_levels_options searched = {.last = final_level::sigma_min};
    const levels best = spectrum_levels(solver, schedule, 7, digits(), searched);
    const levels again = spectrum_levels(solver, schedule, 7, digits(),
                                         {.last = final_level::sigma_min, .starts = {best}, .iterations = 0});
    REQUIRE(again.size() == best.size());
    for (std::size_t i = 0; i < best.size(); ++i) {
        CHECK_THAT(again[i].sigma, WithinRel(best[i].sigma, tol<double>::identity));
    }
}

TEST_CASE("the levels of a stochastic solver err less in law", "[tune][spectrum_levels][exact]") {
    const schedule::edm schedule;
    const solver::sde_dpm_solver solver;
    const levels on = spectrum_levels(solver, schedule, 8, digits(), {.last = final_level::sigma_min});
    const double ours = gaussian_error(solver.plan(schedule, on), digits());
    for (const levels& usual : usual_grids(schedule, 8)) {
        CHECK(ours < gaussian_error(solver.plan(schedule, usual), digits()));
    }
}

TEST_CASE("spectrum_levels and gaussian_error refuse what they cannot use",
          "[tune][spectrum_levels][errors]") {
    const schedule::edm schedule;
    const solver::ddim solver;
    const auto refuses = [&](int steps, const spectrum& of, const spectrum_levels_options& options = {}) {
        CHECK_THROWS_AS(spectrum_levels(solver, schedule, steps, of, options), std::invalid_argument);
    };
    refuses(0, digits());
    refuses(-1, digits());
    const level middle = at(schedule, 1.0);
    const level noisier = at(schedule, 2.0);
    refuses(5, digits(), {.from = middle, .to = noisier});
    refuses(5, digits(), {.from = middle, .to = middle});
    const level no_level = {not_a_number, 1.0, not_a_number};
    const level no_noise = {0.0, 1.0, 0.0};
    refuses(5, digits(), {.from = no_level});
    refuses(5, digits(), {.to = no_noise});
    refuses(5, digits(), {.two_modes = -1.0});
    refuses(5, digits(), {.two_modes = not_a_number});
    refuses(5, digits(), {.cancellation = not_a_number});
    refuses(5, digits(), {.starts = {{middle, at(schedule, 0.5)}}});
    refuses(5, digits(), {.iterations = -1});
    const spectrum_levels_options no_number = {.pure_noise_as = not_a_number};
    CHECK_THROWS_AS(spectrum_levels(solver, schedule::flow{}, 5, digits(), no_number), std::invalid_argument);

    const plan p = solver.plan(schedule, grid::karras(schedule, 4));
    for (const spectrum& bad :
         {spectrum{}, spectrum{{1.0, 2.0}, {1.0}}, spectrum{{not_a_number}, {1.0}}, spectrum{{-1.0}, {1.0}},
          spectrum{{1.0}, {-1.0}}, spectrum{{1.0}, {not_a_number}}, spectrum{{1.0}, {0.0}}}) {
        refuses(5, bad);
        CHECK_THROWS_AS(gaussian_error(p, bad), std::invalid_argument);
    }
}
