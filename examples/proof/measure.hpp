// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>
#include <tweedie/verify/order.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "mixtures.hpp"
#include "table.hpp"

namespace proof {

/// A schedule the orders are measured on, and the flow of a small smooth mixture on it.
struct family {
    std::string name;
    tweedie::any_schedule schedule;
    bool kinked = false;  ///< its time is a table: no order in that time
    tweedie::verify::order_problem flow;
};

/// VP, VE, EDM, flow, trig and a beta table; from sigma / alpha = 10 to 0.1.
[[nodiscard]] std::vector<family> families();

/// The levels an order is measured on: equal steps in half-log-SNR.
[[nodiscard]] std::vector<tweedie::level> order_levels(const family& on, int steps);

/// The slope of the median error of the ends over the number of steps.
[[nodiscard]] tweedie::verify::measured order_of(const row& solver, const family& on);

/// Median error of the ends of a problem with at most `calls` network calls, on `grid::karras` (rho 7)
/// between the problem's levels; NaN where the solver needs more calls for one step.
[[nodiscard]] double error_with_calls(const row& solver, const problem& on, std::size_t calls);

/// The largest error of mean and variance of the end, relative to the exact standard deviation and variance,
/// over data variances 0.01, 0.25 and 4 (mean 1): exact, from the plan's matrices.
struct moment_error {
    double mean = 0.0;
    double variance = 0.0;
};
/// The order at which the larger of the two errors falls when there are `refinement` times the steps; NaN
/// where both are zero.
[[nodiscard]] double slope(const moment_error& coarse, const moment_error& fine, int refinement);
[[nodiscard]] moment_error moments_of(const row& solver, const family& on, int steps);

/// Network calls of a step in the middle of a long run, and live tensors.
struct step_cost {
    double calls = 0.0;
    std::size_t live_tensors = 0;
    bool draws = false;
};
[[nodiscard]] step_cost cost_of(const row& solver);

}  // namespace proof
