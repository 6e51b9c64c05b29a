// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <concepts>
#include <cstddef>
#include <span>

namespace tweedie::tune {

/// What single steps cost: `costs(j, k)` of the step from candidate level j straight to level k > j. The cost
/// of a sequence of levels is made of those of its steps, and a chooser of levels looks for the least.
///
/// - `levels()`  the candidates, noisy to clean.
template <class Costs>
concept step_costs = requires(const Costs& costs, std::size_t j, std::size_t k) {
    { costs.levels() } -> std::convertible_to<std::span<const level>>;
    { costs(j, k) } -> std::convertible_to<double>;
};

}  // namespace tweedie::tune
