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
#include <vector>

namespace tweedie::detail {

/// Elements [first, last) of every output, for a sample whose element 0 is the first of a period: a block in
/// cache at a time, the rows that vary, then the others.
///
/// - late  of each row that varies, whether its output is an input of a later row: then it is collected
///         aside.
template <class Scalar>
bool affine_field_range(std::size_t first, std::size_t last, Scalar* const* outputs,
                        const field_matrix& weights, const Scalar* const* inputs, const char* late) {
    constexpr std::size_t budget = 4096;
    constexpr std::size_t group = field_group<Scalar>;
    const std::vector<field_matrix::row>& rows = weights.rows();
    const std::vector<std::size_t>& read = weights.uniform_columns();
    std::size_t aside = 0;
    std::size_t others = 0;
    for (std::size_t r = 0; r < rows.size(); ++r) {
        aside += late[r] != 0 ? 1U : 0U;
        others += rows[r].varies ? 0U : 1U;
    }
    const std::size_t block = budget / std::max<std::size_t>(aside, 4) / group * group;
    small_array<Scalar, budget> buffer(aside * block);
    small_array<const Scalar*, 64> in(weights.columns());
    small_array<Scalar*, 64> to(others);
    bool finite = true;
    for (std::size_t begin = first; begin < last; begin += block) {
        const std::size_t size = std::min(block, last - begin);
        Scalar* next = buffer.data();
        others = 0;
        for (std::size_t r = 0; r < rows.size(); ++r) {
            if (!rows[r].varies) {
                to[others++] = outputs[r] + begin;
                continue;
            }
            const std::vector<std::size_t>& columns = rows[r].columns;
            for (std::size_t j = 0; j < columns.size(); ++j) { in[j] = inputs[columns[j]] + begin; }
            Scalar* const out = late[r] != 0 ? next : outputs[r] + begin;
            if (late[r] != 0) { next += block; }
            const Scalar sum =
                field_row(size, out, weights.weights<Scalar>(r, begin), weights.stride<Scalar>(), in.data(),
                          columns.size(), rows[r].constant);
            finite = (is_finite(sum) || all_finite(out, size)) && finite;
        }
        for (std::size_t j = 0; j < read.size(); ++j) { in[j] = inputs[read[j]] + begin; }
        finite = affine_rows(std::size_t{0}, size, others, to.data(), weights.uniform<Scalar>().data(),
                             read.size(), in.data(), read.size()) &&
                 finite;
        next = buffer.data();
        for (std::size_t r = 0; r < rows.size(); ++r) {
            if (late[r] == 0) { continue; }
            std::copy_n(next, size, outputs[r] + begin);
            next += block;
        }
    }
    return finite;
}

/// Of each row that varies, whether its output is an input of a row that is computed after it.
template <class Scalar>
void find_late_rows(const Scalar* const* outputs, const field_matrix& weights, const Scalar* const* inputs,
                    char* late) {
    const std::vector<field_matrix::row>& rows = weights.rows();
    for (std::size_t r = 0; r < rows.size(); ++r) {
        late[r] = 0;
        for (std::size_t other = 0; other < rows.size() && rows[r].varies; ++other) {
            if (rows[other].varies && other <= r) { continue; }
            for (const std::size_t c : rows[other].columns) {
                if (inputs[c] == outputs[r]) { late[r] = 1; }
            }
        }
    }
}

/// `affine` with weights that differ from element to element, for `size` scalars in samples that lie one
/// after the other.
///
/// Rounds as `affine` does: weights and terms in `Scalar`, added from left to right, the constant last. All
/// samples take one piece of the weights before any takes the next, so that the weights stay in cache.
template <class Scalar>
bool affine_fields(std::size_t size, std::span<Scalar* const> outputs, const field_matrix& weights,
                   std::span<const Scalar* const> inputs) {
    constexpr std::size_t tile = 4096;  // elements, a multiple of every group
    const std::size_t k = outputs.size();
    TWEEDIE_ASSERT(k == weights.rows().size() && inputs.size() == weights.columns(),
                   "affine_fields: the matrix's rows and columns");
    small_array<char, 64> late(k);
    find_late_rows<Scalar>(outputs.data(), weights, inputs.data(), late.data());
    const std::size_t period = weights.period();
    const std::size_t periods = (size + period - 1) / period;
    const std::size_t tiles = (period + tile - 1) / tile;
    return for_each_index(tiles * periods, size * (k + inputs.size()), [&](std::size_t index) {
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
