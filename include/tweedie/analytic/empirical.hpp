// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>

namespace tweedie::analytic {

/// The data themselves as a law, each sample with the same probability: the denoiser of a network that has
/// learnt them by heart.
///
///     r_i    = softmax_i [ -|x - alpha y_i|^2 / (2 s^2) ],    s^2 = sigma^2 + alpha^2 bandwidth
///     ybar   = sum_i r_i y_i
///     x0_hat = (sigma^2 ybar + alpha bandwidth x) / s^2,      score = (alpha ybar - x) / s^2
///
/// Source: Karras et al. 2022, arXiv:2206.00364, appendix B.3, equation 57 (the ideal denoiser of a finite
/// set), here for any alpha and with an optional bandwidth, which makes each point a Gaussian of that
/// variance.
///
/// - sigma = 0  without bandwidth x0_hat is the sample nearest to x / alpha (the first of equals), and score
///         and density are refused;
///              with one, x0_hat = x / alpha.
/// - alpha = 0  x0_hat = mean.
/// - cost    one matrix product, d x samples x points, for all distances, and one more where many points
///           contribute; scratch of points x 32 doubles per thread. Distances that would lose digits to that
///           product are computed again, one by one.
/// - network usable as `denoiser(std::cref(model), prediction::x0, schedule)` for any `cpu_tensor`, in double
///           inside.
/// - errors  `std::invalid_argument`: no data, values that are not finite, a negative bandwidth.
/// - choose  to see what memorising looks like, and as an exact model of any data set; `mixture` generalises.
class empirical {
public:
    /// - `data`       d x n, one sample per column; n >= 1.
    /// - `bandwidth`  variance of each point, in units of the data squared; >= 0.
    explicit empirical(Eigen::MatrixXd data, double bandwidth = 0.0)
        : data_(std::move(data)), bandwidth_(bandwidth) {
        if (data_.rows() < 1 || data_.cols() < 1) {
            throw std::invalid_argument("empirical: need at least one sample of one element");
        }
        detail::require_finite(data_, "empirical: the data must be finite");
        if (!(bandwidth >= 0.0 && std::isfinite(bandwidth))) {
            throw std::invalid_argument("empirical: bandwidth must be finite and not negative");
        }
        mean_ = data_.rowwise().mean();
        centred_ = data_.colwise() - mean_;
        half_squares_ = 0.5 * centred_.colwise().squaredNorm().transpose();
        largest_ = std::sqrt(2.0 * half_squares_.maxCoeff());
    }

    [[nodiscard]] Eigen::Index dimension() const { return data_.rows(); }
    [[nodiscard]] const Eigen::MatrixXd& data() const { return data_; }
    [[nodiscard]] double bandwidth() const { return bandwidth_; }
    [[nodiscard]] const Eigen::VectorXd& mean() const { return mean_; }

    /// The covariance of the law, d x d: that of the data (divided by n), and the bandwidth. - cost  O(d^2
    /// n).
    [[nodiscard]] Eigen::MatrixXd covariance() const {
        Eigen::MatrixXd out =
            detail::product(centred_, centred_.transpose()) / static_cast<double>(data_.cols());
        out.diagonal().array() += bandwidth_;
        return out;
    }

    /// x0_hat = E[x0 | x] of each column of x.
    [[nodiscard]] Eigen::MatrixXd denoise(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "empirical");
        if (at.alpha == 0.0) { return mean_.replicate(1, x.cols()); }
        const double s2 = variance(at);
        if (at.sigma == 0.0 && s2 > 0.0) { return x / at.alpha; }
        Eigen::MatrixXd out = average(x, at);
        if (bandwidth_ > 0.0) { out = (at.sigma * at.sigma / s2) * out + (at.alpha * bandwidth_ / s2) * x; }
        return out;
    }

    /// The gradient of the logarithm of the noisy density, `(alpha x0_hat - x) / sigma^2`, of each column of
    /// x.
    /// - errors  `std::invalid_argument` at sigma = 0 without bandwidth.
    [[nodiscard]] Eigen::MatrixXd score(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "empirical");
        require_density(at);
        return (at.alpha * average(x, at) - x) / variance(at);
    }

    /// The logarithm of the noisy density at each column of x.
    /// - errors  `std::invalid_argument` at sigma = 0 without bandwidth.
    [[nodiscard]] Eigen::VectorXd log_density(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                              const level& at) const {
        constexpr double log_two_pi = 1.83787706640934548356;
        detail::require_query(x, at, dimension(), "empirical");
        require_density(at);
        const double peak = -0.5 * static_cast<double>(dimension()) * (log_two_pi + std::log(variance(at))) -
                            std::log(static_cast<double>(data_.cols()));
        Eigen::VectorXd out(x.cols());
        detail::for_each_block(
            x.cols(), x.size() * data_.cols(), [&](Eigen::Index first, Eigen::Index count) {
                const Eigen::MatrixXd logs = exponents(x.middleCols(first, count), at);
                for (Eigen::Index j = 0; j < count; ++j) {
                    const double largest = logs.col(j).maxCoeff();
                    out(first + j) = peak + largest + std::log((logs.col(j).array() - largest).exp().sum());
                }
            });
        return out;
    }

    /// The network: writes x0_hat of every sample of a tensor. `batch(x)` samples of `dimension()` elements
    /// each.
    template <cpu_tensor T>
    void operator()(const T& x, const level& at, T& out) const {
        detail::write_x0(*this, x, at, out, "empirical");
    }

private:
    static constexpr double negligible = -46.0;  // e^-46 = 1e-20

    /// s^2, the variance around alpha y_i.
    [[nodiscard]] double variance(const level& at) const {
        return at.sigma * at.sigma + at.alpha * at.alpha * bandwidth_;
    }

    void require_density(const level& at) const {
        if (!(variance(at) > 0.0)) {
            throw std::invalid_argument(
                "empirical: at sigma = 0 points without bandwidth have no density and no score");
        }
    }

    /// -|x - alpha y_i|^2 / (2 s^2), a points x samples matrix; where s = 0, that times s^2.
    [[nodiscard]] Eigen::MatrixXd exponents(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                            const level& at) const {
        const double s2 = variance(at);
        const double scale = s2 > 0.0 ? 1.0 / s2 : 1.0;
        const Eigen::MatrixXd z = x.colwise() - at.alpha * mean_;
        const Eigen::RowVectorXd norms = z.colwise().squaredNorm();
        Eigen::MatrixXd out = (at.alpha * scale) * detail::product(centred_.transpose(), z);
        out.colwise() -= (at.alpha * at.alpha * scale) * half_squares_;
        out.rowwise() -= (0.5 * scale) * norms;
        for (Eigen::Index j = 0; j < x.cols(); ++j) {
            // the product is exact to about this; what that could change is computed from the differences
            // instead
            const double sum = std::sqrt(norms(j)) + at.alpha * largest_;
            const double doubt = 4.0 * std::numeric_limits<double>::epsilon() * scale * sum * sum;
            if (s2 > 0.0 && doubt < 1e-14) { continue; }
            const double least = out.col(j).maxCoeff() - 2.0 * doubt + (s2 > 0.0 ? negligible : 0.0);
            for (Eigen::Index i = 0; i < out.rows(); ++i) {
                if (out(i, j) >= least) {
                    out(i, j) = -0.5 * scale * (z.col(j) - at.alpha * centred_.col(i)).squaredNorm();
                } else {  // beyond doubt not the nearest
                    out(i, j) = -std::numeric_limits<double>::infinity();
                }
            }
        }
        return out;
    }

    /// sum_i r_i y_i of each column of x.
    [[nodiscard]] Eigen::MatrixXd average(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        const bool nearest = variance(at) == 0.0;
        Eigen::MatrixXd out(x.rows(), x.cols());
        detail::for_each_block(
            x.cols(), 2 * x.size() * data_.cols(), [&](Eigen::Index first, Eigen::Index count) {
                Eigen::MatrixXd shares = exponents(x.middleCols(first, count), at);
                Eigen::Index contribute = 0;
                for (Eigen::Index j = 0; j < count; ++j) {
                    Eigen::Index best = 0;
                    const double largest = shares.col(j).maxCoeff(&best);
                    if (nearest) {
                        out.col(first + j) = data_.col(best);
                        continue;
                    }
                    shares.col(j) =
                        (shares.col(j).array() - largest)
                            .unaryExpr([](double e) { return e < negligible ? 0.0 : std::exp(e); })
                            .matrix();
                    contribute += (shares.col(j).array() != 0.0).count();
                    const double sum = shares.col(j).sum();
                    shares.col(j) /= sum;
                }
                if (nearest) { return; }
                if (contribute > shares.size() / 8) {
                    out.middleCols(first, count) = detail::product(centred_, shares);
                } else {
                    out.middleCols(first, count).setZero();
                    for (Eigen::Index j = 0; j < count; ++j) {
                        for (Eigen::Index i = 0; i < shares.rows(); ++i) {
                            if (shares(i, j) != 0.0) { out.col(first + j) += shares(i, j) * centred_.col(i); }
                        }
                    }
                }
                out.middleCols(first, count).colwise() += mean_;
            });
        return out;
    }

    Eigen::MatrixXd data_;
    double bandwidth_;
    Eigen::VectorXd mean_;
    Eigen::MatrixXd centred_;
    Eigen::VectorXd half_squares_;  // |y_i - mean|^2 / 2
    double largest_ = 0.0;          // |y_i - mean|, at most
};

}  // namespace tweedie::analytic
