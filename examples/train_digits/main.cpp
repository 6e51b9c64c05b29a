// SPDX-License-Identifier: MIT
// Trains a denoiser of handwritten digits in plain C++, in about a minute on one core, and samples from it: a
// loss curve, a picture of every digit, and the weights that `digits --model mlp` takes.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "../digits/nearest.hpp"
#include "../digits/options.hpp"
#include "../digits/picture.hpp"
#include "../digits/progress.hpp"
#include "../digits/solvers.hpp"
#include "curve.hpp"
#include "sampling.hpp"
#include "training.hpp"

namespace train_digits {

namespace {

struct options {
    recipe how{};
    double guidance = 1.5;
    int calls = 10;
    int per_class = 20;
    std::filesystem::path data = TWEEDIE_EXAMPLE_DATA;
    std::filesystem::path weights = "out/digits_mlp.bin";
    std::filesystem::path out = "out/train_digits.png";
    std::filesystem::path curve = "out/train_digits_loss.png";
    bool only_help = false;
};

template <class Number>
Number number(std::string_view name, std::string_view text, Number least, Number most) {
    Number value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= least) || !(value <= most)) {
        throw digits::user_error(std::string(name) + " must be a number from " + std::to_string(least) +
                                 " to " + std::to_string(most) + ", not '" + std::string(text) + "'");
    }
    return value;
}

std::string help() {
    return "train_digits: trains a small network to denoise handwritten digits, and samples from it\n"
           "\n"
           "  --optimizer NAME       " +
           digits::listed(optimizer_names()) +
           "; default adamw\n"
           "  --learning-rate RATE   default: one that suits the optimizer\n"
           "  --steps N              default 20000, about a minute\n"
           "  --seed N               of weights and noise; default 7\n"
           "  --guidance W           when sampling; default 1.5\n"
           "  --calls N              of the network, per picture; default 10\n"
           "  --per-class N          pictures of each digit; default 20\n"
           "  --weights FILE         where they go; default out/digits_mlp.bin\n"
           "  --out FILE             the picture; default out/train_digits.png\n"
           "  --curve FILE           the loss curve; default out/train_digits_loss.png\n"
           "  --data PATH            optdigits.bin, or its folder\n"
           "  --help                 this text\n";
}

options read(int count, char** arguments) {
    options out;
    for (int i = 1; i < count; ++i) {
        const std::string_view name = arguments[i];
        if (name == "--help" || name == "-h") {
            out.only_help = true;
            return out;
        }
        if (i + 1 == count) {
            throw digits::user_error(std::string(name) + " needs a value, or is unknown; see --help");
        }
        const std::string_view value = arguments[++i];
        if (name == "--optimizer") {
            const auto names = optimizer_names();
            if (std::find(names.begin(), names.end(), value) == names.end()) {
                throw digits::user_error("--optimizer must be one of " + digits::listed(names));
            }
            out.how.optimizer = value;
        } else if (name == "--learning-rate") {
            out.how.learning_rate = number(name, value, 1e-9, 100.0);
        } else if (name == "--steps") {
            out.how.steps = number(name, value, 1, 1'000'000);
        } else if (name == "--seed") {
            out.how.seed = number(name, value, std::uint64_t{0}, std::uint64_t{18446744073709551615U});
        } else if (name == "--guidance") {
            out.guidance = number(name, value, 0.0, 20.0);
        } else if (name == "--calls") {
            out.calls = number(name, value, 1, 1000);
        } else if (name == "--per-class") {
            out.per_class = number(name, value, 1, 1000);
        } else if (name == "--weights") {
            out.weights = value;
        } else if (name == "--out") {
            out.out = value;
        } else if (name == "--curve") {
            out.curve = value;
        } else if (name == "--data") {
            out.data = value;
        } else {
            throw digits::user_error("unknown option '" + std::string(name) + "'; --help lists them");
        }
    }
    return out;
}

double mean_of_last(const std::vector<double>& losses, std::size_t most) {
    const std::size_t n = std::min(most, losses.size());
    double sum = 0;
    for (std::size_t i = losses.size() - n; i < losses.size(); ++i) { sum += losses[i]; }
    return sum / static_cast<double>(n);
}

void run(const options& asked) {
    const auto real = digits::read_optdigits(asked.data);
    digits::require_writable(asked.out);
    digits::require_writable(asked.curve);
    digits::require_writable(asked.weights);
    std::printf("gradients differ from finite differences by %.1e of the largest\n",
                gradient_error(real, asked.how.seed));

    const auto start = std::chrono::steady_clock::now();
    outcome done = [&] {
        digits::progress bar("training", static_cast<std::size_t>(asked.how.steps));
        return train(real, asked.how, [&](double) { bar.advance(); });
    }();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    save(done.network, asked.weights);
    const trained network = load(asked.weights);  // what anybody will get: weights of 16 bits
    digits::write_png(draw_curve(done.losses), asked.curve);
    std::printf("%zu weights, %d steps of %s in %.1f s, loss %.4f: %s, %s\n", network.net.size(),
                asked.how.steps, asked.how.optimizer.c_str(), seconds, mean_of_last(done.losses, 500),
                asked.weights.string().c_str(), asked.curve.string().c_str());

    const tweedie::plan plan = digits::plan_with_calls("unipc", asked.calls);
    std::array<digits::pictures, digits::classes> sampled;
    for (int digit = 0; digit < digits::classes; ++digit) {
        sampled[static_cast<std::size_t>(digit)] =
            sample(network, digit, asked.per_class, plan, asked.guidance, asked.how.seed);
    }
    digits::write_png(digits::draw_grid(sampled), asked.out);
    const auto seen = digits::compare(sampled, real);
    const int count = digits::classes * asked.per_class;
    std::printf(
        "%d of %d digits (%d network calls, guidance %g) look most like a real digit of their class: %s\n"
        "it is %.3f away, real ones are %.3f apart\n",
        seen.recognised, count, asked.calls, asked.guidance, asked.out.string().c_str(), seen.sampled,
        seen.real);
}

}  // namespace

}  // namespace train_digits

int main(int count, char** arguments) {
    try {
        const auto asked = train_digits::read(count, arguments);
        if (asked.only_help) {
            std::fputs(train_digits::help().c_str(), stdout);
        } else {
            train_digits::run(asked);
        }
        return 0;
    } catch (const digits::user_error& error) {
        std::fprintf(stderr, "train_digits: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "train_digits: %s\n", error.what());
        return 1;
    }
}
