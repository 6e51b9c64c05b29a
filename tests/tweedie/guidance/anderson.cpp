// SPDX-License-Identifier: MIT

#include <tweedie/guidance/anderson.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>

#include <Eigen/Core>
#include <Eigen/LU>
#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace tweedie;
using guidance::anderson;
using guidance::anderson_options;

namespace {

/// G(x) = A x + b on each column, a contraction of spectral radius below 1 with distinct eigenvalues.
struct affine_map {
    Eigen::MatrixXd a;
    Eigen::VectorXd b;

    explicit affine_map(Eigen::Index n) : a(n, n), b(n) {
        for (Eigen::Index i = 0; i < n; ++i) {
            b[i] = std::cos(1.0 + static_cast<double>(i));
            for (Eigen::Index j = 0; j < n; ++j) {
                a(i, j) = i == j ? 0.95 - 0.12 * static_cast<double>(i)
                                 : 0.03 * std::sin(static_cast<double>(3 * i + j));
            }
        }
    }
    [[nodiscard]] Eigen::MatrixXd operator()(const Eigen::MatrixXd& x) const {
        Eigen::MatrixXd out = a * x;
        out.colwise() += b;
        return out;
    }
    [[nodiscard]] Eigen::VectorXd fixed_point() const {
        return (Eigen::MatrixXd::Identity(a.rows(), a.rows()) - a).partialPivLu().solve(b);
    }
};

}  // namespace

TEST_CASE("anderson of window n solves an affine map of n dimensions by n + 1 evaluations",
          "[guidance][anderson][exact]") {
    for (const Eigen::Index n : {1, 2, 4}) {
        const affine_map g(n);
        Eigen::MatrixXd x = Eigen::MatrixXd::Constant(n, 3, 1.0);
        x.col(1).setLinSpaced(n, -2.0, 5.0);
        x.col(2) *= -30.0;
        anderson<Eigen::MatrixXd> mix(x, {.window = static_cast<std::size_t>(n), .ridge = 0.0});
        for (Eigen::Index k = 0; k <= n; ++k) { mix.step(x, g(x)); }
        // The normal equations square the condition of the differences, about 1e4 here.
        for (Eigen::Index c = 0; c < 3; ++c) { CHECK((x.col(c) - g.fixed_point()).norm() < 1e-7); }
    }
}

TEST_CASE("anderson of window 0 is the plain iteration, damped", "[guidance][anderson][identity]") {
    const affine_map g(3);
    Eigen::MatrixXd x = Eigen::MatrixXd::Constant(3, 2, 0.5);
    Eigen::MatrixXd plain = x;
    anderson<Eigen::MatrixXd> mix(x, {.window = 0, .damping = 0.7});
    for (int k = 0; k < 6; ++k) {
        mix.step(x, g(x));
        plain += 0.7 * (g(plain) - plain);
        CHECK((x - plain).norm() < 1e-15);
    }
}

TEST_CASE("anderson's first step is plain, and so is the first one after a reset",
          "[guidance][anderson][identity]") {
    const affine_map g(2);
    Eigen::MatrixXd x = Eigen::MatrixXd::Constant(2, 1, 3.0);
    anderson<Eigen::MatrixXd> mix(x, {.window = 2});
    for (int k = 0; k < 4; ++k) {
        if (k == 2) { mix.reset(); }
        const Eigen::MatrixXd image = g(x);
        mix.step(x, image);
        if (k == 0 || k == 2) { CHECK((x - image).norm() < 1e-15); }
        if (k == 1) { CHECK((x - image).norm() > 1e-3); }
    }
}

TEST_CASE("anderson's result scales with the residual, and a sample does not see its neighbours",
          "[guidance][anderson][identity]") {
    const affine_map g(3);
    const Eigen::VectorXd centre = g.fixed_point();
    Eigen::MatrixXd both(3, 2);
    both.col(0) << 1.0, -2.0, 0.5;
    Eigen::MatrixXd small = 1e-6 * both.leftCols(1);
    both.col(1) << 40.0, 3.0, -7.0;
    // Around the fixed point the map is linear: x - centre -> A (x - centre).
    anderson<Eigen::MatrixXd> mix_both(both, {.window = 2});
    anderson<Eigen::MatrixXd> mix_small(small, {.window = 2});
    for (int k = 0; k < 4; ++k) {
        mix_both.step(both, g.a * both);
        mix_small.step(small, g.a * small);
    }
    CHECK((1e6 * small - both.leftCols(1)).norm() < 1e-9 * both.col(0).norm() + 1e-15);
}

TEST_CASE("anderson's trust bounds how far it extrapolates", "[guidance][anderson][exact]") {
    // x -> 0.999 x + 0.001: two evaluations from 0 land at the fixed point 1 with gamma = -999.
    const auto g = [](double x) { return 0.999 * x + 0.001; };
    std::vector<double> free = {0.0};
    std::vector<double> bound = {0.0};
    anderson<std::vector<double>> mix_free(free, {.ridge = 0.0});
    anderson<std::vector<double>> mix_bound(bound, {.ridge = 0.0, .trust = 5.0});
    for (int k = 0; k < 2; ++k) {
        mix_free.step(free, {g(free[0])});
        mix_bound.step(bound, {g(bound[0])});
    }
    CHECK(std::abs(free[0] - 1.0) < 1e-10);
    CHECK(std::abs(bound[0] - (g(0.001) + 5.0 * (g(0.001) - g(0.0)))) < 1e-14);
}

TEST_CASE("anderson stays where the residual is zero, and goes on where differences vanish",
          "[guidance][anderson][errors]") {
    std::vector<double> x = {1.0, 2.0};
    anderson<std::vector<double>> mix(x, {.window = 3});
    for (int k = 0; k < 5; ++k) { mix.step(x, x); }
    CHECK(x == std::vector<double>{1.0, 2.0});
    // A translation: all differences of the residual are zero, there is no fixed point.
    for (int k = 0; k < 5; ++k) { mix.step(x, {x[0] + 1.0, x[1]}); }
    CHECK(std::isfinite(x[0]));
    CHECK(x[1] == 2.0);
}

TEST_CASE("anderson refuses options out of range and points of another shape",
          "[guidance][anderson][errors]") {
    const std::vector<double> x(4);
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    using a = anderson<std::vector<double>>;
    CHECK_THROWS_WITH(a(x, {.window = 17}), "anderson: window must be at most 16");
    CHECK_THROWS_WITH(a(x, {.damping = 0.0}), "anderson: damping must lie in (0, 1]");
    CHECK_THROWS_WITH(a(x, {.damping = nan}), "anderson: damping must lie in (0, 1]");
    CHECK_THROWS_WITH(a(x, {.ridge = -1.0}), "anderson: ridge must be finite and not negative");
    CHECK_THROWS_WITH(a(x, {.trust = nan}), "anderson: trust must be positive");
    CHECK_THROWS_WITH(a(std::vector<double>(), {}), "anderson: x is empty");
    a mix(x);
    std::vector<double> other(3);
    CHECK_THROWS_WITH(mix.step(other, x), "anderson: x must keep its shape");
}
