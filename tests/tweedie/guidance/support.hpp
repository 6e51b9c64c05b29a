// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/denoiser.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/run/sample.hpp>

#include <cmath>
#include <cstddef>
#include <stdexcept>

// Gaussian data N(mean, variance) on every element, its exact prediction of any type, as a network that writes.
struct gaussian_network {
    double mean = 0.0;
    double variance = 1.0;
    tweedie::prediction_type type = tweedie::prediction::x0;
    tweedie::any_schedule schedule;
    std::size_t* calls = nullptr;

    [[nodiscard]] double at(double x, const tweedie::level& l) const {
        const double s2 = l.sigma * l.sigma;
        const double total = l.alpha * l.alpha * variance + s2;
        const double x0 = (l.alpha * variance * x + s2 * mean) / total;
        const double eps = l.sigma * (x - l.alpha * mean) / total;
        const tweedie::target_weights law = tweedie::target(type, l, schedule);
        return (law.data * x0 + law.noise * eps) / law.gain;
    }

    template <class Tensor>
    void operator()(const Tensor& x, const tweedie::network_level& l, Tensor& out) const {
        if (calls != nullptr) { ++*calls; }
        const auto n = static_cast<std::size_t>(x.size());
        for (std::size_t i = 0; i < n; ++i) {
            out.data()[i] = static_cast<std::remove_cvref_t<decltype(out.data()[i])>>(
                at(static_cast<double>(x.data()[i]), l));
        }
    }
};

inline tweedie::denoiser<gaussian_network> gaussian_model(double mean, double variance,
                                                          tweedie::prediction_type type,
                                                          const tweedie::any_schedule& schedule,
                                                          std::size_t* calls = nullptr) {
    return {gaussian_network{mean, variance, type, schedule, calls}, type, schedule};
}

// A network that must not be asked.
inline auto silent_model(tweedie::prediction_type type, const tweedie::any_schedule& schedule) {
    const auto network = [](const auto&, const tweedie::network_level&, auto&) {
        throw std::logic_error("asked");
    };
    return tweedie::denoiser(network, type, schedule);
}
