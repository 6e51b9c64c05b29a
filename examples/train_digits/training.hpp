// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "../digits/optdigits.hpp"
#include "network.hpp"

namespace train_digits {

/// The optimizers that `--optimizer` knows.
[[nodiscard]] std::vector<std::string> optimizer_names();

/// What it takes to train a denoiser.
struct recipe {
    std::string optimizer = "adamw";
    double learning_rate = 0;  ///< 0: one that suits the optimizer
    int steps = 20000;
    int batch = 128;
    double dropped_labels = 0.1;  ///< part of the pictures that are shown without their class
    double sigma_rel = 0.1;       ///< width of the average of the weights, as a part of the training
    std::uint64_t seed = 7;
};

/// The largest gradient element's distance from a central difference, relative to the largest gradient
/// element, for a small batch in double.
[[nodiscard]] double gradient_error(const digits::real_digits& real, std::uint64_t seed);

struct outcome {
    trained network;             ///< the averaged weights
    std::vector<double> losses;  ///< one per step
};

/// Trains a network on all real digits.
/// - watch   called after every step with its loss.
/// - errors  `std::runtime_error` if the training diverges.
[[nodiscard]] outcome train(const digits::real_digits& real, const recipe& how,
                            const std::function<void(double)>& watch = {});

/// The mean loss over all pictures of `on`, with their labels and eight fixed draws of noise each.
[[nodiscard]] double denoising_loss(const trained& of, const digits::real_digits& on);

}  // namespace train_digits
