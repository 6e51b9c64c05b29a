// SPDX-License-Identifier: MIT

// Jumps of distilled networks. With the exact denoiser of this page, which is no distilled network, only
// the jumps without fresh noise converge.

#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/flow_map.hpp>
#include <tweedie/solver/lcm.hpp>
#include <tweedie/solver/tcd.hpp>

#include "table.hpp"

namespace proof {

std::vector<row> distilled_rows() {
    namespace s = tweedie::solver;
    const row first{.order = 1.0};
    return {row_of("flow_map", s::flow_map{}, first),
            row_of("flow_map eta 0.5", s::flow_map{.eta = 0.5}),
            row_of("tcd eta 0", s::tcd{.eta = 0.0}, first),
            row_of("tcd", s::tcd{}),
            row_of("tcd eta 1", s::tcd{.eta = 1.0}),
            row_of("consistency", s::consistency{}),
            row_of("lcm", s::lcm{})};
}

}  // namespace proof
