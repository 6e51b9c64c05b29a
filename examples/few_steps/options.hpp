// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>

namespace few_steps {

/// What the command line asks for.
struct options {
    std::filesystem::path mixtures;                   ///< a file as examples/data/mixtures.json
    std::filesystem::path digits;                     ///< optdigits.bin
    std::filesystem::path fashion;                    ///< the folder of Fashion-MNIST's .gz files
    std::filesystem::path out = "out/few_steps.png";  ///< where the picture goes
    std::string only;                                 ///< the first letters of a data set; empty: all
    enum class text { aligned, markdown } as = text::aligned;
    bool quick = false;  ///< the mixtures only, few numbers of calls and no picture
    bool check = false;  ///< fail if the table does not show what the library claims
    enum class task { run, help } what = task::run;
};

/// Something the user can put right: one line for stderr, exit code 2.
struct user_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// - errors  `user_error`: an option that is not known, or without its value.
[[nodiscard]] options read_options(std::span<const char* const> arguments);

/// The text of `--help`.
[[nodiscard]] std::string help();

}  // namespace few_steps
