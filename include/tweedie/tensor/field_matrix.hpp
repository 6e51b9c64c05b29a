// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/affine.hpp>
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

/// Short samples are written down as several, so that a pass over many of them is long.
inline constexpr std::size_t field_period = 1024;

}  // namespace detail

/// The weights of one pass that differ from element to element: a small matrix, and a constant per row, for
/// each element of a sample.
///
/// Made once, by `program`. Held in both scalars, so that a pass over floats reads floats.
class field_matrix {
public:
    /// A weight that is not zero. Column `columns()` is the constant.
    struct entry {
        std::size_t row = 0;
        std::size_t column = 0;
        std::vector<double> values;  // one per element of a sample, or one for all
    };

    /// A row as it is computed. Of one that varies, `place` is the number of its first weight among all that
    /// vary; of another, its number among those.
    struct row {
        bool varies = false;
        bool constant = false;
        std::size_t place = 0;
        std::vector<std::size_t> columns;  // that it reads
    };

    /// - `elements`  of a sample; 0 where no weight differs.
    /// - `entries`   by row; terms are added in their order, the constant last.
    field_matrix(std::size_t elements, std::size_t rows, std::size_t columns,
                 const std::vector<entry>& entries)
        : elements_(elements), columns_(columns), rows_(rows) {
        for (const entry& e : entries) {
            TWEEDIE_ASSERT(e.row < rows && e.column <= columns, "field_matrix: entries inside the matrix");
            TWEEDIE_ASSERT(e.values.size() == 1 || e.values.size() == elements,
                           "field_matrix: one number per element, or one");
            row& of = rows_[e.row];
            of.constant = of.constant || e.column == columns;
            of.varies = of.varies || e.values.size() > 1 || of.constant;
            if (e.column != columns) { of.columns.push_back(e.column); }
        }
        std::size_t uniform_rows = 0;
        for (row& r : rows_) {
            r.place = r.varies ? varying_ : uniform_rows++;
            if (r.varies) { varying_ += r.columns.size() + (r.constant ? 1 : 0); }
            for (const std::size_t c : r.columns) {
                if (!r.varies && std::find(read_.begin(), read_.end(), c) == read_.end()) {
                    read_.push_back(c);
                }
            }
        }
        std::sort(read_.begin(), read_.end());
        period_ = elements == 0 ? detail::field_period : elements;
        while (period_ < detail::field_period) { period_ += elements; }
        pack(entries, uniform_rows, doubles_);
        pack(entries, uniform_rows, floats_);
    }

    /// Of a sample; 0: any.
    [[nodiscard]] std::size_t elements() const { return elements_; }
    [[nodiscard]] std::size_t columns() const { return columns_; }

    /// What column `column` is multiplied by in row `at`, at element `element` of every sample; of column
    /// `columns()`, what is added.
    [[nodiscard]] double weight(std::size_t at, std::size_t column, std::size_t element) const {
        const row& r = rows_[at];
        const auto place = std::find(r.columns.begin(), r.columns.end(), column);
        const bool reads = place != r.columns.end();
        if (!reads && !(column == columns_ && r.constant)) { return 0.0; }
        if (r.varies) {
            constexpr std::size_t group = detail::field_group<double>;
            const auto term = static_cast<std::size_t>(place - r.columns.begin());
            return weights<double>(at, element / group * group)[term * group + element % group];
        }
        const auto j =
            static_cast<std::size_t>(std::find(read_.begin(), read_.end(), column) - read_.begin());
        return uniform<double>()[r.place * read_.size() + j];
    }

    // The weights as they lie, for `contiguous_tensor_traits`.

    [[nodiscard]] const std::vector<row>& rows() const { return rows_; }

    /// The elements after which the weights begin again: some whole samples.
    [[nodiscard]] std::size_t period() const { return period_; }

    /// The weights of a row that varies, from an element of the period on which a group begins: those of the
    /// group for each column that the row reads, and the constant; `stride` further on those of the next
    /// group.
    template <class Scalar>
    [[nodiscard]] const Scalar* weights(std::size_t at, std::size_t element) const {
        constexpr std::size_t group = detail::field_group<Scalar>;
        return in<Scalar>().varying.data() + (element / group * varying_ + rows_[at].place) * group;
    }
    template <class Scalar>
    [[nodiscard]] std::size_t stride() const {
        return varying_ * detail::field_group<Scalar>;
    }

    /// The matrix of the other rows, over `uniform_columns()`.
    template <class Scalar>
    [[nodiscard]] const std::vector<Scalar>& uniform() const {
        return in<Scalar>().uniform;
    }
    [[nodiscard]] const std::vector<std::size_t>& uniform_columns() const { return read_; }

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
    void pack(const std::vector<entry>& entries, std::size_t uniform_rows, packed<Scalar>& to) const {
        constexpr std::size_t group = detail::field_group<Scalar>;
        const std::size_t groups = (period_ + group - 1) / group;
        to.varying.assign(groups * varying_ * group, Scalar{0});
        to.uniform.assign(uniform_rows * read_.size(), Scalar{0});
        std::size_t next = 0;  // among the weights that vary
        for (const entry& from : entries) {
            const row& r = rows_[from.row];
            if (!r.varies) {
                const auto j = std::find(read_.begin(), read_.end(), from.column) - read_.begin();
                to.uniform[r.place * read_.size() + static_cast<std::size_t>(j)] =
                    static_cast<Scalar>(from.values[0]);
                continue;
            }
            for (std::size_t e = 0; e < period_; ++e) {
                to.varying[(e / group * varying_ + next) * group + e % group] = static_cast<Scalar>(
                    from.values.size() == 1 ? from.values[0] : from.values[e % elements_]);
            }
            ++next;
        }
    }

    std::size_t elements_;
    std::size_t columns_;
    std::size_t varying_ = 0;  // weights and constants of the rows that vary
    std::size_t period_ = 0;
    std::vector<row> rows_;
    std::vector<std::size_t> read_;  // by the other rows
    packed<double> doubles_;
    packed<float> floats_;
};

/// A tensor that runs plans with fields.
///
/// - `affine_fields`  is `affine` with a matrix for each element of a sample, and a constant:
///                    `outputs[k][s][e] = sum_j m.weight(k, j, e) inputs[j][s][e] + m.weight(k,
///                    inputs.size(), e)` for every sample s.
template <class T>
concept combines_fields = tensor<T> && requires(std::span<T* const> outputs, const field_matrix& weights,
                                                std::span<const T* const> inputs) {
    { tensor_traits<T>::affine_fields(outputs, weights, inputs) } -> std::same_as<bool>;
};

}  // namespace tweedie
