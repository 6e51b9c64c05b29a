// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>

#include <Eigen/Core>

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace tweedie {

namespace detail {

template <class Derived>
void deduce_eigen_dense(const Eigen::DenseBase<Derived>*);

/// A dense Eigen expression. (Its base is not always `DenseBase` of itself: segments derive from blocks.)
template <class Expression>
concept eigen_expression =
    std::is_class_v<Expression> && requires(const Expression* x) { detail::deduce_eigen_dense(x); };

/// The compile-time extents of two Eigen types do not contradict each other.
template <class A, class B>
inline constexpr bool eigen_extents_agree =
    (int{A::RowsAtCompileTime} == Eigen::Dynamic || int{B::RowsAtCompileTime} == Eigen::Dynamic ||
     int{A::RowsAtCompileTime} == int{B::RowsAtCompileTime}) &&
    (int{A::ColsAtCompileTime} == Eigen::Dynamic || int{B::ColsAtCompileTime} == Eigen::Dynamic ||
     int{A::ColsAtCompileTime} == int{B::ColsAtCompileTime});

/// An expression can be evaluated into `T`: same scalar, both arrays or both matrices, no contradicting
/// extents. That Eigen calls one type convertible to another says nothing: a matrix of double is
/// "convertible" to one of float.
template <class Expression, class T>
concept eigen_result_for =
    eigen_expression<Expression> && std::same_as<typename Expression::Scalar, typename T::Scalar> &&
    std::same_as<typename Eigen::internal::traits<Expression>::XprKind,
                 typename Eigen::internal::traits<T>::XprKind> &&
    eigen_extents_agree<Expression, T>;

/// Somebody else's elements that can be written to: `Map`, `Ref`, blocks, columns, rows, segments, ...
template <class View>
concept eigen_view =
    !std::is_const_v<View> && eigen_expression<View> &&
    !std::derived_from<View, Eigen::PlainObjectBase<View>> &&
    (int{Eigen::internal::traits<View>::Flags} & int{Eigen::LvalueBit}) != 0 &&
    (std::same_as<typename View::Scalar, float> || std::same_as<typename View::Scalar, double>);

/// Independent samples of an array or matrix: its columns, or its rows if they are stored one after the
/// other. A vector is one sample.
template <class Expression>
std::size_t eigen_batch(const Expression& x) {
    if constexpr (Expression::IsVectorAtCompileTime) {
        return 1;
    } else if constexpr (Expression::IsRowMajor) {
        return static_cast<std::size_t>(x.rows());
    } else {
        return static_cast<std::size_t>(x.cols());
    }
}

/// Uninitialised, as many rows and columns as `x`. Never through the constructor of two numbers: to a
/// fixed-size vector of two those are its elements.
template <class T, class Expression>
T eigen_like(const Expression& x) {
    T out;
    out.resize(x.rows(), x.cols());
    return out;
}

template <class T>
struct eigen_tensor_traits : contiguous_tensor_traits<T, typename T::Scalar> {
    using scalar = typename T::Scalar;
    static scalar* data(T& x) { return x.data(); }
    static const scalar* data(const T& x) { return x.data(); }
    static std::size_t size(const T& x) { return static_cast<std::size_t>(x.size()); }
    static std::size_t batch(const T& x) { return eigen_batch(x); }
    static T like(const T& x) { return eigen_like<T>(x); }
    static bool same_shape(const T& a, const T& b) { return a.rows() == b.rows() && a.cols() == b.cols(); }

    /// Evaluates an expression into `out`, which must not appear in it other than element by element.
    template <eigen_result_for<T> Result>
    static bool assign(T& out, const Result& result) {
        if (out.rows() != result.rows() || out.cols() != result.cols()) { return false; }
        out = result;
        return true;
    }
};

}  // namespace detail

/// Eigen arrays and matrices, dynamic or fixed. A vector is one sample; of a matrix each column is one, or
/// each row if it is stored by rows. Networks may return expressions of the same scalar.
template <detail::tensor_scalar Scalar, int Rows, int Cols, int Options, int MaxRows, int MaxCols>
struct tensor_traits<Eigen::Array<Scalar, Rows, Cols, Options, MaxRows, MaxCols>>
    : detail::eigen_tensor_traits<Eigen::Array<Scalar, Rows, Cols, Options, MaxRows, MaxCols>> {};

template <detail::tensor_scalar Scalar, int Rows, int Cols, int Options, int MaxRows, int MaxCols>
struct tensor_traits<Eigen::Matrix<Scalar, Rows, Cols, Options, MaxRows, MaxCols>>
    : detail::eigen_tensor_traits<Eigen::Matrix<Scalar, Rows, Cols, Options, MaxRows, MaxCols>> {};

/// `Eigen::Map`, `Eigen::Ref`, blocks and everything else that can be assigned to, with any strides: read
/// once into a plain array or matrix, written back once.
template <detail::eigen_view View>
struct tensor_traits<View> {
    using scalar = typename View::Scalar;
    using owned = typename View::PlainObject;
    static std::size_t size(const View& x) { return static_cast<std::size_t>(x.size()); }
    static std::size_t batch(const View& x) { return detail::eigen_batch(x); }
    static owned like(const View& x) { return detail::eigen_like<owned>(x); }
    static void load(owned& out, const View& x) {
        TWEEDIE_ASSERT(x.rows() == out.rows() && x.cols() == out.cols(), "load: the same shape");
        Eigen::Map<owned>(out.data(), out.rows(), out.cols()) =
            x;  // `out = x` might resize, which GCC 12 then warns of
    }
    static void store(View& x, const owned& from) {
        TWEEDIE_ASSERT(x.rows() == from.rows() && x.cols() == from.cols(), "store: the same shape");
        x = from;
    }
};

}  // namespace tweedie
