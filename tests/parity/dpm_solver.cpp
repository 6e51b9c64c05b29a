// SPDX-License-Identifier: MIT

// DPM-Solver and DPM-Solver++, multistep, of the probability flow; denoising and inverting.

#include <tweedie/solver/dpm_solver.hpp>

#include <cstddef>
#include <string>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome sde_dpm_multistep(recorded_case& r);  // sde.cpp

outcome dpm_solver_multistep(recorded_case& r) {
    const std::string algorithm = r.option("algorithm_type", "dpmsolver++");
    const std::size_t order = r.option("solver_order", std::size_t{2});
    const bool taylor = r.option("solver_type", "midpoint") == "heun";
    if (algorithm.starts_with("sde")) { return sde_dpm_multistep(r); }
    add_thresholding(r);
    solver::dpm_solver method{
        .order = order,
        .predicts = algorithm == "dpmsolver" ? solver::form::noise : solver::form::data,
        .variant = taylor ? solver::difference::taylor : solver::difference::midpoint,
        .lower_order_final = r.option("lower_order_final", true) && r.c.at("timesteps").size() < 15,
        .euler_at_final = r.option("euler_at_final", false),
        .peer_formula = true};
    return run_all_but_repeated(r, method, order == 3 ? "peer_formula" : "");
}

outcome k_diffusion_dpmpp_2m(recorded_case& r) {
    return run_all(r, solver::dpm_solver{.lower_order_final = false});
}

}  // namespace parity
