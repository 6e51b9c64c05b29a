// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/k_means.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::detail {
struct saved_mixture;
}  // namespace tweedie::detail

namespace tweedie::analytic {

/// Options of `mixture::fit`.
struct mixture_fit_options {
    /// How the samples of one cluster become a Gaussian. The added variance should be well below that of the
    /// data; it is what a cluster has in directions in which its samples do not differ.
    gaussian_fit_options each = {.added_variance = 1e-5};
    /// Most rounds of k-means; it stops by itself when nothing changes; >= 0.
    int iterations = 100;
    cluster_start start = cluster_start::farthest;  ///< the first centres
    std::uint64_t seed = 0;                         ///< of the choice of `plus_plus`
};

/// A mixture of Gaussians: exact denoiser, score and density at every noise level of every schedule.
///
///     p(x0)  = sum_c w_c N(mu_c, Sigma_c)
///     r_c    = softmax_c [ ln w_c + ln N(x; alpha mu_c, alpha^2 Sigma_c + sigma^2 I) ]
///     x0_hat = sum_c r_c x0_hat_c,    score = sum_c r_c score_c
///
/// Source: Wang and Vastola 2024, arXiv:2412.09726 (low-rank Gaussian mixture scores). Deviation: their code
/// has alpha for alpha^2 in the variances of the VP score and sigma for sigma^2 in the density's normaliser.
/// Responsibilities are relative to the largest: nothing overflows or vanishes.
///
/// - sigma = 0  x0_hat = x / alpha. Where a covariance is singular, score and density are refused.
/// - alpha = 0  x0_hat = mean.
/// - cost    one matrix product d x r per component and call for the responsibilities, one more for the
///           samples to which the component contributes more than 1e-20; scratch of a few matrices of d x 32
///           doubles per thread.
/// - network usable as `denoiser(model, prediction::x0, schedule)` for any `cpu_tensor`, in double inside. A
///           large mixture need not be copied: `denoiser(std::cref(model), ...)`.
/// - errors  `std::invalid_argument`: no component, components of different dimension, weights that are
///           negative or do not sum to 1.
/// - choose  as a model of real data with known answers, and to test samplers where trajectories bend;
///           `empirical` remembers every sample.
class mixture {
public:
    /// - `weights`     probability of each component; >= 0, sum 1 (to 1e-6, then made exact).
    /// - `components`  as many Gaussians of one dimension.
    mixture(std::vector<double> weights, std::vector<gaussian> components)
        : weights_(std::move(weights)), components_(std::move(components)) {
        if (components_.empty() || weights_.size() != components_.size()) {
            throw std::invalid_argument("mixture: need at least one component and one weight for each");
        }
        for (const gaussian& component : components_) {
            if (component.dimension() != dimension()) {
                throw std::invalid_argument("mixture: the components must have the same dimension");
            }
        }
        double sum = 0.0;
        for (const double w : weights_) {
            if (!(w >= 0.0)) { throw std::invalid_argument("mixture: weights must not be negative"); }
            sum += w;
        }
        if (!(std::abs(sum - 1.0) <= 1e-6)) { throw std::invalid_argument("mixture: weights must sum to 1"); }
        for (double& w : weights_) { w /= sum; }
    }

    /// A mixture fitted to data by k-means, one Gaussian per cluster, the cluster's share as its weight.
    ///
    /// Centres chosen by `cluster_start`, then Lloyd's iteration. Deterministic: the same data, and for
    /// `plus_plus` the same seed, give the same mixture.
    /// - `data`        d x n, one sample per column; n >= 1.
    /// - `components`  clusters asked for; in [1, n]. A cluster that loses all its samples gets the one
    ///                 farthest from its own centre; fewer clusters come back only where the data have fewer
    ///                 distinct samples.
    /// - `options`     see there. A cluster of one sample becomes a Gaussian of the added variance.
    /// - cost          O(d n components) per iteration, by matrix products.
    /// - choose        as a model by itself, or as the start of `maximize_likelihood`.
    [[nodiscard]] static mixture fit(const Eigen::Ref<const Eigen::MatrixXd>& data, Eigen::Index components,
                                     const mixture_fit_options& options = {}) {
        const Eigen::Index n = data.cols();
        if (data.rows() < 1 || n < 1) {
            throw std::invalid_argument("mixture::fit: need at least one sample of one element");
        }
        detail::require_finite(data, "mixture::fit: the data must be finite");
        if (!(components >= 1 && components <= n)) {
            throw std::invalid_argument("mixture::fit: components must lie in [1, number of samples]");
        }
        if (!(options.iterations >= 0)) {
            throw std::invalid_argument("mixture::fit: iterations must not be negative");
        }
        const detail::clusters found =
            detail::k_means(data, components, options.start, options.seed, options.iterations);
        std::vector<double> weights;
        std::vector<gaussian> gaussians;
        for (const std::vector<Eigen::Index>& members : found) {
            const Eigen::MatrixXd samples = data(Eigen::all, members);
            weights.push_back(static_cast<double>(samples.cols()) / static_cast<double>(n));
            gaussians.push_back(gaussian::fit(samples, options.each));
        }
        return {std::move(weights), std::move(gaussians)};
    }

    [[nodiscard]] Eigen::Index dimension() const { return components_.front().dimension(); }
    [[nodiscard]] const std::vector<double>& weights() const { return weights_; }
    [[nodiscard]] const std::vector<gaussian>& components() const { return components_; }

    /// Mean of the data.
    [[nodiscard]] Eigen::VectorXd mean() const {
        Eigen::VectorXd sum = Eigen::VectorXd::Zero(dimension());
        for (std::size_t c = 0; c < components_.size(); ++c) { sum += weights_[c] * components_[c].mean(); }
        return sum;
    }

    /// Covariance of the data, within and between components, d x d. - cost  O(components d^2 r).
    [[nodiscard]] Eigen::MatrixXd covariance() const {
        const Eigen::VectorXd centre = mean();
        Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(dimension(), dimension());
        for (std::size_t c = 0; c < components_.size(); ++c) {
            const Eigen::VectorXd away = components_[c].mean() - centre;
            sum += weights_[c] * (components_[c].covariance() + away * away.transpose());
        }
        return sum;
    }

    /// x0_hat = E[x0 | x] of each column of x.
    [[nodiscard]] Eigen::MatrixXd denoise(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "mixture");
        if (at.sigma == 0.0) { return x / at.alpha; }
        if (at.alpha == 0.0) { return mean().replicate(1, x.cols()); }
        std::vector<affine_part> parts;
        for (const gaussian& g : components_) {
            const Eigen::VectorXd v = g.noisy_variances(at);
            const double outside =
                g.rank() < dimension() ? at.alpha * g.residual() / g.noisy_residual(at) : 0.0;
            parts.push_back({(at.alpha * g.eigenvalues().array() / v.array() - outside).matrix(), outside});
        }
        return average(x, at, parts, offset::mean);
    }

    /// The gradient of the logarithm of the noisy density, `(alpha x0_hat - x) / sigma^2`, of each column of
    /// x.
    /// - errors  `std::invalid_argument` at sigma = 0 if a covariance is singular.
    [[nodiscard]] Eigen::MatrixXd score(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "mixture");
        require_density(at);
        std::vector<affine_part> parts;
        for (const gaussian& g : components_) {
            const double outside = g.rank() < dimension() ? -1.0 / g.noisy_residual(at) : 0.0;
            parts.push_back({(-g.noisy_variances(at).array().inverse() - outside).matrix(), outside});
        }
        return average(x, at, parts, offset::none);
    }

    /// The logarithm of weight times noisy density of each component at each column of x, a components x
    /// samples matrix: `log_density` is the logarithm of the sum of its exponentials.
    /// - errors  `std::invalid_argument` at sigma = 0 if a covariance is singular.
    [[nodiscard]] Eigen::MatrixXd joint_log_density(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                                    const level& at) const {
        detail::require_query(x, at, dimension(), "mixture");
        require_density(at);
        Eigen::MatrixXd out(static_cast<Eigen::Index>(components_.size()), x.cols());
        for (std::size_t k = 0; k < components_.size(); ++k) {
            const gaussian& g = components_[k];
            const Eigen::VectorXd inverse = g.noisy_variances(at).cwiseInverse();
            const double log_peak = std::log(weights_[k]) + g.log_normaliser(at);
            const double residual = g.noisy_residual(at);
            detail::for_each_block(
                x.cols(), x.size() * (g.rank() + 1), [&](Eigen::Index first, Eigen::Index count) {
                    const Eigen::MatrixXd y = x.middleCols(first, count).colwise() - at.alpha * g.mean();
                    const Eigen::MatrixXd c = detail::product(g.eigenvectors().transpose(), y);
                    out.row(static_cast<Eigen::Index>(k)).segment(first, count) =
                        log_joint(g, log_peak, inverse, residual, y, c);
                });
        }
        return out;
    }

    /// The logarithm of the noisy density at each column of x.
    /// - errors  `std::invalid_argument` at sigma = 0 if a covariance is singular.
    [[nodiscard]] Eigen::VectorXd log_density(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                              const level& at) const {
        const Eigen::MatrixXd logs = joint_log_density(x, at);
        const Eigen::RowVectorXd largest = logs.colwise().maxCoeff();
        const Eigen::RowVectorXd sums = (logs.rowwise() - largest).array().exp().matrix().colwise().sum();
        return (largest.array() + sums.array().log()).matrix().transpose();
    }

    /// The probability of each component given each column of x, a components x samples matrix; its columns
    /// sum to 1.
    /// - errors  `std::invalid_argument` at sigma = 0 if a covariance is singular.
    [[nodiscard]] Eigen::MatrixXd responsibilities(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                                   const level& at) const {
        Eigen::MatrixXd out = joint_log_density(x, at);
        const Eigen::RowVectorXd largest = out.colwise().maxCoeff();
        out = (out.rowwise() - largest).array().exp().matrix();
        const Eigen::RowVectorXd sums = out.colwise().sum();
        out.array().rowwise() /= sums.array();
        return out;
    }

    /// The network: writes x0_hat of every sample of a tensor. `batch(x)` samples of `dimension()` elements
    /// each.
    template <cpu_tensor T>
    void operator()(const T& x, const level& at, T& out) const {
        detail::write_x0(*this, x, at, out, "mixture");
    }

private:
    friend struct detail::saved_mixture;

    static constexpr double negligible =
        -46.0;  // e^-46 = 1e-20: below the rounding of a sum of a thousand such terms
    static constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

    /// What one component says of x: `offset + U (along c) + across y`.
    struct affine_part {
        Eigen::VectorXd along;
        double across;
    };
    enum class offset { mean, none };

    void require_density(const level& at) const {
        if (at.sigma > 0.0) { return; }
        for (const gaussian& g : components_) {
            if (!g.full_rank()) {
                throw std::invalid_argument(
                    "mixture: at sigma = 0 a singular covariance has no density and no score");
            }
        }
    }

    /// ln w_c + ln N(y; 0, ...), given `c = U^T y`.
    [[nodiscard]] static Eigen::RowVectorXd log_joint(const gaussian& g, double log_peak,
                                                      const Eigen::VectorXd& inverse_variances,
                                                      double residual, const Eigen::MatrixXd& y,
                                                      const Eigen::MatrixXd& c) {
        Eigen::RowVectorXd squares = inverse_variances.transpose() * c.cwiseAbs2();
        if (g.rank() == 0) {
            squares = y.colwise().squaredNorm() / residual;
        } else if (g.rank() < g.dimension()) {
            const Eigen::MatrixXd outside = y - detail::product(g.eigenvectors(), c);
            squares += outside.colwise().squaredNorm() / residual;
        }
        return (log_peak - 0.5 * squares.array()).matrix();
    }

    /// The responsibility-weighted average of the components' parts: one pass over the components with the
    /// largest exponent so far and the sum relative to it.
    [[nodiscard]] Eigen::MatrixXd average(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at,
                                          const std::vector<affine_part>& parts, offset add) const {
        std::vector<Eigen::VectorXd> inverse;
        std::vector<double> log_peak;
        Eigen::Index work = 0;
        for (std::size_t k = 0; k < components_.size(); ++k) {
            inverse.emplace_back(components_[k].noisy_variances(at).cwiseInverse());
            log_peak.push_back(std::log(weights_[k]) + components_[k].log_normaliser(at));
            work += x.size() * (components_[k].rank() + 1);
        }
        Eigen::MatrixXd out(x.rows(), x.cols());
        detail::for_each_block(x.cols(), work, [&](Eigen::Index first, Eigen::Index count) {
            const Eigen::MatrixXd here = x.middleCols(first, count);
            Eigen::MatrixXd sum = Eigen::MatrixXd::Zero(x.rows(), count);
            Eigen::RowVectorXd total = Eigen::RowVectorXd::Zero(count);
            Eigen::RowVectorXd largest = Eigen::RowVectorXd::Constant(count, minus_infinity);
            Eigen::MatrixXd y;
            Eigen::MatrixXd c;
            Eigen::MatrixXd part;
            std::vector<Eigen::Index> active;
            std::vector<double> share;
            for (std::size_t k = 0; k < components_.size(); ++k) {
                if (weights_[k] == 0.0) { continue; }
                const gaussian& g = components_[k];
                y = here.colwise() - at.alpha * g.mean();
                detail::multiply(c, g.eigenvectors().transpose(), y);
                const Eigen::RowVectorXd logs =
                    log_joint(g, log_peak[k], inverse[k], g.noisy_residual(at), y, c);
                active.clear();
                share.clear();
                for (Eigen::Index j = 0; j < count; ++j) {
                    if (logs(j) - largest(j) < negligible) { continue; }
                    if (logs(j) > largest(j)) {
                        const double shrink = std::exp(largest(j) - logs(j));
                        sum.col(j) *= shrink;
                        total(j) *= shrink;
                        largest(j) = logs(j);
                    }
                    active.push_back(j);
                    share.push_back(std::exp(logs(j) - largest(j)));
                    total(j) += share.back();
                }
                if (active.empty()) { continue; }
                const auto used = static_cast<Eigen::Index>(active.size());
                for (Eigen::Index a = 0; a < used; ++a) {  // to the front, in place: active[a] >= a
                    c.col(a) = share[static_cast<std::size_t>(a)] *
                               c.col(active[static_cast<std::size_t>(a)]).cwiseProduct(parts[k].along);
                }
                detail::multiply(part, g.eigenvectors(), c.leftCols(used));
                for (Eigen::Index a = 0; a < used; ++a) {
                    const Eigen::Index j = active[static_cast<std::size_t>(a)];
                    const double s = share[static_cast<std::size_t>(a)];
                    sum.col(j) += part.col(a);
                    if (parts[k].across != 0.0) { sum.col(j) += (s * parts[k].across) * y.col(j); }
                    if (add == offset::mean) { sum.col(j) += s * g.mean(); }
                }
            }
            out.middleCols(first, count) = sum.array().rowwise() / total.array();
        });
        return out;
    }

    std::vector<double> weights_;
    std::vector<gaussian> components_;
};

}  // namespace tweedie::analytic
