// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <utility>

namespace tweedie::detail {

struct least_squares_result {
    Eigen::VectorXd x;
    double cost = 0.0;  // the sum of squares there
};

/// Minimises the sum of squares of `residuals(x)`, a vector of one length: Levenberg and Marquardt's method.
///
///     (J^T J + damping diag(J^T J)) step = -J^T r
///
/// J by forward differences of 1e-5, so x should be of order 1. No step changes an element by more than 1; a
/// step that leads to a larger or a not finite sum is tried again with more damping, so the sum never rises.
/// Ends when a step no longer gains 1e-7 of the sum.
/// - cost  elements + 1 or more calls of `residuals` per iteration.
template <class Residuals>
[[nodiscard]] least_squares_result least_squares(const Residuals& residuals, Eigen::VectorXd x,
                                                 int iterations) {
    Eigen::VectorXd r = residuals(x);
    double cost = r.squaredNorm();
    double damping = 1e-3;
    Eigen::MatrixXd jacobian(r.size(), x.size());
    Eigen::MatrixXd normal(x.size(), x.size());
    for (int round = 0; round < iterations && x.size() > 0; ++round) {
        for (Eigen::Index k = 0; k < x.size(); ++k) {
            constexpr double difference = 1e-5;
            Eigen::VectorXd beside = x;
            beside[k] += difference;
            jacobian.col(k) = (residuals(beside) - r) / difference;
        }
        // column by column: Eigen's product could divide the sums among threads
        for (Eigen::Index i = 0; i < x.size(); ++i) {
            for (Eigen::Index j = 0; j <= i; ++j) {
                normal(i, j) = normal(j, i) = jacobian.col(i).dot(jacobian.col(j));
            }
        }
        Eigen::VectorXd downhill(x.size());
        for (Eigen::Index i = 0; i < x.size(); ++i) { downhill[i] = -jacobian.col(i).dot(r); }
        const double largest = normal.diagonal().maxCoeff();
        if (!(largest > 0.0 && std::isfinite(largest))) { break; }
        const double before = cost;
        double growth = 2.0;
        for (int attempt = 0; attempt < 16 && cost == before; ++attempt) {
            Eigen::MatrixXd damped = normal;
            damped.diagonal().array() += damping * (normal.diagonal().array() + 1e-9 * largest);
            Eigen::VectorXd step = damped.ldlt().solve(downhill);
            const double length = step.cwiseAbs().maxCoeff();
            if (length > 1.0) { step /= length; }
            const Eigen::VectorXd there = x + step;
            const Eigen::VectorXd r_there = residuals(there);
            const double cost_there = r_there.squaredNorm();
            if (cost_there < cost) {  // false for NaN
                x = there;
                r = r_there;
                cost = cost_there;
                damping = std::max(damping / 3.0, 1e-10);
            } else {
                damping *= growth;
                growth *= 2.0;
            }
        }
        if (!(before - cost > 1e-7 * before)) { break; }
    }
    return {std::move(x), cost};
}

}  // namespace tweedie::detail
