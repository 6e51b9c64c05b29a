// SPDX-License-Identifier: MIT

// Distilled networks: LCM, TCD, consistency models, TrigFlow, flow maps.

#include <tweedie/schedule/trig.hpp>
#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/flow_map.hpp>
#include <tweedie/solver/lcm.hpp>
#include <tweedie/solver/tcd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "listed.hpp"
#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// The levels of the recorded calls, each at its time in the table.
std::vector<level> timed_levels(const recorded_case& r) {
    std::vector<level> out = r.call_levels();
    const vec times = numbers(r.c.at("timesteps"));
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i].t = times.at(r.c.value("t_start", std::size_t{0}) + i);
    }
    return out;
}

/// LCM's and TCD's classes default to Stable Diffusion's table.
schedule::discrete distilled_table_of(const recorded_case& r) {
    json c = r.c;
    json& config = c.at("config");
    if (!config.contains("beta_schedule")) { config["beta_schedule"] = "scaled_linear"; }
    if (!config.contains("beta_start")) { config["beta_start"] = 0.00085; }
    if (!config.contains("beta_end")) { config["beta_end"] = 0.012; }
    return table_of(c);
}

level entry_of(const schedule::discrete& table, double t) { return {t, table.alpha(t), table.sigma(t)}; }

}  // namespace

outcome lcm(recorded_case& r) {
    add_thresholding(r);
    if (r.option("clip_sample", false)) {
        const double range = r.option("clip_sample_range", 1.0);
        r.setup.transform = [range](vec& x0, const level&) {
            for (double& v : x0) { v = std::clamp(v, -range, range); }
        };
    }
    const schedule::discrete table = distilled_table_of(r);
    r.levels = timed_levels(r);
    r.levels.push_back(entry_of(table, -1.0));
    const solver::lcm method{.timestep_scaling = r.option("timestep_scaling", 10.0)};
    return judged(compare(r, run(method.plan(table, r.levels), r.setup)));
}

outcome tcd(recorded_case& r) {
    if (r.option("thresholding", false) || r.option("clip_sample", false)) {
        return unsupported("x0 is not changed by the peer's step");
    }
    const schedule::discrete table = distilled_table_of(r);
    r.levels = timed_levels(r);
    r.levels.push_back(entry_of(table, 0.0));
    const double eta = r.option("eta", 0.3);
    const solver::tcd method{.eta = eta, .peer_formula = true};
    return judged(compare(r, run(method.plan(table, r.levels), r.setup)), eta > 0.0 ? "peer_formula" : "");
}

outcome consistency(recorded_case& r) {
    const double sigma_min = r.option("sigma_min", 0.002);
    const double sigma_data = r.option("sigma_data", 0.5);
    const solver::consistency method{
        .kappa_min = sigma_min, .sigma_data = sigma_data, .s_noise = r.option("s_noise", 1.0)};
    if (r.option("clip_denoised", true)) {
        // The peer clips f, not x0: x0 is changed so that f, which is linear in it, comes out clipped.
        const auto seen = std::make_shared<vec>();
        r.setup.edit = [seen](vec& x, const level&) { *seen = x; };
        r.setup.transform = [=](vec& x0, const level& s) {
            const double above = s.sigma - sigma_min;
            const double variance = sigma_data * sigma_data;
            const double share = above / s.sigma;
            const double skip =
                variance / (above * above + variance) - share * variance / (s.sigma * s.sigma + variance);
            for (std::size_t k = 0; k < x0.size(); ++k) {
                const double rest = skip * (*seen)[k];
                x0[k] = (std::clamp(share * x0[k] + rest, -1.0, 1.0) - rest) / share;
            }
        };
    }
    return run_all(r, method);
}

/// TrigFlow with data of standard deviation sigma_data: sigma is sigma_data sin t. The peer's cosines are
/// single precision, and its first time may lie beyond pure noise; so its F is read by its own numbers.
outcome scm(recorded_case& r) {
    const double unit = r.option("sigma_data", 0.5);
    const vec times = numbers(r.c.at("timesteps"));
    const auto cosine = [](double t) { return static_cast<double>(std::cos(static_cast<float>(t))); };
    const auto sine = [](double t) { return static_cast<double>(std::sin(static_cast<float>(t))); };
    r.levels.clear();
    for (const double t : times) {
        r.levels.push_back({t, std::max(cosine(t), 0.0), t == 0.0 ? 0.0 : unit * sine(t)});
    }
    const std::vector<level> asked = r.call_levels();
    std::vector<vec> outputs;
    run_setup setup = r.setup;
    setup.convention = convention(prediction::x0, listed_schedule{r.levels});
    setup.network = [&, call = std::size_t{0}](const vec& x, const network_level&) mutable {
        const level& at = asked.at(call);
        const vec x0 = r.data.x0(x, at.alpha, at.sigma);
        vec f = x;
        vec read = x;
        for (std::size_t k = 0; k < x.size(); ++k) {
            f[k] = (std::cos(times[call]) * x[k] - x0[k]) / std::sin(times[call]);
            read[k] = cosine(times[call]) * x[k] - sine(times[call]) * f[k];
        }
        outputs.push_back(f);
        ++call;
        return read;
    };
    trajectory t = run(solver::consistency{}.plan(schedule::trig{}, r.levels), setup);
    t.outputs = outputs;
    return judged(compare(r, t), "the network's F read with the peer's cosines, which are single precision");
}

outcome flow_match_lcm(recorded_case& r) {
    if (r.has_option("scale_factors")) { return unsupported("a state that grows between steps"); }
    return run_all(r, solver::consistency{});
}

outcome flow_map(recorded_case& r) { return run_all_but_repeated(r, solver::flow_map{}); }

}  // namespace parity
