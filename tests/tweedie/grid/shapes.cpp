// SPDX-License-Identifier: MIT
// Grids laid out over a range of any schedule, by a formula each.
#include <tweedie/grid/crash.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/kl_optimal.hpp>
#include <tweedie/grid/linear_quadratic.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/polyexponential.hpp>
#include <tweedie/grid/sgm_uniform.hpp>
#include <tweedie/grid/time_power.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>

#include "checks.hpp"

using namespace tweedie;
using grid::final_level;

namespace {

std::vector<any_schedule> every_schedule() {
    return {schedule::vp_linear{},
            schedule::vp_cosine{},
            schedule::ve{},
            schedule::edm{},
            schedule::flow{},
            schedule::flow({.time = schedule::flow_time::data_at_one}),
            schedule::trig{},
            schedule::discrete::linear(),
            schedule::discrete::scaled_linear().zero_terminal_snr()};
}

double ratio(const level& l) { return l.sigma / l.alpha; }

}  // namespace

TEST_CASE("every shaped grid is a grid on every schedule for every step count", "[grid][shapes][contract]") {
    for (const any_schedule& schedule : every_schedule()) {
        const level noisy = at(schedule, schedule.range().noisy);
        const level clean = at(schedule, schedule.range().clean);
        const level zero = at_half_log_snr(schedule, infinity);
        int bad = 0;
        for (const int steps : {1, 2, 3, 4, 5, 10, 33, 128}) {
            for (const bool to_zero : {true, false}) {
                const final_level last = to_zero ? final_level::zero : final_level::sigma_min;
                std::vector<levels> all = {grid::polyexponential(schedule, steps, {.rho = 2.0, .last = last}),
                                           grid::polyexponential(schedule, steps, {.rho = 0.5, .last = last}),
                                           grid::kl_optimal(schedule, steps, {.last = last}),
                                           grid::sgm_uniform(schedule, steps, {.last = last}),
                                           grid::linear_quadratic(schedule, steps, {.last = last})};
                if (std::isfinite(zero.t)) {
                    all.push_back(grid::time_power(schedule, steps, {.last = last}));
                    all.push_back(grid::time_power(schedule, steps, {.power = 0.5, .last = last}));
                }
                for (const levels& l : all) {
                    bad += is_grid_of(schedule, l, steps) && l.front() == noisy &&
                                   l.back() == (to_zero ? zero : clean)
                               ? 0
                               : 1;
                }
            }
            if (noisy.alpha == 0.0) {
                const levels l = grid::crash(schedule, steps);
                bad += is_grid_of(schedule, l, steps) && l.front() == noisy && l.back() == zero ? 0 : 1;
            }
        }
        CHECK(bad == 0);
    }
}

TEST_CASE("polyexponential of power 1 is log_snr, and has equal steps in its root",
          "[grid][polyexponential][identity]") {
    for (const any_schedule& schedule : every_schedule()) {
        const levels a = grid::polyexponential(schedule, 9);
        const levels b = grid::log_snr(schedule, 9);
        for (std::size_t i = 1; i + 1 < a.size(); ++i) {
            CHECK_THAT(a[i].half_log_snr(), WithinAbs(b[i].half_log_snr(), tol<double>::identity));
        }
    }
    const levels l =
        grid::polyexponential(schedule::edm{}, 4, {.rho = 3.0, .sigma_max = std::exp(8.0), .sigma_min = 1.0});
    for (std::size_t i = 0; i < 4; ++i) {  // ln sigma = 8 (1 - i / 3)^3
        const double left = 1.0 - static_cast<double>(i) / 3.0;
        CHECK_THAT(std::log(l[i].sigma), WithinAbs(8.0 * left * left * left, tol<double>::identity));
    }
}

TEST_CASE("kl_optimal is equal spacing in the time of trig", "[grid][kl_optimal][identity]") {
    const levels angles = grid::kl_optimal(schedule::trig{}, 9, {.last = final_level::sigma_min});
    const levels uniform = grid::uniform(schedule::trig{}, 9, {.last = final_level::sigma_min});
    for (std::size_t i = 0; i < angles.size(); ++i) {
        CHECK_THAT(angles[i].t, WithinRel(uniform[i].t, tol<double>::identity));
    }
    // ComfyUI's form, on sigmas
    const levels edm = grid::kl_optimal(schedule::edm{}, 5, {.sigma_max = 14.6, .sigma_min = 0.03});
    for (std::size_t i = 0; i < 5; ++i) {
        const double part = static_cast<double>(i) / 4.0;
        CHECK_THAT(edm[i].sigma, WithinRel(std::tan(part * std::atan(0.03) + (1.0 - part) * std::atan(14.6)),
                                           tol<double>::identity));
    }
    CHECK(edm[5].sigma == 0.0);
}

TEST_CASE("sgm_uniform is uniform with the clean level in place of its last",
          "[grid][sgm_uniform][identity]") {
    for (const any_schedule& schedule : every_schedule()) {
        levels expected = grid::uniform(schedule, 6, {.last = final_level::sigma_min});
        CHECK(grid::sgm_uniform(schedule, 6, {.last = final_level::sigma_min}) == expected);
        expected.back() = at_half_log_snr(schedule, infinity);
        CHECK(grid::sgm_uniform(schedule, 6) == expected);
    }
    CHECK(times_of(grid::sgm_uniform(schedule::discrete::linear(), 3)) ==
          std::vector<double>{999.0, 666.0, 333.0, -1.0});
}

TEST_CASE("time_power has equal steps in a root of the time", "[grid][time_power][exact]") {
    const levels l = grid::time_power(schedule::vp_linear{}, 4);
    for (std::size_t i = 0; i <= 4; ++i) {
        const double left = 1.0 - static_cast<double>(i) / 4.0;
        CHECK_THAT(l[i].t, WithinAbs(left * left, tol<double>::exact));
    }
    // counted from the clean level, whichever way the time runs and wherever it begins
    const levels rising = grid::time_power(schedule::flow({.time = schedule::flow_time::data_at_one}), 4);
    const levels table = grid::time_power(schedule::discrete::linear(), 4);
    for (std::size_t i = 0; i <= 4; ++i) {
        CHECK_THAT(rising[i].t, WithinAbs(1.0 - l[i].t, tol<double>::exact));
        CHECK_THAT(table[i].t, WithinAbs(1000.0 * l[i].t - 1.0, tol<double>::identity));
    }
    const levels flat = grid::time_power(schedule::flow{}, 7, {.power = 1.0});
    const levels uniform = grid::uniform(schedule::flow{}, 7);
    for (std::size_t i = 0; i <= 7; ++i) {
        CHECK_THAT(flat[i].t, WithinAbs(uniform[i].t, tol<double>::exact));
    }
}

TEST_CASE("linear_quadratic is a line that goes over into a parabola without a kink",
          "[grid][linear_quadratic][exact]") {
    const schedule::flow flow;
    const levels l = grid::linear_quadratic(flow, 10, {.threshold = 0.1, .linear_steps = 4});
    for (std::size_t i = 0; i <= 4; ++i) {
        CHECK_THAT(l[i].t, WithinRel(1.0 - 0.025 * static_cast<double>(i), tol<double>::exact));
    }
    // second differences: none on the line, all equal on the parabola, half at the joint
    const auto second = [&](std::size_t i) { return l[i + 1].t - 2.0 * l[i].t + l[i - 1].t; };
    CHECK_THAT(second(2), WithinAbs(0.0, tol<double>::exact));
    for (std::size_t i = 5; i < 10; ++i) { CHECK_THAT(second(i), WithinAbs(second(9), tol<double>::exact)); }
    CHECK_THAT(second(4), WithinRel(0.5 * second(9), tol<double>::identity));
    // all steps linear but the last, which makes the rest of the way
    const levels line = grid::linear_quadratic(flow, 3, {.threshold = 0.3, .linear_steps = 3});
    CHECK_THAT(line[2].t, WithinRel(0.8, tol<double>::exact));
    CHECK(line[3].t == 0.0);
    CHECK(grid::linear_quadratic(flow, 1) == levels{{1.0, 0.0, 1.0}, {0.0, 1.0, 0.0}});
}

TEST_CASE("crash has sigma a squared sine", "[grid][crash][exact]") {
    for (const int steps : {2, 5, 50}) {
        const levels l = grid::crash(schedule::trig{}, steps);
        for (int i = 0; i <= steps; ++i) {
            const double s = std::cos(1.57079632679489661923 * i / steps);
            CHECK_THAT(l[static_cast<std::size_t>(i)].sigma, WithinAbs(s * s, tol<double>::exact));
        }
    }
    const levels flow = grid::crash(schedule::flow{}, 5);
    const levels trig = grid::crash(schedule::trig{}, 5);
    for (std::size_t i = 1; i < 5; ++i) {
        CHECK_THAT(ratio(flow[i]), WithinRel(ratio(trig[i]), tol<double>::identity));
    }
}

TEST_CASE("shaped grids refuse what they cannot lay out", "[grid][shapes][errors]") {
    const schedule::flow flow;
    for (const double bad : {0.0, -1.0, infinity, not_a_number}) {
        CHECK_THROWS_WITH(grid::polyexponential(flow, 5, {.rho = bad}),
                          "grid::polyexponential: rho must be positive and finite");
        CHECK_THROWS_WITH(grid::time_power(flow, 5, {.power = bad}),
                          "grid::time_power: power must be positive and finite");
        CHECK_THROWS_WITH(grid::linear_quadratic(flow, 5, {.threshold = bad}),
                          "grid::linear_quadratic: threshold must lie in (0, 1)");
        CHECK_THROWS_WITH(grid::polyexponential(flow, 5, {.pure_noise_as = bad}),
                          "grid::polyexponential: pure_noise_as must be positive and finite");
    }
    for (const double bad : {0.0, -1.0, not_a_number}) {
        CHECK_THROWS_WITH(grid::kl_optimal(flow, 5, {.sigma_max = bad}),
                          "grid::kl_optimal: sigma_max must be positive");
        CHECK_THROWS_WITH(grid::sgm_uniform(flow, 5, {.sigma_min = bad}),
                          "grid::sgm_uniform: sigma_min must be positive");
    }
    for (const int bad : {0, -1, 1000001}) {
        CHECK_THROWS_WITH(grid::polyexponential(flow, bad),
                          "grid::polyexponential: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::kl_optimal(flow, bad), "grid::kl_optimal: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::sgm_uniform(flow, bad), "grid::sgm_uniform: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::time_power(flow, bad), "grid::time_power: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::linear_quadratic(flow, bad),
                          "grid::linear_quadratic: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::crash(flow, bad), "grid::crash: steps must lie in [1, 1000000]");
    }
    CHECK_THROWS_WITH(grid::kl_optimal(flow, 5, {.sigma_max = 1.0, .sigma_min = 1.0}),
                      "grid::kl_optimal: the range needs sigma_max > sigma_min");
    CHECK_THROWS_WITH(grid::sgm_uniform(flow, 5, {.last = static_cast<final_level>(3)}),
                      "grid::sgm_uniform: last must be final_level::zero or final_level::sigma_min");
    CHECK_THROWS_WITH(grid::time_power(schedule::ve{}, 5),
                      "grid::time_power: the clean level of the schedule needs a finite time");
    for (const int bad : {0, -1, 6}) {
        CHECK_THROWS_WITH(grid::linear_quadratic(flow, 5, {.linear_steps = bad}),
                          "grid::linear_quadratic: linear_steps must lie in [1, 5]");
    }
    CHECK_THROWS_AS(grid::linear_quadratic(flow, 10, {.threshold = 0.9, .linear_steps = 1}),
                    std::invalid_argument);
    CHECK_THROWS_AS(grid::crash(schedule::edm{}, 5), std::invalid_argument);
}
