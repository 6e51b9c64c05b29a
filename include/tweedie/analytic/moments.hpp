// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::analytic {

/// What the sum of squares of n samples is divided by to give a covariance.
enum class divisor {
    samples,            ///< n: maximum likelihood, the covariance of the data themselves
    samples_minus_one,  ///< n - 1: unbiased; 0 for one sample
};

/// A batch of samples to learn from: a tensor in CPU memory, or a view that can be copied into one.
template <class X>
concept sample_batch = tensor_or_view<X> && cpu_tensor<owned_t<X>>;

}  // namespace tweedie::analytic

namespace tweedie::detail {

/// `body(columns)` with the samples of a batch as the columns of a matrix of its scalar.
template <analytic::sample_batch X, class Body>
void with_columns(const X& batch, Eigen::Index dimension, const char* who, const Body& body) {
    using traits = tensor_traits<X>;
    using matrix = Eigen::Matrix<scalar_t<X>, Eigen::Dynamic, Eigen::Dynamic>;
    if constexpr (!tensor<X>) {
        owned_t<X> owned = traits::like(batch);
        traits::load(owned, batch);
        with_columns(owned, dimension, who, body);
    } else {
        const auto samples = static_cast<Eigen::Index>(traits::batch(batch));
        const auto size = static_cast<Eigen::Index>(traits::size(batch));
        if (size != samples * dimension) {
            throw std::invalid_argument(std::string(who) + ": a batch must hold " +
                                        std::to_string(dimension) + " elements per sample; it has " +
                                        std::to_string(size) + " in " + std::to_string(samples) + " samples");
        }
        const Eigen::Map<const matrix> columns(traits::data(batch), dimension, samples);
        if (!columns.allFinite()) {
            throw std::invalid_argument(std::string(who) + ": the data must be finite");
        }
        body(columns);
    }
}

/// Room for the next columns, in double: what is done with them does not depend on how they came.
struct column_buffer {
    Eigen::MatrixXd columns;  ///< those in use first
    Eigen::Index used = 0;

    /// Calls `full()` whenever `room` columns are in use; `full` uses them up (`used = 0`).
    template <class Columns, class Full>
    void add(const Eigen::MatrixBase<Columns>& more, Eigen::Index room, const Full& full) {
        for (Eigen::Index first = 0; first < more.cols();) {
            const Eigen::Index count = std::min(room - used, more.cols() - first);
            columns.middleCols(used, count) = more.middleCols(first, count).template cast<double>();
            used += count;
            first += count;
            if (used == room) { full(); }
        }
    }
};

/// lower += columns columns^T, on and below the diagonal, in square tiles and in slabs as `multiply`.
inline void add_scatter(Eigen::MatrixXd& lower, const Eigen::Ref<const Eigen::MatrixXd>& columns) {
    constexpr Eigen::Index widest = 128;
    constexpr Eigen::Index slab = 128;
    const Eigen::Index d = lower.rows();
    const Eigen::Index parts = (d + widest - 1) / widest;
    const Eigen::Index width = (d + parts - 1) / parts;
    const auto work = static_cast<std::size_t>(d) * static_cast<std::size_t>(d * columns.cols()) / 16;
    for_each_index(static_cast<std::size_t>(parts * (parts + 1) / 2), work, [&](std::size_t index) {
        const auto tile = static_cast<Eigen::Index>(index);
        Eigen::Index row = 0;
        while ((row + 1) * (row + 2) / 2 <= tile) { ++row; }
        const Eigen::Index i = row * width;
        const Eigen::Index j = (tile - row * (row + 1) / 2) * width;
        if (i >= d) { return true; }
        const Eigen::Index rows = std::min(width, d - i);
        const Eigen::Index cols = std::min(width, d - j);
        for (Eigen::Index first = 0; first < columns.cols(); first += slab) {
            const Eigen::Index count = std::min(slab, columns.cols() - first);
            lower.block(i, j, rows, cols).noalias() +=
                columns.block(i, first, rows, count) * columns.block(j, first, cols, count).transpose();
        }
        return true;
    });
}

}  // namespace tweedie::detail

namespace tweedie::analytic {

/// Mean and covariance of samples that come batch by batch.
///
///     n = n_a + n_b,    delta = mean_b - mean_a
///     mean = mean_a + delta n_b / n,    scatter = scatter_a + scatter_b + delta delta^T n_a n_b / n
///
/// Source: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample
/// variances, equations 2.1. a is what was there, b the next block of samples with its own mean taken away;
/// means are counted from that of the first block. So no digits are lost to a large mean. All in double,
/// whatever the batches hold.
///
/// - bits    the same however the samples are cut into batches, in whatever tensors of one scalar they come,
///           for any number of threads. `merge` ends a block: parts cut elsewhere round otherwise.
/// - cost    d^2 multiplications per sample, by matrix products; holds d (d + 513) doubles.
/// - errors  `std::invalid_argument`: samples of another size, values that are not finite (the batch is not
///           added then), no samples where a result is asked for.
/// - choose  for any number of samples and up to a few thousand dimensions; beyond that `randomized_fit`.
class moments {
public:
    /// - `dimension`  elements of a sample; >= 1.
    explicit moments(Eigen::Index dimension) {
        if (!(dimension >= 1)) { throw std::invalid_argument("moments: dimension must be at least 1"); }
        shift_ = Eigen::VectorXd::Zero(dimension);
        mean_ = shift_;
        scatter_ = Eigen::MatrixXd::Zero(dimension, dimension);
        waiting_.columns.resize(dimension, room + 1);
    }

    /// Takes in the samples of a batch, of any number; see `sample_batch`.
    template <sample_batch X>
    void add(const X& batch) {
        detail::with_columns(batch, dimension(), "moments",
                             [&](const auto& columns) { waiting_.add(columns, room, [&] { settle(); }); });
    }

    /// Takes in the samples of another: of another thread, machine or file. The same parts merged in the same
    /// order give the same bits.
    void merge(const moments& other) {
        if (other.dimension() != dimension()) {
            throw std::invalid_argument("moments: merge needs samples of the same dimension");
        }
        if (other.count() == 0) { return; }
        const moments settled = other.settled();
        if (count() == 0) {
            *this = settled;
            return;
        }
        settle();
        const double n = static_cast<double>(settled_ + settled.settled_);
        const double share = static_cast<double>(settled.settled_) / n;
        const Eigen::VectorXd delta = (settled.shift_ - shift_) + (settled.mean_ - mean_);
        scatter_ += settled.scatter_;
        detail::add_scatter(scatter_, std::sqrt(static_cast<double>(settled_) * share) * delta);
        mean_ += share * delta;
        settled_ += settled.settled_;
    }

    /// All that is known as plain numbers, to send or to keep: dimension, count, a shift, the mean from there
    /// and the sums of products on and below the diagonal; 2 + d (d + 5) / 2 in all. Of blocks of samples
    /// that many ranks make, merged in the order of blocks, they are the same whoever made which:
    ///
    ///     for_each_block<double>(ranks, blocks,
    ///         [&](std::size_t b) { moments m(d); m.add(samples_of(b)); return m.numbers(); },
    ///         [&](std::size_t, std::span<const double> n) { all.merge(moments::from_numbers(n)); });
    ///
    /// - choose  over sending the samples where a block has more than d / 2 of them.
    [[nodiscard]] std::vector<double> numbers() const {
        const moments whole = settled();
        std::vector<double> out = {static_cast<double>(dimension()), static_cast<double>(count())};
        out.insert(out.end(), whole.shift_.begin(), whole.shift_.end());
        out.insert(out.end(), whole.mean_.begin(), whole.mean_.end());
        for (Eigen::Index j = 0; j < dimension(); ++j) {
            const auto below = whole.scatter_.col(j).tail(dimension() - j);
            out.insert(out.end(), below.begin(), below.end());
        }
        return out;
    }

    /// The moments that `numbers` gave; merged into others they give the bits of the original.
    /// - errors  `std::invalid_argument`: numbers of something else.
    [[nodiscard]] static moments from_numbers(std::span<const double> numbers) {
        const double d = numbers.empty() ? 0.0 : numbers[0];
        const double count = numbers.size() < 2 ? -1.0 : numbers[1];
        if (!(d >= 1.0 && std::floor(d) == d &&
              2.0 + d * (d + 5.0) / 2.0 == static_cast<double>(numbers.size()) && count >= 0.0 &&
              std::floor(count) == count && count < 0x1p53)) {
            throw std::invalid_argument("moments: from_numbers needs what numbers() gave");
        }
        moments out(static_cast<Eigen::Index>(d));
        out.settled_ = static_cast<Eigen::Index>(count);
        const double* next = numbers.data() + 2;
        const auto take = [&](auto&& column) {
            column = Eigen::Map<const Eigen::VectorXd>(next, column.size());
            next += column.size();
        };
        take(out.shift_);
        take(out.mean_);
        for (Eigen::Index j = 0; j < out.dimension(); ++j) {
            take(out.scatter_.col(j).tail(out.dimension() - j));
        }
        return out;
    }

    [[nodiscard]] Eigen::Index dimension() const { return mean_.size(); }
    /// Samples so far.
    [[nodiscard]] Eigen::Index count() const { return settled_ + waiting_.used; }

    [[nodiscard]] Eigen::VectorXd mean() const {
        require_samples();
        if (waiting_.used == 0) { return shift_ + mean_; }
        const Eigen::VectorXd shift = next_shift();
        // evaluated first, as `settle` does: the sum of an expression is taken in another order
        const Eigen::MatrixXd shifted = waiting_.columns.leftCols(waiting_.used).colwise() - shift;
        const Eigen::VectorXd next = shifted.rowwise().mean();
        const double share = static_cast<double>(waiting_.used) / static_cast<double>(count());
        return shift + (mean_ + share * (next - mean_));
    }

    /// The covariance, d x d, symmetric to the bit.
    [[nodiscard]] Eigen::MatrixXd covariance(divisor divide_by = divisor::samples) const {
        require_samples();
        moments whole = settled();
        const double n = static_cast<double>(count());
        whole.scatter_ /= divide_by == divisor::samples ? n : std::max(1.0, n - 1.0);
        whole.scatter_.triangularView<Eigen::StrictlyUpper>() = whole.scatter_.transpose();
        return std::move(whole.scatter_);
    }

private:
    // with the column of the means four slabs of `add_scatter`
    static constexpr Eigen::Index room = 511;

    void require_samples() const {
        if (count() == 0) { throw std::invalid_argument("moments: need at least one sample"); }
    }

    [[nodiscard]] moments settled() const {
        moments out = *this;
        out.settle();
        return out;
    }

    [[nodiscard]] Eigen::VectorXd next_shift() const {
        if (settled_ > 0) { return shift_; }
        return waiting_.columns.leftCols(waiting_.used).rowwise().mean();
    }

    /// Adds the waiting samples to mean and scatter.
    void settle() {
        const Eigen::Index count = waiting_.used;
        if (count == 0) { return; }
        const double n = static_cast<double>(settled_ + count);
        const double share = static_cast<double>(count) / n;
        shift_ = next_shift();
        waiting_.columns.leftCols(count).colwise() -= shift_;
        const Eigen::VectorXd mean = waiting_.columns.leftCols(count).rowwise().mean();
        waiting_.columns.leftCols(count).colwise() -= mean;
        waiting_.columns.col(count) = std::sqrt(static_cast<double>(settled_) * share) * (mean - mean_);
        detail::add_scatter(scatter_, waiting_.columns.leftCols(settled_ > 0 ? count + 1 : count));
        mean_ += share * (mean - mean_);
        settled_ += count;
        waiting_.used = 0;
    }

    Eigen::VectorXd shift_;
    Eigen::VectorXd mean_;     // of the settled samples, from the shift
    Eigen::MatrixXd scatter_;  // sum of (x - mean) (x - mean)^T, on and below the diagonal
    Eigen::Index settled_ = 0;
    detail::column_buffer waiting_;
};

}  // namespace tweedie::analytic
