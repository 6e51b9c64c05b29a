// SPDX-License-Identifier: MIT
// Handwritten digits in ten network calls: a picture to judge them by, and what every solver gets wrong, in
// numbers. The network is the exact denoiser of mixtures fitted to real digits, or one that
// examples/train_digits trained (`--model mlp`). `cmake -P cmake/demo.cmake`
// builds and runs it.
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>

#include "../train_digits/network.hpp"
#include "../train_digits/sampling.hpp"
#include "error_table.hpp"
#include "nearest.hpp"
#include "options.hpp"
#include "picture.hpp"
#include "progress.hpp"
#include "sampling.hpp"
#include "solvers.hpp"

namespace digits {

namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point start) {
    return std::chrono::duration<double>(clock::now() - start).count();
}

std::array<pictures, classes> sample_all(const digit_laws& laws, const tweedie::plan& plan,
                                         const options& asked) {
    progress bar("sampling", (plan.levels.size() - 1) * classes);  // steps
    std::array<pictures, classes> sampled;
    for (int digit = 0; digit < classes; ++digit) {
        sampled[static_cast<std::size_t>(digit)] =
            laws.sample(digit, asked.per_class, plan, asked.seed, [&](const auto&) { bar.advance(); });
    }
    return sampled;
}

/// The same by the network that examples/train_digits trained.
std::array<pictures, classes> sample_all(const train_digits::trained& network, const tweedie::plan& plan,
                                         const options& asked) {
    progress bar("sampling", classes);
    std::array<pictures, classes> sampled;
    for (int digit = 0; digit < classes; ++digit) {
        sampled[static_cast<std::size_t>(digit)] =
            train_digits::sample(network, digit, asked.per_class, plan, asked.guidance, asked.seed);
        bar.advance();
    }
    return sampled;
}

void run(const options& asked) {
    const clock::time_point start = clock::now();
    const real_digits real = read_optdigits(asked.data);
    require_writable(asked.out);
    const digit_laws laws(real);

    const clock::time_point before = clock::now();
    const tweedie::plan plan = plan_with_steps(asked.solver, asked.steps);
    const bool learned = asked.model == options::model_kind::mlp;
    const std::array<pictures, classes> sampled =
        learned ? sample_all(train_digits::load(TWEEDIE_EXAMPLE_DATA "/../train_digits/digits_mlp.bin"), plan,
                             asked)
                : sample_all(laws, plan, asked);
    const double seconds = seconds_since(before);
    write_png(draw_grid(sampled), asked.out);

    const int count = classes * asked.per_class;
    const comparison seen = compare(sampled, real);
    std::printf("%d digits from %s by %s, %zu network calls each, %.2f s: %s\n", count,
                learned ? "a trained network" : "an exact mixture", plan.solver.c_str(), plan.calls.size(),
                seconds, asked.out.string().c_str());
    std::printf(
        "%d of %d look most like a real digit of their class; it is %.3f away, real ones are %.3f apart.\n\n",
        seen.recognised, count, seen.sampled, seen.real);

    if (learned) { return; }  // its exact flow is not known
    std::printf("%s\n", error_table(laws, asked.seed).c_str());
    std::printf(
        "How far digits end from where the exact probability flow takes the same noise: root mean square "
        "over\n"
        "the pixels (paper -1, ink 1), median over digits of all classes. %.1f s in all.\n",
        seconds_since(start));
}

}  // namespace

}  // namespace digits

int main(int count, char** arguments) {
    try {
        const digits::options asked =
            digits::read_options({arguments + 1, static_cast<std::size_t>(count > 1 ? count - 1 : 0)});
        if (asked.what == digits::options::task::help) {
            std::fputs(digits::help().c_str(), stdout);
        } else {
            digits::run(asked);
        }
        return 0;
    } catch (const digits::user_error& error) {
        std::fprintf(stderr, "digits: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "digits: %s\n", error.what());
        return 1;
    }
}
