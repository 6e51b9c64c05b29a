// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// AdaBelief: Adam that divides by how far gradients are from their mean, so that it takes large steps where
/// they agree.
///
///     s = beta2 s + (1 - beta2)(g - m)^2 + eps,   theta = theta - learning_rate m_hat / (sqrt(s_hat) + eps)
///
/// Source: Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2. Deviation: none.
/// - cost    as `adam`.
struct adabelief {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-8;            ///< >= 0
    epsilon convention = epsilon::corrected;
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("adabelief", *this);
        return detail::elementwise_step<2>(detail::common_options("adabelief", "adabelief", *this),
                                           parameters, gradients, state, [&](const tensor_record& tensor) {
                                               return detail::adabelief_numbers<scalar>{
                                                   detail::numbers_of_adam<scalar>(*this, tensor.step),
                                                   static_cast<scalar>(eps)};
                                           });
    }
};

}  // namespace tweedie::optim
