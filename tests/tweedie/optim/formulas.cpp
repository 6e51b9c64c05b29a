// SPDX-License-Identifier: MIT
#include <tweedie/optim/adabelief.hpp>
#include <tweedie/optim/adabound.hpp>
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/adan.hpp>
#include <tweedie/optim/lion.hpp>
#include <tweedie/optim/nadam.hpp>
#include <tweedie/optim/schedule_free.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/optim/support.hpp>
#include <tweedie/optim/yogi.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

// Each method a second time, written from its paper for one number, as a function of that number's past.

namespace {

using namespace tweedie;

/// Runs `optimizer` and `again(theta, g, t)`, a method of one number with its own memory, side by side.
template <class Optimizer, class Again>
void compare(const Optimizer& optimizer, const Again& fresh, int steps = 40) {
    auto x = numbers<double>(13, 7);
    auto y = x;
    std::vector<Again> again(x.size(), fresh);
    optim::state<double> state;
    for (int t = 1; t <= steps; ++t) {
        const auto g = bowl(x);
        REQUIRE(optimizer.step(x, g, state));
        for (std::size_t i = 0; i < y.size(); ++i) { y[i] = again[i](y[i], bowl(y)[i], t); }
    }
    for (std::size_t i = 0; i < y.size(); ++i) { CHECK_THAT(x[i], WithinRel(y[i], tol<double>::identity)); }
}

double corrected(double moment, double beta, int t) { return moment / (1 - std::pow(beta, t)); }

}  // namespace

TEST_CASE("epsilon is added where its convention says", "[optim][adam][exact]") {
    const auto first_step = [](optim::epsilon convention) {
        std::vector<double> x{0.0};
        optim::state<double> state;
        CHECK(optim::adam{.learning_rate = 1, .eps = 0.25, .convention = convention}.step(
            x, std::vector<double>{0.5}, state));
        return -x[0];
    };
    // at the first step m_hat = g and v_hat = g^2
    CHECK_THAT(first_step(optim::epsilon::corrected), WithinRel(0.5 / (0.5 + 0.25), tol<double>::identity));
    CHECK_THAT(first_step(optim::epsilon::under_root),
               WithinRel(0.5 / std::sqrt(0.25 + 0.25), tol<double>::identity));
    const double root = std::sqrt(1 - 0.999);
    CHECK_THAT(first_step(optim::epsilon::uncorrected),
               WithinRel(root * 0.5 / (root * 0.5 + 0.25), tol<double>::identity));
}

TEST_CASE("coupled decay is in the gradient, decoupled decay beside it", "[optim][adam][exact]") {
    const auto one = [](optim::weight_decay decay) {
        std::vector<double> x{2.0};
        optim::state<double> state;
        CHECK(optim::adam{.learning_rate = 0.1, .eps = 0, .decay = decay}.step(x, std::vector<double>{-3.0},
                                                                               state));
        return x[0];
    };
    CHECK_THAT(one(optim::coupled(1.0)), WithinRel(2.0 + 0.1, tol<double>::identity));  // sign(-3 + 2) = -1
    CHECK_THAT(one(optim::coupled(2.0)), WithinRel(2.0 - 0.1, tol<double>::identity));  // sign(-3 + 4) = 1
    CHECK_THAT(one(optim::decoupled(1.0)), WithinRel(2.0 * 0.9 + 0.1, tol<double>::identity));
}

TEST_CASE("nadam has the product of all momenta in its corrections", "[optim][nadam][exact]") {
    compare(optim::nadam{.learning_rate = 0.01}, [m = 0.0, v = 0.0, product = 1.0](double x, double g,
                                                                                   int t) mutable {
        const auto mu = [](int k) { return 0.9 * (1 - 0.5 * std::pow(0.96, k * 4e-3)); };
        m = 0.9 * m + 0.1 * g;
        v = 0.999 * v + 0.001 * g * g;
        product *= mu(t);
        const double look_ahead = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product);
        return x - 0.01 * look_ahead / (std::sqrt(corrected(v, 0.999, t)) + 1e-8);
    });
}

TEST_CASE("adabelief follows its paper", "[optim][adabelief][exact]") {
    compare(optim::adabelief{.learning_rate = 0.01, .decay = optim::decoupled(0.1)},
            [m = 0.0, s = 0.0](double x, double g, int t) mutable {
                m = 0.9 * m + 0.1 * g;
                s = 0.999 * s + 0.001 * (g - m) * (g - m) + 1e-8;
                return x * (1 - 0.001) -
                       0.01 * corrected(m, 0.9, t) / (std::sqrt(corrected(s, 0.999, t)) + 1e-8);
            });
}

TEST_CASE("adabound keeps its rate between two bounds", "[optim][adabound][exact]") {
    compare(optim::adabound{.learning_rate = 0.1, .final_rate = 0.02, .convergence = 0.1},
            [m = 0.0, v = 0.0](double x, double g, int t) mutable {
                m = 0.9 * m + 0.1 * g;
                v = 0.999 * v + 0.001 * g * g;
                const double lower = 0.02 * (1 - 1 / (0.1 * t + 1));
                const double upper = 0.02 * (1 + 1 / (0.1 * t));
                const double rate = 0.1 * std::sqrt(1 - std::pow(0.999, t)) / (1 - std::pow(0.9, t));
                return x - std::clamp(rate / (std::sqrt(v) + 1e-8), lower, upper) * m;
            });
}

TEST_CASE("yogi changes its second moment by a signed square", "[optim][yogi][exact]") {
    compare(optim::yogi{.learning_rate = 0.02}, [m = 0.0, v = 0.0](double x, double g, int) mutable {
        m = 0.9 * m + 0.1 * g;
        const double difference = v - g * g;
        v -= 0.001 * (difference > 0 ? 1 : difference < 0 ? -1 : 0) * g * g;
        return x - 0.02 * m / (std::sqrt(v) + 1e-3);
    });
}

TEST_CASE("lion moves every element by the learning rate, or not at all", "[optim][lion][exact]") {
    compare(optim::lion{.learning_rate = 0.01, .decay = optim::decoupled(0.1)},
            [m = 0.0](double x, double g, int) mutable {
                const double ahead = 0.9 * m + 0.1 * g;
                m = 0.99 * m + 0.01 * g;
                return x - 0.01 * ((ahead > 0 ? 1 : ahead < 0 ? -1 : 0) + 0.1 * x);
            });
    std::vector<double> x{1.0};
    optim::state<double> state;
    CHECK(optim::lion{.learning_rate = 0.5}.step(x, std::vector<double>{0.0}, state));
    CHECK(x[0] == 1.0);
}

TEST_CASE("adan follows its paper", "[optim][adan][exact]") {
    compare(optim::adan{.learning_rate = 0.01, .decay = optim::decoupled(0.2)},
            [m = 0.0, v = 0.0, n = 0.0, before = 0.0](double x, double g, int t) mutable {
                const double d = t == 1 ? 0.0 : g - before;
                before = g;
                m += (1 - 0.98) * (g - m);
                v += (1 - 0.92) * (d - v);
                n += (1 - 0.99) * ((g + 0.92 * d) * (g + 0.92 * d) - n);
                const double rate = 0.01 / (std::sqrt(corrected(n, 0.99, t)) + 1e-8);
                return (x - rate * (corrected(m, 0.98, t) + 0.92 * corrected(v, 0.92, t))) / (1 + 0.01 * 0.2);
            });
}

TEST_CASE("Nesterov momentum steps by the gradient ahead", "[optim][sgd][exact]") {
    compare(optim::sgd{.learning_rate = 0.01, .momentum = 0.8, .kind = optim::sgd::variant::nesterov},
            [m = 0.0](double x, double g, int) mutable {
                m = 0.8 * m + g;
                return x - 0.01 * (g + 0.8 * m);
            });
}

TEST_CASE("schedule_free_adamw averages its iterates as its paper does", "[optim][schedule_free][exact]") {
    // the paper's x, y and z, all three kept; gradients at y
    const optim::schedule_free_adamw optimizer{
        .learning_rate = 0.02, .warmup = 5, .decay = optim::decoupled(0.1)};
    auto parameters = numbers<double>(9, 8);
    optim::state<double> state;
    auto x = parameters;
    auto z = parameters;
    auto y = parameters;
    std::vector<double> v(9, 0.0);
    double sum = 0;
    for (int t = 1; t <= 30; ++t) {
        REQUIRE(optimizer.step(parameters, bowl(parameters), state));
        const double gamma = 0.02 * std::min(1.0, t / 5.0);
        sum += gamma * gamma;
        const double c = gamma * gamma / sum;
        const auto g = bowl(y);
        for (std::size_t i = 0; i < 9; ++i) {
            v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
            z[i] -= gamma * (g[i] / (std::sqrt(corrected(v[i], 0.999, t)) + 1e-8) + 0.1 * y[i]);
            x[i] = (1 - c) * x[i] + c * z[i];
            y[i] = 0.1 * z[i] + 0.9 * x[i];
        }
    }
    std::vector<double> average(9);
    optimizer.average(parameters, state, average);
    for (std::size_t i = 0; i < 9; ++i) {
        CHECK_THAT(parameters[i], WithinRel(y[i], 1e-11));  // y from x and z of 30 steps, two ways
        CHECK_THAT(average[i], WithinRel(x[i], 1e-11));
    }
}
