// SPDX-License-Identifier: MIT
#include <tweedie/tune/least_squares.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>

#include <cmath>

using tweedie::detail::least_squares;

TEST_CASE("least_squares finds the end of Rosenbrock's valley", "[tune][least_squares][exact]") {
    const auto residuals = [](const Eigen::VectorXd& x) -> Eigen::VectorXd {
        return Eigen::Vector2d(10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]);
    };
    const auto found = least_squares(residuals, Eigen::Vector2d(-1.2, 1.0), 200);
    // differences of 1e-5 leave the step, not the residual, inexact
    CHECK_THAT(found.x[0], WithinAbs(1.0, 1e-6));
    CHECK_THAT(found.x[1], WithinAbs(1.0, 1e-6));
    CHECK(found.cost < 1e-12);
}

TEST_CASE("least_squares finds a minimum where something is left", "[tune][least_squares][exact]") {
    // x^2 + (x - 1)^2 + (sin x)^2, whose derivative vanishes at 0.33929...
    const auto residuals = [](const Eigen::VectorXd& x) -> Eigen::VectorXd {
        return Eigen::Vector3d(x[0], x[0] - 1.0, std::sin(x[0]));
    };
    const auto found = least_squares(residuals, Eigen::VectorXd::Constant(1, 3.0), 100);
    // a gain below 1e-7 of the sum ends it: half the root of that away at most
    const double x = found.x[0];
    CHECK_THAT(4.0 * x - 2.0 + std::sin(2.0 * x), WithinAbs(0.0, 2e-3));
}

TEST_CASE("least_squares never makes the sum larger, and takes no step to what is not finite",
          "[tune][least_squares][exact]") {
    const auto residuals = [](const Eigen::VectorXd& x) -> Eigen::VectorXd {
        return Eigen::VectorXd::Constant(1, std::sqrt(x[0] - 0.5) + 1.0);  // NaN below 1/2
    };
    double before = residuals(Eigen::VectorXd::Constant(1, 4.0)).squaredNorm();
    for (const int rounds : {0, 1, 2, 5, 20}) {
        const auto found = least_squares(residuals, Eigen::VectorXd::Constant(1, 4.0), rounds);
        CHECK(found.cost <= before);
        CHECK(found.x[0] >= 0.5);
        before = found.cost;
    }
    const auto nowhere = least_squares(residuals, Eigen::VectorXd::Constant(1, 0.0), 5);
    CHECK(std::isnan(nowhere.cost));
}

TEST_CASE("least_squares of nothing to choose is the start", "[tune][least_squares][exact]") {
    const auto residuals = [](const Eigen::VectorXd&) -> Eigen::VectorXd {
        return Eigen::Vector2d(3.0, 4.0);
    };
    const auto found = least_squares(residuals, Eigen::VectorXd(0), 10);
    CHECK(found.x.size() == 0);
    CHECK(found.cost == 25.0);
}
