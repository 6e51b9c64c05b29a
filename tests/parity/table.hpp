// SPDX-License-Identifier: MIT
#pragma once

// Which of our solvers answers to which scheduler.
//
// To add a family: write `tests/parity/<family>.cpp` with a function `outcome <name>(recorded_case& r)` that
// reads the case's options (`r.option("solver_order", 2)`), chooses a solver of ours, and returns
//
//     run_all(r, solver::heun{})                          everything compared,
//     run_all_but_repeated(r, solver::euler{})            where a peer may end with the same level twice,
//     judged(compare(r, run(plan, r.setup)), "note")      the same by hand, or
//     unsupported("why")                                  not run.
//
// `r.levels`, `r.setup` (start, noise, transform of x0_hat, edit of the state) are those of the record, and
// the adapter's to change. Read the record by `.at("...")`, so that one of another format is reported. Then
// declare the function and add its lines in table.cpp. A note names the rule under which a case is compared
// where the peer is wrong or does more than is compared. Map the configuration generally: other cases of the
// same kind exist.

#include <string>
#include <vector>

#include "recorded.hpp"

namespace parity {

/// A scheduler's class of diffusers, or `official_<repository>`, `official_<repository>/<sampler>`; and what
/// runs its cases.
struct entry {
    std::string method;
    outcome (*run)(recorded_case& r);
};

[[nodiscard]] const std::vector<entry>& table();

/// The entry of a method, or of its repository; null if there is none.
[[nodiscard]] const entry* find(const std::string& method);

}  // namespace parity
