// SPDX-License-Identifier: MIT
#pragma once

// The noise levels of a recorded case of diffusers, made by our schedules and grids from its class and
// configuration alone, as its peer made them.

#include <tweedie/schedule/concept.hpp>

#include <string>
#include <vector>

#include "recorded.hpp"

namespace parity {

/// What our grids made of a configuration.
///
/// - `levels`  from the start to the target of the last step; each level of a two-call method once. Empty
///             where `note` says why there are none.
/// - `error`   largest relative difference of sigma / alpha to the levels of the record.
/// - `note`    by what rule they are compared, if the peer's levels are no plain grid.
struct made_levels {
    std::vector<tweedie::level> levels;
    double error = 0.0;
    std::string note = {};
};

/// The levels of a case, and how far they are from its record. Cases that start in the middle are compared
/// from there on.
[[nodiscard]] made_levels make_levels(const recorded_case& r);

/// The same for the runs of the official repositories.
[[nodiscard]] made_levels make_official_levels(const recorded_case& r);

}  // namespace parity
