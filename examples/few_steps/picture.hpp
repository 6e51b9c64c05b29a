// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <vector>

#include "table.hpp"

namespace few_steps {

/// The strips of one data set: samples of `side` x `side` pixels, -1 to 1.
struct panel {
    std::vector<strip> strips;
    int side = 0;
    bool dark_on_light = false;  ///< 1 is ink
};

/// Columns of samples, one per strip, the same seed in each row; the panels beside each other.
/// - errors  `user_error`: the file cannot be written.
void write_picture(const std::vector<panel>& panels, const std::filesystem::path& file);

}  // namespace few_steps
