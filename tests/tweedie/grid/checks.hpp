// SPDX-License-Identifier: MIT
#pragma once

// What every grid must satisfy, whatever its formula.

#include <tweedie/grid/levels.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

using levels = std::vector<tweedie::level>;

/// The times of a grid.
inline std::vector<double> times_of(const levels& grid) {
    std::vector<double> times;
    for (const tweedie::level& l : grid) { times.push_back(l.t); }
    return times;
}

/// `steps` + 1 levels a sampler can walk, every one of them a level of the schedule.
template <class Schedule>
bool is_grid_of(const Schedule& schedule, const levels& grid, int steps) {
    tweedie::require_levels(grid, "test");
    bool good = grid.size() == static_cast<std::size_t>(steps) + 1;
    for (const tweedie::level& l : grid) { good = good && l == tweedie::at(schedule, l.t); }
    return good;
}

/// The largest relative difference between sigma / alpha of a grid and recorded sigmas.
inline double worst_ratio(const levels& grid, const std::vector<double>& sigmas) {
    if (grid.size() != sigmas.size()) { return infinity; }
    double worst = 0.0;
    for (std::size_t i = 0; i < grid.size(); ++i) {
        const double ratio = grid[i].sigma / grid[i].alpha;
        worst = std::max(worst, sigmas[i] == 0.0 ? ratio : std::abs(ratio / sigmas[i] - 1.0));
    }
    return worst;
}
