// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace tweedie {

/// Static thresholding: clamps the data prediction to the range of the data.
///
///     x0_hat = clamp(x0_hat, -range, range)
///
/// A transform of the data prediction, for any solver; what it uses of the noise follows the clamped value:
///
///     sample(plan, model, x, hooks{.transform = clip{.range = 1.0}});
///
/// Source: Ho et al. 2020, arXiv:2006.11239 (their code). Data scaled to [-1, 1], as pixels are; not latents.
/// - cost    one pass over memory; no allocation.
/// - errors  `std::invalid_argument`: range not positive, or NaN.
struct clip {
    double range = 1.0;  ///< largest magnitude of the data; > 0

    template <mappable_tensor T>
    void operator()(T& x0_hat, const level& /*at*/) const {
        if (!(range > 0.0)) { throw std::invalid_argument("clip: range must be positive"); }
        const auto most = static_cast<scalar_t<T>>(range);
        tensor_traits<T>::map(x0_hat, [most](auto v) { return std::clamp(v, -most, most); });
    }
};

/// Dynamic thresholding: brings the data prediction back into range by scaling, so that strong guidance does
/// not saturate. Per sample:
///
///     s      = quantile(|x0_hat|, ratio), at least 1, at most max
///     x0_hat = clamp(x0_hat, -s, s) / s
///
/// The quantile interpolates linearly between order statistics, as numpy's and torch's do. Source: Saharia et
/// al. 2022, Imagen, arXiv:2205.11487, section 2.3. Data scaled to [-1, 1]; not for latents. A sample with a
/// number that is not finite is left as it is: the run reports it.
///
///     sample(plan, model, x, hooks{.transform = dynamic_threshold{.max = 1.5}});
///
/// - cost    a selection per sample, linear in its size; allocates at its first use, one sample.
/// - errors  `std::invalid_argument`: ratio outside [0, 1], max below 1, or NaN.
/// - choose  for pixel models under guidance above 3 or so; `clip` where it is mild.
struct dynamic_threshold {
    double ratio = 0.995;                 ///< the quantile that s is; 0 to 1
    double max = 1.0;                     ///< largest s; >= 1; with 1 it is `clip`
    std::vector<double> magnitudes = {};  ///< working memory, one sample; leave it empty

    template <contiguous_tensor T>
    void operator()(T& x0_hat, const level& /*at*/) {
        if (!(ratio >= 0.0 && ratio <= 1.0)) {
            throw std::invalid_argument("dynamic_threshold: ratio must lie in [0, 1]");
        }
        if (!(max >= 1.0)) { throw std::invalid_argument("dynamic_threshold: max must be at least 1"); }
        using traits = tensor_traits<T>;
        const std::size_t batch = traits::batch(x0_hat);
        const std::size_t length = batch == 0 ? 0 : traits::size(x0_hat) / batch;
        if (length == 0) { return; }
        scalar_t<T>* const values = traits::data(x0_hat);
        magnitudes.resize(length);
        for (std::size_t sample = 0; sample < batch; ++sample) {
            scalar_t<T>* const x = values + sample * length;
            bool finite = true;
            for (std::size_t i = 0; i < length; ++i) {
                magnitudes[i] = std::abs(static_cast<double>(x[i]));
                finite = finite && std::isfinite(magnitudes[i]);
            }
            if (!finite) { continue; }
            const auto s = static_cast<scalar_t<T>>(std::clamp(quantile(), 1.0, max));
            for (std::size_t i = 0; i < length; ++i) { x[i] = std::clamp(x[i], -s, s) / s; }
        }
    }

private:
    /// Of the magnitudes, which it reorders.
    [[nodiscard]] double quantile() {
        const double place = ratio * static_cast<double>(magnitudes.size() - 1);
        const auto below = magnitudes.begin() + static_cast<std::ptrdiff_t>(place);
        std::nth_element(magnitudes.begin(), below, magnitudes.end());
        if (below + 1 == magnitudes.end()) { return *below; }
        const double next = *std::min_element(below + 1, magnitudes.end());
        return *below + (place - std::floor(place)) * (next - *below);
    }
};

}  // namespace tweedie
