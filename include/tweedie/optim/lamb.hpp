// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>

namespace tweedie::optim {

/// LAMB: Adam whose step, for each tensor, is as long as the learning rate's part of the tensor: for very
/// large batches.
///
///     u = m_hat / (sqrt(v_hat) + eps) + decay theta,   theta = theta - learning_rate (phi(|theta|) / |u|) u
///     phi(z) = min(max(z, least), most);   the ratio is 1 where |theta| or |u| is 0
///
/// Source: You et al. 2019, arXiv:1904.00962, Algorithm 2. Deviation: none.
/// - cost    three passes: the moments, the norms, the step; two numbers per element.
struct lamb {
    double learning_rate = 1e-3;                            ///< >= 0
    double beta1 = 0.9;                                     ///< in [0, 1)
    double beta2 = 0.999;                                   ///< in [0, 1)
    double eps = 1e-6;                                      ///< >= 0
    double least = 0;                                       ///< of |theta|; >= 0
    double most = std::numeric_limits<double>::infinity();  ///< of |theta|; >= least
    weight_decay decay = decoupled(0.01);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        using element = detail::set_element_t<std::remove_reference_t<Parameters>>;
        detail::require_adam("lamb", *this);
        detail::require_not_negative("lamb", "least", least);
        if (!(most >= least)) { detail::refuse_option("lamb", "most must be at least least"); }
        auto narrow = [](double x) { return static_cast<scalar>(x); };
        step_result result = detail::elementwise_step<2>(
            detail::common_options("lamb", "lamb", *this), parameters, gradients, state,
            [&](const tensor_record&) {
                return detail::lamb_moments<scalar>{narrow(beta1), narrow(1 - beta1), narrow(beta2),
                                                    narrow(1 - beta2)};
            });
        if (!result) { return result; }
        detail::gathered_set<std::remove_reference_t<Parameters>> all(parameters);
        std::size_t offset = 0;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const auto range = all[i];
            const auto t = static_cast<double>(state.tensors[i].step);
            const double correction1 = 1 / (1 - std::pow(beta1, t));
            const double correction2 = 1 / (1 - std::pow(beta2, t));
            const double added = decay.where == weight_decay::place::decoupled ? decay.rate : 0.0;
            const scalar* const m = state.values.data() + offset;
            const scalar* const v = m + range.size;
            detail::one_range<element> one{range};
            const double weight_norm = detail::norm_of(one);
            const double step_norm =
                std::sqrt(detail::ordered_sum(one, 3, [&](std::size_t, std::size_t first, std::size_t last) {
                    double sum = 0;
                    for (std::size_t k = first; k < last; ++k) {
                        const double u = correction1 * static_cast<double>(m[k]) /
                                             (std::sqrt(correction2 * static_cast<double>(v[k])) + eps) +
                                         added * static_cast<double>(static_cast<scalar>(range.data[k]));
                        sum += u * u;
                    }
                    return sum;
                }));
            const double phi = std::min(std::max(weight_norm, least), most);
            const double ratio = phi > 0 && step_norm > 0 ? phi / step_norm : 1.0;
            const detail::lamb_numbers<scalar> numbers{narrow(correction1), narrow(correction2), narrow(eps),
                                                       narrow(added), narrow(learning_rate * ratio)};
            const detail::gradient_terms<scalar> terms{1, std::numeric_limits<scalar>::infinity(), 0};
            const bool finite =
                detail::for_each_piece(one, 5, [&](std::size_t, std::size_t first, std::size_t last) {
                    return detail::update_piece<2>(detail::best_pack_path(), numbers, terms, range.data,
                                                   range.data, state.values.data() + offset, range.size,
                                                   first, last);
                });
            if (!finite && result) {
                result.status = step_status::parameter_not_finite;
                result.tensor = i;
            }
            offset += 2 * range.size;
        }
        all.write_back();
        return result;
    }
};

}  // namespace tweedie::optim
