// SPDX-License-Identifier: MIT
#include "recorded.hpp"

#include <tweedie/run/program.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/run/threshold.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/tensor/host.hpp>

#include <algorithm>
#include <cmath>
#include <utility>

namespace parity {

using namespace tweedie;

mixture::mixture(const json& recorded)
    : weights(recorded.at("weights").get<vec>()),
      means(recorded.at("means").get<std::vector<vec>>()),
      variances(recorded.at("var").get<vec>()) {}

mixture::posterior mixture::at(const vec& x, double alpha, double sigma) const {
    posterior p;
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < weights.size(); ++k) {
        const double total = alpha * alpha * variances[k] + sigma * sigma;
        double distance = 0.0;
        for (std::size_t d = 0; d < x.size(); ++d) {
            const double u = x[d] - alpha * means[k][d];
            distance += u * u;
        }
        p.total.push_back(total);
        p.responsibility.push_back(std::log(weights[k]) -
                                   0.5 * static_cast<double>(x.size()) * std::log(total) -
                                   distance / (2.0 * total));
        largest = std::max(largest, p.responsibility.back());
    }
    double sum = 0.0;
    for (double& r : p.responsibility) {
        r = std::exp(r - largest);
        sum += r;
    }
    for (double& r : p.responsibility) { r /= sum; }
    return p;
}

vec mixture::x0(const vec& x, double alpha, double sigma) const {
    const posterior p = at(x, alpha, sigma);
    vec out(x.size(), 0.0);
    for (std::size_t k = 0; k < weights.size(); ++k) {
        for (std::size_t d = 0; d < x.size(); ++d) {
            const double u = x[d] - alpha * means[k][d];
            out[d] += p.responsibility[k] * (means[k][d] + alpha * variances[k] / p.total[k] * u);
        }
    }
    return out;
}

vec mixture::eps(const vec& x, double alpha, double sigma) const {
    const posterior p = at(x, alpha, sigma);
    vec out(x.size(), 0.0);
    for (std::size_t k = 0; k < weights.size(); ++k) {
        for (std::size_t d = 0; d < x.size(); ++d) {
            out[d] += p.responsibility[k] * sigma * (x[d] - alpha * means[k][d]) / p.total[k];
        }
    }
    return out;
}

vec mixture::blend(const vec& x, double alpha, double sigma, double a, double b) const {
    vec out = x0(x, alpha, sigma);
    const vec e = eps(x, alpha, sigma);
    for (std::size_t d = 0; d < out.size(); ++d) { out[d] = a * out[d] + b * e[d]; }
    return out;
}

trajectory run(const plan& p, const run_setup& setup) {
    const program ready(p, setup.convention,
                        setup.transform ? output_column::data_prediction : output_column::network);
    stepper s(ready, setup.x,
              injected_noise<double>(noise_record<double>{.elements = setup.x.size(), .step = setup.noise}));
    trajectory t;
    vec x = setup.x;
    vec x0_hat = setup.x;
    while (s.next()) {
        const bool begins = s.at_step_start();
        if (begins && setup.edit) { s.edit(setup.edit); }
        const auto asked = s.next();
        vec output = setup.network(asked->x, asked->level);
        s.examine(output, x, x0_hat);
        t.queries.push_back(x);
        t.outputs.push_back(output);
        if (begins) { t.states.push_back(x); }
        if (setup.transform) {
            s.supply(std::move(output), setup.transform);
        } else {
            s.supply(std::move(output));
        }
    }
    t.end = s.x();
    t.finished = static_cast<bool>(s.result());
    return t;
}

double relative_error(const vec& found, const vec& expected) {
    if (found.size() != expected.size()) { return std::numeric_limits<double>::infinity(); }
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t d = 0; d < found.size(); ++d) {
        const double e = std::abs(found[d] - expected[d]);
        if (!(e <= std::numeric_limits<double>::max())) { return std::numeric_limits<double>::infinity(); }
        difference = std::max(difference, e);
        size = std::max(size, std::abs(expected[d]));
    }
    return difference == 0.0 ? 0.0 : difference / size;
}

vec numbers(const json& recorded) {
    vec out;
    for (const json& v : recorded) {
        if (!v.is_string()) {
            out.push_back(v.get<double>());
        } else if (const std::string word = v;
                   word.find("inf") != std::string::npos || word.find("Inf") != std::string::npos) {
            out.push_back(word.starts_with("-") ? -std::numeric_limits<double>::infinity()
                                                : std::numeric_limits<double>::infinity());
        } else {
            out.push_back(std::numeric_limits<double>::quiet_NaN());
        }
    }
    return out;
}

std::vector<vec> rows(const json& recorded) {
    std::vector<vec> out;
    for (const json& row : recorded) { out.push_back(numbers(row)); }
    return out;
}

level level_of(space s, double alpha, double sigma) {
    switch (s) {
        case space::vp: return {std::atan2(sigma, alpha), alpha, sigma};
        case space::ve: return {sigma, 1.0, sigma};
        case space::flow: break;
    }
    return {sigma, alpha, sigma};
}

level level_of(space s, double sigma) {
    if (s == space::vp) {
        if (std::isinf(sigma)) { return level_of(s, 0.0, 1.0); }
        return level_of(s, 1.0 / std::hypot(1.0, sigma), sigma / std::hypot(1.0, sigma));
    }
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

namespace {

bool one_of(const std::string& word, std::initializer_list<const char*> list) {
    return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_edm(const std::string& method) {
    return one_of(method, {"EDMEulerScheduler", "EDMDPMSolverMultistepScheduler",
                           "CosineDPMSolverMultistepScheduler", "CMStochasticIterativeScheduler"});
}

bool is_ve(const std::string& method) {
    return is_edm(method) || method.starts_with("official_k_diffusion") ||
           method.starts_with("official_edm") ||
           one_of(method, {"EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler",
                           "HeunDiscreteScheduler", "LMSDiscreteScheduler", "KDPM2DiscreteScheduler",
                           "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler"});
}

space space_of(const json& c, const std::string& method) {
    const bool flow = method.starts_with("FlowM") || method.starts_with("LTX") ||
                      method.starts_with("MiniMax") || method.starts_with("Helios");
    if (flow || (c.contains("config") && c.at("config").value("use_flow_sigmas", false))) {
        return space::flow;
    }
    return is_ve(method) ? space::ve : space::vp;
}

/// Does a scheduler's list of sigmas have every level but the first and the last twice?
bool lists_twice(const std::string& method) {
    return one_of(method, {"HeunDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"});
}

std::vector<level> listed_levels(const json& c, const std::string& method, space s) {
    std::vector<level> out;
    if (!c.contains("sigmas")) { return out; }
    const vec sigmas = numbers(c.at("sigmas"));
    for (std::size_t i = c.value("t_start", std::size_t{0}); i < sigmas.size(); ++i) {
        if (lists_twice(method) && i % 2 == 0 && i > 0) { continue; }
        out.push_back(level_of(s, sigmas[i]));
    }
    return out;
}

/// The standard deviation of the data an EDM class assumes.
double sigma_data_of(const json& c, const std::string& method) {
    return c.at("config").value("sigma_data", method == "CosineDPMSolverMultistepScheduler" ? 1.0 : 0.5);
}

/// What the recorded network returns, in our words.
convention convention_of(const json& c, const std::string& method, space s) {
    if (method.starts_with("official_")) {
        return {s == space::ve ? prediction::x0 : prediction::epsilon, schedule_of(s)};
    }
    const std::string name = c.at("model").at("prediction");
    if (is_edm(method)) { return {prediction::edm(sigma_data_of(c, method)), schedule::edm{}}; }
    // VE classes feed x / sqrt(1 + sigma^2) to a network trained on VP; a recorded epsilon network is the
    // same on both.
    const bool on_vp = s == space::ve && (name != "epsilon" || c.at("model").at("kind") == "dummy");
    const any_schedule own = on_vp ? any_schedule(schedule::trig{}) : schedule_of(s);
    if (name == "epsilon") { return {prediction::epsilon, own}; }
    if (name == "sample") { return {prediction::x0, own}; }
    if (name == "v_prediction") { return {prediction::v, own}; }
    if (name == "flow_prediction") { return {prediction::flow_velocity, own}; }
    if (name == "neg_flow") {  // x0 - eps: the velocity of the flow whose time runs towards the data
        return {prediction::flow_velocity, schedule::flow({.time = schedule::flow_time::data_at_one})};
    }
    if (name == "trigflow") { return {prediction::v, schedule::trig{}}; }
    throw std::invalid_argument("unknown prediction " + name);
}

/// The recorded network: the closed form of the mixture, or the "dummy" that scales its input.
network_law network_of(const json& c, const mixture& data, const std::string& method, space s) {
    if (method.starts_with("official_")) {
        if (s == space::ve) {
            return [&data](const vec& x, const network_level& l) { return data.x0(x, l.alpha, l.sigma); };
        }
        return [&data](const vec& x, const network_level& l) { return data.eps(x, l.alpha, l.sigma); };
    }
    if (c.at("model").at("kind") == "dummy") {
        const vec times = numbers(c.at("timesteps"));
        return [times, call = std::size_t{0}](const vec& x, const network_level&) mutable {
            const double t = times.at(call++);
            vec out = x;
            for (double& v : out) { v *= t / (t + 1.0); }
            return out;
        };
    }
    const std::string name = c.at("model").at("prediction");
    if (is_edm(method)) {
        const double d = sigma_data_of(c, method);
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
        if (name == "v_prediction" || name == "trigflow") {
            return data.blend(x, at.alpha, at.sigma, -at.sigma, at.alpha);
        }
        const double sign = name == "neg_flow" ? -1.0 : 1.0;
        return data.blend(x, at.alpha, at.sigma, -sign, sign);
    };
}

/// The sign between a recorded output and that of our network: EDM's v networks return the same with the
/// other one.
double sign_of(const recorded_case& r) {
    return is_edm(r.method) && r.c.at("model").at("prediction") == "v_prediction" ? -1.0 : 1.0;
}

bool finite(const vec& x) {
    return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

recorded_case::recorded_case(const json& recorded, const json& of_file, const mixture& law,
                             std::string found_by)
    : c(recorded),
      meta(of_file),
      data(law),
      method(std::move(found_by)),
      id(recorded.value("id", "")),
      fragile(recorded.value("fragile", false)),
      kind(space_of(recorded, method)),
      levels(listed_levels(recorded, method, kind)),
      setup{convention_of(recorded, method, kind), network_of(recorded, law, method, kind),
            recorded.contains("x_init") ? numbers(recorded.at("x_init")) : vec{}} {
    if (recorded.contains("noise")) { setup.noise = rows(recorded.at("noise")); }
    if (levels.empty() && !official()) { levels = call_levels(); }
}

bool recorded_case::has_option(const char* name) const {
    for (const char* group : {"config", "kwargs", "step_kwargs"}) {
        if (c.contains(group) && c[group].contains(name) && !c[group][name].is_null()) { return true; }
    }
    return false;
}

std::vector<level> recorded_case::call_levels() const {
    std::vector<level> out;
    if (!c.contains("call_sigma")) { return out; }
    const vec sigmas = numbers(c.at("call_sigma"));
    const vec alphas = c.contains("call_alpha") ? numbers(c.at("call_alpha")) : vec(sigmas.size(), 1.0);
    for (std::size_t i = 0; i < sigmas.size(); ++i) { out.push_back(level_of(kind, alphas[i], sigmas[i])); }
    return out;
}

schedule::discrete table_of(const json& recorded) {
    using schedule::discrete;
    const json& config = recorded.at("config");
    const std::string scheduler = recorded.at("scheduler");
    const bool latent = one_of(scheduler, {"HeunDiscreteScheduler", "KDPM2DiscreteScheduler",
                                           "KDPM2AncestralDiscreteScheduler", "DPMSolverSDEScheduler"});
    const bool scaled = one_of(
        scheduler, {"CogVideoXDDIMScheduler", "CogVideoXDPMScheduler", "LCMScheduler", "TCDScheduler"});
    if (config.contains("trained_betas") && config.at("trained_betas").is_array()) {
        return discrete::from_betas(numbers(config.at("trained_betas")));
    }
    const std::string kind = config.value("beta_schedule", scaled ? "scaled_linear" : "linear");
    const int levels = config.value("num_train_timesteps", 1000);
    const double start = config.value("beta_start", latent || scaled ? 0.00085 : 0.0001);
    const double end = config.value("beta_end", latent || scaled ? 0.012 : 0.02);
    discrete table = kind == "squaredcos_cap_v2" ? discrete::cosine(levels)
                     : kind == "sigmoid"         ? discrete::sigmoid(levels, start, end)
                     : kind == "laplace"         ? discrete::laplace(levels, {.peer_formula = true})
                     : kind == "exp"             ? discrete::exponential(levels)
                     : kind == "scaled_linear"   ? discrete::scaled_linear(levels, start, end)
                                                 : discrete::linear(levels, start, end);
    if (scheduler.starts_with("CogVideoX")) {
        table = table.snr_shifted(config.value("snr_shift_scale", 3.0));
    }
    return config.value("rescale_betas_zero_snr", false) ? table.zero_terminal_snr() : table;
}

bool repeats_last(const std::vector<level>& levels) {
    const std::size_t n = levels.size();
    return n > 2 && std::abs(levels[n - 1].sigma - levels[n - 2].sigma) < 1e-12 * levels[n - 1].sigma;
}

void replace_repeated(std::vector<level>& levels, space s) {
    const bool rising = levels[1].half_log_snr() < levels[0].half_log_snr();
    level& last = levels.back();
    last = rising ? level_of(s, 2.0 * last.sigma / last.alpha) : level_of(s, 1.0, 0.0);
}

level official_end(const recorded_case& r) {
    const double t = r.option("t_end", 1e-3);
    const std::string kind = r.c.at("schedule");
    const auto on = [&](const auto& schedule, double time) {
        const level l = at(schedule, time);
        return level_of(space::vp, l.alpha, l.sigma);
    };
    if (kind == "vp_continuous") { return on(schedule::vp_linear{}, t); }
    if (kind == "cosine") { return on(schedule::vp_cosine{}, t); }
    if (kind == "scaled_linear") { return on(schedule::discrete::scaled_linear(), t * 1000.0 - 1.0); }
    if (kind == "linear") { return on(schedule::discrete::linear(), t * 1000.0 - 1.0); }
    throw std::invalid_argument("unknown schedule " + kind);
}

void add_thresholding(recorded_case& r) {
    if (!r.option("thresholding", false)) { return; }
    r.setup.transform = dynamic_threshold{.ratio = r.option("dynamic_thresholding_ratio", 0.995),
                                          .max = r.option("sample_max_value", 1.0)};
}

double compare(const recorded_case& r, const trajectory& t, extent how_much) {
    constexpr double wrong = std::numeric_limits<double>::infinity();
    const std::vector<vec> outputs =
        rows(r.c.contains("denoised") ? r.c.at("denoised") : r.c.at("model_out"));
    const bool at_starts = r.c.contains("x_at_step");  // states at the start of each step, the first included
    std::vector<vec> states = at_starts           ? rows(r.c.at("x_at_step"))
                              : r.c.contains("x") ? rows(r.c.at("x"))
                                                  : std::vector<vec>{};
    vec end = r.c.contains("x_final") ? numbers(r.c.at("x_final")) : states.back();
    const bool all = how_much.calls >= outputs.size();
    const std::size_t calls = std::min(how_much.calls, outputs.size());
    if (t.outputs.size() < calls || (all && t.outputs.size() != calls)) { return wrong; }

    double worst = 0.0;
    bool compared = false;
    const double sign = sign_of(r);
    for (std::size_t i = 0; i < calls; ++i) {
        if (!finite(outputs[i])) { return compared ? worst : wrong; }
        vec out = t.outputs[i];
        for (double& v : out) { v *= sign; }
        worst = std::max(worst, relative_error(out, outputs[i]));
        compared = true;
        // of diffusers, states[i] is what is evaluated next
        if (!r.official() && i + 1 < calls && i < states.size() && finite(states[i])) {
            worst = std::max(worst, relative_error(t.queries[i + 1], states[i]));
        }
    }
    if (at_starts) {
        for (std::size_t i = 0; i < std::min(states.size(), t.states.size()); ++i) {
            if (all || i == 0) { worst = std::max(worst, relative_error(t.states[i], states[i])); }
        }
        if (all && states.size() != t.states.size()) { return wrong; }
    }
    // Of DPM-Solver's repositories, where each step begins: of all steps, or of all but the first. A corrector's
    // states are not where the network is asked.
    const bool v3 = r.method == "official_dpm_solver_v3";
    if (all && r.method.starts_with("official_dpm_solver") && !(v3 && r.option("use_corrector", false))) {
        const std::size_t first = v3 || states.size() > t.states.size() ? 0 : 1;
        for (std::size_t i = first; i < t.states.size() && i - first < states.size(); ++i) {
            worst = std::max(worst, relative_error(t.states[i], states[i - first]));
        }
    }
    if (!how_much.end) { return worst; }
    if (!all) {
        if (r.official() || calls == 0) { return wrong; }
        end = states[calls - 1];
    }
    if (!finite(end)) { return worst; }
    return t.finished ? std::max(worst, relative_error(t.end, end)) : wrong;
}

double worst_of(const std::vector<vec>& found, const std::vector<vec>& expected) {
    if (found.size() != expected.size()) { return std::numeric_limits<double>::infinity(); }
    double worst = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        worst = std::max(worst, relative_error(found[i], expected[i]));
    }
    return worst;
}

outcome judged(double error, std::string note) {
    return {error <= tolerance ? outcome::kind::passed : outcome::kind::failed, error, std::move(note)};
}

outcome unsupported(std::string reason) { return {outcome::kind::unsupported, 0.0, std::move(reason)}; }

}  // namespace parity
