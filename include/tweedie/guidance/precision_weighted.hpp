// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>

namespace tweedie::guidance {

/// Guidance that is stronger where the data is known badly. Per sample, in data predictions, element by
/// element:
///
///     lambda = clamp((U / mean(U))^power, lowest, highest)
///     x0_hat = u + (1 + (weight - 1) lambda) (c - u)
///
/// U is the spread of the data given the state: the variance of posterior samples, or Tweedie's covariance
/// `sigma^2 / alpha diag(d x0_hat / dx)`. Derived, not a published formula: the idea is that of CogDPM (Chen
/// et al. 2024, arXiv:2405.02384), whose equations were not at hand; do not take it for theirs. Power 0 is
/// `cfg`.
///
/// - `spread`            `spread(c, u, site, out)` writes U, which is not negative.
/// - `power`             how much the spread tells; 1 proportional.
/// - `lowest`, `highest`  bounds of lambda.
/// - cost                what `spread` costs and two passes; one tensor more.
/// - errors              `std::invalid_argument`: an option that is not finite, bounds out of order or
///                       negative.
template <class Spread>
struct precision_weighted {
    double weight = 1.0;
    Spread spread;
    double power = 1.0;
    double lowest = 0.5;
    double highest = 2.0;
    tweedie::detail::working_memory memory = {};  ///< leave it empty

    static constexpr rule_space space = rule_space::data_prediction;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        tweedie::detail::finite_weight("precision_weighted", weight);
        if (!(std::isfinite(power) && lowest >= 0.0 && lowest <= highest && std::isfinite(highest))) {
            throw std::invalid_argument(
                "precision_weighted: need a finite power and bounds 0 <= lowest <= highest");
        }
        return weight == 1.0 ? 1 : 2;
    }

    template <contiguous_tensor T>
        requires std::invocable<Spread&, const T&, const T&, const call_site&, T&>
    void combine(std::span<T* const> predictions, const call_site& where) {
        if (weight == 1.0) { return; }
        using traits = tensor_traits<T>;
        T& known = detail::fitting(memory.template as<std::optional<T>>(), *predictions[0]);
        const T& u = *predictions[1];
        spread(std::as_const(*predictions[0]), u, where, known);
        if (!traits::same_shape(known, u)) {
            throw std::invalid_argument("precision_weighted: the spread must have the shape of x");
        }
        scalar_t<T>* const c = traits::data(*predictions[0]);
        const scalar_t<T>* const low = traits::data(u);
        const scalar_t<T>* const variance = traits::data(std::as_const(known));
        const std::size_t samples = traits::batch(u);
        const std::size_t length = traits::size(u) / samples;
        for (std::size_t sample = 0; sample < samples; ++sample) {
            const std::size_t first = sample * length;
            double mean = 0.0;
            for (std::size_t i = first; i < first + length; ++i) { mean += static_cast<double>(variance[i]); }
            mean /= static_cast<double>(length);
            for (std::size_t i = first; i < first + length; ++i) {
                const double ratio = mean > 0.0 ? static_cast<double>(variance[i]) / mean : 1.0;
                const double lambda =
                    power == 0.0 ? 1.0 : std::clamp(std::pow(ratio, power), lowest, highest);
                const double d = static_cast<double>(c[i]) - static_cast<double>(low[i]);
                c[i] = static_cast<scalar_t<T>>(static_cast<double>(low[i]) +
                                                (1.0 + (weight - 1.0) * lambda) * d);
            }
        }
    }
};

}  // namespace tweedie::guidance
