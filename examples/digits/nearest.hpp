// SPDX-License-Identifier: MIT
#pragma once

#include "optdigits.hpp"

namespace digits {

/// What the nearest real digits say about sampled ones. Distances are root mean squares over the pixels.
///
/// - `recognised`  sampled digits whose nearest real digit, of all classes, is of their own class: they are
///   legible.
/// - `sampled`     from a sampled digit to the nearest real one of its class, the median; near 0 they would
///   be copies.
/// - `real`        from a real digit to the nearest other one of its class, the median.
struct comparison {
    int recognised = 0;
    double sampled = 0.0;
    double real = 0.0;
};

[[nodiscard]] comparison compare(const std::array<pictures, classes>& sampled, const real_digits& real);

}  // namespace digits
