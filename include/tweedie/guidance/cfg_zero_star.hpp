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

/// CFG-Zero*: the base is scaled to fit the condition best before it is guided away from. Per sample, in what
/// the networks return:
///
///     s      = <c, u> / <u, u>
///     output = s u + weight (c - s u)
///
/// and in the first steps, where a velocity is known badly, the output is zero: the state stays, and no
/// network is asked. Source: Fan et al. 2025, arXiv:2503.18886, for velocities; it is not form-invariant, so
/// give it velocity networks to have the paper's. The published code takes one step more to zero than its
/// option says; a popular port computes s u + weight (c - u), which is another rule by weight (1 - s) u.
/// Neither is followed.
///
/// - `zero_steps`  of the solver, from the first of the plan; the paper takes 4 % of the steps. Velocities
///                 only: a zero output of other networks means something else.
/// - cost          one pass more than `cfg`, which reads both predictions; two with hooks.
/// - errors        `std::invalid_argument`: a weight that is not finite.
struct cfg_zero_star {
    double weight = 1.0;
    std::size_t zero_steps = 0;
    std::vector<sample_products> found = {};  ///< working memory, as `weights`; leave it empty
    std::vector<double> weights = {};

    static constexpr rule_space space = rule_space::network;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site& where) const {
        tweedie::detail::finite_weight("cfg_zero_star", weight);
        if (where.step < zero_steps) { return 0; }
        return weight == 1.0 ? 1 : 2;
    }

    template <grouped_tensor T>
    [[nodiscard]] sample_blend<T> weigh(std::span<T* const> predictions, const call_site& where) {
        T& c = *predictions[0];
        const std::size_t evaluated = evaluations(where);
        if (evaluated == 0) {
            T* const written[] = {&c};
            tensor_traits<T>::affine(written, {}, {});
        }
        if (evaluated < 2) { return {{predictions[0], predictions[1]}, {}}; }
        T& u = *predictions[1];
        products(c, u, found);
        return blend_samples(c, u, weights, [&](std::size_t i) {
            const double s = found[i].uu > 0.0 ? found[i].cu / found[i].uu : 0.0;
            return std::pair(weight, (1.0 - weight) * s);
        });
    }

    template <grouped_tensor T>
    void combine(std::span<T* const> predictions, const call_site& where) {
        apply_blend(*predictions[0], weigh(predictions, where));
    }
};

}  // namespace tweedie::guidance
