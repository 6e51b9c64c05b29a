// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/random/noise.hpp>

#include <Eigen/Core>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A matrix of standard normal numbers, the same on every machine.
inline Eigen::MatrixXd normals(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
    Eigen::MatrixXd out(rows, columns);
    const std::span<double> all(out.data(), static_cast<std::size_t>(out.size()));
    tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, 0)(0, 0, all);
    return out;
}
