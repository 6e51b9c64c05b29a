// SPDX-License-Identifier: MIT
#include "nearest.hpp"

#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "median.hpp"

namespace digits {

namespace {

Eigen::RowVectorXd distances(const pictures& from, const Eigen::VectorXd& to) {
    return (from.colwise() - to).colwise().norm() / side;
}

}  // namespace

comparison compare(const std::array<pictures, classes>& sampled, const real_digits& real) {
    comparison found;
    std::vector<double> of_sampled;
    std::vector<double> of_real;
    for (std::size_t c = 0; c < classes; ++c) {
        for (Eigen::Index i = 0; i < sampled[c].cols(); ++i) {
            const double own = distances(real[c], sampled[c].col(i)).minCoeff();
            double nearest = std::numeric_limits<double>::infinity();
            for (const pictures& any : real) {
                nearest = std::fmin(nearest, distances(any, sampled[c].col(i)).minCoeff());
            }
            of_sampled.push_back(own);
            found.recognised += own == nearest ? 1 : 0;
        }
        for (Eigen::Index i = 0; i < real[c].cols(); ++i) {
            Eigen::RowVectorXd away = distances(real[c], real[c].col(i));
            away(i) = away.maxCoeff();
            of_real.push_back(away.minCoeff());
        }
    }
    found.sampled = median(std::move(of_sampled));
    found.real = median(std::move(of_real));
    return found;
}

}  // namespace digits
