// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>

#if __has_include(<xtensor/containers/xarray.hpp>)  // from 0.26
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xexpression.hpp>
#include <xtensor/core/xnoalias.hpp>
#else
#include <xtensor/xarray.hpp>
#include <xtensor/xexpression.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace tweedie {

namespace detail {

template <class Expression>
concept xtensor_expression = xt::is_xexpression<Expression>::value &&
                             tensor_scalar<typename std::remove_cvref_t<Expression>::value_type>;

/// The dimension of an expression's type, or `SIZE_MAX` if it is known at run time only.
template <class Expression>
inline constexpr std::size_t xtensor_rank = xt::get_rank<Expression>::value;

/// An expression can be evaluated into `T`: same scalar, no contradicting dimensions.
template <class Expression, class T>
concept xtensor_result_for =
    xtensor_expression<Expression> && std::same_as<typename Expression::value_type, typename T::value_type> &&
    (xtensor_rank<Expression> == SIZE_MAX || xtensor_rank<T> == SIZE_MAX ||
     xtensor_rank<Expression> == xtensor_rank<T>);

/// The tensor the library allocates: stored by rows, of the same dimension.
template <class Scalar, std::size_t Rank>
struct xtensor_owned {
    using type = xt::xtensor<Scalar, Rank, xt::layout_type::row_major>;
};
template <class Scalar>
struct xtensor_owned<Scalar, SIZE_MAX> {
    using type = xt::xarray<Scalar, xt::layout_type::row_major>;
};

template <class Expression>
using xtensor_owned_t =
    typename xtensor_owned<typename Expression::value_type, xtensor_rank<Expression>>::type;

/// Somebody else's elements that can be written to: adaptors, views, strided views, containers of another
/// layout, ...
template <class View>
concept xtensor_view =
    xtensor_expression<View> && std::same_as<typename View::reference, typename View::value_type&> &&
    !std::same_as<View, xtensor_owned_t<View>> && std::is_assignable_v<View&, const xtensor_owned_t<View>&>;

template <class A, class B>
bool xtensor_same_shape(const A& a, const B& b) {
    return a.dimension() == b.dimension() &&
           std::equal(a.shape().begin(), a.shape().end(), b.shape().begin());
}

/// Independent samples: the first extent of two or more, which varies slowest.
template <class Expression>
std::size_t xtensor_batch(const Expression& x) {
    return x.dimension() >= 2 ? static_cast<std::size_t>(x.shape()[0]) : 1;
}

/// Uninitialised, of the same shape as `x`.
template <class T, class Expression>
T xtensor_like(const Expression& x) {
    typename T::shape_type shape{};
    if constexpr (xtensor_rank<T> == SIZE_MAX) { shape.resize(x.dimension()); }
    std::copy(x.shape().begin(), x.shape().end(), shape.begin());
    return T(shape);
}

template <class T>
struct xtensor_tensor_traits : contiguous_tensor_traits<T, typename T::value_type> {
    using scalar = typename T::value_type;
    static scalar* data(T& x) { return x.data(); }
    static const scalar* data(const T& x) { return x.data(); }
    static std::size_t size(const T& x) { return x.size(); }
    static std::size_t batch(const T& x) { return xtensor_batch(x); }
    static T like(const T& x) { return xtensor_like<T>(x); }
    static bool same_shape(const T& a, const T& b) { return xtensor_same_shape(a, b); }

    /// Evaluates an expression into `out`, which must not appear in it other than element by element.
    template <xtensor_result_for<T> Result>
    static bool assign(T& out, const Result& result) {
        if (!xtensor_same_shape(out, result)) { return false; }
        xt::noalias(out) = result;
        return true;
    }
};

}  // namespace detail

/// `xt::xarray` and `xt::xtensor`, stored by rows. One dimension is one sample; of more, the first counts
/// samples. Networks may return expressions of the same scalar.
template <class Storage, class Shape, class Tag>
    requires detail::tensor_scalar<typename Storage::value_type>
struct tensor_traits<xt::xarray_container<Storage, xt::layout_type::row_major, Shape, Tag>>
    : detail::xtensor_tensor_traits<xt::xarray_container<Storage, xt::layout_type::row_major, Shape, Tag>> {};

template <class Storage, std::size_t Rank, class Tag>
    requires detail::tensor_scalar<typename Storage::value_type>
struct tensor_traits<xt::xtensor_container<Storage, Rank, xt::layout_type::row_major, Tag>>
    : detail::xtensor_tensor_traits<xt::xtensor_container<Storage, Rank, xt::layout_type::row_major, Tag>> {};

/// Adaptors, views and everything else that can be assigned to, with any strides: read once into an
/// `xt::xtensor` (or an `xt::xarray` if the dimension is known at run time only), written back once.
template <detail::xtensor_view View>
struct tensor_traits<View> {
    using scalar = typename View::value_type;
    using owned = detail::xtensor_owned_t<View>;
    static std::size_t size(const View& x) { return x.size(); }
    static std::size_t batch(const View& x) { return detail::xtensor_batch(x); }
    static owned like(const View& x) { return detail::xtensor_like<owned>(x); }
    static void load(owned& out, const View& x) { xt::noalias(out) = x; }
    static void store(View& x, const owned& from) {
        TWEEDIE_ASSERT(detail::xtensor_same_shape(x, from), "store: the same shape");
        xt::noalias(x) = from;
    }
};

}  // namespace tweedie
