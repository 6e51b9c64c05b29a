// SPDX-License-Identifier: MIT
// The grids that are laid out over a range of any schedule: uniform, log_snr, karras.
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
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
            schedule::vp_cosine({.noisy = 1.0}),
            schedule::ve{},
            schedule::edm{},
            schedule::flow{},
            schedule::flow({.time = schedule::flow_time::data_at_one}),
            schedule::trig{},
            schedule::discrete::linear(),
            schedule::discrete::cosine(),
            schedule::discrete::linear().zero_terminal_snr()};
}

}  // namespace

TEST_CASE("every spaced grid is a grid on every schedule for every step count", "[grid][spaced][contract]") {
    for (const any_schedule& schedule : every_schedule()) {
        const level noisy = at(schedule, schedule.range().noisy);
        const level clean = at(schedule, schedule.range().clean);
        const level zero = at_half_log_snr(schedule, infinity);
        int bad = 0;
        for (const int steps : {1, 2, 3, 4, 5, 7, 10, 18, 33, 50, 128, 1000}) {
            for (const levels& l :
                 {grid::uniform(schedule, steps), grid::log_snr(schedule, steps),
                  grid::karras(schedule, steps), grid::karras(schedule, steps, {.rho = 0.5})}) {
                bad += is_grid_of(schedule, l, steps) && l.front() == noisy && l.back() == zero ? 0 : 1;
            }
            for (const levels& l : {grid::uniform(schedule, steps, {.last = final_level::sigma_min}),
                                    grid::log_snr(schedule, steps, {.last = final_level::sigma_min}),
                                    grid::karras(schedule, steps, {.last = final_level::sigma_min})}) {
                bad += is_grid_of(schedule, l, steps) && l.front() == noisy && l.back() == clean ? 0 : 1;
            }
            // before the clean level comes the end of the range, the first level excepted
            for (const levels& l : {grid::log_snr(schedule, steps), grid::karras(schedule, steps)}) {
                bad += l[l.size() - 2] == (steps == 1 ? noisy : clean) ? 0 : 1;
            }
        }
        CHECK(bad == 0);
    }
}

TEST_CASE("a range given by noise level is kept on every schedule", "[grid][spaced][exact]") {
    for (const any_schedule& schedule : every_schedule()) {
        const levels all[] = {
            grid::uniform(schedule, 6, {.sigma_max = 3.0, .sigma_min = 0.05}),
            grid::log_snr(schedule, 6, {.sigma_max = 3.0, .sigma_min = 0.05}),
            grid::karras(schedule, 6, {.sigma_max = 3.0, .sigma_min = 0.05}),
            grid::uniform(schedule, 6, {.sigma_max = 3.0, .sigma_min = 0.05, .last = final_level::sigma_min}),
        };
        for (const levels& l : all) {
            REQUIRE(is_grid_of(schedule, l, 6));
            const level& last = l.back().sigma == 0.0 ? l[l.size() - 2] : l.back();
            CHECK_THAT(l.front().sigma / l.front().alpha, WithinRel(3.0, tol<double>::identity));
            CHECK_THAT(last.sigma / last.alpha, WithinRel(0.05, tol<double>::identity));
        }
    }
}

TEST_CASE("grid::uniform has equal steps of time", "[grid][uniform][exact]") {
    CHECK(times_of(grid::uniform(schedule::flow{}, 4)) == std::vector<double>{1.0, 0.75, 0.5, 0.25, 0.0});
    CHECK(times_of(grid::uniform(schedule::flow({.time = schedule::flow_time::data_at_one}), 4)) ==
          std::vector<double>{0.0, 0.25, 0.5, 0.75, 1.0});
    CHECK(times_of(grid::uniform(schedule::edm{}, 4)) == std::vector<double>{80.0, 60.0, 40.0, 20.0, 0.0});
    CHECK(times_of(grid::uniform(schedule::discrete::linear(), 5)) ==
          std::vector<double>{999.0, 799.0, 599.0, 399.0, 199.0, -1.0});
    // VE has its clean level at t = -infinity: the nodes span its range instead
    CHECK(times_of(grid::uniform(schedule::ve{}, 3)) == std::vector<double>{1.0, 0.5, 0.0, -infinity});
    // down to the end of the range
    const levels vp = grid::uniform(schedule::vp_linear{}, 3, {.last = final_level::sigma_min});
    CHECK(vp[0].t == 1.0);
    CHECK_THAT(vp[1].t, WithinRel(0.667, tol<double>::exact));
    CHECK_THAT(vp[2].t, WithinRel(0.334, tol<double>::exact));
    CHECK(vp[3].t == 1e-3);
    // nodes down to a noise level, then the clean one: sigma / alpha = 1/3 is t = 1/4 on flow
    const levels flow = grid::uniform(schedule::flow{}, 4, {.sigma_min = 1.0 / 3.0});
    for (std::size_t i = 0; i < 4; ++i) {
        CHECK_THAT(flow[i].t, WithinRel(1.0 - 0.25 * static_cast<double>(i), tol<double>::exact));
    }
    CHECK(flow[4].t == 0.0);
}

TEST_CASE("grid::log_snr has equal steps of half_log_snr", "[grid][log_snr][exact]") {
    const levels l = grid::log_snr(schedule::vp_linear{}, 10);
    const double step = (l[9].half_log_snr() - l[0].half_log_snr()) / 9.0;
    for (std::size_t i = 1; i < 10; ++i) {
        CHECK_THAT(l[i].half_log_snr() - l[i - 1].half_log_snr(), WithinRel(step, tol<double>::identity));
    }
    const levels edm = grid::log_snr(schedule::edm{}, 3, {.last = final_level::sigma_min});
    CHECK_THAT(edm[1].sigma, WithinRel(80.0 * std::pow(0.002 / 80.0, 1.0 / 3.0), tol<double>::exact));
}

TEST_CASE("a grid from pure noise is that from a finite level, its first level excepted",
          "[grid][spaced][identity]") {
    const schedule::flow flow;
    for (const double ratio : {160.0, 1000.0}) {
        const levels noise = grid::log_snr(flow, 8, {.pure_noise_as = ratio});
        const levels finite = grid::log_snr(flow, 8, {.sigma_max = ratio});
        CHECK(noise.front() == level{1.0, 0.0, 1.0});
        CHECK_THAT(finite.front().sigma / finite.front().alpha, WithinRel(ratio, tol<double>::identity));
        const levels warped = grid::karras(flow, 8, {.pure_noise_as = ratio});
        const levels warped_finite = grid::karras(flow, 8, {.sigma_max = ratio});
        for (std::size_t i = 1; i < noise.size(); ++i) {
            CHECK_THAT(noise[i].t, WithinAbs(finite[i].t, tol<double>::identity));
            CHECK_THAT(warped[i].t, WithinAbs(warped_finite[i].t, tol<double>::identity));
        }
    }
    CHECK(grid::log_snr(flow, 8, {.sigma_max = infinity}) == grid::log_snr(flow, 8));
    CHECK(grid::karras(flow, 1) == levels{{1.0, 0.0, 1.0}, {0.0, 1.0, 0.0}});
}

TEST_CASE("spaced grids refuse what they cannot lay out", "[grid][spaced][errors]") {
    const schedule::edm edm;
    for (const int steps :
         {0, -1, std::numeric_limits<int>::min(), 1000001, std::numeric_limits<int>::max()}) {
        CHECK_THROWS_WITH(grid::uniform(edm, steps), "grid::uniform: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::log_snr(edm, steps), "grid::log_snr: steps must lie in [1, 1000000]");
        CHECK_THROWS_WITH(grid::karras(edm, steps), "grid::karras: steps must lie in [1, 1000000]");
    }
    for (const double rho : {0.0, -7.0, infinity, not_a_number}) {
        CHECK_THROWS_WITH(grid::karras(edm, 5, {.rho = rho}),
                          "grid::karras: rho must be positive and finite");
    }
    for (const double bad : {0.0, -1.0, not_a_number}) {
        CHECK_THROWS_WITH(grid::uniform(edm, 5, {.sigma_max = bad}),
                          "grid::uniform: sigma_max must be positive");
        CHECK_THROWS_WITH(grid::log_snr(edm, 5, {.sigma_max = bad}),
                          "grid::log_snr: sigma_max must be positive");
        CHECK_THROWS_WITH(grid::karras(edm, 5, {.sigma_max = bad}),
                          "grid::karras: sigma_max must be positive");
        CHECK_THROWS_WITH(grid::uniform(edm, 5, {.sigma_min = bad}),
                          "grid::uniform: sigma_min must be positive");
        CHECK_THROWS_WITH(grid::log_snr(edm, 5, {.sigma_min = bad}),
                          "grid::log_snr: sigma_min must be positive");
        CHECK_THROWS_WITH(grid::karras(edm, 5, {.sigma_min = bad}),
                          "grid::karras: sigma_min must be positive");
        const char* stand_in = "grid::log_snr: pure_noise_as must be positive and finite";
        CHECK_THROWS_WITH(grid::log_snr(schedule::flow{}, 5, {.pure_noise_as = bad}), stand_in);
    }
    CHECK_THROWS_WITH(grid::uniform(edm, 5, {.sigma_max = 1.0, .sigma_min = 2.0}),
                      "grid::uniform: the range needs sigma_max > sigma_min");
    CHECK_THROWS_WITH(grid::log_snr(edm, 5, {.sigma_max = 0.001}),
                      "grid::log_snr: the range needs sigma_max > sigma_min");
    CHECK_THROWS_WITH(grid::karras(edm, 1, {.sigma_min = 80.0}),
                      "grid::karras: the range needs sigma_max > sigma_min");
    CHECK_THROWS_WITH(grid::karras(edm, 5, {.last = static_cast<final_level>(9)}),
                      "grid::karras: last must be final_level::zero or final_level::sigma_min");
    // the schedule does not reach so far
    CHECK_THROWS_WITH(grid::karras(schedule::vp_linear{}, 5, {.sigma_max = 1e6}),
                      "schedule::vp_linear: half_log_snr must be at least that of t = 1");
    CHECK_THROWS_AS(grid::karras(edm, 5, {.sigma_max = infinity}), std::invalid_argument);
    // more levels than double precision can tell apart
    CHECK_THROWS_AS(grid::uniform(edm, 50, {.sigma_max = 1.0 + 4e-16, .sigma_min = 1.0}),
                    std::invalid_argument);
}
