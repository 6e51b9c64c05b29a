// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/gram.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/tensor/blocks.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Tangential damping: what the base does not share with the condition is taken out of it. Per sample, in
/// what the networks return:
///
///     v      = first right singular vector of the two rows c, u
///     u'     = <u, v> v
///     output = u' + weight (c - u')
///
/// Source: Kwon et al. 2025, arXiv:2503.18137 (TCFG), for noise predictions; not form-invariant. The singular
/// vector is had from the 2 x 2 matrix of inner products; where both rows are as long and orthogonal it is
/// not determined, and one is taken. Where c and u lie along one line it is `cfg`.
///
/// - cost    one pass more than `cfg`, which reads both predictions; two with hooks.
/// - errors  `std::invalid_argument`: a weight that is not finite.
struct tcfg {
    double weight = 1.0;
    std::vector<sample_products> found = {};  ///< working memory, as `weights`; leave it empty
    std::vector<double> weights = {};

    static constexpr rule_space space = rule_space::network;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        return tweedie::detail::finite_weight("tcfg", weight) == 1.0 ? 1 : 2;
    }

    template <grouped_tensor T>
    [[nodiscard]] sample_blend<T> weigh(std::span<T* const> predictions, const call_site& where) {
        if (evaluations(where) == 1) { return {{predictions[0], predictions[1]}, {}}; }
        T& c = *predictions[0];
        T& u = *predictions[1];
        products(c, u, found);
        return blend_samples(c, u, weights, [&](std::size_t i) {
            // The first eigenvector (a, b) of [cc cu; cu uu]: v = (a c + b u) / sqrt(l), <u, v> v = b (a c +
            // b u).
            const double angle = 0.5 * std::atan2(2.0 * found[i].cu, found[i].cc - found[i].uu);
            const double a = std::cos(angle);
            const double b = std::sin(angle);
            return std::pair(weight + (1.0 - weight) * a * b, (1.0 - weight) * b * b);
        });
    }

    template <grouped_tensor T>
    void combine(std::span<T* const> predictions, const call_site& where) {
        apply_blend(*predictions[0], weigh(predictions, where));
    }
};

}  // namespace tweedie::guidance
