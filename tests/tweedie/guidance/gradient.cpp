// SPDX-License-Identifier: MIT

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/guidance/gradient.hpp>
#include <tweedie/guidance/look_ahead.hpp>
#include <tweedie/guidance/loss_guided.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <Eigen/LU>
#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <vector>

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

VectorXd point(double x, double y) { return (VectorXd(2) << x, y).finished(); }

const std::vector<gaussian> parts = {gaussian::isotropic(point(2.0, 0.0), 0.2),
                                     gaussian::isotropic(point(-1.0, 1.5), 0.4),
                                     gaussian::isotropic(point(-1.0, -1.0), 0.1)};
const mixture any({0.5, 0.3, 0.2}, parts);
const gaussian& one = parts[1];

/// grad_x log p(component 1 | x), in closed form.
const auto exact_classifier = [](const MatrixXd& x, const level& at, const MatrixXd&, MatrixXd& out) {
    out = one.score(x, at) - any.score(x, at);
};

MatrixXd states(Eigen::Index count, const level& at, std::uint64_t seed) {
    MatrixXd x(2, count);
    start_from_noise(x, at, noise{.seed = seed});
    return x;
}

}  // namespace

TEST_CASE("classifier guidance with the exact classifier is classifier-free guidance, at any weight",
          "[guidance][with_gradient][identity]") {
    const any_schedule schedules[] = {schedule::vp_linear{}, schedule::edm{}, schedule::flow{}};
    for (const any_schedule& schedule : schedules) {
        const denoiser model(std::cref(any), prediction::x0, schedule);
        for (const double w : {-0.5, 0.0, 1.0, 3.5}) {
            auto guided = guidance::with_gradient(model, exact_classifier, w);
            for (const double lambda : {-2.0, 0.0, 1.5}) {
                const level at = at_half_log_snr(schedule, lambda);
                const MatrixXd x = states(20, at, 1) + at.alpha * point(0.5, 0.2).replicate(1, 20);
                MatrixXd seen = x;
                evaluator ask(guided);
                ask(x, at, seen);
                const MatrixXd expected = any.denoise(x, at) + w * (one.denoise(x, at) - any.denoise(x, at));
                // scores of size 1 / sigma are subtracted and multiplied by sigma^2 / alpha
                CHECK((seen - expected).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() <
                      1e-12 * (1.0 + x.cwiseAbs().maxCoeff()));
            }
        }
    }
}

TEST_CASE("with_gradient of weight 1 samples the condition, of weight 0 the model itself",
          "[guidance][with_gradient][marginal]") {
    const schedule::flow flow;
    const std::vector<level> levels = grid::uniform(flow, 60);
    const plan p = solver::unipc{.order = 2}.plan(flow, levels);
    const denoiser model(std::cref(any), prediction::x0, flow);
    MatrixXd x = states(4000, levels.front(), 4);
    MatrixXd plain = x;
    MatrixXd unguided = x;
    REQUIRE(sample(p, guidance::with_gradient(model, exact_classifier), x));
    REQUIRE(sample(p, model, plain));
    REQUIRE(sample(p, guidance::with_gradient(model, exact_classifier, 0.0), unguided));
    CHECK(unguided == plain);
    // 4000 samples of variance 0.4: the mean to 5 standard errors of 0.01, the variance to 5 of 0.009
    CHECK((x.rowwise().mean() - one.mean()).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 0.05);
    const MatrixXd centred = x.colwise() - x.rowwise().mean();
    CHECK(std::abs(centred.rowwise().squaredNorm()(0) / 4000.0 - 0.4) < 0.045);
    CHECK(std::abs(centred.rowwise().squaredNorm()(1) / 4000.0 - 0.4) < 0.045);
}

TEST_CASE("with_gradient's weight may depend on the level", "[guidance][with_gradient][contract]") {
    const schedule::edm schedule;
    const denoiser model(std::cref(any), prediction::x0, schedule);
    auto guided = guidance::with_gradient(model, exact_classifier,
                                          [](const level& at) { return at.sigma > 1.0 ? 2.0 : 0.0; });
    evaluator ask(guided);
    for (const double sigma : {0.5, 3.0}) {
        const level at = tweedie::at(schedule, sigma);
        const MatrixXd x = states(5, at, 2);
        MatrixXd seen = x;
        ask(x, at, seen);
        const MatrixXd plain = any.denoise(x, at);
        const MatrixXd expected = sigma > 1.0 ? MatrixXd(2.0 * one.denoise(x, at) - plain) : plain;
        CHECK((seen - expected).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-12);
    }
}

TEST_CASE("a gradient that is not finite ends the run where it came", "[guidance][with_gradient][errors]") {
    const schedule::flow flow;
    const plan p = solver::ddim{}.plan(flow, grid::uniform(flow, 5));
    const denoiser model(std::cref(any), prediction::x0, flow);
    std::size_t calls = 0;
    const auto broken = [&](const MatrixXd& x, const level&, const MatrixXd&, MatrixXd& out) {
        out = MatrixXd::Zero(x.rows(), x.cols());
        if (++calls == 2) { out(0, 0) = std::numeric_limits<double>::quiet_NaN(); }
    };
    MatrixXd x = states(3, p.levels.front(), 2);
    const run_result ended = sample(p, guidance::with_gradient(model, broken), x);
    CHECK(ended.status == run_status::non_finite);
    CHECK(ended.network_calls == 3);  // pure noise is not asked for a gradient

    const auto wrong = [](const MatrixXd&, const level&, const MatrixXd&, MatrixXd& out) {
        out.resize(1, 1);
    };
    x = states(3, p.levels.front(), 2);
    CHECK_THROWS_WITH(sample(p, guidance::with_gradient(model, wrong), x),
                      "with_gradient: the gradient must have the shape of x");
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_THROWS_WITH(guidance::with_gradient(model, exact_classifier, nan),
                      "with_gradient: the weight must be finite");
}

TEST_CASE(
    "symmetric_difference is the exact Jacobian of a Gaussian's denoiser, and a second-order one of a "
    "mixture's",
    "[guidance][symmetric_difference][order]") {
    const schedule::edm schedule;
    const level at = tweedie::at(schedule, 0.8);
    MatrixXd covariance(2, 2);
    covariance << 1.0, 0.8, 0.8, 1.5;
    const gaussian g(point(0.3, -0.2), covariance);
    const MatrixXd x = states(6, at, 3);
    MatrixXd v(2, 6);
    v << 1.0, 0.0, 2.0, -1.0, 0.0, 1e-3, 0.0, 1.0, 1.0, 5.0, 0.0, 1e-3;
    MatrixXd seen = x;
    guidance::symmetric_difference exact(denoiser(std::cref(g), prediction::x0, schedule));
    exact(x, at, v, seen);
    const MatrixXd jacobian =
        covariance * (covariance + at.sigma * at.sigma * MatrixXd::Identity(2, 2)).inverse();
    CHECK((seen - jacobian * v).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() <
          1e-10);                      // differences of step 1e-3 lose three digits
    CHECK(seen.col(4).norm() == 0.0);  // of the zero vector
    CHECK(exact.calls() == 2);

    // A mixture: the error falls by four when the step is halved. The Jacobian is covariance over sigma^2.
    const denoiser model(std::cref(any), prediction::x0, schedule);
    MatrixXd results[3];
    for (int k = 0; k < 3; ++k) {
        guidance::symmetric_difference product(model, 0.1 * std::pow(0.5, k));
        results[k] = x;
        product(x, at, v, results[k]);
    }
    const double ratio = (results[0] - results[1]).norm() / (results[1] - results[2]).norm();
    CHECK(std::abs(ratio - 4.0) < 0.2);
    CHECK_THROWS_WITH(guidance::symmetric_difference(model, 0.0),
                      "symmetric_difference: step must be positive");
}

TEST_CASE("look_ahead with a Gaussian is the exact posterior's denoiser", "[guidance][look_ahead][exact]") {
    MatrixXd covariance(3, 3);
    covariance << 2.0, 0.5, 0.0, 0.5, 1.0, 0.3, 0.0, 0.3, 0.7;
    const VectorXd mean = (VectorXd(3) << 0.1, -0.4, 1.0).finished();
    const VectorXd direction = (VectorXd(3) << 1.0, 2.0, -1.0).finished();
    const double deviation = 0.3;
    const double y = 1.7;
    const gaussian prior(mean, covariance);
    // N(mean, covariance) given <g, x0> = y with noise
    const VectorXd gain =
        covariance * direction / (direction.dot(covariance * direction) + deviation * deviation);
    const MatrixXd left = covariance - gain * (covariance * direction).transpose();
    const gaussian posterior(mean + gain * (y - direction.dot(mean)), 0.5 * (left + left.transpose()));
    const any_schedule schedules[] = {schedule::vp_linear{}, schedule::edm{}};
    for (const any_schedule& schedule : schedules) {
        const denoiser model(std::cref(prior), prediction::x0, schedule);
        const level at = at_half_log_snr(schedule, 0.2);
        MatrixXd x(3, 4);
        start_from_noise(x, at, noise{.seed = 8});
        guidance::look_ahead pull(MatrixXd(direction.replicate(1, 4)), std::vector<double>(4, y),
                                  guidance::symmetric_difference(model), deviation);
        evaluator ask(guidance::with_gradient(model, pull));
        MatrixXd seen = x;
        ask(x, at, seen);
        CHECK((seen - posterior.denoise(x, at)).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-9);
    }
}

TEST_CASE("optimisation by look-ahead ends at the regularised optimum and does not leave the data's subspace",
          "[guidance][look_ahead][exact]") {
    // Data of rank 3 in 8 dimensions, a linear objective theta: the loop's mean is
    // mean + delta / noise^2 covariance theta.
    constexpr Eigen::Index d = 8;
    constexpr Eigen::Index samples = 64;
    MatrixXd basis(d, 3);
    for (Eigen::Index i = 0; i < d; ++i) {
        for (Eigen::Index j = 0; j < 3; ++j) {
            basis(i, j) = std::cos(1.0 + static_cast<double>(i * (j + 1)));
        }
    }
    const MatrixXd covariance = 0.2 * basis * basis.transpose();
    const gaussian prior(VectorXd::Zero(d), covariance);
    VectorXd theta(d);
    for (Eigen::Index i = 0; i < d; ++i) { theta[i] = 0.2 * std::sin(2.0 + static_cast<double>(i)); }
    const double deviation = 0.5;
    const double delta = 0.2;
    const schedule::edm schedule;
    const std::vector<level> levels = grid::karras(schedule, 40, {.sigma_max = 2000.0});
    const plan p = solver::unipc{.order = 2}.plan(schedule, levels);
    const denoiser model(std::cref(prior), prediction::x0, schedule);
    VectorXd mean = VectorXd::Zero(d);
    for (std::uint64_t round = 0; round < 12; ++round) {
        const std::vector<double> target(static_cast<std::size_t>(samples), delta + theta.dot(mean));
        guidance::look_ahead pull(MatrixXd(theta.replicate(1, samples)), target,
                                  guidance::symmetric_difference(model), deviation);
        MatrixXd z(d, samples);
        start_from_noise(z, levels.front(), noise{.seed = round});
        // antithetic pairs: the mean of the flow of a Gaussian is exact
        z.rightCols(samples / 2) = -z.leftCols(samples / 2);
        REQUIRE(sample(p, guidance::with_gradient(model, pull), z));
        const VectorXd next = z.rowwise().mean();
        const MatrixXd outside = z - basis * (basis.transpose() * basis).inverse() * basis.transpose() * z;
        CHECK(outside.cwiseAbs().maxCoeff<Eigen::PropagateNaN>() <
              1e-3);  // what is left of the noise at the last level
        mean = next;
    }
    // A start of mean 0 at sigma = 2000 is off by sqrt(variance) / 2000, a thousandth.
    // The contraction's fixed point; the map is z -> K (delta + theta z),
    // K = covariance theta / (theta covariance theta + noise^2).
    const VectorXd expected = delta / (deviation * deviation) * covariance * theta;
    const double factor =
        theta.dot(covariance * theta) / (theta.dot(covariance * theta) + deviation * deviation);
    CHECK((mean - (1.0 - std::pow(factor, 12)) * expected).norm() < 2e-3 * expected.norm() + 1e-6);
}

TEST_CASE("loss_guided averages likelihoods, not gradients", "[guidance][loss_guided][exact]") {
    // Prior N(0, v) at sigma: x0 given x is N(x0_hat, s2), s2 = v sigma^2 / (v + sigma^2). For the likelihood
    // N(c; x0, tau2) the exact gradient is -(x0_hat - c) / (s2 + tau2) J, that of x0_hat alone
    // -(x0_hat - c) / tau2 J.
    const double v = 1.5;
    const gaussian prior = gaussian::isotropic(VectorXd::Zero(1), v);
    const schedule::edm schedule;
    const level at = tweedie::at(schedule, 1.2);
    const double j = v / (v + at.sigma * at.sigma);
    const double s2 = v * at.sigma * at.sigma / (v + at.sigma * at.sigma);
    const double tau2 = 0.5;
    const double c = 1.0;
    const auto likelihood = [&](const MatrixXd& x0, std::span<double> values, MatrixXd& out) {
        for (Eigen::Index s = 0; s < x0.cols(); ++s) {
            values[static_cast<std::size_t>(s)] = -0.5 * std::pow(x0(0, s) - c, 2) / tau2;
        }
        out = ((c - x0.array()) / tau2).matrix();
    };
    const auto jacobian = [&](const MatrixXd&, const level&, const MatrixXd& u, MatrixXd& out) {
        out = j * u;
    };
    const auto spread = [&](const level&) { return std::sqrt(s2); };
    MatrixXd x(1, 3);
    x << -0.5, 0.7, 2.0;
    const MatrixXd x0_hat = prior.denoise(x, at);
    const MatrixXd exact = (j * (c - x0_hat.array()) / (s2 + tau2)).matrix();
    const MatrixXd naive = (j * (c - x0_hat.array()) / tau2).matrix();
    MatrixXd out = x;
    guidance::loss_guided many(likelihood, jacobian, noise{.seed = 1}, {.samples = 40'000}, spread);
    many(x, at, x0_hat, out);
    // importance weights with an effective sample size above 1e4: about 1 % of a gradient of size 1
    CHECK((out - exact).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 0.03);
    CHECK((naive - exact).cwiseAbs().maxCoeff() > 0.2);
    guidance::loss_guided single(likelihood, jacobian, noise{.seed = 1}, {.samples = 1},
                                 [](const level&) { return 0.0; });
    single(x, at, x0_hat, out);
    CHECK((out - naive).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() < 1e-14);

    // The same noise gives the same gradient; the next call has noise of its own.
    guidance::loss_guided first(likelihood, jacobian, noise{.seed = 9}, {.samples = 4});
    auto second = first;
    MatrixXd again = out;
    first(x, at, x0_hat, out);
    second(x, at, x0_hat, again);
    CHECK(out == again);
    first(x, at, x0_hat, out);
    CHECK(out != again);
    using refused = decltype(first);
    CHECK_THROWS_WITH(refused(likelihood, jacobian, noise{}, {.samples = 0}),
                      "loss_guided: need at least one sample");
}

TEST_CASE("loss_guided stays finite where likelihoods differ by thousands",
          "[guidance][loss_guided][errors]") {
    const auto likelihood = [](const MatrixXd& x0, std::span<double> values, MatrixXd& out) {
        for (Eigen::Index s = 0; s < x0.cols(); ++s) {
            values[static_cast<std::size_t>(s)] = -1e5 * x0.col(s).squaredNorm();
        }
        out = -2e5 * x0;
    };
    const auto identity = [](const MatrixXd&, const level&, const MatrixXd& u, MatrixXd& out) { out = u; };
    guidance::loss_guided pull(likelihood, identity, noise{.seed = 2}, {.samples = 16});
    const MatrixXd x = MatrixXd::Constant(2, 3, 5.0);
    MatrixXd out = x;
    pull(x, tweedie::at(schedule::edm{}, 1.0), x, out);
    CHECK(out.allFinite());

    // Half of the data are impossible: the mean of the others' gradients is left.
    const auto above = [](const MatrixXd& x0, std::span<double> values, MatrixXd& slope) {
        for (Eigen::Index s = 0; s < x0.cols(); ++s) {
            values[static_cast<std::size_t>(s)] =
                x0(0, s) > 5.0 ? 0.0 : -std::numeric_limits<double>::infinity();
            slope.col(s).setConstant(x0(0, s) > 5.0 ? 3.0 : -100.0);
        }
    };
    guidance::loss_guided upper(above, identity, noise{.seed = 2}, {.samples = 16});
    const MatrixXd many = MatrixXd::Constant(2, 20, 5.0);  // the first sample of some is impossible
    MatrixXd drawn = many;
    upper(many, tweedie::at(schedule::edm{}, 1.0), many, drawn);
    CHECK((drawn.array() - 3.0).abs().maxCoeff<Eigen::PropagateNaN>() < 1e-14);
}

TEST_CASE("look_ahead draws towards the target also where a network's Jacobian is not positive",
          "[guidance][look_ahead][errors]") {
    const auto negative = [](const MatrixXd&, const level&, const MatrixXd& u, MatrixXd& out) { out = -u; };
    guidance::look_ahead pull(MatrixXd(MatrixXd::Ones(2, 1)), {3.0}, negative, 0.1);
    const MatrixXd x = MatrixXd::Zero(2, 1);
    MatrixXd out = x;
    pull(x, tweedie::at(schedule::edm{}, 1.0), x, out);
    CHECK((out.array() + 3.0 / 0.01).abs().maxCoeff<Eigen::PropagateNaN>() < 1e-10);
}

TEST_CASE("climb moves the data prediction uphill, and through takes its slope to the state",
          "[guidance][climb][exact]") {
    const auto towards_one = [](const MatrixXd& x0, MatrixXd& out) { out = (1.0 - x0.array()).matrix(); };
    MatrixXd x0 = MatrixXd::Constant(2, 2, 5.0);
    guidance::climb uphill(towards_one, {.steps = 3, .rate = 0.5});
    const level at = tweedie::at(schedule::edm{}, 1.0);
    uphill(x0, at);
    CHECK((x0.array() - 1.5).abs().maxCoeff<Eigen::PropagateNaN>() <
          1e-15);  // the distance of 4 halved three times
    CHECK_THROWS_WITH((guidance::climb(towards_one, {.steps = -1})), "climb: steps must not be negative");
    CHECK_THROWS_WITH((guidance::climb(towards_one, {.rate = std::nan("")})), "climb: rate must be finite");

    const auto doubled = [](const MatrixXd&, const level&, const MatrixXd& u, MatrixXd& out) {
        out = 2.0 * u;
    };
    guidance::through slope(towards_one, doubled);
    MatrixXd out = x0;
    slope(x0, at, MatrixXd(MatrixXd::Constant(2, 2, 4.0)), out);
    CHECK((out.array() + 6.0).abs().maxCoeff<Eigen::PropagateNaN>() < 1e-15);
}
