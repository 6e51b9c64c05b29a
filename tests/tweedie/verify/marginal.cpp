// SPDX-License-Identifier: MIT
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/verify/marginal.hpp>
#include <tweedie/verify/order.hpp>

#include "problem.hpp"

using namespace tweedie;
using analytic::gaussian;

namespace {

std::span<const double> values(const Eigen::MatrixXd& x) {
    return {x.data(), static_cast<std::size_t>(x.size())};
}

/// Ancestral sampling in many steps brings N(alpha mu, alpha^2 v + sigma^2) at the noisy level to N(mu, v).
template <class Schedule>
void check_ancestral(const Schedule& schedule, double sigma_max) {
    const Eigen::VectorXd l = Eigen::Vector3d(2.0, 0.25, 0.01);
    const Eigen::VectorXd mean = Eigen::Vector3d(1.0, -2.0, 0.5);
    const gaussian law = gaussian::low_rank(mean, Eigen::MatrixXd::Identity(3, 3), l);
    const solver::ddim ancestral{.eta = 1.0};
    const auto levels = [&](int n) {
        return grid::log_snr(schedule, n, {.sigma_max = sigma_max, .sigma_min = 1e-4});
    };

    // in closed form, the error of both moments falls like 1 / steps
    for (Eigen::Index k = 0; k < 3; ++k) {
        const auto moments = [&](int n) {
            const plan p = ancestral.plan(schedule, levels(n));
            const transfer t = analyze(p, l(k));
            const level& first = p.levels.front();
            const double start_variance = first.alpha * first.alpha * l(k) + first.sigma * first.sigma;
            return std::pair(t.start * first.alpha * mean(k) + t.mean * mean(k),
                             t.start * t.start * start_variance + t.noise_variance);
        };
        CHECK_THAT(moments(200).first,
                   WithinRel(mean(k), 1e-12));  // the mean is exact in any number of steps
        const auto m = verify::measured_order(
            [&](int n) { return std::abs(moments(n).second - l(k)) / l(k); }, {400, 800, 1600, 3200});
        CAPTURE(k, m.order, m.errors.back());
        CHECK_THAT(m.order, WithinAbs(1.0, 0.1));
        CHECK(m.errors.back() < 0.02);
    }

    // and in samples: what is drawn has the law that analyze gives, to the last standard error
    const plan p = ancestral.plan(schedule, levels(100));
    constexpr Eigen::Index samples = 20000;
    const level& first = p.levels.front();
    const Eigen::VectorXd spread = law.noisy_variances(first).cwiseSqrt();
    const Eigen::MatrixXd starts =
        (spread.asDiagonal() * normals(3, samples, 1)).colwise() + first.alpha * law.mean();
    const Eigen::MatrixXd ends = verify::run_plan(p, law, schedule, starts, noise{.seed = 7});
    for (Eigen::Index k = 0; k < 3; ++k) {
        const transfer t = analyze(p, l(k));
        const double variance = t.start * t.start * spread(k) * spread(k) + t.noise_variance;
        const Eigen::MatrixXd row = ends.row(k);
        const auto report = verify::marginal(values(row), mean(k), variance);
        CAPTURE(k, report.mean_z, report.variance_z, report.p_value);
        CHECK(report.passes());
        CHECK(std::abs(report.mean_z) < 4.0);
        CHECK(std::abs(report.variance_z) < 4.0);
    }
}

}  // namespace

TEST_CASE("ancestral sampling converges to the exact law on VP, EDM and flow", "[verify][marginal][slow]") {
    check_ancestral(schedule::vp_linear{}, 80.0);
    check_ancestral(schedule::edm{}, 80.0);
    check_ancestral(schedule::flow{}, 80.0);
}

TEST_CASE("normal samples pass, shifted, scaled and bent ones do not", "[verify][marginal][statistics]") {
    const Eigen::MatrixXd z = normals(1, 20000, 3);
    CHECK(verify::marginal(values(z), 0.0, 1.0).passes());
    CHECK(verify::marginal(values(Eigen::MatrixXd(z.array() * 3.0 + 1e6)), 1e6, 9.0).passes());
    const auto shifted = verify::marginal(values(z), 0.05, 1.0);
    CHECK_FALSE(shifted.passes());
    CHECK(std::abs(shifted.mean_z) > 5.0);
    CHECK(std::abs(shifted.variance_z) < 5.0);
    const auto scaled = verify::marginal(values(z), 0.0, 0.9);
    CHECK(std::abs(scaled.variance_z) > 5.0);
    // the moments of the law, but two points
    const Eigen::MatrixXd coins = z.array().sign();
    const auto bent = verify::marginal(values(coins), 0.0, 1.0);
    CHECK(std::abs(bent.mean_z) < 5.0);
    CHECK(bent.p_value < 1e-6);
    CHECK_FALSE(bent.passes());
}

TEST_CASE("z-scores and p-values have the laws they should", "[verify][marginal][statistics]") {
    constexpr int tries = 400;
    int small = 0;
    double mean_squares = 0.0;
    double variance_squares = 0.0;
    for (int i = 0; i < tries; ++i) {
        const auto report =
            verify::marginal(values(normals(1, 200, 100 + static_cast<std::uint64_t>(i))), 0.0, 1.0);
        small += report.p_value < 0.1 ? 1 : 0;
        mean_squares += report.mean_z * report.mean_z / tries;
        variance_squares += report.variance_z * report.variance_z / tries;
    }
    CHECK(std::abs(small - 40) < 30);                // five standard errors of a binomial count of 400 at 0.1
    CHECK_THAT(mean_squares, WithinAbs(1.0, 0.35));  // five of sqrt(2 / 400)
    CHECK_THAT(variance_squares, WithinAbs(1.0, 0.4));
}

TEST_CASE("the numbers of a report are those of the textbook", "[verify][marginal][exact]") {
    std::vector<double> samples;
    for (int i = 0; i < 10; ++i) { samples.push_back(i - 4.5); }
    const auto report = verify::marginal(samples, 0.5, 4.0);
    CHECK(report.samples == 10);
    CHECK_THAT(report.mean, WithinAbs(0.0, 1e-15));
    CHECK_THAT(report.mean_error, WithinRel(std::sqrt(0.4), tol<double>::exact));
    CHECK_THAT(report.mean_z, WithinRel(-0.5 / std::sqrt(0.4), tol<double>::exact));
    CHECK_THAT(report.variance, WithinRel(82.5 / 9.0, tol<double>::exact));
    CHECK_THAT(report.variance_error, WithinRel(4.0 * std::sqrt(2.0 / 9.0), tol<double>::exact));
    CHECK_THAT(report.variance_z, WithinRel((82.5 / 9.0 - 4.0) / report.variance_error, tol<double>::exact));
    // the largest gap is below -0.5, the fifth sample: 0.5 of them against Phi(-0.5), or the fourth at -1.5
    double distance = 0.0;
    for (int i = 0; i < 10; ++i) {
        const double phi = 0.5 * std::erfc(-(samples[static_cast<std::size_t>(i)] - 0.5) / std::sqrt(8.0));
        distance = std::max({distance, std::abs(phi - i / 10.0), std::abs(phi - (i + 1) / 10.0)});
    }
    CHECK_THAT(report.distance, WithinRel(distance, tol<double>::exact));
    // Kolmogorov's distribution: Q(1) = 0.2699996716773
    const double n = 10.0;
    const double t = (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * distance;
    double q = 0.0;
    for (int k = 1; k < 50; ++k) { q += 2.0 * std::pow(-1.0, k - 1) * std::exp(-2.0 * k * k * t * t); }
    CHECK_THAT(report.p_value, WithinRel(q, 1e-12));
}

TEST_CASE("many-dimensional samples are compared along the principal directions", "[verify][marginal]") {
    Eigen::Matrix3d covariance;
    covariance << 2.0, 0.8, 0.1, 0.8, 1.0, -0.2, 0.1, -0.2, 0.5;
    const gaussian law(Eigen::Vector3d(1.0, 2.0, 3.0), covariance);
    const Eigen::MatrixXd root = covariance.llt().matrixL();
    const Eigen::MatrixXd good = (root * normals(3, 5000, 4)).colwise() + law.mean();
    const auto reports = verify::marginal(good, law);
    REQUIRE(reports.size() == 3);
    for (const auto& report : reports) { CHECK(report.passes()); }
    const Eigen::MatrixXd independent =
        (covariance.diagonal().cwiseSqrt().asDiagonal() * normals(3, 5000, 4)).colwise() + law.mean();
    bool all = true;
    for (const auto& report : verify::marginal(independent, law)) { all = all && report.passes(); }
    CHECK_FALSE(all);
    CHECK_THROWS_WITH(verify::marginal(normals(2, 20, 1), law),
                      "marginal: samples and law must have the same dimension");
}

TEST_CASE("marginals that cannot be compared are refused", "[verify][marginal][errors]") {
    const std::vector<double> few(9, 0.0);
    std::vector<double> enough(10, 0.0);
    CHECK_THROWS_WITH(verify::marginal(few, 0.0, 1.0), "marginal: need at least 10 samples");
    const char* law = "marginal: the law must have a finite mean and a positive variance";
    CHECK_THROWS_WITH(verify::marginal(enough, 0.0, 0.0), law);
    CHECK_THROWS_WITH(verify::marginal(enough, 0.0, not_a_number), law);
    CHECK_THROWS_WITH(verify::marginal(enough, infinity, 1.0), law);
    enough[3] = not_a_number;
    CHECK_THROWS_WITH(verify::marginal(enough, 0.0, 1.0), "marginal: the samples must be finite");
}
