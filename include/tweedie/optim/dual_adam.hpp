// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace tweedie::optim {

/// The switch rate with which `dual_adam` is pure Adam after a fraction of all steps. The authors' scripts
/// have 0.16.
[[nodiscard]] inline double switch_after(double fraction, double total_steps) {
    if (!(fraction > 0) || !(total_steps > 0)) {
        detail::refuse_option("switch_after", "fraction and total_steps must be > 0");
    }
    return 1 / (fraction * total_steps);
}

/// InvAdam: Adam whose step grows with the root of the second moment instead of shrinking, which drives it
/// out of sharp minima.
///
///     theta = theta - learning_rate m_hat min(sqrt(v_hat) + eps, cap)        m_hat, v_hat as in `adam`
///
/// Source: Shi, Chen, Jin and Zhou 2026, arXiv:2603.07122, and its code. Deviation: `cap`, off by default.
/// - cost    as `adam`, whose state it shares.
/// - not     scale-free: a step is learning_rate g |g|, so a loss that is summed instead of averaged, or
///           scaled, changes the method; and where the curvature is above about 1 / (learning_rate |g|) it
///           diverges.
/// - choose  as the first phase of `dual_adam`.
struct inv_adam {
    double learning_rate = 1e-3;                           ///< >= 0
    double beta1 = 0.9;                                    ///< memory of the mean; in [0, 1)
    double beta2 = 0.999;                                  ///< memory of the square; in [0, 1)
    double eps = 0;                                        ///< >= 0
    double cap = std::numeric_limits<double>::infinity();  ///< the largest factor of m_hat; > 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("inv_adam", *this);
        detail::require_positive("inv_adam", "cap", cap);
        return detail::elementwise_step<2>(detail::common_options("inv_adam", "adam", *this), parameters,
                                           gradients, state, [&](const tensor_record& tensor) {
                                               return detail::inv_adam_numbers<scalar>{
                                                   detail::numbers_of_adam<scalar>(*this, tensor.step),
                                                   static_cast<scalar>(cap)};
                                           });
    }
};

/// DualAdam: InvAdam at first, Adam at last, the two mixed with weights that change linearly with the steps.
///
///     r = max(0, 1 - switch_rate t), 0 if below switch_rate         q = sqrt(v_hat) + eps
///     theta = theta - learning_rate ((1 - r) m_hat / q + r m_hat min(q, cap))
///
/// Source: Shi, Chen, Jin and Zhou 2026, arXiv:2603.07122, and its code. Deviations: the step is counted per
/// tensor and saved with the state (the code forgets it, so that a resumed run starts the inverse phase
/// again); `cap`, off by default. As in the code r is rounded before it is compared, so the first phase may
/// end one step early.
/// - phases  from t = 1 / switch_rate on it is `adam` with the same state, to the bit; with switch_rate >= 1
///           always.
/// - cost    as `adam`, whose state it shares.
/// - not     scale-free in the first phase, see `inv_adam`: set `cap` or `clip` where it diverges.
/// - choose  when minima found by Adam generalise badly; `switch_after(0.16, total_steps)` is the authors'
///           setting.
struct dual_adam {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< memory of the mean; in [0, 1)
    double beta2 = 0.999;         ///< memory of the square; in [0, 1)
    double eps = 1e-8;            ///< >= 0
    double switch_rate =
        0.01;  ///< > 0; the first phase has 1 / switch_rate steps; `switch_after` computes it
    double cap = std::numeric_limits<double>::infinity();  ///< the largest factor of the inverse branch; > 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        detail::require_adam("dual_adam", *this);
        detail::require_positive("dual_adam", "switch_rate", switch_rate);
        detail::require_positive("dual_adam", "cap", cap);
        return detail::elementwise_step<2>(
            detail::common_options("dual_adam", "adam", *this), parameters, gradients, state,
            [&](const tensor_record& tensor) {
                const auto adam = detail::numbers_of_adam<scalar>(*this, tensor.step);
                const double r = inverse_weight(static_cast<double>(tensor.step));
                const double rate = learning_rate / (1 - std::pow(beta1, static_cast<double>(tensor.step)));
                return detail::dual_adam_numbers<scalar>{adam, static_cast<scalar>((1 - r) * rate),
                                                         static_cast<scalar>(r * rate),
                                                         static_cast<scalar>(cap)};
            });
    }

    /// The weight r of the inverse branch at step t = 1, 2, ...
    [[nodiscard]] double inverse_weight(double t) const {
        const volatile double phase =
            t * switch_rate;  // rounded as the code rounds it, not fused into the difference
        const double r = std::max(0.0, 1 - phase);
        return r >= switch_rate ? r : 0.0;
    }
};

}  // namespace tweedie::optim
