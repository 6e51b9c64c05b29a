// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tweedie::optim {

/// Schedule-free AdamW: the average of the iterates takes the place of a falling learning rate, so that no
/// end of the training has to be chosen. Gradients are taken at y, which the parameters are; the result is x
/// (`average`).
///
///     y = (1 - beta1) z + beta1 x,   u = g(y) / (sqrt(v_hat) + eps) + decay y
///     z = z - gamma u,   x = (1 - c) x + c z,   c = gamma_max^2 / (sum of all gamma_max^2)
///     gamma = learning_rate min(1, t / warmup)
///
/// Source: Defazio et al. 2024, arXiv:2405.15682, Algorithm 1. Deviation: v is corrected inside u and gamma
/// is not, as in the authors' code since 2024.
/// - cost    as `adam`; state z and v.
/// - choose  with a constant learning rate, 1 to 10 times that of `adamw` with a schedule.
struct schedule_free_adamw {
    double learning_rate = 2.5e-3;  ///< >= 0
    double beta1 = 0.9;             ///< where between z and x gradients are taken; in (0, 1)
    double beta2 = 0.999;           ///< in [0, 1)
    double eps = 1e-8;              ///< >= 0
    double warmup = 0;              ///< steps; >= 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        require();
        return detail::elementwise_step<2>(
            detail::common_options("schedule_free_adamw", "schedule_free_adamw", *this), parameters,
            gradients, state, [&](tensor_record& tensor) {
                const auto t = static_cast<double>(tensor.step);
                const double gamma = learning_rate * (t < warmup ? t / warmup : 1.0);
                double& largest = tensor.memory[0];
                double& sum = tensor.memory[1];
                largest = std::max(largest, gamma);
                sum += largest * largest;
                const double c = sum > 0 ? largest * largest / sum : 0.0;
                const bool is_decoupled = decay.where == weight_decay::place::decoupled;
                const auto narrow = [](double x) { return static_cast<scalar>(x); };
                return detail::schedule_free_numbers<scalar>{.beta2 = narrow(beta2),
                                                             .rest2 = narrow(1 - beta2),
                                                             .scale = narrow(1 / (1 - std::pow(beta2, t))),
                                                             .outside = narrow(eps),
                                                             .decay = narrow(is_decoupled ? decay.rate : 0.0),
                                                             .first = narrow(tensor.step == 1 ? 1 : 0),
                                                             .later = narrow(tensor.step == 1 ? 0 : 1),
                                                             .pull = narrow(c),
                                                             .rate_y = narrow(gamma * (1 - beta1 * (1 - c))),
                                                             .rate = narrow(gamma)};
            });
    }

    /// The result x of the training so far, into `out`, tensors like the parameters.
    ///
    ///     x = y + (1 - 1 / beta1)(z - y)
    template <parameter_set Parameters, parameter_set Result>
    void average(const Parameters& parameters, const optim::state<state_scalar_t<Parameters>>& state,
                 Result&& out) const {
        using scalar = state_scalar_t<Parameters>;
        require();
        detail::gathered_set<const Parameters> from(parameters);
        detail::gathered_set<std::remove_reference_t<Result>> to(out);
        detail::require_matching("schedule_free_adamw", to, from);
        auto checked = state;  // for the check; a result is asked for once in a while
        detail::prepare_state("schedule_free_adamw", "schedule_free_adamw", 2, from, checked,
                              detail::no_extra);
        std::size_t offset = 0;
        const double weight = state.tensors.empty() || state.step() == 0 ? 0.0 : 1 - 1 / beta1;
        for (std::size_t i = 0; i < from.size(); ++i) {
            for (std::size_t k = 0; k < from[i].size; ++k) {
                const auto y = static_cast<double>(static_cast<scalar>(from[i].data[k]));
                const auto z = static_cast<double>(checked.values[offset + k]);
                to[i].data[k] =
                    static_cast<detail::set_element_t<Parameters>>(static_cast<scalar>(y + weight * (z - y)));
            }
            offset += 2 * from[i].size;
        }
        to.write_back();
    }

private:
    void require() const {
        detail::require_adam("schedule_free_adamw", *this);
        detail::require_positive("schedule_free_adamw", "beta1", beta1);
        detail::require_not_negative("schedule_free_adamw", "warmup", warmup);
    }
};

}  // namespace tweedie::optim
