// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <type_traits>

namespace tweedie::optim {

/// AdaBound: Adam whose rate per element is bounded ever tighter around that of gradient descent.
///
///     rate  = learning_rate sqrt(1 - beta2^t) / (1 - beta1^t) / (sqrt(v) + eps)
///     theta = theta - clip(rate, final_rate (1 - 1 / (c t + 1)), final_rate (1 + 1 / (c t))) m
///     c     = convergence
///
/// Source: Luo et al. 2019, arXiv:1902.09843, Algorithm 2. Deviation: bounds and bias corrections as in the
/// authors' code, whose `final_lr` they scale with a schedule: scale `final_rate` along.
/// - cost    as `adam`.
struct adabound {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-8;            ///< >= 0
    double final_rate = 0.1;      ///< rate of the gradient descent it turns into; >= 0
    double convergence = 1e-3;    ///< > 0
    epsilon convention = epsilon::uncorrected;
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("adabound", *this);
        detail::require_not_negative("adabound", "final_rate", final_rate);
        detail::require_positive("adabound", "convergence", convergence);
        return detail::elementwise_step<2>(
            detail::common_options("adabound", "adabound", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                const double t = convergence * static_cast<double>(tensor.step);
                return detail::adabound_numbers<scalar>{detail::numbers_of_adam<scalar>(*this, tensor.step),
                                                        static_cast<scalar>(final_rate * (1 - 1 / (t + 1))),
                                                        static_cast<scalar>(final_rate * (1 + 1 / t))};
            });
    }
};

}  // namespace tweedie::optim
