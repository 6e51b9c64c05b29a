// SPDX-License-Identifier: MIT
#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/flow_map.hpp>
#include <tweedie/solver/tcd.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;
constexpr double mu = 0.7;
constexpr double v = 0.3;

/// The exact flow of Gaussian data N(mu, v) from kappa to kappa_r, in y = x / alpha.
double exact_flow(double y, double kappa, double kappa_r) {
    return mu + (y - mu) * std::sqrt((v + kappa_r * kappa_r) / (v + kappa * kappa));
}

/// As a data prediction: the constant that would take x there, y_r = y kappa_r / kappa + (1 - kappa_r /
/// kappa) X.
double exact_map(double x, const level& s, double kappa_r) {
    const double y = x / s.alpha;
    const double kappa = s.sigma / s.alpha;
    const double keep = kappa_r / kappa;
    return (exact_flow(y, kappa, kappa_r) - keep * y) / (1.0 - keep);
}

}  // namespace

TEST_CASE("a flow map that knows the way arrives in any number of steps", "[solver][flow_map][exact]") {
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 2, 5}) {
            INFO(s.name << ", " << steps << " steps");
            const levels_t levels = grid::karras(s.schedule, steps, {.sigma_max = 20.0});
            const plan p = solver::flow_map{}.plan(s.schedule, levels);
            // the network finds its target in the grid: the level after the one it is asked at
            const auto x0 = [&](double x, const level& at) {
                std::size_t i = 0;
                while (std::abs(levels[i].half_log_snr() - at.half_log_snr()) > 1e-9) { ++i; }
                return exact_map(x, at, levels[i + 1].sigma / levels[i + 1].alpha);
            };
            const double y = 13.0;
            const level& from = levels.front();
            CHECK_THAT(run_on_double(p, s.schedule, from.alpha * y, x0) / levels.back().alpha,
                       WithinRel(exact_flow(y, from.sigma / from.alpha, 0.0), 1e-11));
        }
    }
}

TEST_CASE("flow_map with eta keeps the exact law: to r by the map, back to t by noise",
          "[solver][flow_map][exact]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 3);
    for (const double eta : {0.3, 1.0}) {
        const plan p = solver::flow_map{.eta = eta}.plan(vp, levels);
        REQUIRE(counts(p).draws == 3);
        const auto x0 = [&](double x, const level& at) {
            std::size_t i = 0;
            while (std::abs(levels[i].half_log_snr() - at.half_log_snr()) > 1e-9) { ++i; }
            const double kappa = levels[i + 1].sigma / levels[i + 1].alpha;
            return exact_map(x, at, std::sqrt(1.0 - eta * eta) * kappa);
        };
        const level& from = levels.front();
        const level& to = levels.back();
        std::vector<std::vector<double>> none(3, std::vector<double>{0.0});
        const double base = run_on_double(p, vp, from.alpha * mu, x0, nullptr, none);
        const double along = run_on_double(p, vp, from.alpha * mu + 1.0, x0, nullptr, none) - base;
        double variance = along * along * (from.alpha * from.alpha * v + from.sigma * from.sigma);
        for (std::size_t k = 0; k < 3; ++k) {
            std::vector<std::vector<double>> one = none;
            one[k][0] = 1.0;
            const double gain = run_on_double(p, vp, from.alpha * mu, x0, nullptr, one) - base;
            variance += gain * gain;
        }
        CHECK_THAT(base, WithinRel(to.alpha * mu, 1e-11));
        CHECK_THAT(variance, WithinRel(to.alpha * to.alpha * v + to.sigma * to.sigma, 1e-11));
    }
}

TEST_CASE("flow_map and tcd are ddim without fresh noise, consistency with nothing else",
          "[solver][flow_map][tcd][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::karras(s.schedule, 5, {.last = last});
            const plan ddim = solver::ddim{}.plan(s.schedule, levels);
            check_same_passes(solver::flow_map{}.plan(s.schedule, levels), ddim, same);
            check_same_passes(solver::tcd{.eta = 0.0}.plan(s.schedule, levels), ddim, same);
            const plan jumps = solver::consistency{}.plan(s.schedule, levels);
            check_same_passes(solver::flow_map{.eta = 1.0}.plan(s.schedule, levels), jumps, same);
            // on VE the clean end is at no finite time
            if (s.name != "ve") {
                check_same_passes(solver::tcd{.eta = 1.0}.plan(s.schedule, levels), jumps, same);
            }
        }
    }
}

TEST_CASE("on a flow, flow_map is x + (r - s) times the mean velocity", "[solver][flow_map][identity]") {
    const schedule::flow flow;
    const levels_t levels = grid::karras(flow, 6);
    check_same_passes(solver::flow_map{}.plan(flow, levels), solver::euler{}.plan(flow, levels), same);
}

TEST_CASE("tcd goes to (1 - eta) t and back by noise", "[solver][tcd][exact]") {
    const schedule::trig trig;
    const levels_t levels = {at(trig, 1.4), at(trig, 1.0), at(trig, 0.6), at(trig, 0.0)};
    const plan p = solver::tcd{.eta = 0.4}.plan(trig, levels);
    CHECK(counts(p).draws == 2);
    const std::vector<std::vector<double>> z = {{0.3}, {-1.2}};
    double x = 0.8;
    for (std::size_t i = 0; i < 3; ++i) {
        const level& s = levels[i];
        const level& t = levels[i + 1];
        const double x0 = smooth_humps(x, s);
        const double eps = (x - s.alpha * x0) / s.sigma;
        const level r = at(trig, 0.6 * t.t);
        x = r.alpha * x0 + r.sigma * eps;
        if (i == 2) { break; }
        // the forward process of a variance-preserving schedule
        x = t.alpha / r.alpha * x + std::sqrt(1.0 - t.alpha * t.alpha / (r.alpha * r.alpha)) * z[i][0];
    }
    CHECK_THAT(run_on_double(p, trig, 0.8, smooth_humps, nullptr, z), WithinRel(x, same));
}

TEST_CASE("tcd as published goes to whole times", "[solver][tcd][peer]") {
    const schedule::discrete table = schedule::discrete::scaled_linear();
    const levels_t levels = {at(table, 999.0), at(table, 499.0)};
    const plan published = solver::tcd{.eta = 0.3, .peer_formula = true}.plan(table, levels);
    const double r_sigma = table.sigma(349.0) / table.alpha(349.0);
    const double kappa = levels[1].sigma / levels[1].alpha;
    CHECK_THAT(
        published.calls[0].then.rows[0].weights[2],
        WithinRel(levels[1].alpha * std::sqrt(kappa * kappa - r_sigma * r_sigma), tol<double>::identity));
}

TEST_CASE("flow_map and tcd draw once a step, never to sigma = 0", "[solver][flow_map][tcd][cost]") {
    for (const named_schedule& s : all_schedules()) {
        for (const int n : {1, 2, 3, 7}) {
            INFO(s.name << ", " << n << " steps");
            const auto steps = static_cast<std::size_t>(n);
            const levels_t levels = grid::karras(s.schedule, n);
            for (const plan& p : {solver::flow_map{.eta = 0.5}.plan(s.schedule, levels),
                                  solver::tcd{}.plan(s.schedule, levels)}) {
                const plan_counts c = counts(p);
                CHECK((c.network_calls == steps && c.live_tensors == 1));
                CHECK(c.draws <= steps - 1);
            }
            CHECK(counts(solver::tcd{.eta = 0.0}.plan(s.schedule, levels)).draws == 0);
        }
    }
}

TEST_CASE("flow_map and tcd are of first order without fresh noise", "[solver][flow_map][tcd][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::flow_map{}, s.schedule, {80, 160, 320}), WithinAbs(1.0, 0.1));
        CHECK_THAT(measured_order(solver::tcd{.eta = 0.0}, s.schedule, {80, 160, 320}), WithinAbs(1.0, 0.1));
    }
}

TEST_CASE("flow_map and tcd refuse eta outside 0 to 1", "[solver][flow_map][tcd][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const double eta : {not_a_number, -1e-9, 1.0000001, infinity}) {
        CHECK(refusal([&] { static_cast<void>(solver::flow_map{.eta = eta}.plan(edm, good)); }) ==
              "flow_map: eta must lie in [0, 1]");
        CHECK(refusal([&] { static_cast<void>(solver::tcd{.eta = eta}.plan(edm, good)); }) ==
              "tcd: eta must lie in [0, 1]");
    }
    CHECK(refusal([&] { static_cast<void>(solver::flow_map{}.plan(edm, {})); }) ==
          "flow_map: need at least two levels, where to start and where to end");
    CHECK(refusal([&] { static_cast<void>(solver::tcd{}.plan(edm, {})); }) ==
          "tcd: need at least two levels, where to start and where to end");
}
