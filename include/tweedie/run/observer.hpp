// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <concepts>
#include <cstddef>

namespace tweedie {

/// What an observer sees at the start of a step: const views, valid during the call only.
///
/// - `step`, `steps`    index of the step that begins, and how many there are.
/// - `at`               noise level of x.
/// - `x`, `x0_hat`      the state, and the data prediction made from it.
/// - `network_calls`    made so far, the one behind `x0_hat` included.
template <tensor T>
struct observation {
    std::size_t step;
    std::size_t steps;
    const level& at;
    const T& x;
    const T& x0_hat;
    std::size_t network_calls;
};

/// An observer's answer.
enum class verdict { go_on, stop };

/// Takes no notice.
struct no_hook {};

/// Sees a run: called once per step with an `observation<T>`; returns nothing, or a `verdict`.
template <class Observe, class T>
concept observer = std::same_as<Observe, no_hook> || requires(Observe& observe, const observation<T>& seen) {
    { observe(seen) } -> std::same_as<void>;
} || requires(Observe& observe, const observation<T>& seen) {
    { observe(seen) } -> std::same_as<verdict>;
};

/// Changes a tensor in place, told its level: `hook(T&, const level&)`. Keeps its shape.
template <class Hook, class T>
concept tensor_hook = std::same_as<Hook, no_hook> || std::invocable<Hook&, T&, const level&>;

/// What may be hooked into a run; each is optional.
///
/// - `observe`    `observe(const observation<T>&)`, once per step, may return `verdict::stop`; sees x0_hat as
///                the network made it, before any transform. Costs one pass over memory per step.
/// - `transform`  `transform(T& x0_hat, const level&)`, at every network call: clipping, thresholding,
///                guidance rules, data consistency. The rest of the step runs on what it leaves. Costs one
///                pass over memory per call (see `fold`).
/// - `edit`       `edit(T& x, const level&)`, before the first network call of every step: replaces the state
///                itself (inpainting).
///
///     sample(plan, model, x, hooks{.observe = [](const auto& seen) { draw_bar(seen.step, seen.steps); }});
template <class Observe = no_hook, class Transform = no_hook, class Edit = no_hook>
struct hooks {
    Observe observe = {};
    Transform transform = {};
    Edit edit = {};
};

}  // namespace tweedie
