// SPDX-License-Identifier: MIT

// Exponential integrators of the probability flow in half-log-SNR: DPM-Solver(++), UniPC, RES.

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/res.hpp>
#include <tweedie/solver/start.hpp>
#include <tweedie/solver/unipc.hpp>

#include <string>
#include <utility>

#include "table.hpp"

namespace proof {

std::vector<row> exponential_rows() {
    namespace s = tweedie::solver;
    using bh = s::unipc::bh;
    using stepping = s::res::stepping;
    constexpr auto noise = s::form::noise;
    constexpr auto taylor = s::difference::taylor;
    constexpr auto own = s::inner_nodes::own;
    constexpr auto single_step = s::start::single_step;
    // order 0: the start of a multistep method above order 2, or lower orders at its end, cost it the order,
    // and there is no one slope
    constexpr double none = 0.0;
    std::vector<row> rows;
    const auto add = [&rows](std::string name, const auto& solver, double order, int refine = 1) {
        rows.push_back(row_of(std::move(name), solver, {.order = order, .refine = refine}));
    };

    add("dpm_solver 1", s::dpm_solver{.order = 1}, 1.0);
    add("dpm_solver 2", s::dpm_solver{}, 2.0);
    add("dpm_solver 2, full order to the end", s::dpm_solver{.lower_order_final = false}, 2.0);
    add("dpm_solver 2, taylor", s::dpm_solver{.variant = taylor, .lower_order_final = false}, 2.0);
    add("dpm_solver 2, noise", s::dpm_solver{.predicts = noise, .lower_order_final = false}, 2.0);
    add("dpm_solver 3", s::dpm_solver{.order = 3, .lower_order_final = false}, none);
    add("dpm_solver 3, single-step start",
        s::dpm_solver{.order = 3, .lower_order_final = false, .start = single_step}, 3.0);
    add("dpm_solver 3, noise, single-step start",
        s::dpm_solver{.order = 3, .predicts = noise, .lower_order_final = false, .start = single_step}, 3.0,
        4);
    add("dpm_solver 3, peer formula",
        s::dpm_solver{.order = 3, .lower_order_final = false, .start = single_step, .peer_formula = true},
        2.0);

    using singlestep = s::dpm_solver_singlestep;
    add("dpm_solver_singlestep 2", singlestep{.order = 2, .lower_order_final = false}, 2.0);
    add("dpm_solver_singlestep 3", singlestep{.lower_order_final = false}, 3.0);
    add("dpm_solver_singlestep 3, lower order final", singlestep{}, none);
    add("dpm_solver_singlestep 2, own nodes", singlestep{.order = 2, .nodes = own}, 2.0);
    add("dpm_solver_singlestep 3, own nodes", singlestep{.nodes = own}, 3.0);
    add("dpm_solver_singlestep 3, own nodes, taylor", singlestep{.variant = taylor, .nodes = own}, 3.0);
    add("dpm_solver_singlestep 2, noise, own nodes", singlestep{.order = 2, .predicts = noise, .nodes = own},
        2.0);
    add("dpm_solver_singlestep 3, noise, own nodes", singlestep{.predicts = noise, .nodes = own}, 3.0);

    // steps to a cleaner level and exact noise: nothing but the steps errs
    rows.push_back(row_of("dpm_solver_singlestep 2, own nodes, eta 1",
                          singlestep{.order = 2, .nodes = own, .eta = 1.0}, {.weak_order = 2.0}));

    add("unip 2", s::unipc{.order = 2, .corrector = false, .lower_order_final = false}, 2.0);
    add("unip 3, single-step start",
        s::unipc{.order = 3, .corrector = false, .lower_order_final = false, .start = single_step}, 3.0);
    add("unipc 1", s::unipc{.order = 1}, 2.0);
    add("unipc 2", s::unipc{.order = 2, .lower_order_final = false}, 3.0);
    add("unipc 2, bh1", s::unipc{.order = 2, .variant = bh::bh1, .lower_order_final = false}, 3.0);
    add("unipc 2, vary_coeff", s::unipc{.order = 2, .variant = bh::vary_coeff, .lower_order_final = false},
        3.0);
    add("unipc 2, noise", s::unipc{.order = 2, .predicts = noise, .lower_order_final = false}, 3.0);
    add("unipc 2 on dpm_solver 2, taylor",
        s::unipc{.order = 2,
                 .lower_order_final = false,
                 .predictor =
                     [](const tweedie::linear_form& x, const s::predictor_step& of) {
                         return s::dpm_solver{.variant = taylor}.step(x, of.s, of.t, of.known);
                     }},
        3.0);
    add("unipc 3", s::unipc{}, none);
    add("unipc 3, full order to the end", s::unipc{.lower_order_final = false}, none);
    add("unipc 3, single-step start", s::unipc{.lower_order_final = false, .start = single_step}, 4.0);
    add("unipc 3, noise", s::unipc{.predicts = noise}, none);
    add("unipc 3, noise, single-step start",
        s::unipc{.predicts = noise, .lower_order_final = false, .start = single_step}, 4.0, 4);
    add("unipc 5", s::unipc{.order = 5}, none);

    add("res 2m", s::res{.lower_order_final = false}, 2.0);
    add("res 3m, single-step start", s::res{.order = 3, .lower_order_final = false, .start = single_step},
        3.0);
    add("res 2s", s::res{.order = 2, .method = stepping::single_step}, 2.0);
    add("res 3s", s::res{.order = 3, .method = stepping::single_step}, 3.0);
    add("res 2s, noise", s::res{.order = 2, .method = stepping::single_step, .predicts = noise}, 2.0);
    return rows;
}

}  // namespace proof
