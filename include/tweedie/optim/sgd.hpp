// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// Gradient descent with momentum.
///
///     m = momentum m + (1 - dampening) g         (m = g at the first step)
///     theta = theta - learning_rate m            heavy_ball
///     theta = theta - learning_rate (g + momentum m)     nesterov
///
/// Source: Polyak 1964; Nesterov 1983, in the form of Sutskever et al. 2013 that torch has.
/// - cost    one pass: three arrays read, two written; one number per element. Without momentum no state.
struct sgd {
    enum class variant { heavy_ball, nesterov };
    double learning_rate = 1e-2;  ///< >= 0
    double momentum = 0;          ///< in [0, 1); 0: none
    variant kind = variant::heavy_ball;
    double dampening = 0;  ///< in [0, 1)
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_rate("sgd", learning_rate);
        detail::require_beta("sgd", "momentum", momentum);
        detail::require_beta("sgd", "dampening", dampening);
        detail::require_not_negative("sgd", "decay", decay.rate);
        const auto options = detail::common_options("sgd", "sgd", *this);
        const auto keep = static_cast<scalar>(detail::kept(learning_rate, decay));
        const auto rate = static_cast<scalar>(learning_rate);
        if (momentum == 0) {
            return detail::elementwise_step<0>(
                options, parameters, gradients, state,
                [&](const tensor_record&) { return detail::descent_numbers<scalar>{keep, rate}; });
        }
        return detail::elementwise_step<1>(
            options, parameters, gradients, state, [&](const tensor_record& tensor) {
                const bool ahead = kind == variant::nesterov;
                return detail::sgd_numbers<scalar>{
                    static_cast<scalar>(momentum),
                    static_cast<scalar>(tensor.step == 1 ? 1.0 : 1 - dampening), keep,
                    ahead ? rate : scalar{0}, ahead ? static_cast<scalar>(learning_rate * momentum) : rate};
            });
    }
};

}  // namespace tweedie::optim
