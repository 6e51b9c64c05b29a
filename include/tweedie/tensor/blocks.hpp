// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/affine.hpp>
#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/reduce.hpp>
#include <tweedie/detail/small_array.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>

namespace tweedie {

/// A tensor that can be measured and combined group by group: what data-dependent methods need beyond
/// `tensor`.
///
/// A group is an equal part of the elements, in memory order: a sample, or a block (a channel) of each
/// sample. Tensors of contiguous CPU memory have all of it. Any other has in its `tensor_traits`
///
///     static void dot_groups(const T& x, const T& y, std::span<double> per_group);
///     static void scaled_error(const T& a, const T& b, const T& reference, double atol, double rtol,
///                              std::span<double> per_group);
///     static bool affine_groups(std::span<T* const> outputs, std::span<const double> coefficients,
///                               std::span<const T* const> inputs, std::size_t groups);
template <class T>
concept grouped_tensor =
    tensor<T> && (requires(T& out, const T& x) {
        { tensor_traits<T>::data(out) } -> std::same_as<scalar_t<T>*>;
        { tensor_traits<T>::data(x) } -> std::same_as<const scalar_t<T>*>;
    } || requires(const T& x, std::span<double> numbers, std::span<T* const> outputs,
                  std::span<const double> coefficients, std::span<const T* const> inputs) {
        tensor_traits<T>::dot_groups(x, x, numbers);
        tensor_traits<T>::scaled_error(x, x, x, 0.0, 0.0, numbers);
        {
            tensor_traits<T>::affine_groups(outputs, coefficients, inputs, std::size_t{1})
        } -> std::same_as<bool>;
    });

namespace detail {

template <class T>
concept groups_by_itself =
    requires(const T& x, std::span<double> numbers) { tensor_traits<T>::dot_groups(x, x, numbers); };

/// `sum (((a - b) / max(atol, rtol max(|a|, |r|)))^2)` in double, in the fixed order of `dot_range`.
template <class Scalar>
double scaled_error_range(const Scalar* a, const Scalar* b, const Scalar* r, double atol, double rtol,
                          std::size_t size) {
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {};
    for (std::size_t i = 0; i < size; ++i) {
        const double x = static_cast<double>(a[i]);
        const double y = static_cast<double>(r[i]);
        const double larger = std::abs(x) > std::abs(y) ? std::abs(x) : std::abs(y);
        const double bound = rtol * larger > atol ? rtol * larger : atol;
        const double e = (x - static_cast<double>(b[i])) / bound;
        sums[i % lanes] += e * e;
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

}  // namespace detail

/// The inner product of each group, in double, in an order that depends on the group's size alone.
/// - `per_group`  out; its size is the number of groups and divides the number of elements.
template <grouped_tensor T>
void dot_groups(const T& x, const T& y, std::span<double> per_group) {
    using traits = tensor_traits<T>;
    if constexpr (detail::groups_by_itself<T>) {
        traits::dot_groups(x, y, per_group);
    } else {
        detail::dot<scalar_t<T>>(traits::size(x) / per_group.size(), traits::data(x), traits::data(y),
                                 per_group);
    }
}

/// The error norm of step-size control of each group:
///
///     sqrt(mean(((a - b) / max(atol, rtol max(|a|, |reference|)))^2))
///
/// - order  the sum is in double and in an order that depends on the group's size alone.
template <grouped_tensor T>
void scaled_error(const T& a, const T& b, const T& reference, double atol, double rtol,
                  std::span<double> per_group) {
    using traits = tensor_traits<T>;
    if constexpr (detail::groups_by_itself<T>) {
        traits::scaled_error(a, b, reference, atol, rtol, per_group);
    } else {
        constexpr std::size_t segment = 4096;
        const std::size_t size = traits::size(a) / per_group.size();
        const std::size_t segments = (size + segment - 1) / segment;
        for (std::size_t g = 0; g < per_group.size(); ++g) {
            const std::size_t first = g * size;
            // as in `dot_sample`: partial sums of fixed bounds, added in order
            double sum = 0.0;
            for (std::size_t begin = 0; begin < segments; begin += 64) {
                double partial[64] = {};
                const std::size_t count = std::min<std::size_t>(64, segments - begin);
                detail::for_each_index(count, 4 * size, [&](std::size_t s) {
                    const std::size_t from = (begin + s) * segment;
                    const std::size_t at = first + from;
                    partial[s] = detail::scaled_error_range(traits::data(a) + at, traits::data(b) + at,
                                                            traits::data(reference) + at, atol, rtol,
                                                            std::min(segment, size - from));
                    return true;
                });
                for (std::size_t s = 0; s < count; ++s) { sum += partial[s]; }
            }
            per_group[g] = std::sqrt(sum / static_cast<double>(size));
        }
    }
}

/// `affine` with a matrix of its own for each group: `coefficients` holds one matrix of outputs x inputs
/// after the other.
template <grouped_tensor T>
bool affine_groups(std::span<T* const> outputs, std::span<const double> coefficients,
                   std::span<const T* const> inputs, std::size_t groups) {
    using traits = tensor_traits<T>;
    using scalar = scalar_t<T>;
    if constexpr (detail::groups_by_itself<T>) {
        return traits::affine_groups(outputs, coefficients, inputs, groups);
    } else {
        const std::size_t k = outputs.size();
        const std::size_t n = inputs.size();
        if (k == 0) { return true; }
        TWEEDIE_ASSERT(coefficients.size() == groups * k * n, "affine_groups: one matrix per group");
        const std::size_t size = traits::size(*outputs[0]) / groups;
        detail::small_array<scalar*, 64> out(k);
        detail::small_array<const scalar*, 64> in(n);
        detail::small_array<scalar, 1024> matrix(k * n);
        bool finite = true;
        for (std::size_t g = 0; g < groups; ++g) {
            for (std::size_t i = 0; i < k; ++i) { out[i] = traits::data(*outputs[i]) + g * size; }
            for (std::size_t j = 0; j < n; ++j) { in[j] = traits::data(*inputs[j]) + g * size; }
            for (std::size_t i = 0; i < k * n; ++i) {
                matrix[i] = static_cast<scalar>(coefficients[g * k * n + i]);
            }
            finite = detail::affine<scalar>(size, {out.data(), k}, {matrix.data(), k * n}, {in.data(), n}) &&
                     finite;
        }
        return finite;
    }
}

}  // namespace tweedie
