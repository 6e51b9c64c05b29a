// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace tweedie::optim {

/// A parameter or gradient of 16 bits in memory: the upper half of a `float` (8 bits of exponent, 7 of
/// fraction).
///
/// Arithmetic is done in `float`. Give other libraries' arrays of the same format as `std::span<bfloat16>`.
struct bfloat16 {
    std::uint16_t bits = 0;
    bfloat16() = default;
    /// Rounds to nearest, ties to even; NaN stays NaN.
    explicit bfloat16(float value) {
        const auto word = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t rounded = word + 0x7fffU + ((word >> 16U) & 1U);
        const bool is_nan = (word & 0x7fff'ffffU) > 0x7f80'0000U;
        bits = static_cast<std::uint16_t>((is_nan ? (word | 0x0040'0000U) : rounded) >> 16U);
    }
    explicit operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U); }
    friend bool operator==(const bfloat16&, const bfloat16&) = default;
};

/// A parameter or gradient of 16 bits in memory: IEEE 754 half precision (5 bits of exponent, 10 of
/// fraction).
struct float16 {
    std::uint16_t bits = 0;
    float16() = default;
    /// Rounds to nearest, ties to even; beyond 65504 to infinity; NaN stays NaN.
    explicit float16(float value) {
        const auto word = std::bit_cast<std::uint32_t>(value);
        const std::uint32_t sign = (word >> 16U) & 0x8000U;
        const std::uint32_t size = word & 0x7fff'ffffU;
        // below 2^-14: adding 1/2 leaves the rounded subnormal in the low bits of the sum
        const std::uint32_t small =
            std::bit_cast<std::uint32_t>(std::bit_cast<float>(size) + 0.5F) - 0x3f00'0000U;
        const std::uint32_t normal = (size - 0x3800'0000U + 0xfffU + ((size >> 13U) & 1U)) >> 13U;
        const std::uint32_t large = size > 0x7f80'0000U ? 0x7e00U : 0x7c00U;
        const std::uint32_t finite = size < 0x3880'0000U ? small : normal;
        bits = static_cast<std::uint16_t>(sign | (size >= 0x4780'0000U ? large : finite));
    }
    explicit operator float() const {
        const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000U) << 16U;
        const std::uint32_t size = static_cast<std::uint32_t>(bits & 0x7fffU) << 13U;
        const bool is_special = size >= 0x0f80'0000U;
        const std::uint32_t normal = size + (is_special ? 0x7000'0000U : 0x3800'0000U);
        const std::uint32_t small =
            std::bit_cast<std::uint32_t>(std::bit_cast<float>(size + 0x3880'0000U) - 6.103515625e-05F);
        return std::bit_cast<float>(sign | (size < 0x0080'0000U ? small : normal));
    }
    friend bool operator==(const float16&, const float16&) = default;
};

}  // namespace tweedie::optim
