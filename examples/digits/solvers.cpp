// SPDX-License-Identifier: MIT
#include "solvers.hpp"

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>

#include <stdexcept>

namespace digits {

namespace {

using tweedie::grid::final_level;
using levels = std::vector<tweedie::level>;

struct entry {
    const char* name;
    tweedie::plan (*write)(const levels&);
};

constexpr entry solvers[] = {
    {"euler", [](const levels& l) { return tweedie::solver::euler{}.plan(schedule(), l); }},
    {"heun", [](const levels& l) { return tweedie::solver::heun{}.plan(schedule(), l); }},
    {"ddim", [](const levels& l) { return tweedie::solver::ddim{}.plan(schedule(), l); }},
    {"dpm_solver", [](const levels& l) { return tweedie::solver::dpm_solver{}.plan(schedule(), l); }},
    {"unipc2", [](const levels& l) { return tweedie::solver::unipc{.order = 2}.plan(schedule(), l); }},
    {"unipc", [](const levels& l) { return tweedie::solver::unipc{.order = 3}.plan(schedule(), l); }},
};

// Noise levels that fall by a constant factor; for Heun's method those of its paper, which suit it far
// better.
tweedie::plan write(const std::string& solver, int steps, final_level last) {
    for (const entry& e : solvers) {
        if (solver != e.name) { continue; }
        return e.write(solver == "heun" ? tweedie::grid::karras(schedule(), steps, {.last = last})
                                        : tweedie::grid::log_snr(schedule(), steps, {.last = last}));
    }
    throw std::invalid_argument("solvers: there is no " + solver);
}

}  // namespace

const tweedie::schedule::edm& schedule() {
    static const tweedie::schedule::edm edm({.sigma_min = 0.005, .sigma_max = 20.0});
    return edm;
}

std::vector<std::string> solver_names() {
    std::vector<std::string> names;
    for (const entry& e : solvers) { names.emplace_back(e.name); }
    return names;
}

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (const std::string& name : names) { text += (text.empty() ? "" : ", ") + name; }
    return text;
}

tweedie::plan plan_with_steps(const std::string& solver, int steps) {
    return write(solver, steps, final_level::zero);
}

tweedie::plan plan_with_calls(const std::string& solver, int calls) {
    if (solver != "heun") { return plan_with_steps(solver, calls); }
    if (calls % 2 == 1) { return plan_with_steps(solver, (calls + 1) / 2); }
    return write(solver, calls / 2, final_level::sigma_min);
}

}  // namespace digits
