// SPDX-License-Identifier: MIT

// Heun's method in native time: VE and flow.

#include <tweedie/plan/writer.hpp>
#include <tweedie/run/threshold.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "churn.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// The churn of FlowMatchHeunDiscreteScheduler: noise is added after the first call as if alpha were 1, whose
/// velocity is then shortened by sigma / sigma_hat. No method of ours: the peer's equations as a plan. A draw
/// is spent on the second call as well, to no effect.
plan peer_churned_heun(recorded_case& r, const solver::churn& churn) {
    const std::vector<vec> recorded = r.setup.noise;
    r.setup.noise.clear();
    const any_schedule flow = r.schedule();
    const double listed = static_cast<double>(r.c.at("sigmas").size() - 1);
    const double most = std::min(churn.s_churn / listed, std::sqrt(2.0) - 1.0);
    std::size_t draw = 0;
    plan_writer p("heun with the churn of diffusers", r.levels);
    plan_variable x = p.state();
    plan_variable start = p.variable("start");
    plan_variable slope = p.variable("slope");
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        const bool churned = s.sigma >= churn.s_tmin && s.sigma <= churn.s_tmax && most > 0.0;
        const double hat = s.sigma * (1.0 + (churned ? most : 0.0));
        const linear_form u = p.velocity(x, s, flow);
        if (churned) {
            x = x + churn.s_noise * std::sqrt((hat - s.sigma) * (hat + s.sigma)) * p.noise();
            r.setup.noise.push_back(recorded.at(draw++));
        }
        start = x;
        slope = (s.sigma / hat) * u;
        x = start + (t.sigma - hat) * slope;
        if (t.sigma == 0.0) { break; }
        const linear_form u_next = p.velocity(x, t, flow);
        if (churned) { ++draw; }
        x = start + (t.sigma - hat) / 2.0 * (slope + u_next);
    }
    return p.finish(x);
}

}  // namespace

outcome heun(recorded_case& r) {
    const solver::churn churn = churn_of(r);
    if (churn.s_churn > 0.0) {
        if (r.kind != space::flow) { return unsupported("churn"); }
        return judged(compare(r, run(peer_churned_heun(r, churn), r.setup)),
                      "the peer's churn (its network sees the state before the noise), as a plan");
    }
    if (r.option("clip_sample", false)) { r.setup.transform = clip{r.option("clip_sample_range", 1.0)}; }
    return run_all_but_repeated(r, solver::heun{});
}

outcome k_diffusion_heun(recorded_case& r) {
    const solver::churn churn = churn_of(r);
    keep_churned_draws(r, churn);
    return run_all(r, solver::heun{.churn = churn});
}

}  // namespace parity
