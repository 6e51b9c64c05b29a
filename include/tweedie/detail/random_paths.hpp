// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

#if defined(__GNUC__) && defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define TWEEDIE_RANDOM_VECTORS
#if defined(__x86_64__)
#define TWEEDIE_RANDOM_X86
#endif
#endif

#define TWEEDIE_RANDOM_PATH random_scalar
#define TWEEDIE_RANDOM_TARGET
#define TWEEDIE_RANDOM_LANES 1
#include <tweedie/detail/random_kernel.inc>

#if defined(TWEEDIE_RANDOM_VECTORS)
#define TWEEDIE_RANDOM_PATH random_vector128
#define TWEEDIE_RANDOM_TARGET
#define TWEEDIE_RANDOM_LANES 2
#include <tweedie/detail/random_kernel.inc>
#endif

#if defined(TWEEDIE_RANDOM_X86)
#define TWEEDIE_RANDOM_PATH random_avx2
#define TWEEDIE_RANDOM_TARGET [[gnu::target("avx2")]]
#define TWEEDIE_RANDOM_LANES 4
#include <tweedie/detail/random_kernel.inc>

#define TWEEDIE_RANDOM_PATH random_avx512
#define TWEEDIE_RANDOM_TARGET [[gnu::target("avx512f")]]
#define TWEEDIE_RANDOM_LANES 8
#include <tweedie/detail/random_kernel.inc>
#endif

namespace tweedie::detail {

/// The ways to compute the same bits.
enum class random_path { scalar, vector128, avx2, avx512 };

/// Whether this compiler made the path and this machine can run it.
[[nodiscard]] inline int random_path_available(random_path path) {
    switch (path) {
        case random_path::scalar: return 1;
#if defined(TWEEDIE_RANDOM_VECTORS)
        case random_path::vector128: return 1;
#endif
#if defined(TWEEDIE_RANDOM_X86)
        case random_path::avx2: return __builtin_cpu_supports("avx2");
        case random_path::avx512: return __builtin_cpu_supports("avx512f");
#endif
        default: return 0;
    }
}

/// Fills `out` by one path, which must be available. `Scalar` is std::uint32_t (Philox words), float or
/// double (normals).
template <class Scalar>
void random_fill(random_path path, const std::uint32_t* counter, const std::uint32_t* key, Scalar* out,
                 std::size_t count) {
    switch (path) {
#if defined(TWEEDIE_RANDOM_X86)
        case random_path::avx512: return random_avx512::fill(counter, key, out, count);
        case random_path::avx2: return random_avx2::fill(counter, key, out, count);
#endif
#if defined(TWEEDIE_RANDOM_VECTORS)
        case random_path::vector128: return random_vector128::fill(counter, key, out, count);
#endif
        default: return random_scalar::fill(counter, key, out, count);
    }
}

/// Fills `out` by the widest path available.
template <class Scalar>
void random_fill(const std::uint32_t* counter, const std::uint32_t* key, Scalar* out, std::size_t count) {
    auto path = random_path::scalar;
    for (auto wider : {random_path::avx512, random_path::avx2, random_path::vector128}) {
        if (random_path_available(wider)) {
            path = wider;
            break;
        }
    }
    random_fill(path, counter, key, out, count);
}

}  // namespace tweedie::detail

#undef TWEEDIE_RANDOM_VECTORS
#undef TWEEDIE_RANDOM_X86
