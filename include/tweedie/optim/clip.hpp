// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/elementwise.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>

namespace tweedie::optim {

/// The Euclidean norm of all gradients together; NaN or infinite if one of them is.
///
/// In double, in an order that depends on the sizes alone: same bits for any number of threads.
template <parameter_set Gradients>
[[nodiscard]] double global_norm(const Gradients& gradients) {
    detail::gathered_set<const Gradients> all(gradients);
    return detail::norm_of(all);
}

/// Scales and clips gradients where they are. Optimizers do the same on the way when given as their `clip`.
/// - returns  the norm before; where it is not finite, nothing was changed.
template <parameter_set Gradients>
double clip_gradients(const clipping& clip, Gradients&& gradients) {
    using set = std::remove_reference_t<Gradients>;
    using element = detail::set_element_t<set>;
    using scalar = state_scalar_t<set>;
    detail::require_clipping("clip_gradients", clip);
    detail::gathered_set<set> all(gradients);
    const double norm = detail::norm_of(all);
    if (!std::isfinite(norm)) { return norm; }
    double scale = clip.scale;
    if (std::abs(scale) * norm > clip.norm) { scale *= clip.norm / (std::abs(scale) * norm); }
    const auto factor = static_cast<scalar>(scale);
    const auto limit = static_cast<scalar>(clip.value);
    detail::for_each_piece(all, 2, [&](std::size_t i, std::size_t first, std::size_t last) {
        for (std::size_t k = first; k < last; ++k) {
            const scalar value = factor * static_cast<scalar>(all[i].data[k]);
            all[i].data[k] = static_cast<element>(std::min(std::max(value, -limit), limit));
        }
        return true;
    });
    all.write_back();
    return norm;
}

}  // namespace tweedie::optim
