// SPDX-License-Identifier: MIT

// Methods without memory of earlier steps: one step at a time in native time or along the noise prediction, and
// distilled networks' jumps.

#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/fireflow.hpp>
#include <tweedie/solver/flow_map.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/lcm.hpp>
#include <tweedie/solver/midpoint.hpp>
#include <tweedie/solver/tcd.hpp>

#include "table.hpp"

namespace proof {

std::vector<row> one_step_rows() {
    namespace s = tweedie::solver;
    const row first{.order = 1.0};
    const row second{.order = 2.0};
    const row first_native{.order = 1.0, .steep = true};
    const row second_native{.order = 2.0, .steep = true};
    return {row_of("euler", s::euler{}, first_native), row_of("ddim", s::ddim{}, first),
            row_of("heun", s::heun{}, second_native), row_of("midpoint", s::midpoint{}, second_native),
            row_of("fireflow", s::fireflow{}, second_native), row_of("dpm2", s::dpm2{}, second),
            // distilled networks: with an ordinary denoiser only the jumps without fresh noise converge
            row_of("flow_map", s::flow_map{}, first), row_of("flow_map eta 0.5", s::flow_map{.eta = 0.5}),
            row_of("tcd eta 0", s::tcd{.eta = 0.0}, first), row_of("tcd", s::tcd{}),
            row_of("tcd eta 1", s::tcd{.eta = 1.0}), row_of("consistency", s::consistency{}),
            row_of("lcm", s::lcm{})};
}

}  // namespace proof
