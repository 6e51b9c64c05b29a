// SPDX-License-Identifier: MIT

// Heun's method in native time: VE and flow.

#include <tweedie/solver/heun.hpp>

#include <algorithm>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome heun(recorded_case& r) {
    if (r.option("s_churn", 0.0) > 0.0) { return unsupported("churn"); }
    if (r.option("clip_sample", false)) {
        const double range = r.option("clip_sample_range", 1.0);
        r.setup.transform = [range](vec& x0, const level&) {
            for (double& v : x0) { v = std::clamp(v, -range, range); }
        };
    }
    return run_all(r, solver::heun{});
}

outcome k_diffusion_heun(recorded_case& r) {
    if (r.option("s_churn", 0.0) > 0.0) { return unsupported("churn"); }
    return run_all(r, solver::heun{});
}

}  // namespace parity
