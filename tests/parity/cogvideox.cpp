// SPDX-License-Identifier: MIT

// CogVideoX's SDE-DPM-Solver++(2M). (Its DDIM is DDIM.)

#include <tweedie/plan/writer.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>

#include <cstddef>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome cogvideox_dpm(recorded_case& r) {
    const vec times = numbers(r.c.at("timesteps"));
    const int n = r.c.at("set_timesteps").at("num_inference_steps");
    const double stride = r.option("num_train_timesteps", 1000) / n;  // whole
    const schedule::discrete table = table_of(r.c);
    const auto level_at = [&](double t) { return level_of(space::vp, table.alpha(t), table.sigma(t)); };
    const level clean = level_at(r.option("set_alpha_to_one", true) ? -1.0 : 0.0);
    std::vector<level> targets;
    bool targets_are_levels = true;
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double target = times[i] - stride;
        targets.push_back(target >= 0.0 ? level_at(target) : clean);
        targets_are_levels =
            targets_are_levels && (i + 1 < times.size() ? target == times[i + 1] : target < 0.0);
    }
    // The peer draws twice in a step of second order and uses the second.
    std::vector<vec> draws;
    std::size_t next = 0;
    for (std::size_t i = 0; i < times.size(); ++i) {
        const bool first_order = i == 0 || times[i] - stride < 0.0;
        next += first_order ? 1 : 2;
        if (targets[i].sigma > 0.0 && next <= r.setup.noise.size()) {
            draws.push_back(r.setup.noise[next - 1]);
        }
    }
    r.setup.noise = draws;
    r.levels = r.call_levels();
    r.levels.push_back(targets.back());
    if (targets_are_levels) { return run_all(r, solver::sde_dpm_solver{.lower_order_final = false}); }

    // Its targets are t - 1000 / n, whatever the next timestep is: the same steps to other levels.
    plan_writer p("SDE-DPM-Solver++(2M) to the targets of CogVideoX", r.levels);
    plan_variable x = p.state();
    plan_history m = p.remember("x0_hat", 2);
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const level s = p.step(i).s;
        const level t = targets[i];
        m.push(p.data_prediction(x, s));
        std::vector<solver::exponential_node> nodes = {{s.half_log_snr(), m[0]}};
        if (i > 0 && times[i] - stride >= 0.0) { nodes.push_back({r.levels[i - 1].half_log_snr(), m[1]}); }
        x = solver::exponential_step(x, s, t, nodes, solver::form::data, solver::difference::midpoint, 1.0);
        const double noise = solver::exponential_noise(s, t, solver::form::data, 1.0);
        if (noise > 0.0) { x = x + noise * p.noise(); }
    }
    return judged(compare(r, run(p.finish(x), r.setup)),
                  "to the peer's targets (not its next timesteps), as a plan");
}

}  // namespace parity
