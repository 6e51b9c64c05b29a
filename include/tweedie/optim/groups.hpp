// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/elementwise.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>

namespace tweedie::optim {

/// Parameters that share an optimizer's options, beside others that do not: made by `group`, stepped by
/// `step_groups`.
template <class Optimizer, class Parameters, class Gradients, class State>
struct parameter_group {
    Optimizer optimizer;
    Parameters& parameters;
    const Gradients& gradients;
    State& state;
};

/// - state  of this group's optimizer; lives, like the tensors, at least as long as the group.
template <class Optimizer, parameter_set Parameters, parameter_set Gradients, class State>
[[nodiscard]] parameter_group<Optimizer, Parameters, Gradients, State> group(const Optimizer& optimizer,
                                                                             Parameters& parameters,
                                                                             const Gradients& gradients,
                                                                             State& state) {
    return {optimizer, parameters, gradients, state};
}

/// One step of several groups as of one optimizer: their gradients have one norm, and if one gradient is not
/// finite no group changes.
///
///     step_groups({.norm = 1.0}, group(adamw{}, weights, weight_gradients, weight_state),
///                 group(adamw{.decay = decoupled(0)}, biases, bias_gradients, bias_state));
///
/// - clip     of all together; its `value` and the groups' own `clip` are applied by each group.
/// - returns  the first status that is not `done`; `tensor` counts through all groups.
template <class... Groups>
step_result step_groups(const clipping& clip, const Groups&... groups) {
    detail::require_clipping("step_groups", clip);
    double squares = 0;
    std::size_t before = 0;
    step_result result;
    const auto look = [&](const auto& one) {
        detail::gathered_set gradients(one.gradients);
        const double norm = detail::norm_of(gradients);
        if (!std::isfinite(norm) && result) {
            result = {step_status::gradient_not_finite, before + detail::first_not_finite(gradients), 0};
        }
        squares += norm * norm;
        before += gradients.size();
    };
    (look(groups), ...);
    const double norm = std::abs(clip.scale) * std::sqrt(squares);
    result.gradient_norm = norm;
    if (!result) { return result; }
    const double scale = norm > clip.norm ? clip.scale * (clip.norm / norm) : clip.scale;
    before = 0;
    const auto step = [&](const auto& one) {
        auto optimizer = one.optimizer;
        optimizer.clip.scale *= scale;
        optimizer.clip.value = std::min(optimizer.clip.value, clip.value);
        optimizer.non_finite = on_non_finite::report;
        const step_result part = optimizer.step(one.parameters, one.gradients, one.state);
        if (!part && result) {
            result.status = part.status;
            result.tensor = before + part.tensor;
        }
        before += one.state.tensors.size();
    };
    (step(groups), ...);
    return result;
}

}  // namespace tweedie::optim
