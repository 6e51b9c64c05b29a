// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/simd.hpp>
#include <tweedie/detail/small_array.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace tweedie::detail {

/// Whether the compiler may contract `a * b + c` to one rounding. Then every sum starts from an explicit zero, so that
/// there is exactly one way to contract it and every kernel below rounds alike.
#if (defined(__x86_64__) || defined(__i386__)) && !defined(__FMA__) && !defined(__FMA4__)
inline constexpr bool may_contract = false;
#else
inline constexpr bool may_contract = true;
#endif

/// Elements that one thread works on at a time, and that a non-finite value is searched in.
inline constexpr std::size_t affine_chunk = 16384;

/// Vectors per output that `affine_kernel` holds in registers.
template <std::size_t K>
inline constexpr std::size_t affine_unroll = K < 4 ? 4 : 2;

/// `K` outputs at the same `Unroll` places, starting at element i: all read before any is written.
template <std::size_t K, std::size_t N, std::size_t Unroll, class Number, class Scalar>
inline Number affine_step(Scalar* const* outputs, const Scalar* coefficients, std::size_t stride,
                          const Scalar* const* inputs, std::size_t runtime_n, std::size_t i) {
    constexpr std::size_t width = sizeof(Number) / sizeof(Scalar);
    const std::size_t n = N == 0 ? runtime_n : N;
    Number sums[K][Unroll];
    for (std::size_t u = 0; u < Unroll; ++u) {
        Number x;
        load(x, inputs[0] + i + u * width);
        for (std::size_t k = 0; k < K; ++k) {
            sums[k][u] = coefficients[k * stride] * x;
            if constexpr (may_contract) {
                sums[k][u] = Number{} + coefficients[k * stride] * x;
            }
        }
    }
    for (std::size_t j = 1; j < n; ++j) {
        for (std::size_t u = 0; u < Unroll; ++u) {
            Number x;
            load(x, inputs[j] + i + u * width);
            for (std::size_t k = 0; k < K; ++k) { sums[k][u] = sums[k][u] + coefficients[k * stride + j] * x; }
        }
    }
    Number total{};
    for (std::size_t k = 0; k < K; ++k) {
        Number row = sums[k][0];
        for (std::size_t u = 1; u < Unroll; ++u) { row += sums[k][u]; }
        total += row;
        for (std::size_t u = 0; u < Unroll; ++u) { store(outputs[k] + i + u * width, sums[k][u]); }
    }
    return total;
}

/// Elements [first, last) of `K` outputs from `N` inputs (0: known at run time, at least 1), read once, written once.
///
/// Returns a sum over everything written, which is finite only if every term is (finite numbers may overflow it too).
template <std::size_t K, std::size_t N, class Scalar>
Scalar affine_kernel(std::size_t first, std::size_t last, Scalar* const* outputs, const Scalar* coefficients,
                     std::size_t stride, const Scalar* const* inputs, std::size_t runtime_n) {
    using vector = typename simd<Scalar>::vector;
    constexpr std::size_t width = simd<Scalar>::width;
    constexpr std::size_t unroll = affine_unroll<K>;
    std::size_t i = first;
    vector total{};
    const auto run = [&](Scalar* const* out, const Scalar* c, std::size_t row, const Scalar* const* in) {
        for (; i + unroll * width <= last; i += unroll * width) {
            total += affine_step<K, N, unroll, vector>(out, c, row, in, runtime_n, i);
        }
        for (; i + width <= last; i += width) {
            total += affine_step<K, N, 1, vector>(out, c, row, in, runtime_n, i);
        }
        Scalar lanes[width];
        store(lanes, total);
        Scalar sum = 0;
        for (const Scalar lane : lanes) { sum += lane; }
        for (; i < last; ++i) { sum += affine_step<K, N, 1, Scalar>(out, c, row, in, runtime_n, i); }
        return sum;
    };
    if constexpr (N == 0) {
        return run(outputs, coefficients, stride, inputs);
    } else {  // copies whose address nobody else knows: they live in registers
        Scalar* out[K];
        const Scalar* in[N];
        Scalar c[K * N];
        for (std::size_t k = 0; k < K; ++k) { out[k] = outputs[k]; }
        for (std::size_t j = 0; j < N; ++j) { in[j] = inputs[j]; }
        for (std::size_t k = 0; k < K; ++k) {
            for (std::size_t j = 0; j < N; ++j) { c[k * N + j] = coefficients[k * stride + j]; }
        }
        return run(out, c, N, in);
    }
}

/// Elements [first, last) of `k` outputs; returns whether everything written is finite.
template <class Scalar>
bool affine_range(std::size_t first, std::size_t last, std::size_t k, Scalar* const* outputs,
                  const Scalar* coefficients, std::size_t stride, const Scalar* const* inputs, std::size_t n) {
    Scalar sum = 0;
    switch (k) {
        case 0: return true;
        case 1: sum = affine_kernel<1, 0>(first, last, outputs, coefficients, stride, inputs, n); break;
        case 2: sum = affine_kernel<2, 0>(first, last, outputs, coefficients, stride, inputs, n); break;
        case 3: sum = affine_kernel<3, 0>(first, last, outputs, coefficients, stride, inputs, n); break;
        default: sum = affine_kernel<4, 0>(first, last, outputs, coefficients, stride, inputs, n); break;
    }
    if (is_finite(sum)) { return true; }
    for (std::size_t row = 0; row < k; ++row) {
        if (!all_finite(outputs[row] + first, last - first)) { return false; }
    }
    return true;
}

/// The same for any number of outputs: those past the fourth are collected aside, a block in cache at a time, because
/// writing them at once could overwrite an input that a later row still needs.
template <class Scalar>
bool affine_rows(std::size_t first, std::size_t last, std::size_t k, Scalar* const* outputs,
                 const Scalar* coefficients, std::size_t stride, const Scalar* const* inputs, std::size_t n) {
    constexpr std::size_t group = 4;
    if (n == 0) {
        for (std::size_t row = 0; row < k; ++row) { std::fill(outputs[row] + first, outputs[row] + last, Scalar{0}); }
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
            finite = affine_range(0, size, group, rows, coefficients + row * stride, stride, at.data(), n) && finite;
        }
        finite = affine_range(begin, begin + size, direct, outputs + aside, coefficients + aside * stride, stride,
                              inputs, n) &&
                 finite;
        for (std::size_t row = 0; row < aside; ++row) {
            std::copy_n(buffer.data() + row * block, size, outputs[row] + begin);
        }
    }
    return finite;
}

/// `outputs[k] = sum_j coefficients[k * inputs.size() + j] * inputs[j]`, element by element, in one pass over memory.
///
/// - outputs  each of `size` scalars; may be the same array as an input (not overlap one otherwise).
/// - returns  whether every value written is finite.
/// Terms are added from left to right in `Scalar`: the result does not depend on the kernel or the number of threads.
template <class Scalar>
bool affine(std::size_t size, std::span<Scalar* const> outputs, std::span<const Scalar> coefficients,
            std::span<const Scalar* const> inputs) {
    const std::size_t k = outputs.size();
    const std::size_t n = inputs.size();
    TWEEDIE_ASSERT(coefficients.size() == k * n, "affine: one coefficient per output and input");
    const std::size_t chunks = (size + affine_chunk - 1) / affine_chunk;
    return for_each_index(chunks, size * (k + n), [&](std::size_t chunk) {
        const std::size_t first = chunk * affine_chunk;
        return affine_rows(first, std::min(size, first + affine_chunk), k, outputs.data(), coefficients.data(), n,
                           inputs.data(), n);
    });
}

/// `affine` with further inputs that are made on the way: columns inputs.size() and up of the coefficients multiply
/// `streams[s](sample, first_element, block)`, written to the stack a block at a time.
template <class Scalar, class Stream>
bool affine_noise(std::size_t batch, std::size_t sample_size, std::span<Scalar* const> outputs,
                  std::span<const Scalar> coefficients, std::span<const Scalar* const> inputs,
                  std::span<const Stream> streams) {
    const std::size_t k = outputs.size();
    const std::size_t n = inputs.size();
    const std::size_t columns = n + streams.size();
    TWEEDIE_ASSERT(coefficients.size() == k * columns, "affine_noise: one coefficient per output, input and stream");
    constexpr std::size_t budget = 4096;  // scalars on the stack
    const std::size_t block =
        std::clamp<std::size_t>(budget / std::max<std::size_t>(streams.size(), 1) / 16 * 16, 16, 1024);
    const std::size_t blocks = (sample_size + block - 1) / block;
    const std::size_t work = 16 * batch * sample_size * (streams.size() + 1);  // a normal number costs a dozen reads
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
        return affine_rows(std::size_t{0}, size, k, out.data(), coefficients.data(), columns, in.data(), columns);
    });
}

}  // namespace tweedie::detail
