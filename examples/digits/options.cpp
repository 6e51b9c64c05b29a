// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdio>
#include <string_view>
#include <system_error>

#include "solvers.hpp"

namespace digits {

namespace {

// The whole text must be a number of the range.
template <class Integer>
Integer read_integer(std::string_view name, std::string_view text, Integer least, Integer most) {
    Integer value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value < least || value > most) {
        throw user_error(std::string(name) + " must be a whole number from " + std::to_string(least) +
                         " to " + std::to_string(most) + ", not '" + std::string(text) + "'");
    }
    return value;
}

double read_number(std::string_view name, std::string_view text, double least, double most) {
    double value = 0.0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || !(value >= least && value <= most)) {
        char range[64];
        std::snprintf(range, sizeof range, " must be a number from %g to %g, not '", least, most);
        throw user_error(std::string(name) + range + std::string(text) + "'");
    }
    return value;
}

void set(options& to, std::string_view name, std::string_view value) {
    if (name == "--solver") {
        const std::vector<std::string> names = solver_names();
        if (std::find(names.begin(), names.end(), value) == names.end()) {
            throw user_error("--solver must be one of " + listed(names) + ", not '" + std::string(value) +
                             "'");
        }
        to.solver = value;
    } else if (name == "--steps") {
        to.steps = read_integer(name, value, 1, max_steps);
    } else if (name == "--seed") {
        to.seed = read_integer(name, value, std::uint64_t{0}, std::uint64_t{18446744073709551615u});
    } else if (name == "--per-class") {
        to.per_class = read_integer(name, value, 1, max_per_class);
    } else if (name == "--model") {
        if (value != "mixture" && value != "mlp") {
            throw user_error("--model must be mixture or mlp, not '" + std::string(value) + "'");
        }
        to.model = value == "mlp" ? options::model_kind::mlp : options::model_kind::mixture;
    } else if (name == "--guidance") {
        to.guidance = read_number(name, value, 0.0, max_guidance);
    } else if (name == "--out") {
        to.out = value;
    } else if (name == "--data") {
        to.data = value;
    }
}

}  // namespace

options read_options(std::span<const char* const> arguments) {
    constexpr std::string_view known[] = {"--solver",   "--steps",     "--seed", "--model",
                                          "--guidance", "--per-class", "--out",  "--data"};
    options read;
    read.data = TWEEDIE_EXAMPLE_DATA;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view argument = arguments[i];
        if (argument == "--help" || argument == "-h") {
            read.what = options::task::help;
            return read;
        }
        const std::size_t equals = argument.find('=');
        const std::string_view name = argument.substr(0, equals);
        if (std::find(std::begin(known), std::end(known), name) == std::end(known)) {
            throw user_error("unknown option '" + std::string(argument) + "'; --help lists them");
        }
        if (equals == std::string_view::npos && i + 1 == arguments.size()) {
            throw user_error(std::string(name) + " needs a value");
        }
        const std::string_view value =
            equals == std::string_view::npos ? std::string_view(arguments[++i]) : argument.substr(equals + 1);
        if (value.empty()) { throw user_error(std::string(name) + " needs a value"); }
        set(read, name, value);
    }
    return read;
}

std::string help() {
    return "digits: samples handwritten digits and measures solvers\n"
           "\n"
           "  --solver NAME    " +
           listed(solver_names()) +
           "; default unipc\n"
           "  --steps N        steps of the solver, 1 to " +
           std::to_string(max_steps) +
           "; default 10 (one network call each; heun: two, the last step one)\n"
           "  --seed N         of the noise; default 7\n"
           "  --model NAME     mixture: the exact denoiser of mixtures fitted to real digits; mlp: a network "
           "trained by\n"
           "                   examples/train_digits; default mixture\n"
           "  --guidance W     of the mlp, 0 to 20; default 1.5; 1 is none\n"
           "  --per-class N    pictures of each digit, 1 to " +
           std::to_string(max_per_class) +
           "; default 8; more leave the first ones as they are\n"
           "  --out FILE       the picture; default out/digits.png\n"
           "  --data PATH      optdigits.bin, or the folder it is in; default " +
           std::string(TWEEDIE_EXAMPLE_DATA) +
           "\n"
           "  --help           this text\n";
}

}  // namespace digits
