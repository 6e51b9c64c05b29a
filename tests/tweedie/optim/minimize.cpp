// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/learning_rate.hpp>
#include <tweedie/optim/minimize.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace {

using namespace tweedie;
using optim::minimize_status;
namespace rate = optim::rate;

/// Rosenbrock's function of two variables.
double valley(const std::vector<double>& x, std::vector<double>& g) {
    const double a = 1 - x[0];
    const double b = x[1] - x[0] * x[0];
    g[0] = -2 * a - 400 * x[0] * b;
    g[1] = 200 * b;
    return a * a + 100 * b * b;
}

}  // namespace

TEST_CASE("minimize finds the end of Rosenbrock's valley", "[optim][minimize]") {
    std::vector<double> x{-1.2, 1.0};
    std::size_t seen = 0;
    double first = 0;
    const auto result =
        optim::minimize(valley, x, optim::adam{.beta2 = 0.99}, {.steps = 20'000, .gradient_norm = 1e-6},
                        rate::cosine{.from = 0.02, .to = 1e-5, .steps = 20'000}, [&](const auto& view) {
                            if (view.step == 0) { first = view.value; }
                            ++seen;
                        });
    CHECK(result);
    CHECK(result.status == minimize_status::converged);
    CHECK_THAT(first, WithinRel(24.2, tol<double>::identity));
    CHECK(seen == result.steps + 1);
    CHECK_THAT(x[0], WithinAbs(1, 1e-5));
    CHECK_THAT(x[1], WithinAbs(1, 1e-5));
}

TEST_CASE("minimize says why it ended", "[optim][minimize][errors]") {
    const auto bowl = [](const Eigen::VectorXd& x, Eigen::VectorXd& g) {
        g = 2 * x;
        return x.squaredNorm();
    };
    Eigen::VectorXd x = Eigen::VectorXd::Ones(3);
    auto result = optim::minimize(bowl, x, optim::adam{}, {.steps = 4});
    CHECK(result.status == minimize_status::finished);
    CHECK(result.steps == 4);
    CHECK(result.value == x.squaredNorm());
    result = optim::minimize(bowl, x, optim::adam{}, {}, rate::constant{0.01}, [](const auto& view) {
        return view.step == 2 ? optim::verdict::stop : optim::verdict::go_on;
    });
    CHECK(result.status == minimize_status::stopped);
    CHECK(result.steps == 2);
    const auto broken = [&](const Eigen::VectorXd& at, Eigen::VectorXd& g) {
        g = 2 * at;
        return not_a_number;
    };
    result = optim::minimize(broken, x, optim::adam{});
    CHECK(result.status == minimize_status::non_finite);
    CHECK_FALSE(result);
    CHECK(std::string(to_string(result.status)).substr(0, 10) == "non_finite");
    CHECK_THROWS_WITH((void)optim::minimize(bowl, x, optim::adam{}, {.gradient_norm = not_a_number}),
                      "minimize: gradient_norm must be finite and not negative");
}

TEST_CASE("learning rates go where they say", "[optim][learning_rate][exact]") {
    const auto near = [](double expected) { return WithinRel(expected, tol<double>::identity); };
    CHECK(rate::constant{0.5}(7) == 0.5);
    const rate::linear line{.from = 1, .to = 0.5, .steps = 10};
    CHECK(line(0) == 1);
    CHECK_THAT(line(5), near(0.75));
    CHECK(line(10) == 0.5);
    CHECK(line(99) == 0.5);
    const rate::cosine wave{.from = 1, .to = 0.2, .steps = 10};
    CHECK(wave(0) == 1);
    CHECK_THAT(wave(5), near(0.6));
    CHECK_THAT(wave(10), near(0.2));
    CHECK_THAT((rate::polynomial{.from = 1, .to = 0, .steps = 10, .power = 3}(5)), near(0.125));
    CHECK_THAT((rate::step_decay{.from = 1, .factor = 0.1, .every = 10}(25)), near(0.01));
    const rate::one_cycle cycle{.peak = 1, .steps = 100, .rising = 0.25};
    CHECK_THAT(cycle(0), near(1.0 / 25));
    CHECK_THAT(cycle(25), near(1));
    CHECK_THAT(cycle(100), near(1.0 / 25 / 1e4));
    const rate::wsd stable{.peak = 2, .steps = 100, .warmup = 10, .decay = 20, .to = 0.5};
    CHECK_THAT(stable(0), near(0.2));
    CHECK_THAT(stable(9), near(2));
    CHECK_THAT(stable(80), near(2));
    CHECK_THAT(stable(90), near(1.25));
    CHECK_THAT(stable(100), near(0.5));
    CHECK_THAT(stable(200), near(0.5));
    const rate::warmup up{.steps = 4, .then = wave};
    CHECK_THAT(up(0), near(0.25));
    CHECK_THAT(up(3), near(1));
    CHECK_THAT(up(4), near(1));
    CHECK_THAT(up(9), near(0.6));
}
