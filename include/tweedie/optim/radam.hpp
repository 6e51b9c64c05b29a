// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <cmath>
#include <type_traits>

namespace tweedie::optim {

/// RAdam: Adam that waits with the division until the second moment is known well enough, and then rectifies
/// it.
///
///     rho = rho_inf - 2 t beta2^t / (1 - beta2^t),   rho_inf = 2 / (1 - beta2) - 1
///     rho > rectify_above:  theta = theta - learning_rate r m_hat / ((sqrt(v) + eps) / sqrt(1 - beta2^t))
///                           r^2 = (rho - 4)(rho - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho)
///     otherwise:            theta = theta - learning_rate m_hat
///
/// Source: Liu et al. 2019, arXiv:1908.03265, Algorithm 2. Deviation: rectifies above 5, as the authors' code
/// and torch do, not above 4; epsilon is uncorrected, as theirs.
/// - cost    as `adam`.
struct radam {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< in [0, 1)
    double beta2 = 0.999;         ///< in [0, 1)
    double eps = 1e-8;            ///< >= 0
    double rectify_above = 5;     ///< >= 4
    epsilon convention = epsilon::uncorrected;
    weight_decay decay = coupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("radam", *this);
        if (!(rectify_above >= 4)) { detail::refuse_option("radam", "rectify_above must be at least 4"); }
        return detail::elementwise_step<2>(
            detail::common_options("radam", "radam", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                auto adam = detail::numbers_of_adam<scalar>(*this, tensor.step);
                const auto t = static_cast<double>(tensor.step);
                const double power = std::pow(beta2, t);
                const double rho_inf = 2 / (1 - beta2) - 1;
                const double rho = rho_inf - 2 * t * power / (1 - power);
                if (rho > rectify_above) {
                    const double r =
                        std::sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho));
                    adam.rate = static_cast<scalar>(r) * adam.rate;
                } else {  // sqrt(0 v + 1) + 0
                    adam.rate = static_cast<scalar>(learning_rate / (1 - std::pow(beta1, t)));
                    adam.scale = 0;
                    adam.inside = 1;
                    adam.outside = 0;
                }
                return adam;
            });
    }
};

}  // namespace tweedie::optim
