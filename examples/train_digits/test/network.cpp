// SPDX-License-Identifier: MIT
// The network's gradients are right, and the network in this folder draws legible digits.
#include "../network.hpp"

#include <array>
#include <cstdio>
#include <exception>
#include <filesystem>

#include "../../digits/nearest.hpp"
#include "../../digits/solvers.hpp"
#include "../sampling.hpp"
#include "../training.hpp"

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    std::printf("%s: %s\n", holds ? "ok" : "FAILED", what);
    failures += holds ? 0 : 1;
}

void run() {
    using namespace train_digits;
    const auto real = digits::read_optdigits(TWEEDIE_EXAMPLE_DATA);
    check(gradient_error(real, 1) < 1e-8, "gradients agree with central differences");

    const std::filesystem::path file = TWEEDIE_EXAMPLE_DATA "/../train_digits/digits_mlp.bin";
    check(std::filesystem::file_size(file) <= 200 * 1024, "the network takes at most 200 KB");
    const trained network = load(file);
    const std::filesystem::path copy = std::filesystem::temp_directory_path() / "tweedie_digits_mlp.bin";
    save(network, copy);
    check(load(copy).net.weights == network.net.weights, "a saved network is loaded as it was");
    std::filesystem::remove(copy);

    const tweedie::plan plan = digits::plan_with_calls("unipc", 10);
    std::array<digits::pictures, digits::classes> sampled;
    for (int digit = 0; digit < digits::classes; ++digit) {
        sampled[static_cast<std::size_t>(digit)] = sample(network, digit, 40, plan, 1.5, 11);
    }
    const auto seen = digits::compare(sampled, real);
    std::printf("%d of 400 recognised, %.3f from the nearest real one\n", seen.recognised, seen.sampled);
    check(seen.recognised >= 380, "95 % of the digits of 10 network calls look most like their class");
    check(seen.sampled < 1.5 * seen.real && seen.sampled > 0.5 * seen.real,
          "they are near real ones, but no copies");

    recipe how{.optimizer = "dual_adam", .steps = 60};
    const outcome a = train(real, how);
    const outcome b = train(real, how);
    check(a.losses == b.losses && a.network.net.weights == b.network.net.weights,
          "training is repeatable to the bit");
    how = {.optimizer = "adamw", .steps = 300};
    const outcome c = train(real, how);
    check(c.losses.back() < 0.75 * c.losses.front(), "the loss falls");
}

}  // namespace

int main() {
    try {
        run();
    } catch (const std::exception& error) {
        std::printf("FAILED: %s\n", error.what());
        return 1;
    }
    return failures == 0 ? 0 : 1;
}
