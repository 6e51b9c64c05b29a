// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// DDPM ancestral sampling: the posterior mean of the forward process, and fresh noise of a chosen variance.
///
///     x_t = (alpha_t / alpha_s) r^2 x_s + alpha_t (1 - r^2) x0_hat + sqrt(V) z,  r = kappa_t / kappa_s
///
///     fixed_small      V = sigma_t^2 (1 - r^2)              the posterior of given data (beta tilde)
///     fixed_large      V = P Q / (a^2 P + Q)                the posterior of data N(0, 1) (beta)
///     learned          V = variances[i]                     given for each step
///     learned_range    ln V = v_i ln V_large + (1 - v_i) ln V_small
///
/// a = alpha_s / alpha_t, Q = sigma_s^2 - a^2 sigma_t^2 the forward noise from t to s, P = alpha_t^2 +
/// sigma_t^2; where alpha^2 + sigma^2 = 1, V_large = 1 - a^2 is beta. Source: Ho, Jain and Abbeel 2020,
/// arXiv:2006.11239, algorithm 2 and section 3.2 for the two fixed variances; Nichol and Dhariwal 2021,
/// arXiv:2102.09672, for the range. Here for any schedule and any pair of levels.
///
/// The `_log` names of popular software are the same numbers (there `fixed_large_log` is NaN).
///
/// A network that returns a variance of its own gives data, which a plan cannot hold. Either give its mean
/// over samples and elements for each step (`learned`, `learned_range`; Bao et al. 2022, arXiv:2201.06503,
/// derive the best scalar), or plan with `fixed_large` and let the noise source multiply each number by
/// `(V_small / V_large)^((1 - v) / 2)`, v what the network returned for that element.
/// - order   weak order 1, whatever the variance between the two fixed ones; `fixed_small` is exact in one
///           step for data that is a point, `fixed_large` for data N(0, 1).
/// - cost    1 network call per step; 1 live tensor; 2 reads and 1 write.
/// - random  one draw per step, none on a step to sigma = 0 (nor where the given variance is 0).
/// - errors  `std::invalid_argument`: an unknown variance; not one finite number >= 0 in `variances`, or not
///           one finite number in `fractions`, for each step that draws; levels that are not strictly
///           denoising.
/// - choose  for a hundred steps and more, as the reference; `ddim` with eta = 1 is `fixed_small`.
struct ddpm {
    enum class variance {
        fixed_small,                    ///< of the posterior given x0; what eta = 1 means elsewhere
        fixed_large,                    ///< of the posterior given N(0, 1) data
        learned,                        ///< `variances`
        learned_range,                  ///< between the two fixed ones, by `fractions`
        fixed_small_log = fixed_small,  ///< another name of it
        fixed_large_log = fixed_large,  ///< another name of it
    };

    variance variant = variance::fixed_small;  ///< how much noise is added
    std::vector<double> variances = {};        ///< `learned`: V of each step; not needed for one to sigma = 0
    std::vector<double> fractions = {};        ///< `learned_range`: v of each step, 0 for small, 1 for large

    /// The variance of the exact posterior of x_t for data that is a point; 0 when sigma_t = 0.
    [[nodiscard]] static double small_variance(const level& s, const level& t) {
        return -t.sigma * t.sigma * std::expm1(-2.0 * log_snr_step(s, t));
    }

    /// The variance of the exact posterior of x_t for data N(0, 1); alpha_t^2 when sigma_t = 0 (not used
    /// there).
    [[nodiscard]] static double large_variance(const level& s, const level& t) {
        const double a = s.alpha / t.alpha;
        const double prior = t.alpha * t.alpha + t.sigma * t.sigma;
        // sigma_s^2 (1 - r^2), free of cancellation
        const double forward = -s.sigma * s.sigma * std::expm1(-2.0 * log_snr_step(s, t));
        return prior * forward / (a * a * prior + forward);
    }

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        require_levels(levels, "ddpm");
        require_numbers(levels);
        plan_writer p(name(), levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const double h = log_snr_step(s, t);
            // (alpha_t / alpha_s) r^2 = (sigma_t / sigma_s) r, 0 from pure noise
            const double keep = t.sigma / s.sigma * std::exp(-h);

            const linear_form x0 = p.data_prediction(x, s);
            x = keep * x - t.alpha * std::expm1(-2.0 * h) * x0;
            const double v = t.sigma == 0.0 ? 0.0 : variance_of(s, t, i);
            if (v > 0.0) { x = x + std::sqrt(v) * p.noise(); }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] double variance_of(const level& s, const level& t, std::size_t i) const {
        switch (variant) {
            case variance::fixed_small: return small_variance(s, t);
            case variance::fixed_large: return large_variance(s, t);
            case variance::learned: return variances[i];
            case variance::learned_range: break;
        }
        const double v = fractions[i];
        return std::exp(v * std::log(large_variance(s, t)) + (1.0 - v) * std::log(small_variance(s, t)));
    }

    void require_numbers(std::span<const level> levels) const {
        const bool given = variant == variance::learned;
        if (!given && variant != variance::learned_range) {
            if (variant != variance::fixed_small && variant != variance::fixed_large) {
                throw std::invalid_argument("ddpm: variant must be one of ddpm::variance");
            }
            return;
        }
        const std::size_t steps = levels.size() - 1;
        const std::size_t drawing = steps - (levels.back().sigma == 0.0 ? 1 : 0);
        const std::vector<double>& numbers = given ? variances : fractions;
        if (numbers.size() != steps && numbers.size() != drawing) {
            throw std::invalid_argument(given ? "ddpm: variances must hold one number per step"
                                              : "ddpm: fractions must hold one number per step");
        }
        for (const double v : numbers) {
            if (given && !(v >= 0.0 && std::isfinite(v))) {
                throw std::invalid_argument("ddpm: variances must be finite and not negative");
            }
            if (!std::isfinite(v)) { throw std::invalid_argument("ddpm: fractions must be finite"); }
        }
    }

    [[nodiscard]] const char* name() const {
        switch (variant) {
            case variance::fixed_small: return "ddpm(fixed_small)";
            case variance::fixed_large: return "ddpm(fixed_large)";
            case variance::learned: return "ddpm(learned)";
            case variance::learned_range: break;
        }
        return "ddpm(learned_range)";
    }
};

}  // namespace tweedie::solver
