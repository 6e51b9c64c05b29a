// SPDX-License-Identifier: MIT

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/guidance/manifold_projection.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <nlohmann/json.hpp>
#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <fstream>
#include <functional>
#include <limits>
#include <vector>

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;
using Eigen::MatrixXd;
using Eigen::VectorXd;
using guidance::manifold_projection;
using guidance::projection_options;

namespace {

/// Three Gaussians on a circle; the condition picks one.
struct problem {
    mixture any;
    gaussian one;

    problem(const std::vector<VectorXd>& means, double variance)
        : any(std::vector<double>(means.size(), 1.0 / static_cast<double>(means.size())),
              components(means, variance)),
          one(gaussian::isotropic(means[0], variance)) {}

    static std::vector<gaussian> components(const std::vector<VectorXd>& means, double variance) {
        std::vector<gaussian> out;
        for (const VectorXd& m : means) { out.push_back(gaussian::isotropic(m, variance)); }
        return out;
    }
};

VectorXd point(double x, double y) { return (VectorXd(2) << x, y).finished(); }

problem circle() { return {{point(2.0, 0.0), point(-1.0, 1.7), point(-1.0, -1.7)}, 0.15}; }

template <class Conditional, class Unconditional>
auto projection_of(const Conditional& c, const Unconditional& u, const any_schedule& schedule,
                   std::span<const level> levels, const projection_options& options = {}) {
    const denoiser conditional(std::cref(c), prediction::x0, schedule);
    const denoiser unconditional(std::cref(u), prediction::x0, schedule);
    return manifold_projection(conditional, unconditional, levels, options);
}

MatrixXd matrix(const nlohmann::json& rows) {
    MatrixXd out(2, static_cast<Eigen::Index>(rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i) {
        out.col(static_cast<Eigen::Index>(i)) = point(rows[i][0], rows[i][1]);
    }
    return out;
}

/// The squared distance of the two flow velocities, mean over samples.
double gap(const problem& p, const MatrixXd& x, const level& at) {
    const MatrixXd difference = p.one.denoise(x, at) - p.any.denoise(x, at);
    return difference.colwise().squaredNorm().mean() * std::pow((at.alpha + at.sigma) / at.sigma, 2);
}

}  // namespace

TEST_CASE("manifold_projection's maps are the recorded ones", "[guidance][manifold_projection][reference]") {
    std::ifstream file(std::string(TWEEDIE_REFERENCE_DIR) + "/core_golden.json");
    const nlohmann::json golden = nlohmann::json::parse(file).at("cfgmp");
    std::vector<VectorXd> means;
    for (const auto& m : golden.at("mus")) { means.push_back(point(m[0], m[1])); }
    const problem p(means, golden.at("s2"));
    const double tau = 1.0 - golden.at("t").get<double>();
    const double dt = golden.at("dt");
    const schedule::flow flow;
    const std::vector<level> levels = {at(flow, tau), at(flow, tau - dt)};
    MatrixXd x = matrix(golden.at("x"));

    auto project = projection_of(p.one, p.any, flow, levels);
    MatrixXd once = x;
    project.map(x, levels[0], 0.5 * dt, decltype(project)::apply::forward, once);
    CHECK((once - matrix(golden.at("G(x)"))).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-10);
    MatrixXd twice = x;
    project.map(once, levels[0], 0.5 * dt, decltype(project)::apply::forward, twice);
    CHECK((twice - matrix(golden.at("G(G(x))"))).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-10);
    CHECK(project.calls() == 4);

    auto picard = projection_of(p.one, p.any, flow, levels, {.acceleration = {.window = 0}});
    MatrixXd iterated = x;
    picard(iterated, levels[0]);
    CHECK((iterated - twice).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-14);

    auto accelerated =
        projection_of(p.one, p.any, flow, levels, {.acceleration = {.window = 1, .ridge = 0.0}});
    accelerated(x, levels[0]);
    CHECK((x - matrix(golden.at("AA1_after_2_evals_ridge0"))).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() <
          1e-10);
}

TEST_CASE("manifold_projection does the same to states of equal signal-to-noise ratio on every schedule",
          "[guidance][manifold_projection][identity]") {
    const problem p = circle();
    const schedule::flow flow;
    const std::vector<level> levels = {at(flow, 0.8), at(flow, 0.7)};
    MatrixXd x(2, 3);
    x << 0.3, -0.2, 1.0, -0.4, 0.9, 2.0;
    MatrixXd expected = x;
    auto project = projection_of(p.one, p.any, flow, levels);
    project(expected, levels[0]);
    for (const any_schedule& schedule :
         {any_schedule(schedule::edm{}), any_schedule(schedule::vp_linear{})}) {
        std::vector<level> same;
        for (const level& l : levels) { same.push_back(at_half_log_snr(schedule, l.half_log_snr())); }
        const double scale = same[0].alpha / levels[0].alpha;
        MatrixXd y = scale * x;
        auto other = projection_of(p.one, p.any, schedule, same);
        other(y, same[0]);
        CHECK((y / scale - expected).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-10);
    }
}

TEST_CASE("manifold_projection drifts by A^2 where both predictions are one linear field",
          "[guidance][manifold_projection][identity]") {
    // N(0, v) at tau: velocity A x with A = (x0_hat - x) / tau per x.
    const gaussian g = gaussian::isotropic(VectorXd::Zero(2), 0.3);
    const schedule::flow flow;
    const std::vector<level> levels = {at(flow, 0.8), at(flow, 0.7)};
    auto project = projection_of(g, g, flow, levels, {.iterations = 1});
    MatrixXd x(2, 1);
    x << 1.5, -0.5;
    const level& l = levels[0];
    const double x0 = l.alpha * 0.3 / (l.alpha * l.alpha * 0.3 + l.sigma * l.sigma);
    const double a = (x0 - 1.0) / l.sigma;
    const MatrixXd expected = (1.0 - std::pow(0.05 * a, 2)) * x;
    project(x, l);
    CHECK((x - expected).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-14);
}

TEST_CASE("manifold_projection makes the prediction gap smaller at every active level",
          "[guidance][manifold_projection][exact]") {
    const problem p = circle();
    const schedule::flow flow;
    const std::vector<level> levels = grid::uniform(flow, 10);
    MatrixXd x(2, 200);
    for (const projection_options& options :
         {projection_options{.iterations = 2, .active_above = 0.0, .acceleration = {.window = 0}},
          projection_options{.iterations = 2, .active_above = 0.0},
          projection_options{.iterations = 3, .active_above = 0.0}}) {
        auto project = projection_of(p.one, p.any, flow, levels, options);
        for (std::size_t i = 1; i + 2 < levels.size(); ++i) {  // at pure noise the gap is the same everywhere
            start_from_noise(x, at(flow, 1.0), noise{.seed = i});
            x = levels[i].sigma * x +
                levels[i].alpha * p.any.components()[i % 3].mean().replicate(1, x.cols());
            const double before = gap(p, x, levels[i]);
            project(x, levels[i]);
            CHECK(gap(p, x, levels[i]) < before);
        }
    }
}

TEST_CASE("manifold_projection: acceleration leaves a fifth of what the plain iteration leaves, or less",
          "[guidance][manifold_projection][exact]") {
    const problem p = circle();
    const schedule::flow flow;
    const std::vector<level> levels = {at(flow, 0.7), at(flow, 0.6)};
    MatrixXd start(2, 64);
    start_from_noise(start, at(flow, 1.0), noise{.seed = 5});
    const auto left_over = [&](std::size_t window) {
        auto project =
            projection_of(p.one, p.any, flow, levels, {.iterations = 5, .acceleration = {.window = window}});
        MatrixXd x = start;
        project(x, levels[0]);
        MatrixXd image = x;
        project.map(x, levels[0], 0.05, decltype(project)::apply::forward, image);
        return (image - x).norm();
    };
    CHECK(left_over(1) <= 0.2 * left_over(0));
}

TEST_CASE("manifold_projection finds the state where both predictions agree",
          "[guidance][manifold_projection][exact]") {
    // N(1, 1/4) and N(0, 1) at tau = 0.2: one dimension, so the map is affine and two evaluations solve it.
    const gaussian one = gaussian::isotropic(VectorXd::Constant(1, 1.0), 0.25);
    const gaussian any = gaussian::isotropic(VectorXd::Zero(1), 1.0);
    const schedule::flow flow;
    const std::vector<level> levels = {at(flow, 0.2), at(flow, 0.1)};
    auto project = projection_of(one, any, flow, levels,
                                 {.active_above = 0.0, .acceleration = {.window = 1, .ridge = 0.0}});
    MatrixXd x(1, 3);
    x << 0.0, -4.0, 20.0;
    project(x, levels[0]);
    auto fixed = x;
    project.map(x, levels[0], 0.05, decltype(project)::apply::forward, fixed);
    CHECK((fixed - x).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-10);
    CHECK((x.array() - x(0)).abs().maxCoeff<Eigen::PropagateNaN>() < 1e-9);
}

TEST_CASE("manifold_projection edits any run, and counts its network calls",
          "[guidance][manifold_projection][cost]") {
    const problem p = circle();
    const schedule::flow flow;
    const std::vector<level> levels = grid::uniform(flow, 10);
    const plan euler = solver::euler{}.plan(flow, levels);
    const denoiser model(std::cref(p.one), prediction::x0, flow);
    const auto run = [&](const projection_options& options, std::size_t expected) {
        auto project = projection_of(p.one, p.any, flow, levels, options);
        MatrixXd x(2, 16);
        start_from_noise(x, levels.front(), noise{.seed = 3});
        const auto ended = sample(euler, model, x, hooks{.edit = std::ref(project)});
        REQUIRE(ended);
        CHECK(ended.network_calls == 10);
        CHECK(project.calls() == expected);
        CHECK(project.calls_of_a_run() == expected);
        return x;
    };
    MatrixXd plain(2, 16);
    start_from_noise(plain, levels.front(), noise{.seed = 3});
    REQUIRE(sample(euler, model, plain));
    CHECK(run({.iterations = 0}, 0) == plain);
    CHECK(run({.active_above = 1.0}, 0) == plain);
    // tau = 1, 0.9, ..., 0.1: six of them above 0.4 (0.4 itself is not), four above 0.6
    CHECK(run(projection_options::dit(), 2 * 2 * 6) != plain);
    CHECK(run(projection_options::stable_diffusion(), 2 * 3 * 4) != plain);
}

TEST_CASE("manifold_projection refuses options out of range and other plans' levels",
          "[guidance][manifold_projection][errors]") {
    const problem p = circle();
    const schedule::flow flow;
    const std::vector<level> levels = grid::uniform(flow, 4);
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH(projection_of(p.one, p.any, flow, levels, {.iterations = -1}),
                      "manifold_projection: iterations must not be negative");
    CHECK_THROWS_WITH(projection_of(p.one, p.any, flow, levels, {.active_above = nan}),
                      "manifold_projection: active_above must not be negative");
    CHECK_THROWS_WITH(projection_of(p.one, p.any, flow, levels, {.reversed_from = nan}),
                      "manifold_projection: reversed_from must be positive");
    CHECK_THROWS_WITH(projection_of(p.one, p.any, flow, levels, {.acceleration = {.damping = 2.0}}),
                      "anderson: damping must lie in (0, 1]");
    CHECK_THROWS_WITH(projection_of(p.one, p.any, flow, std::span<const level>(levels).first(1)),
                      "manifold_projection: need the levels of a plan");
    auto project = projection_of(p.one, p.any, flow, levels);
    MatrixXd x = MatrixXd::Zero(2, 1);
    CHECK_THROWS_WITH(project(x, at(flow, 0.77)),
                      "manifold_projection: the plan must have the levels that were given");
}
