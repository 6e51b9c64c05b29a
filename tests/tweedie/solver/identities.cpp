// SPDX-License-Identifier: MIT

// Solvers that must coincide.

#include <tweedie/plan/analyze.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/res.hpp>

#include "checks.hpp"

using namespace tweedie;

namespace {

using bh = solver::unipc::bh;
using form = solver::form;

constexpr double same = 1e-13;  // the same coefficients by another formula

}  // namespace

TEST_CASE("one heun step to sigma = 0 is one euler step, and both land on the data prediction",
          "[solver][heun][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 1);
        const plan heun = solver::heun{}.plan(s.schedule, levels);
        CHECK(heun.calls == solver::euler{}.plan(s.schedule, levels).calls);
        REQUIRE(heun.calls.size() == 1);
        CHECK(heun.calls[0].then.rows[0].weights == std::vector<double>{0.0, 1.0});
    }
}

TEST_CASE("the first step of dpm_solver is ddim", "[solver][dpm_solver][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        check_same_passes(solver::dpm_solver{}.plan(s.schedule, interior_levels(s.schedule, 1)),
                          solver::ddim{}.plan(s.schedule, interior_levels(s.schedule, 1)), same);
        const levels_t levels = interior_levels(s.schedule, 6);
        const plan two = solver::dpm_solver{}.plan(s.schedule, levels);
        const plan one = solver::ddim{}.plan(s.schedule, levels);
        std::vector<double> states_two;
        std::vector<double> states_one;
        static_cast<void>(run_on_double(two, s.schedule, 2.0, two_humps, &states_two));
        static_cast<void>(run_on_double(one, s.schedule, 2.0, two_humps, &states_one));
        CHECK_THAT(states_two.at(1), WithinRel(states_one.at(1), same));
        CHECK(std::abs(states_two.at(3) - states_one.at(3)) > 1e-6);
    }
}

TEST_CASE("ddim is euler where sigma / alpha is the schedule's time, and on straight paths",
          "[solver][ddim][euler][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::log_snr(s.schedule, 9, {.sigma_max = 20.0, .last = last});
            const plan ddim = solver::ddim{}.plan(s.schedule, levels);
            const plan euler = solver::euler{}.plan(s.schedule, levels);
            if (s.name == "edm" || s.name.starts_with("flow")) {
                check_same_passes(euler, ddim, same);
                CHECK_THAT(end_of(euler, s.schedule), WithinRel(end_of(ddim, s.schedule), same));
            } else {  // elsewhere they are different methods
                CHECK(std::abs(end_of(euler, s.schedule) - end_of(ddim, s.schedule)) > 1e-6);
            }
        }
    }
}

TEST_CASE("ddim with eta = 0 draws nothing, and eta tends to it", "[solver][ddim][identity]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 7);
    CHECK(counts(solver::ddim{}.plan(edm, levels)).draws == 0);
    const transfer zero = analyze(solver::ddim{}.plan(edm, levels), 0.3);
    const transfer tiny = analyze(solver::ddim{.eta = 1e-9}.plan(edm, levels), 0.3);
    CHECK_THAT(tiny.start, WithinRel(zero.start, 1e-12));
    CHECK(tiny.noise_variance < 1e-15);
}

TEST_CASE("a long ancestral step keeps the digits of what little it keeps of x", "[solver][ddim][exact]") {
    // eta = 1: x_t = (sigma_t^2 alpha_s / (sigma_s^2 alpha_t)) x_s + ..., the posterior mean of DDPM
    const schedule::edm edm;
    for (const double to : {20.0, 1.0, 1e-2, 1e-4}) {
        const levels_t levels = {at(edm, 80.0), at(edm, to)};
        const plan p = solver::ddim{.eta = 1.0}.plan(edm, levels);
        CHECK_THAT(p.calls[0].then.rows[0].weights[0], WithinRel(to * to / 6400.0, same));
        CHECK_THAT(p.calls[0].then.rows[0].weights[2],
                   WithinRel(to * std::sqrt(1.0 - to * to / 6400.0), same));
    }
}

TEST_CASE("unipc of order 1 without corrector is ddim, in data and in noise prediction",
          "[solver][unipc][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::log_snr(s.schedule, 6, {.sigma_max = 20.0, .last = last});
            const plan ddim = solver::ddim{}.plan(s.schedule, levels);
            for (const bh b : {bh::bh1, bh::bh2}) {
                const plan data =
                    solver::unipc{.order = 1, .variant = b, .corrector = false}.plan(s.schedule, levels);
                const plan noise =
                    solver::unipc{.order = 1, .variant = b, .predicts = form::noise, .corrector = false}.plan(
                        s.schedule, levels);
                check_same_passes(data, ddim, same);
                check_same_passes(noise, data, same);
            }
        }
    }
}

TEST_CASE("UniP-2 with bh2 is the midpoint form of dpm_solver", "[solver][unipc][dpm_solver][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 8);
        for (const bool lower : {false, true}) {
            const plan two = solver::dpm_solver{.lower_order_final = lower}.plan(s.schedule, levels);
            const plan uni = solver::unipc{.order = 2, .corrector = false, .lower_order_final = lower}.plan(
                s.schedule, levels);
            check_same_passes(uni, two, same);
        }
    }
}

TEST_CASE("bh1 and bh2 are one method wherever the paper's system is solved", "[solver][unipc][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 9);
        for (const std::size_t order : {3U, 4U, 5U}) {
            INFO(s.name << ", order " << order);
            const auto method = [&](bh b, bool corrector) {
                return solver::unipc{
                    .order = order, .variant = b, .corrector = corrector, .lower_order_final = false}
                    .plan(s.schedule, levels);
            };
            // the shortcuts: UniP-2 on step 1, UniC-1 after it; a pass is written in the registers of the
            // pass before
            check_same_passes(method(bh::bh1, false), method(bh::bh2, false), 0.0, 2);
            check_same_passes(method(bh::bh1, true), method(bh::bh2, true), same, 3);
            CHECK(method(bh::bh1, true).calls[1] != method(bh::bh2, true).calls[1]);
        }
    }
}

TEST_CASE("a corrector that is switched off on every step is no corrector", "[solver][unipc][identity]") {
    const schedule::vp_cosine vp;
    const levels_t levels = grid::karras(vp, 5, {.last = grid::final_level::sigma_min});
    const plan off = solver::unipc{.corrector = false}.plan(vp, levels);
    CHECK(solver::unipc{.uncorrected = {0, 1, 2, 3}}.plan(vp, levels).calls == off.calls);
    CHECK(solver::unipc{.uncorrected = {0, 1, 2}}.plan(vp, levels).calls != off.calls);
}

TEST_CASE("solvers that see x and the levels only do not depend on the schedule's scaling",
          "[solver][identity]") {
    // x / alpha at equal sigma / alpha obeys the same equations on every schedule; euler and heun step in the
    // schedule's time instead
    const schedule::edm edm;
    const levels_t plain = interior_levels(edm, 7);
    std::vector<named_solver> methods = all_solvers();
    for (const form predicts : {form::data, form::noise}) {
        const auto start = solver::start::single_step;
        methods.push_back(
            as_named("3m", solver::dpm_solver{.order = 3, .predicts = predicts, .start = start}));
        methods.push_back(
            as_named("vary", solver::unipc{.variant = bh::vary_coeff, .predicts = predicts, .start = start}));
        for (const auto nodes : {solver::inner_nodes::levels, solver::inner_nodes::own}) {
            methods.push_back(
                as_named("3s", solver::dpm_solver_singlestep{.predicts = predicts, .nodes = nodes}));
        }
        methods.push_back(as_named(
            "res 3s",
            solver::res{.order = 3, .method = solver::res::stepping::single_step, .predicts = predicts}));
    }
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 7);
        for (const named_solver& method : methods) {
            if (method.name == "euler" || method.name == "heun") { continue; }
            INFO(method.name << " on " << s.name);
            const transfer there = analyze(method.plan(s.schedule, levels), 0.3);
            const transfer here = analyze(method.plan(edm, plain), 0.3);
            const double from = levels.front().alpha;
            const double to = levels.back().alpha;
            CHECK_THAT(there.start * from / to, WithinRel(here.start, 1e-10));
            CHECK_THAT(there.mean / to, WithinRel(here.mean, 1e-10));
            CHECK_THAT(there.noise_variance / (to * to), WithinRel(here.noise_variance, 1e-10));
        }
    }
}
