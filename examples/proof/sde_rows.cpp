// SPDX-License-Identifier: MIT

// Exponential integrators of the diffusion SDE. `order` for the rows whose noise is off: they are the named
// ODE methods; `weak_order` for the others, of mean and variance.

#include <tweedie/solver/dpmpp_sde.hpp>
#include <tweedie/solver/er_sde.hpp>
#include <tweedie/solver/sa_solver.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/sde_dpm_solver_singlestep.hpp>
#include <tweedie/solver/seeds.hpp>

#include <cstddef>
#include <string>

#include "table.hpp"

namespace proof {

std::vector<row> sde_rows() {
    namespace s = tweedie::solver;
    using s::difference;
    using s::form;
    using s::noise_scale;
    using peer = s::sde_dpm_solver::peer;
    using pc = s::sa_solver::evaluation;
    const row first{.weak_order = 1.0};
    const row second{.weak_order = 2.0};
    const row first_ode{.order = 1.0};
    const row second_ode{.order = 2.0};
    const row third_ode{.order = 3.0};
    const auto power = [](double p) { return noise_scale{noise_scale::kind::power, p}; };
    const s::tau_profile window =
        s::tau_profile::windows({{.sigma_max = 1.0, .sigma_min = 0.05, .tau = 1.0}});
    std::vector<row> rows = {
        row_of("dpm++ 2m sde", s::sde_dpm_solver{}, second),
        row_of("dpm++ 2m sde taylor", s::sde_dpm_solver{.variant = difference::taylor}, second),
        row_of("dpm++ 2m sde eta 0.5", s::sde_dpm_solver{.eta = 0.5}, second),
        row_of("dpm++ 2m sde eta 0", s::sde_dpm_solver{.eta = 0.0}, second_ode),
        row_of("dpm++ 3m sde", s::sde_dpm_solver{.order = 3}, second),
        row_of("dpm++ 3m sde eta 0, single-step start",
               s::sde_dpm_solver{
                   .order = 3, .eta = 0.0, .lower_order_final = false, .start = s::start::single_step},
               third_ode),
        row_of("dpm++ 3m sde, k-diffusion's formula",
               s::sde_dpm_solver{.order = 3, .peer_formula = peer::k_diffusion}, second),
        row_of("dpm++ 3m sde, diffusers' formula",
               s::sde_dpm_solver{.order = 3, .peer_formula = peer::diffusers}, first),
        row_of("sde-dpm-solver 1", s::sde_dpm_solver{.order = 1, .predicts = form::noise}, first),
        row_of("sde-dpm-solver 2m", s::sde_dpm_solver{.predicts = form::noise}, second),
        row_of("sde-dpm-solver 3m", s::sde_dpm_solver{.order = 3, .predicts = form::noise}, second),
        row_of("sde-dpm-solver++ 2s", s::sde_dpm_solver_singlestep{}, second),
        row_of("sde-dpm-solver++ 3s", s::sde_dpm_solver_singlestep{.order = 3, .variant = difference::taylor},
               second),
        row_of("sde-dpm-solver++ 2s, independent draws", s::sde_dpm_solver_singlestep{.peer_formula = true},
               first),
        row_of("dpm++ sde", s::dpmpp_sde{}, second),
        row_of("dpm++ sde eta 0.5", s::dpmpp_sde{.eta = 0.5}, second),
        row_of("dpm++ sde eta 0", s::dpmpp_sde{.eta = 0.0}, second_ode),
        row_of("dpm++ sde, independent draws", s::dpmpp_sde{.peer_formula = true}, first),
        row_of("sa_solver p1 c0", s::sa_solver{.order = 1, .corrector = 0}, first),
        row_of("sa_solver p2 c0", s::sa_solver{.corrector = 0}, second),
        row_of("sa_solver p2 c2", s::sa_solver{}, second),
        row_of("sa_solver p3 c3", s::sa_solver{.order = 3, .corrector = 3}, second),
        row_of("sa_solver p4 c4", s::sa_solver{.order = 4, .corrector = 4}, second),
        row_of("sa_solver p2 c2 few steps", s::sa_solver{.few_steps = true}, second),
        row_of("sa_solver p2 c2 PECE", s::sa_solver{.mode = pc::pece}, second),
        row_of("sa_solver p2 c2 noise", s::sa_solver{.predicts = form::noise}, second),
        row_of("sa_solver p2 c2 tau 1 in [0.05, 1]", s::sa_solver{.tau = window}, second),
        row_of("sa_solver p2 c3 tau 0", s::sa_solver{.corrector = 3, .tau = 0.0, .lower_order_final = false},
               third_ode),
        row_of("er_sde 1", s::er_sde{.order = 1}, first),
        row_of("er_sde 2", s::er_sde{.order = 2}, second),
        row_of("er_sde 3", s::er_sde{}, second),
        row_of("er_sde 3, published formula", s::er_sde{.peer_formula = true}, second),
        row_of("er_sde 3 power 2", s::er_sde{.scale = power(2.0)}, second),
        row_of("er_sde 1 power 1", s::er_sde{.order = 1, .scale = noise_scale::ode()}, first_ode),
        row_of("er_sde 2 power 1", s::er_sde{.order = 2, .scale = noise_scale::ode()}, second_ode),
    };
    for (const std::size_t order : {1U, 2U, 3U}) {
        for (const form predicts : {form::data, form::noise}) {
            rows.push_back(row_of("seeds " + std::to_string(order) + (predicts == form::data ? "" : " noise"),
                                  s::seeds{.order = order, .predicts = predicts},
                                  order == 1 ? first : second));
        }
    }
    rows.push_back(row_of("seeds 3 tau 0", s::seeds{.order = 3, .tau = 0.0}, third_ode));
    return rows;
}

}  // namespace proof
