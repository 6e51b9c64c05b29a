// SPDX-License-Identifier: MIT
#include <tweedie/grid/discrete.hpp>

#include <string>

#include "checks.hpp"

using namespace tweedie;
using grid::final_level;
using grid::index_zero;

namespace {

// `steps` distinct falling whole indices in [0, N - 1], then the end.
bool is_spacing(const levels& l, int steps, int count, double end) {
    bool good = l.size() == static_cast<std::size_t>(steps) + 1 && l.back().t == end;
    for (std::size_t i = 0; i + 1 < l.size(); ++i) {
        const double t = l[i].t;
        good = good && t == std::floor(t) && t >= 0.0 && t <= count - 1 && t > l[i + 1].t;
    }
    return good;
}

}  // namespace

TEST_CASE("the spacings are right for every step count", "[grid][discrete][contract]") {
    const auto table = schedule::discrete::linear();
    int bad = 0;
    for (int n = 1; n <= 1000; ++n) {
        bad += is_spacing(grid::trailing(table, n), n, 1000, -1.0) ? 0 : 1;
        bad += is_spacing(grid::leading(table, n), n, 1000, -1.0) ? 0 : 1;
        bad += is_spacing(grid::linspace(table, n), n, 1000, -1.0) ? 0 : 1;
        bad += grid::trailing(table, n).front().t == 999.0 ? 0 : 1;
        bad += grid::linspace(table, n).front().t == 999.0 ? 0 : 1;
        if (n < 1000) {
            const levels leading =
                grid::leading(table, n, {.zero = index_zero::skipped, .last = final_level::sigma_min});
            const levels linspace =
                grid::linspace(table, n, {.zero = index_zero::skipped, .last = final_level::sigma_min});
            bad += is_spacing(leading, n, 1000, 0.0) && is_spacing(linspace, n, 1000, 0.0) ? 0 : 1;
            bad += linspace.front().t == 999.0 ? 0 : 1;
        }
        if (n <= 666) {  // beyond, trailing visits index 0 itself
            bad +=
                is_spacing(grid::trailing(table, n, {.last = final_level::sigma_min}), n, 1000, 0.0) ? 0 : 1;
        }
    }
    CHECK(bad == 0);
}

TEST_CASE("the spacings are right for tables of every length", "[grid][discrete][contract]") {
    int bad = 0;
    for (int count = 1; count <= 60; ++count) {
        const auto table = schedule::discrete::linear(count, 1e-3, 0.2);
        for (int n = 1; n <= count; ++n) {
            bad += is_spacing(grid::trailing(table, n), n, count, -1.0) ? 0 : 1;
            bad += is_spacing(grid::leading(table, n), n, count, -1.0) ? 0 : 1;
            bad += is_spacing(grid::linspace(table, n), n, count, -1.0) ? 0 : 1;
        }
        // as many steps as levels: every level, once
        bad += grid::trailing(table, count) == grid::leading(table, count) ? 0 : 1;
        bad += grid::trailing(table, count) == grid::linspace(table, count) ? 0 : 1;
    }
    CHECK(bad == 0);
}

TEST_CASE("a step of a spacing ends at the next level, the last one at the clean level or index 0",
          "[grid][discrete][exact]") {
    const auto table = schedule::discrete::linear();
    CHECK(times_of(grid::trailing(table, 7)) ==
          std::vector<double>{999.0, 856.0, 713.0, 570.0, 428.0, 285.0, 142.0, -1.0});
    CHECK(grid::trailing(table, 7).back() == level{-1.0, 1.0, 0.0});
    CHECK(grid::trailing(table, 7, {.last = final_level::sigma_min}).back() == at(table, 0.0));
    CHECK(times_of(grid::leading(table, 4, {.offset = 1, .last = final_level::sigma_min})) ==
          std::vector<double>{751.0, 501.0, 251.0, 1.0, 0.0});
    // one level for one step
    CHECK(times_of(grid::trailing(table, 1)) == std::vector<double>{999.0, -1.0});
    CHECK(times_of(grid::linspace(table, 1)) == std::vector<double>{999.0, -1.0});
    CHECK(times_of(grid::leading(table, 1)) == std::vector<double>{0.0, -1.0});
    CHECK(times_of(grid::leading(table, 1, {.zero = index_zero::skipped})) ==
          std::vector<double>{500.0, -1.0});
}

TEST_CASE("simple counts whole indices down from the noisiest level", "[grid][discrete][exact]") {
    const auto table = schedule::discrete::linear();
    CHECK(times_of(grid::simple(table, 3)) == std::vector<double>{999.0, 666.0, 333.0, -1.0});
    CHECK(times_of(grid::simple(table, 7)) ==
          std::vector<double>{999.0, 857.0, 714.0, 571.0, 428.0, 285.0, 142.0, -1.0});
    CHECK(times_of(grid::simple(table, 1, {.last = final_level::sigma_min})) ==
          std::vector<double>{999.0, 0.0});
    CHECK(grid::simple(table, 1000) == grid::trailing(table, 1000));
    int bad = 0;
    for (int n = 1; n <= 1000; ++n) {
        const levels l = grid::simple(table, n);
        bad += is_spacing(l, n, 1000, -1.0) ? 0 : 1;
        const levels trailing = grid::trailing(table, n);
        for (std::size_t i = 0; i < l.size(); ++i) { bad += std::abs(l[i].t - trailing[i].t) <= 1.0 ? 0 : 1; }
    }
    CHECK(bad == 0);
    for (const int n : {0, -3, 1001}) {
        CHECK_THROWS_WITH(grid::simple(table, n), "grid::simple: steps must lie in [1, 1000]");
    }
    CHECK_THROWS_WITH(
        grid::simple(table, 1000, {.last = final_level::sigma_min}),
        "grid::simple: training index 0 is visited already, so it cannot be the final level; use "
        "final_level::zero or skip index 0");
}

TEST_CASE("a spacing over a zero-terminal-SNR table starts at pure noise", "[grid][discrete][exact]") {
    const auto table = schedule::discrete::from_alphas_bar(std::vector<double>{0.9, 0.5, 0.1, 0.0});
    CHECK(grid::trailing(table, 2).front() == level{3.0, 0.0, 1.0});
    CHECK(grid::linspace(table, 2).front() == level{3.0, 0.0, 1.0});
    CHECK(grid::leading(table, 2).front() == at(table, 2.0));
}

TEST_CASE("the spacings refuse what they cannot space", "[grid][discrete][errors]") {
    const auto table = schedule::discrete::linear(100);
    for (const int n : {0, -3, 101, std::numeric_limits<int>::max(), std::numeric_limits<int>::min()}) {
        CHECK_THROWS_WITH(grid::leading(table, n), "grid::leading: steps must lie in [1, 100]");
        CHECK_THROWS_WITH(grid::trailing(table, n), "grid::trailing: steps must lie in [1, 100]");
        CHECK_THROWS_WITH(grid::linspace(table, n), "grid::linspace: steps must lie in [1, 100]");
    }
    CHECK_THROWS_WITH(grid::leading(table, 100, {.zero = index_zero::skipped}),
                      "grid::leading: steps must lie in [1, 99]");
    CHECK_THROWS_WITH(grid::linspace(table, 100, {.zero = index_zero::skipped}),
                      "grid::linspace: steps must lie in [1, 99]");
    CHECK_THROWS_WITH(grid::leading(table, 100, {.offset = 1}),
                      "grid::leading: offset must lie in [0, 0] for this number of steps");
    CHECK_THROWS_WITH(grid::leading(table, 10, {.offset = 10}),
                      "grid::leading: offset must lie in [0, 9] for this number of steps");
    CHECK_THROWS_WITH(grid::leading(table, 10, {.offset = -1}),
                      "grid::leading: offset must lie in [0, 9] for this number of steps");
    CHECK_THROWS_WITH(grid::leading(table, 10, {.offset = std::numeric_limits<int>::max()}),
                      "grid::leading: offset must lie in [0, 9] for this number of steps");
    const std::string visited =
        ": training index 0 is visited already, so it cannot be the final level; use final_level::zero or "
        "skip "
        "index 0";
    CHECK_THROWS_WITH(grid::leading(table, 10, {.last = final_level::sigma_min}), "grid::leading" + visited);
    CHECK_THROWS_WITH(grid::linspace(table, 10, {.last = final_level::sigma_min}),
                      "grid::linspace" + visited);
    CHECK_THROWS_WITH(grid::trailing(table, 100, {.last = final_level::sigma_min}),
                      "grid::trailing" + visited);
    CHECK_THROWS_WITH(grid::trailing(table, 10, {.last = static_cast<final_level>(9)}),
                      "grid::trailing: last must be final_level::zero or final_level::sigma_min");
}
