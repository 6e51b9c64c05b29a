// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// Multistep sampling of a consistency model: jump to data, add the noise of the next level, jump again.
///
///     f   = the network's data prediction at (x_s, s)
///     x_t = alpha_t (f + sqrt(kappa_t^2 - kappa_min^2) s_noise z),    kappa = sigma / alpha
///
/// Source: Song et al. 2023, arXiv:2303.01469, algorithm 1, on VE with kappa_min their epsilon: what the
/// network returns is still as noisy as that, and the last step adds nothing. On `schedule::trig` with
/// kappa_min = 0 it is the sampler of TrigFlow (sCM; Lu and Song 2024, arXiv:2410.11081), on
/// `schedule::flow` the one of distilled flow networks (FlowMatchLCM). The final level says what the last
/// jump means: sigma = 0 or kappa_min both return f; a level above kappa_min returns a sample that noisy.
///
/// `sigma_data` > 0 gives the network the boundary scalings of the paper's appendix C, f = x at kappa_min
/// exactly:
///
///     f      = c_skip x / alpha + c_out F
///     c_skip = sigma_data^2 / ((kappa - kappa_min)^2 + sigma_data^2)
///     c_out  = sigma_data (kappa - kappa_min) / sqrt(kappa^2 + sigma_data^2)
///
/// for a network declared as `prediction::edm(sigma_data)`, whose output is F.
/// - order   none: an exact consistency function is exact in one step; an ordinary denoiser gives samples
///           with too little variance for any number of steps.
/// - cost    1 network call per step; 1 live tensor.
/// - random  one draw per step, none in the last one where it ends at kappa_min or below.
/// - errors  `std::invalid_argument`: kappa_min, sigma_data or s_noise negative, NaN or infinite; a level,
///           but for the last, not above kappa_min; levels that are not strictly denoising.
/// - choose  for distilled networks, at 1 to 4 calls. `lcm` has the scalings of latent consistency models.
struct consistency {
    double kappa_min = 0.0;   ///< sigma / alpha left in what the network returns; >= 0 (0.002 in the paper)
    double sigma_data = 0.0;  ///< of the boundary scalings; > 0 uses them, 0: the prediction is f itself
    double s_noise = 1.0;     ///< standard deviation of z; >= 0

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(kappa_min >= 0.0 && std::isfinite(kappa_min))) {
            throw std::invalid_argument("consistency: kappa_min must be finite and not negative");
        }
        if (!(sigma_data >= 0.0 && std::isfinite(sigma_data))) {
            throw std::invalid_argument("consistency: sigma_data must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("consistency: s_noise must be finite and not negative");
        }
        require_levels(levels, "consistency");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            if (!(s.sigma > s.alpha * kappa_min)) {
                throw std::invalid_argument("consistency: every level but the last must lie above kappa_min");
            }
            const linear_form x0 = p.data_prediction(x, s);
            const linear_form f = bounded(x, s, x0);
            const double kappa = t.sigma / t.alpha;
            // a level that is kappa_min but for rounding is kappa_min
            const bool above = kappa > kappa_min * (1.0 + 1e-12);
            const double noise =
                above ? t.alpha * std::sqrt((kappa - kappa_min) * (kappa + kappa_min)) * s_noise : 0.0;
            x = t.alpha * f;
            if (noise > 0.0) { x = x + noise * p.noise(); }
        }
        return p.finish(x);
    }

private:
    /// The boundary scalings of F, which the plan knows as x0 = c_skip x + c_out F with EDM's c_skip and
    /// c_out: the two c_out differ by (kappa - kappa_min) / kappa.
    [[nodiscard]] linear_form bounded(const linear_form& x, const level& s, const linear_form& x0) const {
        if (sigma_data == 0.0 || s.alpha == 0.0) { return x0; }
        const double kappa = s.sigma / s.alpha;
        const double variance = sigma_data * sigma_data;
        const double above = kappa - kappa_min;
        const double share = above / kappa;
        const double skip =
            variance / (above * above + variance) - share * variance / (kappa * kappa + variance);
        return share * x0 + (skip / s.alpha) * x;
    }

    [[nodiscard]] std::string describe() const {
        std::string words;
        const auto say = [&](const char* name, double value) {
            words += (words.empty() ? "(" : ", ") + std::string(name) + "=" + detail::shortest(value);
        };
        if (kappa_min != 0.0) { say("kappa_min", kappa_min); }
        if (sigma_data != 0.0) { say("sigma_data", sigma_data); }
        if (s_noise != 1.0) { say("s_noise", s_noise); }
        return "consistency" + words + (words.empty() ? "" : ")");
    }
};

}  // namespace tweedie::solver
