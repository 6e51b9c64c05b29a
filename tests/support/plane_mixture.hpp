// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

/// `D(x, sigma) = E[x0 | x]` of the plane mixture of `core_golden.json`, in plain doubles. (`golden_mixture` is
/// the same as an `analytic::mixture`.)
struct plane_mixture {
    struct component {
        double weight, mean[2], a, b, c;  // covariance [[a, b], [b, c]]
    };
    std::vector<component> components;

    explicit plane_mixture(const nlohmann::json& problem) {
        for (std::size_t k = 0; k < 3; ++k) {
            const double angle = problem["angles"][k];
            const double l0 = problem["lambdas"][k][0];
            const double l1 = problem["lambdas"][k][1];
            const double c = std::cos(angle);
            const double s = std::sin(angle);
            components.push_back({problem["weights"][k],
                                  {problem["mus"][k][0], problem["mus"][k][1]},
                                  c * c * l0 + s * s * l1,
                                  c * s * (l0 - l1),
                                  s * s * l0 + c * c * l1});
        }
    }

    [[nodiscard]] std::vector<double> operator()(const std::vector<double>& x, double sigma) const {
        std::vector<double> logs;
        std::vector<std::vector<double>> estimates;
        for (const component& k : components) {
            const double a = k.a + sigma * sigma;
            const double c = k.c + sigma * sigma;
            const double determinant = a * c - k.b * k.b;
            const double u = x[0] - k.mean[0];
            const double v = x[1] - k.mean[1];
            const double p = (c * u - k.b * v) / determinant;
            const double q = (a * v - k.b * u) / determinant;
            logs.push_back(std::log(k.weight) - 0.5 * std::log(determinant) - 0.5 * (u * p + v * q));
            estimates.push_back({k.mean[0] + k.a * p + k.b * q, k.mean[1] + k.b * p + k.c * q});
        }
        const double largest = *std::max_element(logs.begin(), logs.end());
        std::vector<double> sum(2, 0.0);
        double total = 0.0;
        for (std::size_t k = 0; k < logs.size(); ++k) {
            const double w = std::exp(logs[k] - largest);
            total += w;
            for (std::size_t d = 0; d < 2; ++d) { sum[d] += w * estimates[k][d]; }
        }
        return {sum[0] / total, sum[1] / total};
    }
};
