// SPDX-License-Identifier: MIT
#pragma once

// What the tests of data-dependent samplers share: a tensor of several samples, Gaussian data in closed form.

#include <tweedie/run/loop.hpp>
#include <tweedie/tensor/contiguous.hpp>

#include <cmath>
#include <cstddef>
#include <vector>

#include "checks.hpp"

/// Samples in rows.
struct rows_tensor {
    std::vector<double> elements;
    std::size_t rows = 1;

    friend bool operator==(const rows_tensor&, const rows_tensor&) = default;
};

template <>
struct tweedie::tensor_traits<rows_tensor> : tweedie::contiguous_tensor_traits<rows_tensor, double> {
    static double* data(rows_tensor& x) { return x.elements.data(); }
    static const double* data(const rows_tensor& x) { return x.elements.data(); }
    static std::size_t size(const rows_tensor& x) { return x.elements.size(); }
    static std::size_t batch(const rows_tensor& x) { return x.rows; }
    static rows_tensor like(const rows_tensor& x) { return {std::vector<double>(x.elements.size()), x.rows}; }
};

/// Data N(mean, variance): the network, and the probability flow in closed form.
struct gaussian_law {
    double mean = 0.5;
    double variance = 0.4;

    [[nodiscard]] double x0(double x, const tweedie::level& at) const {
        const double s2 = at.sigma * at.sigma;
        return (at.alpha * variance * x + s2 * mean) / (at.alpha * at.alpha * variance + s2);
    }
    [[nodiscard]] double spread(const tweedie::level& at) const {
        return std::sqrt(at.alpha * at.alpha * variance + at.sigma * at.sigma);
    }
    [[nodiscard]] double flow(double x, const tweedie::level& s, const tweedie::level& t) const {
        return t.alpha * mean + spread(t) / spread(s) * (x - s.alpha * mean);
    }
};

/// Evaluates a scalar law on every element.
template <class Law>
auto elementwise(const Law& law) {
    return [law](const auto& x, const tweedie::network_level& at) {
        auto out = x;
        if constexpr (requires { out.elements; }) {
            for (double& v : out.elements) { v = law(v, at); }
        } else if constexpr (requires { out.begin(); }) {
            for (auto& v : out) {
                v = static_cast<std::remove_reference_t<decltype(v)>>(law(static_cast<double>(v), at));
            }
        } else {
            out = law(x, at);
        }
        return out;
    };
}

/// The two ends of a walk.
inline levels_t ends_of(const tweedie::any_schedule& schedule, double sigma_max, double sigma_min) {
    return {tweedie::at_half_log_snr(schedule, -std::log(sigma_max)),
            tweedie::at_half_log_snr(schedule, -std::log(sigma_min))};
}
