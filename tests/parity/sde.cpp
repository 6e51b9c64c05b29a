// SPDX-License-Identifier: MIT

// Exponential integrators of the diffusion SDE: SDE-DPM-Solver(++), DPM++ SDE, SA-Solver.

#include <tweedie/plan/exponential.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpmpp_sde.hpp>
#include <tweedie/solver/sa_solver.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/sde_dpm_solver_singlestep.hpp>
#include <tweedie/solver/tau.hpp>

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

using sde_method = solver::sde_dpm_solver;

}  // namespace

outcome sde_dpm_multistep(recorded_case& r) {
    const std::string algorithm = r.option("algorithm_type", "sde-dpmsolver++");
    sde_method method;
    method.order = r.option("solver_order", std::size_t{2});
    method.predicts = algorithm == "sde-dpmsolver" ? solver::form::noise : solver::form::data;
    method.variant = r.option("solver_type", "midpoint") == "heun" ? solver::difference::taylor
                                                                   : solver::difference::midpoint;
    add_thresholding(r);
    if (method.order == 3 && method.predicts == solver::form::data) {
        method.peer_formula = sde_method::peer::diffusers;
    }
    const std::size_t steps = r.c.at("timesteps").size();  // the whole list, wherever the run starts
    method.lower_order_final = r.option("lower_order_final", true) && steps < 15;
    method.euler_at_final = r.option("euler_at_final", false);
    return run_all_but_repeated(r, method,
                                method.peer_formula == sde_method::peer::diffusers ? "peer_formula" : "");
}

outcome sde_dpm_singlestep(recorded_case& r) {
    add_thresholding(r);
    const bool taylor = r.option("solver_type", "midpoint") == "heun";
    solver::sde_dpm_solver_singlestep method;
    method.order = r.option("solver_order", std::size_t{2});
    method.variant = taylor ? solver::difference::taylor : solver::difference::midpoint;
    method.inner = method.variant;
    method.predicts = r.option("algorithm_type", "sde-dpmsolver++") == "sde-dpmsolver" ? solver::form::noise
                                                                                       : solver::form::data;
    method.peer_formula = true;
    // the peer's list has the order of each call inside its step, 1 2 3 1 2 ...; ours the order of each step
    for (const std::size_t k : r.c.value("order_list", std::vector<std::size_t>{})) {
        if (k == 1) { method.orders.push_back(0); }
        if (method.orders.empty()) { return unsupported("a list of orders that does not begin with 1"); }
        ++method.orders.back();
    }
    return run_all_but_repeated(r, method, "peer_formula: independent draws");
}

outcome k_diffusion_dpmpp_2m_sde(recorded_case& r) {
    return run_all(
        r, sde_method{.variant = r.option("solver_type", "midpoint") == "heun" ? solver::difference::taylor
                                                                               : solver::difference::midpoint,
                      .eta = r.option("eta", 1.0),
                      .s_noise = r.option("s_noise", 1.0),
                      .lower_order_final = false});
}

outcome k_diffusion_dpmpp_3m_sde(recorded_case& r) {
    return run_all(r, sde_method{.order = 3,
                                 .variant = solver::difference::taylor,
                                 .eta = r.option("eta", 1.0),
                                 .s_noise = r.option("s_noise", 1.0),
                                 .lower_order_final = false,
                                 .peer_formula = sde_method::peer::k_diffusion});
}

outcome k_diffusion_dpmpp_sde(recorded_case& r) {
    return run_all(r, solver::dpmpp_sde{.eta = r.option("eta", 1.0),
                                        .s_noise = r.option("s_noise", 1.0),
                                        .r = r.option("r", 0.5),
                                        .peer_formula = true});
}

outcome diffusers_dpmpp_sde(recorded_case& r) {
    // the peer lists every level but the first and the last twice; the stages lie between them
    const std::vector<level> listed = std::exchange(r.levels, {});
    for (std::size_t i = 0; i < listed.size(); ++i) {
        if (i == 0 || i % 2 == 1) { r.levels.push_back(listed[i]); }
    }
    return run_all(r, solver::dpmpp_sde{.s_noise = r.option("s_noise", 1.0), .peer_formula = true});
}

namespace {

/// Keeps the recorded draws of the steps that draw; the peer draws in every step.
void keep_draws(recorded_case& r, const std::vector<double>& tau) {
    std::vector<vec> kept;
    for (std::size_t i = 0; i < std::min(tau.size(), r.setup.noise.size()); ++i) {
        if (tau[i] > 0.0) { kept.push_back(r.setup.noise[i]); }
    }
    r.setup.noise = std::move(kept);
}

}  // namespace

outcome sa_solver(recorded_case& r) {
    add_thresholding(r);
    solver::sa_solver method;
    method.order = r.option("predictor_order", std::size_t{2});
    method.corrector = r.option("corrector_order", std::size_t{2});
    method.predicts = r.option("algorithm_type", "data_prediction") == "noise_prediction"
                          ? solver::form::noise
                          : solver::form::data;
    method.few_steps = true;
    method.lower_order_final = r.option("lower_order_final", true);
    // tau_func of the step's timestep; the default is 1 from 200 to 800
    vec times = numbers(r.c.at("timesteps"));
    times.erase(times.begin(), times.begin() + r.c.value("t_start", std::ptrdiff_t{0}));
    std::vector<double> tau;
    for (const double t : times) {
        const double standard = t >= 200.0 && t <= 800.0 ? 1.0 : 0.0;
        tau.push_back(r.option("tau", standard));
    }
    keep_draws(r, tau);
    method.tau = solver::tau_profile::per_step(tau);
    return run_all_but_repeated(r, method);
}

outcome official_sa_solver(recorded_case& r) {
    const bool more_steps = r.option("mode", "few_steps") == "more_steps";
    solver::sa_solver method;
    method.order = r.option("predictor_order", std::size_t{3});
    method.corrector = r.option("corrector_order", std::size_t{4});
    method.predicts = r.c.value("algorithm_type", "data_prediction") == "noise_prediction"
                          ? solver::form::noise
                          : solver::form::data;
    method.mode = r.option("pc_mode", "PEC") == "PECE" ? solver::sa_solver::evaluation::pece
                                                       : solver::sa_solver::evaluation::pec;
    method.few_steps = !more_steps;
    method.correct_last = more_steps;
    // in PECE every level but the first is asked twice; more_steps asks the last one again to clean it
    for (const level& l : r.call_levels()) {
        if (r.levels.empty() || !(l == r.levels.back())) { r.levels.push_back(l); }
    }
    if (!more_steps) { r.levels.push_back(official_end(r)); }
    // the first draw is thrown away; the last step of few_steps is one of the ODE
    if (!r.setup.noise.empty()) { r.setup.noise.erase(r.setup.noise.begin()); }
    std::vector<double> tau(r.steps(), r.c.value("tau", 0.0));
    if (!more_steps) { tau.back() = 0.0; }
    keep_draws(r, tau);
    method.tau = solver::tau_profile::per_step(tau);
    trajectory t = run(method.plan(r.schedule(), r.levels), r.setup);
    if (more_steps) {
        const std::vector<level> last = {r.levels.back(), level_of(r.kind, 0.0)};
        r.setup.x = t.end;
        const trajectory cleaned = run(solver::ddim{}.plan(r.schedule(), last), r.setup);
        t.outputs.push_back(cleaned.outputs.front());
        t.queries.push_back(cleaned.queries.front());
        t.end = cleaned.end;
        t.finished = t.finished && cleaned.finished;
    }
    return judged(compare(r, t));
}

}  // namespace parity
