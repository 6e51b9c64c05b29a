// SPDX-License-Identifier: MIT
#include <tweedie/grid/uniform.hpp>
#include <tweedie/solver/fireflow.hpp>
#include <tweedie/solver/midpoint.hpp>

#include <algorithm>
#include <cmath>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;

/// The velocity of the probability flow in native time.
double velocity(const any_schedule& schedule, double x, double t) {
    const level l = at(schedule, t);
    const double x0 = smooth_humps(x, l);
    return schedule.alpha_rate(t) * x0 + schedule.sigma_rate(t) * (x - l.alpha * x0) / l.sigma;
}

/// RF-Solver as written: a Taylor step with the derivative of the velocity by a finite difference.
double rf_solver(const any_schedule& schedule, const levels_t& levels, double x) {
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const double t = levels[i].t;
        const double h = levels[i + 1].t - t;
        const double u = velocity(schedule, x, t);
        const double u_mid = velocity(schedule, x + h / 2 * u, t + h / 2);
        const double derivative = (u_mid - u) / (h / 2);
        x = x + h * u + h * h / 2 * derivative;
    }
    return x;
}

}  // namespace

TEST_CASE("midpoint is RF-Solver, to the clean end and on a curved schedule",
          "[solver][midpoint][identity]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        levels_t levels = interior_levels(s.schedule, 8);
        if (s.name != "vp_linear") { levels = grid::karras(s.schedule, 8); }
        const double x = start_of(levels);
        const double mine =
            run_on_double(solver::midpoint{}.plan(s.schedule, levels), s.schedule, x, smooth_humps);
        // RF-Solver's difference quotient loses digits that the midpoint rule keeps
        CHECK_THAT(mine, WithinRel(rf_solver(s.schedule, levels, x), 1e-12));
    }
}

TEST_CASE("fireflow takes the velocity of the last midpoint for the first one", "[solver][fireflow][exact]") {
    const schedule::flow flow;
    const levels_t levels = grid::uniform(flow, 4);
    double x = 0.8;
    double v = velocity(flow, x, levels[0].t);
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const double h = levels[i + 1].t - levels[i].t;
        v = velocity(flow, x + h / 2 * v, levels[i].t + h / 2);
        x += h * v;
    }
    CHECK_THAT(run_on_double(solver::fireflow{}.plan(flow, levels), flow, 0.8, smooth_humps),
               WithinRel(x, same));
}

TEST_CASE("the first step of fireflow is midpoint's", "[solver][fireflow][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 1);
        const plan one = solver::fireflow{}.plan(s.schedule, levels);
        check_same_passes(one, solver::midpoint{}.plan(s.schedule, levels), same);
        CHECK_THAT(end_of(one, s.schedule),
                   WithinRel(end_of(solver::midpoint{}.plan(s.schedule, levels), s.schedule), same));
    }
}

TEST_CASE("midpoint and fireflow are of second order in time", "[solver][midpoint][fireflow][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::midpoint{}, s.schedule, {80, 160, 320}), WithinAbs(2.0, 0.1));
        CHECK_THAT(measured_order(solver::fireflow{}, s.schedule, {80, 160, 320}), WithinAbs(2.0, 0.1));
        CHECK_THAT(measured_order(solver::euler{}, s.schedule, {80, 160, 320}), WithinAbs(1.0, 0.1));
    }
}

TEST_CASE("midpoint and fireflow invert: there and back errs by third order, their own errors cancel",
          "[solver][midpoint][fireflow][inversion]") {
    const schedule::flow flow;
    const auto round_trip = [&](const auto& solver, int n) {
        levels_t down;
        for (int i = 0; i <= n; ++i) { down.push_back(at(flow, 0.95 - 0.9 * i / n)); }
        const levels_t up(down.rbegin(), down.rend());
        double worst = 0.0;
        for (const double x : {-1.1, -0.4, 0.2, 0.9}) {
            const double noise = run_on_double(solver.plan(flow, up), flow, x, smooth_humps);
            const double back = run_on_double(solver.plan(flow, down), flow, noise, smooth_humps);
            worst = std::max(worst, std::abs(back - x));
        }
        return worst;
    };
    const auto order = [&](const auto& solver) {
        return std::log2(round_trip(solver, 128) / round_trip(solver, 256));
    };
    CHECK_THAT(order(solver::midpoint{}), WithinAbs(3.0, 0.1));
    CHECK_THAT(order(solver::fireflow{}), WithinAbs(3.0, 0.1));
    CHECK(round_trip(solver::midpoint{}, 32) < round_trip(solver::fireflow{}, 32));
    // a clean sample does not determine its noise
    const levels_t from_clean = {at(flow, 0.0), at(flow, 0.5)};
    CHECK(refusal([&] { static_cast<void>(solver::midpoint{}.plan(flow, from_clean)); }) ==
          "midpoint: level 0: levels that rise in noise need sigma > 0 and alpha > 0");
}

TEST_CASE(
    "midpoint ends at sigma = 0 as a midpoint where sigma is smooth in time, else in the data prediction",
    "[solver][midpoint][fireflow]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 3, {.sigma_max = 20.0});
        const bool smooth = s.name == "edm" || s.name == "trig" || s.name.starts_with("flow");
        CHECK(counts(solver::midpoint{}.plan(s.schedule, levels)).network_calls == (smooth ? 6 : 5));
        CHECK(counts(solver::fireflow{}.plan(s.schedule, levels)).network_calls == 4);
        const levels_t one = grid::karras(s.schedule, 1, {.sigma_max = 20.0});
        CHECK(counts(solver::fireflow{}.plan(s.schedule, one)).network_calls == (smooth ? 2 : 1));
        if (!smooth) {
            CHECK(solver::midpoint{}.plan(s.schedule, one).calls[0].then.rows[0].weights ==
                  std::vector<double>{0.0, one.back().alpha});
        }
    }
}

TEST_CASE("midpoint holds two tensors and asks twice a step, fireflow once and once more at the start",
          "[solver][midpoint][fireflow][cost]") {
    const schedule::flow flow;
    for (const std::size_t n : {1U, 2U, 3U, 10U}) {
        const levels_t levels = grid::karras(flow, static_cast<int>(n));
        const plan_counts two = counts(solver::midpoint{}.plan(flow, levels));
        CHECK((two.network_calls == 2 * n && two.draws == 0 && two.live_tensors == 2));
        const plan_counts one = counts(solver::fireflow{}.plan(flow, levels));
        CHECK((one.network_calls == n + 1 && one.draws == 0 && one.live_tensors == 2));
    }
}

TEST_CASE("midpoint and fireflow refuse levels that cannot be walked",
          "[solver][midpoint][fireflow][errors]") {
    const schedule::edm edm;
    const levels_t one = {{1.0, 1.0, 1.0}};
    CHECK(refusal([&] { static_cast<void>(solver::midpoint{}.plan(edm, one)); }) ==
          "midpoint: need at least two levels, where to start and where to end");
    CHECK(refusal([&] { static_cast<void>(solver::fireflow{}.plan(edm, one)); }) ==
          "fireflow: need at least two levels, where to start and where to end");
}
