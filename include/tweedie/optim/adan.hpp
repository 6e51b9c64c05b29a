// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <cmath>
#include <type_traits>

namespace tweedie::optim {

/// Adan: Adam with a Nesterov momentum that is estimated from differences of gradients.
///
///     d = g - g_before (0 at first),   m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) d
///     n = beta3 n + (1 - beta3)(g + beta2 d)^2
///     theta = (theta - rate (m_hat + beta2 v_hat) / (sqrt(n_hat) + eps)) / (1 + rate decay)
///     rate  = learning_rate
///
/// Source: Xie et al. 2022, arXiv:2208.06677, Algorithm 1, with beta_i for its 1 - beta_i and the bias
/// corrections of its code. Deviation: coupled decay, if asked for, is in g.
/// - cost    one pass: six arrays read, five written; four numbers per element.
struct adan {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.98;          ///< memory of the mean; in [0, 1)
    double beta2 = 0.92;          ///< memory of the differences; in [0, 1)
    double beta3 = 0.99;          ///< memory of the square; in [0, 1)
    double eps = 1e-8;            ///< >= 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("adan", *this);
        detail::require_beta("adan", "beta3", beta3);
        return detail::elementwise_step<4>(
            detail::common_options("adan", "adan", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                const auto t = static_cast<double>(tensor.step);
                const bool is_decoupled = decay.where == weight_decay::place::decoupled;
                const auto narrow = [](double x) { return static_cast<scalar>(x); };
                return detail::adan_numbers<scalar>{
                    .beta1 = narrow(beta1),
                    .rest1 = narrow(1 - beta1),
                    .beta2 = narrow(beta2),
                    .rest2 = narrow(1 - beta2),
                    .beta3 = narrow(beta3),
                    .rest3 = narrow(1 - beta3),
                    .keep = narrow(is_decoupled ? 1 / (1 + learning_rate * decay.rate) : 1.0),
                    .rate = narrow(learning_rate / (1 - std::pow(beta1, t))),
                    .ahead = narrow(learning_rate * beta2 / (1 - std::pow(beta2, t))),
                    .scale = narrow(1 / (1 - std::pow(beta3, t))),
                    .outside = narrow(eps),
                    .has_before = narrow(tensor.step == 1 ? 0 : 1)};
            });
    }
};

}  // namespace tweedie::optim
