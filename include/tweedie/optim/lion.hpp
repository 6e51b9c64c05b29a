// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// Lion: the sign of a look-ahead momentum; every element moves by the learning rate.
///
///     theta = theta - learning_rate (sign(beta1 m + (1 - beta1) g) + decay theta)
///     m = beta2 m + (1 - beta2) g
///
/// Source: Chen et al. 2023, arXiv:2302.06675, Algorithm 2. Deviation: none.
/// - cost    one pass: three arrays read, two written; one number per element.
/// - choose  learning rates 3 to 10 times smaller, and a decay as much larger, than for `adamw`.
struct lion {
    double learning_rate = 1e-4;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.99;          ///< in [0, 1)
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_rate("lion", learning_rate);
        detail::require_beta("lion", "beta1", beta1);
        detail::require_beta("lion", "beta2", beta2);
        detail::require_not_negative("lion", "decay", decay.rate);
        return detail::elementwise_step<1>(detail::common_options("lion", "lion", *this), parameters,
                                           gradients, state, [&](const tensor_record&) {
                                               return detail::lion_numbers<scalar>{
                                                   static_cast<scalar>(beta1),
                                                   static_cast<scalar>(1 - beta1),
                                                   static_cast<scalar>(beta2),
                                                   static_cast<scalar>(1 - beta2),
                                                   static_cast<scalar>(detail::kept(learning_rate, decay)),
                                                   static_cast<scalar>(learning_rate)};
                                           });
    }
};

}  // namespace tweedie::optim
