// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/shared_function.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::guidance {

/// Where guidance acts, by sigma / alpha: above `low` (from 0 on where `low` is 0), up to `high`. Outside,
/// the condition alone is followed.
struct noise_interval {
    double low = 0.0;
    double high = std::numeric_limits<double>::infinity();

    [[nodiscard]] bool contains(const level& at) const {
        const double kappa = at.sigma / at.alpha;
        return (kappa > low || low == 0.0) && kappa <= high;
    }
};

}  // namespace tweedie::guidance

namespace tweedie::detail {

/// - errors  `std::invalid_argument`: bounds that are NaN, negative, or not in order.
inline void require_interval(const char* rule, const guidance::noise_interval& within) {
    if (!(within.low >= 0.0 && within.high >= within.low)) {
        throw std::invalid_argument(std::string(rule) + ": the interval must have 0 <= low <= high");
    }
}

inline double finite_weight(const char* rule, double weight) {
    if (!std::isfinite(weight)) {
        throw std::invalid_argument(std::string(rule) + ": the weight must be finite");
    }
    return weight;
}

}  // namespace tweedie::detail

namespace tweedie::guidance {

/// A weight by noise level, see `cfg`.
using weight_function = tweedie::detail::shared_function<double(const level&)>;

/// Classifier-free guidance, in the same terms for every prediction type:
///
///     x0_hat = u + weight (c - u)
///
/// c is the conditional prediction, u the base: an unconditional one, a negative prompt, or a weaker network
/// of the same condition (autoguidance). Weight 1 is the condition alone, to the bit, and u is not evaluated;
/// 0 the base alone; negative ones lead away from the condition. Papers that write (1 + w) c - w u, or
/// "scale" s for w + 1, mean weight 1 + w.
///
/// Sources: Ho and Salimans 2022, arXiv:2207.12598; Karras et al. 2024, arXiv:2406.02507 (autoguidance);
/// Kynkaanniemi et al. 2024, arXiv:2404.07724 (the interval). For Gaussians of variances s_c^2 and s_u^2 and
/// a long way from noise the probability flow ends at the variance s_c^(2 weight) s_u^(2 - 2 weight), not at
/// that of the tilted density p_c^weight p_u^(1 - weight).
///
/// - `weight`    any finite number.
/// - `interval`  in sigma / alpha; outside, the weight is 1.
/// - `at`        the weight as a function of the level, in place of `weight`: cosine, linear, any.
/// - errors      `std::invalid_argument`: a weight that is not finite, an interval out of order.
/// - choose      2 to 8 for images; with `interval` where high noise collapses the samples.
struct cfg {
    double weight = 1.0;
    noise_interval interval = {};
    weight_function at = {};

    [[nodiscard]] std::size_t networks() const { return 2; }

    [[nodiscard]] output_blend blend(const call_site& where) const {
        detail::require_interval("cfg", interval);
        double w = 1.0;
        if (interval.contains(where.at)) { w = detail::finite_weight("cfg", at ? at(where.at) : weight); }
        return {{w, 1.0 - w}};
    }
};

/// Guidance by several conditions, prompts to avoid among them:
///
///     x0_hat = u + sum_i weights[i] (c_i - u)
///
/// Source: Liu et al. 2022, arXiv:2206.01714 (composable diffusion). A condition of negative weight is a
/// negative prompt beside the unconditional base. The networks are the conditions in their order, then the
/// base.
/// - `weights`   one per condition, at least one.
/// - `interval`  as in `cfg`; outside, the mean of the conditions of positive weight, weighted by it.
/// - errors      `std::invalid_argument`: no weight, one that is not finite, an interval out of order, or one
///               that is not everything where no weight is positive.
struct composed {
    std::vector<double> weights;
    noise_interval interval = {};

    [[nodiscard]] std::size_t networks() const { return weights.size() + 1; }

    [[nodiscard]] output_blend blend(const call_site& where) const {
        detail::require_interval("composed", interval);
        if (weights.empty()) { throw std::invalid_argument("composed: need a weight for each condition"); }
        output_blend made{weights};
        double total = 0.0;
        double positive = 0.0;
        for (const double w : weights) {
            total += detail::finite_weight("composed", w);
            positive += std::max(w, 0.0);
        }
        made.weights.push_back(1.0 - total);
        if (!interval.contains(where.at)) {
            if (positive == 0.0) {
                throw std::invalid_argument("composed: outside the interval a weight must be positive");
            }
            for (double& w : made.weights) { w = std::max(w, 0.0) / positive; }
            made.weights.back() = 0.0;
        }
        return made;
    }
};

/// CFG++: the data prediction is guided, the noise that is put back is the base's.
///
///     x0_hat = x0 of e = u + lambda (c - u),    x_t = alpha_t x0_hat + sigma_t u        (noise predictions)
///
/// Source: Chung et al. 2024, arXiv:2406.08070. One DDIM step of it from level s to level t is one of `cfg`
/// with
///
///     weight = lambda / (1 - kappa_t / kappa_s),    kappa = sigma / alpha
///
/// and that is what is folded, so any solver runs it: with first-order steps it is the published method, with
/// others the same weight at every call of a step. Up the noise levels (inversion) the roles of s and t
/// change, as in the paper's algorithm. The weight grows as the step shrinks: there is no limit of many
/// steps, and more of them guide more.
///
/// - `lambda`  0 to 1 in the paper; 0 is the base alone.
/// - errors    `std::invalid_argument`: a lambda that is not finite; a step that stays at its level.
struct cfgpp {
    double lambda = 0.6;

    [[nodiscard]] std::size_t networks() const { return 2; }

    [[nodiscard]] output_blend blend(const call_site& where) const {
        const double a = where.from.sigma / where.from.alpha;
        const double b = where.to.sigma / where.to.alpha;
        const double most = std::max(a, b);
        const double least = std::min(a, b);
        if (!(least < most)) { throw std::invalid_argument("cfgpp: a step must change the noise level"); }
        const double ratio = std::isinf(most) ? 0.0 : least / most;
        const double w = detail::finite_weight("cfgpp", lambda) / (1.0 - ratio);
        return {{w, 1.0 - w}};
    }
};

/// ReCFG: guidance whose two coefficients do not sum to 1, so that the mean of what is guided is not shifted.
/// In noise predictions, whatever the networks predict:
///
///     eps_hat = weight c + (weight - 1) coefficient(level) u
///
/// Source: Xia et al. 2024, arXiv:2410.18737. `coefficient` is a lookup, made from data: the published code
/// takes -E[c u] / E[u^2] for each element and step, one number per level is taken here. -1 is `cfg`. With
/// exact predictions the paper's own ratio of expectations has no meaning (E[c | x given c] = 0). The
/// published Heun corrector reuses the coefficient of the step's begin; here each call has that of its level.
///
/// - errors  `std::invalid_argument`: a weight or coefficient that is not finite, no coefficient; a level at
///           alpha = 0, where noise does not determine data, unless the coefficients sum to 1.
struct recfg {
    double weight = 1.0;
    weight_function coefficient = {};

    [[nodiscard]] std::size_t networks() const { return 2; }

    [[nodiscard]] output_blend blend(const call_site& where) const {
        if (!coefficient) { throw std::invalid_argument("recfg: need coefficients by level"); }
        const double w = detail::finite_weight("recfg", weight);
        const double base = (w - 1.0) * detail::finite_weight("recfg", coefficient(where.at));
        const double missing = 1.0 - w - base;  // x0_hat = (x - sigma eps_hat) / alpha has all of x
        if (std::abs(missing) < 1e-14 * (1.0 + std::abs(w))) { return {{w, base}}; }
        if (where.at.alpha == 0.0) {
            throw std::invalid_argument("recfg: at alpha = 0 the coefficients must sum to 1");
        }
        return {{w, base}, missing / where.at.alpha};
    }
};

}  // namespace tweedie::guidance
