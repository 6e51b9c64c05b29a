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

/// A flow map that knows the way, as a data prediction: the constant that would take x from where it is asked
/// to where it is asked to go, y_r = y kappa_r / kappa + (1 - kappa_r / kappa) X.
double exact_map(double x, const network_level& s) {
    const double y = x / s.alpha;
    const double kappa = s.sigma / s.alpha;
    const double kappa_r = s.to.value().sigma / s.to.value().alpha;
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
            const double y = 13.0;
            const level& from = levels.front();
            CHECK_THAT(run_on_double(p, s.schedule, from.alpha * y, exact_map) / levels.back().alpha,
                       WithinRel(exact_flow(y, from.sigma / from.alpha, 0.0), 1e-11));
        }
    }
}

TEST_CASE("a mean velocity trained on a flow arrives on any schedule, each level told on its own",
          "[solver][flow_map][exact]") {
    const schedule::flow flow;
    // MeanFlow's U: (x_r - x_s) / (r - s), told s and r times 1000
    const auto network = [&](double x, const network_level& at) {
        CHECK(at.condition == 1000.0 * at.t);
        const level& r = at.to.value();
        CHECK(at.to->condition == 1000.0 * r.t);
        CHECK_THAT(r.alpha, WithinRel(1.0 - r.t, tol<double>::exact));
        const double y = exact_flow(x / at.alpha, at.sigma / at.alpha, r.sigma / r.alpha);
        return (r.alpha * y - x) / (r.t - at.t);
    };
    const denoiser model(network, prediction::flow_velocity, flow, {.time_scale = 1000.0});
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            for (const int steps : {1, 2, 5}) {
                INFO(s.name << ", " << steps << " steps");
                const levels_t levels = grid::karras(s.schedule, steps, {.sigma_max = 20.0, .last = last});
                const double y = 13.0;
                const level& from = levels.front();
                const level& to = levels.back();
                double x = from.alpha * y;
                CHECK(sample(solver::flow_map{}.plan(s.schedule, levels), model, x));
                CHECK_THAT(
                    x,
                    WithinRel(to.alpha * exact_flow(y, from.sigma / from.alpha, to.sigma / to.alpha), 1e-11));
            }
        }
    }
}

TEST_CASE("flow_map asks to go to r, on the plan's schedule", "[solver][flow_map][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 4);
        for (const double eta : {0.0, 0.6, 1.0}) {
            const plan p = solver::flow_map{.eta = eta}.plan(s.schedule, levels);
            for (std::size_t k = 0; k < p.calls.size(); ++k) {
                const level& t = levels[k + 1];
                const level r = p.calls[k].to.value();
                if (eta == 0.0) { CHECK(r == t); }
                CHECK_THAT(r.sigma / r.alpha, WithinAbs(std::sqrt(1.0 - eta * eta) * t.sigma / t.alpha,
                                                        1e-11 * t.sigma / t.alpha));
                CHECK(r.sigma == s.schedule.sigma(r.t));
            }
        }
        // who does not ask a flow map names no target
        for (const plan_call& call : solver::tcd{}.plan(s.schedule, levels).calls) { CHECK(!call.to); }
    }
}

TEST_CASE("flow_map with eta keeps the exact law: to r by the map, back to t by noise",
          "[solver][flow_map][exact]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 3);
    for (const double eta : {0.3, 1.0}) {
        const plan p = solver::flow_map{.eta = eta}.plan(vp, levels);
        REQUIRE(counts(p).draws == 3);
        const level& from = levels.front();
        const level& to = levels.back();
        std::vector<std::vector<double>> none(3, std::vector<double>{0.0});
        const double base = run_on_double(p, vp, from.alpha * mu, exact_map, nullptr, none);
        const double along = run_on_double(p, vp, from.alpha * mu + 1.0, exact_map, nullptr, none) - base;
        double variance = along * along * (from.alpha * from.alpha * v + from.sigma * from.sigma);
        for (std::size_t k = 0; k < 3; ++k) {
            std::vector<std::vector<double>> one = none;
            one[k][0] = 1.0;
            const double gain = run_on_double(p, vp, from.alpha * mu, exact_map, nullptr, one) - base;
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
