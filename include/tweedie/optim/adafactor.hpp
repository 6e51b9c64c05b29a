// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

namespace tweedie::optim {

/// Adafactor: the second moment of a matrix from its row and column means alone, so that the state is tiny.
///
///     R = b R + (1 - b) mean over columns of (G^2 + eps1),   C likewise over rows
///     b = 1 - t^-decay_exponent
///     U = G / sqrt(R C / mean(R)),   U = U / max(1, RMS(U) / threshold)
///     theta = theta - max(eps2, RMS(theta)) rho U,   rho = min(learning_rate, 1 / sqrt(t))
///
/// A tensor is the matrix of its `batch` samples (Eigen: the columns; xtensor: the first extent); one sample,
/// a vector or a span, keeps the second moment of each element.
/// Source: Shazeer and Stern 2018, arXiv:1804.04235, Algorithms 4 and 5. Deviation: means instead of sums of
/// rows and columns, which is the same. No momentum.
/// - cost    three passes; rows + columns numbers per matrix.
struct adafactor {
    double learning_rate = 1e-2;  ///< the largest relative step; >= 0
    double eps1 = 1e-30;          ///< added to squares; >= 0
    double eps2 = 1e-3;           ///< the least scale of a tensor; >= 0
    double threshold = 1;         ///< largest RMS of U; > 0
    double decay_exponent = 0.8;  ///< > 0
    weight_decay decay = decoupled(0);
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        using scalar = state_scalar_t<Parameters>;
        using element = detail::set_element_t<std::remove_reference_t<Parameters>>;
        constexpr const char* name = "adafactor";
        detail::require_rate(name, learning_rate);
        detail::require_not_negative(name, "eps1", eps1);
        detail::require_not_negative(name, "eps2", eps2);
        detail::require_positive(name, "threshold", threshold);
        detail::require_positive(name, "decay_exponent", decay_exponent);
        detail::require_not_negative(name, "decay", decay.rate);
        detail::require_clipping(name, clip);
        const auto options = detail::common_options(name, name, *this);
        detail::gathered_set<std::remove_reference_t<Parameters>> all(parameters);
        detail::gathered_set<const Gradients> slopes(gradients);
        detail::require_matching(name, all, slopes);
        detail::prepare_state(name, name, 0, all, state, [](const auto& range) {
            return range.batch > 1 ? range.batch + range.size / range.batch : range.size;
        });
        const auto check = detail::check_gradients(options, slopes);
        if (!check.finite) { return {step_status::gradient_not_finite, check.tensor, check.norm}; }
        step_result result{step_status::done, 0, check.norm};
        scalar* moments = state.values.data();
        std::vector<double> u;
        std::vector<double> sums;
        for (std::size_t i = 0; i < all.size(); ++i) {
            tensor_record& record = state.tensors[i];
            ++record.step;
            const auto range = all[i];
            const std::size_t columns = range.batch > 1 ? range.batch : 1;
            const std::size_t rows = range.size / std::max<std::size_t>(columns, 1);
            const auto t = static_cast<double>(record.step);
            const double b = 1 - std::pow(t, -decay_exponent);
            const double limit = clip.value;
            u.resize(range.size);
            for (std::size_t k = 0; k < range.size; ++k) {
                const double g = check.scale * static_cast<double>(static_cast<scalar>(slopes[i].data[k]));
                u[k] = std::min(std::max(g, -limit), limit) +
                       options.coupled_decay * static_cast<double>(static_cast<scalar>(range.data[k]));
            }
            if (range.batch > 1) {
                sums.assign(rows + columns, 0.0);
                for (std::size_t c = 0; c < columns; ++c) {
                    for (std::size_t r = 0; r < rows; ++r) {
                        const double square = u[c * rows + r] * u[c * rows + r] + eps1;
                        sums[r] += square / static_cast<double>(columns);
                        sums[rows + c] += square / static_cast<double>(rows);
                    }
                }
                double mean = 0;
                for (std::size_t k = 0; k < rows + columns; ++k) {
                    moments[k] = static_cast<scalar>(b * static_cast<double>(moments[k]) + (1 - b) * sums[k]);
                    if (k < rows) { mean += static_cast<double>(moments[k]) / static_cast<double>(rows); }
                }
                for (std::size_t c = 0; c < columns; ++c) {
                    for (std::size_t r = 0; r < rows; ++r) {
                        const double v =
                            static_cast<double>(moments[r]) * static_cast<double>(moments[rows + c]) / mean;
                        u[c * rows + r] = v > 0 ? u[c * rows + r] / std::sqrt(v) : 0.0;
                    }
                }
            } else {
                for (std::size_t k = 0; k < range.size; ++k) {
                    moments[k] = static_cast<scalar>(b * static_cast<double>(moments[k]) +
                                                     (1 - b) * (u[k] * u[k] + eps1));
                    const auto v = static_cast<double>(moments[k]);
                    u[k] = v > 0 ? u[k] / std::sqrt(v) : 0.0;
                }
            }
            moments += record.extra;
            detail::one_range<element> one{range};
            const auto size = static_cast<double>(std::max<std::size_t>(range.size, 1));
            const double rms = std::sqrt(detail::sum_of_squares(u.data(), range.size) / size);
            const double scale = std::max(eps2, detail::norm_of(one) / std::sqrt(size));
            const double rate =
                scale * std::min(learning_rate, 1 / std::sqrt(t)) / std::max(1.0, rms / threshold);
            const double keep = detail::kept(learning_rate, decay);
            for (std::size_t k = 0; k < range.size; ++k) {
                const double theta =
                    keep * static_cast<double>(static_cast<scalar>(range.data[k])) - rate * u[k];
                range.data[k] = static_cast<element>(static_cast<scalar>(theta));
            }
            if (!detail::all_finite_elements(range.data, range.size) && result) {
                result.status = step_status::parameter_not_finite;
                result.tensor = i;
            }
        }
        all.write_back();
        return result;
    }
};

}  // namespace tweedie::optim
