// SPDX-License-Identifier: MIT
#include <tweedie/optim/dual_adam.hpp>
#include <tweedie/optim/support.hpp>

#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace {

using namespace tweedie;
using optim::dual_adam;
using optim::inv_adam;

template <class Optimizer>
std::vector<double> one_step(const Optimizer& optimizer, std::vector<double> x,
                             const std::vector<double>& g) {
    optim::state<double> state;
    CHECK(optimizer.step(x, g, state));
    return x;
}

/// Softmin of a sharp parabola at -1 (curvature 200) and a flat one at 2 (curvature 2): its derivative.
double two_basins(double x) {
    const double sharp = 100 * (x + 1) * (x + 1);
    const double flat = (x - 2) * (x - 2);
    const double weight = 1 / (1 + std::exp(std::min(sharp - flat, 700.0)));  // of the sharp one
    return weight * 200 * (x + 1) + (1 - weight) * 2 * (x - 2);
}

/// The part of runs that start in the sharp basin and end in the flat one.
template <class Optimizer>
double escapes(const Optimizer& optimizer, double deviation) {
    constexpr std::size_t runs = 64;
    constexpr std::uint64_t steps = 3000;
    std::vector<double> x(runs, -1.0);
    for (std::size_t i = 0; i < runs; ++i) { x[i] += 0.1 * numbers<double>(runs, 99)[i]; }
    std::vector<double> g(runs);
    optim::state<double> state;
    for (std::uint64_t t = 0; t < steps; ++t) {
        const std::vector<double> z = numbers<double>(runs, 1000 + t);
        for (std::size_t i = 0; i < runs; ++i) { g[i] = two_basins(x[i]) + deviation * z[i]; }
        (void)optimizer.step(x, g, state);
    }
    double count = 0;
    for (const double end : x) { count += end > 0.5 ? 1 : 0; }
    return count / static_cast<double>(runs);
}

}  // namespace

TEST_CASE("dual_adam gives the recorded trajectory", "[optim][dual_adam][reference]") {
    const auto golden = reference("core_golden.json")["dualadam"];
    const std::vector<double> h = golden["h"];
    std::vector<double> x = golden["x0"];
    std::vector<double> g(x.size());
    const dual_adam optimizer{.learning_rate = golden["lr"],
                              .beta1 = golden["betas"][0],
                              .beta2 = golden["betas"][1],
                              .eps = golden["eps"],
                              .switch_rate = golden["switch_rate"],
                              .decay = optim::decoupled(golden["weight_decay_decoupled"])};
    optim::state<double> state;
    for (const auto& recorded : golden["x_after_step_1_to_8"]) {
        for (std::size_t i = 0; i < x.size(); ++i) { g[i] = h[i] * x[i]; }
        REQUIRE(optimizer.step(x, g, state));
        for (std::size_t i = 0; i < x.size(); ++i) {
            CHECK_THAT(x[i], WithinRel(recorded[i].get<double>(), tol<double>::identity));
        }
    }
}

TEST_CASE("the first step moves Adam by the sign, InvAdam by g |g| and DualAdam by their mix",
          "[optim][dual_adam][exact]") {
    const std::vector<double> x = numbers<double>(37, 1);
    const std::vector<double> g = numbers<double>(37, 2);
    const double lr = 0.25;
    const double r = 1 - 0.125;
    const auto adam = one_step(optim::adam{.learning_rate = lr, .eps = 0}, x, g);
    const auto inverse = one_step(inv_adam{.learning_rate = lr}, x, g);
    const auto dual = one_step(dual_adam{.learning_rate = lr, .eps = 0, .switch_rate = 0.125}, x, g);
    for (std::size_t i = 0; i < x.size(); ++i) {
        const double sign = g[i] > 0 ? 1 : -1;
        CHECK_THAT(x[i] - adam[i], WithinAbs(lr * sign, 1e-14));  // a rounding of x of order 1
        CHECK_THAT(x[i] - inverse[i], WithinAbs(lr * g[i] * std::abs(g[i]), 1e-14));
        CHECK_THAT(x[i] - dual[i], WithinAbs(lr * ((1 - r) * sign + r * g[i] * std::abs(g[i])), 1e-14));
    }
}

TEMPLATE_TEST_CASE("dual_adam with a switch rate of 1 or more is Adam to the bit",
                   "[optim][dual_adam][identity]", float, double) {
    for (const double rate : {1.0, 1.5, 1e9}) {
        auto x = numbers<TestType>(101, 3);
        auto y = x;
        optim::state<TestType> a;
        optim::state<TestType> b;
        for (int k = 0; k < 20; ++k) {
            CHECK(optim::adamw{.learning_rate = 0.01}.step(x, bowl(x), a));
            CHECK(dual_adam{.learning_rate = 0.01, .switch_rate = rate, .decay = optim::decoupled(0.01)}.step(
                y, bowl(y), b));
        }
        CHECK(x == y);
        CHECK(a == b);
    }
}

TEST_CASE("after 1 / switch_rate steps dual_adam goes on as Adam does from the same state",
          "[optim][dual_adam][identity]") {
    auto x = numbers<double>(50, 4);
    optim::state<double> state;
    const dual_adam dual{.switch_rate = 0.1};
    CHECK(dual.inverse_weight(1) == 0.9);
    CHECK(dual.inverse_weight(8) > 0);
    CHECK(dual.inverse_weight(10) == 0);
    for (int k = 0; k < 9; ++k) { CHECK(dual.step(x, bowl(x), state)); }
    auto y = x;
    auto copy = state;
    for (int k = 0; k < 5; ++k) {
        CHECK(dual.step(x, bowl(x), state));
        CHECK(optim::adam{}.step(y, bowl(y), copy));
    }
    CHECK(x == y);
    CHECK(state == copy);
}

TEST_CASE("a run saved in the middle of the first phase goes on to the bit", "[optim][dual_adam][identity]") {
    const dual_adam optimizer{.learning_rate = 1e-3, .switch_rate = 0.05};
    auto x = numbers<float>(77, 5);
    optim::state<float> state;
    for (int k = 0; k < 7; ++k) { CHECK(optimizer.step(x, bowl(x), state)); }
    auto y = x;
    auto loaded = optim::from_bytes<float>(optim::to_bytes(state));
    CHECK(loaded == state);
    for (int k = 0; k < 30; ++k) {
        CHECK(optimizer.step(x, bowl(x), state));
        CHECK(optimizer.step(y, bowl(y), loaded));
    }
    CHECK(x == y);
    CHECK(loaded == state);
}

TEST_CASE("dual_adam leaves a sharp minimum for a flat one where Adam stays",
          "[optim][dual_adam][statistics]") {
    for (const double deviation : {0.0, 5.0, 20.0}) {
        INFO("gradient noise " << deviation);
        CHECK(escapes(dual_adam{.learning_rate = 1e-2, .switch_rate = 1e-3}, deviation) >= 0.8);
        CHECK(escapes(optim::adam{.learning_rate = 1e-2}, deviation) <= 0.05);
    }
}

TEST_CASE("dual_adam converges in its second phase", "[optim][dual_adam][exact]") {
    std::vector<double> x{1.0, 1.0};
    optim::state<double> state;
    const dual_adam optimizer{.learning_rate = 1e-2, .switch_rate = 1e-2};
    for (int k = 0; k < 3000; ++k) {
        CHECK(optimizer.step(x, std::vector<double>{0.01 * x[0], 1.0 * x[1]}, state));
    }
    CHECK(std::abs(x[0]) < 1e-30);
    CHECK(std::abs(x[1]) < 1e-30);
}

TEST_CASE("a gradient of zero moves nothing", "[optim][dual_adam][exact]") {
    CHECK(one_step(inv_adam{}, {1.0, 2.0}, {0.0, 0.0}) == std::vector<double>{1.0, 2.0});
    CHECK(one_step(dual_adam{}, {1.0, 2.0}, {0.0, 0.0}) == std::vector<double>{1.0, 2.0});
}

TEST_CASE("a cap tames the inverse branch where it would diverge", "[optim][dual_adam][exact]") {
    const auto end = [](const dual_adam& optimizer) {
        std::vector<double> x{1.0};
        optim::state<double> state;
        for (int k = 0; k < 200; ++k) {
            if (!optimizer.step(x, std::vector<double>{100 * x[0]}, state)) { return 1e300; }
        }
        return std::abs(x[0]);
    };
    CHECK(end({.learning_rate = 1e-2}) > 1e10);
    CHECK(end({.learning_rate = 1e-2, .cap = 0.1}) < 1.0);
}

TEST_CASE("dual_adam refuses wrong options in words", "[optim][dual_adam][errors]") {
    std::vector<double> x{1.0};
    const std::vector<double> g{1.0};
    const auto refused = [&](const dual_adam& optimizer, const char* message) {
        optim::state<double> state;
        CHECK_THROWS_WITH((void)optimizer.step(x, g, state), message);
        CHECK(x[0] == 1.0);
    };
    refused({.learning_rate = -1}, "dual_adam: learning_rate must be finite and not negative");
    refused({.learning_rate = not_a_number}, "dual_adam: learning_rate must be finite and not negative");
    refused({.beta1 = 1}, "dual_adam: beta1 must be in [0, 1)");
    refused({.beta2 = not_a_number}, "dual_adam: beta2 must be in [0, 1)");
    refused({.eps = -1}, "dual_adam: eps must be finite and not negative");
    refused({.switch_rate = 0}, "dual_adam: switch_rate must be > 0");
    refused({.switch_rate = not_a_number}, "dual_adam: switch_rate must be > 0");
    refused({.cap = not_a_number}, "dual_adam: cap must be > 0");
    refused({.decay = optim::decoupled(-1)}, "dual_adam: decay must be finite and not negative");
    CHECK_THROWS_AS(optim::switch_after(0, 10), std::invalid_argument);
    CHECK_THAT(optim::switch_after(0.16, 78125), WithinRel(8e-5, tol<double>::exact));
}
