// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "optdigits.hpp"

namespace digits {

/// A grey picture, row by row, 0 black to 255 white.
struct image {
    int width = 0;
    int height = 0;
    std::vector<std::uint8_t> grey;
};

/// A row of cells per class; each digit enlarged smoothly from 8 x 8 to 64 x 64, dark on light.
[[nodiscard]] image draw_grid(const std::array<pictures, classes>& rows);

/// Throws now what `write_png` would throw later; makes the folder of `file`.
void require_writable(const std::filesystem::path& file);

/// - errors  `user_error`: the file cannot be written.
void write_png(const image& drawn, const std::filesystem::path& file);

}  // namespace digits
