// SPDX-License-Identifier: MIT

// Recorded runs of the schedulers of huggingface/diffusers in float64, one configuration per case.
//
// The noise levels are the recorded ones (where the network was called, and the last target), so that the
// solvers are tested apart from the tables; `recorded_grids.cpp` makes the same levels with our schedules and
// grids.

#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "recorded.hpp"

using namespace tweedie;
using json = nlohmann::json;

namespace {

/// Which law joins signal and noise in a recorded case.
enum class space { vp, ve, flow };

bool starts_with(const json& word, const char* start) { return word.get<std::string>().starts_with(start); }

space space_of(const json& c) {
    if (starts_with(c["scheduler"], "FlowMatch") || c["config"].value("use_flow_sigmas", false)) {
        return space::flow;
    }
    const std::string name = c["scheduler"];
    if (name == "EulerDiscreteScheduler" || name == "HeunDiscreteScheduler" || name == "EDMEulerScheduler") {
        return space::ve;
    }
    return space::vp;
}

/// A level from what was recorded; its time is that of `trig`, `edm` or `flow`, which have all levels of
/// their kind.
level level_of(space s, double alpha, double sigma) {
    switch (s) {
        case space::vp: return {std::atan2(sigma, alpha), alpha, sigma};
        case space::ve: return {sigma, 1.0, sigma};
        case space::flow: break;
    }
    return {sigma, alpha, sigma};
}

/// A level from an entry of the peer's list of sigmas.
level level_of(space s, double sigma) {
    if (s == space::vp) { return level_of(s, 1.0 / std::hypot(1.0, sigma), sigma / std::hypot(1.0, sigma)); }
    return level_of(s, s == space::flow ? 1.0 - sigma : 1.0, sigma);
}

any_schedule schedule_of(space s) {
    switch (s) {
        case space::vp: return schedule::trig{};
        case space::ve: return schedule::edm{};
        case space::flow: break;
    }
    return schedule::flow{};
}

/// The levels of a case: where the network was called (each once), then the target of the last step.
std::vector<level> levels_of(const json& c) {
    const space s = space_of(c);
    std::vector<level> out;
    // The whole list, from where the run started; Heun's has each level in between twice.
    if (c.contains("sigmas")) {
        const bool twice =
            starts_with(c["scheduler"], "Heun") || starts_with(c["scheduler"], "FlowMatchHeun");
        const vec sigmas = c["sigmas"].get<vec>();
        for (std::size_t i = c.value("t_start", std::size_t{0}); i < sigmas.size(); ++i) {
            if (twice && i % 2 == 0 && i > 0) { continue; }
            out.push_back(level_of(s, sigmas[i]));
        }
        return out;
    }
    for (std::size_t i = 0; i < c["call_alpha"].size(); ++i) {
        out.push_back(level_of(s, c["call_alpha"][i], c["call_sigma"][i]));
    }
    return out;
}

/// What the recorded network returns, in our words.
convention convention_of(const json& c) {
    const space s = space_of(c);
    const std::string name = c["model"]["prediction"];
    if (c["scheduler"] == "EDMEulerScheduler") {
        return {prediction::edm(c["config"].value("sigma_data", 0.5)), schedule::edm{}};
    }
    // VE classes feed x / sqrt(1 + sigma^2) to a network trained on VP; a recorded epsilon network is the
    // same on both.
    const bool on_vp = s == space::ve && (name != "epsilon" || c["model"]["kind"] == "dummy");
    const any_schedule own = on_vp ? any_schedule(schedule::trig{}) : schedule_of(s);
    if (name == "epsilon") { return {prediction::epsilon, own}; }
    if (name == "sample") { return {prediction::x0, own}; }
    if (name == "v_prediction") { return {prediction::v, own}; }
    if (name == "flow_prediction") { return {prediction::flow_velocity, own}; }
    throw std::invalid_argument("unknown prediction " + name);
}

/// The recorded network: the closed form of the mixture, or the "dummy" that scales its input.
network_law network_of(const json& c, const mixture& data) {
    if (c["model"]["kind"] == "dummy") {
        const vec times = c["timesteps"].get<vec>();
        return [times, call = std::size_t{0}](const vec& x, const network_level&) mutable {
            const double t = times.at(call++);
            vec out = x;
            for (double& v : out) { v *= t / (t + 1.0); }
            return out;
        };
    }
    const std::string name = c["model"]["prediction"];
    if (c["scheduler"] == "EDMEulerScheduler") {
        const double d = c["config"].value("sigma_data", 0.5);
        return [=, &data](const vec& input, const network_level& at) {
            const double total = at.sigma * at.sigma + d * d;
            vec x = input;  // c_in x
            for (double& v : x) { v *= std::sqrt(total); }
            vec out = data.x0(x, 1.0, at.sigma);
            for (std::size_t i = 0; i < x.size(); ++i) {
                out[i] = (out[i] - d * d / total * x[i]) / (at.sigma * d / std::sqrt(total));
            }
            return out;
        };
    }
    return [=, &data](const vec& x, const network_level& at) {
        if (name == "epsilon") { return data.eps(x, at.alpha, at.sigma); }
        if (name == "sample") { return data.x0(x, at.alpha, at.sigma); }
        if (name == "v_prediction") { return data.blend(x, at.alpha, at.sigma, -at.sigma, at.alpha); }
        return data.blend(x, at.alpha, at.sigma, -1.0, 1.0);
    };
}

/// Does the peer's list of levels end with the same level twice? Then its last network call changes nothing.
bool repeats_last(const std::vector<level>& levels) {
    const std::size_t n = levels.size();
    return n > 2 && std::abs(levels[n - 1].sigma - levels[n - 2].sigma) < 1e-12 * levels[n - 1].sigma;
}

constexpr const char* shorter =
    "up to the level the peer repeats at its end (its last network call changes nothing there)";

/// The largest error of a run against its record; `calls` outputs and `steps` states are compared.
double compare(const json& c, const trajectory& t, std::size_t calls, std::size_t steps,
               std::size_t calls_per_step = 1) {
    double worst = 0.0;
    const auto outputs = c["model_out"].get<std::vector<vec>>();
    const auto x = c["x"].get<std::vector<vec>>();
    // EDM's v networks return the same with the other sign
    const double sign =
        c["scheduler"] == "EDMEulerScheduler" && c["model"]["prediction"] == "v_prediction" ? -1.0 : 1.0;
    if (t.outputs.size() != calls || t.states.size() != steps || outputs.size() < calls) { return 1.0; }
    for (std::size_t i = 0; i < calls; ++i) {
        vec out = t.outputs[i];
        for (double& v : out) { v *= sign; }
        worst = std::max(worst, relative_error(out, outputs[i]));
    }
    for (std::size_t i = 1; i < steps; ++i) {
        worst = std::max(worst, relative_error(t.states[i], x[calls_per_step * i - 1]));
    }
    return std::max(worst, relative_error(t.end, x[calls - 1]));
}

/// A case with everything a run needs.
struct recorded_case {
    const json& c;
    std::string id;
    space kind;
    std::vector<level> levels;
    run_setup setup;

    recorded_case(const json& recorded, const mixture& data)
        : c(recorded),
          id(recorded["id"]),
          kind(space_of(recorded)),
          levels(levels_of(recorded)),
          setup{convention_of(recorded), network_of(recorded, data), recorded["x_init"].get<vec>()} {
        if (recorded.contains("noise")) { setup.noise = recorded["noise"].get<std::vector<vec>>(); }
    }

    [[nodiscard]] any_schedule schedule() const { return schedule_of(kind); }
    [[nodiscard]] std::size_t steps() const { return levels.size() - 1; }

    template <class Solver>
    [[nodiscard]] double error(const Solver& solver, std::size_t calls_per_step = 1) const {
        const std::size_t n = steps();
        const std::size_t calls = calls_per_step * (n - (levels.back().sigma == 0.0 ? 1 : 0)) +
                                  (levels.back().sigma == 0.0 ? 1 : 0);
        return compare(c, run(solver.plan(schedule(), levels), setup), calls, n, calls_per_step);
    }
};

/// Runs every case of a file through `handle(case, tally)`, reports, and requires at least `least` matches.
template <class Handle>
void each_case(const std::string& file, std::size_t least, const Handle& handle) {
    const json recorded = reference(file);
    const mixture data(recorded["meta"]["model"]);
    tally count(file);
    for (const json& c : recorded["cases"]) {
        INFO(c["id"]);
        handle(c, data, count);
    }
    WARN(count.summary());
    CHECK(count.cases() == recorded["cases"].size());
    REQUIRE(count.matched() >= least);
}

constexpr double tolerance = tol<double>::reference;

}  // namespace

TEST_CASE("ddim gives the recorded runs of DDIMScheduler", "[reference][solver][ddim]") {
    each_case("diffusers_ddim.json", 41, [](const json& c, const mixture& data, tally& count) {
        const json& config = c["config"];
        if (config.value("clip_sample", true) && c["model"]["kind"] == "dummy") {
            count.left_out("no noise levels recorded, and clipping of x0 without clipping of epsilon");
            return;
        }
        recorded_case r(c, data);
        const vec times = c["timesteps"].get<vec>();
        const int n = c["set_timesteps"]["num_inference_steps"];
        const bool to_one = config.value("set_alpha_to_one", true);
        const schedule::discrete table = table_of(c);
        const auto level_at = [&](double t) { return level_of(space::vp, table.alpha(t), table.sigma(t)); };
        const level clean = level_at(to_one ? -1.0 : 0.0);
        const double eta = c["step_kwargs"].value("eta", 0.0);
        const bool clips = config.value("clip_sample", true);

        // The peer's target is t - 1000 / n, whatever the next timestep is.
        bool targets_are_levels = true;
        for (std::size_t i = 0; i < times.size(); ++i) {
            const double target = times[i] - 1000 / n;
            targets_are_levels =
                targets_are_levels && (i + 1 < times.size() ? target == times[i + 1] : target < 0.0);
        }
        if (targets_are_levels && !clips) {
            if (std::abs(clean.sigma - r.levels.back().sigma) < 1e-12) {
                const plan p = solver::ddim{.eta = eta}.plan(r.schedule(), r.levels);
                count.compared(r.id, compare(c, run(p, r.setup), r.steps(), r.steps()), tolerance, shorter);
                return;
            }
            r.levels.push_back(clean);
            count.compared(r.id, r.error(solver::ddim{.eta = eta}), tolerance);
            return;
        }
        // Otherwise each step is a run of its own, from the recorded state: network at the timestep, target
        // where the peer put it.
        double worst = 0.0;
        std::size_t done = 0;
        run_setup one = r.setup;
        for (std::size_t i = 0; i < times.size(); ++i) {
            const double target = times[i] - 1000 / n;
            const std::vector<level> step = {r.levels[i], target >= 0.0 ? level_at(target) : clean};
            if (clips) {
                // The peer clips x0 and keeps the epsilon of the unclipped one: ours where nothing is
                // clipped, and at sigma = 0.
                const double clip = config.value("clip_sample_range", 1.0);
                const vec x0 = data.x0(one.x, step[0].alpha, step[0].sigma);
                const bool clipped =
                    std::any_of(x0.begin(), x0.end(), [&](double v) { return std::abs(v) > clip; });
                one.clip = clip;
                if (clipped && step[1].sigma > 0.0) {
                    one.x = c["x"][i].get<vec>();
                    continue;
                }
            }
            const trajectory t = run(solver::ddim{}.plan(r.schedule(), step), one);
            worst = std::max(worst, relative_error(t.outputs[0], c["model_out"][i].get<vec>()));
            worst = std::max(worst, relative_error(t.end, c["x"][i].get<vec>()));
            one.x = c["x"][i].get<vec>();
            ++done;
        }
        REQUIRE(done > (clips ? 2U : times.size() - 1));
        count.compared(
            r.id, worst, tolerance,
            clips ? "in the steps that clip nothing (the peer clips x0 and keeps the unclipped epsilon)"
                  : "step by step, to the peer's targets (which are not its next timesteps)");
    });
}

TEST_CASE("euler gives the recorded runs of EulerDiscreteScheduler", "[reference][solver][euler]") {
    each_case("diffusers_euler.json", 24, [](const json& c, const mixture& data, tally& count) {
        if (c["step_kwargs"].contains("s_churn")) {
            return count.left_out("churn: a stochastic sampler of a later issue");
        }
        recorded_case r(c, data);
        const bool repeated = repeats_last(r.levels);
        if (repeated) { r.levels.pop_back(); }
        count.compared(r.id, r.error(solver::euler{}), tolerance, repeated ? shorter : "");
    });
}

TEST_CASE("heun gives the recorded runs of HeunDiscreteScheduler", "[reference][solver][heun]") {
    each_case("diffusers_heun.json", 16, [](const json& c, const mixture& data, tally& count) {
        recorded_case r(c, data);
        if (c["config"].value("clip_sample", false)) { r.setup.clip = c["config"]["clip_sample_range"]; }
        count.compared(r.id, r.error(solver::heun{}, 2), tolerance);
    });
}

TEST_CASE("euler gives the recorded runs of FlowMatchEulerDiscreteScheduler", "[reference][solver][euler]") {
    each_case("diffusers_flow_match_euler.json", 14, [](const json& c, const mixture& data, tally& count) {
        if (c["config"].value("stochastic_sampling", false)) {
            return count.left_out("stochastic_sampling: renoising, of a later issue");
        }
        recorded_case r(c, data);
        count.compared(r.id, r.error(solver::euler{}), tolerance);
    });
}

TEST_CASE("heun gives the recorded runs of FlowMatchHeunDiscreteScheduler", "[reference][solver][heun]") {
    each_case("diffusers_flow_match_heun.json", 3, [](const json& c, const mixture& data, tally& count) {
        if (c["step_kwargs"].contains("s_churn")) {
            return count.left_out("churn: a stochastic sampler of a later issue");
        }
        recorded_case r(c, data);
        count.compared(r.id, r.error(solver::heun{}, 2), tolerance);
    });
}

TEST_CASE("euler gives the recorded runs of EDMEulerScheduler", "[reference][solver][euler]") {
    each_case("diffusers_edm_euler.json", 6, [](const json& c, const mixture& data, tally& count) {
        if (c["step_kwargs"].contains("s_churn")) {
            return count.left_out("churn: a stochastic sampler of a later issue");
        }
        recorded_case r(c, data);
        const bool repeated = repeats_last(r.levels);
        if (repeated) { r.levels.pop_back(); }
        count.compared(r.id, r.error(solver::euler{}), tolerance, repeated ? shorter : "");
    });
}

TEST_CASE("ddim, dpmpp_2m and unipc give the recorded runs of DPMSolverMultistepScheduler",
          "[reference][solver][dpmpp_2m]") {
    each_case("diffusers_dpmsolver_multistep.json", 70, [](const json& c, const mixture& data, tally& count) {
        const json& config = c["config"];
        const std::string algorithm = config.value("algorithm_type", "dpmsolver++");
        const int order = config.value("solver_order", 2);
        const bool taylor = config.value("solver_type", "midpoint") == "heun";
        if (order > 2) { return count.left_out("order 3: of a later issue"); }
        if (config.value("thresholding", false)) { return count.left_out("thresholding: of a later issue"); }
        const bool sde = algorithm == "sde-dpmsolver++" && order == 1;  // is ancestral DDIM
        if (algorithm.starts_with("sde") && !sde) {
            return count.left_out("sde variants of order 2 or in noise prediction: of a later issue");
        }
        if (algorithm == "dpmsolver" && order == 2 && taylor) {
            return count.left_out("dpmsolver order 2, heun type, in noise prediction: of a later issue");
        }

        recorded_case r(c, data);
        const bool zero = r.levels.back().sigma == 0.0;
        bool lower_final = config.value("euler_at_final", false) ||
                           (config.value("lower_order_final", true) && c["timesteps"].size() < 15) || zero;
        const bool repeated = repeats_last(r.levels);
        if (repeated) {
            r.levels.pop_back();
            lower_final = false;  // it was the step left out
        }
        std::string how = repeated ? shorter : "";
        if (order == 1) {
            if (sde) { how = "order 1 of sde-dpmsolver++, as ddim(eta=1)"; }
            return count.compared(r.id, r.error(solver::ddim{.eta = sde ? 1.0 : 0.0}), tolerance, how);
        }
        if (algorithm == "dpmsolver") {
            const solver::unipc noise{.order = 2,
                                      .predicts = solver::unipc::form::noise,
                                      .corrector = false,
                                      .lower_order_final = lower_final};
            return count.compared(r.id, r.error(noise), tolerance,
                                  "dpmsolver (noise prediction) order 2, as UniP-2");
        }
        using difference = solver::dpmpp_2m::difference;
        const solver::dpmpp_2m two{.variant = taylor ? difference::taylor : difference::midpoint,
                                   .lower_order_final = lower_final};
        count.compared(r.id, r.error(two), tolerance, how);
    });
}

TEST_CASE("unipc gives the recorded runs of UniPCMultistepScheduler", "[reference][solver][unipc]") {
    each_case("diffusers_unipc_multistep.json", 95, [](const json& c, const mixture& data, tally& count) {
        const json& config = c["config"];
        if (config.value("thresholding", false)) { return count.left_out("thresholding: of a later issue"); }
        recorded_case r(c, data);
        solver::unipc method;
        method.order = config.value("solver_order", std::size_t{2});
        method.variant =
            config.value("solver_type", "bh2") == "bh1" ? solver::unipc::bh::bh1 : solver::unipc::bh::bh2;
        method.predicts =
            config.value("predict_x0", true) ? solver::unipc::form::data : solver::unipc::form::noise;
        method.uncorrected = config.value("disable_corrector", std::vector<std::size_t>{});
        method.lower_order_final = config.value("lower_order_final", true);
        if (!repeats_last(r.levels)) { return count.compared(r.id, r.error(method), tolerance); }
        // The peer counts the step that does nothing, so its orders fall one step later than ours: compare
        // the network calls before the first step that differs, and the states where none does.
        r.levels.pop_back();
        const bool lowers = method.lower_order_final;
        method.lower_order_final = false;
        const std::size_t n = r.steps();
        const trajectory t = run(method.plan(r.schedule(), r.levels), r.setup);
        const bool all = !lowers || method.order <= 2;
        double worst = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            worst = std::max(worst, relative_error(t.outputs[i], c["model_out"][i].get<vec>()));
        }
        for (std::size_t i = 1; i < n; ++i) {
            worst = std::max(worst, relative_error(t.states[i], c["x"][i - 1].get<vec>()));
        }
        if (all) { worst = std::max(worst, relative_error(t.end, c["x"][n - 1].get<vec>())); }
        count.compared(r.id, worst, tolerance, shorter);
    });
}
