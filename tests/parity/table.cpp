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
// ancestral.cpp
outcome ddpm(recorded_case& r);
outcome euler_ancestral(recorded_case& r);
outcome kdpm2_ancestral(recorded_case& r);
outcome k_diffusion_euler_ancestral(recorded_case& r);
outcome k_diffusion_dpm_2_ancestral(recorded_case& r);
outcome k_diffusion_dpmpp_2s_ancestral(recorded_case& r);
outcome ltx_euler_ancestral(recorded_case& r);
// unipc.cpp
outcome unipc(recorded_case& r);
outcome official_unipc(recorded_case& r);
// edm.cpp
outcome official_edm(recorded_case& r);
// adams.cpp
outcome lms(recorded_case& r);
outcome kdpm2(recorded_case& r);
outcome k_diffusion_dpm_2(recorded_case& r);
outcome deis(recorded_case& r);
outcome ipndm(recorded_case& r);
outcome pndm(recorded_case& r);
// flow_maps.cpp
outcome lcm(recorded_case& r);
outcome tcd(recorded_case& r);
outcome consistency(recorded_case& r);
outcome scm(recorded_case& r);
outcome flow_match_lcm(recorded_case& r);
outcome flow_map(recorded_case& r);
// cogvideox.cpp
outcome cogvideox_dpm(recorded_case& r);
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
        {"CogVideoXDDIMScheduler", ddim},
        {"DDIMInverseScheduler", ddim_inverse},

        {"EulerDiscreteScheduler", euler},
        {"EDMEulerScheduler", euler},
        {"FlowMatchEulerDiscreteScheduler", euler},
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

        {"LMSDiscreteScheduler", lms},
        {"official_k_diffusion/sample_lms", lms},
        {"KDPM2DiscreteScheduler", kdpm2},
        {"official_k_diffusion/sample_dpm_2", k_diffusion_dpm_2},
        {"DEISMultistepScheduler", deis},
        {"IPNDMScheduler", ipndm},
        {"PNDMScheduler", pndm},

        {"LCMScheduler", lcm},
        {"TCDScheduler", tcd},
        {"CMStochasticIterativeScheduler", consistency},
        {"SCMScheduler", scm},
        {"FlowMatchLCMScheduler", flow_match_lcm},
        {"FlowMapEulerDiscreteScheduler", flow_map},

        {"DDPMScheduler", ddpm},
        {"DDPMParallelScheduler", ddpm},
        {"EulerAncestralDiscreteScheduler", euler_ancestral},
        {"KDPM2AncestralDiscreteScheduler", kdpm2_ancestral},
        {"LTXEulerAncestralRFScheduler", ltx_euler_ancestral},
        {"official_k_diffusion/sample_euler_ancestral", k_diffusion_euler_ancestral},
        {"official_k_diffusion/sample_dpm_2_ancestral", k_diffusion_dpm_2_ancestral},
        {"official_k_diffusion/sample_dpmpp_2s_ancestral", k_diffusion_dpmpp_2s_ancestral},

        {"CogVideoXDPMScheduler", cogvideox_dpm},
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
