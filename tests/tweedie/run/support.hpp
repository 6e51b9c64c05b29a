// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>

#include <cstddef>
#include <vector>

// Gaussian data N(mean, variance) on every element: its exact denoiser, as a network that writes its output.
struct exact_gaussian {
    double mean = 0.7;
    double variance = 0.3;

    [[nodiscard]] double x0_hat(double x, const tweedie::level& at) const {
        const double s2 = at.sigma * at.sigma;
        return (at.alpha * variance * x + s2 * mean) / (at.alpha * at.alpha * variance + s2);
    }

    template <class Tensor>
    void operator()(const Tensor& x, const tweedie::network_level& at, Tensor& out) const {
        for (std::size_t i = 0; i < x.size(); ++i) {
            out[i] = static_cast<typename Tensor::value_type>(x0_hat(static_cast<double>(x[i]), at));
        }
    }
};

inline tweedie::plan edm_plan(const auto& solver, int steps) {
    const tweedie::schedule::edm schedule;
    return solver.plan(schedule, tweedie::grid::karras(schedule, steps));
}

inline auto exact_model() {
    return tweedie::denoiser(exact_gaussian{}, tweedie::prediction::x0, tweedie::schedule::edm{});
}

template <class Scalar = float>
std::vector<Scalar> start(std::size_t size, const tweedie::plan& p, tweedie::noise source = {.seed = 3}) {
    std::vector<Scalar> x(size);
    tweedie::start_from_noise(x, p.levels.front(), source);
    return x;
}
