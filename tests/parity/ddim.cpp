// SPDX-License-Identifier: MIT

// DDIM.

#include <tweedie/run/threshold.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/renoise.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// Clipping as the peers do it: x0 is clipped, epsilon is the one of the unclipped x0. Ours forms epsilon
/// from the clipped x0; the difference is direction alpha_s / sigma_s (clipped - x0).
struct kept_epsilon {
    double range = 1.0;
    vec x0 = {};
    vec clipped = {};

    void operator()(vec& prediction, const level& at) {
        x0 = prediction;
        clip{range}(prediction, at);
        clipped = prediction;
    }

    void correct(vec& x, const level& s, const level& t, double eta) const {
        const double noise = eta == 0.0 ? 0.0 : solver::ancestral(s, t, eta).noise;
        const double direction = std::sqrt((t.sigma - noise) * (t.sigma + noise));
        for (std::size_t d = 0; d < x.size(); ++d) {
            x[d] += direction * s.alpha / s.sigma * (clipped[d] - x0[d]);
        }
    }
};

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
    const bool clips = !r.method.starts_with("CogVideoX") && r.option("clip_sample", true);
    const double eta = r.option("eta", 0.0);
    const double range = r.option("clip_sample_range", 1.0);
    if (r.option("thresholding", false)) { return unsupported("thresholding of x0 with epsilon kept"); }

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
    if (targets_are_levels && !clips) {
        r.levels = calls;
        r.levels.push_back(clean);
        return run_all_but_repeated(r, method);
    }

    // Otherwise each step is a plan of its own: the network at the timestep, the target where the peer puts
    // it.
    trajectory all;
    run_setup step = r.setup;
    kept_epsilon kept{range};
    if (clips) { step.transform = std::ref(kept); }
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double target = times[i] - stride;
        const level pair[] = {calls[i], target >= 0.0 ? level_at(target) : clean};
        if (std::abs(pair[1].sigma - pair[0].sigma) < 1e-12) {  // the peer stands still
            return judged(compare(r, all, {.calls = i}), shorter);
        }
        if (eta > 0.0 && i < r.setup.noise.size()) { step.noise = {r.setup.noise[i]}; }
        append(all, run(method.plan(r.schedule(), pair), step));
        if (clips && !r.option("use_clipped_model_output", false)) {
            kept.correct(all.end, pair[0], pair[1], eta);
        }
        step.x = all.end;
    }
    return judged(compare(r, all),
                  clips ? keeps : "step by step, to the peer's targets (not its next timesteps)");
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
    kept_epsilon kept{r.option("clip_sample_range", 1.0)};
    const bool clips = r.option("clip_sample", true);
    if (clips) { step.transform = std::ref(kept); }
    trajectory all;
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double source = std::min(times[i] - stride, levels - 1.0);
        const level pair[] = {source >= 0.0 ? level_at(source) : first, level_at(times[i])};
        network_level here;
        static_cast<level&>(here) = told[i];
        step.network = [&](const vec& x, const network_level&) { return r.setup.network(x, here); };
        if (pair[0].sigma ==
            0.0) {  // from clean data, x0 = x: epsilon is the output, of epsilon and v networks
            const vec out = r.setup.network(step.x, here);
            trajectory one{{step.x}, {out}, {step.x}, step.x, true};
            if (clips) { kept(one.end, pair[0]); }
            for (std::size_t d = 0; d < out.size(); ++d) {
                one.end[d] = pair[1].alpha * one.end[d] + pair[1].sigma * out[d];
            }
            append(all, one);
        } else {
            append(all, run(solver::ddim{}.plan(r.schedule(), pair), step));
            if (clips) { kept.correct(all.end, pair[0], pair[1], 0.0); }
        }
        step.x = all.end;
    }
    return judged(compare(r, all),
                  std::string(clips ? keeps : "step by step") +
                      "; the network is told the level of the target; the first step, from clean "
                      "data, in closed form");
}

}  // namespace parity
