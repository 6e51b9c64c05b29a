// SPDX-License-Identifier: MIT
#include <tweedie/analytic/trajectory.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/solver/ddim.hpp>

#include <array>
#include <tuple>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;

namespace {

gaussian any_rank(Eigen::Index d, const Eigen::VectorXd& l, double residual) {
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, 1)).householderQ();
    return gaussian::low_rank(normals(d, 1, 2), q.leftCols(l.size()), l, residual);
}

}  // namespace

TEST_CASE("x0_hat commits to a direction around the noise of its own deviation",
          "[analytic][trajectory][exact]") {
    for (const double variance : {1e-4, 0.09, 7.0}) {
        const auto when = analytic::committed_between(variance);
        for (const auto& [sigma, share] :
             {std::pair{when.begins, 0.1}, std::pair{when.centre, 0.5}, std::pair{when.ends, 0.9}}) {
            CHECK_THAT(analytic::committed_share(variance, {0, 1.0, sigma}),
                       WithinRel(share, tol<double>::exact));
            CHECK_THAT(analytic::committed_share(variance, {0, 0.3, 0.3 * sigma}),
                       WithinRel(share, tol<double>::exact));
        }
        // logistic in the logarithm of the noise
        for (const level& at : levels_of_all_schedules()) {
            const double z = std::log(variance) + 2.0 * at.half_log_snr();
            CHECK_THAT(analytic::committed_share(variance, at),
                       WithinRel(1.0 / (1.0 + std::exp(-z)), tol<double>::identity));
        }
    }
    CHECK(analytic::committed_share(0.0, {0, 1.0, 0.1}) == 0.0);
    CHECK(analytic::committed_share(0.5, {0, 1.0, 0.0}) == 1.0);
    CHECK(analytic::committed_share(0.5, {0, 0.0, 1.0}) == 0.0);
}

TEST_CASE("the committed share is the variance of the denoiser, and its root the progress of each sample",
          "[analytic][trajectory][identity]") {
    const Eigen::Vector3d l(2.0, 0.3, 0.01);
    const gaussian g = any_rank(5, l, 0.0);
    for (const level& at : levels_of_all_schedules()) {
        // x0_hat of N(alpha mu, alpha^2 Sigma + sigma^2 I) has the covariance A V A^T, here along u_k
        for (Eigen::Index k = 0; k < 3; ++k) {
            const double deviation = std::sqrt(at.alpha * at.alpha * l(k) + at.sigma * at.sigma);
            const Eigen::VectorXd x = at.alpha * g.mean() + deviation * g.eigenvectors().col(k);
            const double reached = g.eigenvectors().col(k).dot(g.denoise(x, at).col(0) - g.mean());
            const double share = analytic::committed_share(l(k), at);
            CHECK_THAT(reached * reached / l(k), WithinRel(share, tol<double>::identity));
            // one sample from pure noise: its coefficient relative to that of its end
            const level pure{1.0, 0.0, 1.0};
            const Eigen::VectorXd z = normals(5, 1, 3);
            const Eigen::VectorXd now = analytic::predict_x0(g, z, pure, at).col(0) - g.mean();
            const Eigen::VectorXd end = g.flow(z, pure, {0, 1.0, 0.0}).col(0) - g.mean();
            CHECK_THAT(g.eigenvectors().col(k).dot(now) / g.eigenvectors().col(k).dot(end),
                       WithinRel(std::sqrt(share), 1e-11));  // the quotient of small coefficients
        }
    }
}

TEST_CASE("x0_hat of the whole flow is known from its start", "[analytic][trajectory][identity]") {
    const Eigen::VectorXd l = normals(4, 1, 4).array().square() + 0.01;
    for (const gaussian& g : {any_rank(4, l, 0.0), any_rank(9, l, 0.2), any_rank(9, l, 0.0),
                              gaussian::isotropic(normals(3, 1, 5), 0.4)}) {
        for (const level& from : {level{0, 1.0, 80.0}, level{1, 0.0, 1.0}, level{0, 0.2, 0.98}}) {
            const Eigen::MatrixXd x = from.sigma * normals(g.dimension(), 6, 6);
            for (level to : levels_of_all_schedules()) {
                const Eigen::MatrixXd expected = g.denoise(g.flow(x, from, to), to);
                // rounding of the states, which denoising divides by alpha / (1 + sigma^2 / alpha^2)
                const double scale = 1.0 + to.sigma / std::max(to.alpha, 1e-300);
                CHECK((analytic::predict_x0(g, x, from, to) - expected).cwiseAbs().maxCoeff() <
                      tol<double>::identity * std::min(scale, 100.0));
            }
            const level clean{0.0, 1.0, 0.0};
            CHECK((analytic::predict_x0(g, x, from, clean) - g.flow(x, from, clean)).cwiseAbs().maxCoeff() <
                  tol<double>::identity);
        }
        const level pure{1.0, 0.0, 2.0};
        const Eigen::MatrixXd z = normals(g.dimension(), 2, 7);
        CHECK((analytic::predict_x0(g, z, pure, pure).colwise() - g.mean()).cwiseAbs().maxCoeff() == 0.0);
    }
}

TEST_CASE("the flow of data with one variance in a subspace stays in a plane",
          "[analytic][trajectory][exact]") {
    const double l = 0.6;
    const gaussian g = any_rank(8, Eigen::VectorXd::Constant(3, l), 0.0);
    const level from{0.0, 0.1, 0.99};
    const Eigen::MatrixXd x = normals(8, 5, 8);
    const auto deviation = [&](const level& at) {
        return std::sqrt(at.alpha * at.alpha * l + at.sigma * at.sigma);
    };
    for (const level& at : {level{0, 0.3, 0.9}, level{0, 0.8, 0.6}, level{0, 0.99, 0.1}}) {
        const auto where = analytic::rotation(g, x, from, at);
        const double start = at.sigma / from.sigma;  // what is outside the subspace is scaled alone
        const double end = (deviation(at) / deviation(from) - start) / (std::sqrt(l) / deviation(from));
        CHECK((where.of_start.array() - start).abs().maxCoeff() < tol<double>::identity);
        CHECK((where.of_end.array() - end).abs().maxCoeff() < tol<double>::identity);
        CHECK(where.outside.maxCoeff() < tol<double>::identity);
    }
    // the ends are (0, 1) and (1, 0)
    const auto first = analytic::rotation(g, x, from, from);
    const auto last = analytic::rotation(g, x, from, {0, 1.0, 0.0});
    CHECK((first.of_start.array() - 1.0).abs().maxCoeff() < tol<double>::identity);
    CHECK(first.of_end.cwiseAbs().maxCoeff() < tol<double>::identity);
    CHECK((last.of_end.array() - 1.0).abs().maxCoeff() < tol<double>::identity);
    CHECK(last.of_start.cwiseAbs().maxCoeff() < tol<double>::identity);
    // a plane that is a line
    const auto line = analytic::rotation(gaussian::isotropic(normals(8, 1, 9), l), x, from, {0, 0.8, 0.6});
    CHECK(line.of_end.cwiseAbs().maxCoeff() == 0.0);
    CHECK(line.outside.maxCoeff() < tol<double>::identity);
    CHECK_THAT(line.of_start(0),
               WithinRel(deviation({0, 0.8, 0.6}) / deviation(from), tol<double>::identity));
}

TEST_CASE("the flow of data with a falling spectrum hardly leaves the plane of its ends",
          "[analytic][trajectory][exact]") {
    Eigen::VectorXd l(6);
    l << 3.0, 1.0, 0.3, 0.1, 0.03, 0.01;
    const gaussian g = any_rank(60, l, 1e-4);
    const level pure{1.0, 0.0, 1.0};
    const Eigen::MatrixXd x = normals(60, 20, 10);
    for (double sigma = 0.05; sigma < 1.0; sigma += 0.1) {
        const level at{0.0, std::sqrt(1.0 - sigma * sigma), sigma};
        const auto where = analytic::rotation(g, x, pure, at);
        CHECK(where.outside.maxCoeff() < 0.25);
        CHECK(where.outside.maxCoeff() > 1e-6);  // but it does
        // what was split is whole again
        const Eigen::MatrixXd end = g.flow(x, pure, {0, 1.0, 0.0}).colwise() - g.mean();
        const Eigen::MatrixXd here = g.flow(x, pure, at).colwise() - at.alpha * g.mean();
        const Eigen::MatrixXd in_plane = end * where.of_end.asDiagonal() + x * where.of_start.asDiagonal();
        const Eigen::MatrixXd rest = here - in_plane;
        for (Eigen::Index j = 0; j < x.cols(); ++j) {
            CHECK_THAT(rest.col(j).norm(), WithinRel(where.outside(j) * here.col(j).norm(), 1e-9));
            CHECK(std::abs(rest.col(j).dot(end.col(j))) < tol<double>::identity);
            CHECK(std::abs(rest.col(j).dot(x.col(j))) < tol<double>::identity);
        }
    }
}

TEST_CASE("the deviation of a step is that of a DDIM plan of one step", "[analytic][trajectory][identity]") {
    const auto check = [](const auto& schedule) {
        for (const auto& [noisy, clean] : {std::pair{20.0, 5.0}, std::pair{1.0, 0.9}, std::pair{0.5, 0.01}}) {
            const level from = at_half_log_snr(schedule, -std::log(noisy));
            const level to = at_half_log_snr(schedule, -std::log(clean));
            const plan one = solver::ddim{}.plan(schedule, std::vector<level>{from, to});
            for (const double variance : {0.0, 0.01, 0.25, 30.0}) {
                const double deviation =
                    std::sqrt(from.alpha * from.alpha * variance + from.sigma * from.sigma);
                const double expected =
                    (analyze(one, variance).start - exact_transfer(from, to, variance).start);
                CHECK_THAT(analytic::step_deviation(variance, from, to),
                           WithinAbs(expected * deviation, tol<double>::identity * deviation));
            }
        }
    };
    check(schedule::edm{});
    check(schedule::vp_linear{});
    check(schedule::flow{});
    // of second order in the step, and 0 for none
    const auto at_ratio = [](double r) { return level{0, 1.0, r}; };
    const double whole = analytic::step_deviation(1.0, at_ratio(1.0), at_ratio(std::exp(-0.02)));
    const double half = analytic::step_deviation(1.0, at_ratio(1.0), at_ratio(std::exp(-0.01)));
    CHECK_THAT(whole / half, WithinRel(4.0, 0.02));  // 2^2, to the step's length
    CHECK(std::abs(analytic::step_deviation(1.0, at_ratio(1.0), at_ratio(1.0))) < tol<double>::exact);
}

TEST_CASE("trajectory functions refuse what they cannot answer", "[analytic][trajectory][errors]") {
    const level some{0, 1.0, 1.0};
    for (const double wrong : {-1.0, not_a_number, infinity}) {
        CHECK_THROWS_WITH(analytic::committed_share(wrong, some),
                          "committed_share: variance must be finite and not negative");
        CHECK_THROWS_WITH(analytic::committed_between(wrong),
                          "committed_between: variance must be finite and not negative");
        CHECK_THROWS_WITH(analytic::step_deviation(wrong, some, some),
                          "step_deviation: variance must be finite and not negative");
        CHECK_THROWS_WITH(analytic::committed_share(1.0, {0, 1.0, wrong}),
                          "committed_share: alpha and sigma must be finite, not negative and not both zero");
        CHECK_THROWS_WITH(analytic::step_deviation(1.0, some, {0, wrong, 1.0}),
                          "step_deviation: alpha and sigma must be finite and not negative");
    }
    const level clean{0, 1.0, 0.0};
    CHECK_THROWS_WITH(analytic::step_deviation(1.0, clean, some),
                      "step_deviation: need sigma > 0 to step from");
    const gaussian flat = any_rank(4, Eigen::Vector2d(1.0, 0.5), 0.0);
    const Eigen::MatrixXd x = normals(4, 1, 11);
    CHECK_THROWS_WITH(analytic::predict_x0(flat, x, clean, some),
                      "predict_x0: from sigma = 0 needs a covariance of full rank");
    CHECK_THROWS_AS(analytic::predict_x0(flat, normals(3, 1, 12), some, clean), std::invalid_argument);
    CHECK_THROWS_AS(analytic::rotation(flat, x, clean, some), std::invalid_argument);
    CHECK_THROWS_AS(analytic::rotation(flat, normals(3, 1, 12), some, clean), std::invalid_argument);
}
