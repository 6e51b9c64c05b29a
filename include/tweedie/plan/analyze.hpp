// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/element.hpp>
#include <tweedie/plan/plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie {

/// What a sampler does to one principal direction of Gaussian data, without any network:
///
///     x_end = start * x_start + mean * mu + sqrt(noise_variance) * z + constant
///
/// with mu the data mean along that direction. `constant` is what the plan's own constants come to: 0 in
/// most.
struct transfer {
    double start = 0.0;
    double mean = 0.0;
    double noise_variance = 0.0;
    double constant = 0.0;

    friend bool operator==(const transfer&, const transfer&) = default;
};

namespace detail {

/// A value of a run on Gaussian data: coefficients on x_start, on mu, on independent standard normals, and on
/// 1.
struct gaussian_value {
    double start = 0.0;
    double mean = 0.0;
    std::vector<double> noise = {};  // as long as it has to be
    double constant = 0.0;
};

inline void accumulate(gaussian_value& to, double weight, const gaussian_value& from) {
    if (weight == 0.0) { return; }
    to.start += weight * from.start;
    to.mean += weight * from.mean;
    to.constant += weight * from.constant;
    if (to.noise.size() < from.noise.size()) { to.noise.resize(from.noise.size(), 0.0); }
    for (std::size_t i = 0; i < from.noise.size(); ++i) { to.noise[i] += weight * from.noise[i]; }
}

/// Other independent normals, no more of them than there are values, in which the values have the same joint
/// law: reflections make their coefficients a triangle. Variances stay sums of squares, without cancellation.
inline void compress_noise(std::vector<gaussian_value>& values) {
    std::size_t width = 0;
    for (const gaussian_value& v : values) { width = std::max(width, v.noise.size()); }
    if (width <= values.size()) { return; }
    for (gaussian_value& v : values) { v.noise.resize(width, 0.0); }
    std::vector<double> mirror(width);
    for (std::size_t r = 0; r < values.size(); ++r) {
        double norm = 0.0;
        for (std::size_t i = r; i < width; ++i) { norm = std::hypot(norm, values[r].noise[i]); }
        if (norm == 0.0) { continue; }
        // The mirror between this row and +-norm on normal r, the sign that does not cancel.
        mirror = values[r].noise;
        const double end = mirror[r] > 0.0 ? -norm : norm;
        mirror[r] -= end;
        const double square = -end * mirror[r];  // half of |mirror|^2
        for (std::size_t later = r; later < values.size(); ++later) {
            std::vector<double>& row = values[later].noise;
            double along = 0.0;
            for (std::size_t i = r; i < width; ++i) { along += mirror[i] * row[i]; }
            for (std::size_t i = r; i < width; ++i) { row[i] -= along / square * mirror[i]; }
        }
    }
    for (gaussian_value& v : values) { v.noise.resize(values.size()); }
}

/// Which passes a plan reads its draws in, the first pass being 0.
class draw_uses {
public:
    explicit draw_uses(const plan& p) {
        add(p.start, 0);
        for (std::size_t k = 0; k < p.calls.size(); ++k) { add(p.calls[k].then, k + 1); }
        std::sort(uses_.begin(), uses_.end());
    }

    /// Whether a draw is read in a pass after this one.
    [[nodiscard]] bool after(std::uint32_t draw, std::size_t pass) const {
        const auto next = std::upper_bound(uses_.begin(), uses_.end(), std::pair(draw, pass));
        return next != uses_.end() && next->first == draw;
    }

private:
    void add(const plan_pass& pass, std::size_t index) {
        for (const std::uint32_t draw : pass.draws) { uses_.emplace_back(draw, index); }
    }

    std::vector<std::pair<std::uint32_t, std::size_t>> uses_;
};

}  // namespace detail

/// The exact transfer of a plan for data `N(mu, variance)` along one principal direction.
///
/// The data prediction of Gaussian data is linear, `x0_hat = (alpha v x + sigma^2 mu) / (alpha^2 v +
/// sigma^2)`, so the whole run is a product of the plan's small matrices; a covariance is treated one
/// eigenvalue at a time. Equals running the plan on a `double` with the exact denoiser to rounding. Use it to
/// compare solvers and noise levels before any network is called. The network of every call is the denoiser,
/// also where the plan asks a flow map.
///
/// What the draws made of the registers is carried as a factor of the registers' covariance, no wider than
/// there are registers. A draw that a later pass reads again (no solver writes such a plan) is kept beside
/// them until then.
/// - `p`         a plan that is not folded, without fields; of a plan with fields, `element(p, e)` for data
///               whose elements are independent.
/// - `variance`  eigenvalue of the data covariance; >= 0.
/// - cost        O(calls * registers^3).
/// - errors      `std::invalid_argument`: a folded plan, a plan with fields, a negative or NaN variance.
[[nodiscard]] inline transfer analyze(const plan& p, double variance) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("analyze: variance must be finite and >= 0");
    }
    require_plan(p);
    if (p.output != output_column::data_prediction || p.outputs != 1) {
        throw std::invalid_argument("analyze: the plan must not be folded");
    }
    if (p.elements != 0) {
        throw std::invalid_argument("analyze: the plan has fields; analyze element(plan, e)");
    }
    using detail::gaussian_value;
    const detail::draw_uses uses(p);
    std::vector<gaussian_value> values(1);  // the registers, then the draws kept for later
    values[0].start = 1.0;
    std::size_t registers = 1;
    std::vector<std::uint32_t> kept;
    const auto run = [&](const plan_pass& pass, std::size_t index, const gaussian_value* output) {
        std::vector<gaussian_value> columns(values.begin(),
                                            values.begin() + static_cast<std::ptrdiff_t>(registers));
        if (output != nullptr) { columns.push_back(*output); }
        std::vector<std::uint32_t> draws = kept;
        std::vector<gaussian_value> drawn(values.begin() + static_cast<std::ptrdiff_t>(registers),
                                          values.end());
        std::size_t normals = 0;
        for (const gaussian_value& v : values) { normals = std::max(normals, v.noise.size()); }
        for (const std::uint32_t draw : pass.draws) {
            std::size_t d = 0;
            while (d < draws.size() && draws[d] != draw) { ++d; }
            if (d == draws.size()) {
                draws.push_back(draw);
                drawn.push_back({0.0, 0.0, std::vector<double>(normals++, 0.0)});
                drawn.back().noise.push_back(1.0);
            }
            columns.push_back(drawn[d]);
        }
        values.assign(pass.rows.size(), {});
        for (std::size_t r = 0; r < pass.rows.size(); ++r) {
            for (std::size_t c = 0; c < columns.size(); ++c) {
                detail::accumulate(values[r], pass.rows[r].weights[c], columns[c]);
            }
            values[r].constant += pass.rows[r].constant[0];
        }
        registers = values.size();
        kept.clear();
        for (std::size_t d = 0; d < draws.size(); ++d) {
            if (!uses.after(draws[d], index)) { continue; }
            kept.push_back(draws[d]);
            values.push_back(drawn[d]);
        }
        detail::compress_noise(values);
    };
    run(p.start, 0, nullptr);
    for (std::size_t k = 0; k < p.calls.size(); ++k) {
        const plan_call& call = p.calls[k];
        if (call.input_scale != 1.0) { throw std::invalid_argument("analyze: the plan must not be folded"); }
        const double total = call.at.alpha * call.at.alpha * variance + call.at.sigma * call.at.sigma;
        gaussian_value x0;
        x0.mean = call.at.sigma * call.at.sigma / total;
        detail::accumulate(x0, call.at.alpha * variance / total, values[call.query]);
        run(call.then, k + 1, &x0);
    }
    transfer result{values[0].start, values[0].mean, 0.0, values[0].constant};
    for (const double w : values[0].noise) { result.noise_variance += w * w; }
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
