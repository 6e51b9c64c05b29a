// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tweedie::detail {

/// A few scalars that are added and multiplied together, in the vector types that GCC and Clang share; one
/// scalar elsewhere. The width changes the speed, never a result. `stored` is the same in memory, aligned
/// like a scalar.
#if defined(__GNUC__)
template <class Scalar, std::size_t Bytes>
struct simd_of {
    typedef Scalar vector __attribute__((vector_size(Bytes)));
    typedef Scalar stored __attribute__((vector_size(Bytes), aligned(sizeof(Scalar)), may_alias));
    static constexpr std::size_t width = Bytes / sizeof(Scalar);
};

/// Of every machine the compiler was told to build for.
#if defined(__AVX__)
template <class Scalar>
using simd = simd_of<Scalar, 32>;
#else
template <class Scalar>
using simd = simd_of<Scalar, 16>;
#endif

/// For functions that enable an instruction set with 256-bit registers.
template <class Scalar>
using simd256 = simd_of<Scalar, 32>;
#else
template <class Scalar>
struct simd {
    using vector = Scalar;
    using stored = Scalar;
    static constexpr std::size_t width = 1;
};
#endif

/// The sum of a vector's scalars, from first to last.
template <class Scalar, class Vector>
inline Scalar sum_of_lanes(const Vector& v) {
    if constexpr (std::is_same_v<Scalar, Vector>) {
        return v;
    } else {  // by subscript: a copy through memory would keep `v` there
        Scalar sum = v[0];
        for (std::size_t lane = 1; lane < sizeof(Vector) / sizeof(Scalar); ++lane) { sum += v[lane]; }
        return sum;
    }
}

/// Whether a number is neither infinite nor NaN. Looks at the bits: holds under `-ffast-math` too.
inline bool is_finite(float x) {
    constexpr std::uint32_t exponent = 0x7f80'0000U;
    return (std::bit_cast<std::uint32_t>(x) & exponent) != exponent;
}
inline bool is_finite(double x) {
    constexpr std::uint64_t exponent = 0x7ff0'0000'0000'0000U;
    return (std::bit_cast<std::uint64_t>(x) & exponent) != exponent;
}

/// Whether `size` numbers are all finite.
template <class Scalar>
bool all_finite(const Scalar* x, std::size_t size) {
    unsigned bad = 0;
    for (std::size_t i = 0; i < size; ++i) { bad |= is_finite(x[i]) ? 0U : 1U; }
    return bad == 0;
}

}  // namespace tweedie::detail
