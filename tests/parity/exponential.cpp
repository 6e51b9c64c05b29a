// SPDX-License-Identifier: MIT

// Single-step DPM-Solver, and the methods of dpm_solver_pytorch.

#include <tweedie/grid/log_snr.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;
using solver::difference;
using solver::form;

namespace {

/// The peer's list has the order of each call inside its step, 1 2 3 1 2 ...; ours the order of each step.
std::vector<std::size_t> orders_of(const std::vector<std::size_t>& list) {
    std::vector<std::size_t> out;
    for (const std::size_t k : list) {
        if (k == 1) { out.push_back(0); }
        ++out.back();
    }
    return out;
}

/// The last target of dpm_solver_pytorch, which is no network call and not recorded: t_end, by default the first
/// entry of a table or 1e-3.
level last_target(const recorded_case& r) {
    const std::string kind = r.c.at("schedule");
    const double t = r.option("t_end", 1e-3);
    const auto on = [&](const auto& schedule, double time) {
        const level l = at(schedule, time);
        return level_of(space::vp, l.alpha, l.sigma);
    };
    if (kind == "vp_continuous") { return on(schedule::vp_linear{}, t); }
    if (kind == "cosine") { return on(schedule::vp_cosine{}, t); }
    if (kind == "scaled_linear") { return on(schedule::discrete::scaled_linear(), t * 1000.0 - 1.0); }
    return on(schedule::discrete::linear(), t * 1000.0 - 1.0);
}

}  // namespace

outcome sde_dpm_singlestep(recorded_case& r);  // sde.cpp

outcome dpm_solver_singlestep(recorded_case& r) {
    const std::string algorithm = r.option("algorithm_type", "dpmsolver++");
    if (algorithm.starts_with("sde")) { return sde_dpm_singlestep(r); }
    if (r.option("thresholding", false)) { return unsupported("thresholding"); }
    const bool taylor = r.option("solver_type", "midpoint") == "heun";
    const difference variant = taylor ? solver::difference::taylor : solver::difference::midpoint;
    solver::dpm_solver_singlestep method;
    method.order = r.option("solver_order", std::size_t{2});
    method.predicts = algorithm == "dpmsolver" ? solver::form::noise : solver::form::data;
    method.variant = variant;
    method.inner = variant;
    // where its sequence does not fit, the peer turns lower_order_final on
    const std::size_t calls = r.steps();
    const bool zero = r.levels.back().sigma == 0.0;
    method.lower_order_final = r.option("lower_order_final", true) || calls % method.order > 0 || zero;
    if (r.c.contains("order_list")) {
        std::vector<std::size_t> ours =
            solver::dpm_solver_singlestep::order_list(calls, method.order, method.lower_order_final);
        if (zero && ours.back() > 1) {
            ours.back() -= 1;
            ours.push_back(1);
        }
        if (ours != orders_of(r.c.at("order_list").get<std::vector<std::size_t>>())) {
            return {outcome::kind::failed, 1.0, "the orders of the steps differ"};
        }
    }
    return run_all_but_repeated(r, method);
}

outcome official_dpm_solver_adaptive(recorded_case& r);  // adaptive.cpp

outcome official_dpm_solver(recorded_case& r) {
    const std::string how = r.option("method", "multistep");
    if (how == "adaptive") { return official_dpm_solver_adaptive(r); }
    const bool taylor = r.option("solver_type", "dpmsolver") == "taylor";
    const difference variant = taylor ? solver::difference::taylor : solver::difference::midpoint;
    const form predicts =
        r.c.value("algorithm_type", "dpmsolver++") == "dpmsolver" ? solver::form::noise : solver::form::data;
    const std::size_t order = r.option("order", std::size_t{2});
    const bool to_zero = r.option("denoise_to_zero", false);
    r.levels = r.call_levels();
    if (!to_zero) { r.levels.push_back(last_target(r)); }

    plan p;
    std::string note;
    if (how == "multistep") {
        const solver::dpm_solver method{
            .order = order,
            .predicts = predicts,
            .variant = variant,
            .lower_order_final = r.option("lower_order_final", true) && r.steps() < 10,
            .peer_formula = true};
        p = method.plan(r.schedule(), r.levels);
        if (order == 3) { note = "peer_formula: D2 without the factor 2"; }
    } else {
        solver::dpm_solver_singlestep method{.order = order, .predicts = predicts, .variant = variant};
        // of an even number of calls its order 2 makes steps of order 2 alone
        method.lower_order_final = how == "singlestep" && order == 3;
        p = method.plan(r.schedule(), r.levels);
    }
    trajectory t = run(p, r.setup);
    if (to_zero) {  // a last call at the last level, a run of its own
        run_setup last = r.setup;
        last.x = t.end;
        const level from = r.levels.back();
        const trajectory zero =
            run(solver::ddim{}.plan(r.schedule(), std::vector<level>{from, {0.0, 1.0, 0.0}}), last);
        t.outputs.insert(t.outputs.end(), zero.outputs.begin(), zero.outputs.end());
        t.queries.insert(t.queries.end(), zero.queries.begin(), zero.queries.end());
        t.end = zero.end;
    }
    return judged(compare(r, t), note);
}

outcome k_diffusion_dpm_fast(recorded_case& r) {
    const std::size_t calls = r.option("n", std::size_t{0});
    solver::dpm_solver_singlestep method{.predicts = solver::form::noise, .nodes = solver::inner_nodes::own};
    method.orders = solver::dpm_solver_singlestep::order_list(calls, 3);
    method.eta = r.option("eta", 0.0);
    method.s_noise = r.option("s_noise", 1.0);
    r.levels = grid::log_snr(schedule::edm{}, static_cast<int>(method.orders.size()),
                             {.sigma_max = r.c.at("sigma_max").get<double>(),
                              .sigma_min = r.c.at("sigma_min").get<double>(),
                              .last = grid::final_level::sigma_min});
    return run_all(r, method);
}

}  // namespace parity
