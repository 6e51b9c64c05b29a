// SPDX-License-Identifier: MIT
#include <tweedie/analytic/gaussian.hpp>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;

static_assert(analytic::exact_denoiser<gaussian>);
static_assert(analytic::cpu_tensor<std::vector<float>> && analytic::cpu_tensor<picture_batch>);
static_assert(!analytic::cpu_tensor<std::vector<int>> && !analytic::cpu_tensor<std::span<double>>);

namespace {

gaussian full(Eigen::Index d, std::uint64_t seed) {
    const Eigen::VectorXd l = normals(d, 1, seed).array().square() + 0.05;
    return {normals(d, 1, seed + 1), covariance_with(l, seed + 2)};
}

gaussian thin(Eigen::Index d, Eigen::Index r, double residual) {
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, 11)).householderQ();
    const Eigen::VectorXd l = normals(r, 1, 12).array().square() + 0.1;
    return gaussian::low_rank(normals(d, 1, 13), q.leftCols(r), l, residual);
}

/// What the probability flow in time, x' = alpha' x0_hat + sigma' eps_hat, does to a centred direction of
/// variance l, by Runge and Kutta's fourth order on steps equal in half-log-SNR.
double integrated(const any_schedule& schedule, double l, double from, double to) {
    const auto slope = [&](double t, double c) {
        const level here = at(schedule, t);
        const double v = here.alpha * here.alpha * l + here.sigma * here.sigma;
        return (schedule.alpha_rate(t) * here.alpha * l + schedule.sigma_rate(t) * here.sigma) / v * c;
    };
    const int steps = 4000;
    const auto time = [&](double i) {
        return schedule.time_at(-std::log(from) - std::log(to / from) * i / steps);
    };
    double c = 1.0;
    double t = time(0.0);
    for (int i = 1; i <= steps; ++i) {
        const double next = time(i);
        const double h = next - t;
        const double k1 = slope(t, c);
        const double k2 = slope(t + 0.5 * h, c + 0.5 * h * k1);
        const double k3 = slope(t + 0.5 * h, c + 0.5 * h * k2);
        const double k4 = slope(next, c + h * k3);
        c += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        t = next;
    }
    return c;
}

/// An orthogonal matrix that mixes all directions, cheap in any dimension: three reflections.
Eigen::MatrixXd reflections(Eigen::Index d) {
    Eigen::MatrixXd out = Eigen::MatrixXd::Identity(d, d);
    for (std::uint64_t k = 0; k < 3; ++k) {
        const Eigen::VectorXd v = normals(d, 1, 60 + k).col(0).normalized();
        out -= 2.0 * (out * v) * v.transpose();
    }
    return out;
}

}  // namespace

TEST_CASE("a Gaussian's denoiser, score and density belong together on every schedule",
          "[analytic][gaussian][identity]") {
    check_exact_denoiser(full(6, 1), 1.0);
    check_exact_denoiser(full(1, 2), 1.0);
    check_exact_denoiser(thin(9, 3, 0.0), 1.0);
    check_exact_denoiser(thin(9, 3, 0.2), 1.0);
    check_exact_denoiser(gaussian::isotropic(normals(5, 1, 3), 0.7), 1.0);
    check_exact_denoiser(gaussian::isotropic(normals(5, 1, 3), 0.0), 1.0);
}

TEST_CASE("the eigenbasis gives what a dense inverse gives", "[analytic][gaussian][identity]") {
    for (const gaussian& g : {full(7, 4), thin(7, 2, 0.3), thin(7, 2, 0.0)}) {
        for (const level& at : levels_of_all_schedules()) {
            CAPTURE(at.alpha, at.sigma, g.rank());
            const Eigen::MatrixXd noisy =
                at.alpha * at.alpha * g.covariance() + at.sigma * at.sigma * Eigen::MatrixXd::Identity(7, 7);
            const Eigen::MatrixXd x = normals(7, 10, 5);
            const Eigen::MatrixXd y = x.colwise() - at.alpha * g.mean();
            const Eigen::LDLT<Eigen::MatrixXd> inverse(noisy);
            const Eigen::MatrixXd solved = inverse.solve(y);
            const double condition =
                1.0 + at.alpha * at.alpha / (at.sigma * at.sigma);  // of `noisy`, up to 5
            CHECK(relative_error(g.score(x, at), -solved) < 1e-14 * 50.0 * condition);
            const Eigen::MatrixXd x0 = (at.alpha * g.covariance() * solved).colwise() + g.mean();
            CHECK(relative_error(g.denoise(x, at), x0) < 1e-14 * 50.0 * condition);
            const double log_det = inverse.vectorD().array().log().sum();
            const Eigen::VectorXd density =
                -0.5 * (y.cwiseProduct(solved).colwise().sum().transpose().array() + log_det +
                        7.0 * std::log(2.0 * std::acos(-1.0)));
            CHECK(relative_error(g.log_density(x, at), density) < 1e-14 * 50.0 * condition);
        }
    }
}

TEST_CASE("low rank with all directions is full rank", "[analytic][gaussian][identity]") {
    const gaussian g = full(8, 6);
    const gaussian h = gaussian::low_rank(g.mean(), g.eigenvectors(), g.eigenvalues(), 123.0);
    const Eigen::MatrixXd x = normals(8, 40, 7);
    for (const level& at : levels_of_all_schedules()) {
        CHECK(g.denoise(x, at) == h.denoise(x, at));
        CHECK(g.score(x, at) == h.score(x, at));
        CHECK(g.log_density(x, at) == h.log_density(x, at));
    }
    CHECK(relative_error(h.covariance(), g.covariance()) < tol<double>::exact);
    // a residual equal to an eigenvalue is that eigenvalue in every other direction
    const Eigen::VectorXd same = Eigen::VectorXd::Constant(8, 0.4);
    const gaussian ball(normals(8, 1, 8), covariance_with(same, 9));
    const gaussian round = gaussian::isotropic(normals(8, 1, 8), 0.4);
    for (const level& at : levels_of_all_schedules()) {
        CHECK(relative_error(ball.denoise(x, at), round.denoise(x, at)) < 1e-13);
        CHECK(relative_error(ball.log_density(x, at), round.log_density(x, at)) < 1e-13);
    }
    CHECK(round.rank() == 0);
    CHECK(relative_error(round.covariance(), 0.4 * Eigen::MatrixXd::Identity(8, 8)) < tol<double>::exact);
}

TEST_CASE("a Gaussian's density integrates to one", "[analytic][gaussian][exact]") {
    const gaussian g = full(1, 20);
    for (const level& at : levels_of_all_schedules()) {
        const double width = std::sqrt(g.noisy_variances(at)(0));
        const Eigen::Index n = 2001;
        const Eigen::MatrixXd x = Eigen::RowVectorXd::LinSpaced(n, at.alpha * g.mean()(0) - 12.0 * width,
                                                                at.alpha * g.mean()(0) + 12.0 * width);
        const double step = 24.0 * width / static_cast<double>(n - 1);
        CHECK_THAT(g.log_density(x, at).array().exp().sum() * step, WithinRel(1.0, 1e-12));
    }
}

TEST_CASE("a Gaussian is exact at both ends", "[analytic][gaussian][exact]") {
    const gaussian g = full(4, 21);
    const gaussian flat = thin(4, 2, 0.0);
    const Eigen::MatrixXd x = normals(4, 5, 22);
    const level clean{0.0, 0.8, 0.0};
    const level pure{1.0, 0.0, 2.0};
    CHECK(g.denoise(x, clean) == x / 0.8);
    CHECK(flat.denoise(x, clean) == x / 0.8);
    CHECK(g.denoise(x, pure) == g.mean().replicate(1, 5));
    CHECK(relative_error(g.score(x, pure), -x / 4.0) < tol<double>::exact);
    CHECK(relative_error(flat.score(x, pure), -x / 4.0) < tol<double>::exact);
    const level nearly{0.0, 0.8, 1e-9};
    CHECK(relative_error(g.score(x, clean), g.score(x, nearly)) < tol<double>::exact);
    const char* singular = "gaussian: at sigma = 0 a singular covariance has no density and no score";
    CHECK_THROWS_WITH(flat.score(x, clean), singular);
    CHECK_THROWS_WITH(flat.log_density(x, clean), singular);
    CHECK_THROWS_WITH(flat.flow(x, clean, pure),
                      "gaussian::flow: from sigma = 0 needs a covariance of full rank");
}

TEST_CASE("the flow of a Gaussian composes and maps its laws onto each other",
          "[analytic][gaussian][identity]") {
    const schedule::vp_linear vp;
    for (const gaussian& g : {full(6, 23), thin(6, 2, 0.0), thin(6, 2, 0.4)}) {
        const level a = at(vp, 1.0);
        const level b = at(vp, 0.4);
        const level c = at(vp, 0.01);
        const Eigen::MatrixXd x = a.sigma * normals(6, 20, 24);
        const Eigen::MatrixXd direct = g.flow(x, a, c);
        CHECK(relative_error(g.flow(g.flow(x, a, b), b, c), direct) < 1e-14 * 10.0);
        CHECK(relative_error(g.flow(direct, c, a), x) < 1e-14 * 1e3);  // noise is 100 times smaller at c
        CHECK(relative_error(g.flow(x, a, a), x) < tol<double>::exact);
        // the density is carried along: ln p_c(flow(x)) + ln |det| = ln p_a(x)
        double log_det = 0.5 * (g.noisy_variances(c).array() / g.noisy_variances(a).array()).log().sum();
        if (g.rank() < 6) {
            log_det +=
                0.5 * static_cast<double>(6 - g.rank()) * std::log(g.noisy_residual(c) / g.noisy_residual(a));
        }
        const Eigen::VectorXd carried = g.log_density(direct, c).array() + log_det;
        CHECK(relative_error(carried, g.log_density(x, a)) < 1e-12);
    }
    // to the clean end and from pure noise
    const gaussian g = full(6, 23);
    const Eigen::MatrixXd x = normals(6, 20, 24);
    const Eigen::MatrixXd ends = g.flow(x, {1.0, 0.0, 1.0}, {0.0, 1.0, 0.0});
    const Eigen::MatrixXd root =
        g.eigenvectors() * g.eigenvalues().cwiseSqrt().asDiagonal() * g.eigenvectors().transpose();
    CHECK(relative_error(ends, (root * x).colwise() + g.mean()) < 1e-13);
}

TEST_CASE("the flow from 80 to 0.002 is that of every direction, in any dimension and rank, on any schedule",
          "[analytic][gaussian][exact]") {
    const std::vector<double> variances{4.0, 1.0, 0.05};
    const double from = 80.0;
    const double to = 0.002;
    for (const any_schedule& schedule :
         {any_schedule(schedule::edm{}), any_schedule(schedule::ve({.sigma_max = 80.0})),
          any_schedule(schedule::vp_linear{}), any_schedule(schedule::flow{})}) {
        const level start = at_half_log_snr(schedule, -std::log(from));
        const level end = at_half_log_snr(schedule, -std::log(to));
        std::vector<double> factors;
        for (const double l : variances) { factors.push_back(integrated(schedule, l, from, to)); }
        const double outside = integrated(schedule, 0.3, from, to);
        const double dropped = integrated(schedule, 0.0, from, to);
        for (const Eigen::Index d : {1, 3, 50, 784}) {
            const Eigen::MatrixXd q = reflections(d);
            const Eigen::VectorXd mean = normals(d, 1, 70);
            const Eigen::MatrixXd x = start.sigma * normals(d, 4, 71);
            const Eigen::MatrixXd c = q.transpose() * (x.colwise() - start.alpha * mean);
            for (const Eigen::Index rank : {Eigen::Index{0}, std::min<Eigen::Index>(d, 2), d / 2, d}) {
                for (const double residual : {0.3, 0.0}) {
                    CAPTURE(d, rank, residual, start.alpha);
                    Eigen::VectorXd l(rank);
                    Eigen::VectorXd gains = Eigen::VectorXd::Constant(d, residual == 0.0 ? dropped : outside);
                    for (Eigen::Index k = 0; k < rank; ++k) {
                        l(k) = variances[static_cast<std::size_t>(k % 3)];
                        gains(k) = factors[static_cast<std::size_t>(k % 3)];
                    }
                    const gaussian g = gaussian::low_rank(mean, q.leftCols(rank), l, residual);
                    const Eigen::MatrixXd expected =
                        (q * (gains.asDiagonal() * c)).colwise() + end.alpha * mean;
                    CHECK((g.flow(x, start, end) - expected).cwiseAbs().maxCoeff() < 1e-9);
                }
            }
        }
    }
}

TEST_CASE("the flow is what the network's own field integrates to", "[analytic][gaussian][exact]") {
    // dy/ds = (y - x0_hat) / s with y = x / alpha and s = sigma / alpha, on steps equal in ln s
    for (const gaussian& g :
         {full(3, 25), gaussian::low_rank(normals(3, 1, 26), Eigen::MatrixXd::Identity(3, 1),
                                          Eigen::VectorXd::Constant(1, 2.0), 0.2)}) {
        Eigen::MatrixXd y = 80.0 * normals(3, 2, 27);
        const Eigen::MatrixXd direct = g.flow(y, {80.0, 1.0, 80.0}, {0.002, 1.0, 0.002});
        const int steps = 3000;
        const double h = std::log(0.002 / 80.0) / steps;
        const auto field = [&](const Eigen::MatrixXd& at_y, double i) -> Eigen::MatrixXd {
            const double s = 80.0 * std::exp(h * i);
            return at_y - g.denoise(at_y, {s, 1.0, s});
        };
        for (int i = 0; i < steps; ++i) {
            const Eigen::MatrixXd k1 = field(y, i);
            const Eigen::MatrixXd k2 = field(y + 0.5 * h * k1, i + 0.5);
            const Eigen::MatrixXd k3 = field(y + 0.5 * h * k2, i + 0.5);
            const Eigen::MatrixXd k4 = field(y + h * k3, i + 1.0);
            y += h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4);
        }
        CHECK((direct - y).cwiseAbs().maxCoeff() < 1e-9);
    }
}

TEST_CASE("the part outside the subspace is scaled, not dropped", "[analytic][gaussian][exact]") {
    const gaussian g = gaussian::low_rank(Eigen::VectorXd::Zero(2), Eigen::MatrixXd::Identity(2, 1),
                                          Eigen::VectorXd::Ones(1));
    const Eigen::MatrixXd x = Eigen::Vector2d(80.0, 80.0);
    const Eigen::MatrixXd end = g.flow(x, {80.0, 1.0, 80.0}, {0.002, 1.0, 0.002});
    CHECK_THAT(end(0), WithinRel(80.0 * std::sqrt((1.0 + 4e-6) / 6401.0), tol<double>::exact));
    CHECK_THAT(end(1), WithinRel(0.002, tol<double>::exact));
}

TEST_CASE("fit recovers the moments of the data", "[analytic][gaussian][fit]") {
    const Eigen::MatrixXd data =
        (covariance_with(Eigen::Vector4d(4.0, 2.0, 1.0, 0.1), 30) * normals(4, 500, 31)).colwise() +
        Eigen::Vector4d(1.0, -2.0, 3.0, 0.5);
    const Eigen::VectorXd mean = data.rowwise().mean();
    const Eigen::MatrixXd centred = data.colwise() - mean;
    const Eigen::MatrixXd covariance = centred * centred.transpose() / 500.0;
    const gaussian g = gaussian::fit(data);
    CHECK(relative_error(g.mean(), mean) < tol<double>::exact);
    CHECK(relative_error(g.covariance(), covariance) < 1e-13);
    const gaussian unbiased = gaussian::fit(data, {.divide_by = analytic::divisor::samples_minus_one});
    CHECK(relative_error(unbiased.covariance(), covariance * (500.0 / 499.0)) < 1e-13);
    const gaussian wider = gaussian::fit(data, {.added_variance = 0.25});
    CHECK(relative_error(wider.covariance(), covariance + 0.25 * Eigen::MatrixXd::Identity(4, 4)) < 1e-13);

    const gaussian two = gaussian::fit(data, {.rank = 2});
    CHECK(two.rank() == 2);
    CHECK_THAT(two.covariance().trace(), WithinRel(covariance.trace(), 1e-13));
    CHECK_THAT(two.residual(), WithinRel(g.eigenvalues().tail(2).mean(), 1e-13));
    const gaussian dropped = gaussian::fit(data, {.rank = 2, .remainder = analytic::left_out::dropped});
    CHECK(dropped.residual() == 0.0);
    CHECK_THAT(dropped.covariance().trace(), WithinRel(g.eigenvalues().head(2).sum(), 1e-13));
    // rank 0 is the isotropic model: one variance, tr(Sigma) / d
    const gaussian none = gaussian::fit(data, {.rank = 0});
    CHECK(none.rank() == 0);
    CHECK_THAT(none.residual(), WithinRel(covariance.trace() / 4.0, 1e-13));
    const gaussian round = gaussian::isotropic(mean, covariance.trace() / 4.0);
    CHECK(relative_error(none.denoise(data, {1.0, 0.8, 1.0}), round.denoise(data, {1.0, 0.8, 1.0})) < 1e-13);
}

TEST_CASE("fewer samples than dimensions fit without a large matrix", "[analytic][gaussian][fit]") {
    Eigen::MatrixXd data = normals(40, 9, 32);
    data.row(0) *= 1e3;
    data.row(1) *= 1e-3;
    const gaussian g = gaussian::fit(data);
    CHECK(g.rank() == 8);
    const Eigen::MatrixXd gram = g.eigenvectors().transpose() * g.eigenvectors();
    CHECK((gram - Eigen::MatrixXd::Identity(8, 8)).cwiseAbs().maxCoeff() < 1e-14);
    const Eigen::MatrixXd centred = data.colwise() - data.rowwise().mean();
    CHECK(relative_error(g.covariance(), centred * centred.transpose() / 9.0) < 1e-12);
    // one sample, and equal samples, have no variance but the one that is added
    for (const Eigen::Index n : {1, 3}) {
        const Eigen::MatrixXd same = normals(40, 1, 33).replicate(1, n);
        const gaussian point = gaussian::fit(same, {.added_variance = 0.01});
        CHECK(relative_error(point.mean(), same.col(0)) < tol<double>::exact);
        CHECK(relative_error(point.covariance(), 0.01 * Eigen::MatrixXd::Identity(40, 40)) < 1e-12);
    }
}

TEST_CASE("weights count samples more than once", "[analytic][gaussian][fit]") {
    // 3 dimensions: through the large matrix; 30: through the small one
    for (const Eigen::Index d : {3, 30}) {
        CAPTURE(d);
        const Eigen::MatrixXd data = normals(d, 12, 34);
        Eigen::VectorXd weights(12);
        weights << 1, 2, 0, 3, 1, 1, 0, 2, 1, 4, 1, 1;
        Eigen::MatrixXd repeated(d, 17);
        Eigen::Index next = 0;
        for (Eigen::Index j = 0; j < 12; ++j) {
            for (double k = 0.0; k < weights(j); k += 1.0) { repeated.col(next++) = data.col(j); }
        }
        REQUIRE(next == 17);
        for (const analytic::gaussian_fit_options& options : {analytic::gaussian_fit_options{},
                                                              {.rank = 2},
                                                              {.added_variance = 0.2},
                                                              {.least_variance = 0.3}}) {
            const gaussian weighted = gaussian::fit_weighted(data, 0.7 * weights, options);
            const gaussian expected = gaussian::fit(repeated, options);
            CHECK(relative_error(weighted.mean(), expected.mean()) < 1e-13);
            CHECK(relative_error(weighted.covariance(), expected.covariance()) < 1e-12);
        }
    }
    const Eigen::MatrixXd data = normals(3, 4, 35);
    const gaussian one =
        gaussian::fit_weighted(data, Eigen::Vector4d(0.0, 0.0, 2.0, 0.0), {.least_variance = 0.1});
    CHECK(relative_error(one.mean(), data.col(2)) < tol<double>::exact);
    CHECK(relative_error(one.covariance(), 0.1 * Eigen::Matrix3d::Identity()) < tol<double>::exact);
    const char* rule = "gaussian::fit_weighted: need one weight for each sample, >= 0 and not all 0";
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector3d::Ones()), rule);
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector4d::Zero()), rule);
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector4d(1.0, -0.1, 1.0, 1.0)), rule);
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector4d(1.0, not_a_number, 1.0, 1.0)), rule);
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector4d(1.0, infinity, 1.0, 1.0)), rule);
    CHECK_THROWS_WITH(gaussian::fit_weighted(data, Eigen::Vector4d::Ones(),
                                             {.divide_by = analytic::divisor::samples_minus_one}),
                      "gaussian::fit_weighted: divide_by must be divisor::samples");
}

TEST_CASE("the least variance is a floor under every direction", "[analytic][gaussian][fit]") {
    const Eigen::MatrixXd data =
        covariance_with(Eigen::Vector4d(2.0, 1.0, 0.3, 0.1), 36) * normals(4, 300, 37);
    const gaussian free = gaussian::fit(data);
    const gaussian raised = gaussian::fit(data, {.least_variance = 0.5});
    CHECK(relative_error(raised.eigenvalues(), free.eigenvalues().cwiseMax(0.5)) < tol<double>::exact);
    const gaussian low =
        gaussian::fit(data, {.rank = 1, .remainder = analytic::left_out::dropped, .least_variance = 0.5});
    CHECK(low.residual() == 0.5);
    CHECK(low.eigenvalues()(0) == free.eigenvalues()(0));
    // a floor below everything changes nothing
    CHECK(gaussian::fit(data, {.least_variance = 1e-6}).eigenvalues() == free.eigenvalues());
}

TEST_CASE("a network call takes a batch of any contiguous tensor", "[analytic][gaussian][tensor]") {
    const gaussian g = full(6, 40);
    const level here{0.5, 0.7, 0.4};
    const Eigen::MatrixXf x = normals(6, 50, 41).cast<float>();
    picture_batch in{{x.data(), x.data() + x.size()}, 50};
    picture_batch out = in;
    g(in, here, out);
    const Eigen::MatrixXd expected = g.denoise(x.cast<double>(), here);
    const Eigen::Map<const Eigen::MatrixXf> written(out.pixels.data(), 6, 50);
    CHECK(written == expected.cast<float>());

    in.samples = 25;
    out.samples = 25;
    CHECK_THROWS_WITH(g(in, here, out),
                      "gaussian: x must hold 6 elements per sample; it has 300 in 25 samples");
    in.samples = 50;
    CHECK_THROWS_WITH(g(in, here, out), "gaussian: out must have the shape of x");
}

TEST_CASE("a Gaussian refuses what it cannot be", "[analytic][gaussian][errors]") {
    const Eigen::VectorXd mean = Eigen::Vector2d(0.0, 1.0);
    const Eigen::MatrixXd good = Eigen::MatrixXd::Identity(2, 2);
    Eigen::MatrixXd bad = good;
    CHECK_THROWS_WITH(gaussian(Eigen::VectorXd(), good), "gaussian: the mean must have at least one element");
    CHECK_THROWS_WITH(gaussian(Eigen::Vector2d(0.0, not_a_number), good),
                      "gaussian: the mean must be finite");
    CHECK_THROWS_WITH(gaussian(mean, Eigen::MatrixXd::Identity(3, 3)),
                      "gaussian: the covariance must be d x d for a mean of d elements");
    bad(0, 1) = not_a_number;
    CHECK_THROWS_WITH(gaussian(mean, bad), "gaussian: the covariance must be finite");
    bad(0, 1) = 0.5;
    CHECK_THROWS_WITH(gaussian(mean, bad), "gaussian: the covariance must be symmetric");
    bad = good;
    bad(1, 1) = -0.01;
    CHECK_THROWS_WITH(gaussian(mean, bad), "gaussian: the covariance must not have a negative eigenvalue");
    bad(1, 1) = -1e-9;  // rounding
    CHECK(gaussian(mean, bad).eigenvalues() == Eigen::Vector2d(1.0, 0.0));
    CHECK_FALSE(gaussian(mean, bad).full_rank());
    CHECK(gaussian(mean, Eigen::MatrixXd::Zero(2, 2)).eigenvalues().isZero());

    CHECK_THROWS_WITH(gaussian::isotropic(mean, -1.0),
                      "gaussian: a variance must be finite and not negative");
    CHECK_THROWS_WITH(gaussian::isotropic(mean, not_a_number),
                      "gaussian: a variance must be finite and not negative");
    CHECK_THROWS_WITH(gaussian::low_rank(mean, good, Eigen::VectorXd::Ones(1)),
                      "gaussian::low_rank: need d x r eigenvectors and r eigenvalues, r <= d");
    CHECK_THROWS_WITH(gaussian::low_rank(mean, 2.0 * good, Eigen::VectorXd::Ones(2)),
                      "gaussian::low_rank: the eigenvectors must be orthonormal");
    CHECK_THROWS_WITH(gaussian::low_rank(mean, not_a_number * good, Eigen::VectorXd::Ones(2)),
                      "gaussian::low_rank: the eigenvectors must be finite");
    CHECK_THROWS_WITH(gaussian::low_rank(mean, good, Eigen::Vector2d(1.0, -0.5)),
                      "gaussian: the covariance must not have a negative eigenvalue");
    CHECK_THROWS_WITH(gaussian::low_rank(mean, good, Eigen::Vector2d(1.0, infinity)),
                      "gaussian: the eigenvalues must be finite");

    const gaussian g(mean, good);
    const char* level_rule = "gaussian: alpha and sigma must be finite, not negative and not both zero";
    const Eigen::MatrixXd x = Eigen::MatrixXd::Zero(2, 1);
    CHECK_THROWS_WITH(g.denoise(x, {0.0, 0.0, 0.0}), level_rule);
    CHECK_THROWS_WITH(g.denoise(x, {0.0, 1.0, -1.0}), level_rule);
    CHECK_THROWS_WITH(g.denoise(x, {0.0, not_a_number, 1.0}), level_rule);
    CHECK_THROWS_WITH(g.score(x, {0.0, 1.0, infinity}), level_rule);
    CHECK_THROWS_WITH(g.denoise(Eigen::MatrixXd::Zero(3, 1), {0.0, 1.0, 1.0}),
                      "gaussian: a sample must have 2 elements, not 3");

    Eigen::MatrixXd data = normals(2, 5, 50);
    CHECK_THROWS_WITH(gaussian::fit(Eigen::MatrixXd(2, 0)),
                      "gaussian::fit: need at least one sample of one element");
    CHECK_THROWS_WITH(gaussian::fit(data, {.rank = 3}), "gaussian::fit: rank must lie in [0, dimension]");
    CHECK_THROWS_WITH(gaussian::fit(data, {.added_variance = -1.0}),
                      "gaussian::fit: added_variance must be finite and not negative");
    CHECK_THROWS_WITH(gaussian::fit(data, {.least_variance = not_a_number}),
                      "gaussian::fit: least_variance must be finite and not negative");
    data(0, 0) = not_a_number;
    CHECK_THROWS_WITH(gaussian::fit(data), "gaussian::fit: the data must be finite");
    for (const Eigen::Index samples : {3, 9}) {  // from the small matrix, and from the large one
        CHECK_THROWS_WITH(gaussian::fit(1e200 * normals(4, samples, 20)),
                          "gaussian::fit: the covariance must be finite");
    }
}
