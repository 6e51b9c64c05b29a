// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <array>
#include <filesystem>

namespace digits {

inline constexpr int classes = 10;
inline constexpr int side = 8;              ///< pixels in a row, and rows
inline constexpr int pixels = side * side;  ///< row by row

/// Pictures, one per column, -1 (paper) to 1 (ink).
using pictures = Eigen::MatrixXd;

/// The real digits of each class.
using real_digits = std::array<pictures, classes>;

/// Reads optdigits.bin (see examples/data/README.md).
/// - path    the file, or the folder it is in.
/// - errors  `user_error`: no such file, or other contents.
[[nodiscard]] real_digits read_optdigits(const std::filesystem::path& path);

}  // namespace digits
