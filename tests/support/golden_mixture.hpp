// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>

#include <Eigen/Core>
#include <support/reference.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

/// The two-dimensional mixture of `core_golden.json`.
inline tweedie::analytic::mixture golden_mixture() {
    using tweedie::analytic::gaussian;
    const auto problem = reference("core_golden.json")["problem"];
    std::vector<double> weights;
    std::vector<gaussian> components;
    for (std::size_t c = 0; c < 3; ++c) {
        const double angle = problem["angles"][c];
        Eigen::Matrix2d turn;
        turn << std::cos(angle), -std::sin(angle), std::sin(angle), std::cos(angle);
        const Eigen::Vector2d l(problem["lambdas"][c][0].get<double>(),
                                problem["lambdas"][c][1].get<double>());
        const Eigen::Vector2d mu(problem["mus"][c][0].get<double>(), problem["mus"][c][1].get<double>());
        weights.push_back(problem["weights"][c]);
        components.push_back(gaussian::low_rank(mu, turn, l));
    }
    return {weights, components};
}
