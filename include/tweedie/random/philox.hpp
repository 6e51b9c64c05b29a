// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/random_paths.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tweedie {

using philox_counter = std::array<std::uint32_t, 4>;
using philox_key = std::array<std::uint32_t, 2>;

/// Four random words from a counter and a key: Philox4x32-10.
///
///     repeat 10 times:  (x0, x1, x2, x3) = (hi(M1 x2) ^ x1 ^ k0, lo(M1 x2), hi(M0 x0) ^ x3 ^ k1, lo(M0 x0))
///                       (k0, k1) += (W0, W1)
///
/// Source: Salmon, Moraes, Dror, Shaw 2011, Parallel random numbers: as easy as 1, 2, 3.
/// Deviation: none; the known answers of their library Random123 are tests.
/// - random  a bijection of the counter for each key: different counters never give the same four words.
/// - choose  when another layout of counters is needed; `noise` already has one.
[[nodiscard]] constexpr philox_counter philox4x32(philox_counter counter, philox_key key) {
    for (int round = 0; round < 10; ++round) {
        const std::uint64_t p0 = std::uint64_t{0xD2511F53} * counter[0];
        const std::uint64_t p1 = std::uint64_t{0xCD9E8D57} * counter[2];
        counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
                   static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1],
                   static_cast<std::uint32_t>(p0)};
        key[0] += 0x9E3779B9;
        key[1] += 0xBB67AE85;
    }
    return counter;
}

/// The words of consecutive counters.
///
///     out[4 i .. 4 i + 3] = philox4x32({first[0] + i, first[1], first[2], first[3]}, key)
///
/// - first[0] + i  counts modulo 2^32 and carries nothing into first[1].
/// - out           any length; a last block that does not fit is cut off.
/// - cost          vectorized; no allocation.
inline void fill_philox4x32(const philox_counter& first, const philox_key& key,
                            std::span<std::uint32_t> out) {
    detail::random_fill(first.data(), key.data(), out.data(), out.size());
}

}  // namespace tweedie
