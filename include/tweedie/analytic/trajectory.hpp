// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace tweedie::analytic {

/// Noise levels between which x0_hat makes up its mind about one principal direction, as sigma / alpha.
struct commitment {
    double begins = 0.0;  ///< 10 % of the variance is there
    double centre = 0.0;  ///< half of it
    double ends = 0.0;    ///< 90 %
};

/// The share of a principal direction's variance that x0_hat has at a noise level, over all samples:
///
///     share = Var(x0_hat along u_k) / l_k = alpha^2 l_k / (alpha^2 l_k + sigma^2)
///           = logistic(ln l_k - 2 ln(sigma / alpha))
///
/// Its square root is what each sample's x0_hat has of its final coefficient along u_k, on the exact flow
/// from pure noise. Source: Wang and Vastola 2023, arXiv:2303.02490 and 2311.10892: outlines (large l_k)
/// first, details later; the logistic form in ln sigma is derived here from theirs.
/// - `variance`  l_k, an eigenvalue of the data covariance; >= 0. A direction without variance: 0.
/// - errors      `std::invalid_argument`: variance or level negative, not finite, alpha and sigma both 0.
[[nodiscard]] inline double committed_share(double variance, const level& at) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("committed_share: variance must be finite and not negative");
    }
    if (!(at.alpha >= 0.0 && at.sigma >= 0.0 && at.alpha + at.sigma > 0.0 && std::isfinite(at.alpha) &&
          std::isfinite(at.sigma))) {
        throw std::invalid_argument(
            "committed_share: alpha and sigma must be finite, not negative and not both zero");
    }
    const double signal = at.alpha * at.alpha * variance;
    return signal == 0.0 ? 0.0 : signal / (signal + at.sigma * at.sigma);
}

/// When a principal direction is committed: where `committed_share` is 10 %, 50 % and 90 %.
///
///     (sigma / alpha)^2 = 9 l_k,  l_k,  l_k / 9
///
/// Half is reached where the noise has the direction's own deviation; the window is a factor 9 of sigma /
/// alpha for every direction.
/// - `variance`  l_k; >= 0.
/// - errors      `std::invalid_argument`: variance negative or not finite.
[[nodiscard]] inline commitment committed_between(double variance) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("committed_between: variance must be finite and not negative");
    }
    const double centre = std::sqrt(variance);
    return {3.0 * centre, centre, centre / 3.0};
}

/// What x0_hat will be at a later level of the exact Gaussian flow, from the state at the start alone: the
/// initial phase of any sampling, predicted.
///
///     x0_hat_t = mu + U (alpha_t l_k / sqrt(v_k(t) v_k(s)) c_k) + alpha_t residual / sqrt(w(t) w(s)) e
///
/// with c = U^T (x_s - alpha_s mu), e the rest, v_k and w as in `gaussian`. Equals `denoise` after `flow`, in
/// one pair of matrix products. Source: Wang and Vastola 2023, arXiv:2311.10892 (their xi_k), here for any
/// schedule.
/// - `x`     states at `from`, one per column.
/// - `from`  sigma > 0, or a covariance of full rank.
/// - `to`    sigma = 0 gives the end of the flow.
/// - errors  `std::invalid_argument`: as `gaussian::flow`.
[[nodiscard]] inline Eigen::MatrixXd predict_x0(const gaussian& data,
                                                const Eigen::Ref<const Eigen::MatrixXd>& x, const level& from,
                                                const level& to) {
    detail::require_query(x, from, data.dimension(), "predict_x0");
    detail::require_query(x, to, data.dimension(), "predict_x0");
    if (from.sigma == 0.0 && !data.full_rank()) {
        throw std::invalid_argument("predict_x0: from sigma = 0 needs a covariance of full rank");
    }
    const auto gain = [&](double variance, double before, double after) {
        return variance == 0.0 ? 0.0 : to.alpha * variance / (std::sqrt(before) * std::sqrt(after));
    };
    const Eigen::VectorXd before = data.noisy_variances(from);
    const Eigen::VectorXd after = data.noisy_variances(to);
    const double across = data.rank() == data.dimension()
                              ? 0.0
                              : gain(data.residual(), data.noisy_residual(from), data.noisy_residual(to));
    Eigen::VectorXd along(data.rank());
    for (Eigen::Index k = 0; k < data.rank(); ++k) {
        along(k) = gain(data.eigenvalues()(k), before(k), after(k)) - across;
    }
    const Eigen::MatrixXd y = x.colwise() - from.alpha * data.mean();
    Eigen::MatrixXd c = detail::product(data.eigenvectors().transpose(), y);
    c.array().colwise() *= along.array();
    Eigen::MatrixXd out = detail::product(data.eigenvectors(), c);
    if (across != 0.0) { out += across * y; }
    out.colwise() += data.mean();
    return out;
}

/// Where a trajectory is in the plane through its two ends, one entry per sample.
struct plane_position {
    Eigen::VectorXd of_end;    ///< coordinate along x_0 - mu
    Eigen::VectorXd of_start;  ///< coordinate along x_s - alpha_s mu
    Eigen::VectorXd outside;   ///< length of what is left, relative to |x_t - alpha_t mu|
};

/// The rotation picture: the flow hardly leaves the plane of its start and its end.
///
///     x_t - alpha_t mu = of_end (x_0 - mu) + of_start (x_s - alpha_s mu) + rest
///
/// with x_0 the end of the exact flow, and `rest` orthogonal to both. From pure noise and for data in a
/// subspace the coordinates are near (alpha_t, sigma_t / sigma_s): on a variance-preserving schedule a
/// rotation from noise to data. Exact (`rest` = 0) where the data have one variance in a subspace and none
/// outside, or two variances in all. Source: Wang and Vastola 2023, arXiv:2303.02490 (trajectories are
/// rotations in a plane); the coordinates by least squares are ours.
/// - `x`     states at `from`, one per column.
/// - `from`, `at`  sigma > 0 at `from`.
/// - returns  where the plane is a line (start and end parallel) of_end = 0.
/// - errors  `std::invalid_argument`: as `gaussian::flow`.
[[nodiscard]] inline plane_position rotation(const gaussian& data, const Eigen::Ref<const Eigen::MatrixXd>& x,
                                             const level& from, const level& at) {
    detail::require_query(x, from, data.dimension(), "rotation");
    const level clean{0.0, 1.0, 0.0};
    const Eigen::MatrixXd start = x.colwise() - from.alpha * data.mean();
    const Eigen::MatrixXd end = data.flow(x, from, clean).colwise() - data.mean();
    const Eigen::MatrixXd here = data.flow(x, from, at).colwise() - at.alpha * data.mean();
    plane_position out{Eigen::VectorXd::Zero(x.cols()), Eigen::VectorXd::Zero(x.cols()),
                       Eigen::VectorXd::Zero(x.cols())};
    constexpr double rounding = 1e-12;
    for (Eigen::Index j = 0; j < x.cols(); ++j) {
        const double whole = here.col(j).norm();
        const double along = start.col(j).norm();
        if (!(whole > 0.0 && along > 0.0)) { continue; }
        // Gram and Schmidt: the start, then what of the end is not along it
        const Eigen::VectorXd first = start.col(j) / along;
        const double parallel = first.dot(end.col(j));
        Eigen::VectorXd second = end.col(j) - parallel * first;
        second -= first.dot(second) * first;
        Eigen::VectorXd rest = here.col(j);
        double on_first = first.dot(rest);
        rest -= on_first * first;
        const double height = second.norm();
        if (height > rounding * end.col(j).norm()) {
            out.of_end(j) = second.dot(rest) / (height * height);
            rest -= out.of_end(j) * second;
            on_first -= out.of_end(j) * parallel;
        }
        out.of_start(j) = on_first / along;
        out.outside(j) = rest.norm() / whole;
    }
    return out;
}

/// What one step that holds x0_hat fixed (DDIM, Euler in sigma / alpha) gets wrong along a principal
/// direction: the deviation of its error over all samples.
///
///     step  = sigma_t / sigma_s + (alpha_t - alpha_s sigma_t / sigma_s) alpha_s l / v(s)
///     exact = sqrt(v(t) / v(s)),        v = alpha^2 l + sigma^2
///     error = (step - exact) sqrt(v(s))
///
/// Source: Wang and Vastola 2024, arXiv:2412.09726 (their exact flow); the step's gain is derived here.
/// Signed: positive where the step leaves too much. Of order (ln(sigma_s / sigma_t))^2, largest where sigma /
/// alpha is about sqrt(l): a grid is good where these are small. For whole plans of any solver see `analyze`.
/// - `variance`    l; >= 0.
/// - `from`, `to`  sigma > 0 at `from`.
/// - errors        `std::invalid_argument`: variance or levels negative or not finite, from sigma = 0.
[[nodiscard]] inline double step_deviation(double variance, const level& from, const level& to) {
    if (!(variance >= 0.0 && std::isfinite(variance))) {
        throw std::invalid_argument("step_deviation: variance must be finite and not negative");
    }
    for (const level& at : {from, to}) {
        if (!(at.alpha >= 0.0 && at.sigma >= 0.0 && std::isfinite(at.alpha) && std::isfinite(at.sigma))) {
            throw std::invalid_argument("step_deviation: alpha and sigma must be finite and not negative");
        }
    }
    if (!(from.sigma > 0.0)) { throw std::invalid_argument("step_deviation: need sigma > 0 to step from"); }
    const double before = from.alpha * from.alpha * variance + from.sigma * from.sigma;
    const double after = to.alpha * to.alpha * variance + to.sigma * to.sigma;
    const double keep = to.sigma / from.sigma;
    const double step = keep + (to.alpha - from.alpha * keep) * from.alpha * variance / before;
    return step * std::sqrt(before) - std::sqrt(after);
}

}  // namespace tweedie::analytic
