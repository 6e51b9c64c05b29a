// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/tensor/concept.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

using counts = std::initializer_list<std::size_t>;

/// Numbers to compute with, the same on every machine: in (-1, 1), all different mantissas.
template <class Scalar>
Scalar sample_value(std::size_t stream, std::size_t i) {
    std::uint64_t z = 0x9e37'79b9'7f4a'7c15ULL * (i + 1) + 0xbf58'476d'1ce4'e5b9ULL * (stream + 1);
    z = (z ^ (z >> 30)) * 0xbf58'476d'1ce4'e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d0'49bb'1331'11ebULL;
    z ^= z >> 31;
    return static_cast<Scalar>(static_cast<double>(z >> 11) * 0x1p-52 - 1.0);
}

/// Stands for normal numbers: exact whatever the cut, different for every sample, element and stream.
struct counting_stream {
    std::size_t id = 0;
    template <class Scalar>
    void operator()(std::size_t sample, std::size_t first, std::span<Scalar> out) const {
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = sample_value<Scalar>(100 + id, 1'000'003 * sample + first + i);
        }
    }
};

template <class Scalar>
bool same_bits(Scalar a, Scalar b) {
    using bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    return std::bit_cast<bits>(a) == std::bit_cast<bits>(b);
}

template <class A, class B>
bool same_bits(const A& a, const B& b, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        if (!same_bits(a[i], b[i])) { return false; }
    }
    return true;
}

/// `count` tensors made by `make()`, filled through `element(tensor, i)`.
template <class T, class Make, class Element>
std::vector<T> filled(std::size_t count, const Make& make, const Element& element) {
    std::vector<T> tensors;
    tensors.reserve(count);
    for (std::size_t t = 0; t < count; ++t) {
        tensors.push_back(make());
        for (std::size_t i = 0; i < tweedie::tensor_traits<T>::size(tensors.back()); ++i) {
            element(tensors.back(), i) = sample_value<tweedie::scalar_t<T>>(t, i);
        }
    }
    return tensors;
}

template <class T>
std::vector<T*> pointers(std::vector<T>& tensors) {
    std::vector<T*> out;
    for (T& tensor : tensors) { out.push_back(std::addressof(tensor)); }
    return out;
}

template <class T>
std::vector<const T*> const_pointers(const std::vector<T>& tensors) {
    std::vector<const T*> out;
    for (const T& tensor : tensors) { out.push_back(std::addressof(tensor)); }
    return out;
}

inline std::vector<double> sample_coefficients(std::size_t count) {
    std::vector<double> out(count);
    for (std::size_t i = 0; i < count; ++i) { out[i] = 2.0 * sample_value<double>(77, i); }
    return out;
}

/// Calls `body` with 1, 2, 3 and 5 threads, if there are threads.
template <class Body>
void for_thread_counts(const Body& body) {
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 3, 5}) {
        omp_set_num_threads(threads);
        body();
    }
    omp_set_num_threads(before);
#else
    body();
#endif
}
