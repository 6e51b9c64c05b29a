// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/simd.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

namespace tweedie::detail {

// What each formula of formulas.inc takes besides the tensors: the options of the optimizer and the number of
// the step, worked out in double and rounded once.

/// What is done to a gradient before any formula sees it: clip(scale * g) + decay * theta.
template <class S>
struct gradient_terms {
    S scale;
    S limit;
    S decay;

    /// Nothing is done.
    [[nodiscard]] bool is_plain() const {
        return scale == S{1} && limit == std::numeric_limits<S>::infinity() && decay == S{0};
    }
};

/// Bias corrections and the epsilon convention are in `rate`, `scale`, `inside` and `outside`.
template <class S>
struct adam_numbers {
    S beta1, rest1, beta2, rest2;
    S keep, rate;
    S scale, inside, outside;  // the root: sqrt(scale * v + inside) + outside
};

template <class S>
struct dual_adam_numbers {
    adam_numbers<S> adam;
    S direct, inverse;
    S cap;

    /// In the second phase it is Adam, to the bit.
    [[nodiscard]] const adam_numbers<S>* simpler() const { return inverse == 0 ? &adam : nullptr; }
};

template <class S>
struct inv_adam_numbers {
    adam_numbers<S> adam;
    S cap;
};

template <class S>
struct amsgrad_numbers {
    adam_numbers<S> adam;
};

template <class S>
struct nadam_numbers {
    adam_numbers<S> adam;
    S now;
};

template <class S>
struct adabelief_numbers {
    adam_numbers<S> adam;
    S added;
};

template <class S>
struct adabound_numbers {
    adam_numbers<S> adam;
    S lower, upper;
};

template <class S>
struct adamax_numbers {
    S beta1, rest1, beta2;
    S keep, rate, outside;
};

template <class S>
struct yogi_numbers {
    adam_numbers<S> adam;
};

template <class S>
struct lion_numbers {
    S beta1, rest1, beta2, rest2;
    S keep, rate;
};

template <class S>
struct adan_numbers {
    S beta1, rest1, beta2, rest2, beta3, rest3;
    S keep, rate, ahead, scale, outside;
    S has_before;
};

template <class S>
struct sgd_numbers {
    S momentum, rest;
    S keep, now, rate;
};

template <class S>
struct descent_numbers {
    S keep, rate;
};

template <class S>
struct schedule_free_numbers {
    S beta2, rest2, scale, outside, decay;
    S first, later;
    S pull, rate_y, rate;
};

/// The moments alone, and then the step of the length that the norms ask for.
template <class S>
struct lamb_moments {
    S beta1, rest1, beta2, rest2;
};
template <class S>
struct lamb_numbers {
    S correction1, scale, outside, decay;
    S rate;
};

template <class S>
struct ascent_numbers {
    S rate;
};
template <class S>
struct restore_numbers {};

/// `weight` 1: the average starts here.
template <class S>
struct average_numbers {
    S weight;
};
template <class S>
struct lookahead_numbers {
    S weight;
};

}  // namespace tweedie::detail

#define TWEEDIE_PACK_PATH pack_scalar
#define TWEEDIE_PACK_TARGET
#define TWEEDIE_PACK_BYTES 0
#include <tweedie/detail/pack_kernel.inc>

#if defined(__GNUC__)
#define TWEEDIE_PACK_VECTORS
#define TWEEDIE_PACK_PATH pack_vector128
#define TWEEDIE_PACK_TARGET
#define TWEEDIE_PACK_BYTES 16
#include <tweedie/detail/pack_kernel.inc>
#if defined(__x86_64__)
#define TWEEDIE_PACK_X86
#define TWEEDIE_PACK_PATH pack_avx2
#define TWEEDIE_PACK_TARGET [[gnu::target("avx2")]]
#define TWEEDIE_PACK_BYTES 32
#include <tweedie/detail/pack_kernel.inc>

#define TWEEDIE_PACK_PATH pack_avx512
#define TWEEDIE_PACK_TARGET [[gnu::target("avx512f")]]
#define TWEEDIE_PACK_BYTES 64
#include <tweedie/detail/pack_kernel.inc>
#endif
#endif

namespace tweedie::detail {

/// The ways to compute the same bits.
enum class pack_path { scalar, vector128, avx2, avx512 };

/// Whether this compiler made the path and this machine can run it.
[[nodiscard]] inline bool pack_path_available(pack_path path) {
    switch (path) {
        case pack_path::scalar: return true;
#if defined(TWEEDIE_PACK_VECTORS)
        case pack_path::vector128: return true;
#endif
#if defined(TWEEDIE_PACK_X86)
        case pack_path::avx2: return __builtin_cpu_supports("avx2") != 0;
        case pack_path::avx512: return __builtin_cpu_supports("avx512f") != 0;
#endif
        default: return false;
    }
}

/// The widest path available.
[[nodiscard]] inline pack_path best_pack_path() {
    for (const auto path : {pack_path::avx512, pack_path::avx2, pack_path::vector128}) {
        if (pack_path_available(path)) { return path; }
    }
    return pack_path::scalar;
}

/// The formula of `numbers` on `size` elements by one path, which must be available.
/// - slots    `Slots` arrays that the formula reads and writes besides `theta`.
/// - returns  a number that is finite only if every new parameter is.
template <std::size_t Slots, class Numbers, class Scalar>
Scalar update_range(pack_path path, const Numbers& numbers, const gradient_terms<Scalar>& terms,
                    Scalar* theta, const Scalar* gradient, Scalar* const* slots, std::size_t size) {
    switch (path) {
#if defined(TWEEDIE_PACK_X86)
        case pack_path::avx512:
            return pack_avx512::update_range<Slots>(numbers, terms, theta, gradient, slots, size);
        case pack_path::avx2:
            return pack_avx2::update_range<Slots>(numbers, terms, theta, gradient, slots, size);
#endif
#if defined(TWEEDIE_PACK_VECTORS)
        case pack_path::vector128:
            return pack_vector128::update_range<Slots>(numbers, terms, theta, gradient, slots, size);
#endif
        default: return pack_scalar::update_range<Slots>(numbers, terms, theta, gradient, slots, size);
    }
}

/// Whether `size` numbers are all finite, by one path, which must be available.
template <class Scalar>
bool finite_range(pack_path path, const Scalar* x, std::size_t size) {
    switch (path) {
#if defined(TWEEDIE_PACK_X86)
        case pack_path::avx512: return pack_avx512::finite_range(x, size);
        case pack_path::avx2: return pack_avx2::finite_range(x, size);
#endif
#if defined(TWEEDIE_PACK_VECTORS)
        case pack_path::vector128: return pack_vector128::finite_range(x, size);
#endif
        default: return pack_scalar::finite_range(x, size);
    }
}

}  // namespace tweedie::detail

#undef TWEEDIE_PACK_VECTORS
#undef TWEEDIE_PACK_X86
