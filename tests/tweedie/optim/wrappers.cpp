// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/clip.hpp>
#include <tweedie/optim/ema.hpp>
#include <tweedie/optim/groups.hpp>
#include <tweedie/optim/lookahead.hpp>
#include <tweedie/optim/sam.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/optim/support.hpp>

#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace {

using namespace tweedie;
using list = std::vector<std::vector<double>>;

}  // namespace

TEST_CASE("sam takes the gradient where it is worst within its radius", "[optim][sam][exact]") {
    const optim::sam<optim::sgd> optimizer{.optimizer = {.learning_rate = 0.1}, .rho = 0.5};
    std::vector<double> x{3, 4};
    std::vector<double> g(2);
    optim::sam_state<double> state;
    int calls = 0;
    // 0.5 |x|^2: the gradient at x is x, the worst place is x (1 + rho / |x|)
    REQUIRE(optimizer.step(x, g, state, [&] {
        g = x;
        ++calls;
    }));
    CHECK(calls == 2);
    CHECK_THAT(x[0], WithinRel(3 - 0.1 * 3 * 1.1, tol<double>::exact));
    CHECK_THAT(x[1], WithinRel(4 - 0.1 * 4 * 1.1, tol<double>::exact));
    const auto before = x;
    const auto bad = optimizer.step(x, g, state, [&] { g = {1, not_a_number}; });
    CHECK(bad.status == optim::step_status::gradient_not_finite);
    CHECK(x == before);
    CHECK_THROWS_WITH((void)(optim::sam<optim::sgd>{.rho = -1}.step(x, g, state, [] {})),
                      "sam: rho must be finite and not negative");
}

TEST_CASE("lookahead goes back a part of the way every few steps", "[optim][lookahead][exact]") {
    const optim::lookahead<optim::adam> optimizer{
        .optimizer = {.learning_rate = 0.05}, .period = 4, .weight = 0.3};
    auto x = numbers<double>(20, 1);
    auto fast = x;
    auto slow = x;
    optim::lookahead_state<double> state;
    optim::state<double> own;
    for (int t = 1; t <= 10; ++t) {
        REQUIRE(optimizer.step(x, bowl(x), state));
        REQUIRE(optim::adam{.learning_rate = 0.05}.step(fast, bowl(fast), own));
        if (t % 4 == 0) {
            for (std::size_t i = 0; i < slow.size(); ++i) { fast[i] = slow[i] += 0.3 * (fast[i] - slow[i]); }
        }
    }
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK_THAT(x[i], WithinRel(fast[i], tol<double>::identity));
    }
    const auto copy = state;
    CHECK(optim::from_bytes<double>(optim::to_bytes(copy.slow)) == state.slow);
    CHECK_THROWS_WITH((void)(optim::lookahead<optim::adam>{.period = 0}.step(x, x, state)),
                      "lookahead: period must be at least 1");
    CHECK_THROWS_WITH((void)(optim::lookahead<optim::adam>{.weight = not_a_number}.step(x, x, state)),
                      "lookahead: weight must be in (0, 1]");
}

TEST_CASE("ema is the weighted mean of what it saw", "[optim][ema][exact]") {
    list x{{1.0, 2.0}, {3.0}};
    optim::state<double> average;
    const optim::ema ema{.decay = 0.75};
    double expected = 1;
    for (int t = 0; t < 6; ++t) {
        x[0][0] = 1 + t;
        ema.update(x, average);
        expected = t == 0 ? 1 : 0.75 * expected + 0.25 * (1 + t);
    }
    list out = x;
    optim::ema::copy(average, out);
    CHECK_THAT(out[0][0], WithinRel(expected, tol<double>::exact));
    CHECK(out[1][0] == 3.0);
    list other{{1.0}};
    CHECK_THROWS_WITH(optim::ema::copy(average, other), "ema: the average is of other tensors");
    CHECK_THROWS_WITH(optim::ema::copy(optim::state<double>{}, other),
                      "ema: no parameters were averaged yet");
    CHECK_THROWS_WITH(optim::ema{.decay = 1}.update(x, average), "ema: decay must be in [0, 1)");
}

TEST_CASE("power_ema's profile is a power of the step, of the width asked for", "[optim][ema][exact]") {
    // the published pairs, to their digits
    CHECK_THAT(optim::power_ema{.sigma_rel = 0.1}.gamma(), WithinAbs(6.94, 5e-3));
    CHECK_THAT(optim::power_ema{.sigma_rel = 0.05}.gamma(), WithinAbs(16.97, 5e-3));
    const optim::power_ema ema{.sigma_rel = 0.15};
    const double gamma = ema.gamma();
    CHECK_THAT((gamma + 1) / ((gamma + 2) * (gamma + 2) * (gamma + 3)),
               WithinRel(0.15 * 0.15, tol<double>::identity));
    // the average of t and t^2 has the profile's mean and width: sums instead of integrals, so 1 / steps off
    constexpr int steps = 2000;
    std::vector<double> x(2);
    optim::state<double> average;
    for (int t = 1; t <= steps; ++t) {
        const double part = static_cast<double>(t) / steps;
        x = {part, part * part};
        ema.update(x, average);
    }
    std::vector<double> moments(2);
    optim::power_ema::copy(average, moments);
    CHECK_THAT(moments[0], WithinAbs((gamma + 1) / (gamma + 2), 2.0 / steps));
    CHECK_THAT(std::sqrt(moments[1] - moments[0] * moments[0]), WithinAbs(0.15, 2.0 / steps));
    CHECK_THROWS_WITH((void)optim::power_ema{.sigma_rel = 0.3}.gamma(),
                      "power_ema: sigma_rel must be in (0, 0.2886)");
}

TEST_CASE("an average of any width is made afterwards from saved ones", "[optim][ema][exact]") {
    // Theta is a random walk; two averages are saved eight times; a third of another width is reconstructed.
    const optim::power_ema a{.sigma_rel = 0.05};
    const optim::power_ema b{.sigma_rel = 0.1};
    const optim::power_ema wanted{.sigma_rel = 0.07};
    constexpr int steps = 4096;
    const auto noise = numbers<double>(steps, 11);
    std::vector<double> x{0.0};
    optim::state<double> at_a;
    optim::state<double> at_b;
    optim::state<double> truth;
    std::vector<optim::ema_snapshot> snapshots;
    std::vector<optim::state<double>> saved;
    for (int t = 1; t <= steps; ++t) {
        x[0] += noise[static_cast<std::size_t>(t - 1)] / std::sqrt(steps);
        a.update(x, at_a);
        b.update(x, at_b);
        wanted.update(x, truth);
        if (t % 512 == 0) {
            snapshots.push_back({static_cast<double>(t), a.gamma()});
            saved.push_back(at_a);
            snapshots.push_back({static_cast<double>(t), b.gamma()});
            saved.push_back(at_b);
        }
    }
    const auto weights = optim::ema_weights(snapshots, {steps, wanted.gamma()});
    double sum = 0;
    for (const double w : weights) { sum += w; }
    CHECK_THAT(sum, WithinAbs(1, 2e-3));  // least squares: nearly a mean
    const auto made = optim::combine<double>(saved, weights);
    CHECK_THAT(made.values[0], WithinAbs(truth.values[0], 2e-3));
    CHECK(std::abs(at_a.values[0] - truth.values[0]) + std::abs(at_b.values[0] - truth.values[0]) > 0.01);
    // what was saved is found again exactly
    const auto same = optim::ema_weights(snapshots, snapshots[5]);
    for (std::size_t i = 0; i < same.size(); ++i) { CHECK_THAT(same[i], WithinAbs(i == 5 ? 1 : 0, 1e-6)); }
    snapshots.push_back(snapshots[0]);
    CHECK_THROWS_AS(optim::ema_weights(std::vector<optim::ema_snapshot>(2, {1, 2}), {1, 3}),
                    std::invalid_argument);
    CHECK_THROWS_AS(optim::ema_weights(snapshots, {0, 3}), std::invalid_argument);
}

TEST_CASE("groups have options of their own and one norm", "[optim][groups][exact]") {
    std::vector<double> w{1.0, 1.0};
    std::vector<double> b{1.0};
    const std::vector<double> gw{2.0, 0.0};
    const std::vector<double> gb{1.5};
    optim::state<double> sw;
    optim::state<double> sb;
    const optim::sgd with_decay{.learning_rate = 0.1, .decay = optim::decoupled(1)};
    const optim::sgd without{.learning_rate = 1};
    const auto result = optim::step_groups({.norm = 1.25}, optim::group(with_decay, w, gw, sw),
                                           optim::group(without, b, gb, sb));
    CHECK(result);
    CHECK(result.gradient_norm == 2.5);  // scaled by half
    CHECK_THAT(w[0], WithinRel(0.9 - 0.1, tol<double>::exact));
    CHECK_THAT(w[1], WithinRel(0.9, tol<double>::exact));
    CHECK_THAT(b[0], WithinRel(1 - 0.75, tol<double>::exact));
    const std::vector<double> bad{not_a_number};
    const auto before = w;
    const auto refused =
        optim::step_groups({}, optim::group(with_decay, w, gw, sw), optim::group(without, b, bad, sb));
    CHECK(refused.status == optim::step_status::gradient_not_finite);
    CHECK(refused.tensor == 1);
    CHECK(w == before);
}

TEST_CASE("gradients are clipped in place as optimizers clip them", "[optim][clip][exact]") {
    list g{{3.0}, {-4.0, 0.0}};
    CHECK(optim::global_norm(g) == 5.0);
    CHECK(optim::clip_gradients({.norm = 2.5, .value = 1.75}, g) == 5.0);
    CHECK(g == list{{1.5}, {-1.75, 0.0}});
    g[0][0] = infinity;
    const auto before = g;
    CHECK(optim::clip_gradients({.norm = 1}, g) == infinity);
    CHECK(g == before);
}
