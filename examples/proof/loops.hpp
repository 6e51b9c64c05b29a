// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "mixtures.hpp"

namespace proof {

/// How a sampler whose steps depend on what it sees did on one problem.
///
/// - `calls`  network calls it made.
/// - `error`  median over the starts of the root mean square error of the end.
struct loop_end {
    double calls = 0.0;
    double error = 0.0;
};

/// A deterministic loop with its options, run on a problem between its two levels.
struct loop_row {
    std::string name;
    loop_end (*run)(const problem& on);
};

/// Methods that choose their own steps, at falling tolerances; EVODiff at 5 to 40 calls.
[[nodiscard]] std::vector<loop_row> loop_rows();

/// A stochastic loop on Gaussian data N(1, 1/4), 64 independent elements in each of 500 samples, on EDM from
/// sigma 10 to 0.1. Sampled: mean and variance have standard errors of 6e-3 and 8e-3.
struct loop_moments {
    double calls = 0.0;
    double mean = 0.0;      ///< relative to the exact standard deviation
    double variance = 0.0;  ///< relative to the exact variance
};

struct stochastic_loop_row {
    std::string name;
    loop_moments (*run)();
};

[[nodiscard]] std::vector<stochastic_loop_row> stochastic_loop_rows();

}  // namespace proof
