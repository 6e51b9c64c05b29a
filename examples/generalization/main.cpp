// SPDX-License-Identifier: MIT
// Does DualAdam generalise better? Its paper's claim, measured at our scale: leaving a sharp minimum, digit
// classification, a denoiser; same budget for every optimizer, several seeds, mean and spread. Also the
// prediction that k-Diff learns. `generalization --quick` runs everything with a hundredth of the work.
#include <cstdio>
#include <exception>
#include <string_view>

#include "experiments.hpp"

int main(int count, char** arguments) {
    using namespace generalization;
    try {
        effort how_much = effort::full;
        for (int i = 1; i < count; ++i) {
            if (std::string_view(arguments[i]) != "--quick") {
                std::fputs("generalization: measures optimizers; --quick for a hundredth of the work\n",
                           stderr);
                return 2;
            }
            how_much = effort::quick;
        }
        const auto real = digits::read_optdigits(TWEEDIE_EXAMPLE_DATA);
        escape(how_much);
        classify(real, how_much);
        denoise(real, how_much);
        learned_k(how_much);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "generalization: %s\n", error.what());
        return 1;
    }
}
