// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/random/noise.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cmath>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <type_traits>

namespace tweedie {

namespace detail {

/// x = keep * x + scale * z, z the draw `number` of `source`.
template <class X, class Noise>
void mix_noise(X&& x, double keep, double scale, const Noise& source, draw_kind kind, std::uint32_t number) {
    using view = std::remove_cvref_t<X>;
    if constexpr (!tensor<view>) {
        owned_t<view> owned = tensor_traits<view>::like(x);
        tensor_traits<view>::load(owned, x);
        mix_noise(owned, keep, scale, source, kind, number);
        tensor_traits<view>::store(x, owned);
    } else {
        using traits = tensor_traits<view>;
        view z = traits::like(x);
        traits::normal(z, source.stream(kind, number));
        view* const written[] = {&x};
        const view* const read[] = {&z, &x};
        const double weights[] = {scale, keep};
        const std::size_t terms = keep == 0.0 ? 1 : 2;  // what x held before must not matter, not even a NaN
        traits::affine(written, {weights, terms}, {read, terms});
    }
}

}  // namespace detail

/// Fills x with the state that sampling starts from: pure noise at a level, `x = sigma z`.
///
///     std::vector<float> x(4096);
///     start_from_noise(x, levels.front(), noise{.seed = 7});
///
/// - `x`       out; a tensor or a view of one.
/// - `first`   the plan's first level.
/// - `source`  any noise source. - random  its `initial` draw 0.
template <class X, class Noise>
    requires tensor_or_view<std::remove_cvref_t<X>> && noise_source<Noise, scalar_t<std::remove_cvref_t<X>>>
void start_from_noise(X&& x, const level& first, const Noise& source) {
    if (!(first.sigma > 0.0)) {
        throw std::invalid_argument("start_from_noise: the first level must have sigma > 0");
    }
    detail::mix_noise(x, 0.0, first.sigma, source, draw_kind::initial, 0);
}

/// Noises data to a level, `x = alpha x0 + sigma z`: to start in the middle (image to image), or to train.
///
/// - `x`       in: the data x0; out: the noisy state.
/// - `to`      the level to reach; sigma = 0 only scales.
/// - `source`  any noise source. - random  its `initial` draw 0.
template <class X, class Noise>
    requires tensor_or_view<std::remove_cvref_t<X>> && noise_source<Noise, scalar_t<std::remove_cvref_t<X>>>
void start_from_data(X&& x, const level& to, const Noise& source) {
    if (!(to.alpha >= 0.0 && to.sigma >= 0.0 && std::isfinite(to.alpha) && std::isfinite(to.sigma))) {
        throw std::invalid_argument("start_from_data: alpha and sigma must be finite and not negative");
    }
    detail::mix_noise(x, to.alpha, to.sigma, source, draw_kind::initial, 0);
}

}  // namespace tweedie
