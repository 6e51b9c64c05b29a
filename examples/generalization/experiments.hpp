// SPDX-License-Identifier: MIT
#pragma once

#include "../digits/optdigits.hpp"

namespace generalization {

/// Each prints its table. `quick`: a hundredth of the work, to see that everything runs.
enum class effort { quick, full };

void escape(effort how_much);
void classify(const digits::real_digits& real, effort how_much);
void denoise(const digits::real_digits& real, effort how_much);
void learned_k(effort how_much);

}  // namespace generalization
