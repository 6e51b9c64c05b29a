// SPDX-License-Identifier: MIT
#include <tweedie/analytic/empirical.hpp>
#include <tweedie/analytic/mixture.hpp>

#include "checks.hpp"

#ifdef _OPENMP
#include <omp.h>
#endif

using namespace tweedie;
using analytic::empirical;

static_assert(analytic::exact_denoiser<empirical>);

namespace {

/// The same law as a mixture of round Gaussians.
analytic::mixture as_mixture(const Eigen::MatrixXd& data, double bandwidth) {
    std::vector<double> weights;
    std::vector<analytic::gaussian> components;
    for (Eigen::Index i = 0; i < data.cols(); ++i) {
        weights.push_back(1.0 / static_cast<double>(data.cols()));
        components.push_back(analytic::gaussian::isotropic(data.col(i), bandwidth));
    }
    return {weights, components};
}

}  // namespace

TEST_CASE("an empirical law's denoiser, score and density belong together on every schedule",
          "[analytic][empirical][identity]") {
    check_exact_denoiser(empirical(normals(4, 60, 1)), 1.0);
    check_exact_denoiser(empirical(normals(4, 60, 1), 0.05), 1.0);
    check_exact_denoiser(empirical(normals(1, 1, 1)), 1.0);
}

TEST_CASE("an empirical law is a mixture of its points", "[analytic][empirical][identity]") {
    const Eigen::MatrixXd data = normals(5, 80, 2).array() + 3.0;
    for (const double bandwidth : {0.0, 0.1}) {
        const empirical law(data, bandwidth);
        const analytic::mixture m = as_mixture(data, bandwidth);
        CHECK(relative_error(law.mean(), m.mean()) < 1e-13);
        CHECK(relative_error(law.covariance(), m.covariance()) < 1e-12);
        for (const level& at : levels_of_all_schedules()) {
            CAPTURE(at.alpha, at.sigma, bandwidth);
            const Eigen::MatrixXd x = at.alpha * data.leftCols(50) + at.sigma * normals(5, 50, 4);
            CHECK(relative_error(law.denoise(x, at), m.denoise(x, at)) < 1e-11);
            CHECK(relative_error(law.score(x, at), m.score(x, at)) < 1e-11);
            CHECK(relative_error(law.log_density(x, at), m.log_density(x, at)) < 1e-11);
        }
    }
}

#ifdef _OPENMP
TEST_CASE("exact denoisers do not depend on the number of threads", "[analytic][parity]") {
    // long enough that Eigen's own threads would cut the sums differently
    const Eigen::MatrixXd data = normals(500, 60, 70);
    const Eigen::MatrixXd x = normals(500, 40, 71);
    const level here{0.5, 0.8, 0.6};
    const auto run = [&](int threads) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        const analytic::gaussian g = analytic::gaussian::fit(data, {.added_variance = 0.1});
        const analytic::mixture m = analytic::mixture::fit(data, 4, {.each = {.added_variance = 0.1}});
        Eigen::MatrixXd out(500, 0);
        for (const Eigen::Index n : {20, 40}) {
            Eigen::MatrixXd all(500, out.cols() + 3 * n);
            all << out, g.denoise(x.leftCols(n), here), m.denoise(x.leftCols(n), here),
                empirical(data).denoise(x.leftCols(n), here);
            out = all;
        }
        omp_set_num_threads(before);
        return out;
    };
    const Eigen::MatrixXd alone = run(1);
    for (const int threads : {2, 3, 8}) { CHECK(run(threads) == alone); }
}
#endif

TEST_CASE("huge noise gives the mean, little noise the nearest sample", "[analytic][empirical][exact]") {
    const Eigen::MatrixXd data = normals(6, 200, 5);
    const empirical law(data);
    const Eigen::MatrixXd x = normals(6, 40, 6);
    CHECK(law.denoise(x, {0.0, 0.0, 1.0}) == law.mean().replicate(1, 40));
    CHECK((law.denoise(x, {0.0, 1.0, 1e9}).colwise() - law.mean()).cwiseAbs().maxCoeff() < 1e-15 * 1e2);
    Eigen::MatrixXd nearest(6, 40);
    for (Eigen::Index j = 0; j < 40; ++j) {
        Eigen::Index best = 0;
        (data.colwise() - x.col(j)).colwise().squaredNorm().minCoeff(&best);
        nearest.col(j) = data.col(best);
    }
    CHECK(law.denoise(x, {0.0, 1.0, 0.0}) == nearest);
    CHECK(law.denoise(0.3 * x, {0.0, 0.3, 0.0}) == nearest);
    CHECK((law.denoise(x, {0.0, 1.0, 1e-6}) - nearest).cwiseAbs().maxCoeff() < 1e-15 * 10);
    CHECK(empirical(data, 0.1).denoise(x, {0.0, 0.5, 0.0}) == x / 0.5);
    const char* rule = "empirical: at sigma = 0 points without bandwidth have no density and no score";
    CHECK_THROWS_WITH(law.score(x, {0.0, 1.0, 0.0}), rule);
    CHECK_THROWS_WITH(law.log_density(x, {0.0, 1.0, 0.0}), rule);
}

TEST_CASE("two close samples far from the origin are told apart", "[analytic][empirical][exact]") {
    // differences of squares of 1e4 would be lost next to 2 sigma^2 = 2e-12; the weights are 1 / (1 + e^k)
    const std::vector<double> data{1e4, 1e4 + 1e-6, -1e4};
    const empirical law(Eigen::Map<const Eigen::RowVectorXd>(data.data(), 3));
    const Eigen::MatrixXd x = Eigen::MatrixXd::Constant(1, 1, 1e4 + 0.25e-6);
    const double y0 = data[0] - x(0);
    const double y1 = data[1] - x(0);
    const double sigma = 1e-6;
    const double share = 1.0 / (1.0 + std::exp((y1 * y1 - y0 * y0) / (2.0 * sigma * sigma)));
    const double expected = share * (data[1] - data[0]);
    CHECK_THAT(law.denoise(x, {0.0, 1.0, sigma})(0) - data[0], WithinAbs(expected, 1e-11));
}

TEST_CASE("an empirical density integrates to one", "[analytic][empirical][exact]") {
    const empirical law(normals(1, 30, 7), 0.01);
    for (const level& at : levels_of_all_schedules()) {
        const double reach = 8.0 * at.alpha + 12.0 * at.sigma;
        const Eigen::Index n = 20001;
        const Eigen::MatrixXd x = Eigen::RowVectorXd::LinSpaced(n, -reach, reach);
        const double step = 2.0 * reach / static_cast<double>(n - 1);
        CHECK_THAT(law.log_density(x, at).array().exp().sum() * step, WithinRel(1.0, 1e-12));
    }
}

TEST_CASE("an empirical law refuses what it cannot be", "[analytic][empirical][errors]") {
    Eigen::MatrixXd data = normals(2, 3, 8);
    CHECK_THROWS_WITH(empirical(Eigen::MatrixXd(2, 0)), "empirical: need at least one sample of one element");
    CHECK_THROWS_WITH(empirical(data, -1.0), "empirical: bandwidth must be finite and not negative");
    CHECK_THROWS_WITH(empirical(data, not_a_number), "empirical: bandwidth must be finite and not negative");
    const empirical law(data);
    CHECK_THROWS_WITH(law.denoise(Eigen::MatrixXd::Zero(3, 1), {0.0, 1.0, 1.0}),
                      "empirical: a sample must have 2 elements, not 3");
    CHECK_THROWS_WITH(law.denoise(data, {0.0, 1.0, not_a_number}),
                      "empirical: alpha and sigma must be finite, not negative and not both zero");
    data(0, 1) = infinity;
    CHECK_THROWS_WITH(empirical(data), "empirical: the data must be finite");
}
