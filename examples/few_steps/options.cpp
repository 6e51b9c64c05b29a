// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <cstddef>
#include <string_view>

namespace few_steps {

options read_options(std::span<const char* const> arguments) {
    options asked;
    asked.mixtures = TWEEDIE_EXAMPLE_DATA "/mixtures.json";
    asked.digits = TWEEDIE_EXAMPLE_DATA "/optdigits.bin";
    asked.fashion = "/usr/share/datasets/fashion-mnist";
    for (std::size_t i = 0; i < arguments.size(); ++i) {
        const std::string_view word = arguments[i];
        const std::size_t equals = word.find('=');
        const std::string_view name = word.substr(0, equals);
        const auto value = [&]() -> std::string {
            if (equals != std::string_view::npos) { return std::string(word.substr(equals + 1)); }
            if (i + 1 == arguments.size()) { throw user_error(std::string(name) + " needs a value"); }
            return arguments[++i];
        };
        if (name == "--mixtures") {
            asked.mixtures = value();
        } else if (name == "--digits") {
            asked.digits = value();
        } else if (name == "--fashion") {
            asked.fashion = value();
        } else if (name == "--only") {
            asked.only = value();
        } else if (name == "--out") {
            asked.out = value();
        } else if (word == "--markdown") {
            asked.as = options::text::markdown;
        } else if (word == "--quick") {
            asked.quick = true;
        } else if (word == "--check") {
            asked.check = true;
        } else if (word == "--help") {
            asked.what = options::task::help;
        } else {
            throw user_error("no option " + std::string(word) + "; --help lists them");
        }
    }
    return asked;
}

std::string help() {
    return "few_steps: how close samplers come with 5 to 20 network calls, and with what levels.\n\n"
           "  --mixtures FILE   mixtures, starts and ends, as examples/data/mixtures.json (the default)\n"
           "  --digits FILE     optdigits.bin\n"
           "  --fashion FOLDER  Fashion-MNIST's *-ubyte.gz; left out where they are not there\n"
           "  --only NAME       one of the data sets: Mixtures, Digits, Fashion\n"
           "  --out FILE        the picture: the same seeds by several samplers (out/few_steps.png)\n"
           "  --markdown        the table for a README\n"
           "  --quick           the mixtures only, a part of the table, no picture\n"
           "  --check           return 1 if the table does not show what the library claims\n";
}

}  // namespace few_steps
