// SPDX-License-Identifier: MIT

// Euler's method in native time: VE, EDM and flow.

#include <tweedie/solver/euler.hpp>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome euler(recorded_case& r) {
    if (r.option("s_churn", 0.0) > 0.0) { return unsupported("churn"); }
    if (r.option("stochastic_sampling", false)) { return unsupported("stochastic_sampling"); }
    return run_all_but_repeated(r, solver::euler{});
}

outcome k_diffusion_euler(recorded_case& r) {
    if (r.option("s_churn", 0.0) > 0.0) { return unsupported("churn"); }
    return run_all(r, solver::euler{});
}

}  // namespace parity
