// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "../digits/picture.hpp"

namespace train_digits {

/// Losses over steps, smoothed, on a logarithmic scale with a line at every power of ten and at twos and
/// fives (faint).
[[nodiscard]] digits::image draw_curve(const std::vector<double>& losses);

}  // namespace train_digits
