// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::analytic {

/// The eigenvalues of the data's covariance, and how many directions share each: all that a sampler's error
/// on Gaussian data depends on.
///
/// - variances  in units of the data squared; >= 0; the functions below give the largest first.
/// - counts     directions of each, as many numbers; >= 0, not always whole.
struct spectrum {
    std::vector<double> variances;
    std::vector<double> counts;
};

}  // namespace tweedie::analytic

namespace tweedie::detail {

inline void require_spectrum(const analytic::spectrum& of, const char* who) {
    const auto usable = [](double x) { return x >= 0.0 && std::isfinite(x); };
    if (of.variances.empty() || of.variances.size() != of.counts.size()) {
        throw std::invalid_argument(std::string(who) + ": a spectrum needs one count for each variance");
    }
    if (!std::ranges::all_of(of.variances, usable) || !std::ranges::all_of(of.counts, usable)) {
        throw std::invalid_argument(std::string(who) + ": a spectrum must be finite and nowhere negative");
    }
}

/// Variances that have `counts`, the largest first.
[[nodiscard]] inline analytic::spectrum largest_first(const analytic::spectrum& of) {
    std::vector<std::size_t> order(of.variances.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order,
                             [&](std::size_t a, std::size_t b) { return of.variances[a] > of.variances[b]; });
    analytic::spectrum out;
    for (const std::size_t k : order) {
        out.variances.push_back(of.variances[k]);
        out.counts.push_back(of.counts[k]);
    }
    return out;
}

/// One direction for each eigenvalue (a negative one is rounding: 0), `others` more with variance `residual`.
[[nodiscard]] inline analytic::spectrum spectrum_from(const Eigen::VectorXd& eigenvalues, double residual,
                                                      Eigen::Index others) {
    analytic::spectrum out;
    for (const double variance : eigenvalues) {
        out.variances.push_back(std::max(0.0, variance));
        out.counts.push_back(1.0);
    }
    if (others > 0) {
        out.variances.push_back(residual);
        out.counts.push_back(static_cast<double>(others));
    }
    return largest_first(out);
}

}  // namespace tweedie::detail

namespace tweedie::analytic {

/// The spectrum of a Gaussian: its eigenvalues, and the residual of the directions beyond its rank.
[[nodiscard]] inline spectrum spectrum_of(const gaussian& data) {
    return detail::spectrum_from(data.eigenvalues(), data.residual(), data.dimension() - data.rank());
}

/// The spectrum of a mixture's covariance, within and between its components.
///
///     sum_c w_c (Sigma_c + a_c a_c^T),    a_c = mu_c - mean
///
/// - cost    with m = the sum of all (rank + 1): O(d m^2) and scratch of d x m where m < d; otherwise O(d^3
///           + components d^3) and a d x d matrix.
[[nodiscard]] inline spectrum spectrum_of(const mixture& data) {
    const Eigen::Index d = data.dimension();
    Eigen::Index columns = 0;
    for (const gaussian& part : data.components()) { columns += part.rank() + 1; }
    double residual = 0.0;
    Eigen::MatrixXd small;
    if (columns < d) {  // residual I + B S B^T, and B = Q R has the eigenvalues of R S R^T
        const Eigen::VectorXd centre = data.mean();
        Eigen::MatrixXd b(d, columns);
        Eigen::VectorXd s = Eigen::VectorXd::Ones(columns);
        Eigen::Index next = 0;
        for (std::size_t c = 0; c < data.components().size(); ++c) {
            const gaussian& part = data.components()[c];
            const double w = data.weights()[c];
            residual += w * part.residual();
            b.middleCols(next, part.rank()) = part.eigenvectors();
            s.segment(next, part.rank()) = (w * (part.eigenvalues().array() - part.residual())).matrix();
            b.col(next + part.rank()) = std::sqrt(w) * (part.mean() - centre);
            next += part.rank() + 1;
        }
        const Eigen::HouseholderQR<Eigen::MatrixXd> qr(b);
        const Eigen::MatrixXd r = qr.matrixQR().topRows(columns).triangularView<Eigen::Upper>();
        const Eigen::MatrixXd scaled = r * s.asDiagonal();
        small = detail::product(scaled, r.transpose());
    } else {
        small = data.covariance();
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(small, Eigen::EigenvaluesOnly);
    if (solver.info() != Eigen::Success) {
        throw std::invalid_argument("spectrum_of: the covariance has no eigendecomposition");
    }
    const Eigen::VectorXd eigenvalues = (solver.eigenvalues().array() + residual).matrix();
    return detail::spectrum_from(eigenvalues, residual, d - small.rows());
}

/// The spectrum with at most so many variances: those that fall into one of equal parts of the logarithmic
/// range become their mean, so that the sums of counts and of variances stay.
/// - most    variances wanted, >= 1. A spectrum that has no more is returned as it is, the largest first.
/// - range   from the largest down to 1e-12 of it; the last part takes everything below.
/// - errors  `std::invalid_argument`: most = 0; a spectrum that is empty, not finite or negative.
[[nodiscard]] inline spectrum binned(const spectrum& of, std::size_t most) {
    detail::require_spectrum(of, "binned");
    if (most == 0) { throw std::invalid_argument("binned: most must be at least 1"); }
    const spectrum sorted = detail::largest_first(of);
    if (sorted.variances.size() <= most) { return sorted; }
    const double largest = sorted.variances.front();
    const double least = std::max(sorted.variances.back(), 1e-12 * largest);
    const double range = std::log(largest / least);
    std::vector<double> sums(most);
    std::vector<double> counts(most);
    for (std::size_t k = 0; k < sorted.variances.size(); ++k) {
        const double variance = sorted.variances[k];
        const double depth = variance > least ? std::log(largest / variance) / range : 1.0;
        const auto part = static_cast<std::size_t>(depth * static_cast<double>(most));
        const std::size_t bin = std::min(part, most - 1);
        sums[bin] += sorted.counts[k] * variance;
        counts[bin] += sorted.counts[k];
    }
    spectrum out;
    for (std::size_t bin = 0; bin < most; ++bin) {
        if (!(counts[bin] > 0.0)) { continue; }
        out.variances.push_back(sums[bin] / counts[bin]);
        out.counts.push_back(counts[bin]);
    }
    return out;
}

}  // namespace tweedie::analytic
