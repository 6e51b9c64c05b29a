// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/parallel.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace tweedie::analytic {

/// A law of data whose denoiser is known in closed form: `gaussian`, `mixture`, `empirical`, or one of your
/// own.
///
/// - `dimension()`      elements of one sample.
/// - `denoise(x, at)`   x0_hat = E[x0 | x] of each column of x, a dimension x samples matrix.
///
/// Semantics the compiler cannot check: a column of the result depends on that column of x and on the level
/// alone.
template <class Model>
concept exact_denoiser = requires(const Model& model, const Eigen::MatrixXd& x, const level& at) {
    { model.dimension() } -> std::convertible_to<Eigen::Index>;
    { model.denoise(x, at) } -> std::convertible_to<Eigen::MatrixXd>;
};

/// A tensor whose elements lie one after the other in CPU memory: what an exact denoiser reads and writes.
///
/// Not satisfied? Exact denoisers compute with Eigen in double; elsewhere, copy the state into such a tensor.
template <class T>
concept cpu_tensor = tensor<T> && requires(T& out, const T& x) {
    { tensor_traits<T>::data(out) } -> std::same_as<scalar_t<T>*>;
    { tensor_traits<T>::data(x) } -> std::same_as<const scalar_t<T>*>;
};

}  // namespace tweedie::analytic

namespace tweedie::detail {

inline void require_finite(const Eigen::Ref<const Eigen::MatrixXd>& values, const char* rule) {
    if (!values.allFinite()) { throw std::invalid_argument(rule); }
}

/// The level and the shape that every member of an exact denoiser checks first.
inline void require_query(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at, Eigen::Index dimension,
                          const char* who) {
    if (!(at.alpha >= 0.0 && at.sigma >= 0.0 && at.alpha + at.sigma > 0.0 && std::isfinite(at.alpha) &&
          std::isfinite(at.sigma))) {
        throw std::invalid_argument(std::string(who) +
                                    ": alpha and sigma must be finite, not negative and not both zero");
    }
    if (x.rows() != dimension) {
        throw std::invalid_argument(std::string(who) + ": a sample must have " + std::to_string(dimension) +
                                    " elements, not " + std::to_string(x.rows()));
    }
}

/// Runs `body(first, count)` for blocks of columns, on several threads where `work` (multiplications) is
/// worth it. The blocks are the same for any number of threads.
template <class Body>
void for_each_block(Eigen::Index columns, Eigen::Index work, const Body& body) {
    constexpr Eigen::Index block = 32;
    const Eigen::Index blocks = (columns + block - 1) / block;
    for_each_index(static_cast<std::size_t>(blocks), static_cast<std::size_t>(work), [&](std::size_t index) {
        const Eigen::Index first = static_cast<Eigen::Index>(index) * block;
        body(first, std::min(block, columns - first));
        return true;
    });
}

/// out = a b, with the inner dimension in slabs: Eigen runs large products on its own threads and would cut
/// a longer one where their number says, which changes the last bits.
template <class A, class B>
void multiply(Eigen::MatrixXd& out, const Eigen::MatrixBase<A>& a, const Eigen::MatrixBase<B>& b) {
    constexpr Eigen::Index slab = 128;
    out.setZero(a.rows(), b.cols());
    for (Eigen::Index first = 0; first < a.cols(); first += slab) {
        const Eigen::Index count = std::min(slab, a.cols() - first);
        out.noalias() += a.middleCols(first, count) * b.middleRows(first, count);
    }
}

template <class A, class B>
[[nodiscard]] Eigen::MatrixXd product(const Eigen::MatrixBase<A>& a, const Eigen::MatrixBase<B>& b) {
    Eigen::MatrixXd out;
    multiply(out, a, b);
    return out;
}

/// x0_hat of every sample of a tensor.
template <analytic::exact_denoiser Model, analytic::cpu_tensor T>
void write_x0(const Model& model, const T& x, const level& at, T& out, const char* who) {
    using traits = tensor_traits<T>;
    using matrix = Eigen::Matrix<scalar_t<T>, Eigen::Dynamic, Eigen::Dynamic>;
    const Eigen::Index rows = model.dimension();
    const auto samples = static_cast<Eigen::Index>(traits::batch(x));
    const auto size = static_cast<Eigen::Index>(traits::size(x));
    if (size != samples * rows) {
        throw std::invalid_argument(std::string(who) + ": x must hold " + std::to_string(rows) +
                                    " elements per sample; it has " + std::to_string(size) + " in " +
                                    std::to_string(samples) + " samples");
    }
    if (!traits::same_shape(x, out)) {
        throw std::invalid_argument(std::string(who) + ": out must have the shape of x");
    }
    const Eigen::Map<const matrix> from(traits::data(x), rows, samples);
    Eigen::Map<matrix> to(traits::data(out), rows, samples);
    if constexpr (std::same_as<scalar_t<T>, double>) {
        to = model.denoise(from, at);
    } else {
        const Eigen::MatrixXd wide = from.template cast<double>();
        to = model.denoise(wide, at).template cast<scalar_t<T>>();
    }
}

}  // namespace tweedie::detail
