# SPDX-License-Identifier: MIT
"""Copies recorded runs into tests/reference/, leaving out what no test reads.

    python3 tests/reference/make_recorded.py <folder with core_golden.json and goldens/>

Left out: the last sample of the peers' float32 runs, and the arrays of runs whose method no test here has
(third-order multistep, variable-coefficient UniPC, stochastic multistep, adaptive steps): of these the
configuration alone is kept, so that they can be counted. Numbers are copied as they are written.
"""

import json
import os
import sys

FILES = [
    "core_golden",
    "diffusers_ddim",
    "diffusers_dpmsolver_multistep",
    "diffusers_edm_euler",
    "diffusers_euler",
    "diffusers_flow_match_euler",
    "diffusers_flow_match_heun",
    "diffusers_heun",
    "diffusers_unipc_multistep",
    "official_edm",
    "official_k_diffusion",
    "official_unipc",
]
ALWAYS_DROPPED = {"x_final_f32", "timesteps_f32"}
ARRAYS = {"call_t", "call_alpha", "call_sigma", "model_out", "denoised", "x", "x_at_step", "x_final", "noise"}
K_DIFFUSION_KEPT = {"sample_euler", "sample_heun", "sample_dpmpp_2m", "sample_euler_ancestral"}


def of_later_method(name, case):
    config = case.get("config", {})
    if name == "diffusers_dpmsolver_multistep":
        return config.get("solver_order", 2) >= 3
    if name == "official_unipc":
        return case["variant"] == "vary_coeff"
    if name == "official_k_diffusion":
        no_noise = case["sampler"] == "sample_dpmpp_2m_sde" and case["kwargs"].get("eta") == 0.0
        return case["sampler"] not in K_DIFFUSION_KEPT and not no_noise
    return False


def main():
    source = sys.argv[1]
    target = os.path.dirname(os.path.abspath(__file__))
    for name in FILES:
        folder = source if name == "core_golden" else os.path.join(source, "goldens")
        with open(os.path.join(folder, name + ".json")) as file:
            data = json.load(file)
        if name == "core_golden":
            kept = {key: data[key] for key in ("problem", "reference_rk4_20000", "D_at", "solvers", "teleport")}
            data = kept
        for case in data.get("cases", []):
            dropped = ALWAYS_DROPPED | (ARRAYS if of_later_method(name, case) else set())
            for key in dropped & case.keys():
                del case[key]
        with open(os.path.join(target, name + ".json"), "w") as file:
            json.dump(data, file, separators=(",", ":"))
            file.write("\n")


if __name__ == "__main__":
    main()
