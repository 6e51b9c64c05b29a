// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstdint>

namespace tweedie::detail {

/// What a fit draws numbers for.
enum class fit_draw : std::uint32_t {
    directions,  ///< that the randomized eigensolver starts from
    centres,     ///< that k-means++ chooses
};

/// The Philox counter of the first four numbers of an item. No `noise` of the same seed has it: of the four
/// kinds of draws that its counter has room for, it uses three.
[[nodiscard]] constexpr std::array<std::uint32_t, 4> fit_counter(fit_draw what, std::uint64_t item) {
    return {0, std::uint32_t{3} << 30 | static_cast<std::uint32_t>(what), static_cast<std::uint32_t>(item),
            static_cast<std::uint32_t>(item >> 32)};
}

[[nodiscard]] constexpr std::array<std::uint32_t, 2> fit_key(std::uint64_t seed) {
    return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
}

}  // namespace tweedie::detail
