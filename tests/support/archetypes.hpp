// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

/// Tensor types that can do what the library asks for and nothing else: no default constructor, no copies, no
/// address by `&`, no comma.
namespace archetypes {

/// Elements one after the other: `tensor_traits` comes from `contiguous_tensor_traits`.
template <class Scalar>
class contiguous {
public:
    explicit contiguous(std::size_t size) : size_(size), values_(new Scalar[size]) {}
    contiguous(contiguous&&) noexcept = default;
    contiguous& operator=(contiguous&&) = delete;
    contiguous(const contiguous&) = delete;
    contiguous& operator=(const contiguous&) = delete;
    ~contiguous() = default;
    void operator&() const = delete;
    template <class Other>
    void operator,(Other&&) const = delete;

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] Scalar* values() { return values_.get(); }
    [[nodiscard]] const Scalar* values() const { return values_.get(); }

private:
    std::size_t size_;
    std::unique_ptr<Scalar[]> values_;
};

/// Elements wherever they are: the required functions of `tensor_traits`, none of the optional ones.
template <class Scalar>
class opaque {
public:
    opaque(std::size_t samples, std::size_t size)
        : samples_(samples), size_(size), values_(new Scalar[2 * size]) {}
    opaque(opaque&&) noexcept = default;
    opaque& operator=(opaque&&) = delete;
    opaque(const opaque&) = delete;
    opaque& operator=(const opaque&) = delete;
    ~opaque() = default;
    void operator&() const = delete;
    template <class Other>
    void operator,(Other&&) const = delete;

    [[nodiscard]] std::size_t samples() const { return samples_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] Scalar& at(std::size_t i) { return values_[2 * i]; }
    [[nodiscard]] const Scalar& at(std::size_t i) const { return values_[2 * i]; }

private:
    std::size_t samples_;
    std::size_t size_;
    std::unique_ptr<Scalar[]> values_;
};

}  // namespace archetypes

template <class Scalar>
struct tweedie::tensor_traits<archetypes::contiguous<Scalar>>
    : tweedie::contiguous_tensor_traits<archetypes::contiguous<Scalar>, Scalar> {
    using tensor = archetypes::contiguous<Scalar>;
    static Scalar* data(tensor& x) { return x.values(); }
    static const Scalar* data(const tensor& x) { return x.values(); }
    static std::size_t size(const tensor& x) { return x.size(); }
    static tensor like(const tensor& x) { return tensor(x.size()); }
};

template <class Scalar>
struct tweedie::tensor_traits<archetypes::opaque<Scalar>> {
    using tensor = archetypes::opaque<Scalar>;
    using scalar = Scalar;
    using owned = tensor;
    static tensor like(const tensor& x) { return tensor(x.samples(), x.size()); }
    static std::size_t size(const tensor& x) { return x.size(); }
    static std::size_t batch(const tensor& x) { return x.samples(); }
    static bool same_shape(const tensor& a, const tensor& b) {
        return a.size() == b.size() && a.samples() == b.samples();
    }
    static bool affine(std::span<tensor* const> outputs, std::span<const double> coefficients,
                       std::span<const tensor* const> inputs) {
        if (outputs.empty()) { return true; }
        const std::size_t k = outputs.size();
        const std::size_t n = inputs.size();
        const std::unique_ptr<Scalar[]> sums(new Scalar[k]);
        bool finite = true;
        for (std::size_t i = 0; i < outputs[0]->size(); ++i) {
            for (std::size_t row = 0; row < k; ++row) {
                sums[row] = 0;
                for (std::size_t j = 0; j < n; ++j) {
                    sums[row] += static_cast<Scalar>(coefficients[row * n + j]) * inputs[j]->at(i);
                }
                finite = finite && sums[row] - sums[row] == Scalar{0};
            }
            for (std::size_t row = 0; row < k; ++row) { outputs[row]->at(i) = sums[row]; }
        }
        return finite;
    }
    template <class Stream>
    static void normal(tensor& out, const Stream& stream) {
        const std::size_t length = out.samples() == 0 ? 0 : out.size() / out.samples();
        for (std::size_t sample = 0; sample < out.samples(); ++sample) {
            for (std::size_t first = 0; first < length; first += 4) {
                Scalar four[4];
                stream(sample, first, std::span<Scalar>(four));
                for (std::size_t i = first; i < length && i < first + 4; ++i) {
                    out.at(sample * length + i) = four[i - first];
                }
            }
        }
    }
    static bool assign(tensor& out, const tensor& x) {
        if (!same_shape(out, x)) { return false; }
        for (std::size_t i = 0; i < x.size(); ++i) { out.at(i) = x.at(i); }
        return true;
    }
    static void dot(const tensor& x, const tensor& y, std::span<double> per_sample) {
        const std::size_t length = x.samples() == 0 ? 0 : x.size() / x.samples();
        for (std::size_t sample = 0; sample < x.samples(); ++sample) {
            per_sample[sample] = 0;
            for (std::size_t i = sample * length; i < (sample + 1) * length; ++i) {
                per_sample[sample] += static_cast<double>(x.at(i)) * static_cast<double>(y.at(i));
            }
        }
    }
};
