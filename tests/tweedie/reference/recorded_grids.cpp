// SPDX-License-Identifier: MIT

// The noise levels of the recorded runs, made by our schedules and grids.

#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/discrete.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include <parity/recorded.hpp>
#include <support/catch.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "tally.hpp"

using namespace tweedie;
using parity::vec;
using json = nlohmann::json;

namespace {

double noise_to_signal(const level& l) { return l.sigma / l.alpha; }

/// A grid made by us, and what of the record it must equal.
struct made {
    std::vector<level> levels;
    vec times = {};  // recorded timesteps, where the levels are at training indices
};

/// Karras or exponential levels between the ends of a table or of the recorded range, final level zero.
std::vector<level> between(const std::string& kind, double sigma_max, double sigma_min, int steps,
                           double rho = 7.0) {
    const schedule::edm edm({.sigma_min = sigma_min, .sigma_max = sigma_max});
    return kind == "karras" ? grid::karras(edm, steps, {.rho = rho}) : grid::log_snr(edm, steps);
}

/// The grid of a diffusers case, or the reason why there is none.
std::optional<made> grid_of(const json& c, std::string& reason) {
    const json& config = c["config"];
    const json& asked = c["set_timesteps"];
    const std::string scheduler = c["scheduler"];
    const bool ve = scheduler == "EulerDiscreteScheduler" || scheduler == "HeunDiscreteScheduler";
    const bool ddim = scheduler == "DDIMScheduler";
    const int steps = asked.value("num_inference_steps", 0);

    if (scheduler == "EDMEulerScheduler") {
        return made{between(config.value("sigma_schedule", "karras"), config.value("sigma_max", 80.0),
                            config.value("sigma_min", 0.002), steps, config.value("rho", 7.0))};
    }
    if (scheduler.starts_with("FlowMatch")) {
        if (config.value("shift", 1.0) != 1.0 || config.value("use_dynamic_shifting", false)) {
            reason = "shifted flow: of a later issue";
            return std::nullopt;
        }
        return made{grid::uniform(schedule::flow{}, steps, {.sigma_min = 0.001 / 0.999})};
    }
    if (config.value("use_flow_sigmas", false)) {
        if (config.value("flow_shift", 1.0) != 1.0 || config.value("use_dynamic_shifting", false) ||
            asked.contains("sigmas")) {
            reason = "shifted flow: of a later issue";
            return std::nullopt;
        }
        // To 0.001 in `steps` steps, but the last one goes on to the clean level.
        if (scheduler == "UniPCMultistepScheduler") {
            std::vector<level> levels =
                grid::uniform(schedule::flow{}, steps, {.last = grid::final_level::sigma_min});
            levels.back() = at(schedule::flow{}, 0.0);
            return made{levels};
        }
        return made{grid::uniform(schedule::flow{}, steps, {.sigma_max = 0.999 / 0.001})};
    }
    if (config.value("use_beta_sigmas", false) || config.value("use_lu_lambdas", false)) {
        reason = "beta and lu spacing: of a later issue";
        return std::nullopt;
    }
    const schedule::discrete table = parity::table_of(c);
    if (config.value("use_karras_sigmas", false) || config.value("use_exponential_sigmas", false)) {
        const std::string kind = config.value("use_karras_sigmas", false) ? "karras" : "exponential";
        return made{between(kind, config.value("sigma_max", noise_to_signal(at(table, 999.0))),
                            config.value("sigma_min", noise_to_signal(at(table, 0.0))), steps)};
    }
    if (asked.contains("sigmas")) {
        return made{grid::from_sigmas(schedule::edm{}, asked["sigmas"].get<vec>())};
    }
    vec times = c["timesteps"].get<vec>();
    if (scheduler == "HeunDiscreteScheduler") {  // each but the first is there twice
        vec once = {times[0]};
        for (std::size_t i = 1; i < times.size(); i += 2) { once.push_back(times[i]); }
        times = once;
    }
    if (asked.contains("timesteps")) {
        vec all = asked["timesteps"].get<vec>();
        all.push_back(-1.0);
        return made{grid::from_times(table, all), times};
    }
    const std::string spacing = config.value("timestep_spacing", ddim ? "leading" : "linspace");
    if (ve && spacing == "linspace") {
        reason =
            "timesteps between the training levels, where the peer interpolates sigma linearly (ours: "
            "log-linearly)";
        return std::nullopt;
    }
    const grid::index_zero zero = ve || ddim ? grid::index_zero::visited : grid::index_zero::skipped;
    const bool to_sigma_min = config.value("final_sigmas_type", "zero") == "sigma_min";
    const grid::final_level last = to_sigma_min ? grid::final_level::sigma_min : grid::final_level::zero;
    if (spacing == "leading") {
        return made{grid::leading(table, steps,
                                  {.offset = config.value("steps_offset", 0), .zero = zero, .last = last}),
                    times};
    }
    if (spacing == "trailing") { return made{grid::trailing(table, steps, {.last = last}), times}; }
    return made{grid::linspace(table, steps, {.zero = zero, .last = last}), times};
}

/// Every noise-to-signal ratio of `levels` against the recorded one. Where ours starts at exactly pure noise,
/// the peer's classes start just below it: at alpha = 2^-12, or 1e-6 on flows.
double worst_ratio(const std::vector<level>& levels, const vec& recorded) {
    if (levels.size() != recorded.size()) { return 1.0; }
    double worst = 0.0;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        if (recorded[i] == noise_to_signal(levels[i])) { continue; }
        if (i == 0 && levels[i].alpha == 0.0 && recorded[i] > 4000.0) { continue; }
        worst = std::max(worst, std::abs(noise_to_signal(levels[i]) / recorded[i] - 1.0));
    }
    return worst;
}

}  // namespace

TEST_CASE("the grids give the noise levels of the recorded runs of diffusers", "[reference][grid]") {
    struct expected {
        const char* file;
        std::size_t least;
    };
    for (const expected e :
         {expected{"diffusers_ddim.json", 42}, expected{"diffusers_euler.json", 16},
          expected{"diffusers_heun.json", 10}, expected{"diffusers_dpmsolver_multistep.json", 102},
          expected{"diffusers_unipc_multistep.json", 81}, expected{"diffusers_flow_match_euler.json", 3},
          expected{"diffusers_flow_match_heun.json", 2}, expected{"diffusers_edm_euler.json", 7}}) {
        const json recorded = reference(e.file);
        tally count(std::string("levels of ") + e.file);
        for (const json& c : recorded["cases"]) {
            INFO(c["id"]);
            const std::string scheduler = c["scheduler"];
            const bool flow =
                scheduler.starts_with("FlowMatch") || c["config"].value("use_flow_sigmas", false);
            const bool heun = scheduler.find("Heun") != std::string::npos;
            std::string reason;
            const std::optional<made> ours = grid_of(c, reason);
            if (!ours) {
                count.left_out(reason);
                continue;
            }
            std::vector<level> levels = ours->levels;
            for (std::size_t i = 0; i < ours->times.size(); ++i) { CHECK(levels.at(i).t == ours->times[i]); }
            if (c.contains("sigmas")) {
                vec sigmas;
                const vec list = c["sigmas"].get<vec>();
                for (std::size_t i = 0; i < list.size(); ++i) {
                    if (!(heun && i % 2 == 0 && i > 0)) {
                        sigmas.push_back(flow ? list[i] / (1.0 - list[i]) : list[i]);
                    }
                }
                const std::size_t n = sigmas.size();
                const bool repeated = std::abs(sigmas[n - 1] - sigmas[n - 2]) < 1e-12 * sigmas[n - 1];
                if (repeated) {  // the last level is our last but one, then the clean one follows
                    sigmas.pop_back();
                    levels.pop_back();
                }
                const char* how =
                    repeated ? "without the level the peer repeats"
                    : levels.front().alpha == 0.0
                        ? "from exactly pure noise (most of the peer's classes start just below it)"
                        : "";
                count.compared(c["id"], worst_ratio(levels, sigmas), tol<double>::reference, how);
                continue;
            }
            if (!c.contains("call_alpha")) {
                count.compared(c["id"], 0.0, 0.0, "by their timesteps (no level is recorded)");
                continue;
            }
            levels.pop_back();  // DDIM records no final level
            double worst = levels.size() == c["call_alpha"].size() ? 0.0 : 1.0;
            for (std::size_t i = 0; i < levels.size(); ++i) {
                const double alpha = c["call_alpha"][i];
                const double sigma = c["call_sigma"][i];
                worst =
                    std::max(worst, levels[i].alpha == alpha ? 0.0 : std::abs(levels[i].alpha / alpha - 1.0));
                worst = std::max(worst, std::abs(levels[i].sigma / sigma - 1.0));
            }
            count.compared(c["id"], worst, tol<double>::reference);
        }
        WARN(count.summary());
        CHECK(count.cases() == recorded["cases"].size());
        CHECK(count.matched() >= e.least);
    }
}

TEST_CASE("the grids give the noise levels of the recorded runs of k-diffusion and EDM",
          "[reference][grid]") {
    const json k_diffusion = reference("official_k_diffusion.json");
    tally count("levels of official_k_diffusion.json");
    for (const json& c : k_diffusion["cases"]) {
        INFO(c["id"]);
        if (!c.contains("sigmas_kind")) {
            count.left_out("steps chosen by the sampler: of a later issue");
            continue;
        }
        const json& kind = c["sigmas_kind"];
        const std::string name = kind["fn"];
        const int steps = c["n"];
        const vec sigmas = c["sigmas"].get<vec>();
        std::vector<level> levels;
        if (name == "get_sigmas_karras" || name == "get_sigmas_exponential") {
            levels =
                between(name.substr(11), kind["sigma_max"], kind["sigma_min"], steps, kind.value("rho", 7.0));
        } else if (name == "get_sigmas_vp") {
            const schedule::vp_linear vp;
            levels = grid::uniform(vp, steps, {.sigma_min = noise_to_signal(at(vp, 1e-3))});
        } else {
            count.left_out(name + ": of a later issue");
            continue;
        }
        count.compared(c["id"], worst_ratio(levels, sigmas), tol<double>::reference);
    }
    WARN(count.summary());
    CHECK(count.matched() >= 50);

    // EDM's own sampler calls the network twice at each level but the first
    const json edm = reference("official_edm.json");
    const vec calls = edm["cases"][0]["call_sigma"].get<vec>();
    vec sigmas = {calls[0]};
    for (std::size_t i = 1; i < calls.size(); i += 2) { sigmas.push_back(calls[i]); }
    sigmas.push_back(0.0);
    CHECK(worst_ratio(grid::karras(schedule::edm{}, 18), sigmas) < tol<double>::reference);
}
