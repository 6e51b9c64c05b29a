// SPDX-License-Identifier: MIT

// DPM-Solver-v3, with statistics that belong to no network: what its order must not depend on.

#include <tweedie/solver/dpm_solver_v3.hpp>
#include <tweedie/solver/model_statistics.hpp>
#include <tweedie/solver/start.hpp>

#include <cmath>
#include <string>
#include <utility>

#include "table.hpp"

namespace proof {

namespace {

/// Smooth in half-log-SNR, one number for all elements.
tweedie::solver::model_statistics smooth() {
    tweedie::solver::model_statistics out;
    for (int i = 0; i <= 160; ++i) {
        const double lambda = -4.0 + i / 20.0;
        out.half_log_snr.push_back(lambda);
        out.l.push_back(1.0 / (1.0 + 0.3 * std::exp(1.5 * lambda)));
        out.s.push_back(-0.4 + 0.3 * std::sin(lambda));
        out.b.push_back(0.2 * std::cos(0.7 * lambda));
    }
    return out;
}

}  // namespace

std::vector<row> v3_rows() {
    using v3 = tweedie::solver::dpm_solver_v3;
    using correction = v3::correction;
    constexpr auto single_step = tweedie::solver::start::single_step;
    constexpr double none = 0.0;  // the start, or the last steps, cost it the order
    const tweedie::solver::model_statistics statistics = smooth();
    std::vector<row> rows;
    const auto add = [&](std::string name, v3 solver, double order, int refine = 1) {
        rows.push_back(row_of(std::move(name), solver, {.order = order, .refine = refine}));
    };
    add("dpm_solver_v3, no statistics", {}, none);
    add("dpm_solver_v3, no statistics, higher corrector, single-step start",
        {.corrector = correction::higher, .lower_order_final = false, .start = single_step}, 4.0);
    add("dpm_solver_v3 1, no corrector",
        {.order = 1, .statistics = statistics, .corrector = correction::none}, 1.0);
    add("dpm_solver_v3 1, higher corrector",
        {.order = 1, .statistics = statistics, .corrector = correction::higher}, 2.0);
    add("dpm_solver_v3 2, no corrector",
        {.order = 2, .statistics = statistics, .corrector = correction::none, .lower_order_final = false},
        2.0);
    add("dpm_solver_v3 2", {.order = 2, .statistics = statistics, .lower_order_final = false}, 2.0, 2);
    add("dpm_solver_v3 2, higher corrector",
        {.order = 2, .statistics = statistics, .corrector = correction::higher, .lower_order_final = false},
        3.0);
    add("dpm_solver_v3 3", {.statistics = statistics}, none);
    add("dpm_solver_v3 3, no corrector, single-step start",
        {.statistics = statistics,
         .corrector = correction::none,
         .lower_order_final = false,
         .start = single_step},
        3.0);
    add("dpm_solver_v3 3, single-step start",
        {.statistics = statistics, .lower_order_final = false, .start = single_step}, 3.0);
    add("dpm_solver_v3 3, higher corrector, single-step start",
        {.statistics = statistics,
         .corrector = correction::higher,
         .lower_order_final = false,
         .start = single_step},
        4.0);
    add("dpm_solver_v3 3, pseudo",
        {.statistics = statistics, .corrector = correction::none, .pseudo = true, .lower_order_final = false},
        2.0, 2);
    add("dpm_solver_v3 3, pseudo, pseudo corrector",
        {.statistics = statistics,
         .corrector = correction::pseudo,
         .pseudo = true,
         .lower_order_final = false},
        2.0, 4);
    return rows;
}

}  // namespace proof
