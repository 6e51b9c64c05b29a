// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie {

/// What a sampler does to one principal direction of Gaussian data, without any network:
///
///     x_end = start * x_start + mean * mu + sqrt(noise_variance) * z
///
/// with mu the data mean along that direction.
struct transfer {
    double start = 0.0;
    double mean = 0.0;
    double noise_variance = 0.0;

    friend bool operator==(const transfer&, const transfer&) = default;
};

/// The exact transfer of a plan for data `N(mu, variance)` along one principal direction.
///
/// The data prediction of Gaussian data is linear, `x0_hat = (alpha v x + sigma^2 mu) / (alpha^2 v +
/// sigma^2)`, so the whole run is a product of the plan's small matrices; a covariance is treated one
/// eigenvalue at a time. Equals running the plan on a `double` with the exact denoiser to rounding. Use it to
/// compare solvers and noise levels before any network is called.
/// - `p`         a plan that is not folded.
/// - `variance`  eigenvalue of the data covariance; >= 0.
/// - cost        O(calls * registers^2).
/// - errors      `std::invalid_argument`: a folded plan, a negative or NaN variance.
[[nodiscard]] inline transfer analyze(const plan& p, double variance) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("analyze: variance must be finite and >= 0");
    }
    require_plan(p);
    if (p.output != output_column::data_prediction) {
        throw std::invalid_argument("analyze: the plan must not be folded");
    }
    // A value of the run: coefficients on x_start, on mu, and on each draw made so far.
    struct value {
        double start = 0.0;
        double mean = 0.0;
        std::vector<double> draws;
    };
    const auto accumulate = [](value& to, double weight, const value& from) {
        if (weight == 0.0) { return; }
        to.start += weight * from.start;
        to.mean += weight * from.mean;
        if (to.draws.size() < from.draws.size()) { to.draws.resize(from.draws.size(), 0.0); }
        for (std::size_t i = 0; i < from.draws.size(); ++i) { to.draws[i] += weight * from.draws[i]; }
    };
    const auto run = [&](const plan_pass& pass, std::vector<value> columns) {
        for (const std::uint32_t draw : pass.draws) {
            value z;
            z.draws.resize(std::size_t{draw} + 1, 0.0);
            z.draws.back() = 1.0;
            columns.push_back(std::move(z));
        }
        std::vector<value> after(pass.rows.size());
        for (std::size_t r = 0; r < pass.rows.size(); ++r) {
            for (std::size_t c = 0; c < columns.size(); ++c) {
                accumulate(after[r], pass.rows[r].weights[c], columns[c]);
            }
        }
        return after;
    };
    value x;
    x.start = 1.0;
    std::vector<value> registers = run(p.start, {x});
    for (const plan_call& call : p.calls) {
        if (call.input_scale != 1.0) { throw std::invalid_argument("analyze: the plan must not be folded"); }
        const double total = call.at.alpha * call.at.alpha * variance + call.at.sigma * call.at.sigma;
        value x0;
        x0.mean = call.at.sigma * call.at.sigma / total;
        accumulate(x0, call.at.alpha * variance / total, registers[call.query]);
        registers.push_back(std::move(x0));
        registers = run(call.then, std::move(registers));
    }
    transfer result{registers[0].start, registers[0].mean, 0.0};
    for (const double w : registers[0].draws) { result.noise_variance += w * w; }
    return result;
}

/// The exact probability flow from level s to level t for data `N(mu, variance)` along one principal
/// direction:
///
///     x_t = alpha_t mu + sqrt((alpha_t^2 v + sigma_t^2) / (alpha_s^2 v + sigma_s^2)) (x_s - alpha_s mu)
///
/// Source: Wang and Vastola 2024, arXiv:2412.09726 (their Gaussian solution, here for any alpha and sigma).
[[nodiscard]] inline transfer exact_transfer(const level& s, const level& t, double variance) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("exact_transfer: variance must be finite and >= 0");
    }
    const double gain = std::sqrt((t.alpha * t.alpha * variance + t.sigma * t.sigma) /
                                  (s.alpha * s.alpha * variance + s.sigma * s.sigma));
    return {gain, t.alpha - gain * s.alpha, 0.0};
}

}  // namespace tweedie
