// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/gram.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/tensor/blocks.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Adaptive projected guidance: the part of the guidance that lies along the prediction, which saturates, is
/// taken out. Per sample, in data predictions:
///
///     m      = (c - u) + momentum m of the call before
///     m'     = min(1, radius / |m|) m
///     m'     = across + along,   along = <m', c> / <c, c> c
///     x0_hat = c + (weight - 1) (across + eta along)
///
/// Source: Sadat et al. 2024, arXiv:2410.02416, algorithm 1, whose order it keeps: momentum, norm,
/// projection; the momentum is of what was not cut to the radius. It is set to zero at the first call of
/// every run (a run that goes on from a checkpoint begins with none). Deviation: none; a popular port adds to
/// u instead of c by default, and with eta = 0 and weight 1 does not give back c.
///
/// - `momentum`  negative in the paper, -0.5 to -0.75; 0 keeps none.
/// - `radius`    largest norm of m; 2.5 to 15 in the paper, by the size of the latents; infinite: no bound.
/// - `eta`       how much of the part along c is kept; 1 with no radius and momentum is `cfg`.
/// - cost        two passes more than `cfg`: the difference is written, and measured; one more with hooks,
///               and one where the networks do not predict data; with momentum one tensor more.
/// - errors      `std::invalid_argument`: an option that is NaN, a weight, momentum or eta that is infinite,
///               a radius that is not positive.
struct apg {
    double weight = 1.0;
    double momentum = -0.5;
    double radius = std::numeric_limits<double>::infinity();
    double eta = 0.0;
    std::vector<sample_products> found = {};  ///< working memory, as the two below; leave it empty
    std::vector<double> weights = {};
    tweedie::detail::working_memory memory = {};

    static constexpr rule_space space = rule_space::data_prediction;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        tweedie::detail::finite_weight("apg", weight);
        if (!(std::isfinite(momentum) && std::isfinite(eta))) {
            throw std::invalid_argument("apg: momentum and eta must be finite");
        }
        if (!(radius > 0.0)) { throw std::invalid_argument("apg: radius must be positive"); }
        return weight == 1.0 ? 1 : 2;
    }

    template <grouped_tensor T>
    [[nodiscard]] sample_blend<T> weigh(std::span<T* const> predictions, const call_site& where) {
        if (weight == 1.0) { return {{predictions[0], predictions[1]}, {}}; }
        T& c = *predictions[0];
        T* m = predictions[1];
        if (momentum == 0.0) {  // in place of u
            T* const written[] = {m};
            const T* const read[] = {&c, m};
            const double difference[] = {1.0, -1.0};
            tensor_traits<T>::affine(written, difference, read);
        } else {
            T& kept = detail::fitting(memory.template as<std::optional<T>>(), c);
            T* const written[] = {&kept};
            const T* const read[] = {&c, m, &kept};
            const double update[] = {1.0, -1.0, momentum};
            const std::size_t terms = where.index == 0 ? 2 : 3;
            tensor_traits<T>::affine(written, {update, terms}, {read, terms});
            m = &kept;
        }
        products(c, *m, found);
        return blend_samples(c, *m, weights, [&](std::size_t i) {
            const sample_products& p = found[i];
            const double norm = std::sqrt(p.uu);
            const double scale = (weight - 1.0) * (norm > radius ? radius / norm : 1.0);
            const double along = p.cc > 0.0 ? p.cu / p.cc : 0.0;
            return std::pair(1.0 + scale * (eta - 1.0) * along, scale);
        });
    }

    template <grouped_tensor T>
    void combine(std::span<T* const> predictions, const call_site& where) {
        apply_blend(*predictions[0], weigh(predictions, where));
    }
};

}  // namespace tweedie::guidance
