// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>

#include <Eigen/Core>

#include <string>
#include <vector>

namespace proof {

/// A mixture with starts at its noisiest level and where the exact flow takes them.
struct problem {
    tweedie::analytic::mixture data;
    double sigma_max = 0.0;
    double sigma_min = 0.0;
    Eigen::MatrixXd starts;  // one per column
    Eigen::MatrixXd ends;
};

/// Reads a file of mixtures: a list `mixtures` of `{weights, means, covariances, sigma_max, sigma_min,
/// x_start, x_end_reference}`.
/// - errors  `std::runtime_error`, with the file's name and what is wrong in it.
[[nodiscard]] std::vector<problem> read_problems(const std::string& file);

}  // namespace proof
