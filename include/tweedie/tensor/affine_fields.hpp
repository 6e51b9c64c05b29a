// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/affine.hpp>
#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/simd.hpp>
#include <tweedie/detail/small_array.hpp>
#include <tweedie/tensor/field_matrix.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace tweedie::detail {

/// Elements [first, last) of every output, a block of the weights at a time; element 0 is the first of a period.
///
/// - late  of each row, whether its output is an input of a later row: then it is collected aside.
template <class Scalar>
bool affine_field_range(std::size_t first, std::size_t last, Scalar* const* outputs,
                        const field_matrix& weights, const Scalar* const* inputs, const char* late) {
    constexpr std::size_t budget = 8 * field_block;
    const std::size_t k = weights.rows();
    std::size_t late_rows = 0;
    for (std::size_t row = 0; row < k; ++row) { late_rows += late[row] != 0 ? 1U : 0U; }
    const std::size_t piece =
        late_rows <= 8 ? field_block : std::max<std::size_t>(budget / late_rows / 16 * 16, 16);
    small_array<Scalar, budget> aside(late_rows * piece);
    small_array<const Scalar*, 64> w(weights.columns());
    small_array<const Scalar*, 64> x(weights.columns());
    bool finite = true;
    for (std::size_t at = first; at < last;) {
        const std::size_t block_end = (at / field_block + 1) * field_block;
        const std::size_t size = std::min({piece, last - at, block_end - at});
        Scalar sum = 0;
        std::size_t collected = 0;
        for (std::size_t row = 0; row < k; ++row) {
            std::size_t terms = 0;
            const Scalar* constant = nullptr;
            for (const field_matrix::term& t : weights.terms(row)) {
                const Scalar* const from = &weights.weights<Scalar>(t, at);
                if (t.column == weights.columns()) {
                    constant = from;
                } else {
                    w[terms] = from;
                    x[terms] = inputs[t.column] + at;
                    ++terms;
                }
            }
            Scalar* const to = late[row] != 0 ? aside.data() + collected++ * piece : outputs[row] + at;
            sum += field_row(size, to, w.data(), x.data(), terms, constant);
        }
        collected = 0;
        for (std::size_t row = 0; row < k; ++row) {
            if (late[row] != 0) { std::copy_n(aside.data() + collected++ * piece, size, outputs[row] + at); }
        }
        if (!is_finite(sum)) {
            for (std::size_t row = 0; row < k; ++row) {
                finite = all_finite(outputs[row] + at, size) && finite;
            }
        }
        at += size;
    }
    return finite;
}

/// `affine` with weights that differ from element to element, for `size` scalars in samples that lie one after
/// the other.
///
/// Rounds as `affine` does: weights and terms in `Scalar`, added from left to right, the constant last. All
/// samples take one piece of the weights before any takes the next, so that the weights stay in cache.
template <class Scalar>
bool affine_fields(std::size_t size, std::span<Scalar* const> outputs, const field_matrix& weights,
                   std::span<const Scalar* const> inputs) {
    constexpr std::size_t tile = 8 * field_block;
    const std::size_t k = outputs.size();
    TWEEDIE_ASSERT(k == weights.rows() && inputs.size() == weights.columns(),
                   "affine_fields: the matrix's rows and columns");
    small_array<char, 64> late(k);
    std::size_t terms = 0;
    for (std::size_t row = 0; row < k; ++row) {
        late[row] = 0;
        terms += weights.terms(row).size();
        for (std::size_t later = row + 1; later < k; ++later) {
            for (const field_matrix::term& t : weights.terms(later)) {
                if (t.column < inputs.size() && inputs[t.column] == outputs[row]) { late[row] = 1; }
            }
        }
    }
    const std::size_t period = weights.period();
    const std::size_t periods = (size + period - 1) / period;
    const std::size_t tiles = (period + tile - 1) / tile;
    return for_each_index(tiles * periods, size * (k + terms), [&](std::size_t index) {
        const std::size_t start = index % periods * period;
        const std::size_t first = index / periods * tile;
        const std::size_t last = std::min({first + tile, period, size - start});
        if (first >= last) { return true; }
        small_array<Scalar*, 64> out(k);
        small_array<const Scalar*, 64> in(inputs.size());
        for (std::size_t row = 0; row < k; ++row) { out[row] = outputs[row] + start; }
        for (std::size_t j = 0; j < inputs.size(); ++j) { in[j] = inputs[j] + start; }
        return affine_field_range<Scalar>(first, last, out.data(), weights, in.data(), late.data());
    });
}

}  // namespace tweedie::detail
