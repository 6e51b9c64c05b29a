// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>

#include <array>
#include <cstdint>

#include "../digits/optdigits.hpp"
#include "network.hpp"

namespace train_digits {

/// `count` pictures of one class from a trained network, by any plan. Picture i depends on `digit`, `seed`
/// and i alone.
///
/// - guidance  1: the class as it was learned; larger: x0_any + guidance (x0_class - x0_any).
[[nodiscard]] digits::pictures sample(const trained& from, int digit, int count, const tweedie::plan& plan,
                                      double guidance, std::uint64_t seed);

}  // namespace train_digits
