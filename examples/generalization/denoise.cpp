// SPDX-License-Identifier: MIT
// The denoiser of train_digits, trained on three quarters of the digits and judged on the rest.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "../train_digits/training.hpp"
#include "contestants.hpp"
#include "experiments.hpp"

namespace generalization {

void denoise(const digits::real_digits& real, effort how_much) {
    const int steps = how_much == effort::full ? 2000 : 20;
    const int seeds = how_much == effort::full ? 3 : 1;
    digits::real_digits train;
    digits::real_digits test;
    for (std::size_t c = 0; c < digits::classes; ++c) {
        const Eigen::Index n = real[c].cols();
        train[c].resize(digits::pixels, n - n / 4);
        test[c].resize(digits::pixels, n / 4);
        for (Eigen::Index i = 0; i < n; ++i) {
            if (i % 4 == 3) {
                test[c].col(i / 4) = real[c].col(i);
            } else {
                train[c].col(i - i / 4) = real[c].col(i);
            }
        }
    }
    std::printf(
        "(c) The denoiser of train_digits, %d steps of 128 with the recipe of that program, the averaged "
        "weights. Mean and\n"
        "    standard deviation of %d seeds.\n\n    %-10s %20s %20s %20s\n",
        steps, seeds, "", "train loss", "test loss", "test - train");
    for (const contestant& one : contestants(steps)) {
        std::vector<double> on_train;
        std::vector<double> on_test;
        std::vector<double> gaps;
        for (int seed = 0; seed < seeds; ++seed) {
            try {
                const auto done = train_digits::train(
                    train, {.optimizer = one.name, .steps = steps, .seed = static_cast<std::uint64_t>(seed)});
                on_train.push_back(train_digits::denoising_loss(done.network, train));
                on_test.push_back(train_digits::denoising_loss(done.network, test));
                gaps.push_back(on_test.back() - on_train.back());
            } catch (const std::exception& error) {
                std::printf("    %-10s %s\n", one.name.c_str(), error.what());
            }
        }
        if (!gaps.empty()) {
            std::printf("    %-10s %20s %20s %20s\n", one.name.c_str(), spread(on_train, 4).c_str(),
                        spread(on_test, 4).c_str(), spread(gaps, 4).c_str());
        }
    }
    std::printf("\n");
}

}  // namespace generalization
