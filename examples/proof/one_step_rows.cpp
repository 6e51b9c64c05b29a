// SPDX-License-Identifier: MIT

// Methods without a history of network calls: in native time or along the noise prediction.

#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/fireflow.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/midpoint.hpp>

#include "table.hpp"

namespace proof {

std::vector<row> one_step_rows() {
    namespace s = tweedie::solver;
    const row first{.order = 1.0};
    const row second{.order = 2.0};
    const row first_native{.order = 1.0, .steep = true};
    const row second_native{.order = 2.0, .steep = true};
    return {
        row_of("euler", s::euler{}, first_native),        row_of("ddim", s::ddim{}, first),
        row_of("heun", s::heun{}, second_native),         row_of("midpoint", s::midpoint{}, second_native),
        row_of("fireflow", s::fireflow{}, second_native), row_of("dpm2", s::dpm2{}, second)};
}

}  // namespace proof
