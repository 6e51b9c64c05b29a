// SPDX-License-Identifier: MIT
#pragma once

// Churn, by the names the peers give its options.

#include <tweedie/solver/churn.hpp>

#include "table.hpp"

namespace parity {

/// The churn of a case: `s_churn` or `S_churn`, and so on.
[[nodiscard]] tweedie::solver::churn churn_of(const recorded_case& r);

/// Leaves the draws of the steps that are churned: some peers draw at every step.
void keep_churned_draws(recorded_case& r, const tweedie::solver::churn& churn);

}  // namespace parity
