// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// Yogi: Adam whose second moment changes by no more than the new square, so that it falls slowly.
///
///     v = v - (1 - beta2) sign(v - g^2) g^2,   theta = theta - learning_rate m / (sqrt(v) + eps)
///
/// Source: Zaheer et al. 2018, NeurIPS, "Adaptive methods for nonconvex optimization", Algorithm 2.
/// Deviation: v starts at 0; no bias corrections, as in the paper.
/// - cost    as `adam`.
struct yogi {
    double learning_rate = 1e-2;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-3;            ///< >= 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("yogi", *this);
        return detail::elementwise_step<2>(
            detail::common_options("yogi", "yogi", *this), parameters, gradients, state,
            [&](const tensor_record&) {
                return detail::yogi_numbers<scalar>{
                    {.beta1 = static_cast<scalar>(beta1),
                     .rest1 = static_cast<scalar>(1 - beta1),
                     .beta2 = static_cast<scalar>(beta2),
                     .rest2 = static_cast<scalar>(1 - beta2),
                     .keep = static_cast<scalar>(detail::kept(learning_rate, decay)),
                     .rate = static_cast<scalar>(learning_rate),
                     .scale = 1,
                     .inside = 0,
                     .outside = static_cast<scalar>(eps)}};
            });
    }
};

}  // namespace tweedie::optim
