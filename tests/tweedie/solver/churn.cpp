// SPDX-License-Identifier: MIT

// Churn, and the two methods that take it: euler, and heun with its second slope anywhere.

#include <tweedie/solver/churn.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/midpoint.hpp>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

namespace {

constexpr double same = 1e-13;  // the same numbers by another formula

double kappa_of(const level& l) { return l.sigma / l.alpha; }

/// Draws of a plan with churn at N steps.
std::size_t draws_of(const solver::churn& c, const any_schedule& schedule, const levels_t& levels) {
    return counts(solver::heun{.churn = c}.plan(schedule, levels)).draws;
}

}  // namespace

TEST_CASE("churn raises sigma / alpha by the paper's gamma, inside its window alone",
          "[solver][churn][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const level from = at_half_log_snr(s.schedule, 0.3);
        const double kappa = std::exp(-0.3);
        const auto factor = [&](const solver::churn& c, std::size_t steps) {
            return kappa_of(solver::churned_level(c, s.schedule, from, steps)) / kappa_of(from);
        };
        CHECK_THAT(factor({.s_churn = 3.0}, 10), WithinRel(1.3, same));
        CHECK_THAT(factor({.s_churn = 3.0}, 100), WithinRel(1.03, same));
        CHECK_THAT(factor({.s_churn = 9.0}, 10), WithinRel(std::sqrt(2.0), same));
        CHECK_THAT(factor({.s_churn = infinity}, 10), WithinRel(std::sqrt(2.0), same));
        CHECK_THAT(factor({.s_churn = 3.0, .s_tmin = 0.9 * kappa, .s_tmax = 1.1 * kappa}, 10),
                   WithinRel(1.3, same));
        CHECK(factor({}, 10) == 1.0);
        CHECK(factor({.s_churn = 3.0, .s_tmin = 1.1 * kappa}, 10) == 1.0);
        CHECK(factor({.s_churn = 3.0, .s_tmax = 0.9 * kappa}, 10) == 1.0);
    }
}

TEST_CASE("churn never raises beyond what a schedule knows, and leaves pure noise alone",
          "[solver][churn][exact]") {
    const solver::churn c{.s_churn = 3.0};
    const schedule::vp_linear vp;
    const level noisy = at(vp, 1.0);
    CHECK(solver::churned_level(c, vp, noisy, 10) == noisy);
    CHECK(solver::churned_level(c, vp, at(vp, 0.99), 10) == noisy);
    const schedule::discrete table = schedule::discrete::linear();
    CHECK(solver::churned_level(c, table, at(table, 998.0), 10) == at(table, 999.0));
    const schedule::flow flow;
    CHECK(solver::churned_level(c, flow, at(flow, 1.0), 10) == at(flow, 1.0));
    const schedule::edm edm;  // has no end
    CHECK_THAT(solver::churned_level(c, edm, at(edm, 80.0), 10).sigma, WithinRel(104.0, same));
}

TEST_CASE("the churned state has exactly the law of its level", "[solver][churn][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 8);
        for (const double s_noise : {1.0, 1.007}) {
            const plan p =
                solver::euler{.churn = {.s_churn = 2.0, .s_noise = s_noise}}.plan(s.schedule, levels);
            const level from = levels[0];
            const level raised = p.calls[0].at;
            REQUIRE(p.start.rows.size() == 1);
            const double keep = p.start.rows[0].weights.at(0);
            const double noise = p.start.rows[0].weights.at(1) / s_noise;
            CHECK_THAT(keep * from.alpha, WithinRel(raised.alpha, same));
            CHECK_THAT(keep * keep * from.sigma * from.sigma + noise * noise,
                       WithinRel(raised.sigma * raised.sigma, same));
        }
    }
}

TEST_CASE("without churn, or outside its window, euler and heun are what they were",
          "[solver][churn][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 6);
        for (const solver::churn& c :
             {solver::churn{.s_churn = 0.0, .s_noise = 1.01}, solver::churn{.s_churn = 5.0, .s_tmin = 9.0},
              solver::churn{.s_churn = 5.0, .s_tmax = 0.05}}) {
            CHECK(solver::euler{.churn = c}.plan(s.schedule, levels).calls ==
                  solver::euler{}.plan(s.schedule, levels).calls);
            CHECK(solver::heun{.churn = c}.plan(s.schedule, levels).calls ==
                  solver::heun{}.plan(s.schedule, levels).calls);
        }
        CHECK(solver::heun{.churn = {.s_churn = 5.0}}.plan(s.schedule, levels).calls !=
              solver::heun{}.plan(s.schedule, levels).calls);
    }
    const schedule::edm edm;
    const levels_t levels = warm_levels(edm, 3);
    CHECK(solver::heun{}.plan(edm, levels).solver == "heun");
    CHECK(solver::heun{.alpha = 0.5, .churn = {.s_churn = 5.0, .s_tmin = 0.1, .s_tmax = 2.0, .s_noise = 1.01}}
              .plan(edm, levels)
              .solver == "heun(alpha=0.5, churn=5 from 0.1 to 2 s_noise=1.01)");
}

TEST_CASE("heun with alpha = 1/2 is the midpoint method", "[solver][heun][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 7);
        const plan half = solver::heun{.alpha = 0.5}.plan(s.schedule, levels);
        const plan middle = solver::midpoint{}.plan(s.schedule, levels);
        for (const double x : {-2.0, 0.7}) {
            CHECK_THAT(law::run(half, x, two_humps), WithinRel(law::run(middle, x, two_humps), 1e-12));
        }
    }
}

TEST_CASE("heun is of second order wherever its second slope is taken", "[solver][heun][order]") {
    for (const named_schedule& s : families()) {
        for (const double alpha : {1.0, 2.0 / 3.0, 0.5, 0.3}) {
            INFO(s.name << ", alpha " << alpha);
            CHECK_THAT(flow_order(solver::heun{.alpha = alpha}, s.schedule, 200), WithinAbs(2.0, 0.1));
        }
    }
}

TEST_CASE("with churn the law converges with the order of the method", "[solver][churn][order]") {
    for (const named_schedule& s : families()) {
        for (const double s_churn : {2.0, 20.0}) {
            INFO(s.name << ", s_churn " << s_churn);
            CHECK_THAT(order(solver::euler{.churn = {.s_churn = s_churn}}, s.schedule, 320),
                       WithinAbs(1.0, 0.1));
            CHECK_THAT(order(solver::heun{.churn = {.s_churn = s_churn}}, s.schedule, 320),
                       WithinAbs(2.0, 0.1));
            CHECK_THAT(
                order(solver::heun{.alpha = 2.0 / 3.0, .churn = {.s_churn = s_churn}}, s.schedule, 640),
                WithinAbs(2.0, 0.1));
        }
    }
}

TEST_CASE("churn costs one draw per churned step and no network call", "[solver][churn][cost]") {
    const schedule::edm edm;
    const levels_t levels = grid::karras(edm, 10);
    CHECK(draws_of({}, edm, levels) == 0);
    CHECK(draws_of({.s_churn = 3.0}, edm, levels) == 10);
    CHECK(draws_of({.s_churn = 3.0, .s_noise = 0.0}, edm, levels) == 0);
    std::size_t inside = 0;
    for (std::size_t i = 0; i < 10; ++i) {
        inside += levels[i].sigma >= 0.05 && levels[i].sigma <= 10.0 ? 1U : 0U;
    }
    CHECK(draws_of({.s_churn = 3.0, .s_tmin = 0.05, .s_tmax = 10.0}, edm, levels) == inside);
    CHECK(counts(solver::heun{.churn = {.s_churn = 3.0}}.plan(edm, levels)).network_calls == 19);
    CHECK(counts(solver::euler{.churn = {.s_churn = 3.0}}.plan(edm, levels)).network_calls == 10);
    CHECK(counts(solver::euler{.churn = {.s_churn = 3.0}}.plan(edm, levels)).live_tensors == 1);
    check_short_plans(solver::euler{.churn = {.s_churn = 1.0}});
    check_short_plans(solver::heun{.alpha = 2.0 / 3.0, .churn = {.s_churn = 1.0}});
}

TEST_CASE("churn out of range is refused", "[solver][churn][errors]") {
    for (const double bad : {-1.0, not_a_number}) {
        CHECK(refused(solver::euler{.churn = {.s_churn = bad}}) == "euler: churn.s_churn must be >= 0");
        CHECK(refused(solver::heun{.churn = {.s_tmin = bad}}) == "heun: churn.s_tmin must be >= 0");
        CHECK(refused(solver::heun{.churn = {.s_tmax = bad}}) == "heun: churn.s_tmax must be >= s_tmin");
        CHECK(refused(solver::heun{.churn = {.s_noise = bad}}) ==
              "heun: churn.s_noise must be finite and not negative");
    }
    CHECK(refused(solver::heun{.churn = {.s_tmin = 2.0, .s_tmax = 1.0}}) ==
          "heun: churn.s_tmax must be >= s_tmin");
    CHECK(refused(solver::euler{.churn = {.s_noise = infinity}}) ==
          "euler: churn.s_noise must be finite and not negative");
    for (const double bad : {0.0, -0.5, 1.0000001, not_a_number}) {
        CHECK(refused(solver::heun{.alpha = bad}) == "heun: alpha must lie in (0, 1]");
    }
}
