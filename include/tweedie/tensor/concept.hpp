// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/noise_stream.hpp>
#include <tweedie/detail/small_array.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace tweedie {

/// What the library may do with values of type `T`: the one thing to specialise for a tensor type of your
/// own.
///
/// The primary template is empty. Include `<tweedie/tensor/host.hpp>` (`std::vector`, `std::array`,
/// `std::span`, `double`, `float`), `<tweedie/tensor/eigen.hpp>` or `<tweedie/tensor/xtensor.hpp>`, or
/// specialise it. A tensor of contiguous CPU memory needs four functions, see
/// `<tweedie/tensor/contiguous.hpp>`; any other tensor has
///
///     using scalar = float;                          // or double
///     using owned = T;
///     static T like(const T& x);                     // uninitialised, same shape and place
///     static std::size_t size(const T& x);           // number of elements
///     static std::size_t batch(const T& x);          // independent samples: slowest extent; 1 if 1-D
///     static bool same_shape(const T& a, const T& b);
///     static bool affine(std::span<T* const> outputs, std::span<const double> coefficients,
///                        std::span<const T* const> inputs);
///     static void normal(T& out, const Stream& s);   // for any `noise_stream`
///     static bool assign(T& out, const T& x);        // copies; false and nothing done if shapes differ
///     static void dot(const T& x, const T& y,        // for `batched_tensor`: one number per sample
///                     std::span<double> per_sample);
///
/// `affine` computes `outputs[k] = sum_j coefficients[k * inputs.size() + j] * inputs[j]` element by element,
/// in one pass; an output may be the same object as an input; the sum of no inputs is 0. It returns false if
/// a value it wrote is not finite. Whether a coefficient of exactly 0 is a term (0 * infinity is NaN) is not
/// specified: leave out the input instead.
///
/// Optional: `assign(out, const R&)` for each further type `R` that networks return, `map(out, f)` (each
/// element becomes `f(element)`; for `mappable_tensor`), `affine_noise`, see the function of that name, and
/// `affine_fields`, see `combines_fields`.
///
/// A view of tensors that live elsewhere has `scalar`, `owned` (the type of tensor the library allocates for
/// it), `size`, `batch`, `like(const View&)` which returns an `owned`, `load(owned& out, const View& x)` and
/// `store(View& x, const owned& from)`, both between equal shapes.
template <class T>
struct tensor_traits;

template <class T>
struct tensor_traits {};

namespace detail {

template <class Scalar>
concept tensor_scalar = std::same_as<Scalar, float> || std::same_as<Scalar, double>;

}  // namespace detail

/// The library knows the type: there is a `tensor_traits<T>`.
///
/// Not satisfied? Include the backend of your tensor type (`<tweedie/tensor/host.hpp>`, `eigen.hpp`,
/// `xtensor.hpp`), or specialise `tweedie::tensor_traits` for it. Elements are `float` or `double`.
template <class T>
concept has_tensor_traits = requires {
    typename tensor_traits<T>::scalar;
    typename tensor_traits<T>::owned;
    requires detail::tensor_scalar<typename tensor_traits<T>::scalar>;
};

/// The type of a tensor's elements, `float` or `double`.
template <has_tensor_traits T>
using scalar_t = typename tensor_traits<T>::scalar;

/// The tensor type the library allocates for `T`: `T` itself, or for a view the type it views.
template <has_tensor_traits T>
using owned_t = typename tensor_traits<T>::owned;

namespace detail {

struct any_noise_stream {
    template <class Scalar>
    void operator()(std::size_t, std::size_t, std::span<Scalar>) const;
};

struct any_element_function {
    template <class Scalar>
    Scalar operator()(Scalar) const;
};

}  // namespace detail

/// A tensor the library can allocate, combine and fill with noise.
///
/// - `affine`  is the arithmetic of every sampler; see `tensor_traits` for what it and the others must do.
///
/// Semantics the compiler cannot check: `like` allocates; none of the others does.
template <class T>
concept tensor =
    has_tensor_traits<T> && std::same_as<owned_t<T>, T> && std::move_constructible<T> &&
    requires(T& out, const T& x, std::span<T* const> outputs, std::span<const double> coefficients,
             std::span<const T* const> inputs, const detail::any_noise_stream& stream) {
        { tensor_traits<T>::like(x) } -> std::same_as<T>;
        { tensor_traits<T>::size(x) } -> std::same_as<std::size_t>;
        { tensor_traits<T>::batch(x) } -> std::same_as<std::size_t>;
        { tensor_traits<T>::same_shape(x, x) } -> std::same_as<bool>;
        { tensor_traits<T>::affine(outputs, coefficients, inputs) } -> std::same_as<bool>;
        { tensor_traits<T>::assign(out, x) } -> std::same_as<bool>;
        tensor_traits<T>::normal(out, stream);
    };

/// A tensor of independent samples, with a dot product for each of them.
///
/// Semantics the compiler cannot check: the sum is in double and in an order that depends on the shape alone.
template <class T>
concept batched_tensor = tensor<T> && requires(const T& x, std::span<double> per_sample) {
    tensor_traits<T>::dot(x, x, per_sample);
};

/// A tensor whose elements can be replaced one by one: `map(out, f)` (clipping, thresholding).
template <class T>
concept mappable_tensor =
    tensor<T> && requires(T& out, const detail::any_element_function& f) { tensor_traits<T>::map(out, f); };

/// A tensor whose elements lie one after the other in CPU memory: `data(x)` points to the first.
template <class T>
concept contiguous_tensor = tensor<T> && requires(T& x) {
    { tensor_traits<T>::data(x) } -> std::same_as<scalar_t<T>*>;
};

/// A view of somebody else's elements that the library reads once and writes once; it works on an
/// `owned_t<View>`.
template <class View>
concept tensor_view = has_tensor_traits<View> && !std::same_as<owned_t<View>, View> &&
                      tensor<owned_t<View>> && requires(View& target, const View& x, owned_t<View>& owned) {
                          { tensor_traits<View>::like(x) } -> std::same_as<owned_t<View>>;
                          { tensor_traits<View>::size(x) } -> std::same_as<std::size_t>;
                          { tensor_traits<View>::batch(x) } -> std::same_as<std::size_t>;
                          tensor_traits<View>::load(owned, x);
                          tensor_traits<View>::store(target, std::as_const(owned));
                      };

/// What may be given as the state x: a tensor, or a view of one.
template <class X>
concept tensor_or_view = has_tensor_traits<X> && (tensor<X> || tensor_view<X>);

/// A value of type `R`, returned by a network, can be stored in a tensor `T`: it is a `T`, or the backend
/// says so.
///
/// Elements are never converted from one scalar to another, and nothing is constructed from a result: a
/// network that returns one number is no vector of that length, and one in double does not feed a tensor of
/// float.
template <class T, class R>
concept accepts_result = tensor<T> && (std::same_as<std::remove_cvref_t<R>, T> ||
                                       requires(T& out, const std::remove_reference_t<R>& result) {
                                           { tensor_traits<T>::assign(out, result) } -> std::same_as<bool>;
                                       });

/// A tensor that makes noise inside its `affine` pass.
template <class T>
concept fuses_noise = tensor<T> && requires(std::span<T* const> outputs, std::span<const double> coefficients,
                                            std::span<const T* const> inputs,
                                            std::span<const detail::any_noise_stream> streams) {
    { tensor_traits<T>::affine_noise(outputs, coefficients, inputs, streams) } -> std::same_as<bool>;
};

/// `affine` with normal numbers among its inputs: column `inputs.size() + s` of the coefficients multiplies
/// the numbers of `streams[s]`, so a row has `inputs.size() + streams.size()` coefficients.
///
/// - scratch  for tensors that are not `fuses_noise`: one tensor per stream, of the same shape and none of
///            the others; its old values are lost. Not looked at otherwise.
/// - returns  whether every value written to `outputs` is finite.
/// The result is, to the bit, that of `normal` into a tensor per stream followed by `affine`. A backend that
/// is `fuses_noise` makes the numbers a block at a time inside the pass, so that they never reach memory.
template <tensor T, noise_stream<scalar_t<T>> Stream>
bool affine_noise(std::span<T* const> outputs, std::span<const double> coefficients,
                  std::span<const T* const> inputs, std::span<const Stream> streams,
                  [[maybe_unused]] std::span<T* const> scratch) {
    if constexpr (fuses_noise<T>) {
        return tensor_traits<T>::affine_noise(outputs, coefficients, inputs, streams);
    } else {
        TWEEDIE_ASSERT(scratch.size() >= streams.size(), "affine_noise: one scratch tensor per stream");
        detail::small_array<const T*, 64> all(inputs.size() + streams.size());
        for (std::size_t j = 0; j < inputs.size(); ++j) { all[j] = inputs[j]; }
        for (std::size_t s = 0; s < streams.size(); ++s) {
            tensor_traits<T>::normal(*scratch[s], streams[s]);
            all[inputs.size() + s] = scratch[s];
        }
        return tensor_traits<T>::affine(
            outputs, coefficients, std::span<const T* const>(all.data(), inputs.size() + streams.size()));
    }
}

}  // namespace tweedie
