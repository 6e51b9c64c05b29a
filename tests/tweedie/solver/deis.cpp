// SPDX-License-Identifier: MIT
#include <tweedie/solver/deis.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/lms.hpp>

#include <algorithm>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;
using variable = solver::deis::variable;

solver::deis full(std::size_t order, variable variant) {
    return {
        .order = order, .variant = variant, .start = solver::start::single_step, .lower_order_final = false};
}

/// Exact where eps_hat is a polynomial of degree 2 in `time`: the weights must give its integral over kappa.
double time_integral(const any_schedule& schedule, double from, double to,
                     const std::function<double(double)>& f) {
    constexpr int n = 200000;  // midpoint rule in ln kappa, error of a few 1e-10
    const double h = (to - from) / n;
    double sum = 0.0;
    for (int i = 0; i < n; ++i) {
        const double lambda = from + (i + 0.5) * h;
        sum -= std::exp(-lambda) * h * f(schedule.time_at(lambda));
    }
    return sum;
}

}  // namespace

TEST_CASE("deis of order 1 is ddim in every variable, on every schedule", "[solver][deis][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::karras(s.schedule, 7, {.last = last});
            const double ddim = end_of(solver::ddim{}.plan(s.schedule, levels), s.schedule);
            for (const variable v : {variable::time, variable::rho, variable::log_rho}) {
                const solver::deis one{.order = 1, .variant = v};
                CHECK_THAT(end_of(one.plan(s.schedule, levels), s.schedule), WithinRel(ddim, same));
            }
        }
    }
}

TEST_CASE("deis in rho is lms", "[solver][deis][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 9);
        for (std::size_t order = 1; order <= 4; ++order) {
            CHECK(full(order, variable::rho).plan(s.schedule, levels).calls ==
                  solver::lms{.order = order, .start = solver::start::single_step}
                      .plan(s.schedule, levels)
                      .calls);
        }
    }
}

TEST_CASE(
    "deis in time is deis in rho on EDM, whose time is rho, and in log_rho on VE, whose time is its "
    "logarithm",
    "[solver][deis][identity]") {
    const schedule::edm edm;
    const schedule::ve ve;
    for (std::size_t order = 1; order <= 4; ++order) {
        INFO("order " << order);
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            const levels_t levels = grid::karras(edm, 8, {.last = last});
            // polynomials in e^-lambda over long steps: the quadrature is exact to about 1e-12 of the weights
            CHECK_THAT(end_of(full(order, variable::time).plan(edm, levels), edm),
                       WithinRel(end_of(full(order, variable::rho).plan(edm, levels), edm), 1e-10));
        }
        const levels_t levels = grid::karras(ve, 8, {.last = grid::final_level::sigma_min});
        CHECK_THAT(end_of(full(order, variable::time).plan(ve, levels), ve),
                   WithinRel(end_of(full(order, variable::log_rho).plan(ve, levels), ve), 1e-10));
    }
}

TEST_CASE("deis in log_rho is the exponential integrator in noise prediction", "[solver][deis][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 8);
        plan_writer p("multistep in noise prediction", levels);
        plan_variable x = p.state();
        plan_history m = p.remember("eps_hat", 3);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [from, to] = p.step(i);
            m.push(p.noise_prediction(x, from));
            std::vector<solver::exponential_node> nodes;
            for (std::size_t j = 0; j < m.size(); ++j) {
                nodes.push_back({levels[i - j].half_log_snr(), m[j]});
            }
            x = solver::exponential_step(x, from, to, nodes, solver::form::noise);
        }
        const plan exponential = p.finish(x);
        const solver::deis three{.order = 3, .lower_order_final = false};
        CHECK_THAT(end_of(three.plan(s.schedule, levels), s.schedule),
                   WithinRel(end_of(exponential, s.schedule), tol<double>::identity));
    }
}

TEST_CASE("deis in time integrates polynomials of the time, to sigma = 0 too", "[solver][deis][exact]") {
    const std::vector<named_schedule> schedules = {{"vp_linear", schedule::vp_linear{}},
                                                   {"flow", schedule::flow{}}};
    for (const named_schedule& s : schedules) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels =
                grid::karras(s.schedule, 5, {.sigma_max = 4.0, .sigma_min = 0.05, .last = last});
            const auto eps = [](double t) { return 1.0 - 2.0 * t + 3.0 * t * t; };
            const auto law = [&](double x, const level& at) { return (x - at.sigma * eps(at.t)) / at.alpha; };
            std::vector<double> seen;
            const solver::deis three{.order = 3, .variant = variable::time, .lower_order_final = false};
            const double x = 0.7;
            const double end = run_on_double(three.plan(s.schedule, levels), s.schedule, x, law, &seen);
            // from the third level on nothing errs
            const double exact =
                levels.back().alpha *
                (seen.at(2) / levels[2].alpha +
                 time_integral(s.schedule, levels[2].half_log_snr(),
                               std::min(levels.back().half_log_snr(), levels[2].half_log_snr() + 35.0), eps));
            CHECK_THAT(end, WithinAbs(exact, 1e-8));  // of the midpoint rule
        }
    }
}

TEST_CASE("deis has its order in every variable with a single-step start", "[solver][deis][order]") {
    for (const named_schedule& s : order_schedules()) {
        for (const variable v : {variable::time, variable::rho, variable::log_rho}) {
            for (const std::size_t order : {2U, 3U, 4U}) {
                INFO(s.name << ", order " << order << ", variable " << static_cast<int>(v));
                CHECK_THAT(measured_order(full(order, v), s.schedule, {160, 320, 640}),
                           WithinAbs(static_cast<double>(order), 0.1));
            }
        }
        // its own start, or a last step of lower order, leave second order
        CHECK_THAT(measured_order(solver::deis{.order = 3}, s.schedule, {160, 320, 640}),
                   WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("deis inverts with its order in every variable", "[solver][deis][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        for (const variable v : {variable::time, variable::rho, variable::log_rho}) {
            for (const std::size_t order : {2U, 3U, 4U}) {
                INFO(s.name << ", order " << order << ", variable " << static_cast<int>(v));
                CHECK_THAT(measured_order(full(order, v), s.schedule, {320, 640}, inversion),
                           WithinAbs(static_cast<double>(order), 0.1));
            }
        }
    }
}

TEST_CASE("deis costs one call a step, a single-step start 1 more for order 3 and 4 more for order 4",
          "[solver][deis][cost]") {
    const schedule::vp_linear vp;
    const levels_t levels = grid::karras(vp, 10);
    for (const variable v : {variable::time, variable::rho, variable::log_rho}) {
        for (std::size_t order = 1; order <= 4; ++order) {
            const plan_counts own = counts(solver::deis{.order = order, .variant = v}.plan(vp, levels));
            CHECK((own.network_calls == 10 && own.live_tensors == order && own.draws == 0));
            CHECK(counts(full(order, v).plan(vp, levels)).network_calls == (order < 3    ? 10
                                                                            : order == 3 ? 11
                                                                                         : 14));
        }
    }
}

TEST_CASE("deis refuses orders outside 1 to 4", "[solver][deis][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const std::size_t order : {std::size_t{0}, std::size_t{5}, static_cast<std::size_t>(-1)}) {
        CHECK(refusal([&] { static_cast<void>(solver::deis{.order = order}.plan(edm, good)); }) ==
              "deis: order must lie in [1, 4]");
    }
    CHECK(refusal([&] { static_cast<void>(solver::deis{}.plan(edm, {})); }) ==
          "deis: need at least two levels, where to start and where to end");
}
