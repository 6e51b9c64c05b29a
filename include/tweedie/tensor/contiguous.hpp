// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/affine.hpp>
#include <tweedie/detail/assert.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/detail/reduce.hpp>
#include <tweedie/detail/small_array.hpp>
#include <tweedie/tensor/affine_fields.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/field_matrix.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>

namespace tweedie {

/// Everything `tensor_traits` asks for, for tensors whose elements lie one after the other in CPU memory.
///
///     template <>
///     struct tweedie::tensor_traits<image> : tweedie::contiguous_tensor_traits<image, float> {
///         static float* data(image& x) { return x.pixels.get(); }
///         static const float* data(const image& x) { return x.pixels.get(); }
///         static std::size_t size(const image& x) { return x.pixel_count; }
///         static image like(const image& x) { return image(x.pixel_count); }
///     };
///
/// Of these `batch` (1 unless said) and `same_shape` (equal size and batch) may be replaced too. Sample b is
/// the elements [b * size / batch, (b + 1) * size / batch).
///
/// - affine  one pass over memory; outputs may be inputs; nothing is allocated up to 16 inputs and 16
///           outputs.
/// - order   every sum has a fixed order: same bits for any number of threads.
/// - threads OpenMP where the user compiles with it.
template <class T, class Scalar>
struct contiguous_tensor_traits {
    using scalar = Scalar;
    using owned = T;

    static std::size_t batch(const T&) { return 1; }

    static bool same_shape(const T& a, const T& b) {
        using traits = tensor_traits<T>;
        return traits::size(a) == traits::size(b) && traits::batch(a) == traits::batch(b);
    }

    static bool affine(std::span<T* const> outputs, std::span<const double> coefficients,
                       std::span<const T* const> inputs) {
        if (outputs.empty()) { return true; }
        gathered all(outputs, coefficients, inputs);
        return detail::affine<Scalar>(tensor_traits<T>::size(*outputs[0]), all.outputs(), all.coefficients(),
                                      all.inputs());
    }

    /// `affine` with weights that differ from element to element of a sample; see `combines_fields`.
    static bool affine_fields(std::span<T* const> outputs, const field_matrix& weights,
                              std::span<const T* const> inputs) {
        if (outputs.empty()) { return true; }
        TWEEDIE_ASSERT(weights.elements() == 0 || weights.elements() == sample_size(*outputs[0]),
                       "affine_fields: one matrix per element of a sample");
        gathered all(outputs, {}, inputs);
        return detail::affine_fields<Scalar>(tensor_traits<T>::size(*outputs[0]), all.outputs(), weights,
                                             all.inputs());
    }

    /// `affine` with `streams.size()` more columns in the coefficients, for normal numbers made on the way.
    template <noise_stream<Scalar> Stream>
    static bool affine_noise(std::span<T* const> outputs, std::span<const double> coefficients,
                             std::span<const T* const> inputs, std::span<const Stream> streams) {
        if (outputs.empty()) { return true; }
        gathered all(outputs, coefficients, inputs);
        const std::size_t batch = tensor_traits<T>::batch(*outputs[0]);
        return detail::affine_noise<Scalar>(batch, sample_size(*outputs[0]), all.outputs(),
                                            all.coefficients(), all.inputs(), streams);
    }

    template <noise_stream<Scalar> Stream>
    static void normal(T& out, const Stream& stream) {
        constexpr std::size_t block = 4096;
        const std::size_t length = sample_size(out);
        const std::size_t blocks = (length + block - 1) / block;
        Scalar* const values = tensor_traits<T>::data(out);
        detail::for_each_index(
            tensor_traits<T>::batch(out) * blocks, 16 * tensor_traits<T>::size(out), [&](std::size_t index) {
                const std::size_t sample = index / blocks;
                const std::size_t first = (index % blocks) * block;
                stream(sample, first,
                       std::span<Scalar>(values + sample * length + first, std::min(block, length - first)));
                return true;
            });
    }

    static void dot(const T& x, const T& y, std::span<double> per_sample) {
        TWEEDIE_ASSERT(tensor_traits<T>::same_shape(x, y), "dot: the same shape");
        TWEEDIE_ASSERT(per_sample.size() == tensor_traits<T>::batch(x), "dot: one result per sample");
        detail::dot<Scalar>(sample_size(x), tensor_traits<T>::data(x), tensor_traits<T>::data(y), per_sample);
    }

    /// Every element becomes `f(element)`; `f` may be called from several threads.
    template <class Function>
    static void map(T& out, const Function& f) {
        constexpr std::size_t block = 16384;
        const std::size_t size = tensor_traits<T>::size(out);
        Scalar* const values = tensor_traits<T>::data(out);
        detail::for_each_index((size + block - 1) / block, 2 * size, [&](std::size_t index) {
            const std::size_t last = std::min(size, (index + 1) * block);
            for (std::size_t i = index * block; i < last; ++i) { values[i] = f(values[i]); }
            return true;
        });
    }

    template <std::same_as<T> Result>  // a template, so that nothing converts to T on the way in
    static bool assign(T& out, const Result& x) {
        using traits = tensor_traits<T>;
        if (!traits::same_shape(out, x)) { return false; }
        std::copy_n(traits::data(x), traits::size(x), traits::data(out));
        return true;
    }

private:
    static std::size_t sample_size(const T& x) {
        const std::size_t batch = tensor_traits<T>::batch(x);
        return batch == 0 ? 0 : tensor_traits<T>::size(x) / batch;
    }

    /// Where the elements are, and the coefficients in the tensors' own scalar.
    class gathered {
    public:
        gathered(std::span<T* const> outputs, std::span<const double> coefficients,
                 std::span<const T* const> inputs)
            : k_(outputs.size()),
              n_(inputs.size()),
              size_(coefficients.size()),
              outputs_(k_),
              inputs_(n_),
              coefficients_(size_) {
            for (std::size_t k = 0; k < k_; ++k) {
                TWEEDIE_ASSERT(tensor_traits<T>::same_shape(*outputs[k], *outputs[0]),
                               "affine: the same shape");
                outputs_[k] = tensor_traits<T>::data(*outputs[k]);
            }
            for (std::size_t j = 0; j < n_; ++j) {
                TWEEDIE_ASSERT(tensor_traits<T>::same_shape(*inputs[j], *outputs[0]),
                               "affine: the same shape");
                inputs_[j] = tensor_traits<T>::data(*inputs[j]);
            }
            for (std::size_t i = 0; i < size_; ++i) {
                coefficients_[i] = static_cast<Scalar>(coefficients[i]);
            }
        }
        [[nodiscard]] std::span<Scalar* const> outputs() { return {outputs_.data(), k_}; }
        [[nodiscard]] std::span<const Scalar* const> inputs() { return {inputs_.data(), n_}; }
        [[nodiscard]] std::span<const Scalar> coefficients() { return {coefficients_.data(), size_}; }

    private:
        std::size_t k_;
        std::size_t n_;
        std::size_t size_;
        detail::small_array<Scalar*, 64> outputs_;
        detail::small_array<const Scalar*, 64> inputs_;
        detail::small_array<Scalar, 1024> coefficients_;
    };
};

}  // namespace tweedie
