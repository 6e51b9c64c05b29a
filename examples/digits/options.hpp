// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>

namespace digits {

/// What the command line asks for.
struct options {
    std::string solver = "unipc";                                        ///< see `solver_names`
    int steps = 10;                                                      ///< of the solver; 1 to `max_steps`
    std::uint64_t seed = 7;                                              ///< of the noise
    enum class model_kind { mixture, mlp } model = model_kind::mixture;  ///< what denoises
    double guidance = 1.5;                                               ///< of the mlp; 1 is none
    int per_class = 8;                             ///< pictures of each digit; 1 to `max_per_class`
    std::filesystem::path out = "out/digits.png";  ///< where the picture goes
    std::filesystem::path data;                    ///< optdigits.bin, or the folder it is in
    enum class task { run, help } what = task::run;
};

inline constexpr int max_steps = 1000;
inline constexpr int max_per_class = 100;
inline constexpr double max_guidance = 20.0;

/// Something the user can put right: one line for stderr, exit code 2.
struct user_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Reads `--name value` and `--name=value`.
/// - errors  `user_error`: an option or a value that is not known.
[[nodiscard]] options read_options(std::span<const char* const> arguments);

/// The text of `--help`.
[[nodiscard]] std::string help();

}  // namespace digits
