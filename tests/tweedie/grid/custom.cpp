// SPDX-License-Identifier: MIT
#include <tweedie/grid/custom.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("from_times takes the schedule's own times", "[grid][custom][exact]") {
    const schedule::flow flow;
    const levels expected = {{1.0, 0.0, 1.0}, {0.25, 0.75, 0.25}, {0.0, 1.0, 0.0}};
    CHECK(grid::from_times(flow, {1.0, 0.25, 0.0}) == expected);
    CHECK(grid::from_times(flow, std::vector<double>{1.0, 0.25, 0.0}) == expected);
}

TEST_CASE("from_sigmas takes ratios sigma / alpha", "[grid][custom][exact]") {
    const levels edm = grid::from_sigmas(schedule::edm{}, {14.6, 1.0, 0.0});
    CHECK_THAT(edm[0].sigma, WithinRel(14.6, tol<double>::exact));
    CHECK(edm[1] == level{1.0, 1.0, 1.0});
    CHECK(edm[2] == level{0.0, 1.0, 0.0});
    const levels vp = grid::from_sigmas(schedule::vp_linear{}, std::vector<double>{14.6, 1.0, 0.0});
    CHECK_THAT(vp[0].sigma / vp[0].alpha, WithinRel(14.6, tol<double>::exact));
    CHECK_THAT(vp[1].sigma, WithinRel(std::sqrt(0.5), tol<double>::exact));
    CHECK(grid::from_sigmas(schedule::flow{}, {infinity, 1.0, 0.0}) ==
          levels{{1.0, 0.0, 1.0}, {0.5, 0.5, 0.5}, {0.0, 1.0, 0.0}});
}

TEST_CASE("from_half_log_snr takes both infinite ends", "[grid][custom][exact]") {
    const levels expected = {{1.0, 0.0, 1.0}, {0.5, 0.5, 0.5}, {0.0, 1.0, 0.0}};
    CHECK(grid::from_half_log_snr(schedule::flow{}, {-infinity, 0.0, infinity}) == expected);
    CHECK(grid::from_half_log_snr(schedule::flow{}, std::vector<double>{-infinity, 0.0, infinity}) ==
          expected);
}

TEST_CASE("from_levels copies levels a sampler can walk", "[grid][custom][exact]") {
    const levels own = {{7.0, 0.5, 2.0}, {6.0, 0.7, 1.0}};
    CHECK(grid::from_levels(own) == own);
}

TEST_CASE("custom grids refuse what a sampler cannot walk", "[grid][custom][errors]") {
    const schedule::flow flow;
    using values = std::vector<double>;
    const char* domain = "schedule::flow: t must lie in [0, 1]";
    CHECK_THROWS_WITH(grid::from_times(flow, {1.5, 0.0}), domain);
    CHECK_THROWS_WITH(grid::from_times(flow, {1.0, not_a_number}), domain);
    CHECK_THROWS_WITH(grid::from_times(flow, {0.5, 0.5}),
                      "grid::from_times: level 1: half_log_snr must increase from level to level");
    CHECK_THROWS_WITH(grid::from_times(flow, {0.0, 1.0}),
                      "grid::from_times: level 1: half_log_snr must increase from level to level");
    CHECK_THROWS_WITH(grid::from_times(flow, values{}),
                      "grid::from_times: need at least two levels, where to start and where to end");
    const char* negative = "grid::from_sigmas: sigmas must not be negative";
    CHECK_THROWS_WITH(grid::from_sigmas(flow, {1.0, -0.5}), negative);
    CHECK_THROWS_WITH(grid::from_sigmas(flow, {1.0, not_a_number}), negative);
    CHECK_THROWS_WITH(grid::from_sigmas(flow, {1.0, 0.0, 0.0}),
                      "grid::from_sigmas: level 2: half_log_snr must increase from level to level");
    CHECK_THROWS_AS(grid::from_sigmas(schedule::edm{}, {infinity, 1.0}), std::invalid_argument);
    CHECK_THROWS_WITH(grid::from_half_log_snr(flow, {0.0, not_a_number}),
                      "schedule::flow: half_log_snr must be a number");
    CHECK_THROWS_WITH(grid::from_half_log_snr(flow, {0.0, -1.0}),
                      "grid::from_half_log_snr: level 1: half_log_snr must increase from level to level");
    CHECK_THROWS_WITH(grid::from_levels(levels{{1.0, 0.0, 0.0}, {0.0, 1.0, 0.0}}),
                      "grid::from_levels: level 0: alpha and sigma must not both be zero");
}
