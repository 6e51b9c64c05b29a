// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie {

namespace detail {

/// Elements whose weights lie together: a run of this length of one weight, then of the next.
inline constexpr std::size_t field_block = 512;

/// Short samples are written down as several, so that a pass over many of them is long.
inline constexpr std::size_t field_period = 1024;

}  // namespace detail

/// The weights of one pass that differ from element to element: a small matrix, and a constant per row, for
/// each element of a sample.
///
/// Made once, by `program`; a pass reads it from front to back. Held in both scalars, so that a pass over
/// floats reads floats.
class field_matrix {
public:
    /// A weight that is not zero. Column `columns()` is the constant.
    struct entry {
        std::size_t row = 0;
        std::size_t column = 0;
        std::vector<double> values;  // one per element of a sample, or one for all
    };

    /// Where `affine_fields` finds the weights of a term: block `block` of a varying one begins at
    /// `varying[(block * varying_terms + place) * field_block]`, any block of another at `uniform[place *
    /// field_block]`.
    struct term {
        std::size_t column = 0;
        bool varies = false;
        std::size_t place = 0;
    };

    /// - `elements`  of a sample; 0 where no weight differs.
    /// - `entries`   by row; terms are added in their order, the constant last.
    field_matrix(std::size_t elements, std::size_t rows, std::size_t columns,
                 const std::vector<entry>& entries)
        : elements_(elements), rows_(rows), columns_(columns), first_(rows + 1, 0) {
        std::size_t uniform_terms = 0;
        for (const entry& e : entries) {
            TWEEDIE_ASSERT(e.row < rows && e.column <= columns, "field_matrix: entries inside the matrix");
            TWEEDIE_ASSERT(e.values.size() == 1 || e.values.size() == elements,
                           "field_matrix: one number per element, or one");
            const bool varies = e.values.size() > 1;
            terms_.push_back({e.column, varies, varies ? varying_terms_++ : uniform_terms++});
            ++first_[e.row + 1];
        }
        for (std::size_t r = 0; r < rows; ++r) { first_[r + 1] += first_[r]; }
        period_ = elements;
        while (period_ != 0 && period_ < detail::field_period) { period_ += elements; }
        if (period_ == 0 || varying_terms_ == 0) { period_ = 8 * detail::field_period; }
        pack(entries, uniform_terms, doubles_);
        pack(entries, uniform_terms, floats_);
    }

    [[nodiscard]] std::size_t elements() const { return elements_; }
    [[nodiscard]] std::size_t rows() const { return rows_; }
    [[nodiscard]] std::size_t columns() const { return columns_; }

    /// What column `column` is multiplied by in row `row`, at element `element` of every sample; of column
    /// `columns()`, what is added.
    [[nodiscard]] double weight(std::size_t row, std::size_t column, std::size_t element) const {
        for (const term& t : terms(row)) {
            if (t.column == column) { return weights<double>(t, element); }
        }
        return 0.0;
    }

    // The weights as they lie, for `contiguous_tensor_traits`.

    /// The terms of a row.
    [[nodiscard]] std::span<const term> terms(std::size_t row) const {
        return std::span(terms_).subspan(first_[row], first_[row + 1] - first_[row]);
    }

    /// The elements after which the weights begin again: some whole samples.
    [[nodiscard]] std::size_t period() const { return period_; }

    /// The weights of a term from element `first` of the period to the end of its block.
    template <class Scalar>
    [[nodiscard]] const Scalar& weights(const term& t, std::size_t first) const {
        constexpr std::size_t block = detail::field_block;
        const packed<Scalar>& all = in<Scalar>();
        if (!t.varies) { return all.uniform[t.place * block + first % block]; }
        return all.varying[(first / block * varying_terms_ + t.place) * block + first % block];
    }

    /// Calls `visit` with every weight in double.
    template <class Visit>
    void each_weight(const Visit& visit) const {
        for (const double w : doubles_.varying) { visit(w); }
        for (const double w : doubles_.uniform) { visit(w); }
    }

private:
    template <class Scalar>
    struct packed {
        std::vector<Scalar> varying;
        std::vector<Scalar> uniform;
    };

    template <class Scalar>
    [[nodiscard]] const packed<Scalar>& in() const {
        if constexpr (std::same_as<Scalar, float>) {
            return floats_;
        } else {
            return doubles_;
        }
    }

    template <class Scalar>
    void pack(const std::vector<entry>& entries, std::size_t uniform_terms, packed<Scalar>& to) const {
        constexpr std::size_t block = detail::field_block;
        const std::size_t blocks = (period_ + block - 1) / block;
        to.varying.assign(blocks * varying_terms_ * block, Scalar{0});
        to.uniform.resize(uniform_terms * block);
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const std::vector<double>& values = entries[i].values;
            const std::size_t place = terms_[i].place;
            if (!terms_[i].varies) {
                std::fill_n(to.uniform.begin() + static_cast<std::ptrdiff_t>(place * block), block,
                            static_cast<Scalar>(values[0]));
                continue;
            }
            for (std::size_t e = 0; e < period_; ++e) {
                to.varying[(e / block * varying_terms_ + place) * block + e % block] =
                    static_cast<Scalar>(values[e % elements_]);
            }
        }
    }

    std::size_t elements_;
    std::size_t rows_;
    std::size_t columns_;
    std::size_t varying_terms_ = 0;
    std::size_t period_ = 0;
    std::vector<std::size_t> first_;  // of each row's terms; the end
    std::vector<term> terms_;
    packed<double> doubles_;
    packed<float> floats_;
};

/// A tensor that runs plans with fields.
///
/// - `affine_fields`  is `affine` with a matrix for each element of a sample, and a constant:
///                    `outputs[k][s][e] = sum_j m.weight(k, j, e) inputs[j][s][e] + m.weight(k, inputs.size(),
///                    e)` for every sample s.
template <class T>
concept combines_fields = tensor<T> && requires(std::span<T* const> outputs, const field_matrix& weights,
                                                std::span<const T* const> inputs) {
    { tensor_traits<T>::affine_fields(outputs, weights, inputs) } -> std::same_as<bool>;
};

}  // namespace tweedie
