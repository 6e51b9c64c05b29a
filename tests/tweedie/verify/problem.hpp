// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>
#include <tweedie/random/noise.hpp>

#include <Eigen/Dense>
#include <support/catch.hpp>
#include <support/golden_mixture.hpp>
#include <support/normals.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

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
