// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "sampling.hpp"

namespace digits {

/// Errors of every solver at 5, 10, 20 and 40 network calls, as text to print.
///
/// The error of a picture is the root mean square, over its pixels, of the difference to where the exact flow
/// takes the same noise; an entry is the median over pictures of all classes. Paper is -1 and ink is 1.
[[nodiscard]] std::string error_table(const digit_laws& laws, std::uint64_t seed);

}  // namespace digits
