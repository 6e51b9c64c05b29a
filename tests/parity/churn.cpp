// SPDX-License-Identifier: MIT
#include "churn.hpp"

#include <cstddef>
#include <utility>
#include <vector>

namespace parity {

using namespace tweedie;

solver::churn churn_of(const recorded_case& r) {
    const auto either = [&](const char* lower, const char* upper, double otherwise) {
        return r.option(lower, r.option(upper, otherwise));
    };
    solver::churn c;
    c.s_churn = either("s_churn", "S_churn", c.s_churn);
    c.s_tmin = either("s_tmin", "S_min", c.s_tmin);
    c.s_tmax = either("s_tmax", "S_max", c.s_tmax);
    c.s_noise = either("s_noise", "S_noise", c.s_noise);
    return c;
}

void keep_churned_draws(recorded_case& r, const solver::churn& churn) {
    if (churn.s_churn == 0.0 || r.setup.noise.size() < r.steps()) { return; }
    std::vector<vec> kept;
    for (std::size_t i = 0; i < r.steps(); ++i) {
        const double kappa = r.levels[i].sigma / r.levels[i].alpha;
        if (kappa >= churn.s_tmin && kappa <= churn.s_tmax) { kept.push_back(r.setup.noise[i]); }
    }
    r.setup.noise = std::move(kept);
}

}  // namespace parity
