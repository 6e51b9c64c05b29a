// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>
#include <tweedie/random/noise.hpp>

#include <Eigen/Dense>
#include <support/catch.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A matrix of standard normal numbers, the same on every machine.
inline Eigen::MatrixXd normals(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
    Eigen::MatrixXd out(rows, columns);
    const std::span<double> all(out.data(), static_cast<std::size_t>(out.size()));
    tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, 0)(0, 0, all);
    return out;
}

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

/// A list of points as a matrix, one per column.
inline Eigen::MatrixXd as_columns(const nlohmann::json& points) {
    Eigen::MatrixXd out(static_cast<Eigen::Index>(points[0].size()),
                        static_cast<Eigen::Index>(points.size()));
    for (std::size_t j = 0; j < points.size(); ++j) {
        for (std::size_t i = 0; i < points[j].size(); ++i) {
            out(static_cast<Eigen::Index>(i), static_cast<Eigen::Index>(j)) = points[j][i];
        }
    }
    return out;
}
