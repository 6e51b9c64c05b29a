// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <cmath>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// DPM++ SDE: a single-step method of two stages, each an exact step to a cleaner level and noise back up.
///
///     u    = lambda_s + r h,    (u', n_u) = ancestral(s, u),    (t', n_t) = ancestral(s, t)
///     x_u  = sigma_u'/sigma_s x_s - alpha_u (e^(-(lambda_u' - lambda_s)) - 1) D_s + n_u z_1
///     D    = (1 - 1/(2 r)) D_s + 1/(2 r) D(x_u)
///     x_t  = sigma_t'/sigma_s x_s - alpha_t (e^(-(lambda_t' - lambda_s)) - 1) D + n_t z
///
/// Source: k-diffusion's sample_dpmpp_sde (its VE form; here for any schedule, equal to it in x / alpha). It
/// has no paper of its own; at eta = 1 it is SEEDS-2 in data prediction (Gonzalez et al. 2023,
/// arXiv:2305.14267).
///
/// Deviation: z shares with z_1 what one Brownian path shares (`z = c z_1 + sqrt(1 - c^2) z_2`, the c of the
/// exact SDE). Drawn independently, as diffusers' and k-diffusion's plain noise samplers do, the variance is
/// of first order only; k-diffusion's Brownian tree shares by sigma, which is not the c of the SDE either.
/// `peer_formula` draws them independently.
/// - order   2 in half-log-SNR for the drift; mean and variance of Gaussian data 2 (variance 1 with
///           `peer_formula`). A step to sigma = 0 or from alpha = 0 is of first order.
/// - cost    2 network calls per step, 1 on a step to sigma = 0 or from alpha = 0; 2 live tensors.
/// - random  2 draws per step when eta > 0.
/// - errors  `std::invalid_argument`: eta or s_noise negative, NaN or infinite; r outside (0, 1]; levels that
///           are not strictly denoising.
/// - choose  for the look of its pictures; per call `sde_dpm_solver` is more accurate.
struct dpmpp_sde {
    double eta = 1.0;           ///< share of the posterior's noise; above 1 it is capped at all of it
    double s_noise = 1.0;       ///< factor on the noise; 1 keeps the law
    double r = 0.5;             ///< where the stage lies; (0, 1]
    bool peer_formula = false;  ///< independent draws for the stage and the step

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(eta >= 0.0 && std::isfinite(eta))) {
            throw std::invalid_argument("dpmpp_sde: eta must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("dpmpp_sde: s_noise must be finite and not negative");
        }
        if (!(r > 0.0 && r <= 1.0)) { throw std::invalid_argument("dpmpp_sde: r must lie in (0, 1]"); }
        require_levels(levels, "dpmpp_sde");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable x_s = p.variable("x_s");
        plan_variable d_s = p.variable("x0_hat");
        plan_variable w = p.variable("w");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form x0 = p.data_prediction(x, s);
            if (t.sigma == 0.0) {
                x = t.alpha * x0;
                continue;
            }
            // x_s carried to a level without noise, and what the prediction adds
            const auto carry = [&s = s](const level& to) { return to.sigma / s.sigma; };
            const auto drift = [&s = s](const level& to, const linear_form& d) {
                const exponential_node node{s.half_log_snr(), d};
                return exponential_step(linear_form(), s, to, std::span(&node, 1), form::data);
            };
            const renoised_step end = ancestral(s, t, eta);
            if (s.alpha == 0.0) {  // there is no level between pure noise and the next
                x = carry(end.clean) * x + drift(end.clean, x0);
                if (s_noise * end.noise > 0.0) { x = x + s_noise * end.noise * p.noise(); }
                continue;
            }
            const level u =
                r == 1.0 ? t : at_half_log_snr(schedule, s.half_log_snr() + r * log_snr_step(s, t));
            const renoised_step stage = ancestral(s, u, eta);
            x_s = x;
            d_s = x0;
            w = carry(stage.clean) * x;  // with the stage's noise: what arrives at the end as carried * w
            if (s_noise * stage.noise > 0.0) { w = w + s_noise * stage.noise * p.noise(); }
            x = w + drift(stage.clean, d_s);
            const linear_form d_u = p.data_prediction(x, u);

            if (peer_formula) {
                w = carry(end.clean) * x_s;
                if (s_noise * end.noise > 0.0) { w = w + s_noise * end.noise * p.noise(); }
            } else if (r < 1.0) {
                const double carried = stage.clean.sigma > 0.0 ? end.clean.sigma / stage.clean.sigma : 0.0;
                const double old = carried * stage.noise;
                const double fresh = s_noise * std::sqrt((end.noise - old) * (end.noise + old));
                w = carried * w;
                if (fresh > 0.0) { w = w + fresh * p.noise(); }
            }
            x = w + drift(end.clean, (1.0 - 1.0 / (2.0 * r)) * d_s + (1.0 / (2.0 * r)) * d_u);
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] std::string describe() const {
        std::string text = "dpmpp_sde(eta=" + detail::shortest(eta);
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        if (r != 0.5) { text += ", r=" + detail::shortest(r); }
        if (peer_formula) { text += ", independent draws"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
