// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/parallel.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

namespace tweedie::guidance {

/// The inner products of two predictions of one sample, and their sums.
struct sample_products {
    double cc = 0.0;
    double cu = 0.0;
    double uu = 0.0;
    double c1 = 0.0;
    double u1 = 0.0;
};

}  // namespace tweedie::guidance

namespace tweedie::detail {

/// In double and in eight lanes, so that the order depends on the size alone.
template <class Scalar>
guidance::sample_products products_of_range(const Scalar* c, const Scalar* u, std::size_t size) {
    constexpr std::size_t lanes = 8;
    double sums[5][lanes] = {};
    const auto take = [&](std::size_t i, std::size_t lane) {
        const double x = static_cast<double>(c[i]);
        const double y = static_cast<double>(u[i]);
        sums[0][lane] += x * x;
        sums[1][lane] += x * y;
        sums[2][lane] += y * y;
        sums[3][lane] += x;
        sums[4][lane] += y;
    };
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes) {
        for (std::size_t lane = 0; lane < lanes; ++lane) { take(i + lane, lane); }
    }
    for (; i < size; ++i) { take(i, i % lanes); }
    double total[5];
    for (std::size_t s = 0; s < 5; ++s) {
        const double* const v = sums[s];
        total[s] = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
    }
    return {total[0], total[1], total[2], total[3], total[4]};
}

/// A stream of ones, for tensors that can only be filled with noise.
struct ones_stream {
    template <class Scalar>
    void operator()(std::size_t, std::size_t, std::span<Scalar> out) const {
        std::fill(out.begin(), out.end(), Scalar(1));
    }
};

}  // namespace tweedie::detail

namespace tweedie::guidance {

/// The products of two tensors, sample by sample: one pass that reads both and writes nothing.
///
/// Tensors that are not contiguous CPU memory are read by `dot_groups`, three times, or five with `sums`.
/// - `sums`  whether `c1` and `u1` are asked for.
template <grouped_tensor T>
void products(const T& c, const T& u, std::vector<sample_products>& out, bool sums = false) {
    using traits = tensor_traits<T>;
    const std::size_t samples = traits::batch(c);
    out.assign(samples, {});
    if constexpr (contiguous_tensor<T>) {
        constexpr std::size_t segment = 4096;
        const std::size_t size = samples == 0 ? 0 : traits::size(c) / samples;
        const std::size_t segments = (size + segment - 1) / segment;
        for (std::size_t g = 0; g < samples; ++g) {
            for (std::size_t begin = 0; begin < segments;
                 begin += 64) {  // partial sums of fixed bounds, in order
                sample_products partial[64];
                const std::size_t count = std::min<std::size_t>(64, segments - begin);
                tweedie::detail::for_each_index(count, 2 * size, [&](std::size_t s) {
                    const std::size_t from = (begin + s) * segment;
                    partial[s] = tweedie::detail::products_of_range(traits::data(c) + g * size + from,
                                                                    traits::data(u) + g * size + from,
                                                                    std::min(segment, size - from));
                    return true;
                });
                for (std::size_t s = 0; s < count; ++s) {
                    out[g].cc += partial[s].cc;
                    out[g].cu += partial[s].cu;
                    out[g].uu += partial[s].uu;
                    out[g].c1 += partial[s].c1;
                    out[g].u1 += partial[s].u1;
                }
            }
        }
    } else {
        std::vector<double> numbers(samples);
        const auto measure = [&](const T& x, const T& y, double sample_products::* where) {
            dot_groups(x, y, std::span<double>(numbers));
            for (std::size_t g = 0; g < samples; ++g) { out[g].*where = numbers[g]; }
        };
        measure(c, c, &sample_products::cc);
        measure(c, u, &sample_products::cu);
        measure(u, u, &sample_products::uu);
        if (sums) {
            T ones = traits::like(c);
            traits::normal(ones, tweedie::detail::ones_stream{});
            measure(c, ones, &sample_products::c1);
            measure(u, ones, &sample_products::u1);
        }
    }
}

/// Two tensors and their weights, those of sample i at 2 i. No weights: the first alone, as it is.
template <tensor T>
struct sample_blend {
    T* tensors[2];
    std::span<const double> weights;
};

/// The blend of two tensors whose weights in sample i are the pair `weigh(i)`; `weights` keeps them.
template <tensor T, class Weigh>
[[nodiscard]] sample_blend<T> blend_samples(T& first, T& second, std::vector<double>& weights,
                                            const Weigh& weigh) {
    const std::size_t samples = tensor_traits<T>::batch(first);
    weights.resize(2 * samples);
    for (std::size_t i = 0; i < samples; ++i) {
        const auto [of_first, of_second] = weigh(i);
        weights[2 * i] = of_first;
        weights[2 * i + 1] = of_second;
    }
    return {{&first, &second}, weights};
}

/// `out` becomes what a blend stands for; its first tensor is `out`.
template <grouped_tensor T>
void apply_blend(T& out, const sample_blend<T>& blend) {
    if (blend.weights.empty()) { return; }
    T* const written[] = {&out};
    const T* const read[] = {blend.tensors[0], blend.tensors[1]};
    affine_groups<T>(written, blend.weights, read, tensor_traits<T>::batch(out));
}

}  // namespace tweedie::guidance
