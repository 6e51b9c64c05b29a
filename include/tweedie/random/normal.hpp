// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/random_paths.hpp>
#include <tweedie/random/philox.hpp>

#include <span>

namespace tweedie {

/// Standard normal numbers as a pure function of counter and key: Box-Muller on Philox4x32-10.
///
///     (x0, x1, x2, x3) = philox4x32({first[0] + i, first[1], first[2], first[3]}, key)
///     out[4 i]     = r(x0) cos(2 pi x1 / 2^32)        out[4 i + 1] = r(x0) sin(2 pi x1 / 2^32)
///     out[4 i + 2] = r(x2) cos(2 pi x3 / 2^32)        out[4 i + 3] = r(x2) sin(2 pi x3 / 2^32)
///     r(x)         = sqrt(-2 ln((x + 1) / 2^32))
///
/// Source: Box and Muller 1958, A note on the generation of random normal deviates; Salmon et al. 2011
/// for Philox. Deviation: none; all 32 bits of each word count, so that the tail reaches |z| = 6.66.
///
/// | type   | largest error against the formula   | range          |
/// |--------|-------------------------------------|----------------|
/// | float  | 4.5e-7 abs(z)                       | abs(z) <= 6.67 |
/// | double | 8e-16 abs(z)                        | abs(z) <= 6.67 |
///
/// (float: from all 2^32 radii and all 2^32 angles; double: from 7e7 numbers against 64-bit mantissas.)
///
/// - first   counter of the first block; first[0] + i counts modulo 2^32 and carries nothing into first[1].
/// - out     any length; a last block that does not fit is cut off, its numbers are those of a longer fill.
/// - random  four numbers per counter. The float and the double of the same place come from the same words
///           and differ by rounding alone: `|float - double| <= 4.5e-7 |double|`.
/// - bits    the same on every instruction set, with every compiler, whatever `-O`, `-march` and
///           `-ffp-contract` say; not with `-ffast-math`, which allows the compiler to change them.
/// - cost    vectorized with plain flags, by the widest instructions of the machine at run time; no
///           allocation.
inline void fill_normal(const philox_counter& first, const philox_key& key, std::span<float> out) {
    detail::random_fill(first.data(), key.data(), out.data(), out.size());
}

inline void fill_normal(const philox_counter& first, const philox_key& key, std::span<double> out) {
    detail::random_fill(first.data(), key.data(), out.data(), out.size());
}

}  // namespace tweedie
