// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "../proof/mixtures.hpp"

namespace few_steps {

/// Data with an exact denoiser, starts and exact ends; several where the table is their geometric mean.
struct data_set {
    std::string name;
    std::string what;  ///< in a sentence
    std::vector<proof::problem> problems;
    int side = 0;  ///< pixels in a row and rows of a sample; 0: no picture
};

[[nodiscard]] data_set read_mixtures(const std::filesystem::path& file);

/// A mixture fitted to the real digits.
[[nodiscard]] data_set fit_digits(const std::filesystem::path& file);

/// One Gaussian for each class of Fashion-MNIST.
/// - folder   with `train-images-idx3-ubyte.gz` and `train-labels-idx1-ubyte.gz`.
/// - returns  no problem, and in `what` why, where they or zlib are not there.
[[nodiscard]] data_set fit_fashion(const std::filesystem::path& folder);

}  // namespace few_steps
