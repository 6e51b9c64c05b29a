// SPDX-License-Identifier: MIT

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/guidance/particles.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>
#include <span>
#include <vector>

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

struct part {
    double weight, mean, variance;
};
const std::vector<part> parts = {{0.6, -1.2, 0.3}, {0.4, 1.5, 0.2}};
constexpr double centre = 0.5;
constexpr double width = 1.0;  // variance of the likelihood

mixture prior() {
    std::vector<double> weights;
    std::vector<gaussian> components;
    for (const part& p : parts) {
        weights.push_back(p.weight);
        components.push_back(gaussian::isotropic(VectorXd::Constant(1, p.mean), p.variance));
    }
    return {weights, components};
}
const mixture any = prior();

/// Of exp(-(x - centre)^2 / (2 width)) under the prior: its mean, and mean and second moment of x reweighted
/// by it.
struct exact_values {
    double normaliser = 0.0, mean = 0.0, square = 0.0;
    exact_values() {
        for (const part& p : parts) {
            const double total = p.variance + width;
            const double z =
                p.weight * std::sqrt(width / total) * std::exp(-0.5 * std::pow(p.mean - centre, 2) / total);
            const double m = (p.mean * width + centre * p.variance) / total;
            normaliser += z;
            mean += z * m;
            square += z * (m * m + p.variance * width / total);
        }
        mean /= normaliser;
        square /= normaliser;
    }
};
const exact_values exact;

const auto reward = [](const MatrixXd& x, std::span<double> values) {
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
        values[static_cast<std::size_t>(i)] = -0.5 * std::pow(x(0, i) - centre, 2) / width;
    }
};

/// log p~(y | x) by x0_hat, its spread that of data of unit variance; the gradient takes x0_hat to move as
/// for a Gaussian of the prior's variance.
const auto twisting = [](const MatrixXd& x, const level& at, const MatrixXd& x0_hat, std::span<double> values,
                         MatrixXd& gradient) {
    const double variance = 2.0;
    const double spread =
        variance * at.sigma * at.sigma / (at.alpha * at.alpha * variance + at.sigma * at.sigma);
    const double total = spread + width;
    const double slope = at.alpha * variance / (at.alpha * at.alpha * variance + at.sigma * at.sigma);
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
        values[static_cast<std::size_t>(i)] =
            -0.5 * std::pow(x0_hat(0, i) - centre, 2) / total - 0.5 * std::log(total / width);
        gradient(0, i) = -slope * (x0_hat(0, i) - centre) / total;
    }
};

plan ancestral(int steps) {
    const schedule::edm schedule;
    return solver::ddim{.eta = 1.0}.plan(
        schedule, grid::log_snr(schedule, steps, {.sigma_max = 20.0, .sigma_min = 0.01}));
}

const denoiser model(std::cref(any), prediction::x0, schedule::edm{});

MatrixXd particles(const plan& p, Eigen::Index count, std::uint64_t seed) {
    MatrixXd x(1, count);
    start_from_noise(x, p.levels.front(), noise{.seed = seed});
    return x;
}

/// Weighted mean and second moment.
struct moments {
    double mean = 0.0, square = 0.0;
    moments(const MatrixXd& x, const std::vector<double>& log_weights) {
        double total = 0.0;
        for (Eigen::Index i = 0; i < x.cols(); ++i) {
            const double w = std::exp(log_weights[static_cast<std::size_t>(i)]);
            total += w;
            mean += w * x(0, i);
            square += w * x(0, i) * x(0, i);
        }
        mean /= total;
        square /= total;
    }
};

}  // namespace

TEST_CASE("steer and twist estimate the normalising constant and the reweighted law",
          "[guidance][steer][twist][marginal]") {
    const plan p = ancestral(100);
    constexpr Eigen::Index n = 8192;
    const auto check = [&](const guidance::particle_result& result, const MatrixXd& x, double share = 1.0) {
        REQUIRE(result.run);
        CHECK(result.run.network_calls == 100);
        CHECK(std::abs(std::exp(result.log_normalizer) / exact.normaliser - 1.0) < 0.02);
        const moments seen(x, result.log_weights);
        // a standard error of 0.011 for the mean, 0.014 for the square, and the sampler's bias of 100 steps
        CHECK(std::abs(seen.mean - exact.mean) < 0.05 * share);
        CHECK(std::abs(seen.square - exact.square) < 0.06 * share);
    };
    // The sum grows with every look, and its weights with it: four looks.
    const guidance::steering_options ways[] = {{.on_the_way = guidance::potential::difference},
                                               {.on_the_way = guidance::potential::largest},
                                               {.on_the_way = guidance::potential::sum, .every = 25}};
    for (const guidance::steering_options& way : ways) {
        MatrixXd x = particles(p, n, 1);
        const auto result = guidance::steer(p, model, x, noise{.seed = 2}, reward, way);
        // The other two overshoot on the way: the copies that are corrected at the end have fewer ancestors.
        check(result, x, way.on_the_way == guidance::potential::difference ? 1.0 : 2.0);
        CHECK(result.resamplings >= 1);
    }
    MatrixXd x = particles(p, n, 3);
    check(guidance::twist(p, model, x, noise{.seed = 4}, twisting, reward), x);
}

TEST_CASE("weights are carried on where nothing is resampled", "[guidance][steer][twist][identity]") {
    // Forgotten weights leave the prior: mean -0.12. Never resampled, the last weights do all the work.
    const plan p = ancestral(100);
    for (const bool last : {false, true}) {
        const guidance::particle_options never{.threshold = 0.0, .resample_last = last};
        MatrixXd x = particles(p, 4096, 5);
        const auto steered = guidance::steer(p, model, x, noise{.seed = 6}, reward, {.particles = never});
        CHECK(steered.resamplings == (last ? 1U : 0U));
        CHECK(std::abs(moments(x, steered.log_weights).mean - exact.mean) < 0.06);
        CHECK(std::abs(std::exp(steered.log_normalizer) / exact.normaliser - 1.0) < 0.04);
        MatrixXd y = particles(p, 4096, 7);
        const auto twisted = guidance::twist(p, model, y, noise{.seed = 8}, twisting, reward, never);
        CHECK(std::abs(moments(y, twisted.log_weights).mean - exact.mean) < 0.06);
        CHECK(std::abs(std::exp(twisted.log_normalizer) / exact.normaliser - 1.0) < 0.04);
        // Mildly unequal weights are below no threshold either: carried, not dropped.
        MatrixXd z = particles(p, 4096, 5);
        const auto mild =
            guidance::steer(p, model, z, noise{.seed = 6}, reward,
                            {.strength = 0.1, .particles = {.threshold = 0.5, .resample_last = false}});
        CHECK(mild.resamplings == 0);
        CHECK(guidance::effective_sample_size(mild.log_weights) < 4096.0);
    }
}

TEST_CASE("the error of steered samples falls as the root of their number", "[guidance][steer][order]") {
    const plan p = ancestral(80);
    const auto error = [&](Eigen::Index n) {
        double sum = 0.0;
        constexpr std::uint64_t runs = 40;
        for (std::uint64_t seed = 0; seed < runs; ++seed) {
            MatrixXd x = particles(p, n, 100 + seed);
            const auto result = guidance::steer(p, model, x, noise{.seed = 200 + seed, .sample = 0}, reward,
                                                {.particles = {.seed = seed}});
            sum += std::pow(std::exp(result.log_normalizer) / exact.normaliser - 1.0, 2);
        }
        return std::sqrt(sum / static_cast<double>(runs));
    };
    // sixteen times the particles: a quarter of the error; 40 runs know a root mean square to 11 %
    const double ratio = error(16) / error(256);
    CHECK(ratio > 2.6);
    CHECK(ratio < 6.0);
}

TEST_CASE("strength 0 and a flat likelihood leave the model's samples as they are",
          "[guidance][steer][twist][identity]") {
    const plan p = ancestral(10);
    MatrixXd plain = particles(p, 50, 9);
    MatrixXd steered = plain;
    MatrixXd twisted = plain;
    REQUIRE(sample(p, model, plain, noise{.seed = 10}));
    const guidance::particle_options keep{.resample_last = false};
    const auto a =
        guidance::steer(p, model, steered, noise{.seed = 10}, reward, {.strength = 0.0, .particles = keep});
    CHECK(steered == plain);
    CHECK(a.log_normalizer == 0.0);
    const auto flat = [](const MatrixXd&, std::span<double> values) {
        std::fill(values.begin(), values.end(), 0.0);
    };
    const auto no_pull = [&](const MatrixXd& x, const level&, const MatrixXd&, std::span<double> values,
                             MatrixXd& out) {
        flat(x, values);
        out.setZero();
    };
    const auto b = guidance::twist(p, model, twisted, noise{.seed = 10}, no_pull, flat, keep);
    CHECK(twisted == plain);
    CHECK(b.log_normalizer == 0.0);
}

TEST_CASE("particles give the same bits again, and other ones with another seed of resampling",
          "[guidance][steer][identity]") {
    const plan p = ancestral(15);
    const auto run = [&](std::uint64_t seed) {
        MatrixXd x = particles(p, 40, 11);
        REQUIRE(guidance::steer(p, model, x, noise{.seed = 12}, reward,
                                {.strength = 3.0, .particles = {.seed = seed}})
                    .run);
        return x;
    };
    CHECK(run(1) == run(1));
    CHECK(run(1) != run(2));
}

TEST_CASE("systematic resampling chooses each particle its share of times, rounded up or down",
          "[guidance][particles][exact]") {
    const std::vector<double> log_weights = {std::log(0.1), std::log(0.45), std::log(0.05), std::log(0.4),
                                             -std::numeric_limits<double>::infinity()};
    std::vector<double> mean(5, 0.0);
    constexpr int places = 1000;
    for (int k = 0; k < places; ++k) {
        const auto chosen = guidance::systematic(log_weights, (k + 0.5) / places);
        std::vector<double> times(5, 0.0);
        for (const std::size_t i : chosen) { times[i] += 1.0; }
        for (std::size_t i = 0; i < 5; ++i) {
            const double share = 5.0 * std::exp(log_weights[i]);
            CHECK(times[i] >= std::floor(share));
            CHECK(times[i] <= std::ceil(share));
            mean[i] += times[i] / places;
        }
    }
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(std::abs(mean[i] - 5.0 * std::exp(log_weights[i])) < 2.0 / places);
    }
    CHECK(std::abs(guidance::effective_sample_size(std::vector<double>(7, -300.0)) - 7.0) < 1e-12);
    CHECK(std::abs(guidance::log_mean_exp(std::vector<double>{1000.0, 1000.0}) - 1000.0) < 1e-12);
}

TEST_CASE("steer and twist refuse wrong use, and report what is not a number",
          "[guidance][steer][twist][errors]") {
    const plan p = ancestral(5);
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    MatrixXd one = particles(p, 1, 1);
    CHECK_THROWS_WITH(guidance::steer(p, model, one, noise{}, reward), "steer: need at least two particles");
    CHECK_THROWS_WITH(guidance::twist(p, model, one, noise{}, twisting, reward),
                      "twist: need at least two particles");
    MatrixXd x = particles(p, 4, 1);
    CHECK_THROWS_WITH(guidance::steer(p, model, x, noise{}, reward, {.strength = nan}),
                      "steer: strength must be finite");
    CHECK_THROWS_WITH(guidance::steer(p, model, x, noise{}, reward, {.particles = {.threshold = nan}}),
                      "steer: threshold must lie in [0, 1]");
    const schedule::edm schedule;
    const auto levels = grid::log_snr(schedule, 5, {.sigma_max = 20.0, .sigma_min = 0.01});
    CHECK_THROWS_WITH(guidance::twist(solver::unipc{.predicts = solver::form::noise}.plan(schedule, levels),
                                      model, x, noise{}, twisting, reward),
                      "twist: need a plan that adds one draw per step to the state");
    const auto broken = [&](const MatrixXd&, std::span<double> values) { values[0] = nan; };
    const auto result = guidance::steer(p, model, x, noise{}, broken);
    CHECK(result.run.status == run_status::non_finite);
    const auto broken_twist = [&](const MatrixXd&, const level&, const MatrixXd&, std::span<double> values,
                                  MatrixXd& out) {
        values[0] = nan;
        out.setZero();
    };
    CHECK(guidance::twist(p, model, x, noise{}, broken_twist, reward).run.status == run_status::non_finite);
    CHECK_THROWS_WITH(guidance::steer(p, model, x, noise{}, reward, {.every = 0}),
                      "steer: every must be at least 1");
    const auto impossible = [](const MatrixXd&, std::span<double> values) {
        std::fill(values.begin(), values.end(), -std::numeric_limits<double>::infinity());
    };
    const auto nobody = guidance::twist(p, model, x, noise{}, twisting, impossible);
    CHECK(nobody.log_weights == std::vector<double>(4, -std::numeric_limits<double>::infinity()));
    CHECK(nobody.log_normalizer == -std::numeric_limits<double>::infinity());
    const std::vector<double> none;
    CHECK_THROWS_WITH(guidance::log_mean_exp(none), "log_mean_exp: need at least one value");
    CHECK_THROWS_WITH(guidance::effective_sample_size(none),
                      "effective_sample_size: need at least one weight");
    CHECK(guidance::effective_sample_size(nobody.log_weights) == 0.0);
    CHECK_THROWS_WITH(guidance::systematic(nobody.log_weights, 0.5),
                      "systematic: the largest weight must be positive and finite");
    CHECK_THROWS_WITH(guidance::systematic(none, 0.5),
                      "systematic: the largest weight must be positive and finite");
    for (const double place : {-0.1, 1.0, nan}) {
        CHECK_THROWS_WITH(guidance::systematic(std::vector<double>(3, 0.0), place),
                          "systematic: place must lie in [0, 1)");
    }
    // A reward that nearly forbids: nobody is left below zero.
    const auto hard = [](const MatrixXd& y, std::span<double> values) {
        for (Eigen::Index i = 0; i < y.cols(); ++i) {
            values[static_cast<std::size_t>(i)] = y(0, i) > 0.0 ? 0.0 : -50.0;
        }
    };
    MatrixXd many = particles(p, 200, 4);
    const auto positive = guidance::steer(p, model, many, noise{.seed = 3}, hard);
    REQUIRE(positive.run);
    CHECK((many.array() > 0.0).all());
}
