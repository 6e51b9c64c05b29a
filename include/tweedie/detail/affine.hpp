// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/simd.hpp>
#include <tweedie/detail/small_array.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <utility>

namespace tweedie::detail {

/// Whether the compiler may contract `a * b + c` to one rounding. Then every sum starts from an explicit
/// zero, so that there is exactly one way to contract it and every kernel below rounds alike.
#if (defined(__x86_64__) || defined(__i386__)) && !defined(__FMA__) && !defined(__FMA4__)
inline constexpr bool may_contract = false;
#else
inline constexpr bool may_contract = true;
#endif

/// Elements that one thread works on at a time, and that a non-finite value is searched in.
inline constexpr std::size_t affine_chunk = 16384;

/// Most outputs that one kernel writes.
inline constexpr std::size_t affine_group = 4;

/// Most inputs that a kernel is made for; fewer than `affine_group` outputs from more inputs take the general
/// kernel.
inline constexpr std::size_t affine_inputs = 8;

/// Two outputs, the second of which uses only the first two inputs: the step of a multistep sampler, which
/// makes its next state from all that it remembers, and what it will remember from the state and the
/// network's output.
inline constexpr std::size_t short_row = 2;

/// Vectors per output that a kernel works on at a time, as measured: one output has too little arithmetic to
/// hide the loop's own, several need the registers for their coefficients.
template <std::size_t K, std::size_t N>
inline constexpr std::size_t affine_unroll = (N == 0 && K < 4) || (K == 1) ? 4
                                             : N == 0                      ? 2
                                                                           : 1;

/// Elements whose weights lie together where they differ from element to element: a group of one weight, then
/// of the next, so that a pass reads them in one stream.
template <class Scalar>
inline constexpr std::size_t field_group = 128 / sizeof(Scalar);

/// How far ahead of such weights the memory is asked for what comes, as measured: they are read once, in one
/// stream, which it follows too late by itself.
template <class Scalar>
inline constexpr std::size_t group_ahead = 4096 / sizeof(Scalar);

/// Asks for 128 bytes that will be read; they need not exist.
inline void prefetch([[maybe_unused]] const void* from) {
#if defined(__GNUC__)
    __builtin_prefetch(from);
    __builtin_prefetch(static_cast<const char*>(from) + 64);
#endif
}

/// Most inputs of a row of such weights that a kernel is made for.
inline constexpr std::size_t field_inputs = 6;

template <class Scalar>
struct affine_entry {
    Scalar (*kernel)(std::size_t, std::size_t, Scalar* const*, const Scalar*, std::size_t,
                     const Scalar* const*, std::size_t);
    std::size_t step;  // elements, a multiple of which it works on
};

}  // namespace tweedie::detail

#if defined(__GNUC__) && defined(__x86_64__) && !defined(__AVX__)
#define TWEEDIE_AFFINE_AVX2
#define TWEEDIE_AFFINE_PATH affine_fast
#define TWEEDIE_AFFINE_TARGET [[gnu::target("avx2")]]
#define TWEEDIE_AFFINE_VECTOR simd256
#else
#define TWEEDIE_AFFINE_PATH affine_fast
#define TWEEDIE_AFFINE_TARGET
#define TWEEDIE_AFFINE_VECTOR simd
#endif
#define TWEEDIE_AFFINE_FIXED 1
#include <tweedie/detail/affine_kernel.inc>

#if defined(TWEEDIE_AFFINE_AVX2)
// What an older machine runs: the same results, and less code to compile for everybody else.
#define TWEEDIE_AFFINE_PATH affine_plain
#define TWEEDIE_AFFINE_TARGET
#define TWEEDIE_AFFINE_VECTOR simd
#define TWEEDIE_AFFINE_FIXED 0
#include <tweedie/detail/affine_kernel.inc>
#endif

namespace tweedie::detail {

/// Whether of two rows the second ends after `short_row` terms, and a kernel is made for that.
template <class Scalar>
bool ends_early(std::size_t k, std::size_t n, const Scalar* coefficients, std::size_t stride) {
    if (k != 2 || n <= short_row || n > affine_inputs) { return false; }
    for (std::size_t j = short_row; j < n; ++j) {
        if (coefficients[stride + j] != Scalar{0}) { return false; }
    }
    return true;
}

/// The kernel for k outputs from n inputs on this machine.
template <class Scalar>
const affine_entry<Scalar>& find_affine_entry(std::size_t k, std::size_t n, bool second_ends_early) {
    const std::size_t place =
        second_ends_early ? n - short_row - 1 : (k - 1) * (affine_inputs + 1) + (n <= affine_inputs ? n : 0);
#if defined(TWEEDIE_AFFINE_AVX2)
    if (__builtin_cpu_supports("avx2") == 0) {
        return second_ends_early ? affine_plain::short_table<Scalar>[place]
                                 : affine_plain::table<Scalar>[place];
    }
#endif
    return second_ends_early ? affine_fast::short_table<Scalar>[place] : affine_fast::table<Scalar>[place];
}

/// Elements [0, size) of a row whose weights differ from element to element, see `field_kernel`; the last
/// group is filled up with zeros.
template <class Scalar>
Scalar field_row(std::size_t size, Scalar* out, const Scalar* weights, std::size_t stride,
                 const Scalar* const* inputs, std::size_t n, bool constant) {
    constexpr std::size_t group = field_group<Scalar>;
    const std::size_t place = n <= field_inputs ? n : 0;
    auto* kernel = affine_fast::field_table<Scalar>[place];
#if defined(TWEEDIE_AFFINE_AVX2)
    if (__builtin_cpu_supports("avx2") == 0) { kernel = affine_plain::field_table<Scalar>[place]; }
#endif
    const std::size_t whole = size / group;
    const std::size_t rest = size % group;
    const Scalar sum = kernel(whole, out, weights, stride, inputs, n, constant);
    if (rest == 0) { return sum; }
    small_array<Scalar, 64 * group> copies(n * group);
    small_array<const Scalar*, 64> in(n);
    Scalar last[group];
    for (std::size_t j = 0; j < n; ++j) {
        Scalar* const copy = copies.data() + j * group;
        std::fill_n(std::copy_n(inputs[j] + whole * group, rest, copy), group - rest, Scalar{0});
        in[j] = copy;
    }
    const Scalar tail = kernel(1, last, weights + whole * stride, stride, in.data(), n, constant);
    std::copy_n(last, rest, out + whole * group);
    return sum + tail;
}

/// `a * b`, the first term of a sum.
template <class Number>
inline Number first_term(const Number& a, const Number& b) {
    if constexpr (may_contract) {
        return Number{} + a * b;
    } else {
        return a * b;
    }
}

/// The same for the elements left over by the kernels, for `k <= affine_group` outputs. In vectors too, the
/// last one filled up with zeros: a compiler may vectorise a scalar loop over the terms, and then round
/// otherwise.
template <class Scalar>
Scalar affine_tail(std::size_t first, std::size_t last, std::size_t k, Scalar* const* outputs,
                   const Scalar* coefficients, std::size_t stride, const Scalar* const* inputs, std::size_t n,
                   bool second_ends_early) {
    using vector = typename simd<Scalar>::vector;
    constexpr std::size_t width = simd<Scalar>::width;
    vector totals{};
    for (std::size_t i = first; i < last; i += width) {
        const std::size_t bytes = std::min(width, last - i) * sizeof(Scalar);
        vector sums[affine_group];
        for (std::size_t row = 0; row < k; ++row) {
            const std::size_t terms = second_ends_early && row == 1 ? short_row : n;
            for (std::size_t j = 0; j < terms; ++j) {
                vector x{};
                std::memcpy(&x, inputs[j] + i, bytes);
                const vector c = coefficients[row * stride + j] - vector{};
                sums[row] = j == 0 ? first_term(c, x) : sums[row] + c * x;
            }
            totals += sums[row];
        }
        for (std::size_t row = 0; row < k; ++row) { std::memcpy(outputs[row] + i, &sums[row], bytes); }
    }
    return sum_of_lanes<Scalar>(totals);
}

/// Elements [first, last) of at most `affine_group` outputs; returns whether everything written is finite.
template <class Scalar>
bool affine_range(std::size_t first, std::size_t last, std::size_t k, Scalar* const* outputs,
                  const Scalar* coefficients, std::size_t stride, const Scalar* const* inputs,
                  std::size_t n) {
    const bool second_ends_early = ends_early(k, n, coefficients, stride);
    const affine_entry<Scalar>& entry = find_affine_entry<Scalar>(k, n, second_ends_early);
    const std::size_t whole = last - (last - first) % entry.step;
    Scalar sum = 0;
    if (whole != first) { sum = entry.kernel(first, whole, outputs, coefficients, stride, inputs, n); }
    sum += affine_tail(whole, last, k, outputs, coefficients, stride, inputs, n, second_ends_early);
    if (is_finite(sum)) { return true; }
    for (std::size_t row = 0; row < k; ++row) {
        if (!all_finite(outputs[row] + first, last - first)) { return false; }
    }
    return true;
}

/// The same for any number of outputs: those past the fourth are collected aside, a block in cache at a time,
/// because writing them at once could overwrite an input that a later row still needs.
template <class Scalar>
bool affine_rows(std::size_t first, std::size_t last, std::size_t k, Scalar* const* outputs,
                 const Scalar* coefficients, std::size_t stride, const Scalar* const* inputs, std::size_t n) {
    constexpr std::size_t group = affine_group;
    if (k == 0) { return true; }
    if (n == 0) {
        for (std::size_t row = 0; row < k; ++row) {
            std::fill(outputs[row] + first, outputs[row] + last, Scalar{0});
        }
        return true;
    }
    if (k <= group) { return affine_range(first, last, k, outputs, coefficients, stride, inputs, n); }

    constexpr std::size_t budget = 4096;
    const std::size_t direct = k % group == 0 ? group : k % group;  // the rows written last need no copy
    const std::size_t aside = k - direct;
    const std::size_t block = std::max<std::size_t>(budget / aside / 16 * 16, 16);
    small_array<Scalar, budget> buffer(aside * block);
    small_array<const Scalar*, 64> at(n);
    bool finite = true;
    for (std::size_t begin = first; begin < last; begin += block) {
        const std::size_t size = std::min(block, last - begin);
        for (std::size_t j = 0; j < n; ++j) { at[j] = inputs[j] + begin; }
        for (std::size_t row = 0; row < aside; row += group) {
            Scalar* rows[group];
            for (std::size_t r = 0; r < group; ++r) { rows[r] = buffer.data() + (row + r) * block; }
            finite = affine_range(0, size, group, rows, coefficients + row * stride, stride, at.data(), n) &&
                     finite;
        }
        finite = affine_range(begin, begin + size, direct, outputs + aside, coefficients + aside * stride,
                              stride, inputs, n) &&
                 finite;
        for (std::size_t row = 0; row < aside; ++row) {
            std::copy_n(buffer.data() + row * block, size, outputs[row] + begin);
        }
    }
    return finite;
}

/// `outputs[k] = sum_j coefficients[k * inputs.size() + j] * inputs[j]`, element by element, in one pass over
/// memory.
///
/// - outputs  each of `size` scalars; may be the same array as an input (not overlap one otherwise).
/// - returns  whether every value written is finite.
/// Terms are added from left to right in `Scalar`: the result does not depend on the kernel or the number of
/// threads.
template <class Scalar>
bool affine(std::size_t size, std::span<Scalar* const> outputs, std::span<const Scalar> coefficients,
            std::span<const Scalar* const> inputs) {
    const std::size_t k = outputs.size();
    const std::size_t n = inputs.size();
    TWEEDIE_ASSERT(coefficients.size() == k * n, "affine: one coefficient per output and input");
    const std::size_t chunks = (size + affine_chunk - 1) / affine_chunk;
    return for_each_index(chunks, size * (k + n), [&](std::size_t chunk) {
        const std::size_t first = chunk * affine_chunk;
        return affine_rows(first, std::min(size, first + affine_chunk), k, outputs.data(),
                           coefficients.data(), n, inputs.data(), n);
    });
}

/// `affine` with further inputs that are made on the way: columns inputs.size() and up of the coefficients
/// multiply `streams[s](sample, first_element, block)`, written to the stack a block at a time.
template <class Scalar, class Stream>
bool affine_noise(std::size_t batch, std::size_t sample_size, std::span<Scalar* const> outputs,
                  std::span<const Scalar> coefficients, std::span<const Scalar* const> inputs,
                  std::span<const Stream> streams) {
    const std::size_t k = outputs.size();
    const std::size_t n = inputs.size();
    const std::size_t columns = n + streams.size();
    TWEEDIE_ASSERT(coefficients.size() == k * columns,
                   "affine_noise: one coefficient per output, input and stream");
    constexpr std::size_t budget = 4096;  // scalars on the stack
    const std::size_t block =
        std::clamp<std::size_t>(budget / std::max<std::size_t>(streams.size(), 1) / 16 * 16, 16, 1024);
    const std::size_t blocks = (sample_size + block - 1) / block;
    const std::size_t work =
        16 * batch * sample_size * (streams.size() + 1);  // a normal number costs a dozen reads
    return for_each_index(batch * blocks, work, [&](std::size_t index) {
        const std::size_t sample = index / blocks;
        const std::size_t first = (index % blocks) * block;
        const std::size_t size = std::min(block, sample_size - first);
        const std::size_t offset = sample * sample_size + first;
        small_array<Scalar, budget> noise(streams.size() * block);
        small_array<const Scalar*, 64> in(columns);
        small_array<Scalar*, 64> out(k);
        for (std::size_t row = 0; row < k; ++row) { out[row] = outputs[row] + offset; }
        for (std::size_t j = 0; j < n; ++j) { in[j] = inputs[j] + offset; }
        for (std::size_t s = 0; s < streams.size(); ++s) {
            Scalar* values = noise.data() + s * block;
            streams[s](sample, first, std::span<Scalar>(values, size));
            in[n + s] = values;
        }
        return affine_rows(std::size_t{0}, size, k, out.data(), coefficients.data(), columns, in.data(),
                           columns);
    });
}

}  // namespace tweedie::detail
