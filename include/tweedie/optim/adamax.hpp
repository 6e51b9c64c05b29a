// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <cmath>
#include <type_traits>

namespace tweedie::optim {

/// AdaMax: Adam with the largest recent gradient instead of a root of mean squares.
///
///     u = max(beta2 u, |g| + eps),   theta = theta - learning_rate m_hat / u
///
/// Source: Kingma and Ba 2014, arXiv:1412.6980, Algorithm 2. Deviation: eps, as in torch, where the paper has
/// none.
/// - cost    as `adam`, without its root.
struct adamax {
    double learning_rate = 2e-3;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-8;            ///< > 0, so that nothing is divided by zero
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("adamax", *this);
        detail::require_positive("adamax", "eps", eps);
        return detail::elementwise_step<2>(
            detail::common_options("adamax", "adamax", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                const double correction = 1 - std::pow(beta1, static_cast<double>(tensor.step));
                return detail::adamax_numbers<scalar>{static_cast<scalar>(beta1),
                                                      static_cast<scalar>(1 - beta1),
                                                      static_cast<scalar>(beta2),
                                                      static_cast<scalar>(detail::kept(learning_rate, decay)),
                                                      static_cast<scalar>(learning_rate / correction),
                                                      static_cast<scalar>(eps)};
            });
    }
};

}  // namespace tweedie::optim
