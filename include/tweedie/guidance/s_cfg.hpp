// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/shared_function.hpp>
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

/// The region each element belongs to: numbers below some count, as many as a plane, a sample or the whole
/// batch has elements; a shorter map is repeated.
using region_map = tweedie::detail::shared_function<std::span<const std::size_t>(const call_site&)>;

/// Semantic-aware guidance: every region of an image is guided as much as every other. Per sample, region k:
///
///     x0_hat = u + weight mean(|c - u|) / mean over region k (|c - u|) (c - u)
///
/// Source: Shen et al. 2024, arXiv:2404.05384 (S-CFG), whose regions are cut from attention maps; here they
/// are given, and may change from call to call. Form-invariant. One region is `cfg`. A region without any
/// difference has the plain weight.
///
/// - `regions`  see `region_map`.
/// - cost       one pass that reads both predictions, one that writes; allocates at its first use, a number
///              per region.
/// - errors     `std::invalid_argument`: a weight that is not finite, no regions, a map that does not fit x.
struct s_cfg {
    double weight = 1.0;
    region_map regions = {};
    std::vector<double> sums = {};  ///< working memory, as `counts`; leave it empty
    std::vector<double> counts = {};

    static constexpr rule_space space = rule_space::data_prediction;
    [[nodiscard]] std::size_t networks() const { return 2; }
    [[nodiscard]] std::size_t evaluations(const call_site&) const {
        if (!regions) { throw std::invalid_argument("s_cfg: need regions"); }
        tweedie::detail::finite_weight("s_cfg", weight);
        return 2;
    }

    template <contiguous_tensor T>
    void combine(std::span<T* const> predictions, const call_site& where) {
        using traits = tensor_traits<T>;
        scalar_t<T>* const c = traits::data(*predictions[0]);
        const scalar_t<T>* const u = traits::data(*predictions[1]);
        const std::size_t size = traits::size(*predictions[0]);
        const std::size_t samples = traits::batch(*predictions[0]);
        const std::span<const std::size_t> map = regions(where);
        if (map.empty() || size % map.size() != 0) {
            throw std::invalid_argument("s_cfg: the regions must fit x");
        }
        const std::size_t count = *std::max_element(map.begin(), map.end()) + 1;
        const std::size_t length = size / samples;
        for (std::size_t sample = 0; sample < samples; ++sample) {
            sums.assign(count, 0.0);
            counts.assign(count, 0.0);
            double all = 0.0;
            for (std::size_t i = sample * length; i < (sample + 1) * length; ++i) {
                const double difference = std::abs(static_cast<double>(c[i]) - static_cast<double>(u[i]));
                sums[map[i % map.size()]] += difference;
                counts[map[i % map.size()]] += 1.0;
                all += difference;
            }
            for (std::size_t k = 0; k < count; ++k) {  // from here on the weight of the region
                const double mean = sums[k] / counts[k];
                sums[k] = mean > 0.0 ? weight * (all / static_cast<double>(length)) / mean : weight;
            }
            for (std::size_t i = sample * length; i < (sample + 1) * length; ++i) {
                const double low = static_cast<double>(u[i]);
                c[i] = static_cast<scalar_t<T>>(low + sums[map[i % map.size()]] *
                                                          (static_cast<double>(c[i]) - low));
            }
        }
    }
};

}  // namespace tweedie::guidance
