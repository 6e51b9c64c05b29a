// SPDX-License-Identifier: MIT
#include <tweedie/solver/dpm_solver.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "order_checks.hpp"

using namespace tweedie;
using solver::difference;
using solver::form;

namespace {

constexpr auto single_step = solver::start::single_step;
constexpr double same = 1e-13;  // the same coefficients by another formula

/// DPM-Solver++ of order 1 to 3 as in the authors' code, on numbers; D2 with its factor 2, or 1 as published.
double by_the_paper(const levels_t& levels, double x, std::size_t order, double factor) {
    std::vector<double> m;
    std::vector<double> lambda;
    for (const level& l : levels) { lambda.push_back(l.half_log_snr()); }
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const level& s = levels[i];
        const level& t = levels[i + 1];
        m.push_back(two_humps(x, s));
        const double h = lambda[i + 1] - lambda[i];
        const double phi_1 = std::expm1(-h);
        x = t.sigma / s.sigma * x - t.alpha * phi_1 * m[i];
        const std::size_t now = std::min(order, i + 1);
        if (now == 1) { continue; }
        const double r0 = (lambda[i] - lambda[i - 1]) / h;
        const double d1_0 = (m[i] - m[i - 1]) / r0;
        if (now == 2) {
            x -= 0.5 * t.alpha * phi_1 * d1_0;
            continue;
        }
        const double r1 = (lambda[i - 1] - lambda[i - 2]) / h;
        const double d1_1 = (m[i - 1] - m[i - 2]) / r1;
        const double d1 = d1_0 + r0 / (r0 + r1) * (d1_0 - d1_1);
        const double d2 = factor * (d1_0 - d1_1) / (r0 + r1);
        const double phi_2 = phi_1 / h + 1.0;
        x += t.alpha * phi_2 * d1 - t.alpha * (phi_2 / h - 0.5) * d2;
    }
    return x;
}

}  // namespace

TEST_CASE("dpm_solver is the one of the paper, with the factor 2 in the second difference",
          "[solver][dpm_solver][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 9);
        const double x = start_of(levels);
        for (const std::size_t order : {1U, 2U, 3U}) {
            for (const bool peer : {false, true}) {
                INFO(s.name << ", order " << order << (peer ? ", peer" : ""));
                const solver::dpm_solver method{
                    .order = order, .lower_order_final = false, .peer_formula = peer};
                CHECK_THAT(run_on_double(method.plan(s.schedule, levels), s.schedule, x, two_humps),
                           WithinRel(by_the_paper(levels, x, order, peer ? 1.0 : 2.0), 1e-11));
            }
        }
        CHECK(std::abs(by_the_paper(levels, x, 3, 1.0) - by_the_paper(levels, x, 3, 2.0)) > 1e-5);
    }
}

TEST_CASE("dpm_solver has its order on a variance-preserving schedule, EDM and a flow",
          "[solver][dpm_solver][order]") {
    const std::vector<int> steps = {40, 80, 160};
    const std::vector<int> many = {160, 320, 640};  // where order 3 and noise prediction have settled
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        const auto check = [&](const solver::dpm_solver& method, double order, const std::vector<int>& n) {
            CHECK_THAT(measured_order(method, s.schedule, n), WithinAbs(order, 0.1));
        };
        check({.order = 1}, 1.0, steps);
        check({.lower_order_final = false}, 2.0, steps);
        check({.variant = difference::taylor, .lower_order_final = false}, 2.0, steps);
        check({.predicts = form::noise, .lower_order_final = false}, 2.0, many);
        check({.order = 3, .lower_order_final = false, .start = single_step}, 3.0, many);
        check({.order = 3, .predicts = form::noise, .lower_order_final = false, .start = single_step}, 3.0,
              many);
        // one step of first order at the end
        check({.lower_order_final = true}, 2.0, many);
        check({.order = 3, .lower_order_final = false, .euler_at_final = true, .start = single_step}, 2.0,
              {640, 1280, 2560});
    }
}

TEST_CASE("a start with its own lower orders costs the third order, the published D2 does so from any start",
          "[solver][dpm_solver][order]") {
    const schedule::vp_linear vp;
    const std::vector<int> steps = {160, 320, 640};
    const solver::dpm_solver third{.order = 3, .lower_order_final = false};
    CHECK_THAT(measured_order(third, vp, steps), WithinAbs(2.0, 0.1));
    solver::dpm_solver published = third;
    published.start = single_step;
    published.peer_formula = true;
    CHECK_THAT(measured_order(published, vp, steps), WithinAbs(2.0, 0.1));
}

TEST_CASE("in noise prediction dpm_solver starts at pure noise like in data prediction",
          "[solver][dpm_solver][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = grid::karras(s.schedule, 5);
        if (levels.front().alpha != 0.0) { continue; }
        for (const std::size_t order : {1U, 2U, 3U}) {
            INFO(s.name << ", order " << order);
            std::vector<double> noise;
            std::vector<double> data;
            const double x = start_of(levels);
            const auto plan_of = [&](form predicts) {
                return solver::dpm_solver{.order = order, .predicts = predicts, .lower_order_final = false}
                    .plan(s.schedule, levels);
            };
            const double end = run_on_double(plan_of(form::noise), s.schedule, x, two_humps, &noise);
            static_cast<void>(run_on_double(plan_of(form::data), s.schedule, x, two_humps, &data));
            CHECK(std::isfinite(end));
            CHECK_THAT(noise.at(1), WithinRel(data.at(1), same));  // the limit of DDIM
        }
    }
}

TEST_CASE("dpm_solver inverts: there and back ends where it began, to its order",
          "[solver][dpm_solver][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            const auto error = [&](std::size_t order, int steps) {
                const solver::dpm_solver method{
                    .order = order, .predicts = predicts, .lower_order_final = false, .start = single_step};
                const levels_t down = interior_levels(s.schedule, steps, 5.0, 0.2);
                const levels_t up(down.rbegin(), down.rend());
                const double x = 0.3 * up.front().alpha;
                const double noisy = run_on_double(method.plan(s.schedule, up), s.schedule, x, smooth_humps);
                const double back =
                    run_on_double(method.plan(s.schedule, down), s.schedule, noisy, smooth_humps);
                return std::abs(back - x) / up.front().alpha;
            };
            INFO(s.name << (predicts == form::data ? ", data" : ", noise"));
            CHECK_THAT(std::log2(error(1, 160) / error(1, 320)), WithinAbs(1.0, 0.2));
            CHECK_THAT(std::log2(error(2, 160) / error(2, 320)), WithinAbs(2.0, 0.2));
            CHECK_THAT(std::log2(error(3, 160) / error(3, 320)), WithinAbs(3.0, 0.2));
        }
    }
}

TEST_CASE("options of dpm_solver lower the order of the steps they say", "[solver][dpm_solver][identity]") {
    const schedule::vp_cosine vp;
    const levels_t levels = interior_levels(vp, 8);
    const auto plan_of = [&](const solver::dpm_solver& method) { return method.plan(vp, levels); };
    const plan full = plan_of({.order = 3, .lower_order_final = false});
    const plan lower = plan_of({.order = 3});
    const plan euler = plan_of({.order = 3, .lower_order_final = false, .euler_at_final = true});
    const plan second = plan_of({.order = 2, .lower_order_final = false});
    const plan first = plan_of({.order = 1});
    const auto weights = [](const plan& p, std::size_t call) { return p.calls[call].then.rows[0].weights; };
    // order 3 reads x, two old predictions and the output; order 2 one less; order 1 none
    CHECK(weights(full, 7).size() == 4);
    CHECK(weights(euler, 6) == weights(full, 6));
    CHECK(weights(euler, 7) == weights(first, 7));
    CHECK(weights(lower, 5) == weights(full, 5));
    CHECK(weights(lower, 6) == weights(second, 6));
    CHECK(weights(lower, 7) == weights(first, 7));
    // a step to sigma = 0 is of first order in any case
    const levels_t clean = grid::karras(vp, 4);
    CHECK(solver::dpm_solver{.order = 3, .lower_order_final = false}
              .plan(vp, clean)
              .calls.back()
              .then.rows[0]
              .weights == std::vector<double>{0.0, 1.0});
}

TEST_CASE("dpm_solver costs what it declares", "[solver][dpm_solver][cost]") {
    const schedule::vp_linear vp;
    const auto cost = [&](const solver::dpm_solver& method, int steps) {
        return counts(method.plan(vp, grid::karras(vp, steps, {.last = grid::final_level::sigma_min})));
    };
    for (const std::size_t order : {1U, 2U, 3U}) {
        const solver::dpm_solver method{.order = order, .lower_order_final = false};
        for (const std::size_t n : {1U, 2U, 3U, 20U}) {
            CHECK(cost(method, static_cast<int>(n)).network_calls == n);
        }
        CHECK(cost(method, 20).live_tensors == order);
        // of a step in the middle; an old prediction that only moves is not written
        CHECK(cost(method, 21).reads - cost(method, 20).reads == order + 1);
        CHECK(cost(method, 21).writes - cost(method, 20).writes == 1);
    }
    solver::dpm_solver start{.order = 3, .lower_order_final = false, .start = single_step};
    CHECK(cost(start, 20).network_calls == 21);
    CHECK(cost(start, 20).live_tensors == 3);
    CHECK(cost(start, 21).reads - cost(start, 20).reads == 4);
    start.order = 2;
    CHECK(cost(start, 20).network_calls == 20);
    start = {.order = 3, .start = single_step};  // no step is of order 3 where the last two are lowered
    CHECK(cost(start, 2).network_calls == 2);
    CHECK(cost(start, 3).network_calls == 4);
}

TEST_CASE("dpm_solver refuses what it cannot do", "[solver][dpm_solver][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const std::size_t order : {std::size_t{0}, std::size_t{4}, static_cast<std::size_t>(-1)}) {
        CHECK(refusal([&] { static_cast<void>(solver::dpm_solver{.order = order}.plan(edm, good)); }) ==
              "dpm_solver: order must lie in [1, 3]");
    }
    const levels_t twice = {good[0], good[1], good[1]};
    CHECK(refusal([&] { static_cast<void>(solver::dpm_solver{}.plan(edm, twice)); }) ==
          "dpm_solver: level 2: half_log_snr must increase from level to level");
}
