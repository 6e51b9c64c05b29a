// SPDX-License-Identifier: MIT
#pragma once

namespace tweedie::solver {

/// What a multistep method does before it has its history.
enum class start {
    multistep,    ///< its own lower orders: no extra network call, but they cap the order at about 2
    single_step,  ///< single-step methods just accurate enough to keep the order; their calls are counted
};

}  // namespace tweedie::solver
