// SPDX-License-Identifier: MIT
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/res.hpp>

#include <cmath>
#include <string>

#include "order_checks.hpp"

using namespace tweedie;
using solver::difference;
using solver::form;
using solver::res;

namespace {

constexpr auto stages = res::stepping::single_step;

/// One step of RES 2s or 3s in data prediction by the tableau, on numbers; phi by its definition.
double by_the_tableau(const any_schedule& schedule, const level& s, const level& t, double x,
                      std::size_t order, double c2, double c3) {
    const double h = t.half_log_snr() - s.half_log_snr();
    const auto phi_1 = [](double z) { return std::expm1(z) / z; };
    const auto phi_2 = [&](double z) { return (phi_1(z) - 1.0) / z; };
    const auto at = [&](double c) { return at_half_log_snr(schedule, s.half_log_snr() + c * h); };
    const auto step = [&](const level& to, double weighted) {
        return to.sigma / s.sigma * x + to.alpha * h * weighted;
    };
    const double m0 = two_humps(x, s);
    const double m1 = two_humps(step(at(c2), c2 * phi_1(-c2 * h) * m0), at(c2));
    if (order == 2) {
        const double b2 = phi_2(-h) / c2;
        return step(t, (phi_1(-h) - b2) * m0 + b2 * m1);
    }
    const double gamma = (3.0 * c3 * c3 - 2.0 * c3) / (c2 * (2.0 - 3.0 * c2));
    const double a32 = gamma * c2 * phi_2(-c2 * h) + c3 * c3 / c2 * phi_2(-c3 * h);
    const double m2 = two_humps(step(at(c3), (c3 * phi_1(-c3 * h) - a32) * m0 + a32 * m1), at(c3));
    const double b3 = phi_2(-h) / (gamma * c2 + c3);
    const double b2 = gamma * b3;
    return step(t, (phi_1(-h) - b2 - b3) * m0 + b2 * m1 + b3 * m2);
}

}  // namespace

TEST_CASE("res in single steps is its tableau", "[solver][res][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = {at_half_log_snr(s.schedule, -1.1), at_half_log_snr(s.schedule, 0.2)};
        for (const std::size_t order : {2U, 3U}) {
            for (const double c2 : {0.5, 0.3, 1.0}) {
                for (const double c3 : {0.9, 2.0 / 3.0, 0.4}) {
                    INFO(s.name << ", order " << order << ", c2 " << c2 << ", c3 " << c3);
                    const res method{.order = order, .method = stages, .c2 = c2, .c3 = c3};
                    const double x = start_of(levels);
                    CHECK_THAT(
                        run_on_double(method.plan(s.schedule, levels), s.schedule, x, two_humps),
                        WithinRel(by_the_tableau(s.schedule, levels[0], levels[1], x, order, c2, c3), 1e-12));
                }
            }
        }
    }
}

TEST_CASE("res has its order on a variance-preserving schedule, EDM and a flow", "[solver][res][order]") {
    const std::vector<int> steps = {160, 320, 640};
    for (const named_schedule& s : order_schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            INFO(s.name << (predicts == form::data ? ", data" : ", noise"));
            const auto check = [&](res method, double order) {
                method.predicts = predicts;
                method.lower_order_final = false;
                CHECK_THAT(measured_order(method, s.schedule, steps), WithinAbs(order, 0.1));
            };
            check({.order = 2}, 2.0);
            check({.order = 3, .start = solver::start::single_step}, 3.0);
            check({.order = 2, .method = stages}, 2.0);
            check({.order = 2, .method = stages, .c2 = 0.8}, 2.0);
            check({.order = 3, .method = stages}, 3.0);
            check({.order = 3, .method = stages, .c2 = 0.3, .c3 = 0.8}, 3.0);
        }
    }
}

TEST_CASE("res is dpm_solver in its taylor form, and DPM-Solver-3 at c3 = 2/3", "[solver][res][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 7);
        for (const form predicts : {form::data, form::noise}) {
            INFO(s.name);
            for (const std::size_t order : {2U, 3U}) {
                const solver::dpm_solver taylor{
                    .order = order, .predicts = predicts, .variant = difference::taylor};
                CHECK(res{.order = order, .predicts = predicts}.plan(s.schedule, levels).calls ==
                      taylor.plan(s.schedule, levels).calls);
            }
            const solver::dpm_solver_singlestep second{.order = 2,
                                                       .predicts = predicts,
                                                       .variant = difference::taylor,
                                                       .nodes = solver::inner_nodes::own};
            CHECK(res{.order = 2, .method = stages, .predicts = predicts}.plan(s.schedule, levels).calls ==
                  second.plan(s.schedule, levels).calls);
            const solver::dpm_solver_singlestep third{
                .order = 3, .predicts = predicts, .nodes = solver::inner_nodes::own};
            const res own{
                .order = 3, .method = stages, .predicts = predicts, .c2 = 1.0 / 3.0, .c3 = 2.0 / 3.0};
            CHECK_THAT(end_of(own.plan(s.schedule, levels), s.schedule),
                       WithinRel(end_of(third.plan(s.schedule, levels), s.schedule), 1e-12));
        }
    }
}

TEST_CASE("res costs what it declares, and one call at the two ends", "[solver][res][cost]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 4);
        const std::size_t ends = levels.front().alpha == 0.0 ? 2 : 1;
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {2U, 3U}) {
                const plan many =
                    res{.order = order, .method = stages, .predicts = predicts}.plan(s.schedule, levels);
                CHECK(counts(many).network_calls == (4 - ends) * order + ends);
                CHECK(counts(many).live_tensors == order);
                CHECK(std::isfinite(end_of(many, s.schedule)));
                const plan one = res{.order = order, .predicts = predicts}.plan(s.schedule, levels);
                CHECK(counts(one).network_calls == 4);
                CHECK(std::isfinite(end_of(one, s.schedule)));
            }
        }
    }
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 3);
    CHECK(counts(res{.method = stages, .euler_at_final = true}.plan(edm, levels)).network_calls == 5);
}

TEST_CASE("res refuses what it cannot do", "[solver][res][errors]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 3);
    const auto message = [&](const res& method) {
        return refusal([&] { static_cast<void>(method.plan(edm, levels)); });
    };
    for (const std::size_t order : {0U, 1U, 4U}) {
        CHECK(message({.order = order}) == "res: order must be 2 or 3");
    }
    for (const double bad : {not_a_number, 0.0, -0.5, 1.01, infinity}) {
        CHECK(message({.c2 = bad}) == "res: c2 must lie in (0, 1]");
        CHECK(message({.c3 = bad}) == "res: c3 must lie in (0, 1]");
    }
    const std::string rule = "res: order 3 needs c2 other than 2/3 and c3";
    CHECK(message({.order = 3, .method = stages, .c2 = 2.0 / 3.0}) == rule);
    CHECK(message({.order = 3, .method = stages, .c2 = 0.4, .c3 = 0.4}) == rule);
    CHECK(message({.order = 3, .c2 = 0.4, .c3 = 0.4}).empty());  // a multistep method has no stages
}
