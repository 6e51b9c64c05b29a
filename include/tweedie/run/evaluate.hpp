// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cstddef>
#include <optional>
#include <utility>

namespace tweedie::detail {

/// A tensor of the shape of `like`: the one that is there, or a new one.
template <tensor T>
[[nodiscard]] T& fitting(std::optional<T>& room, const T& like) {
    if (!room || !tensor_traits<T>::same_shape(*room, like)) { room.emplace(tensor_traits<T>::like(like)); }
    return *room;
}

/// out = net(x, at), whichever way the network gives its output.
/// - errors  `std::invalid_argument`: an output of another shape.
template <tensor T, network_for<T> Network>
void call_network(Network& network, const T& x, const network_level& at, T& out) {
    if constexpr (writing_network<Network, T>) {
        network(x, at, out);
    } else if (!tensor_traits<T>::assign(out, network(x, at))) {
        refuse_shape();
    }
    if (!tensor_traits<T>::same_shape(out, x)) { refuse_shape(); }
}

/// What `ask_x0` works in.
template <tensor T>
struct asking_room {
    std::optional<T> scaled;
    std::optional<T> output;
};

/// x0_hat of a state at a level of any schedule, by one call of a denoiser's network. `x0_hat` is another
/// tensor than x.
/// - returns  whether it is finite.
template <class Model, tensor T>
bool ask_x0(Model& model, const T& x, const level& at, asking_room<T>& room, T& x0_hat) {
    using traits = tensor_traits<T>;
    const network_call asked = model.convention().call_at(at);
    const T* input = &x;
    if (asked.input_scale != 1.0) {
        T& scaled = fitting(room.scaled, x);
        T* const written[] = {&scaled};
        const T* const read[] = {&x};
        const double weights[] = {asked.input_scale};
        traits::affine(written, weights, read);
        input = &scaled;
    }
    T& output = fitting(room.output, x);
    call_network(model.network(), *input, asked.at, output);
    T* const written[] = {&x0_hat};
    const T* const read[] = {&output, &x};
    const double weights[] = {asked.x0.output, asked.x0.x};
    const std::size_t terms = asked.x0.x == 0.0 ? 1 : 2;
    return traits::affine(written, {weights, terms}, {read, terms});
}

}  // namespace tweedie::detail

namespace tweedie {

/// A denoiser asked outside a plan: x0_hat of any state at any level.
///
///     evaluator ask(model);
///     ask(x, at, x0_hat);
///
/// - cost    one network call, at most two passes; at most two tensors, allocated at the first call.
/// - errors  `std::invalid_argument`: a level at which the output does not determine x0; an output of another
///           shape.
template <is_denoiser Model>
class evaluator {
public:
    explicit evaluator(Model model) : model_(std::move(model)) {}

    /// - `at`      on whatever schedule x is.
    /// - `x0_hat`  out; another tensor than x.
    template <tensor T>
        requires network_for<network_of<Model>, T>
    void operator()(const T& x, const level& at, T& x0_hat) {
        detail::ask_x0(model_, x, at, memory_.template as<detail::asking_room<T>>(), x0_hat);
        ++calls_;
    }

    [[nodiscard]] const Model& model() const { return model_; }
    /// Network calls made.
    [[nodiscard]] std::size_t calls() const { return calls_; }

private:
    Model model_;
    detail::working_memory memory_;
    std::size_t calls_ = 0;
};

}  // namespace tweedie
