// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/moments.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::analytic {

/// What becomes of the variance in the directions that a low-rank fit leaves out.
enum class left_out {
    averaged,  ///< shared equally: the total variance is kept (Tipping and Bishop 1999, probabilistic PCA)
    dropped,   ///< lost: the data lie in the subspace
};

/// Options of `gaussian::fit`.
struct gaussian_fit_options {
    std::optional<Eigen::Index> rank = {};  ///< directions kept; in [0, dimension]; default: all
    double added_variance = 0.0;            ///< added in every direction, in units of the data squared; >= 0
    divisor divide_by = divisor::samples;   ///< biased or not
    left_out remainder = left_out::averaged;  ///< what happens to the directions beyond `rank`
    double least_variance = 0.0;              ///< what is smaller is raised to it, after all else; >= 0
};

/// Gaussian data: exact denoiser, score, density and probability flow at every noise level of every schedule.
///
///     x0 ~ N(mu, Sigma),    Sigma = U diag(l) U^T + residual (I - U U^T)
///     y = x - alpha mu,     c = U^T y,     e = y - U c
///     v_k = alpha^2 l_k + sigma^2,         w = alpha^2 residual + sigma^2
///     x0_hat = mu + U (alpha l_k / v_k c_k) + alpha residual / w e
///     score  = -U (c_k / v_k) - e / w
///
/// Source: Wang and Vastola 2024, arXiv:2412.09726 (the Gaussian score model and its solution), here for any
/// alpha and sigma. The part e outside the subspace is scaled, never dropped. No matrix is inverted;
/// everything is in the eigenbasis.
///
/// - sigma = 0  x0_hat = x / alpha. Where the covariance is singular the data fill a subspace only: score and
///              density are refused.
/// - alpha = 0  x0_hat = mu, score = -x / sigma^2.
/// - cost    O(d r) per sample, two matrix products per call; scratch of 2 matrices like x. Holds d (r + 1)
///           doubles.
/// - network usable as `denoiser(model, prediction::x0, schedule)` for any `cpu_tensor`, in double inside.
/// - errors  `std::invalid_argument`: shapes that disagree, values that are not finite, a covariance that is
///           not symmetric or has an eigenvalue below -1e-6 times the largest (above that it is rounding, and
///           taken for 0).
/// - choose  as the exact model of a single class or of the earliest, noisiest part of any sampling;
///           `mixture` has more shape.
class gaussian {
public:
    /// - `mean`        d numbers.
    /// - `covariance`  d x d, symmetric to 1e-6 of its largest element, no negative eigenvalue. Decomposed
    ///                 once, O(d^3).
    gaussian(Eigen::VectorXd mean, const Eigen::Ref<const Eigen::MatrixXd>& covariance)
        : mean_(std::move(mean)) {
        require_mean();
        if (covariance.rows() != dimension() || covariance.cols() != dimension()) {
            throw std::invalid_argument("gaussian: the covariance must be d x d for a mean of d elements");
        }
        detail::require_finite(covariance, "gaussian: the covariance must be finite");
        const double largest = covariance.cwiseAbs().maxCoeff();
        if (!((covariance - covariance.transpose()).cwiseAbs().maxCoeff() <= rounding * largest)) {
            throw std::invalid_argument("gaussian: the covariance must be symmetric");
        }
        decompose(covariance);
    }

    /// Covariance `U diag(l) U^T + residual (I - U U^T)`.
    /// - `mean`          d numbers.
    /// - `eigenvectors`  U, d x r, orthonormal to 1e-6; r in [0, d].
    /// - `eigenvalues`   l, r variances, >= 0 up to rounding.
    /// - `residual`      variance in every other direction; >= 0.
    [[nodiscard]] static gaussian low_rank(Eigen::VectorXd mean, Eigen::MatrixXd eigenvectors,
                                           Eigen::VectorXd eigenvalues, double residual = 0.0) {
        gaussian out(std::move(mean), residual);
        if (eigenvectors.rows() != out.dimension() || eigenvectors.cols() != eigenvalues.size() ||
            eigenvectors.cols() > out.dimension()) {
            throw std::invalid_argument(
                "gaussian::low_rank: need d x r eigenvectors and r eigenvalues, r <= d");
        }
        detail::require_finite(eigenvectors, "gaussian::low_rank: the eigenvectors must be finite");
        const Eigen::MatrixXd gram = detail::product(eigenvectors.transpose(), eigenvectors);
        if (gram.size() > 0 && !gram.isIdentity(rounding)) {
            throw std::invalid_argument("gaussian::low_rank: the eigenvectors must be orthonormal");
        }
        out.eigenvectors_ = std::move(eigenvectors);
        out.eigenvalues_ = std::move(eigenvalues);
        out.clamp();
        return out;
    }

    /// The same variance in every direction.
    /// - `variance`  in units of the data squared; >= 0.
    [[nodiscard]] static gaussian isotropic(Eigen::VectorXd mean, double variance) {
        return {std::move(mean), variance};
    }

    /// Mean and covariance of data. With rank 0 one variance for every direction, tr(Sigma) / d.
    /// - `data`     d x n, one sample per column; n >= 1. At most n - 1 directions have variance.
    /// - `options`  see there.
    /// - cost       O(d^2 n + d^3); O(d n^2 + n^3), and never a d x d matrix, where n <= d.
    [[nodiscard]] static gaussian fit(const Eigen::Ref<const Eigen::MatrixXd>& data,
                                      const gaussian_fit_options& options = {}) {
        const Eigen::Index n = data.cols();
        require_data(data, options, "gaussian::fit");
        gaussian out(data.rowwise().mean(), 0.0);
        const double divide = options.divide_by == divisor::samples
                                  ? static_cast<double>(n)
                                  : std::max(1.0, static_cast<double>(n - 1));
        out.decompose_columns(n, divide, n, [&](Eigen::Index first, Eigen::Index count) -> Eigen::MatrixXd {
            return data.middleCols(first, count).colwise() - out.mean_;
        });
        out.finish(options);
        return out;
    }

    /// Mean and covariance of data that count unequally.
    ///
    ///     mean = sum_j w_j x_j / sum_j w_j,    Sigma = sum_j w_j (x_j - mean) (x_j - mean)^T / sum_j w_j
    ///
    /// - `data`     d x n, one sample per column.
    /// - `weights`  n numbers >= 0, not all 0, of any sum. A sample of weight 0 costs nothing.
    /// - `options`  as for `fit`; there is no n - 1 for weights: `divide_by` must be `samples`.
    [[nodiscard]] static gaussian fit_weighted(const Eigen::Ref<const Eigen::MatrixXd>& data,
                                               const Eigen::VectorXd& weights,
                                               const gaussian_fit_options& options = {}) {
        require_data(data, options, "gaussian::fit_weighted");
        const double sum = weights.sum();
        if (!(weights.size() == data.cols() && (weights.array() >= 0.0).all() && sum > 0.0 &&
              std::isfinite(sum))) {
            throw std::invalid_argument(
                "gaussian::fit_weighted: need one weight for each sample, >= 0 and not all 0");
        }
        if (options.divide_by != divisor::samples) {
            throw std::invalid_argument("gaussian::fit_weighted: divide_by must be divisor::samples");
        }
        gaussian out(detail::product(data, weights) / sum, 0.0);
        std::vector<Eigen::Index> members;
        for (Eigen::Index j = 0; j < weights.size(); ++j) {
            if (weights(j) > 0.0) { members.push_back(j); }
        }
        const auto n = static_cast<Eigen::Index>(members.size());
        out.decompose_columns(n, sum, options.rank.value_or(n), [&](Eigen::Index first, Eigen::Index count) {
            Eigen::MatrixXd columns(data.rows(), count);
            for (Eigen::Index k = 0; k < count; ++k) {
                const Eigen::Index j = members[static_cast<std::size_t>(first + k)];
                columns.col(k) = std::sqrt(weights(j)) * (data.col(j) - out.mean_);
            }
            return columns;
        });
        out.finish(options);
        return out;
    }

    /// A Gaussian of known moments, of samples that came batch by batch.
    /// - cost  O(d^3).
    [[nodiscard]] static gaussian fit(const moments& data, const gaussian_fit_options& options = {}) {
        require_options(options, data.dimension(), "gaussian::fit");
        gaussian out(data.mean(), 0.0);
        const Eigen::MatrixXd covariance = data.covariance(options.divide_by);
        detail::require_finite(covariance, "gaussian::fit: the covariance must be finite");
        out.decompose(covariance);
        out.finish(options);
        return out;
    }

    [[nodiscard]] Eigen::Index dimension() const { return mean_.size(); }
    /// Number of directions with a variance of their own.
    [[nodiscard]] Eigen::Index rank() const { return eigenvalues_.size(); }
    [[nodiscard]] const Eigen::VectorXd& mean() const { return mean_; }
    [[nodiscard]] const Eigen::MatrixXd& eigenvectors() const { return eigenvectors_; }
    [[nodiscard]] const Eigen::VectorXd& eigenvalues() const { return eigenvalues_; }
    /// Variance outside the span of the eigenvectors; without meaning where they span everything.
    [[nodiscard]] double residual() const { return residual_; }
    /// Whether the data have a density: no direction without variance.
    [[nodiscard]] bool full_rank() const { return smallest_variance() > 0.0; }

    /// The covariance as a d x d matrix. - cost  O(d^2 r).
    [[nodiscard]] Eigen::MatrixXd covariance() const {
        const bool spans = rank() == dimension();
        const Eigen::VectorXd along = (eigenvalues_.array() - (spans ? 0.0 : residual_)).matrix();
        const Eigen::MatrixXd stretched = eigenvectors_ * along.asDiagonal();
        Eigen::MatrixXd out = detail::product(stretched, eigenvectors_.transpose());
        if (!spans) { out.diagonal().array() += residual_; }
        return out;
    }

    /// x0_hat = E[x0 | x] of each column of x.
    [[nodiscard]] Eigen::MatrixXd denoise(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "gaussian");
        if (at.sigma == 0.0) { return x / at.alpha; }
        if (at.alpha == 0.0) { return mean_.replicate(1, x.cols()); }
        const double noise = at.sigma * at.sigma;
        const Eigen::VectorXd gains =
            at.alpha * eigenvalues_.array() / (at.alpha * at.alpha * eigenvalues_.array() + noise);
        return scaled(x, at.alpha, gains, at.alpha * residual_ / (at.alpha * at.alpha * residual_ + noise),
                      mean_);
    }

    /// The gradient of the logarithm of the noisy density, `(alpha x0_hat - x) / sigma^2`, of each column of
    /// x.
    /// - errors  `std::invalid_argument` at sigma = 0 if the covariance is singular.
    [[nodiscard]] Eigen::MatrixXd score(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& at) const {
        detail::require_query(x, at, dimension(), "gaussian");
        require_density(at);
        return scaled(x, at.alpha, -noisy_variances(at).cwiseInverse(),
                      rank() == dimension() ? 0.0 : -1.0 / noisy_residual(at),
                      Eigen::VectorXd::Zero(dimension()));
    }

    /// The logarithm of the noisy density, that of N(alpha mu, alpha^2 Sigma + sigma^2 I), at each column of
    /// x.
    /// - errors  `std::invalid_argument` at sigma = 0 if the covariance is singular.
    [[nodiscard]] Eigen::VectorXd log_density(const Eigen::Ref<const Eigen::MatrixXd>& x,
                                              const level& at) const {
        detail::require_query(x, at, dimension(), "gaussian");
        require_density(at);
        const Eigen::MatrixXd y = x.colwise() - at.alpha * mean_;
        const Eigen::MatrixXd c = detail::product(eigenvectors_.transpose(), y);
        const Eigen::VectorXd inverse = noisy_variances(at).cwiseInverse();
        Eigen::VectorXd squares = c.cwiseAbs2().transpose() * inverse;
        if (rank() < dimension()) {
            const Eigen::MatrixXd outside = y - detail::product(eigenvectors_, c);
            squares += outside.colwise().squaredNorm().transpose() / noisy_residual(at);
        }
        return (-0.5 * squares.array() + log_normaliser(at)).matrix();
    }

    /// The exact probability flow from one level to another, of each column of x:
    ///
    ///     x_t = alpha_t mu + U (sqrt(v_k(t) / v_k(s)) c_k) + sqrt(w(t) / w(s)) e
    ///
    /// Source: Wang and Vastola 2024, arXiv:2412.09726, the solution of the Gaussian flow. Either direction,
    /// no step is too long.
    /// - errors  `std::invalid_argument` from sigma = 0 if the covariance is singular: what the noise was is
    ///           lost there.
    [[nodiscard]] Eigen::MatrixXd flow(const Eigen::Ref<const Eigen::MatrixXd>& x, const level& from,
                                       const level& to) const {
        detail::require_query(x, from, dimension(), "gaussian::flow");
        detail::require_query(x, to, dimension(), "gaussian::flow");
        if (from.sigma == 0.0 && !full_rank()) {
            throw std::invalid_argument("gaussian::flow: from sigma = 0 needs a covariance of full rank");
        }
        const Eigen::VectorXd gains = (noisy_variances(to).array() / noisy_variances(from).array()).sqrt();
        const double across =
            rank() == dimension() ? 0.0 : std::sqrt(noisy_residual(to) / noisy_residual(from));
        return scaled(x, from.alpha, gains, across, to.alpha * mean_);
    }

    /// The network: writes x0_hat of every sample of a tensor. `batch(x)` samples of `dimension()` elements
    /// each.
    template <cpu_tensor T>
    void operator()(const T& x, const level& at, T& out) const {
        detail::write_x0(*this, x, at, out, "gaussian");
    }

    /// v_k = alpha^2 l_k + sigma^2, the variances along the eigenvectors at a noise level.
    [[nodiscard]] Eigen::VectorXd noisy_variances(const level& at) const {
        return (at.alpha * at.alpha * eigenvalues_.array() + at.sigma * at.sigma).matrix();
    }
    /// w = alpha^2 residual + sigma^2, the variance in every other direction.
    [[nodiscard]] double noisy_residual(const level& at) const {
        return at.alpha * at.alpha * residual_ + at.sigma * at.sigma;
    }
    /// The logarithm of the noisy density at its peak. - at  where the density exists.
    [[nodiscard]] double log_normaliser(const level& at) const {
        constexpr double log_two_pi = 1.83787706640934548356;
        double sum = static_cast<double>(dimension()) * log_two_pi + noisy_variances(at).array().log().sum();
        if (rank() < dimension()) {
            sum += static_cast<double>(dimension() - rank()) * std::log(noisy_residual(at));
        }
        return -0.5 * sum;
    }

private:
    static constexpr double rounding = 1e-6;  // of covariances that were computed in float

    gaussian(Eigen::VectorXd mean, double residual)
        : mean_(std::move(mean)), eigenvectors_(mean_.size(), 0), eigenvalues_(0), residual_(residual) {
        require_mean();
        if (!(residual >= 0.0 && std::isfinite(residual))) {
            throw std::invalid_argument("gaussian: a variance must be finite and not negative");
        }
    }

    static void require_data(const Eigen::Ref<const Eigen::MatrixXd>& data,
                             const gaussian_fit_options& options, const std::string& who) {
        if (data.rows() < 1 || data.cols() < 1) {
            throw std::invalid_argument(who + ": need at least one sample of one element");
        }
        detail::require_finite(data, (who + ": the data must be finite").c_str());
        require_options(options, data.rows(), who);
    }

    static void require_options(const gaussian_fit_options& options, Eigen::Index d, const std::string& who) {
        if (options.rank && !(*options.rank >= 0 && *options.rank <= d)) {
            throw std::invalid_argument(who + ": rank must lie in [0, dimension]");
        }
        if (!(options.added_variance >= 0.0 && std::isfinite(options.added_variance))) {
            throw std::invalid_argument(who + ": added_variance must be finite and not negative");
        }
        if (!(options.least_variance >= 0.0 && std::isfinite(options.least_variance))) {
            throw std::invalid_argument(who + ": least_variance must be finite and not negative");
        }
    }

    void require_mean() const {
        if (mean_.size() < 1) {
            throw std::invalid_argument("gaussian: the mean must have at least one element");
        }
        detail::require_finite(mean_, "gaussian: the mean must be finite");
    }

    void require_density(const level& at) const {
        if (at.sigma == 0.0 && !full_rank()) {
            throw std::invalid_argument(
                "gaussian: at sigma = 0 a singular covariance has no density and no score");
        }
    }

    [[nodiscard]] double smallest_variance() const {
        double smallest = rank() < dimension() ? residual_ : std::numeric_limits<double>::infinity();
        if (rank() > 0) { smallest = std::min(smallest, eigenvalues_.minCoeff()); }
        return smallest;
    }

    void clamp() {
        if (eigenvalues_.size() == 0) { return; }
        detail::require_finite(eigenvalues_, "gaussian: the eigenvalues must be finite");
        if (!(eigenvalues_.minCoeff() >= -rounding * eigenvalues_.cwiseAbs().maxCoeff())) {
            throw std::invalid_argument("gaussian: the covariance must not have a negative eigenvalue");
        }
        eigenvalues_ = eigenvalues_.cwiseMax(0.0);
    }

    void decompose(const Eigen::Ref<const Eigen::MatrixXd>& covariance) {
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(0.5 *
                                                                    (covariance + covariance.transpose()));
        if (solver.info() != Eigen::Success) {
            throw std::invalid_argument("gaussian: the covariance has no eigendecomposition");
        }
        eigenvectors_ = solver.eigenvectors().rowwise().reverse();
        eigenvalues_ = solver.eigenvalues().reverse();
        clamp();
    }

    /// The decomposition of `C C^T / divide`, where `columns(first, count)` makes columns of C, n in all; of
    /// the eigenvectors at least `most`, if there are so many.
    template <class Columns>
    void decompose_columns(Eigen::Index n, double divide, Eigen::Index most, const Columns& columns) {
        constexpr Eigen::Index block = 512;
        if (n <= dimension()) { return decompose_few(columns(0, n), divide, most); }
        Eigen::MatrixXd covariance = Eigen::MatrixXd::Zero(dimension(), dimension());
        for (Eigen::Index first = 0; first < n; first += block) {
            detail::add_scatter(covariance, columns(first, std::min(block, n - first)));
        }
        covariance /= divide;
        detail::require_finite(covariance, "gaussian::fit: the covariance must be finite");
        covariance.triangularView<Eigen::StrictlyUpper>() = covariance.transpose();
        decompose(covariance);
    }

    /// The decomposition of `centred centred^T / divide` from the small matrix `centred^T centred`.
    void decompose_few(const Eigen::MatrixXd& centred, double divide, Eigen::Index most) {
        const Eigen::MatrixXd gram = detail::product(centred.transpose(), centred) / divide;
        detail::require_finite(gram, "gaussian::fit: the covariance must be finite");
        const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(gram);
        if (solver.info() != Eigen::Success) {
            throw std::invalid_argument("gaussian: the covariance has no eigendecomposition");
        }
        const Eigen::VectorXd values = solver.eigenvalues().reverse();
        const double least =
            static_cast<double>(gram.rows()) * std::numeric_limits<double>::epsilon() * values(0);
        const Eigen::Index r = (values.array() > least).count();
        if (r == 0) { return; }  // all samples are equal
        eigenvalues_ = values.head(r);
        const Eigen::Index kept = std::min(r, most);
        const Eigen::MatrixXd largest_first = solver.eigenvectors().rightCols(kept).rowwise().reverse();
        const Eigen::MatrixXd directions = detail::product(centred, largest_first);
        // columns of small eigenvalues are orthogonal to the others to rounding of the large ones only
        const Eigen::HouseholderQR<Eigen::MatrixXd> orthogonal(directions);
        eigenvectors_ = orthogonal.householderQ() * Eigen::MatrixXd::Identity(dimension(), kept);
    }

    /// What the options want after the decomposition.
    void finish(const gaussian_fit_options& options) {
        const Eigen::Index r = std::min(options.rank.value_or(dimension()), rank());
        const Eigen::Index others = dimension() - r;
        const double lost = eigenvalues_.tail(rank() - r).sum();
        if (options.remainder == left_out::averaged && others > 0) {
            residual_ = lost / static_cast<double>(others);
        }
        eigenvectors_.conservativeResize(Eigen::NoChange, r);
        eigenvalues_.conservativeResize(r);
        eigenvalues_ =
            (eigenvalues_.array() + options.added_variance).cwiseMax(options.least_variance).matrix();
        residual_ = std::max(residual_ + options.added_variance, options.least_variance);
    }

    /// `offset + U (gains c) + across e` of each column of x, with c and e of `x - alpha mu`.
    [[nodiscard]] Eigen::MatrixXd scaled(const Eigen::Ref<const Eigen::MatrixXd>& x, double alpha,
                                         const Eigen::VectorXd& gains, double across,
                                         const Eigen::VectorXd& offset) const {
        const bool spans = rank() == dimension();
        const Eigen::VectorXd along = (gains.array() - (spans ? 0.0 : across)).matrix();
        Eigen::MatrixXd out(x.rows(), x.cols());
        detail::for_each_block(
            x.cols(), 2 * x.size() * (rank() + 1), [&](Eigen::Index first, Eigen::Index count) {
                const Eigen::MatrixXd y = x.middleCols(first, count).colwise() - alpha * mean_;
                Eigen::MatrixXd c = detail::product(eigenvectors_.transpose(), y);
                c.array().colwise() *= along.array();
                Eigen::MatrixXd result = detail::product(eigenvectors_, c);
                if (!spans) { result += across * y; }
                out.middleCols(first, count) = result.colwise() + offset;
            });
        return out;
    }

    Eigen::VectorXd mean_;
    Eigen::MatrixXd eigenvectors_;
    Eigen::VectorXd eigenvalues_;
    double residual_ = 0.0;
};

}  // namespace tweedie::analytic
