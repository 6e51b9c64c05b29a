// SPDX-License-Identifier: MIT
#pragma once

#include <charconv>
#include <string>

namespace tweedie::detail {

/// The shortest text that reads back to the same double.
[[nodiscard]] inline std::string shortest(double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    return {digits, end.ptr};
}

}  // namespace tweedie::detail
