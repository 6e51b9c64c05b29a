// SPDX-License-Identifier: MIT
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <support/golden_mixture.hpp>
#include <support/reference.hpp>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;

static_assert(analytic::exact_denoiser<mixture>);

namespace {

mixture thin(Eigen::Index d, double residual) {
    std::vector<gaussian> components;
    for (std::uint64_t c = 0; c < 5; ++c) {
        const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, 10 + c)).householderQ();
        const auto rank = static_cast<Eigen::Index>(c);
        components.push_back(gaussian::low_rank(2.0 * normals(d, 1, 20 + c), q.leftCols(rank),
                                                Eigen::VectorXd::Constant(rank, 0.3), residual));
    }
    return {{0.1, 0.3, 0.2, 0.0, 0.4}, components};
}

}  // namespace

TEST_CASE("a mixture's denoiser, score and density belong together on every schedule",
          "[analytic][mixture][identity]") {
    check_exact_denoiser(golden_mixture(), 2.0);
    check_exact_denoiser(thin(6, 0.1), 2.0);
    check_exact_denoiser(thin(6, 0.0), 2.0);
}

TEST_CASE("a mixture has the recorded data predictions", "[analytic][mixture][reference]") {
    const mixture m = golden_mixture();
    const auto recorded = reference("core_golden.json");
    for (const auto& entry : recorded["D_at"]) {
        const Eigen::Vector2d x(entry["x"][0].get<double>(), entry["x"][1].get<double>());
        const double sigma = entry["sigma"];
        const Eigen::MatrixXd x0 = m.denoise(x, {sigma, 1.0, sigma});
        CHECK_THAT(x0(0), WithinRel(entry["D"][0].get<double>(), tol<double>::identity));
        CHECK_THAT(x0(1), WithinRel(entry["D"][1].get<double>(), tol<double>::identity));
    }
    const auto problem = recorded["problem"];
    for (const Eigen::Index i : {0, 1}) {
        const auto row = static_cast<std::size_t>(i);
        CHECK_THAT(m.mean()(i), WithinRel(problem["mean"][row].get<double>(), tol<double>::exact));
        for (const Eigen::Index j : {0, 1}) {
            CHECK_THAT(m.covariance()(i, j),
                       WithinRel(problem["cov_total"][row][static_cast<std::size_t>(j)].get<double>(),
                                 tol<double>::exact * 10));
        }
    }
}

TEST_CASE("a mixture is what its components say, weighted by brute force", "[analytic][mixture][identity]") {
    const mixture m = thin(6, 0.1);
    for (const level& at : levels_of_all_schedules()) {
        CAPTURE(at.alpha, at.sigma);
        Eigen::MatrixXd x = 2.0 * at.alpha * normals(6, 70, 30) + at.sigma * normals(6, 70, 31);
        const Eigen::MatrixXd r = m.responsibilities(x, at);
        CHECK((r.colwise().sum().array() - 1.0).abs().maxCoeff() < tol<double>::exact);
        CHECK(r.minCoeff() >= 0.0);
        CHECK(r.row(3).isZero());  // its weight is 0
        Eigen::MatrixXd x0 = Eigen::MatrixXd::Zero(6, 70);
        Eigen::MatrixXd score = x0;
        for (Eigen::Index c = 0; c < 5; ++c) {
            const gaussian& g = m.components()[static_cast<std::size_t>(c)];
            x0 += g.denoise(x, at) * r.row(c).asDiagonal();
            score += g.score(x, at) * r.row(c).asDiagonal();
        }
        const Eigen::MatrixXd joint = m.joint_log_density(x, at);
        for (const Eigen::Index c : {0, 4}) {
            const auto place = static_cast<std::size_t>(c);
            const Eigen::VectorXd alone =
                m.components()[place].log_density(x, at).array() + std::log(m.weights()[place]);
            CHECK(relative_error(joint.row(c).transpose(), alone) < tol<double>::identity);
        }
        CHECK(relative_error(m.denoise(x, at), x0) < tol<double>::identity);
        CHECK(relative_error(m.score(x, at), score) < tol<double>::identity);
        // densities that do not vanish, summed as they are
        if (at.sigma / at.alpha > 0.2) {
            Eigen::VectorXd density = Eigen::VectorXd::Zero(70);
            for (std::size_t c = 0; c < 5; ++c) {
                density += m.weights()[c] * m.components()[c].log_density(x, at).array().exp().matrix();
            }
            CHECK((m.log_density(x, at).array() - density.array().log()).abs().maxCoeff() < 1e-10);
        }
    }
}

TEST_CASE("a mixture is the network of a denoiser, for one sample or many", "[analytic][mixture][parity]") {
    const mixture m = golden_mixture();
    const schedule::flow flow;
    const denoiser model(std::cref(m), prediction::x0, flow);
    const plan p = solver::unipc{}.plan(flow, grid::karras(flow, 10));
    const Eigen::MatrixXd starts = normals(2, 40, 60);
    Eigen::MatrixXd many = starts;
    REQUIRE(sample(p, model, many));
    for (const Eigen::Index j : {0, 17, 39}) {
        std::vector<double> one{starts(0, j), starts(1, j)};
        REQUIRE(sample(p, model, one));
        CHECK_THAT(one[0], WithinAbs(many(0, j), tol<double>::identity));
        CHECK_THAT(one[1], WithinAbs(many(1, j), tol<double>::identity));
    }
    Eigen::MatrixXf coarse = starts.cast<float>();
    REQUIRE(sample(p, model, coarse));
    CHECK(relative_error(coarse.cast<double>(), many) < 1e-4);
}

TEST_CASE("one component is a Gaussian", "[analytic][mixture][identity]") {
    const gaussian g = golden_mixture().components()[0];
    const mixture m({1.0}, {g});
    const Eigen::MatrixXd x = normals(2, 33, 32);
    for (const level& at : levels_of_all_schedules()) {
        CHECK(relative_error(m.denoise(x, at), g.denoise(x, at)) < 1e-13);
        CHECK(relative_error(m.score(x, at), g.score(x, at)) < 1e-13);
        CHECK(relative_error(m.log_density(x, at), g.log_density(x, at)) < 1e-13);
    }
}

TEST_CASE("a mixture's density integrates to one", "[analytic][mixture][exact]") {
    const mixture m({0.2, 0.5, 0.3}, {gaussian::isotropic(Eigen::VectorXd::Constant(1, -3.0), 0.2),
                                      gaussian::isotropic(Eigen::VectorXd::Constant(1, 0.5), 0.01),
                                      gaussian::isotropic(Eigen::VectorXd::Constant(1, 1.0), 2.0)});
    for (const level& at : levels_of_all_schedules()) {
        const double reach = 20.0 * at.alpha + 12.0 * at.sigma;
        const Eigen::Index n = 20001;
        const Eigen::MatrixXd x = Eigen::RowVectorXd::LinSpaced(n, -reach, reach);
        const double step = 2.0 * reach / static_cast<double>(n - 1);
        CHECK_THAT(m.log_density(x, at).array().exp().sum() * step, WithinRel(1.0, 1e-12));
    }
}

TEST_CASE("a mixture is exact at both ends and finite far away", "[analytic][mixture][exact]") {
    const mixture m = golden_mixture();
    const Eigen::MatrixXd x = normals(2, 5, 33);
    CHECK(m.denoise(x, {0.0, 0.5, 0.0}) == x / 0.5);
    CHECK(m.denoise(x, {0.0, 0.0, 3.0}) == m.mean().replicate(1, 5));
    CHECK(relative_error(m.score(x, {0.0, 0.0, 3.0}), -x / 9.0) < tol<double>::exact);
    CHECK(relative_error(m.score(x, {0.0, 1.0, 0.0}), m.score(x, {0.0, 1.0, 1e-9})) < 1e-12);
    const char* singular = "mixture: at sigma = 0 a singular covariance has no density and no score";
    CHECK_THROWS_WITH(thin(6, 0.0).score(normals(6, 1, 1), {0.0, 1.0, 0.0}), singular);
    CHECK_THROWS_WITH(thin(6, 0.0).log_density(normals(6, 1, 1), {0.0, 1.0, 0.0}), singular);
    // exponents of -1e14, where every density is 0: still one of the components decides
    const Eigen::MatrixXd far = 1e5 * x;
    const level near_clean{0.0, 1.0, 1e-2};
    CHECK(m.denoise(far, near_clean).allFinite());
    CHECK((m.responsibilities(far, near_clean).colwise().sum().array() - 1.0).abs().maxCoeff() <
          tol<double>::exact);
    // NaN in, NaN out, in that sample only
    Eigen::MatrixXd holed = x;
    holed(1, 2) = not_a_number;
    const Eigen::MatrixXd out = m.denoise(holed, {0.0, 1.0, 1.0});
    CHECK(std::isnan(out(0, 2)));
    CHECK(out.leftCols(2).allFinite());
    CHECK(out.rightCols(2).allFinite());
}

TEST_CASE("k-means finds well separated clusters", "[analytic][mixture][fit]") {
    Eigen::MatrixXd data(3, 300);
    const Eigen::MatrixXd middles = 20.0 * Eigen::Matrix3d::Identity();
    for (Eigen::Index j = 0; j < 300; ++j) { data.col(j) = middles.col(j % 3); }
    data += normals(3, 300, 40);
    const mixture m = mixture::fit(data, 3);
    REQUIRE(m.components().size() == 3);
    for (std::size_t c = 0; c < 3; ++c) {
        CHECK_THAT(m.weights()[c], WithinRel(1.0 / 3.0, tol<double>::exact));
        const Eigen::VectorXd mean = m.components()[c].mean();
        CHECK(((middles.colwise() - mean).colwise().norm()).minCoeff() < 0.5);
        CHECK((m.components()[c].covariance() - Eigen::Matrix3d::Identity()).cwiseAbs().maxCoeff() < 0.6);
    }
    // within and between: the law has the moments of the data, but for the added variance
    const Eigen::MatrixXd centred = data.colwise() - data.rowwise().mean();
    const Eigen::MatrixXd covariance =
        centred * centred.transpose() / 300.0 + 1e-5 * Eigen::Matrix3d::Identity();
    CHECK(relative_error(m.mean(), data.rowwise().mean()) < 1e-13);
    CHECK(relative_error(m.covariance(), covariance) < 1e-13);
}

TEST_CASE("fitting is deterministic, and every sample belongs to one cluster", "[analytic][mixture][fit]") {
    const Eigen::MatrixXd data = normals(5, 400, 41);
    for (const Eigen::Index k : {1, 2, 7, 50, 399, 400, -1, -7, -50, -400}) {
        CAPTURE(k);
        const analytic::mixture_fit_options options{.start = k > 0 ? analytic::cluster_start::farthest
                                                                   : analytic::cluster_start::plus_plus};
        const mixture a = mixture::fit(data, std::abs(k), options);
        const mixture b = mixture::fit(data, std::abs(k), options);
        CHECK(static_cast<Eigen::Index>(a.components().size()) == std::abs(k));
        CHECK(a.weights() == b.weights());
        double sum = 0.0;
        for (std::size_t c = 0; c < a.components().size(); ++c) {
            CHECK(a.components()[c].mean() == b.components()[c].mean());
            CHECK(a.weights()[c] >= 1.0 / 401.0);
            sum += a.weights()[c];
        }
        CHECK_THAT(sum, WithinRel(1.0, tol<double>::exact * 10));
        CHECK(relative_error(a.mean(), data.rowwise().mean()) < 1e-12);
    }
}

TEST_CASE("clusters of one sample and repeated samples are handled", "[analytic][mixture][fit]") {
    // three distinct samples, one of them far away and alone
    Eigen::MatrixXd data(2, 9);
    for (Eigen::Index j = 0; j < 9; ++j) {
        data.col(j) = j < 4 ? Eigen::Vector2d(0.0, 0.0) : Eigen::Vector2d(1.0, 0.0);
    }
    data.col(8) = Eigen::Vector2d(100.0, 100.0);
    const mixture three = mixture::fit(data, 3, {.each = {.added_variance = 0.25}});
    REQUIRE(three.components().size() == 3);
    for (const gaussian& g : three.components()) {
        CHECK(relative_error(g.covariance(), 0.25 * Eigen::Matrix2d::Identity()) < tol<double>::exact);
    }
    const mixture still_three = mixture::fit(data, 6);
    CHECK(still_three.components().size() == 3);
    CHECK(still_three.denoise(data, {0.0, 1.0, 0.1}).allFinite());
    const mixture one = mixture::fit(Eigen::MatrixXd::Ones(4, 6), 6);
    CHECK(one.components().size() == 1);
    CHECK(mixture::fit(data, 3, {.each = {.added_variance = 0.0}, .iterations = 0}).components().size() == 3);
}

TEST_CASE("a cluster that loses all its samples gets another", "[analytic][mixture][fit]") {
    // samples whose distance is lost in the rounding of their squares: the first centre takes them all
    for (const double apart : {1.0, 1e-3}) {
        Eigen::MatrixXd data = Eigen::MatrixXd::Constant(1, 12, 1e9);
        for (Eigen::Index j = 0; j < 12; ++j) { data(0, j) += apart * static_cast<double>(j); }
        data(0, 0) = -1e9;
        for (const int iterations : {0, 1, 100}) {
            const mixture m = mixture::fit(data, 9, {.iterations = iterations});
            REQUIRE(m.components().size() == 9);
            double sum = 0.0;
            for (const double w : m.weights()) {
                CHECK(w >= 1.0 / 12.01);
                sum += w;
            }
            CHECK_THAT(sum, WithinRel(1.0, tol<double>::exact));
        }
    }
}

TEST_CASE("a mixture refuses what it cannot be", "[analytic][mixture][errors]") {
    const gaussian g = gaussian::isotropic(Eigen::VectorXd::Zero(2), 1.0);
    const gaussian other = gaussian::isotropic(Eigen::VectorXd::Zero(3), 1.0);
    const char* need = "mixture: need at least one component and one weight for each";
    CHECK_THROWS_WITH(mixture({}, {}), need);
    CHECK_THROWS_WITH(mixture({1.0}, {}), need);
    CHECK_THROWS_WITH(mixture({0.5, 0.5}, {g}), need);
    CHECK_THROWS_WITH(mixture({0.5, 0.5}, {g, other}),
                      "mixture: the components must have the same dimension");
    CHECK_THROWS_WITH(mixture({1.5, -0.5}, {g, g}), "mixture: weights must not be negative");
    CHECK_THROWS_WITH(mixture({1.0, not_a_number}, {g, g}), "mixture: weights must not be negative");
    CHECK_THROWS_WITH(mixture({0.5, 0.4}, {g, g}), "mixture: weights must sum to 1");
    CHECK_THROWS_WITH(mixture({infinity, 1.0}, {g, g}), "mixture: weights must sum to 1");
    const mixture m({0.5, 0.5}, {g, g});
    CHECK_THROWS_WITH(m.denoise(Eigen::MatrixXd::Zero(3, 1), {0.0, 1.0, 1.0}),
                      "mixture: a sample must have 2 elements, not 3");
    CHECK_THROWS_WITH(m.log_density(Eigen::MatrixXd::Zero(2, 1), {0.0, not_a_number, 1.0}),
                      "mixture: alpha and sigma must be finite, not negative and not both zero");
    std::vector<float> x(3);
    std::vector<float> out(3);
    CHECK_THROWS_WITH(m(x, level{0.0, 1.0, 1.0}, out),
                      "mixture: x must hold 2 elements per sample; it has 3 in 1 samples");

    Eigen::MatrixXd data = normals(2, 5, 50);
    CHECK_THROWS_WITH(mixture::fit(Eigen::MatrixXd(2, 0), 1),
                      "mixture::fit: need at least one sample of one element");
    CHECK_THROWS_WITH(mixture::fit(data, 0), "mixture::fit: components must lie in [1, number of samples]");
    CHECK_THROWS_WITH(mixture::fit(data, 6), "mixture::fit: components must lie in [1, number of samples]");
    CHECK_THROWS_WITH(mixture::fit(data, 2, {.iterations = -1}),
                      "mixture::fit: iterations must not be negative");
    CHECK_THROWS_WITH(mixture::fit(data, 2, {.each = {.rank = 3}}),
                      "gaussian::fit: rank must lie in [0, dimension]");
    data(1, 1) = not_a_number;
    CHECK_THROWS_WITH(mixture::fit(data, 2), "mixture::fit: the data must be finite");
}
