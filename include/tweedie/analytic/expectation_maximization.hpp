// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::analytic {

/// Options of `maximize_likelihood`.
struct likelihood_options {
    std::optional<Eigen::Index> rank =
        {};                        ///< directions of a component with a variance of their own, in [0,
                                   ///< dimension]; the others share one; default: all
    double least_variance = 1e-5;  ///< of a component in any direction, in units of the data squared; > 0
    int iterations = 100;          ///< most rounds; >= 1
    double tolerance = 1e-6;       ///< converged when a round gains no more than this of log-likelihood per
                                   ///< sample; >= 0
};

/// What `maximize_likelihood` returns.
struct [[nodiscard]] likelihood_result {
    mixture model;
    std::vector<double> log_likelihood;  ///< mean over the samples, after each round; the last is the model's
    bool converged = false;  ///< false: `iterations` came first; the model is as good as its likelihood
};

}  // namespace tweedie::analytic

namespace tweedie::detail {

/// The responsibilities of the components for the samples, and the mean log-likelihood of the samples.
[[nodiscard]] inline std::pair<Eigen::MatrixXd, double> expectation(
    const analytic::mixture& model, const Eigen::Ref<const Eigen::MatrixXd>& data) {
    Eigen::MatrixXd shares = model.joint_log_density(data, level{0.0, 1.0, 0.0});
    const Eigen::RowVectorXd largest = shares.colwise().maxCoeff();
    shares = (shares.rowwise() - largest).array().exp().matrix();
    const Eigen::RowVectorXd sums = shares.colwise().sum();
    shares.array().rowwise() /= sums.array();
    const double mean = (largest.array() + sums.array().log()).mean();
    if (!std::isfinite(mean)) {
        throw std::invalid_argument("maximize_likelihood: the likelihood is not finite; scale the data");
    }
    return {std::move(shares), mean};
}

/// The mixture that is likeliest given the responsibilities.
[[nodiscard]] inline analytic::mixture maximization(const Eigen::Ref<const Eigen::MatrixXd>& data,
                                                    const Eigen::MatrixXd& shares,
                                                    const analytic::gaussian_fit_options& each) {
    constexpr double nothing = 1e-16;  // of one sample: below the rounding of the sums
    constexpr double empty = 1e-10;    // samples, of a component in all
    std::vector<double> weights;
    std::vector<analytic::gaussian> components;
    double sum = 0.0;
    for (Eigen::Index c = 0; c < shares.rows(); ++c) {
        const Eigen::VectorXd share =
            shares.row(c).transpose().unaryExpr([](double s) { return s < nothing ? 0.0 : s; });
        weights.push_back(share.sum());
        if (weights.back() < empty) {
            weights.pop_back();
            continue;
        }
        sum += weights.back();
        components.push_back(analytic::gaussian::fit_weighted(data, share, each));
    }
    for (double& w : weights) { w /= sum; }
    return {std::move(weights), std::move(components)};
}

}  // namespace tweedie::detail

namespace tweedie::analytic {

/// A mixture of Gaussians of low rank made likelier, round by round: expectation maximization.
///
///     r_cj  = w_c N(x_j; mu_c, Sigma_c) / sum_b w_b N(x_j; mu_b, Sigma_b),     n_c = sum_j r_cj
///     w_c   = n_c / n,    mu_c = sum_j r_cj x_j / n_c,    S_c = sum_j r_cj (x_j - mu_c)(x_j - mu_c)^T / n_c
///     Sigma_c = U diag(max(l, v)) U^T + max(mean of the other eigenvalues of S_c, v) (I - U U^T)
///
/// with the `rank` largest eigenvalues l of S_c and the least variance v.
/// Source: Tipping and Bishop 1999, Mixtures of probabilistic principal component analysers, equations 21 to
/// 24 and appendix C. Deviation: the floor v, under which it is still the likeliest covariance of its kind,
/// so that no round loses likelihood and no component can shrink onto a single sample.
///
/// - `start`     the components that are improved, e.g. `mixture::fit(data, k, {.start =
///               cluster_start::plus_plus})`; with variance in every direction.
/// - `data`      d x n, one sample per column; n >= components.
/// - `options`   see there.
/// - returns     the mixture after the last round, the likelihood after each, and whether it had converged.
///               The likelihood never falls but for rounding. A component to which no sample belongs any more
///               is left out.
/// - cost        per round and component O(d n rank) and one eigendecomposition: O(d^2 m + d^3), or O(d m^2 +
///               m^3) and never a d x d matrix where the m samples it shares in are no more than d.
/// - bits        the same for any number of threads.
/// - errors      `std::invalid_argument`: samples of another size or fewer than components, values that are
///               not finite, a start with a singular covariance, options out of range.
/// - choose      where clusters overlap or stretch; `mixture::fit` alone gives each sample to one cluster.
[[nodiscard]] inline likelihood_result maximize_likelihood(const mixture& start,
                                                           const Eigen::Ref<const Eigen::MatrixXd>& data,
                                                           const likelihood_options& options = {}) {
    const Eigen::Index d = start.dimension();
    if (data.rows() != d) {
        throw std::invalid_argument("maximize_likelihood: start and data must have the same dimension");
    }
    if (data.cols() < static_cast<Eigen::Index>(start.components().size())) {
        throw std::invalid_argument("maximize_likelihood: need as many samples as components");
    }
    detail::require_finite(data, "maximize_likelihood: the data must be finite");
    if (options.rank && !(*options.rank >= 0 && *options.rank <= d)) {
        throw std::invalid_argument("maximize_likelihood: rank must lie in [0, dimension]");
    }
    if (!(options.least_variance > 0.0 && std::isfinite(options.least_variance))) {
        throw std::invalid_argument("maximize_likelihood: least_variance must be finite and positive");
    }
    if (!(options.iterations >= 1)) {
        throw std::invalid_argument("maximize_likelihood: iterations must be at least 1");
    }
    if (!(options.tolerance >= 0.0)) {
        throw std::invalid_argument("maximize_likelihood: tolerance must not be negative");
    }
    for (const gaussian& component : start.components()) {
        if (!component.full_rank()) {
            throw std::invalid_argument(
                "maximize_likelihood: the start needs variance in every direction; give its fit a "
                "least_variance");
        }
    }
    const gaussian_fit_options each{.rank = options.rank, .least_variance = options.least_variance};
    likelihood_result out{start, {}, false};
    Eigen::MatrixXd shares = detail::expectation(start, data).first;
    for (int i = 0; i < options.iterations && !out.converged; ++i) {
        out.model = detail::maximization(data, shares, each);
        auto [next, likelihood] = detail::expectation(out.model, data);
        shares = std::move(next);
        out.converged = i > 0 && !(likelihood - out.log_likelihood.back() > options.tolerance);
        out.log_likelihood.push_back(likelihood);
    }
    return out;
}

}  // namespace tweedie::analytic
