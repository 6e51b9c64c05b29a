// SPDX-License-Identifier: MIT
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/solver/runge_kutta_pair.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "loop_checks.hpp"

using namespace tweedie;
using solver::runge_kutta_pair;
using pair = solver::runge_kutta_pair::pair;

namespace {

template <class Law>
auto finish(const runge_kutta_pair& method, const any_schedule& schedule, const levels_t& levels, double x,
            const Law& law) {
    loop_stepper s(method.loop(schedule, levels), convention(prediction::x0, schedule), x);
    while (const auto query = s.next()) { s.supply(law(query->x, query->level)); }
    return s;
}

double slope(const std::vector<double>& x, const std::vector<double>& y) {
    double sx = 0.0;
    double sy = 0.0;
    double sxx = 0.0;
    double sxy = 0.0;
    const auto n = static_cast<double>(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
        sx += x[i];
        sy += y[i];
        sxx += x[i] * x[i];
        sxy += x[i] * y[i];
    }
    return (n * sxy - sx * sy) / (n * sxx - sx * sx);
}

}  // namespace

TEST_CASE("a pair keeps its tolerance on every schedule", "[solver][adaptive][exact]") {
    const gaussian_law law;
    const auto x0 = [&](double x, const level& at) { return law.x0(x, at); };
    for (const named_schedule& named : all_schedules()) {
        const levels_t levels = ends_of(named.schedule, 20.0, 0.05);
        const double start = start_of(levels);
        const double exact = law.flow(start, levels.front(), levels.back());
        for (const pair variant : {pair::bogacki_shampine, pair::dormand_prince}) {
            for (const solver::step_rule rule : {solver::step_rule::published, solver::step_rule::pid}) {
                for (const double tolerance : {1e-3, 1e-5, 1e-7}) {
                    INFO(named.name << ", " << (variant == pair::dormand_prince ? 5 : 3) << ", "
                                    << tolerance);
                    const auto s = finish(
                        {.variant = variant, .rtol = tolerance, .atol = tolerance, .control = {.rule = rule}},
                        named.schedule, levels, start, x0);
                    REQUIRE(s.result());
                    CHECK(s.at() == levels.back());
                    // errors of steps add up, here over a few tens of them
                    CHECK(std::abs(s.x() - exact) < 20.0 * tolerance);
                }
            }
        }
    }
}

TEST_CASE("a pair goes from pure noise, alpha = 0, to the clean level", "[solver][adaptive][exact]") {
    const gaussian_law law;
    const auto x0 = [&](double x, const level& at) { return law.x0(x, at); };
    for (const named_schedule& named : all_schedules()) {
        INFO(named.name);
        const time_range range = named.schedule.range();
        const levels_t ends = {at(named.schedule, range.noisy), at_half_log_snr(named.schedule, infinity)};
        const double start = start_of(ends);
        const auto s = finish({.rtol = 1e-8, .atol = 1e-8}, named.schedule, ends, start, x0);
        REQUIRE(s.result());
        // the last step is DDIM from the schedule's clean end: for Gaussian data of variance v its error is
        // (x0_hat - x0) ~ (sigma / alpha)^2 / (2 v) relative to x0
        const level last = at(named.schedule, range.clean);
        const double kappa = last.sigma / last.alpha;
        CHECK(std::abs(s.x() - law.flow(start, ends.front(), ends.back())) < 1e-6 + 3.0 * kappa * kappa);
        // no call is spent on that step
        CHECK(s.result().network_calls == 1 + 6 * (s.method().accepted() + s.method().rejected()));
    }
}

TEST_CASE("the pairs are of order 3 and 5", "[solver][adaptive][order]") {
    const schedule::trig trig;
    const levels_t levels = ends_of(trig, 20.0, 0.5);
    const double way = std::atan(20.0) - std::atan(0.5);
    // steps of one size: the tolerance never objects, and the controller hardly answers
    const auto steps_of = [&](pair variant, double h, double start) {
        return finish({.variant = variant,
                       .rtol = 1e6,
                       .atol = 1e6,
                       .h_init = h,
                       .control = {.rule = solver::step_rule::pid, .icoeff = 1e-9}},
                      trig, levels, start, two_humps);
    };
    for (const pair variant : {pair::bogacki_shampine, pair::dormand_prince}) {
        std::vector<double> starts = {1.2, -0.7, 0.9};
        std::vector<double> slopes;
        for (const double start : starts) {
            const double exact = steps_of(pair::dormand_prince, way / 2000.0, start).x();
            std::vector<double> x;
            std::vector<double> y;
            for (const double n : {26.0, 36.0, 50.0, 70.0, 98.0}) {
                const auto s = steps_of(variant, way / n, start);
                REQUIRE(s.method().rejected() == 0);
                x.push_back(std::log(static_cast<double>(s.method().accepted())));
                y.push_back(std::log(std::abs(s.x() - exact)));
            }
            slopes.push_back(-slope(x, y));
        }
        std::sort(slopes.begin(), slopes.end());
        WARN((variant == pair::dormand_prince ? "Dormand-Prince: " : "Bogacki-Shampine: ") << slopes[1]);
        CHECK(std::abs(slopes[1] - (variant == pair::dormand_prince ? 5.0 : 3.0)) < 0.1);
    }
}

TEST_CASE("data at a point are followed exactly by the angle's equation", "[solver][adaptive][exact]") {
    // y = cos(theta) c + sin(theta) e: the velocity turns, nothing is stiff, however small sigma gets
    const schedule::edm edm;
    const levels_t levels = ends_of(edm, 80.0, 1e-4);
    const auto s =
        finish({.rtol = 1e-9, .atol = 1e-9}, edm, levels, 100.0, [](double, const level&) { return 0.7; });
    REQUIRE(s.result());
    CHECK(std::abs(s.x() - (0.7 + (100.0 - 0.7) / 80.0 * 1e-4)) < 1e-7);
    CHECK(s.method().accepted() < 100);
}

TEST_CASE("dense output gives the state at any level inside the step that was accepted",
          "[solver][adaptive][exact]") {
    const gaussian_law law;
    for (const named_schedule& named : all_schedules()) {
        const levels_t levels = ends_of(named.schedule, 20.0, 0.05);
        const double start = start_of(levels);
        for (const pair variant : {pair::bogacki_shampine, pair::dormand_prince}) {
            INFO(named.name);
            loop_stepper s(
                runge_kutta_pair{.variant = variant, .rtol = 1e-6, .atol = 1e-6}.loop(named.schedule, levels),
                convention(prediction::x0, named.schedule), start);
            const levels_t wanted =
                grid::log_snr(named.schedule, 60,
                              {.sigma_max = 20.0, .sigma_min = 0.05, .last = grid::final_level::sigma_min});
            std::size_t found = 0;
            double worst = 0.0;
            const auto collect = [&] {
                double x = 0.0;
                while (found < wanted.size()) {
                    level at = wanted[found];
                    if (found + 1 == wanted.size()) { at = levels.back(); }
                    if (found == 0) { at = levels.front(); }
                    if (!s.dense(at, x)) { break; }
                    worst =
                        std::max(worst, std::abs(x - law.flow(start, levels.front(), at)) / law.spread(at));
                    ++found;
                }
            };
            while (const auto query = s.next()) {
                s.supply(law.x0(query->x, query->level));
                collect();
            }
            REQUIRE(s.result());
            CHECK(found == wanted.size());
            // the interpolant is one order below the method; measured 2e-6 to 1.3e-5
            CHECK(worst < 2e-5);
            double end = 0.0;
            REQUIRE(s.dense(levels.back(), end));
            CHECK(std::abs(end - s.x()) < tol<double>::identity * 10.0);
        }
    }
}

TEST_CASE("sample_at hands over the state at the levels asked for", "[solver][adaptive][exact]") {
    const gaussian_law law;
    const schedule::edm edm;
    const levels_t levels = ends_of(edm, 20.0, 0.05);
    const levels_t wanted = ends_of(edm, 30.0, 0.02);  // its ends lie outside
    levels_t all = {wanted.front()};
    for (const double sigma : {20.0, 7.0, 6.9, 1.0, 0.1}) { all.push_back({sigma, 1.0, sigma}); }
    all.push_back(wanted.back());
    const denoiser model(elementwise([&](double x, const level& at) { return law.x0(x, at); }),
                         prediction::x0, edm);
    std::vector<double> x = {15.0, -3.0};
    std::vector<std::size_t> received;
    const run_result result =
        sample_at(runge_kutta_pair{.rtol = 1e-7, .atol = 1e-7}.loop(edm, levels), model, x, all,
                  [&](std::size_t i, const std::vector<double>& here) {
                      received.push_back(i);
                      CHECK(std::abs(here[0] - law.flow(15.0, levels.front(), all[i])) < 1e-4);
                      CHECK(std::abs(here[1] - law.flow(-3.0, levels.front(), all[i])) < 1e-4);
                  });
    CHECK(result.status == run_status::finished);
    CHECK(received == std::vector<std::size_t>{1, 2, 3, 4, 5});
    CHECK(std::abs(x[0] - law.flow(15.0, levels.front(), levels.back())) < 1e-5);
}

TEST_CASE("a pair counts its calls and refuses options out of range", "[solver][adaptive][cost][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = ends_of(vp, 20.0, 0.05);
    for (const pair variant : {pair::bogacki_shampine, pair::dormand_prince}) {
        const auto s = finish({.variant = variant}, vp, levels, start_of(levels), two_humps);
        const std::size_t stages = variant == pair::dormand_prince ? 6 : 3;
        CHECK(s.result().network_calls == 1 + stages * (s.method().accepted() + s.method().rejected()));
        CHECK(s.result().step == s.method().accepted());
    }
    const auto message = [&](const runge_kutta_pair& m) {
        return refusal([&] { (void)m.loop(vp, levels); });
    };
    for (const double bad : {-1.0, infinity, not_a_number}) {
        CHECK(message({.rtol = bad}) == "runge_kutta_pair: rtol must be finite and not negative");
        CHECK(message({.atol = bad}) == "runge_kutta_pair: atol must be positive and finite");
        CHECK(message({.h_init = bad}) == "runge_kutta_pair: h_init must be positive and finite");
        CHECK(message({.control = {.safety = bad}}) == "runge_kutta_pair: safety must lie in (0, 1)");
    }
    CHECK(message({.max_steps = 0}) == "runge_kutta_pair: max_steps must be positive");
    const auto few =
        finish({.rtol = 1e-9, .atol = 1e-9, .max_steps = 5}, vp, levels, start_of(levels), two_humps);
    CHECK(few.result().status == run_status::gave_up);
    CHECK(std::isfinite(few.x()));
}
