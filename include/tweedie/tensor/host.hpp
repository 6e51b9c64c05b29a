// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

namespace tweedie {

namespace detail {

/// The elements of a span, if there are as many as the tensor has.
template <class Scalar>
bool assign_elements(std::span<Scalar> out, std::span<const Scalar> from) {
    if (out.size() != from.size()) { return false; }
    std::copy(from.begin(), from.end(), out.begin());
    return true;
}

}  // namespace detail

/// One number is a tensor of one element.
template <detail::tensor_scalar Scalar>
struct tensor_traits<Scalar> : contiguous_tensor_traits<Scalar, Scalar> {
    static Scalar* data(Scalar& x) { return &x; }
    static const Scalar* data(const Scalar& x) { return &x; }
    static std::size_t size(const Scalar&) { return 1; }
    static Scalar like(const Scalar&) { return Scalar{}; }
};

/// `std::vector`: one sample. Networks may return a vector or a span of the same scalar.
template <detail::tensor_scalar Scalar, class Allocator>
struct tensor_traits<std::vector<Scalar, Allocator>>
    : contiguous_tensor_traits<std::vector<Scalar, Allocator>, Scalar> {
    using vector = std::vector<Scalar, Allocator>;
    static Scalar* data(vector& x) { return x.data(); }
    static const Scalar* data(const vector& x) { return x.data(); }
    static std::size_t size(const vector& x) { return x.size(); }
    static vector like(const vector& x) { return vector(x.size(), x.get_allocator()); }

    using contiguous_tensor_traits<vector, Scalar>::assign;
    template <class Element, std::size_t Extent>
        requires std::same_as<std::remove_const_t<Element>, Scalar>
    static bool assign(vector& out, const std::span<Element, Extent>& x) {
        return detail::assign_elements<Scalar>(out, x);
    }
};

/// `std::array`: one sample whose size is known at compile time.
template <detail::tensor_scalar Scalar, std::size_t Size>
struct tensor_traits<std::array<Scalar, Size>> : contiguous_tensor_traits<std::array<Scalar, Size>, Scalar> {
    using array = std::array<Scalar, Size>;
    static Scalar* data(array& x) { return x.data(); }
    static const Scalar* data(const array& x) { return x.data(); }
    static std::size_t size(const array&) { return Size; }
    static array like(const array&) { return array{}; }

    using contiguous_tensor_traits<array, Scalar>::assign;
    template <class Element, std::size_t Extent>
        requires std::same_as<std::remove_const_t<Element>, Scalar>
    static bool assign(array& out, const std::span<Element, Extent>& x) {
        return detail::assign_elements<Scalar>(out, x);
    }
};

/// A view of elements that live elsewhere; the library works on vectors.
template <detail::tensor_scalar Scalar, std::size_t Extent>
struct tensor_traits<std::span<Scalar, Extent>> {
    using scalar = Scalar;
    using owned = std::vector<Scalar>;
    using view = std::span<Scalar, Extent>;
    static std::size_t size(const view& x) { return x.size(); }
    static std::size_t batch(const view&) { return 1; }
    static owned like(const view& x) { return owned(x.size()); }
    static void load(owned& out, const view& x) { out.assign(x.begin(), x.end()); }
    static void store(const view& x, const owned& from) {
        TWEEDIE_ASSERT(x.size() == from.size(), "store: the same size");
        std::copy(from.begin(), from.end(), x.begin());
    }
};

}  // namespace tweedie
