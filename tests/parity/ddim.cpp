// SPDX-License-Identifier: MIT

// DDIM.

#include <tweedie/run/threshold.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// Clipping and thresholding as the peers do it: x0 is changed, epsilon is the one of the x0 before. Ours
/// forms epsilon from the changed x0; the difference is direction alpha_s / sigma_s (changed - x0).
struct kept_epsilon {
    change rule;  // none: nothing is changed
    vec x0 = {};
    vec changed = {};

    explicit kept_epsilon(recorded_case& r) {
        add_thresholding(r);
        rule = std::exchange(r.setup.transform, {});
        // CogVideoX has the option and does not read it
        if (!rule && r.option("clip_sample", true) && !r.method.starts_with("CogVideoX")) {
            rule = clip{r.option("clip_sample_range", 1.0)};
        }
    }

    void operator()(vec& prediction, const level& at) {
        x0 = prediction;
        rule(prediction, at);
        changed = prediction;
    }

    void correct(vec& x, const level& s, const level& t, double eta) const {
        const double noise = eta == 0.0 ? 0.0 : solver::ancestral(s, t, eta).noise;
        const double direction = std::sqrt((t.sigma - noise) * (t.sigma + noise));
        for (std::size_t d = 0; d < x.size(); ++d) {
            x[d] += direction * s.alpha / s.sigma * (changed[d] - x0[d]);
        }
    }
};

/// Is there no step from s to t? Then the peer calls the network and stands still.
bool stands_still(const level& s, const level& t) { return std::abs(t.sigma - s.sigma) < 1e-12; }

/// Appends a run of one step to a trajectory.
void append(trajectory& all, const trajectory& one) {
    all.queries.push_back(one.queries[0]);
    all.outputs.push_back(one.outputs[0]);
    all.states.push_back(one.states[0]);
    all.end = one.end;
    all.finished = one.finished;
}

constexpr const char* keeps = "x0 clipped, the unclipped epsilon kept, step by step";

}  // namespace

outcome ddim(recorded_case& r) {
    const std::size_t first = r.c.value("t_start", std::size_t{0});
    vec times = numbers(r.c.at("timesteps"));
    times.erase(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(first));
    const int n = r.c.at("set_timesteps").at("num_inference_steps");
    const double stride = r.option("num_train_timesteps", 1000) / n;  // whole
    const double eta = r.option("eta", 0.0);
    kept_epsilon kept(r);
    const bool changes = static_cast<bool>(kept.rule);

    const schedule::discrete table = table_of(r.c);
    const auto level_at = [&](double t) { return level_of(space::vp, table.alpha(t), table.sigma(t)); };
    const level clean = level_at(r.option("set_alpha_to_one", true) ? -1.0 : 0.0);
    std::vector<level> calls = r.call_levels();
    if (calls.empty()) {
        for (const double t : times) { calls.push_back(level_at(t)); }
    }

    // The peer's target is t - 1000 / n, whatever the next timestep is.
    bool targets_are_levels = true;
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double target = times[i] - stride;
        targets_are_levels =
            targets_are_levels && (i + 1 < times.size() ? target == times[i + 1] : target < 0.0);
    }
    const solver::ddim method{.eta = eta};
    if (targets_are_levels && !changes) {
        r.levels = calls;
        r.levels.push_back(clean);
        return run_all_but_repeated(r, method);
    }

    // Otherwise each step is a plan of its own, from the timestep to where the peer puts its target.
    trajectory all;
    run_setup step = r.setup;
    if (changes) { step.transform = std::ref(kept); }
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double target = times[i] - stride;
        const level pair[] = {calls[i], target >= 0.0 ? level_at(target) : clean};
        if (stands_still(pair[0], pair[1])) { return judged(compare(r, all, {.calls = i}), shorter); }
        if (eta > 0.0 && i < r.setup.noise.size()) { step.noise = {r.setup.noise[i]}; }
        append(all, run(method.plan(r.schedule(), pair), step));
        if (changes && !r.option("use_clipped_model_output", false)) {
            kept.correct(all.end, pair[0], pair[1], eta);
        }
        step.x = all.end;
    }
    return judged(compare(r, all),
                  changes ? keeps : "step by step, to the peer's targets (not its next timesteps)");
}

outcome ddim_inverse(recorded_case& r) {
    const vec times = numbers(r.c.at("timesteps"));
    const int n = r.c.at("set_timesteps").at("num_inference_steps");
    const int levels = r.option("num_train_timesteps", 1000);
    const double stride = levels / n;  // whole
    const schedule::discrete table = table_of(r.c);
    const auto level_at = [&](double t) { return level_of(space::vp, table.alpha(t), table.sigma(t)); };
    const level first = level_at(r.option("set_alpha_to_one", true) ? -1.0 : 0.0);

    // A step leads from t - 1000 / n to t, and the network is told t: the level of the target.
    const std::vector<level> told = r.call_levels();
    run_setup step = r.setup;
    kept_epsilon kept(r);
    const bool changes = static_cast<bool>(kept.rule);
    if (changes) { step.transform = std::ref(kept); }
    trajectory all;
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double source = std::min(times[i] - stride, levels - 1.0);
        const level pair[] = {source >= 0.0 ? level_at(source) : first, level_at(times[i])};
        network_level here;
        static_cast<level&>(here) = told.at(i);
        step.network = [&](const vec& x, const network_level&) { return r.setup.network(x, here); };
        const bool from_clean = pair[0].sigma == 0.0;
        if (from_clean || stands_still(pair[0], pair[1])) {
            const vec out = r.setup.network(step.x, here);
            trajectory one{{step.x}, {out}, {step.x}, step.x, true};
            if (from_clean) {  // x0 = x, and epsilon is the output, of epsilon and v networks
                if (changes) { kept(one.end, pair[0]); }
                for (std::size_t d = 0; d < out.size(); ++d) {
                    one.end[d] = pair[1].alpha * one.end[d] + pair[1].sigma * out[d];
                }
            }
            append(all, one);
        } else {
            append(all, run(solver::ddim{}.plan(r.schedule(), pair), step));
            if (changes) { kept.correct(all.end, pair[0], pair[1], 0.0); }
        }
        step.x = all.end;
    }
    return judged(compare(r, all), std::string(changes ? keeps : "step by step") +
                                       "; the network is told the level of the target, the first step, from "
                                       "clean data, is in closed form");
}

}  // namespace parity
