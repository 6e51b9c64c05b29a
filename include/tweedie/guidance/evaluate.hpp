// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/tensor/concept.hpp>

#include <concepts>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace tweedie::guidance {

/// A denoiser asked outside a plan: x0_hat of any state at any level.
///
///     evaluator<T, decltype(model)> ask(model);
///     ask(x, at, x0_hat);
///
/// - cost    one network call, at most two passes; two tensors, allocated at the first call.
/// - errors  `std::invalid_argument`: a level at which the output does not determine x0; an output of another
///           shape.
template <tensor T, is_denoiser Model>
    requires network_for<network_of<Model>, T>
class evaluator {
public:
    explicit evaluator(Model model) : model_(std::move(model)) {}

    void operator()(const T& x, const level& at, T& x0_hat) {
        using traits = tensor_traits<T>;
        const network_call asked = model_.convention().call_at(at);
        const T* input = &x;
        if (asked.input_scale != 1.0) {
            if (!scaled_) { scaled_.emplace(traits::like(x)); }
            T* const written[] = {&*scaled_};
            const T* const read[] = {&x};
            const double weights[] = {asked.input_scale};
            traits::affine(written, weights, read);
            input = &*scaled_;
        }
        if (!output_) { output_.emplace(traits::like(x)); }
        if constexpr (writing_network<network_of<Model>, T>) {
            model_.network()(*input, asked.at, *output_);
        } else {
            if (!traits::assign(*output_, model_.network()(*input, asked.at))) {
                throw std::invalid_argument("network: the output must have the shape of x");
            }
        }
        if (!traits::same_shape(*output_, x)) {
            throw std::invalid_argument("network: the output must have the shape of x");
        }
        ++calls_;
        T* const written[] = {&x0_hat};
        const T* const read[] = {&*output_, &x};
        const double weights[] = {asked.x0.output, asked.x0.x};
        const std::size_t terms = asked.x0.x == 0.0 ? 1 : 2;
        traits::affine(written, {weights, terms}, {read, terms});
    }

    [[nodiscard]] const Model& model() const { return model_; }
    /// Network calls made.
    [[nodiscard]] std::size_t calls() const { return calls_; }

private:
    Model model_;
    std::optional<T> scaled_;
    std::optional<T> output_;
    std::size_t calls_ = 0;
};

}  // namespace tweedie::guidance
