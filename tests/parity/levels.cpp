// SPDX-License-Identifier: MIT
#include "levels.hpp"

#include <tweedie/grid/beta.hpp>
#include <tweedie/grid/crash.hpp>
#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/discrete.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/sgm_uniform.hpp>
#include <tweedie/grid/shift.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace parity {

using namespace tweedie;

namespace {

using grid::final_level;
using grid::index_zero;
using list = std::vector<level>;

bool among(const std::string& word, std::initializer_list<const char*> words) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// sigma / alpha; pure noise is what the peer's lists of sigmas have for it, alpha^2 = 2^-24.
double ratio(const level& l) {
    return l.alpha == 0.0 ? std::sqrt(std::ldexp(1.0, 24) - 1.0) : l.sigma / l.alpha;
}

/// Why a case has no levels of ours.
struct none {
    std::string why;
};

/// What `set_timesteps` was given.
template <class T>
T asked(const recorded_case& r, const char* name, T otherwise) {
    if (!r.c.contains("set_timesteps")) { return otherwise; }
    const json& given = r.c.at("set_timesteps");
    return given.contains(name) && !given[name].is_null() ? given[name].get<T>() : otherwise;
}

/// How the karras, exponential, lu and beta grids of the peer are chosen; empty for the others.
std::string shape_of(const recorded_case& r) {
    if (r.option("use_karras_sigmas", false)) { return "karras"; }
    if (r.option("use_exponential_sigmas", false)) { return "exponential"; }
    if (r.option("use_lu_lambdas", false)) { return "lu"; }
    if (r.option("use_beta_sigmas", false)) { return "beta"; }
    return {};
}

/// A shaped grid between two sigma / alpha, then the clean level.
list shaped(const std::string& shape, double sigma_max, double sigma_min, int steps, double rho = 7.0) {
    const schedule::edm edm({.sigma_min = sigma_min, .sigma_max = sigma_max});
    if (shape == "karras") { return grid::karras(edm, steps, {.rho = rho}); }
    if (shape == "beta") { return grid::beta(edm, steps, {.over = grid::beta_over::sigma}); }
    return grid::log_snr(edm, steps);
}

/// The same between two times of a flow: the peer applies its formulas to them as if they were sigma / alpha.
list shaped_flow(const std::string& shape, double noisy, double clean, int steps) {
    vec times;
    for (const level& l : shaped(shape, noisy, clean, steps)) { times.push_back(l.sigma); }
    times.front() = noisy;
    return grid::from_times(schedule::flow{}, times);
}

/// The shift that the peer applies to a flow.
double shift_of(const recorded_case& r, const char* name) {
    if (r.option("use_dynamic_shifting", false)) {
        const bool linear = r.option("time_shift_type", "exponential") == std::string("linear");
        return grid::shift_of(asked(r, "mu", 0.0), linear ? grid::mu_is::shift : grid::mu_is::log_shift);
    }
    return r.option(name, 1.0);
}

/// Flow classes proper: the constructor's shift is in the range already when the grid over it is shifted
/// again.
list flow_match(const recorded_case& r, std::string& note) {
    const schedule::flow flow;
    const double shift = shift_of(r, "shift");
    const bool dynamic = r.option("use_dynamic_shifting", false);
    const double train = r.option("num_train_timesteps", 1000);
    const double first = 1.0 / train;
    if (r.option("invert_sigmas", false)) { throw none{"sigmas that rise"}; }
    list out;
    if (r.c.at("set_timesteps").contains("sigmas")) {
        vec times = asked(r, "sigmas", vec{});
        if (times.back() != 0.0) { times.push_back(0.0); }
        out = grid::from_times(flow, times);
    } else if (r.c.at("set_timesteps").contains("timesteps")) {
        vec times = asked(r, "timesteps", vec{});
        for (double& t : times) { t /= train; }
        times.push_back(0.0);
        out = grid::from_times(flow, times);
    } else {
        const double ends = (dynamic ? 1.0 : shift) * first / (1.0 - first);
        out = grid::uniform(flow, asked(r, "num_inference_steps", 0), {.sigma_min = ends});
        if (!dynamic && shift != 1.0) { note = "the range of the peer shifted as well as its grid"; }
    }
    out = grid::shift(flow, out, shift);
    if (r.has_option("shift_terminal") && r.option("shift_terminal", 0.0) != 0.0) {
        out = grid::stretch_terminal(flow, out, r.option("shift_terminal", 0.0));
    }
    const std::string shape = shape_of(r);
    if (!shape.empty()) {
        out = shaped_flow(shape, out.front().t, out[out.size() - 2].t, static_cast<int>(out.size()) - 1);
    }
    return out;
}

/// The flow option of DPM-Solver, UniPC, DEIS and SA-Solver.
list flow_sigmas(const recorded_case& r, std::string& note) {
    const schedule::flow flow;
    const bool unipc = r.scheduler_is("UniPCMultistepScheduler");
    const int steps = asked(r, "num_inference_steps", 0);
    const double train = r.option("num_train_timesteps", 1000);
    list out;
    if (r.c.at("set_timesteps").contains("sigmas")) {
        vec times = asked(r, "sigmas", vec{});
        times.push_back(0.0);
        out = grid::from_times(flow, times);
    } else if (unipc) {
        out = grid::sgm_uniform(flow, steps, {.sigma_min = 1.0 / (train - 1.0)});
        note = "from exactly pure noise (the peer starts 1e-6 below it)";
    } else {
        out = grid::uniform(flow, steps, {.sigma_max = train - 1.0});
    }
    out = grid::shift(flow, out, shift_of(r, "flow_shift"));
    if (r.has_option("shift_terminal") && r.option("shift_terminal", 0.0) != 0.0) {
        out = grid::stretch_terminal(flow, out, r.option("shift_terminal", 0.0));
    }
    return out;
}

/// sigma / alpha at a time between training levels as the Euler family has it: linear in t.
double linear_ratio(const schedule::discrete& table, double t) {
    const double low = std::floor(t);
    const double part = t - low;
    const double first = ratio(at(table, low));
    return part == 0.0 ? first : (1.0 - part) * first + part * ratio(at(table, low + 1.0));
}

/// sigma / alpha at the timesteps of the Euler family, before a shape is given to them.
vec euler_ratios(const recorded_case& r, const schedule::discrete& table, std::string& note) {
    const int steps = asked(r, "num_inference_steps", 0);
    const std::string spacing = r.option("timestep_spacing", "linspace");
    vec out;
    if (r.c.at("set_timesteps").contains("timesteps")) {
        for (const double t : asked(r, "timesteps", vec{})) { out.push_back(ratio(at(table, t))); }
        return out;
    }
    if (spacing == "linspace") {
        const double top = table.levels() - 1;
        for (int i = 0; i < steps; ++i) {
            out.push_back(linear_ratio(table, steps == 1 ? 0.0 : (steps - 1 - i) * (top / (steps - 1))));
        }
        note =
            "between the training levels sigma interpolated linearly, as the peer does (ours: log-linearly)";
        return out;
    }
    const int offset = r.option("steps_offset", 0);
    list l =
        spacing == "leading" ? grid::leading(table, steps, {.offset = offset}) : grid::trailing(table, steps);
    l.pop_back();
    for (const level& each : l) { out.push_back(ratio(each)); }
    return out;
}

list euler_family(const recorded_case& r, const schedule::discrete& table, std::string& note) {
    if (r.c.at("set_timesteps").contains("sigmas")) {
        return grid::from_sigmas(schedule::edm{}, asked(r, "sigmas", vec{}));
    }
    if (r.option("interpolation_type", "linear") != std::string("linear")) {
        throw none{"log-linear interpolation: the peer makes one sigma too many"};
    }
    // where noise is left at the end it is that of training index 0, whatever the last timestep is
    const bool noisy = r.option("final_sigmas_type", "zero") == std::string("sigma_min");
    const level end = at_half_log_snr(
        schedule::edm{}, noisy ? table.half_log_snr(0.0) : std::numeric_limits<double>::infinity());
    vec sigmas = euler_ratios(r, table, note);
    const std::string shape = shape_of(r);
    if (!shape.empty()) {
        note.clear();
        const double high = r.option("sigma_max", sigmas.front());
        const double low = r.option("sigma_min", sigmas.back());
        list out = shaped(shape, high, low, static_cast<int>(sigmas.size()));
        out.back() = end;
        return out;
    }
    list out;
    for (const double sigma : sigmas) { out.push_back(at(schedule::edm{}, sigma)); }
    out.push_back(end);
    return out;
}

/// Levels at training indices or shaped over the whole table: DPM-Solver, UniPC, DEIS, SA-Solver.
list dpm_family(const recorded_case& r, const schedule::discrete& whole) {
    const int steps = asked(r, "num_inference_steps", 0);
    const std::string shape = shape_of(r);
    if (!shape.empty()) {
        return shaped(shape, ratio(at(whole, whole.range().noisy)), ratio(at(whole, 0.0)), steps);
    }
    if (r.c.at("set_timesteps").contains("timesteps")) {
        vec times = asked(r, "timesteps", vec{});
        times.push_back(-1.0);
        return grid::from_times(whole, times);
    }
    const json& config = r.c.at("config");
    const bool clips = config.contains("lambda_min_clipped") && config.at("lambda_min_clipped").is_number();
    const schedule::discrete table = clips ? whole.cut_below(r.option("lambda_min_clipped", -1e9)) : whole;
    const std::string spacing = r.option("timestep_spacing", "linspace");
    if (spacing == "leading") {
        return grid::leading(table, steps,
                             {.offset = r.option("steps_offset", 0), .zero = index_zero::skipped});
    }
    if (spacing == "trailing") { return grid::trailing(table, steps); }
    return grid::linspace(table, steps, {.zero = index_zero::skipped});
}

/// Levels at training indices, index 0 visited: DDPM, DDIM, PNDM and what is made of them.
list ddpm_family(const recorded_case& r, const schedule::discrete& table) {
    const int steps = asked(r, "num_inference_steps", 0);
    if (r.c.at("set_timesteps").contains("timesteps")) {
        vec times = asked(r, "timesteps", vec{});
        times.push_back(-1.0);
        return grid::from_times(table, times);
    }
    const std::string spacing = r.option("timestep_spacing", "leading");
    if (spacing == "trailing") { return grid::trailing(table, steps); }
    if (spacing == "linspace") { return grid::linspace(table, steps); }
    return grid::leading(table, steps, {.offset = r.option("steps_offset", 0)});
}

/// LCM and TCD: some of the fifty levels that the network was distilled at.
list distilled(const recorded_case& r, const schedule::discrete& table) {
    vec times = asked(r, "timesteps", vec{});
    if (times.empty()) {
        const int original = asked(r, "original_inference_steps", r.option("original_inference_steps", 50));
        const int spacing = table.levels() / original;
        const int count = static_cast<int>(original * asked(r, "strength", 1.0));
        const int steps = asked(r, "num_inference_steps", 0);
        for (int i = 0; i < steps; ++i) {
            const int skipped = static_cast<int>(std::floor(i * (static_cast<double>(count) / steps)));
            times.push_back((count - skipped) * spacing - 1);
        }
    }
    times.push_back(-1.0);
    return grid::from_times(table, times);
}

/// The consistency model's: some of forty Karras levels.
list consistency(const recorded_case& r) {
    const schedule::edm edm(
        {.sigma_min = r.option("sigma_min", 0.002), .sigma_max = r.option("sigma_max", 80.0)});
    const int train = r.option("num_train_timesteps", 40);
    const list all =
        grid::karras(edm, train - 1, {.rho = r.option("rho", 7.0), .last = final_level::sigma_min});
    vec indices = asked(r, "timesteps", vec{});
    if (indices.empty()) {
        const int steps = asked(r, "num_inference_steps", 1);
        for (int i = 0; i < steps; ++i) { indices.push_back(i * (train / steps)); }
    } else {
        std::reverse(indices.begin(), indices.end());
    }
    list out;
    for (const double i : indices) { out.push_back(all.at(static_cast<std::size_t>(i))); }
    out.push_back(all.back());
    return out;
}

/// The levels of inversion, from the clean end: those of sampling, backwards. Network calls alone for DDIM;
/// for DPM-Solver the last index follows.
list rising(const recorded_case& r, const schedule::discrete& table) {
    const int steps = asked(r, "num_inference_steps", 0);
    if (!shape_of(r).empty() || r.option("use_flow_sigmas", false)) { throw none{"shaped levels that rise"}; }
    if (r.method == "DDIMInverseScheduler") {
        list out = ddpm_family(r, table);
        out.pop_back();
        std::reverse(out.begin(), out.end());
        return out;
    }
    const std::string spacing = r.option("timestep_spacing", "linspace");
    const int offset = spacing == "leading" ? r.option("steps_offset", 0) : 0;
    list out = spacing == "trailing"  ? grid::trailing(table, steps)
               : spacing == "leading" ? grid::leading(table, steps, {.zero = index_zero::skipped})
                                      : grid::linspace(table, steps, {.zero = index_zero::skipped});
    std::reverse(out.begin(), out.end());
    if (spacing == "trailing") {  // no index 0: from the first of the equal shares
        out.erase(out.begin());
        out.push_back(at(table, table.range().noisy));
        return out;
    }
    out.front() = at(table, 0.0);
    out.back() = at(table, table.range().noisy);
    for (std::size_t i = 0; i + 1 < out.size(); ++i) { out[i] = at(table, out[i].t + offset); }
    return out;
}

list made_from(const recorded_case& r, std::string& note) {
    const std::string& method = r.method;
    if (r.official()) { throw none{"of an official repository"}; }
    if (among(method, {"DDIMInverseScheduler", "DPMSolverMultistepInverseScheduler"})) {
        return rising(r, table_of(r.c));
    }
    if (method == "SCMScheduler") { throw none{"angles from 1.5708 instead of pi / 2"}; }
    const int steps = asked(r, "num_inference_steps", 0);

    if (method == "IPNDMScheduler") { return grid::crash(schedule::trig{}, steps); }
    if (method == "CMStochasticIterativeScheduler") { return consistency(r); }
    if (among(method, {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler"})) {
        return shaped(r.option("sigma_schedule", "karras"), r.option("sigma_max", 80.0),
                      r.option("sigma_min", 0.002), steps, r.option("rho", 7.0));
    }
    if (method == "CosineDPMSolverMultistepScheduler") {
        return shaped(r.option("sigma_schedule", "exponential"), r.option("sigma_max", 500.0),
                      r.option("sigma_min", 0.3), steps, r.option("rho", 7.0));
    }
    if (among(method, {"FlowMapEulerDiscreteScheduler", "MiniMaxH3Scheduler"})) {
        const schedule::flow flow;
        const bool h3 = method == "MiniMaxH3Scheduler";  // its number of steps counts the clean level
        return grid::shift(flow, grid::uniform(flow, h3 ? steps - 1 : steps),
                           r.option("shift", h3 ? 12.0 : 1.0));
    }
    if (method.starts_with("FlowMatch")) { return flow_match(r, note); }
    if (method == "LTXEulerAncestralRFScheduler") {
        return grid::from_times(schedule::flow{}, asked(r, "sigmas", vec{}));
    }
    if (r.option("use_flow_sigmas", false)) { return flow_sigmas(r, note); }

    const schedule::discrete table = table_of(r.c);
    if (among(method, {"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler",
                       "LMSDiscreteScheduler", "KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler",
                       "DPMSolverSDEScheduler"})) {
        return euler_family(r, table, note);
    }
    if (among(method, {"DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler",
                       "UniPCMultistepScheduler", "DEISMultistepScheduler", "SASolverScheduler"})) {
        list out = dpm_family(r, table);
        // where noise is left at the end it is that of training index 0
        const bool never_zero = among(method, {"DEISMultistepScheduler", "SASolverScheduler"});
        if (never_zero || r.option("final_sigmas_type", "zero") == std::string("sigma_min")) {
            out.back() = at(table, 0.0);
        }
        return out;
    }
    if (among(method, {"LCMScheduler", "TCDScheduler"})) { return distilled(r, table); }
    if (among(method, {"DDPMScheduler", "DDPMParallelScheduler", "DDIMScheduler", "DDIMParallelScheduler",
                       "PNDMScheduler", "CogVideoXDDIMScheduler", "CogVideoXDPMScheduler"})) {
        return ddpm_family(r, table);
    }
    throw none{"no grid is mapped to " + method};
}

/// The levels of the record as a list like ours: each once, and to the clean level or the last that is
/// listed.
list recorded_levels(const recorded_case& r) {
    list out;
    if (among(r.method,
              {"KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler"})) {
        for (const level& l : r.levels) {  // each but the first is listed twice
            if (out.empty() || l != out.back()) { out.push_back(l); }
        }
        return out;
    }
    if (r.method != "PNDMScheduler") { return r.levels; }
    // its first levels are visited several times, and half-way between
    const list calls = r.call_levels();
    for (const level& l : calls) {
        const bool known = std::any_of(out.begin(), out.end(), [&](const level& k) {
            return std::abs(k.sigma - l.sigma) <= 1e-12 * l.sigma;
        });
        if (!known) { out.push_back(l); }
    }
    return out;
}

double difference(const level& a, const level& b) {
    if (ratio(a) == ratio(b)) { return 0.0; }
    return std::abs(ratio(a) / ratio(b) - 1.0);
}

}  // namespace

made_levels make_levels(const recorded_case& r) {
    made_levels out;
    try {
        out.levels = made_from(r, out.note);
    } catch (const none& reason) {
        out.note = reason.why;
        return out;
    }
    list ours = out.levels;
    list theirs = recorded_levels(r);
    if (theirs.empty()) {
        out.levels.clear();
        out.note = "no level is recorded";
        return out;
    }
    const std::size_t first = r.c.value("t_start", std::size_t{0});
    if (first > 0 && r.method == "PNDMScheduler") {
        out.levels.clear();
        out.note = "a start in the middle of repeated levels";
        return out;
    }
    if (first > 0) {  // from the level it starts at
        const auto start = std::min_element(ours.begin(), ours.end(), [&](const level& a, const level& b) {
            return difference(a, theirs[0]) < difference(b, theirs[0]);
        });
        ours.erase(ours.begin(), start);
    }
    if (r.method == "PNDMScheduler" && !r.option("skip_prk_steps", false)) {
        // Runge-Kutta steps: every level of ours is one of theirs
        ours.pop_back();
        for (const level& l : ours) {
            double nearest = std::numeric_limits<double>::infinity();
            for (const level& t : theirs) { nearest = std::min(nearest, difference(l, t)); }
            out.error = std::max(out.error, nearest);
        }
        return out;
    }
    const bool repeats = repeats_last(theirs) || (ours.size() > 2 && repeats_last(ours));
    if (repeats) {
        out.note =
            out.note.empty() ? "without the level the peer repeats" : out.note + "; one repeated level";
        ours.pop_back();
        if (theirs.size() > ours.size()) { theirs.pop_back(); }
    }
    if (theirs.size() + 1 == ours.size()) { ours.pop_back(); }  // calls only: no final level is recorded
    if (theirs.size() != ours.size()) {
        out.error = std::numeric_limits<double>::infinity();
        out.note =
            std::to_string(ours.size()) + " levels of ours, " + std::to_string(theirs.size()) + " recorded";
        return out;
    }
    for (std::size_t i = 0; i < ours.size(); ++i) {
        // UniPC starts a flow 1e-6 below pure noise
        if (i == 0 && ours[0].alpha == 0.0 && theirs[0].alpha < 2e-6) { continue; }
        out.error = std::max(out.error, difference(ours[i], theirs[i]));
    }
    return out;
}

}  // namespace parity
