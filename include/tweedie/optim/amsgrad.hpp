// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// AMSGrad: Adam whose step never grows again where gradients were once large.
///
///     v_max = max(v_max, v),   theta = theta - learning_rate m_hat / (sqrt(v_max / (1 - beta2^t)) + eps)
///
/// Source: Reddi, Kale and Kumar 2018, arXiv:1904.09237. Deviation: with bias corrections, as in torch.
/// - cost    one pass: five arrays read, four written; three numbers per element.
struct amsgrad {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-8;            ///< >= 0
    epsilon convention = epsilon::corrected;
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("amsgrad", *this);
        return detail::elementwise_step<3>(
            detail::common_options("amsgrad", "amsgrad", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                return detail::amsgrad_numbers<scalar>{detail::numbers_of_adam<scalar>(*this, tensor.step)};
            });
    }
};

}  // namespace tweedie::optim
