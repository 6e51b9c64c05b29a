// SPDX-License-Identifier: MIT
#pragma once

// The table of every solver: what the proof page measures and what the tests run over. A new solver adds a
// row to one of the lists.

#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace proof {

/// One solver with its options, and what its header declares.
///
/// - `name`        as a user would write it, short.
/// - `order`       declared order for the probability flow to a level with sigma > 0; 0 for stochastic rows,
///                 for methods whose start caps the order, and for heuristics that declare none.
/// - `weak_order`  declared order of mean and variance of stochastic rows; 0 otherwise.
/// - `refine`      the order is measured on that many times the usual steps: where the slope settles late.
/// - `pure_noise`  whether it can start at alpha = 0.
/// - `native`      whether it works in the schedule's time: a beta table, whose time has kinks, costs its
///                 order.
/// - `steep`       whether it needs the time derivatives of alpha and sigma, finite at every level; implies
///                 `native`.
/// - `plan`        writes the plan.
struct row {
    std::string name = {};
    double order = 0.0;
    double weak_order = 0.0;
    int refine = 1;
    bool pure_noise = true;
    bool native = false;
    bool steep = false;
    std::function<tweedie::plan(const tweedie::any_schedule&, std::span<const tweedie::level>)> plan = {};
};

/// A row from a solver.
template <class Solver>
[[nodiscard]] row row_of(std::string name, Solver solver, row declared = {}) {
    declared.name = std::move(name);
    declared.plan = [solver](const tweedie::any_schedule& schedule, std::span<const tweedie::level> levels) {
        return solver.plan(schedule, levels);
    };
    return declared;
}

// One list per family, each in a file of its name.
[[nodiscard]] std::vector<row> exponential_rows();  // DPM-Solver(++), UniPC, RES
[[nodiscard]] std::vector<row> v3_rows();           // DPM-Solver-v3
[[nodiscard]] std::vector<row> one_step_rows();     // Euler, Heun, midpoint, ...
[[nodiscard]] std::vector<row> adams_rows();        // multistep in other variables: LMS, PNDM, DEIS
[[nodiscard]] std::vector<row> ancestral_rows();    // DDPM, ancestral steps, churn, renoising
[[nodiscard]] std::vector<row> sde_rows();          // exponential SDE integrators
[[nodiscard]] std::vector<row> distilled_rows();    // jumps of distilled networks

/// A list under its title on the page.
struct family_rows {
    const char* title;
    std::vector<row> rows;
};

/// The whole table.
[[nodiscard]] inline std::vector<family_rows> all_rows() {
    return {{"One step at a time", one_step_rows()},
            {"Exponential integrators", exponential_rows()},
            {"Exponential integrators with statistics", v3_rows()},
            {"Adams methods in other variables", adams_rows()},
            {"Ancestral steps and renoising", ancestral_rows()},
            {"Exponential integrators of the SDE", sde_rows()},
            {"Jumps of distilled networks", distilled_rows()}};
}

}  // namespace proof
