// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/moments.hpp>
#include <tweedie/detail/fit_counter.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/random/normal.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>

namespace tweedie::analytic {

/// Options of `largest_eigenpairs` and `randomized_fit`.
struct randomized_options {
    Eigen::Index rank = 64;          ///< directions wanted, those of most variance; in [0, dimension]
    Eigen::Index oversampling = 10;  ///< directions computed besides and thrown away; >= 0
    int power_iterations = 4;        ///< one pass over the data each; >= 0; none if the tail does not matter
    std::uint64_t seed = 0;          ///< of the directions it starts from
    double added_variance = 0.0;     ///< of the fit, see `gaussian_fit_options`
    divisor divide_by = divisor::samples;     ///< of the fit
    left_out remainder = left_out::averaged;  ///< of the fit
};

/// Eigenvalues, the largest first, and as many orthonormal columns.
struct eigenpairs {
    Eigen::VectorXd values;
    Eigen::MatrixXd vectors;
};

}  // namespace tweedie::analytic

namespace tweedie::detail {

inline void require_randomized(const analytic::randomized_options& options, Eigen::Index dimension) {
    if (!(dimension >= 1)) {
        throw std::invalid_argument("randomized: need samples of at least one element");
    }
    if (!(options.rank >= 0 && options.rank <= dimension)) {
        throw std::invalid_argument("randomized: rank must lie in [0, dimension]");
    }
    if (!(options.oversampling >= 0 && options.power_iterations >= 0)) {
        throw std::invalid_argument("randomized: oversampling and power_iterations must not be negative");
    }
    if (!(options.added_variance >= 0.0 && std::isfinite(options.added_variance))) {
        throw std::invalid_argument("randomized: added_variance must be finite and not negative");
    }
}

/// An orthonormal basis of the span of the columns, by Gram and Schmidt, twice; columns that depend on those
/// before them to rounding are left out.
[[nodiscard]] inline Eigen::MatrixXd orthonormal(const Eigen::MatrixXd& columns) {
    Eigen::MatrixXd out(columns.rows(), columns.cols());
    Eigen::Index rank = 0;
    for (Eigen::Index k = 0; k < columns.cols(); ++k) {
        Eigen::VectorXd next = columns.col(k);
        const double before = next.norm();
        for (int twice = 0; twice < 2; ++twice) {
            const Eigen::VectorXd along = out.leftCols(rank).transpose() * next;
            next.noalias() -= out.leftCols(rank) * along;
        }
        const double left = next.norm();
        if (!(left > 1e-14 * before)) { continue; }
        out.col(rank++) = next / left;
    }
    return out.leftCols(rank);
}

/// out += C (C^T x), in pieces that are the same for any number of threads.
inline void add_covariance_product(Eigen::MatrixXd& out, const Eigen::Ref<const Eigen::MatrixXd>& c,
                                   const Eigen::MatrixXd& x) {
    constexpr Eigen::Index piece = 128;
    const auto each_piece = [&](Eigen::Index size, const auto& body) {
        const auto work = static_cast<std::size_t>(c.size() * x.cols() / 8);  // several per scalar touched
        for_each_index(static_cast<std::size_t>((size + piece - 1) / piece), work, [&](std::size_t index) {
            const Eigen::Index first = static_cast<Eigen::Index>(index) * piece;
            body(first, std::min(piece, size - first));
            return true;
        });
    };
    Eigen::MatrixXd along(c.cols(), x.cols());
    each_piece(c.cols(), [&](Eigen::Index first, Eigen::Index count) {
        along.middleRows(first, count) = product(c.middleCols(first, count).transpose(), x);
    });
    each_piece(c.rows(), [&](Eigen::Index first, Eigen::Index count) {
        out.middleRows(first, count) += product(c.middleRows(first, count), along);
    });
}

/// What a caller of `randomized_fit` hands its batches to.
template <class Full>
class batch_sink {
public:
    batch_sink(Eigen::Index dimension, const Full& full) : full_(full) {
        waiting_.columns.resize(dimension, room);
    }

    template <analytic::sample_batch X>
    void operator()(const X& batch) {
        with_columns(batch, waiting_.columns.rows(), "randomized_fit",
                     [&](const auto& columns) { waiting_.add(columns, room, [&] { flush(); }); });
    }

    void flush() {
        if (waiting_.used > 0) { full_(waiting_.columns.leftCols(waiting_.used)); }
        count_ += waiting_.used;
        waiting_.used = 0;
    }

    [[nodiscard]] Eigen::Index count() const { return count_; }

private:
    static constexpr Eigen::Index room = 256;

    const Full& full_;
    column_buffer waiting_;
    Eigen::Index count_ = 0;
};

/// One pass over the data: `full(columns)` for every 256 samples. Returns how many samples there were.
template <class Visit, class Full>
Eigen::Index pass(Eigen::Index dimension, const Visit& visit, const Full& full) {
    batch_sink<Full> sink(dimension, full);
    visit(sink);
    sink.flush();
    return sink.count();
}

}  // namespace tweedie::detail

namespace tweedie::analytic {

/// The largest eigenvalues of a symmetric operator with no negative ones, and their eigenvectors.
///
///     Q = orth(C Omega),    Q = orth(C Q) `power_iterations` times,    Q^T C Q = V L V^T,    U = Q V
///
/// Source: Halko, Martinsson and Tropp 2011, Finding structure with randomness, algorithm 4.4 (randomized
/// subspace iteration) and the Rayleigh-Ritz step of algorithm 5.3 with C itself between the two Q. Omega has
/// rank + oversampling columns of normal numbers.
///
/// - `dimension`  d, rows and columns of C; >= 1.
/// - `apply`      `C X` of a d x m matrix of double, as another one.
/// - returns      `rank` pairs; fewer where C has fewer eigenvalues above rounding.
/// - accuracy     no eigenvalue comes out above the true one of its place. The relative error of number k is
///                about (l_m / l_k)^(2 power_iterations + 2), with m = rank + oversampling + 1: where the
///                eigenvalues fall, it vanishes; where they are flat, directions that hardly differ mix.
///                Whatever the spectrum, the variance that is missed is on average at most
///                1 + rank / (oversampling - 1) times the least possible (the bound of theorem 10.5).
/// - cost         power_iterations + 2 calls of `apply`; O(d m^2); holds 3 matrices of d x m. Never d x d.
/// - random       Philox numbers of `seed` that no `noise` has. Same seed, same bits.
/// - errors       `std::invalid_argument`: options out of range; `apply` returns another shape or numbers
///                that are not finite.
template <class Apply>
    requires std::invocable<Apply&, const Eigen::MatrixXd&>
[[nodiscard]] eigenpairs largest_eigenpairs(Eigen::Index dimension, Apply&& apply,
                                            const randomized_options& options = {}) {
    detail::require_randomized(options, dimension);
    const Eigen::Index columns =
        std::min(dimension, options.rank + std::min(options.oversampling, dimension - options.rank));
    const auto checked = [&](const Eigen::MatrixXd& x) {
        Eigen::MatrixXd out = apply(x);
        if (out.rows() != x.rows() || out.cols() != x.cols() || !out.allFinite()) {
            throw std::invalid_argument(
                "largest_eigenpairs: the operator must return a finite matrix of the shape of its argument");
        }
        return out;
    };
    Eigen::MatrixXd q(dimension, columns);
    for (Eigen::Index k = 0; k < columns; ++k) {
        fill_normal(detail::fit_counter(detail::fit_draw::directions, static_cast<std::uint64_t>(k)),
                    detail::fit_key(options.seed),
                    std::span<double>(q.col(k).data(), static_cast<std::size_t>(dimension)));
    }
    for (int i = 0; i <= options.power_iterations && q.cols() > 0; ++i) {
        q = detail::orthonormal(checked(q));
    }
    if (q.cols() == 0) { return {Eigen::VectorXd(0), Eigen::MatrixXd(dimension, 0)}; }
    const Eigen::MatrixXd small = detail::product(q.transpose(), checked(q));
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(0.5 * (small + small.transpose()));
    if (solver.info() != Eigen::Success) {
        throw std::invalid_argument("largest_eigenpairs: the operator has no eigendecomposition");
    }
    const Eigen::VectorXd values = solver.eigenvalues().reverse();
    const double least = static_cast<double>(q.cols()) * std::numeric_limits<double>::epsilon() * values(0);
    const Eigen::Index rank = std::min<Eigen::Index>(options.rank, (values.array() > least).count());
    const Eigen::MatrixXd largest = solver.eigenvectors().rightCols(rank).rowwise().reverse();
    return {values.head(rank), detail::product(q, largest)};
}

/// A Gaussian of low rank fitted to samples of any dimension, without a covariance matrix.
///
/// The mean, the variance in the directions that `largest_eigenpairs` finds, and in every other direction the
/// average of what is left: (tr(Sigma) - sum of the eigenvalues) / (d - rank).
///
/// - `dimension`  elements of a sample.
/// - `visit`      `visit(sink)` hands every batch of the data, from the first to the last, to `sink(batch)`;
///                it is called for each pass and must give the same samples each time. See `sample_batch`.
/// - `options`    see there. Of n samples at most n - 1 directions come back.
/// - cost         power_iterations + 3 passes, 4 d n (rank + oversampling) multiplications in each but the
///                first; holds 3 matrices of d x (rank + oversampling) and one of d x 256, in double.
/// - bits         the same however the samples are cut into batches, for any number of threads.
/// - errors       `std::invalid_argument`: no samples, samples of another size, values that are not finite,
///                passes over different numbers of samples, options out of range.
/// - choose       beyond a few thousand dimensions, or where only some directions are wanted;
///                `gaussian::fit` is exact.
template <class Visit>
[[nodiscard]] gaussian randomized_fit(Eigen::Index dimension, const Visit& visit,
                                      const randomized_options& options = {}) {
    detail::require_randomized(options, dimension);
    // sums of blocks are merged as in `moments`
    Eigen::VectorXd mean = Eigen::VectorXd::Zero(dimension);
    double scatter = 0.0;
    double before = 0.0;
    const Eigen::Index count = detail::pass(dimension, visit, [&](const auto& columns) {
        const auto more = static_cast<double>(columns.cols());
        const double share = more / (before + more);
        const Eigen::VectorXd here = columns.rowwise().mean();
        scatter += (columns.colwise() - here).squaredNorm() + before * share * (here - mean).squaredNorm();
        mean += share * (here - mean);
        before += more;
    });
    if (count < 1) { throw std::invalid_argument("randomized_fit: need at least one sample"); }
    const double divide = options.divide_by == divisor::samples ? before : std::max(1.0, before - 1.0);
    const auto covariance = [&](const Eigen::MatrixXd& x) {
        Eigen::MatrixXd out = Eigen::MatrixXd::Zero(dimension, x.cols());
        const Eigen::Index again = detail::pass(dimension, visit, [&](auto&& columns) {
            columns.colwise() -= mean;
            detail::add_covariance_product(out, columns, x);
        });
        if (again != count) {
            throw std::invalid_argument("randomized_fit: every pass must give the same samples");
        }
        out /= divide;
        return out;
    };
    eigenpairs found = largest_eigenpairs(dimension, covariance, options);
    const Eigen::Index others = dimension - found.values.size();
    double residual = options.added_variance;
    if (options.remainder == left_out::averaged && others > 0) {
        residual += std::max(0.0, scatter / divide - found.values.sum()) / static_cast<double>(others);
    }
    found.values.array() += options.added_variance;
    return gaussian::low_rank(std::move(mean), std::move(found.vectors), std::move(found.values), residual);
}

/// The same from samples that are all in memory; nothing but a block of them is copied.
template <sample_batch X>
[[nodiscard]] gaussian randomized_fit(const X& data, const randomized_options& options = {}) {
    const std::size_t samples = tensor_traits<X>::batch(data);
    const std::size_t size = tensor_traits<X>::size(data);
    if (samples == 0 || size == 0) {
        throw std::invalid_argument("randomized_fit: need at least one sample of one element");
    }
    return randomized_fit(
        static_cast<Eigen::Index>(size / samples), [&](auto& sink) { sink(data); }, options);
}

}  // namespace tweedie::analytic
