// SPDX-License-Identifier: MIT
#include "table.hpp"

namespace parity {

// ddim.cpp
outcome ddim(recorded_case& r);
outcome ddim_inverse(recorded_case& r);
// euler.cpp
outcome euler(recorded_case& r);
outcome k_diffusion_euler(recorded_case& r);
// heun.cpp
outcome heun(recorded_case& r);
outcome k_diffusion_heun(recorded_case& r);
// dpm_solver.cpp
outcome dpm_solver_multistep(recorded_case& r);
outcome k_diffusion_dpmpp_2m(recorded_case& r);
// dpm_solver_v3.cpp
outcome official_dpm_solver_v3(recorded_case& r);
// exponential.cpp
outcome dpm_solver_singlestep(recorded_case& r);
outcome official_dpm_solver(recorded_case& r);
outcome k_diffusion_dpm_fast(recorded_case& r);
// adaptive.cpp
outcome k_diffusion_dpm_adaptive(recorded_case& r);
// unipc.cpp
outcome unipc(recorded_case& r);
outcome official_unipc(recorded_case& r);
// edm.cpp
outcome official_edm(recorded_case& r);
// sde.cpp
outcome sde_dpm_multistep(recorded_case& r);
outcome diffusers_dpmpp_sde(recorded_case& r);
outcome k_diffusion_dpmpp_sde(recorded_case& r);
outcome k_diffusion_dpmpp_2m_sde(recorded_case& r);
outcome k_diffusion_dpmpp_3m_sde(recorded_case& r);
outcome sa_solver(recorded_case& r);
outcome official_sa_solver(recorded_case& r);

const std::vector<entry>& table() {
    static const std::vector<entry> entries = {
        {"DDIMScheduler", ddim},
        {"DDIMParallelScheduler", ddim},
        {"DDIMInverseScheduler", ddim_inverse},

        {"EulerDiscreteScheduler", euler},
        {"EDMEulerScheduler", euler},
        {"FlowMatchEulerDiscreteScheduler", euler},
        {"FlowMapEulerDiscreteScheduler", euler},
        {"MiniMaxH3Scheduler", euler},
        {"official_k_diffusion/sample_euler", k_diffusion_euler},

        {"HeunDiscreteScheduler", heun},
        {"FlowMatchHeunDiscreteScheduler", heun},
        {"official_k_diffusion/sample_heun", k_diffusion_heun},

        {"DPMSolverMultistepScheduler", dpm_solver_multistep},
        {"DPMSolverMultistepInverseScheduler", dpm_solver_multistep},
        {"EDMDPMSolverMultistepScheduler", dpm_solver_multistep},
        {"official_k_diffusion/sample_dpmpp_2m", k_diffusion_dpmpp_2m},
        {"DPMSolverSinglestepScheduler", dpm_solver_singlestep},
        {"official_dpm_solver", official_dpm_solver},
        {"official_dpm_solver_v3", official_dpm_solver_v3},
        {"official_k_diffusion/sample_dpm_fast", k_diffusion_dpm_fast},
        {"official_k_diffusion/sample_dpm_adaptive", k_diffusion_dpm_adaptive},

        {"UniPCMultistepScheduler", unipc},
        {"official_unipc", official_unipc},

        {"official_edm", official_edm},

        {"CosineDPMSolverMultistepScheduler", sde_dpm_multistep},
        {"DPMSolverSDEScheduler", diffusers_dpmpp_sde},
        {"official_k_diffusion/sample_dpmpp_sde", k_diffusion_dpmpp_sde},
        {"official_k_diffusion/sample_dpmpp_2m_sde", k_diffusion_dpmpp_2m_sde},
        {"official_k_diffusion/sample_dpmpp_3m_sde", k_diffusion_dpmpp_3m_sde},
        {"SASolverScheduler", sa_solver},
        {"official_sa_solver", official_sa_solver},
    };
    return entries;
}

const entry* find(const std::string& method) {
    for (const std::string& name : {method, method.substr(0, method.find('/'))}) {
        for (const entry& e : table()) {
            if (e.method == name) { return &e; }
        }
    }
    return nullptr;
}

}  // namespace parity
