// SPDX-License-Identifier: MIT
#include <tweedie/grid/uniform.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/lms.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;
using steps = solver::ipndm::steps;

/// iPNDM of order 4 as written, on VE.
double as_written(const levels_t& levels, double x) {
    std::vector<double> slopes;
    const auto d = [&](std::size_t age) { return slopes[slopes.size() - 1 - age]; };
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const double sigma = levels[i].sigma;
        slopes.push_back((x - smooth_humps(x, levels[i])) / sigma);
        const double h = levels[i + 1].sigma - sigma;
        if (i == 0) {
            x += h * d(0);
        } else if (i == 1) {
            x += h * (3 * d(0) - d(1)) / 2;
        } else if (i == 2) {
            x += h * (23 * d(0) - 16 * d(1) + 5 * d(2)) / 12;
        } else {
            x += h * (55 * d(0) - 59 * d(1) + 37 * d(2) - 9 * d(3)) / 24;
        }
    }
    return x;
}

}  // namespace

TEST_CASE("ipndm is the published method on VE, and the same in x / alpha on every schedule",
          "[solver][ipndm][exact]") {
    const schedule::edm edm;
    const levels_t on_edm = grid::karras(edm, 8, {.sigma_max = 20.0, .sigma_min = 0.05});
    const double end = as_written(on_edm, 24.0);
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 8, {.sigma_max = 20.0, .sigma_min = 0.05});
        const plan p = solver::ipndm{}.plan(s.schedule, levels);
        const double x = run_on_double(p, s.schedule, 24.0 * levels.front().alpha, smooth_humps);
        CHECK_THAT(x / levels.back().alpha, WithinRel(end, 1e-9));  // kappa through each schedule's time
    }
}

TEST_CASE("ipndm with variable steps is lms, with and without a single-step start",
          "[solver][ipndm][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 9);
        for (std::size_t order = 1; order <= 4; ++order) {
            for (const auto start : {solver::start::multistep, solver::start::single_step}) {
                const solver::ipndm one{.order = order, .variant = steps::variable, .start = start};
                CHECK(one.plan(s.schedule, levels).calls ==
                      solver::lms{.order = order, .start = start}.plan(s.schedule, levels).calls);
            }
        }
    }
}

TEST_CASE("ipndm with constant weights is Adams-Bashforth where the steps in kappa are equal",
          "[solver][ipndm][identity]") {
    const schedule::edm edm;
    const levels_t levels = grid::uniform(edm, 8, {.sigma_max = 4.0});
    for (std::size_t order = 1; order <= 4; ++order) {
        const plan one = solver::ipndm{.order = order}.plan(edm, levels);
        const plan two = solver::ipndm{.order = order, .variant = steps::variable}.plan(edm, levels);
        CHECK_THAT(end_of(one, edm), WithinRel(end_of(two, edm), tol<double>::identity));
    }
}

TEST_CASE("ipndm is of second order with constant weights, of its own with variable ones",
          "[solver][ipndm][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        for (const std::size_t order : {2U, 3U, 4U}) {
            CHECK_THAT(measured_order(solver::ipndm{.order = order}, s.schedule, {160, 320, 640}),
                       WithinAbs(2.0, 0.1));
        }
        const solver::ipndm four{.variant = steps::variable, .start = solver::start::single_step};
        CHECK_THAT(measured_order(four, s.schedule, {160, 320, 640}), WithinAbs(4.0, 0.1));
    }
}

TEST_CASE("ipndm inverts with its order", "[solver][ipndm][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::ipndm{}, s.schedule, {160, 320, 640}, inversion),
                   WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("from pure noise ipndm keeps x0_hat, its published form does not", "[solver][ipndm][peer]") {
    const schedule::flow flow;
    const levels_t levels = grid::uniform(flow, 6);
    const plan ours = solver::ipndm{}.plan(flow, levels);
    const plan published = solver::ipndm{.peer_formula = true}.plan(flow, levels);
    const auto constant = [](double, const level&) { return 2.0; };
    std::vector<double> states;
    static_cast<void>(run_on_double(ours, flow, 0.5, constant, &states));
    CHECK_THAT(states.at(1), WithinRel(levels[1].alpha * 2.0 + levels[1].sigma * 0.5, same));
    static_cast<void>(run_on_double(published, flow, 0.5, constant, &states));
    CHECK_THAT(states.at(7), WithinRel(levels[1].sigma * 0.5, same));
    // anywhere else they are one
    const levels_t later(levels.begin() + 1, levels.end());
    CHECK(solver::ipndm{.peer_formula = true}.plan(flow, later).calls ==
          solver::ipndm{}.plan(flow, later).calls);
}

TEST_CASE("ipndm costs one call a step and as many tensors as its order", "[solver][ipndm][cost]") {
    const schedule::vp_linear vp;
    for (std::size_t order = 1; order <= 4; ++order) {
        const plan_counts c = counts(solver::ipndm{.order = order}.plan(vp, grid::karras(vp, 10)));
        CHECK((c.network_calls == 10 && c.live_tensors == order && c.draws == 0));
    }
}

TEST_CASE("ipndm refuses orders outside 1 to 4, and a published formula that does not exist",
          "[solver][ipndm][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const std::size_t order : {std::size_t{0}, std::size_t{5}, static_cast<std::size_t>(-1)}) {
        CHECK(refusal([&] { static_cast<void>(solver::ipndm{.order = order}.plan(edm, good)); }) ==
              "ipndm: order must lie in [1, 4]");
    }
    const solver::ipndm none{.variant = solver::ipndm::steps::variable, .peer_formula = true};
    CHECK(refusal([&] { static_cast<void>(none.plan(edm, good)); }) ==
          "ipndm: peer_formula exists for constant steps only");
    CHECK(refusal([&] { static_cast<void>(solver::ipndm{}.plan(edm, {})); }) ==
          "ipndm: need at least two levels, where to start and where to end");
}
