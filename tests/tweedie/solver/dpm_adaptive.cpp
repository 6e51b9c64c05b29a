// SPDX-License-Identifier: MIT
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/solver/dpm_adaptive.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "loop_checks.hpp"

using namespace tweedie;
using solver::difference;
using solver::dpm_adaptive;
using solver::form;

namespace {

/// Every method of the family, by options.
std::vector<dpm_adaptive> all_methods() {
    std::vector<dpm_adaptive> out;
    for (const std::size_t order : {2U, 3U}) {
        for (const form predicts : {form::data, form::noise}) {
            for (const difference variant : {difference::midpoint, difference::taylor}) {
                for (const solver::step_rule rule : {solver::step_rule::pid, solver::step_rule::published}) {
                    out.push_back({.order = order,
                                   .predicts = predicts,
                                   .variant = variant,
                                   .control = {.rule = rule}});
                }
            }
        }
    }
    return out;
}

std::string name(const dpm_adaptive& m) {
    return std::to_string(m.order) + (m.predicts == form::data ? " data" : " noise") +
           (m.variant == difference::taylor ? " taylor" : " midpoint") +
           (m.control.rule == solver::step_rule::pid ? " pid" : " published");
}

/// Runs to the end on a double.
template <class Law>
auto finish(const dpm_adaptive& method, const any_schedule& schedule, const levels_t& levels, double x,
            const Law& law, noise source = {}) {
    loop_stepper s(method.loop(schedule, levels), convention(prediction::x0, schedule), x, source);
    while (const auto query = s.next()) { s.supply(law(query->x, query->level)); }
    return s;
}

}  // namespace

TEST_CASE("the error of adaptive DPM-Solver follows its tolerance on every schedule",
          "[solver][adaptive][exact]") {
    const gaussian_law law;
    const auto x0 = [&](double x, const level& at) { return law.x0(x, at); };
    for (const named_schedule& named : all_schedules()) {
        const levels_t levels = ends_of(named.schedule, 20.0, 0.05);
        const double start = start_of(levels);
        const double exact = law.flow(start, levels.front(), levels.back());
        for (dpm_adaptive method : all_methods()) {
            INFO(named.name << ", " << name(method));
            for (const double tolerance : {1e-2, 1e-3, 1e-4, 1e-5}) {
                method.rtol = tolerance;
                method.atol = tolerance;
                const auto s = finish(method, named.schedule, levels, start, x0);
                REQUIRE(s.result());
                CHECK(s.at() == levels.back());
                const double error = std::abs(s.x() - exact) / std::abs(exact);
                // what is controlled is the lower order's error of each step; the run is of the higher one
                CHECK(error < 10.0 * tolerance);
            }
        }
    }
}

TEST_CASE("adaptive DPM-Solver goes from pure noise to the clean level", "[solver][adaptive][exact]") {
    const gaussian_law law;
    const auto x0 = [&](double x, const level& at) { return law.x0(x, at); };
    for (const named_schedule& named : all_schedules()) {
        INFO(named.name);
        const time_range range = named.schedule.range();
        const levels_t ends = {at(named.schedule, range.noisy), at_half_log_snr(named.schedule, infinity)};
        const double start = start_of(ends);
        for (const form predicts : {form::data, form::noise}) {
            const auto s =
                finish({.rtol = 1e-5, .atol = 1e-5, .predicts = predicts}, named.schedule, ends, start, x0);
            REQUIRE(s.result());
            CHECK(s.at() == ends.back());
            // the step to clean is DDIM from the schedule's clean end, whose error is of order sigma there;
            // the one out of pure noise is DDIM to sigma / alpha = 160
            const level last = at(named.schedule, range.clean);
            const double bound =
                1e-4 + 2.0 * last.sigma / last.alpha + (ends.front().alpha == 0.0 ? 5e-3 : 0.0);
            CHECK(std::abs(s.x() - law.flow(start, ends.front(), ends.back())) < bound);
            // with a grid, the level before the clean one is where steps end
            const levels_t grid = grid::log_snr(named.schedule, 4);
            const auto on_grid = finish({}, named.schedule, grid, start_of(grid), two_humps);
            REQUIRE(on_grid.result());
            CHECK(std::isfinite(on_grid.x()));
        }
    }
    // nothing but the two infinite ends: one exact step, whatever lies between
    const schedule::flow flow;
    const levels_t two = {at(flow, 1.0), at_half_log_snr(flow, -5.0 + std::log(1.0)), at(flow, 0.0)};
    const auto s = finish({}, flow, two, 1.0, x0);
    CHECK(s.result());
}

TEST_CASE("adaptive DPM-Solver counts: calls, steps accepted and rejected", "[solver][adaptive][cost]") {
    const schedule::vp_linear vp;
    const levels_t levels = ends_of(vp, 20.0, 0.05);
    std::size_t all_rejected = 0;
    for (const dpm_adaptive& method : all_methods()) {
        INFO(name(method));
        dpm_adaptive again = method;
        again.peer_formula = true;
        again.control.rule = solver::step_rule::pid;  // whose factors peer_formula does not round
        dpm_adaptive once = again;
        once.peer_formula = false;
        const auto a = finish(once, vp, levels, start_of(levels), two_humps);
        const auto b = finish(again, vp, levels, start_of(levels), two_humps);
        const std::size_t accepted = a.method().accepted();
        const std::size_t rejected = a.method().rejected();
        CHECK(std::abs(a.x() - b.x()) < tol<double>::identity);
        CHECK(b.method().accepted() == accepted);
        CHECK(b.method().rejected() == rejected);
        CHECK(a.result().network_calls == method.order * accepted + (method.order - 1) * rejected);
        CHECK(b.result().network_calls == method.order * (accepted + rejected));
        CHECK(a.result().step == accepted);
        all_rejected += rejected;
    }
    CHECK(all_rejected > 5);
}

TEST_CASE("samples of a batch share the step that the worst allows; alone each has its own",
          "[solver][adaptive][identity]") {
    const schedule::edm edm;
    const levels_t levels = ends_of(edm, 20.0, 0.05);
    const dpm_adaptive method;
    const auto net = elementwise([](double x, const level& at) { return two_humps(x, at); });
    const denoiser model(net, prediction::x0, edm);
    // equal samples: as one
    rows_tensor same{{9.0, -14.0, 9.0, -14.0}, 2};
    rows_tensor one{{9.0, -14.0}, 1};
    REQUIRE(sample(method.loop(edm, levels), model, same));
    REQUIRE(sample(method.loop(edm, levels), model, one));
    CHECK(same.elements[0] == one.elements[0]);
    CHECK(same.elements[3] == one.elements[1]);
    // an easy one beside a hard one takes the hard one's steps
    const auto calls = [&](rows_tensor x) {
        return sample(method.loop(edm, levels), model, x).network_calls;
    };
    const std::size_t hard = calls({{0.3, 0.1}, 1});
    const std::size_t easy = calls({{40.0, 42.0}, 1});
    const std::size_t both = calls({{0.3, 0.1, 40.0, 42.0}, 2});
    CHECK(both >= std::max(hard, easy));
}

TEST_CASE("with eta, adaptive DPM-Solver keeps the law", "[solver][adaptive][statistics]") {
    const gaussian_law law;
    const auto x0 = [&](double x, const level& at) { return law.x0(x, at); };
    constexpr int runs = 3000;
    for (const any_schedule& schedule : {any_schedule(schedule::vp_linear{}), any_schedule(schedule::edm{}),
                                         any_schedule(schedule::flow{})}) {
        const levels_t levels = ends_of(schedule, 20.0, 0.1);
        double sum = 0.0;
        double squares = 0.0;
        for (std::uint64_t i = 0; i < runs; ++i) {
            const noise source{.seed = 11, .sample = i};
            double z = 0.0;
            source.stream(draw_kind::initial, 0)(0, 0, std::span<double>(&z, 1));
            const double start = levels.front().alpha * law.mean + law.spread(levels.front()) * z;
            const auto s =
                finish({.rtol = 2e-3, .atol = 1e-3, .eta = 1.0}, schedule, levels, start, x0, source);
            REQUIRE(s.result());
            const double y = (s.x() - levels.back().alpha * law.mean) / law.spread(levels.back());
            sum += y;
            squares += y * y;
        }
        // four standard errors of the sampling, and the discretisation's own error of a percent or two
        CHECK(std::abs(sum / runs) < 4.0 / std::sqrt(double(runs)) + 0.01);
        CHECK(std::abs(squares / runs - 1.0) < 4.0 * std::sqrt(2.0 / runs) + 0.03);
    }
}

TEST_CASE("adaptive DPM-Solver gives up rather than go on for ever", "[solver][adaptive][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = ends_of(vp, 20.0, 0.05);
    const auto few = finish({.rtol = 1e-6, .atol = 1e-6, .max_steps = 20}, vp, levels, 15.0, two_humps);
    CHECK(few.result().status == run_status::gave_up);
    CHECK(few.method().accepted() + few.method().rejected() == 20);
    CHECK(std::isfinite(few.x()));
    // a network without continuity: no step is small enough
    std::size_t call = 0;
    const auto jumps = finish({.rtol = 0.0, .atol = 1e-9}, vp, levels, 15.0,
                              [&](double, const level&) { return ++call % 2 == 0 ? 1.0 : -1.0; });
    CHECK(jumps.result().status == run_status::gave_up);
    CHECK(std::string(to_string(run_status::gave_up)).starts_with("gave_up: "));
}

TEST_CASE("adaptive DPM-Solver refuses options out of range", "[solver][adaptive][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = ends_of(vp, 20.0, 0.05);
    const auto message = [&](const dpm_adaptive& m) { return refusal([&] { (void)m.loop(vp, levels); }); };
    CHECK(message({.order = 1}) == "dpm_adaptive: order must be 2 or 3");
    for (const double bad : {-1.0, infinity, not_a_number}) {
        CHECK(message({.rtol = bad}) == "dpm_adaptive: rtol must be finite and not negative");
        CHECK(message({.atol = bad}) == "dpm_adaptive: atol must be positive and finite");
        CHECK(message({.h_init = bad}) == "dpm_adaptive: h_init must be positive and finite");
        CHECK(message({.control = {.pcoeff = not_a_number}}).find("pcoeff") != std::string::npos);
        CHECK(message({.control = {.accept_safety = bad}}) ==
              "dpm_adaptive: accept_safety must lie in (0, 1)");
        CHECK(message({.control = {.safety = bad}}) == "dpm_adaptive: safety must lie in (0, 1)");
        CHECK(message({.eta = bad}) == "dpm_adaptive: eta must be finite and not negative");
        CHECK(message({.s_noise = bad}) == "dpm_adaptive: s_noise must be finite and not negative");
        CHECK(message({.pure_noise_as = bad}) == "dpm_adaptive: pure_noise_as must be positive and finite");
    }
    CHECK(message({.max_steps = 0}) == "dpm_adaptive: max_steps must be positive");
    CHECK(refusal([&] {
              (void)dpm_adaptive{}.loop(vp, levels_t{levels[1], levels[0]});
          }).starts_with("dpm_adaptive: level 1"));
}
