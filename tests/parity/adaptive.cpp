// SPDX-License-Identifier: MIT

// DPM-Solver-12 and -23, whose steps follow the error.

#include <tweedie/run/loop_stepper.hpp>
#include <tweedie/solver/dpm_adaptive.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// Runs with the levels of the case and compares where the network was asked, what it said, how many steps
/// were accepted and rejected, and the end.
outcome run_adaptive(const recorded_case& r, const solver::dpm_adaptive& method) {
    const auto wrong = [](const std::string& what) {
        return judged(std::numeric_limits<double>::infinity(), what);
    };
    loop_stepper s(
        method.loop(r.schedule(), r.levels), r.setup.convention, r.setup.x,
        injected_noise<double>(noise_record<double>{.elements = r.setup.x.size(), .step = r.setup.noise}),
        output_column::data_prediction);  // as the peers do: x0_hat first, in the same roundings
    const std::vector<level> asked_at = r.call_levels();
    std::vector<vec> outputs;
    if (r.c.contains("model_out")) { outputs = rows(r.c.at("model_out")); }
    if (r.c.contains("denoised")) { outputs = rows(r.c.at("denoised")); }
    double worst = 0.0;
    std::size_t calls = 0;
    while (const auto asked = s.next()) {
        const vec output = r.setup.network(asked->x, asked->level);
        if (calls == asked_at.size()) { return wrong("more network calls than the peer"); }
        const level& peer = asked_at[calls];
        worst = std::max(worst,
                         relative_error({asked->level.alpha, asked->level.sigma}, {peer.alpha, peer.sigma}));
        if (calls < outputs.size()) { worst = std::max(worst, relative_error(output, outputs[calls])); }
        ++calls;
        s.supply(output);
    }
    if (!s.result()) { return wrong("did not finish"); }
    if (calls != asked_at.size()) { return wrong("fewer network calls than the peer"); }
    if (r.c.contains("info")) {
        const json& info = r.c.at("info");
        const auto differs = [&](const char* key, std::size_t ours) {
            return info.contains(key) && info[key].get<std::size_t>() != ours;
        };
        const std::size_t accepted = s.method().accepted();
        const std::size_t rejected = s.method().rejected();
        if (differs("steps", accepted + rejected) || differs("nfe", calls) || differs("n_accept", accepted) ||
            differs("n_reject", rejected)) {
            return wrong("other counts of steps");
        }
    }
    worst = std::max(worst, relative_error(s.x(), numbers(r.c.at("x_final"))));
    return judged(worst, "peer_formula: asks again after a rejection");
}

}  // namespace

outcome k_diffusion_dpm_adaptive(recorded_case& r) {
    r.levels = {level_of(r.kind, r.c.at("sigma_max").get<double>()),
                level_of(r.kind, r.c.at("sigma_min").get<double>())};
    return run_adaptive(r, {.order = r.option("order", std::size_t{3}),
                            .rtol = r.option("rtol", 0.05),
                            .atol = r.option("atol", 0.0078),
                            .h_init = r.option("h_init", 0.05),
                            .control = {.pcoeff = r.option("pcoeff", 0.0),
                                        .icoeff = r.option("icoeff", 1.0),
                                        .dcoeff = r.option("dcoeff", 0.0),
                                        .accept_safety = r.option("accept_safety", 0.81)},
                            .eta = r.option("eta", 0.0),
                            .s_noise = r.option("s_noise", 1.0),
                            .peer_formula = true});
}

outcome official_dpm_solver_adaptive(recorded_case& r) {
    const std::vector<level> asked_at = r.call_levels();
    r.levels = {asked_at.front(), official_end(r)};
    if (r.option("denoise_to_zero", false)) { r.levels.push_back(level_of(r.kind, 1.0, 0.0)); }
    const bool taylor = r.option("solver_type", "dpmsolver") == "taylor";
    const bool noise = r.c.value("algorithm_type", "dpmsolver++") == "dpmsolver";
    return run_adaptive(r, {.order = r.option("order", std::size_t{2}),
                            .rtol = r.option("rtol", 0.05),
                            .atol = r.option("atol", 0.0078),
                            .predicts = noise ? solver::form::noise : solver::form::data,
                            .variant = taylor ? solver::difference::taylor : solver::difference::midpoint,
                            .control = {.rule = solver::step_rule::published},
                            .peer_formula = true});
}

}  // namespace parity
