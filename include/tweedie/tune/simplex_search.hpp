// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// A place and what was found there.
struct found_place {
    Eigen::VectorXd at;
    double value = 0.0;
};

/// The least value found by Nelder and Mead's downhill simplex, with the coefficients of Gao and Han 2012
/// (Implementing the Nelder-Mead simplex algorithm with adaptive parameters) for the number of dimensions.
///
/// - `value`     the function; may be huge where it means nothing, never NaN.
/// - `start`     where to begin; at least one dimension.
/// - `reach`     the first simplex: this far along every axis.
/// - `most`      evaluations at most, but for those of the first simplex and of the last round.
template <class Value>
[[nodiscard]] found_place simplex_search(const Value& value, const Eigen::VectorXd& start, double reach,
                                         std::size_t most) {
    const auto n = static_cast<std::size_t>(start.size());
    const auto dimensions = static_cast<double>(std::max<std::size_t>(2, n));
    const double expand = 1.0 + 2.0 / dimensions;
    const double contract = 0.75 - 0.5 / dimensions;
    const double shrink = 1.0 - 1.0 / dimensions;

    std::size_t evaluations = 0;
    const auto look = [&](Eigen::VectorXd at) {
        ++evaluations;
        const double there = value(at);
        return found_place{std::move(at), there};
    };
    const auto better = [](const found_place& a, const found_place& b) { return a.value < b.value; };
    std::vector<found_place> simplex = {look(start)};
    for (std::size_t k = 0; k < n; ++k) {
        Eigen::VectorXd corner = start;
        corner(static_cast<Eigen::Index>(k)) += reach;
        simplex.push_back(look(std::move(corner)));
    }
    while (evaluations < most) {
        std::ranges::stable_sort(simplex, better);
        Eigen::VectorXd centre = Eigen::VectorXd::Zero(start.size());
        for (std::size_t k = 0; k < n; ++k) { centre += simplex[k].at / static_cast<double>(n); }
        found_place& worst = simplex.back();
        const Eigen::VectorXd away = centre - worst.at;
        found_place mirrored = look(centre + away);
        if (better(mirrored, simplex.front())) {
            found_place farther = look(centre + expand * away);
            worst = better(farther, mirrored) ? std::move(farther) : std::move(mirrored);
        } else if (better(mirrored, simplex[n - 1])) {
            worst = std::move(mirrored);
        } else {
            const bool outside = better(mirrored, worst);
            found_place nearer = look(centre + (outside ? contract : -contract) * away);
            if (better(nearer, outside ? mirrored : worst)) {
                worst = std::move(nearer);
            } else {
                for (std::size_t k = 1; k <= n; ++k) {
                    const Eigen::VectorXd to_best = simplex[0].at - simplex[k].at;
                    simplex[k] = look(simplex[k].at + (1.0 - shrink) * to_best);
                }
            }
        }
    }
    return *std::ranges::min_element(simplex, better);
}

}  // namespace tweedie::detail
