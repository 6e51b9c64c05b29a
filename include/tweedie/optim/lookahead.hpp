// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <concepts>
#include <cstdint>
#include <type_traits>

namespace tweedie::optim {

/// What `lookahead` remembers: the state of the optimizer inside, and the slow weights.
template <std::floating_point Scalar>
struct lookahead_state {
    state<Scalar> fast;
    state<Scalar> slow;
    friend bool operator==(const lookahead_state&, const lookahead_state&) = default;
};

/// Lookahead: every few steps of another optimizer, go back a part of the way.
///
///     every `period` steps:  slow = slow + weight (theta - slow),   theta = slow
///
/// Source: Zhang et al. 2019, arXiv:1907.08610, Algorithm 1. Deviation: none.
/// - cost    that of the optimizer, and one pass every `period` steps; one more number per element.
template <class Optimizer>
struct lookahead {
    Optimizer optimizer{};
    std::uint64_t period = 5;  ///< >= 1
    double weight = 0.5;       ///< in (0, 1]

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     lookahead_state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        using set = std::remove_reference_t<Parameters>;
        if (period < 1) { detail::refuse_option("lookahead", "period must be at least 1"); }
        if (!(weight > 0) || !(weight <= 1)) {
            detail::refuse_option("lookahead", "weight must be in (0, 1]");
        }
        {
            detail::gathered_set<set> all(parameters);
            const bool starts = state.slow.method.empty();
            detail::prepare_state("lookahead", "lookahead", 1, all, state.slow, detail::no_extra);
            if (starts) { detail::follow(1, all, state.slow); }
        }
        const step_result result = optimizer.step(parameters, gradients, state.fast);
        if (result.status == step_status::gradient_not_finite) { return result; }
        detail::gathered_set<set> all(parameters);
        for (tensor_record& tensor : state.slow.tensors) { ++tensor.step; }
        if (state.slow.step() % period == 0) {
            detail::apply_formula<1>(detail::lookahead_numbers<scalar>{static_cast<scalar>(weight)}, all, all,
                                     state.slow);
            all.write_back();
        }
        return result;
    }
};

}  // namespace tweedie::optim
