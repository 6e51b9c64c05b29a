// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::guidance {

/// Planes of a Laplacian pyramid: differences of ever smoother, ever smaller copies of a plane; it is linear,
/// and its planes, brought back to size, sum to the plane.
///
/// A plane is made smaller by the binomial filter 1 4 6 4 1 (/16) in both directions, mirrored at the edges,
/// of which every second pixel is kept, and larger by linear interpolation between pixel centres.
class laplacian_pyramid {
public:
    /// - `levels`  planes; fewer if the plane becomes a single pixel earlier: the last then stands for the
    ///             rest.
    laplacian_pyramid(std::size_t height, std::size_t width, std::size_t levels) {
        extents_.push_back({height, width});
        while (extents_.size() < levels && (extents_.back().height > 1 || extents_.back().width > 1)) {
            extents_.push_back({(extents_.back().height + 1) / 2, (extents_.back().width + 1) / 2});
        }
        for (const extent& e : extents_) { smooth_.emplace_back(e.height * e.width); }
        larger_.resize(height * width);
        rows_.resize(height * width);
    }

    /// Planes there are.
    [[nodiscard]] std::size_t levels() const { return extents_.size(); }

    /// Weighs each level of a plane, the finest first: `plane` becomes `sum_l weights[l] (level l)`.
    void weigh(std::vector<double>& plane, std::span<const double> weights) {
        const std::size_t n = extents_.size();
        smooth_[0] = plane;
        for (std::size_t l = 0; l + 1 < n; ++l) { reduce(l); }
        // what is wanted of the levels above l, in the size of l
        std::vector<double>& made = plane;
        made.assign(smooth_[n - 1].begin(), smooth_[n - 1].end());
        for (double& v : made) { v *= weights[n - 1]; }
        for (std::size_t l = n - 1; l-- > 0;) {
            expand(made, l);
            made.assign(larger_.begin(), larger_.begin() + static_cast<std::ptrdiff_t>(smooth_[l].size()));
            expand(smooth_[l + 1], l);
            for (std::size_t i = 0; i < made.size(); ++i) {
                made[i] += weights[l] * (smooth_[l][i] - larger_[i]);
            }
        }
    }

private:
    struct extent {
        std::size_t height;
        std::size_t width;
    };

    /// An index of n, mirrored where it is out of it.
    [[nodiscard]] static std::size_t mirrored(std::ptrdiff_t i, std::size_t n) {
        const auto last = static_cast<std::ptrdiff_t>(n) - 1;
        if (i < 0) { i = -i; }
        if (i > last) { i = 2 * last - i; }
        return static_cast<std::size_t>(std::clamp<std::ptrdiff_t>(i, 0, last));
    }

    /// smooth_[l + 1] from smooth_[l].
    void reduce(std::size_t l) {
        constexpr double taps[] = {1.0 / 16, 4.0 / 16, 6.0 / 16, 4.0 / 16, 1.0 / 16};
        const auto [h, w] = extents_[l];
        const auto [small_h, small_w] = extents_[l + 1];
        const std::vector<double>& from = smooth_[l];
        for (std::size_t y = 0; y < h; ++y) {
            for (std::size_t x = 0; x < small_w; ++x) {
                double sum = 0.0;
                for (std::size_t k = 0; k < 5; ++k) {
                    sum += taps[k] * from[y * w + mirrored(static_cast<std::ptrdiff_t>(2 * x + k) - 2, w)];
                }
                rows_[y * small_w + x] = sum;
            }
        }
        for (std::size_t y = 0; y < small_h; ++y) {
            for (std::size_t x = 0; x < small_w; ++x) {
                double sum = 0.0;
                for (std::size_t k = 0; k < 5; ++k) {
                    sum += taps[k] *
                           rows_[mirrored(static_cast<std::ptrdiff_t>(2 * y + k) - 2, h) * small_w + x];
                }
                smooth_[l + 1][y * small_w + x] = sum;
            }
        }
    }

    /// larger_ from a plane of level l + 1, in the size of level l.
    void expand(const std::vector<double>& from, std::size_t l) {
        const auto [h, w] = extents_[l];
        const auto [small_h, small_w] = extents_[l + 1];
        const auto place = [](std::size_t i, std::size_t large, std::size_t small) {
            const double at =
                (static_cast<double>(i) + 0.5) * static_cast<double>(small) / static_cast<double>(large) -
                0.5;
            return std::clamp(at, 0.0, static_cast<double>(small - 1));
        };
        for (std::size_t y = 0; y < h; ++y) {
            const double at_y = place(y, h, small_h);
            const auto y0 = static_cast<std::size_t>(at_y);
            const std::size_t y1 = std::min(y0 + 1, small_h - 1);
            const double fy = at_y - std::floor(at_y);
            for (std::size_t x = 0; x < w; ++x) {
                const double at_x = place(x, w, small_w);
                const auto x0 = static_cast<std::size_t>(at_x);
                const std::size_t x1 = std::min(x0 + 1, small_w - 1);
                const double fx = at_x - std::floor(at_x);
                const double top = from[y0 * small_w + x0] * (1.0 - fx) + from[y0 * small_w + x1] * fx;
                const double below = from[y1 * small_w + x0] * (1.0 - fx) + from[y1 * small_w + x1] * fx;
                larger_[y * w + x] = top * (1.0 - fy) + below * fy;
            }
        }
    }

    std::vector<extent> extents_;
    std::vector<std::vector<double>> smooth_;
    std::vector<double> larger_;
    std::vector<double> rows_;
};

/// Frequency-decoupled guidance: a weight for each band of an image. Per plane, in data predictions:
///
///     x0_hat = u + sum_l weights[l] (level l of the Laplacian pyramid of c - u)
///
/// Source: Sadat et al. 2025, arXiv:2506.19713 (FDG), who take the pyramids of c and u apart; since it is
/// linear that is the same, and it is form-invariant. Equal weights are `cfg`. Left out: their optional
/// weight along c, which is not linear; a popular port that keeps the plane of a level that is switched off
/// from another call.
///
/// - `weights`          by level, the finest first, the rest last; the paper: 10 for high, 5 for low
///                      frequencies.
/// - `height`, `width`  the last two dimensions; a sample is a number of such planes, one after the other.
/// - cost               the differences are made and weighed in double, plane by plane: about 30 operations
///                      per element; allocates at its first use.
/// - errors             `std::invalid_argument`: no weight, one that is not finite, samples that are no
///                      planes of that size.
struct frequency_decoupled {
    std::vector<double> weights = {};
    std::size_t height = 0;
    std::size_t width = 0;
    std::vector<laplacian_pyramid> pyramid = {};  ///< working memory, as `plane`; leave it empty
    std::vector<double> plane = {};

    static constexpr rule_space space = rule_space::data_prediction;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        if (weights.empty()) {
            throw std::invalid_argument("frequency_decoupled: need a weight for each level");
        }
        for (const double w : weights) { tweedie::detail::finite_weight("frequency_decoupled", w); }
        return 2;
    }

    template <contiguous_tensor T>
    void combine(std::span<T* const> predictions, const call_site&) {
        using traits = tensor_traits<T>;
        T& c = *predictions[0];
        const T& u = *predictions[1];
        const std::size_t size = height * width;
        if (size == 0 || (traits::size(c) / traits::batch(c)) % size != 0) {
            throw std::invalid_argument("frequency_decoupled: a sample must be planes of height x width");
        }
        if (pyramid.empty()) { pyramid.emplace_back(height, width, weights.size()); }
        scalar_t<T>* const out = traits::data(c);
        const scalar_t<T>* const low = traits::data(u);
        for (std::size_t first = 0; first < traits::size(c); first += size) {
            plane.resize(size);
            for (std::size_t i = 0; i < size; ++i) {
                plane[i] = static_cast<double>(out[first + i]) - static_cast<double>(low[first + i]);
            }
            pyramid[0].weigh(plane, weights);
            for (std::size_t i = 0; i < size; ++i) {
                out[first + i] = static_cast<scalar_t<T>>(static_cast<double>(low[first + i]) + plane[i]);
            }
        }
    }
};

}  // namespace tweedie::guidance
