// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("require_levels accepts both exact ends", "[grid][require_levels][contract]") {
    CHECK_NOTHROW(require_levels(levels{{1.0, 0.0, 1.0}, {0.0, 1.0, 0.0}}, "x"));
    CHECK_NOTHROW(require_levels(levels{{1.0, 1.0, 50.0}, {0.0, 1.0, 0.1}, {-infinity, 1.0, 0.0}}, "x"));
    // scales need not be those of a library schedule, and time may rise
    CHECK_NOTHROW(require_levels(levels{{0.0, 0.1, 3.0}, {1.0, 7.0, 3.0}}, "x"));
}

TEST_CASE("require_levels names the level and the rule", "[grid][require_levels][errors]") {
    const auto message = [](levels grid, const char* expected) {
        CHECK_THROWS_WITH(require_levels(grid, "solver::x"), expected);
        CHECK_THROWS_AS(require_levels(grid, "solver::x"), std::invalid_argument);
    };
    const char* two = "solver::x: need at least two levels, where to start and where to end";
    message({}, two);
    message({{1.0, 1.0, 1.0}}, two);
    const level noisy{1.0, 1.0, 1.0};
    const level clean{0.0, 1.0, 0.0};
    const char* finite = "solver::x: level 1: alpha and sigma must be finite and not negative";
    message({noisy, {0.5, not_a_number, 0.5}, clean}, finite);
    message({noisy, {0.5, 1.0, not_a_number}, clean}, finite);
    message({noisy, {0.5, 1.0, -0.5}, clean}, finite);
    message({noisy, {0.5, -1.0, 0.5}, clean}, finite);
    message({noisy, {0.5, infinity, 0.5}, clean}, finite);
    message({{1.0, 1.0, infinity}, clean},
            "solver::x: level 0: alpha and sigma must be finite and not negative");
    message({noisy, {0.5, 0.0, 0.0}}, "solver::x: level 1: alpha and sigma must not both be zero");
    message({{not_a_number, 1.0, 1.0}, clean}, "solver::x: level 0: t must be finite");
    message({{infinity, 1.0, 1.0}, clean}, "solver::x: level 0: t must be finite");
    message({noisy, {not_a_number, 1.0, 0.0}}, "solver::x: level 1: t must be finite");
    const char* order = "solver::x: level 1: half_log_snr must increase from level to level";
    message({noisy, noisy}, order);
    message({noisy, {0.5, 1.0, 2.0}, clean}, order);
    message({clean, clean}, order);
    message({clean, noisy}, order);
    message({noisy, {2.0, 0.0, 1.0}}, order);
    message({{2.0, 0.0, 1.0}, {1.5, 0.0, 1.0}}, order);
    message({noisy, clean, {-1.0, 2.0, 0.0}},
            "solver::x: level 2: half_log_snr must increase from level to level");
}

TEST_CASE("require_levels lets noise rise where it is asked to, all the way or not at all",
          "[grid][require_levels][errors]") {
    const level clean{0.0, 1.0, 0.0};
    const level a{0.1, 1.0, 0.1};
    const level b{0.5, 1.0, 0.5};
    const level c{1.0, 1.0, 1.0};
    const level noise{2.0, 0.0, 1.0};
    CHECK_NOTHROW(require_levels(levels{a, b, c}, "x", walk::either));
    CHECK_NOTHROW(require_levels(levels{noise, c, b, a, clean}, "x", walk::either));
    const auto message = [](levels grid, const char* expected) {
        CHECK_THROWS_WITH(require_levels(grid, "x", walk::either), expected);
    };
    CHECK_THROWS_WITH(require_levels(levels{a, b}, "x"),
                      "x: level 1: half_log_snr must increase from level to level");
    message({a, c, b},
            "x: level 2: half_log_snr must decrease from level to level, as it does in the first step");
    message({a, b, b},
            "x: level 2: half_log_snr must decrease from level to level, as it does in the first step");
    message({c, a, b}, "x: level 2: half_log_snr must increase from level to level");
    message({a, a}, "x: level 1: half_log_snr must increase from level to level");
    message({clean, a}, "x: level 0: levels that rise in noise need sigma > 0 and alpha > 0");
    message({a, b, noise}, "x: level 2: levels that rise in noise need sigma > 0 and alpha > 0");
    message({{0.5, 1.0, not_a_number}, a}, "x: level 0: alpha and sigma must be finite and not negative");
}

TEST_CASE("grid::from starts a grid in the middle", "[grid][from][exact]") {
    const schedule::edm edm;
    const levels whole = grid::karras(edm, 10);
    const levels part = grid::from(edm, whole, 3.0);
    REQUIRE_THAT(part.front().sigma, WithinRel(3.0, tol<double>::exact));
    // the nodes that are kept are those of the grid
    std::size_t first = 0;
    while (whole[first].sigma > 3.0) { ++first; }
    CHECK(levels(part.begin() + 1, part.end()) ==
          levels(whole.begin() + static_cast<long>(first), whole.end()));
    CHECK(grid::from(whole, at(edm, 3.0)).size() == part.size());
}

TEST_CASE("grid::from makes no vanishing step at a level of the grid", "[grid][from][exact]") {
    const schedule::flow flow;
    const levels whole = grid::karras(flow, 10);
    for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
        const level start = whole[i];
        const levels same = grid::from(whole, start);
        CHECK(same == levels(whole.begin() + static_cast<long>(i), whole.end()));
        if (start.alpha > 0.0) {
            // given as a ratio, rounded another way
            CHECK(grid::from(flow, whole, start.sigma / start.alpha * (1.0 + 1e-15)).size() == same.size());
            CHECK(grid::from(flow, whole, start.sigma / start.alpha * (1.0 - 1e-15)).size() == same.size());
        }
    }
    CHECK(grid::from(flow, whole, infinity) == whole);
}

TEST_CASE("grid::from refuses a start outside the grid", "[grid][from][errors]") {
    const schedule::edm edm;
    const levels whole = grid::karras(edm, 10, {.last = grid::final_level::sigma_min});
    CHECK_THROWS_WITH(grid::from(edm, whole, 81.0),
                      "grid::from: start must not be noisier than the first level");
    CHECK_THROWS_WITH(grid::from(edm, whole, 0.002), "grid::from: start must be noisier than the last level");
    CHECK_THROWS_WITH(grid::from(edm, whole, 0.001), "grid::from: start must be noisier than the last level");
    CHECK_THROWS_WITH(grid::from(whole, at(edm, 0.0)),
                      "grid::from: start must be noisier than the last level");
    const char* positive = "grid::from: sigma_max must be positive";
    CHECK_THROWS_WITH(grid::from(edm, whole, 0.0), positive);
    CHECK_THROWS_WITH(grid::from(edm, whole, not_a_number), positive);
    CHECK_THROWS_WITH(grid::from(whole, level{1.0, not_a_number, 1.0}),
                      "grid::from: start must not be noisier than the first level");
    CHECK_THROWS_WITH(grid::from(levels{}, at(edm, 1.0)),
                      "grid::from: need at least two levels, where to start and where to end");
}
