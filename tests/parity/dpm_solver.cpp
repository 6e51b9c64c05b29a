// SPDX-License-Identifier: MIT

// DPM-Solver and DPM-Solver++, multistep.

#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/unipc.hpp>

#include <string>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome dpm_solver_multistep(recorded_case& r) {
    const std::string algorithm = r.option("algorithm_type", "dpmsolver++");
    const int order = r.option("solver_order", 2);
    const bool taylor = r.option("solver_type", "midpoint") == "heun";
    if (order > 2) { return unsupported("order 3"); }
    if (r.option("thresholding", false)) { return unsupported("thresholding"); }
    const bool sde = algorithm == "sde-dpmsolver++" && order == 1;  // is ancestral DDIM
    if (algorithm.starts_with("sde") && !sde) { return unsupported("sde variants"); }
    if (algorithm == "dpmsolver" && order == 2 && taylor) { return unsupported("dpmsolver, heun"); }

    const bool zero = r.levels.back().sigma == 0.0;
    bool lower_final = r.option("euler_at_final", false) ||
                       (r.option("lower_order_final", true) && r.c["timesteps"].size() < 15) || zero;
    if (repeats_last(r.levels)) { lower_final = false; }  // it is the step left out
    if (order == 1) { return run_all_but_repeated(r, solver::ddim{.eta = sde ? 1.0 : 0.0}); }
    if (algorithm == "dpmsolver") {
        const solver::unipc noise{.order = 2,
                                  .predicts = solver::form::noise,
                                  .corrector = false,
                                  .lower_order_final = lower_final};
        return run_all_but_repeated(r, noise);
    }
    using difference = solver::difference;
    const solver::dpm_solver two{.variant = taylor ? difference::taylor : difference::midpoint,
                                 .lower_order_final = lower_final};
    return run_all_but_repeated(r, two);
}

outcome k_diffusion_dpmpp_2m(recorded_case& r) {
    return run_all(r, solver::dpm_solver{.lower_order_final = false});
}

}  // namespace parity
