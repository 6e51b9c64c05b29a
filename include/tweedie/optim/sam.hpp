// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <cmath>
#include <concepts>
#include <type_traits>

namespace tweedie::optim {

/// What `sam` remembers: the state of the optimizer inside, and room for the parameters while it is away from
/// them.
template <std::floating_point Scalar>
struct sam_state {
    state<Scalar> descent;
    state<Scalar> saved;
    friend bool operator==(const sam_state&, const sam_state&) = default;
};

/// SAM: step by the gradient at the worst place within `rho` of the parameters, to find flat minima.
///
///     theta' = theta + rho g(theta) / |g(theta)|,   theta = step(theta, g(theta'))
///
/// Source: Foret et al. 2020, arXiv:2010.01412, Algorithm 1. Deviation: none.
/// - cost    two gradients per step; two passes besides the optimizer's; one more number per element.
template <class Optimizer>
struct sam {
    Optimizer optimizer{};
    double rho = 0.05;  ///< radius; >= 0

    /// - evaluate  `evaluate()` fills `gradients` for the parameters as they are; called twice.
    template <parameter_set Parameters, parameter_set Gradients, std::invocable Evaluate>
    step_result step(Parameters&& parameters, Gradients&& gradients,
                     sam_state<state_scalar_t<Parameters>>& state, Evaluate&& evaluate) const {
        using scalar = state_scalar_t<Parameters>;
        using set = std::remove_reference_t<Parameters>;
        detail::require_not_negative("sam", "rho", rho);
        evaluate();
        {
            detail::gathered_set<set> all(parameters);
            detail::gathered_set<const std::remove_reference_t<Gradients>> slopes(gradients);
            detail::require_matching("sam", all, slopes);
            detail::prepare_state("sam", "sam", 1, all, state.saved, detail::no_extra);
            const double norm = detail::norm_of(slopes);
            if (!std::isfinite(norm)) {
                return {step_status::gradient_not_finite, detail::first_not_finite(slopes), norm};
            }
            const auto rate = static_cast<scalar>(norm > 0 ? rho / norm : 0.0);
            detail::apply_formula<1>(detail::ascent_numbers<scalar>{rate}, all, slopes, state.saved);
            all.write_back();
        }
        evaluate();
        detail::gathered_set<set> all(parameters);
        detail::apply_formula<1>(detail::restore_numbers<scalar>{}, all, all, state.saved);
        all.write_back();
        for (tensor_record& tensor : state.saved.tensors) { ++tensor.step; }
        return optimizer.step(parameters, gradients, state.descent);
    }
};

}  // namespace tweedie::optim
