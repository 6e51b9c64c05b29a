// SPDX-License-Identifier: MIT
#pragma once

// The order of a solver on a small smooth problem: one dimension, two Gaussians, from kappa = 10 to 0.1.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "checks.hpp"

/// The data prediction of the scalar mixture `0.6 N(-0.7, 0.3) + 0.4 N(0.9, 0.2)`.
inline double smooth_humps(double x, const tweedie::level& at) {
    const double mean[2] = {-0.7, 0.9};
    const double variance[2] = {0.3, 0.2};
    const double share[2] = {0.6, 0.4};
    double weight[2];
    double x0[2];
    double sum = 0.0;
    for (int k = 0; k < 2; ++k) {
        const double total = at.alpha * at.alpha * variance[k] + at.sigma * at.sigma;
        const double u = x - at.alpha * mean[k];
        weight[k] = share[k] / std::sqrt(total) * std::exp(-u * u / (2.0 * total));
        x0[k] = mean[k] + at.alpha * variance[k] / total * u;
        sum += weight[k];
    }
    return (weight[0] * x0[0] + weight[1] * x0[1]) / sum;
}

/// The exact end of y = x / alpha: dy / d ln kappa = kappa eps_hat by 4000 steps of the classical Runge-Kutta
/// method, whose error here is that of rounding.
inline double exact_end(double y, double from, double to) {
    constexpr int n = 4000;
    const double h = std::log(to / from) / n;
    const auto slope = [&](double u, double v) {
        const double kappa = from * std::exp(u);
        return v - smooth_humps(v, tweedie::level{0.0, 1.0, kappa});  // kappa eps_hat = y - x0_hat
    };
    for (int i = 0; i < n; ++i) {
        const double u = i * h;
        const double k1 = slope(u, y);
        const double k2 = slope(u + h / 2, y + h / 2 * k1);
        const double k3 = slope(u + h / 2, y + h / 2 * k2);
        const double k4 = slope(u + h, y + h * k3);
        y += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    return y;
}

/// Where an order is measured: kappa at the two ends. Inversion goes the other way.
struct kappa_range {
    double from = 10.0;
    double to = 0.1;
};
inline constexpr kappa_range inversion{0.1, 10.0};

/// The slope of the median error of the end over nine starts, on levels of equal steps in half-log-SNR.
template <class Solver>
double measured_order(const Solver& solver, const tweedie::any_schedule& schedule,
                      const std::vector<int>& steps, kappa_range range = {}) {
    const auto [from, to] = range;
    std::vector<double> starts;
    std::vector<double> ends;
    for (int k = -4; k <= 4; ++k) {
        starts.push_back((from > to ? 2.7 : 0.4) * k + 0.4);
        ends.push_back(exact_end(starts.back(), from, to));
    }
    std::vector<double> x;
    std::vector<double> y;
    for (const int n : steps) {
        levels_t levels = tweedie::grid::log_snr(schedule, n,
                                                 {.sigma_max = std::max(from, to),
                                                  .sigma_min = std::min(from, to),
                                                  .last = tweedie::grid::final_level::sigma_min});
        if (from < to) { std::reverse(levels.begin(), levels.end()); }
        const tweedie::plan p = solver.plan(schedule, levels);
        std::vector<double> errors;
        for (std::size_t k = 0; k < starts.size(); ++k) {
            const double end = run_on_double(p, schedule, levels.front().alpha * starts[k], smooth_humps) /
                               levels.back().alpha;
            errors.push_back(std::abs(end - ends[k]));
        }
        std::sort(errors.begin(), errors.end());
        x.push_back(std::log(static_cast<double>(n)));
        y.push_back(std::log(errors[errors.size() / 2]));
    }
    double mean_x = 0.0;
    double mean_y = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        mean_x += x[i] / static_cast<double>(x.size());
        mean_y += y[i] / static_cast<double>(x.size());
    }
    double xx = 0.0;
    double xy = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    return -xy / xx;
}

/// The three families an order is asked for on.
inline std::vector<named_schedule> order_schedules() {
    return {{"vp_linear", tweedie::schedule::vp_linear{}},
            {"edm", tweedie::schedule::edm{}},
            {"flow", tweedie::schedule::flow{}}};
}
