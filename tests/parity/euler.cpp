// SPDX-License-Identifier: MIT

// Euler's method in native time: VE, EDM and flow; and renoising on flows.

#include <tweedie/plan/writer.hpp>
#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/euler.hpp>

#include <cmath>
#include <cstddef>
#include <string>

#include "churn.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// The churn of EulerDiscreteScheduler and EDMEulerScheduler: the network sees the state before the noise, at
/// the level before it, and its output is read as if it belonged to the state after it. No method of ours:
/// the peer's equations as a plan.
plan peer_churned_euler(const recorded_case& r, const solver::churn& churn) {
    const std::string prediction = r.c.at("model").at("prediction");
    const bool edm = r.method.starts_with("EDM");
    const double d = r.option("sigma_data", 0.5);
    const std::size_t listed = r.c.at("sigmas").size() - 1;  // steps, those before the start too
    plan_writer p("euler with the churn of diffusers", r.levels);
    plan_variable x = p.state();
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [at, t] = p.step(i);
        const double s = at.sigma;
        const double hat = solver::churned_level(churn, r.schedule(), at, listed).sigma;
        const linear_form x0 = p.data_prediction(x, at);
        const linear_form seen = x;
        if (hat > s) { x = x + churn.s_noise * std::sqrt((hat - s) * (hat + s)) * p.noise(); }
        linear_form read;  // as x0
        if (edm) {
            const auto skip = [d](double sigma) { return d * d / (sigma * sigma + d * d); };
            const auto out = [d](double sigma) { return sigma * d / std::hypot(sigma, d); };
            const linear_form raw = (x0 - skip(s) * seen) / out(s);
            read = skip(hat) * x + out(hat) * raw;
        } else if (prediction == "epsilon") {
            read = x - (hat / s) * (seen - x0);
        } else if (prediction == "v_prediction") {
            const linear_form v = (std::hypot(1.0, s) / s) * (seen / (s * s + 1.0) - x0);
            read = x / (s * s + 1.0) - (s / std::hypot(1.0, s)) * v;
        } else {
            read = x0;
        }
        x = x + ((t.sigma - hat) / hat) * (x - read);
    }
    return p.finish(x);
}

}  // namespace

outcome euler(recorded_case& r) {
    if (r.option("s_churn", 0.0) > 0.0) {
        if (r.kind != space::ve) { return unsupported("churn on a flow"); }
        const solver::churn churn = churn_of(r);
        return judged(compare(r, run(peer_churned_euler(r, churn), r.setup)),
                      "the peer's churn (its network sees the state before the noise), as a plan");
    }
    if (r.option("stochastic_sampling", false)) {
        return run_all(r, solver::consistency{}, "stochastic_sampling, as consistency");
    }
    return run_all_but_repeated(r, solver::euler{});
}

outcome k_diffusion_euler(recorded_case& r) {
    const solver::churn churn = churn_of(r);
    keep_churned_draws(r, churn);
    return run_all(r, solver::euler{.churn = churn});
}

}  // namespace parity
