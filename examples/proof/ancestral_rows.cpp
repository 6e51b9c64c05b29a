// SPDX-License-Identifier: MIT

// Stochastic methods that add their noise apart from a deterministic step: DDPM, ancestral steps, churn,
// Restart, and the SDEs of any diffusion coefficient.

#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/ddpm.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/dpm2_ancestral.hpp>
#include <tweedie/solver/dpmpp_2s_ancestral.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/euler_ancestral.hpp>
#include <tweedie/solver/flow_sde.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/langevin.hpp>
#include <tweedie/solver/restart.hpp>

#include "table.hpp"

namespace proof {

std::vector<row> ancestral_rows() {
    namespace s = tweedie::solver;
    const row first{.weak_order = 1.0};
    const row second{.weak_order = 2.0};
    const row first_native{.weak_order = 1.0, .steep = true};
    const row second_native{.weak_order = 2.0, .steep = true};
    const row second_ode{.order = 2.0};
    const s::churn churn{.s_churn = 10.0};
    const row in_time{.weak_order = 1.0, .native = true};
    using g = s::flow_sde::coefficient;
    constexpr auto native = s::flow_sde::scheme::euler_maruyama;
    return {
        row_of("ddpm fixed_small", s::ddpm{}, first),
        row_of("ddpm fixed_large", s::ddpm{.variant = s::ddpm::variance::fixed_large}, first),
        row_of("ddim eta 0.5", s::ddim{.eta = 0.5}, first),
        row_of("ddim eta 1", s::ddim{.eta = 1.0}, first),
        row_of("euler_ancestral", s::euler_ancestral{}, first),
        row_of("euler_ancestral flow eta 0.5", s::euler_ancestral{.eta = 0.5, .variant = s::downstep::flow},
               first),
        row_of("euler_ancestral eta 2", s::euler_ancestral{.eta = 2.0}, first),
        row_of("dpm2_ancestral eta 0", s::dpm2_ancestral{.eta = 0.0}, second_ode),
        row_of("dpm2_ancestral", s::dpm2_ancestral{}, second),
        row_of("dpmpp_2s_ancestral eta 0", s::dpmpp_2s_ancestral{.eta = 0.0}, second_ode),
        row_of("dpmpp_2s_ancestral eta 0.5", s::dpmpp_2s_ancestral{.eta = 0.5}, second),
        row_of("dpmpp_2s_ancestral", s::dpmpp_2s_ancestral{}, second),
        row_of("dpmpp_2s_ancestral flow", s::dpmpp_2s_ancestral{.variant = s::downstep::flow}, second),
        row_of("euler churn 10", s::euler{.churn = churn}, first_native),
        row_of("heun churn 10", s::heun{.churn = churn}, second_native),
        row_of("heun alpha 2/3 churn 10", s::heun{.alpha = 2.0 / 3.0, .churn = churn}, second_native),
        row_of("dpm2 churn 10", s::dpm2{.churn = churn}, second),
        row_of("restart 0.3 to 2 x2", s::restart{.intervals = {{.s_tmin = 0.3, .s_tmax = 2.0, .times = 2}}},
               second_native),
        row_of("flow_sde forward", s::flow_sde{}, first),
        // g in units of time, which a beta table measures in training levels
        row_of("flow_sde sigma", s::flow_sde{.g = g::sigma}, in_time),
        row_of("flow_sde flow_grpo 0.7", s::flow_sde{.g = g::flow_grpo, .scale = 0.7}, in_time),
        row_of("flow_sde constant 0.3", s::flow_sde{.g = g::constant, .scale = 0.3}, in_time),
        row_of("flow_sde forward native", s::flow_sde{.variant = native}, first_native),
        row_of("langevin", s::langevin{}),
    };
}

}  // namespace proof
