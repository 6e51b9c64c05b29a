// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cmath>
#include <cstddef>

namespace tweedie::detail {

// Gauss-Legendre quadrature of 8 points on equal panels no longer than `panel`: `visit(place, weight)` for
// each point from `from` to `to`; the weights sum to `to - from`, whichever way it goes.
template <class Visit>
void gauss_legendre(double from, double to, double panel, const Visit& visit) {
    constexpr std::array<double, 4> node = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267,
                                            0.9602898564975363};
    constexpr std::array<double, 4> weight = {0.3626837833783620, 0.3137066458778873, 0.2223810344533745,
                                              0.1012285362903763};
    const double panels = std::ceil(std::abs(to - from) / panel);
    const double half = (to - from) / panels / 2.0;
    for (double k = 0.0; k < panels; k += 1.0) {
        for (std::size_t i = 0; i < node.size(); ++i) {
            for (const double sign : {-1.0, 1.0}) {
                visit(from + half * (2.0 * k + 1.0 + sign * node[i]), half * weight[i]);
            }
        }
    }
}

}  // namespace tweedie::detail
