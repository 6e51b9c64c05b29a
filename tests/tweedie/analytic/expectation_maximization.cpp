// SPDX-License-Identifier: MIT
#include <tweedie/analytic/expectation_maximization.hpp>

#include <algorithm>

#include "checks.hpp"

using namespace tweedie;
using analytic::cluster_start;
using analytic::gaussian;
using analytic::likelihood_options;
using analytic::maximize_likelihood;
using analytic::mixture;

namespace {

/// n samples of each of these Gaussians, one component after the other.
Eigen::MatrixXd samples_of(const std::vector<gaussian>& parts, Eigen::Index n, std::uint64_t seed) {
    const auto k = static_cast<Eigen::Index>(parts.size());
    const Eigen::Index d = parts.front().dimension();
    Eigen::MatrixXd out(d, k * n);
    for (Eigen::Index c = 0; c < k; ++c) {
        const gaussian& g = parts[static_cast<std::size_t>(c)];
        const Eigen::MatrixXd z = normals(d, n, seed + static_cast<std::uint64_t>(c));
        out.middleCols(c * n, n) = g.flow(z, {1.0, 0.0, 1.0}, {0.0, 1.0, 0.0});
    }
    return out;
}

std::vector<gaussian> three_apart() {
    const Eigen::VectorXd wide = Eigen::VectorXd::LinSpaced(4, 2.0, 0.2);
    std::vector<gaussian> out;
    for (std::uint64_t c = 0; c < 3; ++c) {
        Eigen::VectorXd mean = Eigen::VectorXd::Zero(4);
        mean(static_cast<Eigen::Index>(c)) = 9.0;
        out.emplace_back(mean, covariance_with(wide, 20 + c));
    }
    return out;
}

void check_never_falls(const std::vector<double>& likelihood) {
    for (std::size_t i = 1; i < likelihood.size(); ++i) {
        CAPTURE(i, likelihood[i - 1], likelihood[i]);
        CHECK(likelihood[i] >= likelihood[i - 1] - 1e-12 * std::abs(likelihood[i - 1]));
    }
}

double mean_log_density(const mixture& m, const Eigen::MatrixXd& data) {
    return m.log_density(data, {0.0, 1.0, 0.0}).mean();
}

}  // namespace

TEST_CASE("one component is found in one round", "[analytic][em][identity]") {
    const Eigen::MatrixXd data = samples_of({three_apart()[0]}, 300, 1);
    const gaussian far = gaussian::isotropic(Eigen::VectorXd::Constant(4, 30.0), 5.0);
    for (const Eigen::Index rank : {0, 2, 4}) {
        const auto result = maximize_likelihood({{1.0}, {far}}, data, {.rank = rank});
        CHECK(result.converged);
        CHECK(result.log_likelihood.size() == 2);
        const gaussian expected = gaussian::fit(data, {.rank = rank});
        CHECK(relative_error(result.model.mean(), expected.mean()) < tol<double>::identity);
        CHECK(relative_error(result.model.covariance(), expected.covariance()) < tol<double>::identity);
        CHECK_THAT(result.log_likelihood.back(), WithinRel(mean_log_density(result.model, data), 1e-13));
    }
}

TEST_CASE("rounds are those of the formulas written out", "[analytic][em][identity]") {
    // two components on a line that overlap
    Eigen::MatrixXd data(1, 400);
    data << normals(1, 250, 2), (0.5 * normals(1, 150, 3)).array() + 1.5;
    double w[2] = {0.3, 0.7};
    double mu[2] = {-1.0, 0.5};
    double v[2] = {0.5, 2.0};
    const mixture start({w[0], w[1]}, {gaussian::isotropic(Eigen::VectorXd::Constant(1, mu[0]), v[0]),
                                       gaussian::isotropic(Eigen::VectorXd::Constant(1, mu[1]), v[1])});
    const auto density = [&](int c, double x) {
        return w[c] * std::exp(-0.5 * (x - mu[c]) * (x - mu[c]) / v[c]) /
               std::sqrt(2.0 * std::acos(-1.0) * v[c]);
    };
    const auto result = maximize_likelihood(start, data, {.iterations = 12, .tolerance = 0.0});
    REQUIRE(result.log_likelihood.size() == 12);
    CHECK_FALSE(result.converged);
    for (std::size_t round = 0; round < 12; ++round) {
        double sum[2] = {};
        double first[2] = {};
        std::vector<double> share;
        for (const double x : data.row(0)) {
            share.push_back(density(0, x) / (density(0, x) + density(1, x)));
            sum[0] += share.back();
            sum[1] += 1.0 - share.back();
            first[0] += share.back() * x;
            first[1] += (1.0 - share.back()) * x;
        }
        for (int c = 0; c < 2; ++c) { mu[c] = first[c] / sum[c]; }
        double second[2] = {};
        for (std::size_t j = 0; j < 400; ++j) {
            const double x = data(0, static_cast<Eigen::Index>(j));
            second[0] += share[j] * (x - mu[0]) * (x - mu[0]);
            second[1] += (1.0 - share[j]) * (x - mu[1]) * (x - mu[1]);
        }
        double likelihood = 0.0;
        for (int c = 0; c < 2; ++c) {
            w[c] = sum[c] / 400.0;
            v[c] = second[c] / sum[c];
        }
        for (const double x : data.row(0)) { likelihood += std::log(density(0, x) + density(1, x)) / 400.0; }
        CHECK_THAT(result.log_likelihood[round], WithinRel(likelihood, tol<double>::identity));
    }
    for (int c = 0; c < 2; ++c) {
        const auto place = static_cast<std::size_t>(c);
        CHECK_THAT(result.model.weights()[place], WithinRel(w[c], 1e-11));
        CHECK_THAT(result.model.components()[place].mean()(0), WithinRel(mu[c], 1e-11));
        CHECK_THAT(result.model.components()[place].covariance()(0, 0), WithinRel(v[c], 1e-11));
    }
}

TEST_CASE("the likelihood never falls, whatever the rank and the number of samples",
          "[analytic][em][identity]") {
    // 4 dimensions: through the large matrix; 30 with 48 samples: through the small one
    std::vector<gaussian> wide;
    for (std::uint64_t c = 0; c < 3; ++c) {
        const Eigen::MatrixXd q =
            Eigen::HouseholderQR<Eigen::MatrixXd>(normals(30, 30, 30 + c)).householderQ();
        wide.push_back(gaussian::low_rank(2.0 * normals(30, 1, 40 + c), q.leftCols(4),
                                          Eigen::Vector4d(9.0, 4.0, 2.0, 1.0), 0.3));
    }
    for (const Eigen::MatrixXd& data : {samples_of(three_apart(), 60, 4), samples_of(wide, 16, 5)}) {
        const Eigen::Index d = data.rows();
        for (const Eigen::Index rank : {Eigen::Index{0}, Eigen::Index{2}, d}) {
            for (const double least : {1e-4, 0.6}) {
                for (std::uint64_t seed = 0; seed < 3; ++seed) {
                    CAPTURE(d, rank, least, seed);
                    const mixture start = mixture::fit(
                        data, 5, {.iterations = 0, .start = cluster_start::plus_plus, .seed = seed});
                    const auto result = maximize_likelihood(
                        start, data,
                        {.rank = rank, .least_variance = least, .iterations = 40, .tolerance = 0.0});
                    check_never_falls(result.log_likelihood);
                    CHECK_THAT(result.log_likelihood.back(),
                               WithinRel(mean_log_density(result.model, data), tol<double>::identity));
                    double sum = 0.0;
                    for (std::size_t c = 0; c < result.model.components().size(); ++c) {
                        const gaussian& g = result.model.components()[c];
                        sum += result.model.weights()[c];
                        CHECK(g.rank() <= rank);
                        if (g.rank() > 0) { CHECK(g.eigenvalues().minCoeff() >= least); }
                        if (g.rank() < d) { CHECK(g.residual() >= least); }
                    }
                    CHECK_THAT(sum, WithinRel(1.0, tol<double>::identity));
                }
            }
        }
    }
}

TEST_CASE("a mixture of separate components is recovered", "[analytic][em][statistics]") {
    const std::vector<gaussian> parts = three_apart();
    const Eigen::Index n = 2000;
    const Eigen::MatrixXd data = samples_of(parts, n, 6);
    const mixture start = mixture::fit(data, 3, {.start = cluster_start::plus_plus, .seed = 1});
    const auto result = maximize_likelihood(start, data);
    CHECK(result.converged);
    REQUIRE(result.model.components().size() == 3);
    for (const gaussian& part : parts) {
        std::size_t nearest = 0;
        for (std::size_t c = 1; c < 3; ++c) {
            const auto away = [&](std::size_t k) {
                return (result.model.components()[k].mean() - part.mean()).norm();
            };
            if (away(c) < away(nearest)) { nearest = c; }
        }
        const gaussian& found = result.model.components()[nearest];
        // five standard errors: sqrt(tr(Sigma) / n) of a mean, l sqrt(2 / n) of a variance
        CHECK((found.mean() - part.mean()).norm() < 5.0 * std::sqrt(4.4 / static_cast<double>(n)));
        CHECK((found.covariance() - part.covariance()).norm() <
              5.0 * 4.4 / std::sqrt(static_cast<double>(n)));
        CHECK_THAT(result.model.weights()[nearest], WithinAbs(1.0 / 3.0, 0.001));
    }
    // likelier than the truth, as a maximum must be
    const mixture truth({1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0}, parts);
    CHECK(result.log_likelihood.back() > mean_log_density(truth, data));
}

TEST_CASE("a component without samples is left out, one with a single sample keeps the least variance",
          "[analytic][em][fit]") {
    const Eigen::MatrixXd data = samples_of(three_apart(), 40, 7);
    const gaussian nowhere = gaussian::isotropic(Eigen::VectorXd::Constant(4, 1e4), 1e-4);
    const gaussian everywhere = gaussian::isotropic(Eigen::VectorXd::Zero(4), 30.0);
    const auto left = maximize_likelihood({{0.5, 0.2, 0.3}, {nowhere, everywhere, nowhere}}, data);
    REQUIRE(left.model.components().size() == 1);
    CHECK(left.model.weights()[0] == 1.0);
    check_never_falls(left.log_likelihood);

    Eigen::MatrixXd alone = data;
    alone.col(0).setConstant(500.0);
    const mixture start = mixture::fit(alone, 4);
    const auto result = maximize_likelihood(start, alone, {.least_variance = 0.01});
    REQUIRE(result.model.components().size() == 4);
    check_never_falls(result.log_likelihood);
    bool found = false;
    for (const gaussian& g : result.model.components()) {
        if (g.mean().minCoeff() < 499.0) { continue; }
        found = true;
        CHECK(relative_error(g.covariance(), 0.01 * Eigen::Matrix4d::Identity()) < 1e-12);
    }
    CHECK(found);
    // equal samples only
    const Eigen::MatrixXd same = Eigen::MatrixXd::Ones(3, 6);
    const auto point = maximize_likelihood(mixture::fit(same, 2), same, {.least_variance = 0.25});
    CHECK(relative_error(point.model.covariance(), 0.25 * Eigen::Matrix3d::Identity()) < tol<double>::exact);
}

TEST_CASE("a mixture's likelihood does not depend on the number of threads", "[analytic][em][parity]") {
    const Eigen::MatrixXd data = normals(150, 600, 8);
    const mixture start = mixture::fit(data, 3);
    const auto run = [&](int threads) {
        const with_threads set(threads);
        return maximize_likelihood(start, data, {.rank = 5, .iterations = 2});
    };
    const auto one = run(1);
    const auto three = run(3);
    CHECK(one.log_likelihood == three.log_likelihood);
    CHECK(one.model.components()[1].eigenvectors() == three.model.components()[1].eigenvectors());
}

TEST_CASE("maximize_likelihood refuses what it cannot use", "[analytic][em][errors]") {
    const Eigen::MatrixXd data = samples_of(three_apart(), 5, 9);
    const mixture start = mixture::fit(data, 3);
    CHECK_THROWS_WITH(maximize_likelihood(start, Eigen::MatrixXd::Zero(3, 9)),
                      "maximize_likelihood: start and data must have the same dimension");
    CHECK_THROWS_WITH(maximize_likelihood(start, data.leftCols(2)),
                      "maximize_likelihood: need as many samples as components");
    Eigen::MatrixXd bad = data;
    bad(1, 1) = not_a_number;
    CHECK_THROWS_WITH(maximize_likelihood(start, bad), "maximize_likelihood: the data must be finite");
    CHECK_THROWS_WITH(maximize_likelihood(start, data, {.rank = 5}),
                      "maximize_likelihood: rank must lie in [0, dimension]");
    const char* least = "maximize_likelihood: least_variance must be finite and positive";
    CHECK_THROWS_WITH(maximize_likelihood(start, data, {.least_variance = 0.0}), least);
    CHECK_THROWS_WITH(maximize_likelihood(start, data, {.least_variance = not_a_number}), least);
    CHECK_THROWS_WITH(maximize_likelihood(start, data, {.iterations = 0}),
                      "maximize_likelihood: iterations must be at least 1");
    CHECK_THROWS_WITH(maximize_likelihood(start, data, {.tolerance = not_a_number}),
                      "maximize_likelihood: tolerance must not be negative");
    const gaussian singular = gaussian::isotropic(Eigen::VectorXd::Zero(4), 0.0);
    CHECK_THROWS_WITH(maximize_likelihood({{1.0}, {singular}}, data),
                      "maximize_likelihood: the start needs variance in every direction; give its fit a "
                      "least_variance");
    CHECK_THROWS_WITH(maximize_likelihood(start, Eigen::MatrixXd(1e200 * data)),
                      "maximize_likelihood: the likelihood is not finite; scale the data");
}
