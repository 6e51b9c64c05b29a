// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "../digits/picture.hpp"

namespace outline_first {

/// How much of a principal direction's variance x0_hat has, along a sampling.
struct curve {
    int direction = 1;  ///< 1: the one of the largest variance
    std::vector<double> sigma;
    std::vector<double> theory;
    std::vector<double> measured;
};

/// The picture with a plot below it: shares over sigma, the axis under the columns of the picture.
/// - `columns`  sigma of each column of digits, falling geometrically.
/// - `curves`   theory a line, measured a line of dots, the number of the direction beside it.
[[nodiscard]] digits::image with_plot(const digits::image& above, const std::vector<double>& columns,
                                      const std::vector<curve>& curves);

}  // namespace outline_first
