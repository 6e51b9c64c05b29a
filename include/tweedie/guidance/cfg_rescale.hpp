// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/gram.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/tensor/blocks.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Classifier-free guidance whose strength does not widen what is predicted. Per sample, in data predictions:
///
///     g      = u + weight (c - u)
///     x0_hat = (phi std(c) / std(g) + 1 - phi) g
///
/// std is over all elements of a sample. Source: Lin et al. 2023, arXiv:2305.08891, section 3.4. Deviation:
/// the published code rescales what its network returns, whose std is the noise's where noise is predicted;
/// here it is the std of the data, whatever the network predicts. Not form-invariant.
///
/// - `phi`     0 is `cfg`; at 1 the std is that of the condition; 0.7 in the paper.
/// - cost      one pass more than `cfg`, which reads both predictions; one more with hooks, and one where the
///             networks do not predict data.
/// - errors    `std::invalid_argument`: a weight that is not finite, phi outside [0, 1].
struct cfg_rescale {
    double weight = 1.0;
    double phi = 0.7;
    std::vector<sample_products> found = {};  ///< working memory, as `weights`; leave it empty
    std::vector<double> weights = {};

    static constexpr rule_space space = rule_space::data_prediction;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        tweedie::detail::finite_weight("cfg_rescale", weight);
        if (!(phi >= 0.0 && phi <= 1.0)) {
            throw std::invalid_argument("cfg_rescale: phi must lie in [0, 1]");
        }
        return weight == 1.0 ? 1 : 2;
    }

    template <grouped_tensor T>
    [[nodiscard]] sample_blend<T> weigh(std::span<T* const> predictions, const call_site& where) {
        if (evaluations(where) == 1) { return {{predictions[0], predictions[1]}, {}}; }
        T& c = *predictions[0];
        T& u = *predictions[1];
        products(c, u, found, true);
        const double n = static_cast<double>(tensor_traits<T>::size(c) / tensor_traits<T>::batch(c));
        return blend_samples(c, u, weights, [&](std::size_t i) {
            const sample_products& p = found[i];
            const double of_c = p.cc - p.c1 * p.c1 / n;
            const double both = p.cu - p.c1 * p.u1 / n;
            const double of_u = p.uu - p.u1 * p.u1 / n;
            const double of_g = weight * weight * of_c + 2.0 * weight * (1.0 - weight) * both +
                                (1.0 - weight) * (1.0 - weight) * of_u;
            const double ratio = of_g > 0.0 && of_c >= 0.0 ? std::sqrt(of_c / of_g) : 1.0;
            const double factor = phi * ratio + (1.0 - phi);
            return std::pair(factor * weight, factor * (1.0 - weight));
        });
    }

    template <grouped_tensor T>
    void combine(std::span<T* const> predictions, const call_site& where) {
        apply_blend(*predictions[0], weigh(predictions, where));
    }
};

}  // namespace tweedie::guidance
