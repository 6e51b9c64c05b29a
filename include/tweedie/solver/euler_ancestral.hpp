// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/transfer.hpp>

#include <cstddef>
#include <span>

namespace tweedie::solver {

/// Euler ancestral: an Euler step in sigma / alpha to a level below the target, then fresh noise up to it.
///
///     x_t = alpha_t x0_hat + sigma_down eps_hat + s_noise sigma_up z,  sigma_down^2 + sigma_up^2 = sigma_t^2
///
/// sigma_up from `ancestral` or, with `downstep::flow`, from `ancestral_flow`. Source: Karras et al. 2022,
/// arXiv:2206.00364, as k-diffusion splits the step; on VE theirs, on VP and flow the same in x / alpha. For
/// eta <= 1, posterior and s_noise = 1 it is `ddim` with that eta, on every schedule. eta = infinity renoises
/// each x0_hat fully (`stochastic_sampling` of flow matching, and the stepping of consistency models).
/// - order   1 in sigma / alpha with eta = 0; weak order 1 with any finite eta (none with s_noise != 1,
///           which changes the law).
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - random  one draw per step when eta > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: eta negative or NaN, above 1 with `downstep::flow`; s_noise negative or
///           not finite; levels that are not strictly denoising.
/// - choose  `ddim` for the same sampler under its published name; this for eta > 1, s_noise or `flow`.
struct euler_ancestral {
    double eta = 1.0;                        ///< share of the noise; >= 0, infinity for all
    double s_noise = 1.0;                    ///< factor on the noise; >= 0
    downstep variant = downstep::posterior;  ///< how far below the target the step goes

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        require_ancestral(eta, s_noise, variant, "euler_ancestral");
        require_levels(levels, "euler_ancestral");
        plan_writer p("euler_ancestral(" + describe_ancestral(eta, s_noise, variant) + ")", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const renoised_step down = ancestral_step(s, t, eta, variant);
            const linear_form x0 = p.data_prediction(x, s);
            x = data_step(x, s, down.clean, x0);
            if (down.noise * s_noise > 0.0) { x = x + (down.noise * s_noise) * p.noise(); }
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
