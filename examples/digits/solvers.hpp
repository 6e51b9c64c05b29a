// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/edm.hpp>

#include <string>
#include <vector>

namespace digits {

/// The noise that the pictures are made of and cleaned from.
[[nodiscard]] const tweedie::schedule::edm& schedule();

/// The solvers of `--solver` and of the table.
[[nodiscard]] std::vector<std::string> solver_names();

/// "a, b, c"
[[nodiscard]] std::string listed(const std::vector<std::string>& names);

/// The plan of a solver with `steps` steps, from pure noise to a clean picture.
[[nodiscard]] tweedie::plan plan_with_steps(const std::string& solver, int steps);

/// The plan of a solver that makes exactly `calls` network calls. It ends clean; only Heun's with an even
/// number of calls ends at the last noise level of the schedule, because a step to sigma = 0 is one call and
/// all others two.
[[nodiscard]] tweedie::plan plan_with_calls(const std::string& solver, int calls);

}  // namespace digits
