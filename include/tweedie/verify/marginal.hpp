// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/gaussian.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::verify {

/// How many samples of one quantity compare with a normal law.
///
/// - `mean`, `variance`              of the samples (divided by n - 1).
/// - `mean_error`, `variance_error`  standard errors under the law: sqrt(v / n) and v sqrt(2 / (n - 1)).
/// - `mean_z`, `variance_z`          deviations from the law in standard errors; standard normal if the
///                                   samples follow it.
/// - `distance`                      Kolmogorov-Smirnov: largest difference of the distribution functions.
/// - `p_value`                       probability of a larger distance under the law.
struct marginal_report {
    std::size_t samples = 0;
    double mean = 0.0;
    double mean_error = 0.0;
    double mean_z = 0.0;
    double variance = 0.0;
    double variance_error = 0.0;
    double variance_z = 0.0;
    double distance = 0.0;
    double p_value = 0.0;

    /// |mean_z| <= 5, |variance_z| <= 5 and p_value >= 1e-6: samples of the law fail about twice in a million
    /// tries. A sampler's own error must be well below the standard errors to pass: refine its grid as you
    /// add samples.
    [[nodiscard]] bool passes() const {
        return std::abs(mean_z) <= 5.0 && std::abs(variance_z) <= 5.0 && p_value >= 1e-6;
    }
};

/// Compares samples of one quantity with N(mean, variance).
///
/// The Kolmogorov-Smirnov p-value is the asymptotic series with Stephens' correction for n (Stephens 1970, J.
/// R. Stat. Soc. B 32), good to 1 % for n >= 10.
/// - `samples`   independent ones; at least 10, finite. - `mean`, `variance`  the law; variance > 0.
/// - cost        O(n log n), one copy.
/// - errors      `std::invalid_argument`: too few samples, a value that is not finite, a variance that is not
///               positive.
[[nodiscard]] inline marginal_report marginal(std::span<const double> samples, double mean, double variance) {
    if (!(variance > 0.0 && std::isfinite(variance) && std::isfinite(mean))) {
        throw std::invalid_argument("marginal: the law must have a finite mean and a positive variance");
    }
    if (samples.size() < 10) { throw std::invalid_argument("marginal: need at least 10 samples"); }
    std::vector<double> sorted(samples.begin(), samples.end());
    for (const double value : sorted) {
        if (!std::isfinite(value)) { throw std::invalid_argument("marginal: the samples must be finite"); }
    }
    std::sort(sorted.begin(), sorted.end());
    const auto n = static_cast<double>(sorted.size());
    marginal_report out;
    out.samples = sorted.size();
    double shift = 0.0;  // from the law's mean: no cancellation for a mean far from 0
    for (const double value : sorted) { shift += (value - mean) / n; }
    double squares = 0.0;
    for (const double value : sorted) { squares += (value - mean - shift) * (value - mean - shift); }
    out.mean = mean + shift;
    out.mean_error = std::sqrt(variance / n);
    out.mean_z = shift / out.mean_error;
    out.variance = squares / (n - 1.0);
    out.variance_error = variance * std::sqrt(2.0 / (n - 1.0));
    out.variance_z = (out.variance - variance) / out.variance_error;

    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const double below = 0.5 * std::erfc(-(sorted[i] - mean) / std::sqrt(2.0 * variance));
        const auto rank = static_cast<double>(i);
        out.distance = std::max({out.distance, below - rank / n, (rank + 1.0) / n - below});
    }
    const double t = (std::sqrt(n) + 0.12 + 0.11 / std::sqrt(n)) * out.distance;
    if (t < 0.2) {  // the series converges slowly there, and is 1 to 1e-12
        out.p_value = 1.0;
    } else {
        double sum = 0.0;
        for (int k = 1; k <= 100; ++k) { sum += (k % 2 == 1 ? 2.0 : -2.0) * std::exp(-2.0 * k * k * t * t); }
        out.p_value = std::clamp(sum, 0.0, 1.0);
    }
    return out;
}

/// Compares many-dimensional samples with a Gaussian: one report for each of its eigenvectors, the samples
/// projected on it.
///
/// - `samples`  d x n, one sample per column. - `law`  every eigenvalue > 0.
/// - errors     as above; samples of another dimension.
[[nodiscard]] inline std::vector<marginal_report> marginal(const Eigen::Ref<const Eigen::MatrixXd>& samples,
                                                           const analytic::gaussian& law) {
    if (samples.rows() != law.dimension()) {
        throw std::invalid_argument("marginal: samples and law must have the same dimension");
    }
    const Eigen::MatrixXd projected = detail::product(samples.transpose(), law.eigenvectors());
    const Eigen::VectorXd means = law.eigenvectors().transpose() * law.mean();
    std::vector<marginal_report> out;
    for (Eigen::Index k = 0; k < law.rank(); ++k) {
        const std::span<const double> column(projected.col(k).data(),
                                             static_cast<std::size_t>(projected.rows()));
        out.push_back(marginal(column, means(k), law.eigenvalues()(k)));
    }
    return out;
}

}  // namespace tweedie::verify
