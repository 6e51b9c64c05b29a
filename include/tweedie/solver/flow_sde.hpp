// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// The SDE that has the marginals of the probability flow, for any diffusion coefficient g(t) >= 0.
///
///     dx = u dt + (g^2 / 2) score |dt| + g dW,    score = -eps_hat / sigma,    dt in the schedule's time
///
///     x_t = x_s + u dt - (g^2 / (2 sigma_s)) eps_hat |dt| + g sqrt(|dt|) z               euler_maruyama
///     x_t = sigma_t/sigma_s e^(-tau^2 h) x_s + alpha_t (1 - e^(-(1 + tau^2) h)) x0_hat
///           + sigma_t sqrt(1 - e^(-2 tau^2 h)) z,    tau^2 h = g^2 |dt| / (2 sigma_s^2)   exponential
///
/// u = alpha' x0_hat + sigma' eps_hat, h the step in half-log-SNR. g is one of
///
///     constant     g = scale
///     sigma        g = scale sigma
///     forward      g = scale sqrt(2 sigma^2 |d lambda / dt|), with scale = 1 the reversal of the forward SDE
///     flow_grpo    g = scale sqrt(sigma / alpha); from pure noise alpha is that of the next level
///     given        g = values[i] on step i
///
/// g = 0 is the probability flow: `euler` in the first form, `ddim` in the second. Source: Song et al. 2020,
/// arXiv:2011.13456 (g of the forward process); Ma et al. 2024, arXiv:2401.08740, and Albergo, Boffi and
/// Vanden-Eijnden 2023, arXiv:2303.08797, for any g; Liu et al. 2025, Flow-GRPO, arXiv:2505.05470, for the
/// fourth and its `euler_maruyama` step. The exponential form integrates the linear part and the noise
/// exactly at constant tau: it keeps the variance of pure noise and never overshoots, however long the step.
/// The first form is explicit: unstable where g^2 |dt| exceeds about 4 sigma^2. A step to sigma = 0 returns
/// alpha_t x0_hat in both. g is in units of x / sqrt(time): on a table, whose time counts to 999, the same
/// diffusion needs a g smaller by sqrt(999).
/// - order   weak order 1 in the schedule's time.
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - random  one draw per step with g > 0, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: an unknown coefficient or scheme; scale negative or not finite; not one
///           value finite and >= 0 per step; levels that are not strictly denoising; a schedule whose rates
///           are infinite at a level (euler_maruyama).
/// - choose  to explore around a flow model's samples (reinforcement learning, restoration): `exponential`.
///           Measured per call, `heun` with churn and `dpmpp_2s_ancestral` are more accurate.
struct flow_sde {
    enum class coefficient { constant, sigma, forward, flow_grpo, given };
    enum class scheme { euler_maruyama, exponential };

    coefficient g = coefficient::forward;  ///< how g depends on the level
    double scale = 1.0;                    ///< factor on g; >= 0; Flow-GRPO uses 0.7
    scheme variant = scheme::exponential;  ///< how a step is taken
    std::vector<double> values = {};       ///< `given`: g of each step, in units of x / sqrt(time)

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        require_levels(levels, "flow_sde");
        require_options(levels);
        plan_writer p(name(), levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (t.sigma == 0.0) {
                x = t.alpha * p.data_prediction(x, s);
                continue;
            }
            const double dt = t.t - s.t;
            if (variant == scheme::euler_maruyama) {
                const double noise = diffusion(schedule, s, t, i) * std::sqrt(std::abs(dt));
                const double stretch = schedule.sigma_rate(s.t) / s.sigma;
                const double pull = noise * noise / (2.0 * s.sigma * s.sigma);  // g^2 |dt| / (2 sigma^2)
                const linear_form x0 = p.data_prediction(x, s);
                // u dt = alpha' dt x0 + sigma' dt eps, sigma eps = x - alpha x0
                x = x + (stretch * dt - pull) * x +
                    (schedule.alpha_rate(s.t) * dt - (stretch * dt - pull) * s.alpha) * x0;
                if (noise > 0.0) { x = x + noise * p.noise(); }
            } else {
                const double tau = stochasticity(schedule, s, t, i);
                const exponential_node node{s.half_log_snr(), p.data_prediction(x, s)};
                x = exponential_step(x, s, t, std::span(&node, 1), form::data, tau);
                const double drawn = exponential_noise(s, t, form::data, tau);
                if (drawn > 0.0) { x = x + drawn * p.noise(); }
            }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] double diffusion(const any_schedule& schedule, const level& s, const level& t,
                                   std::size_t i) const {
        switch (g) {
            case coefficient::constant: return scale;
            case coefficient::sigma: return scale * s.sigma;
            case coefficient::forward: {
                // sigma^2 |lambda'| = sigma |alpha' sigma / alpha - sigma'|
                const level at = s.alpha == 0.0 ? t : s;
                const double slope =
                    schedule.alpha_rate(at.t) * at.sigma / at.alpha - schedule.sigma_rate(at.t);
                return scale * std::sqrt(2.0 * at.sigma * std::abs(slope));
            }
            case coefficient::flow_grpo:
                return scale * std::sqrt(s.sigma / (s.alpha == 0.0 ? t.alpha : s.alpha));
            case coefficient::given: break;
        }
        return values[i];
    }

    /// tau of the step in the exponential form: g^2 |dt| = 2 tau^2 sigma_s^2 h, the very scale for `forward`.
    [[nodiscard]] double stochasticity(const any_schedule& schedule, const level& s, const level& t,
                                       std::size_t i) const {
        if (g == coefficient::forward) { return scale; }
        const double h = log_snr_step(s, t);
        if (!std::isfinite(h)) { return 0.0; }  // h = infinity holds all of a finite g
        return diffusion(schedule, s, t, i) / s.sigma * std::sqrt(std::abs(t.t - s.t) / (2.0 * h));
    }

    void require_options(std::span<const level> levels) const {
        if (!(scale >= 0.0 && std::isfinite(scale))) {
            throw std::invalid_argument("flow_sde: scale must be finite and not negative");
        }
        if (variant != scheme::euler_maruyama && variant != scheme::exponential) {
            throw std::invalid_argument("flow_sde: variant must be euler_maruyama or exponential");
        }
        switch (g) {
            case coefficient::constant:
            case coefficient::sigma:
            case coefficient::forward:
            case coefficient::flow_grpo: return;
            case coefficient::given: break;
            default: throw std::invalid_argument("flow_sde: g must be one of flow_sde::coefficient");
        }
        const std::size_t steps = levels.size() - 1;
        const std::size_t drawing = steps - (levels.back().sigma == 0.0 ? 1 : 0);
        if (values.size() != steps && values.size() != drawing) {
            throw std::invalid_argument("flow_sde: values must hold one number per step");
        }
        for (const double v : values) {
            if (!(v >= 0.0 && std::isfinite(v))) {
                throw std::invalid_argument("flow_sde: values must be finite and not negative");
            }
        }
    }

    [[nodiscard]] std::string name() const {
        static constexpr const char* names[] = {"constant", "sigma", "forward", "flow_grpo", "given"};
        std::string text = std::string("flow_sde(") + names[static_cast<std::size_t>(g)];
        if (g != coefficient::given) { text += " " + detail::shortest(scale); }
        return text + (variant == scheme::exponential ? ", exponential)" : ")");
    }
};

}  // namespace tweedie::solver
