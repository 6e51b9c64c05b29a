// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <cmath>
#include <type_traits>

namespace tweedie::optim {

/// NAdam: Adam with Nesterov's look ahead; NAdamW with `decay = decoupled(rate)`.
///
///     mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2),   P_t = mu_1 mu_2 ... mu_t
///     u = (1 - mu_t) / (1 - P_t) g + mu_{t+1} / (1 - P_{t+1}) m
///     theta = theta - learning_rate u / (sqrt(v_hat) + eps)
///
/// Source: Dozat 2016, ICLR workshop, "Incorporating Nesterov momentum into Adam". Deviation: m is a mean of
/// the gradients with beta1, as in torch. Torch 1.13 has mu_t twice in P_{t+1}, which it later put right:
/// `peer_formula` has its numbers.
/// - cost    as `adam`; the product P is kept in the state.
struct nadam {
    double learning_rate = 2e-3;   ///< >= 0
    double beta1 = 0.9;            ///< in [0, 1)
    double beta2 = 0.999;          ///< in [0, 1)
    double eps = 1e-8;             ///< >= 0
    double momentum_decay = 4e-3;  ///< >= 0
    epsilon convention = epsilon::corrected;
    bool peer_formula = false;  ///< true: the numbers of torch 1.13, see above
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("nadam", *this);
        detail::require_not_negative("nadam", "momentum_decay", momentum_decay);
        if (convention == epsilon::uncorrected) {
            detail::refuse_option("nadam", "convention must be corrected or under_root");
        }
        return detail::elementwise_step<2>(
            detail::common_options("nadam", "nadam", *this), parameters, gradients, state,
            [&](tensor_record& tensor) {
                auto adam = detail::numbers_of_adam<scalar>(*this, tensor.step);
                const auto t = static_cast<double>(tensor.step);
                const auto mu = [&](double step) {
                    return beta1 * (1 - 0.5 * std::pow(0.96, step * momentum_decay));
                };
                double& product = tensor.memory[0];
                product = (tensor.step == 1 ? 1.0 : product) * mu(t);
                const double next = product * (peer_formula ? mu(t) : 1.0) * mu(t + 1);
                adam.rate = static_cast<scalar>(learning_rate * mu(t + 1) / (1 - next));
                const double now = learning_rate * (1 - mu(t)) / (1 - product);
                return detail::nadam_numbers<scalar>{adam, static_cast<scalar>(now)};
            });
    }
};

}  // namespace tweedie::optim
