// SPDX-License-Identifier: MIT

// The noise levels of the official repositories' runs, made by our schedules and grids from their options.

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/polyexponential.hpp>
#include <tweedie/grid/time_power.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/vp.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "levels.hpp"

namespace parity {

using namespace tweedie;

namespace {

using grid::final_level;
using list = std::vector<level>;

struct none {
    std::string why;
};

double ratio(const level& l) { return l.sigma / l.alpha; }

/// The table of a case; DPM-Solver's code leaves out what is noisier than a half-log-SNR of -5.1.
schedule::discrete official_table(const recorded_case& r) {
    const std::string kind = r.c.at("schedule");
    if (kind == "linear") { return schedule::discrete::linear(); }
    if (kind == "scaled_linear") { return schedule::discrete::scaled_linear(); }
    if (kind != "cosine") { throw none{"no schedule is mapped to " + kind}; }
    const schedule::discrete cosine = schedule::discrete::cosine();
    return r.method == "official_dpm_solver" ? cosine.cut_below(-5.1) : cosine;
}

bool continuous(const recorded_case& r) { return r.c.at("schedule") == "vp_continuous"; }

any_schedule vp_of(const recorded_case& r) {
    if (continuous(r)) { return schedule::vp_linear{}; }
    return official_table(r);
}

/// The skip types of DPM-Solver, UniPC, SA-Solver and DPM-Solver-v3.
list on_vp(const recorded_case& r) {
    if (r.option("method", "") == "adaptive") { throw none{"steps that the sampler chooses"}; }
    const any_schedule vp = vp_of(r);
    const int steps = r.c.contains("steps") ? r.c.at("steps").get<int>() : r.option("steps", 0);
    const std::string skip = r.c.value("skip_type", r.option("skip_type", "time_uniform"));
    const double end = ratio(official_end(r));
    const final_level last = final_level::sigma_min;
    if (skip == "logSNR" && r.option("method", "").starts_with("single")) {
        throw none{"single steps of equal shares of half-log-SNR"};
    }
    if (skip == "logSNR") { return grid::log_snr(vp, steps, {.sigma_min = end, .last = last}); }
    if (skip == "time_uniform" || skip == "time") {
        return grid::uniform(vp, steps, {.sigma_min = end, .last = last});
    }
    if (skip == "time_quadratic") { return grid::time_power(vp, steps, {.sigma_min = end, .last = last}); }
    if (skip == "karras") {
        return grid::karras(vp, steps, {.sigma_max = 80.0, .sigma_min = end, .last = last});
    }
    throw none{"no grid is mapped to " + skip};
}

/// DPM-Solver-v3 visits the nodes of its statistics, equally spaced in half-log-SNR, that are nearest.
list at_statistics(list levels, const any_schedule& vp, double intervals) {
    const double first = levels.front().half_log_snr();
    const double spacing = (levels.back().half_log_snr() - first) / intervals;
    for (level& l : levels) {
        l = at_half_log_snr(vp, first + spacing * std::nearbyint((l.half_log_snr() - first) / spacing));
    }
    return levels;
}

list on_edm(const recorded_case& r) {
    if (r.has_option("alpha") || r.has_option("S_churn")) {
        throw none{"calls between and above the levels"};
    }
    const schedule::edm edm;
    const int steps = r.option("num_steps", 18);
    const std::string kind = r.option("discretization", "edm");
    if (kind == "edm") { return grid::karras(edm, steps); }
    if (kind == "ve") { return grid::log_snr(edm, steps, {.sigma_max = 100.0, .sigma_min = 0.02}); }
    if (kind == "vp") {
        const schedule::vp_linear vp;
        return grid::uniform(vp, steps, {.sigma_min = ratio(at(vp, 1e-3))});
    }
    throw none{"no grid is mapped to " + kind};
}

list on_k_diffusion(const recorded_case& r) {
    if (!r.c.contains("sigmas_kind")) { throw none{"steps that the sampler chooses"}; }
    const json& kind = r.c.at("sigmas_kind");
    const std::string name = kind.at("fn");
    const int steps = r.c.at("n");
    if (name == "get_sigmas_vp") {
        const schedule::vp_linear vp;
        return grid::uniform(vp, steps, {.sigma_min = ratio(at(vp, 1e-3))});
    }
    const schedule::edm edm({.sigma_min = kind.at("sigma_min"), .sigma_max = kind.at("sigma_max")});
    if (name == "get_sigmas_karras") { return grid::karras(edm, steps, {.rho = kind.value("rho", 7.0)}); }
    if (name == "get_sigmas_exponential") { return grid::log_snr(edm, steps); }
    if (name == "get_sigmas_polyexponential") {
        return grid::polyexponential(edm, steps, {.rho = kind.value("rho", 1.0)});
    }
    throw none{"no grid is mapped to " + name};
}

/// Between the entries of a table ours interpolates half-log-SNR, those repositories ln(alpha): levels at
/// times between them are compared by their times.
bool by_time(const recorded_case& r) {
    if (!r.c.contains("call_t") || continuous(r)) { return false; }
    const std::string skip = r.c.value("skip_type", r.option("skip_type", "time_uniform"));
    return skip.starts_with("time") && !r.method.starts_with("official_dpm_solver_v3");
}

/// The recorded levels, each once.
list recorded_levels(const recorded_case& r) {
    if (!r.levels.empty()) { return r.levels; }
    list out;
    list calls = r.call_levels();
    if (by_time(r)) {
        const vec times = numbers(r.c.at("call_t"));
        const double entries = official_table(r).levels();
        for (std::size_t i = 0; i < calls.size(); ++i) { calls[i].t = times.at(i) * entries - 1.0; }
    }
    const bool heun =
        r.method.starts_with("official_edm") && r.option("solver", "heun") == std::string("heun");
    for (std::size_t i = 0; i < calls.size(); i += heun && i > 0 ? 2 : 1) {
        if (out.empty() || std::abs(calls[i].sigma - out.back().sigma) > 1e-12) { out.push_back(calls[i]); }
    }
    return out;
}

}  // namespace

made_levels make_official_levels(const recorded_case& r) {
    made_levels out;
    try {
        if (r.method.starts_with("official_k_diffusion")) {
            out.levels = on_k_diffusion(r);
        } else if (r.method.starts_with("official_edm")) {
            out.levels = on_edm(r);
        } else {
            out.levels = on_vp(r);
            if (r.method.starts_with("official_dpm_solver_v3")) {
                out.levels = at_statistics(out.levels, vp_of(r), r.meta.at("ems").at("steps").get<double>());
            }
        }
    } catch (const none& reason) {
        out.note = reason.why;
        return out;
    }
    const list theirs = recorded_levels(r);  // the last target is recorded where the list of sigmas is
    if (theirs.size() != out.levels.size() && theirs.size() + 1 != out.levels.size()) {
        out.levels.clear();
        out.note = "calls between the levels";
        return out;
    }
    const bool times = by_time(r);
    if (times) { out.note = "by their times: between its entries ours interpolates a table otherwise"; }
    for (std::size_t i = 0; i < theirs.size(); ++i) {
        const double found = times ? out.levels[i].t + 1.0 : ratio(out.levels[i]);
        const double expected = times ? theirs[i].t + 1.0 : ratio(theirs[i]);
        if (found != expected) { out.error = std::max(out.error, std::abs(found / expected - 1.0)); }
    }
    return out;
}

}  // namespace parity
