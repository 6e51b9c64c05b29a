// SPDX-License-Identifier: MIT

// Ancestral steps: DDPM, Euler, DPM2 and DPM-Solver++(2S).

#include <tweedie/run/threshold.hpp>
#include <tweedie/solver/ddpm.hpp>
#include <tweedie/solver/dpm2_ancestral.hpp>
#include <tweedie/solver/dpmpp_2s_ancestral.hpp>
#include <tweedie/solver/euler_ancestral.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// The recorded timesteps, from where the run starts.
vec times_of(const recorded_case& r) {
    vec times = numbers(r.c.at("timesteps"));
    times.erase(times.begin(), times.begin() + r.c.value("t_start", std::ptrdiff_t{0}));
    return times;
}

/// The network of the records of KDPM2AncestralDiscreteScheduler: at the second call of a step it was
/// evaluated at the level that belongs to the second call of the step after it (the list of middle levels
/// read one place too far). Its output is read at the right level.
network_law one_step_too_far(const recorded_case& r) {
    const vec middle = numbers(r.c.at("sigmas_interpol"));
    const auto start = r.c.value("t_start", std::size_t{0});
    return [middle, start, ask = r.setup.network, call = std::size_t{0}](const vec& x,
                                                                         const network_level& at) mutable {
        const std::size_t k = start + call++;
        if (k % 2 == 0) { return ask(x, at); }
        const bool on_vp = at.alpha != 1.0;
        network_level there = at;
        there.alpha = on_vp ? 1.0 / std::hypot(1.0, middle.at(k)) : 1.0;
        there.sigma = middle.at(k) * there.alpha;
        vec input = x;
        for (double& v : input) { v *= there.alpha / at.alpha; }
        return ask(input, there);
    };
}

}  // namespace

outcome ddpm(recorded_case& r) {
    const std::string variance = r.option("variance_type", "fixed_small");
    if (variance.starts_with("learned")) { return unsupported("a variance from the network"); }
    const vec times = times_of(r);
    const schedule::discrete table = table_of(r.c);
    r.levels = r.call_levels();
    if (r.levels.empty()) {
        for (const double t : times) {
            r.levels.push_back(level_of(space::vp, table.alpha(t), table.sigma(t)));
        }
    }
    r.levels.push_back(level_of(space::vp, 1.0, 0.0));
    if (r.option("clip_sample", true)) { r.setup.transform = clip{r.option("clip_sample_range", 1.0)}; }
    add_thresholding(r);
    solver::ddpm method;
    if (variance.starts_with("fixed_large")) { method.variant = solver::ddpm::variance::fixed_large; }
    const trajectory t = run(method.plan(r.schedule(), r.levels), r.setup);
    const bool noise_on_clean = variance == "fixed_large" && times.back() > 0.0;
    return judged(compare(r, t, {.end = !noise_on_clean}),
                  noise_on_clean ? "but for the end (the peer adds noise to its clean sample)" : "");
}

outcome euler_ancestral(recorded_case& r) { return run_all(r, solver::euler_ancestral{}); }

outcome kdpm2_ancestral(recorded_case& r) {
    // the peer lists every level but the first twice, and zeros after the end
    const vec sigmas = numbers(r.c.at("sigmas"));
    const auto start = r.c.value("t_start", std::size_t{0});
    if (start % 2 != 0) { return unsupported("a start in the middle of a step"); }
    r.levels = {level_of(r.kind, sigmas.at(start))};
    for (std::size_t i = start + 1; i < sigmas.size(); i += 2) {
        r.levels.push_back(level_of(r.kind, sigmas[i]));
        if (sigmas[i] == 0.0) { break; }
    }
    if (r.c.at("model").at("kind") == "dummy") { return run_all(r, solver::dpm2_ancestral{}); }
    r.setup.network = one_step_too_far(r);
    return run_all(
        r, solver::dpm2_ancestral{},
        "the network evaluated where the record did at second calls: at the next step's middle level");
}

outcome k_diffusion_euler_ancestral(recorded_case& r) {
    return run_all(r,
                   solver::euler_ancestral{.eta = r.option("eta", 1.0), .s_noise = r.option("s_noise", 1.0)});
}

outcome k_diffusion_dpm_2_ancestral(recorded_case& r) {
    return run_all(r,
                   solver::dpm2_ancestral{.eta = r.option("eta", 1.0), .s_noise = r.option("s_noise", 1.0)});
}

outcome k_diffusion_dpmpp_2s_ancestral(recorded_case& r) {
    return run_all(
        r, solver::dpmpp_2s_ancestral{.eta = r.option("eta", 1.0), .s_noise = r.option("s_noise", 1.0)});
}

outcome ltx_euler_ancestral(recorded_case& r) {
    const solver::euler_ancestral method{
        .eta = r.option("eta", 1.0), .s_noise = r.option("s_noise", 1.0), .variant = solver::downstep::flow};
    const trajectory t = run(method.plan(r.schedule(), r.levels), r.setup);
    // the peer calls its network once more at the last level, and changes nothing
    const std::size_t calls = r.c.at("model_out").size();
    const bool one_more = calls > r.steps();
    return judged(compare(r, t, {.calls = std::min(calls, r.steps())}), one_more ? shorter : "");
}

}  // namespace parity
