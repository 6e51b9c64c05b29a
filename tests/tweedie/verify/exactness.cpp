// SPDX-License-Identifier: MIT
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/verify/exactness.hpp>

#include "problem.hpp"

using namespace tweedie;
using analytic::gaussian;

static_assert(verify::data_prediction<gaussian> && verify::data_prediction<analytic::mixture>);
static_assert(!verify::data_prediction<double>);

namespace {

/// Six directions from wide to flat, in a turned frame.
gaussian ellipsoid(double residual) {
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(6, 6, 1)).householderQ();
    const Eigen::VectorXd l = Eigen::Vector4d(9.0, 1.0, 0.04, 1e-4);
    return gaussian::low_rank(normals(6, 1, 2), q.leftCols(4), l, residual);
}

template <class Schedule>
void check_flow(const Schedule& schedule, double sigma_max, double sigma_min) {
    const level noisy = at_half_log_snr(schedule, -std::log(sigma_max));
    const level clean = at_half_log_snr(schedule, -std::log(sigma_min));
    for (const double residual : {0.0, 0.3}) {
        const gaussian g = ellipsoid(residual);
        const Eigen::MatrixXd x = noisy.sigma * normals(6, 12, 3);
        const auto end = verify::reference_flow(g, schedule, noisy, clean, x);
        REQUIRE(end.status == verify::flow_status::reached);
        CHECK(verify::max_error(end.x, g.flow(x, noisy, clean)) < 1e-11);
        CHECK(end.error < 1e-11);
        CHECK(end.evaluations < 4000);
    }
}

}  // namespace

TEST_CASE("reference_flow is the closed form of a Gaussian on every schedule", "[verify][exactness][exact]") {
    check_flow(schedule::edm{}, 80.0, 0.002);
    check_flow(schedule::ve{}, 50.0, 0.01);
    check_flow(schedule::vp_linear{}, 100.0, 0.01);
    check_flow(schedule::vp_cosine{}, 100.0, 0.02);
    check_flow(schedule::flow{}, 200.0, 0.001);
    check_flow(schedule::flow({.time = schedule::flow_time::data_at_one}), 200.0, 0.001);
    check_flow(schedule::trig{}, 200.0, 0.001);
    check_flow(schedule::discrete::linear(), 100.0, 0.02);
}

TEST_CASE("reference_flow has the recorded ends of a mixture", "[verify][exactness][reference]") {
    const auto recorded = reference("core_golden.json");
    const Eigen::MatrixXd starts = as_columns(recorded["problem"]["xT"]);
    const Eigen::MatrixXd ends = as_columns(recorded["reference_rk4_20000"]);
    const schedule::edm edm;
    const auto end = verify::reference_flow(golden_mixture(), edm, at(edm, 80.0), at(edm, 0.002), starts);
    REQUIRE(end);
    CHECK(verify::max_error(end.x, ends) < 1e-11);
    // the same flow told on another schedule, by a callable
    const analytic::mixture m = golden_mixture();
    const auto denoise = [&](const Eigen::MatrixXd& x, const level& at) { return m.denoise(x, at); };
    const schedule::vp_linear vp;
    const level noisy = at_half_log_snr(vp, -std::log(80.0));
    const level clean = at_half_log_snr(vp, -std::log(0.002));
    const auto other = verify::reference_flow(denoise, vp, noisy, clean, noisy.alpha * starts);
    REQUIRE(other);
    CHECK(verify::max_error(other.x / clean.alpha, ends) < 1e-11);
}

TEST_CASE("reference_flow is exact from pure noise and to the clean end", "[verify][exactness][exact]") {
    const schedule::flow flow;
    const schedule::discrete zero_terminal =
        schedule::discrete::from_alphas_bar(std::vector<double>{0.99, 0.5, 0.1, 0.0});
    for (const double residual : {0.0, 0.3}) {
        const gaussian g = ellipsoid(residual);
        const Eigen::MatrixXd x = normals(6, 12, 4);
        const auto end = verify::reference_flow(g, flow, at(flow, 1.0), at(flow, 0.0), x);
        REQUIRE(end);
        // the last step is x0_hat at sigma / alpha = 1e-6: its square over the variance is 1e-8, times 0.01
        CHECK(verify::max_error(end.x, g.flow(x, at(flow, 1.0), at(flow, 0.0))) < 1e-9);
        const level pure = at(zero_terminal, 3.0);
        const level last = at(zero_terminal, 0.0);
        const auto other = verify::reference_flow(g, zero_terminal, pure, last, x);
        REQUIRE(other);
        CHECK(verify::max_error(other.x, g.flow(x, pure, last)) < 1e-11);
    }
    // point masses: x0_hat is the point
    const gaussian point = gaussian::isotropic(normals(6, 1, 5), 0.0);
    const auto end = verify::reference_flow(point, flow, at(flow, 1.0), at(flow, 0.0), normals(6, 3, 6));
    REQUIRE(end);
    CHECK(verify::max_error(end.x, point.mean().replicate(1, 3)) < 1e-14 * 10);
}

TEST_CASE("reference_flow runs both ways and composes", "[verify][exactness][identity]") {
    const schedule::vp_linear vp;
    const analytic::mixture m = golden_mixture();
    const level a = at(vp, 1.0);
    const level b = at(vp, 0.3);
    const level c = at(vp, 0.05);
    const Eigen::MatrixXd x = normals(2, 10, 7);
    const auto direct = verify::reference_flow(m, vp, a, c, x);
    const auto half = verify::reference_flow(m, vp, a, b, x);
    const auto rest = verify::reference_flow(m, vp, b, c, half.x);
    CHECK(verify::max_error(rest.x, direct.x) < 1e-10);
    const auto back = verify::reference_flow(m, vp, c, a, direct.x);
    REQUIRE(back);
    CHECK(verify::median_rms(back.x, x) <
          1e-8);  // the way back magnifies: 10 samples, none of them at a separatrix
    const auto nowhere = verify::reference_flow(m, vp, b, b, x);
    CHECK(nowhere.evaluations <= 1);
    CHECK(verify::max_error(nowhere.x, x) < 1e-15 * 10);
}

TEST_CASE("reference_flow says when it cannot", "[verify][exactness][errors]") {
    const schedule::edm edm;
    const level noisy = at(edm, 10.0);
    const level clean = at(edm, 0.1);
    const Eigen::MatrixXd x = normals(2, 3, 8);
    const auto broken = [](const Eigen::MatrixXd& y, const level& at) -> Eigen::MatrixXd {
        return at.sigma < 1.0 ? Eigen::MatrixXd(not_a_number * y) : Eigen::MatrixXd(0.0 * y);
    };
    const auto nan = verify::reference_flow(broken, edm, noisy, clean, x);
    CHECK(nan.status == verify::flow_status::non_finite);
    CHECK_FALSE(nan);
    const auto jumps = [](const Eigen::MatrixXd& y, const level& at) -> Eigen::MatrixXd {
        return Eigen::MatrixXd::Constant(y.rows(), y.cols(), at.sigma < 1.0 ? 5.0 : 0.0);
    };
    CHECK(verify::reference_flow(jumps, edm, noisy, clean, x, {.tolerance = 1e-14}).status ==
          verify::flow_status::not_smooth);
    CHECK(std::string(to_string(verify::flow_status::not_smooth)).find("not_smooth") == 0);

    const gaussian g = gaussian::isotropic(Eigen::VectorXd::Zero(2), 1.0);
    CHECK_THROWS_WITH(verify::reference_flow(g, edm, at(edm, 0.0), clean, x),
                      "reference_flow: the start must have sigma > 0");
    CHECK_THROWS_WITH(verify::reference_flow(g, edm, {1.0, 1.0, not_a_number}, clean, x),
                      "reference_flow: the start must have sigma > 0");
    CHECK_THROWS_WITH(verify::reference_flow(g, edm, noisy, {1.0, 0.0, 1.0}, x),
                      "reference_flow: the end must have alpha > 0");
    CHECK_THROWS_WITH(verify::reference_flow(g, edm, noisy, clean, x, {.tolerance = 0.0}),
                      "reference_flow: tolerance must lie in [1e-15, 1)");
    CHECK_THROWS_WITH(verify::reference_flow(g, edm, noisy, clean, x, {.last_sigma = not_a_number}),
                      "reference_flow: last_sigma must be positive and finite");
}

TEST_CASE("max_error and median_rms are what they say", "[verify][exactness][exact]") {
    Eigen::MatrixXd a = Eigen::MatrixXd::Zero(2, 3);
    Eigen::MatrixXd b = a;
    b.col(0) << 3.0, 4.0;
    b.col(1) << 1.0, 1.0;
    b.col(2) << 0.0, -6.0;
    CHECK(verify::max_error(a, b) == 6.0);
    CHECK_THAT(verify::median_rms(a, b), WithinRel(std::sqrt(12.5), tol<double>::exact));
    CHECK_THAT(verify::median_rms(a.leftCols(2), b.leftCols(2)),
               WithinRel(0.5 * (1.0 + std::sqrt(12.5)), tol<double>::exact));
    b(0, 0) = not_a_number;
    CHECK(verify::max_error(a, b) == infinity);
    CHECK_THAT(verify::median_rms(a, b), WithinRel(std::sqrt(18.0), tol<double>::exact));
    CHECK_THROWS_WITH(verify::max_error(a, b.leftCols(2)),
                      "max_error: need two sets of samples of the same shape");
    CHECK_THROWS_WITH(verify::median_rms(Eigen::MatrixXd(2, 0), Eigen::MatrixXd(2, 0)),
                      "median_rms: need two sets of samples of the same shape");
}
