// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <vector>

namespace tweedie::verify {

/// A data prediction in double: an `analytic::exact_denoiser`, or any callable `x0_hat = f(x, level)` on
/// matrices with one sample per column.
template <class Denoise>
concept data_prediction =
    analytic::exact_denoiser<Denoise> ||
    std::is_invocable_r_v<Eigen::MatrixXd, const Denoise&, const Eigen::MatrixXd&, const level&>;

/// How a reference flow ended.
enum class flow_status {
    reached,     ///< at the level asked for, within the tolerance
    not_smooth,  ///< the tolerance would need steps below rounding: the data prediction jumps, or is coarse
    non_finite,  ///< the data prediction returned NaN or infinity
};

/// What a status means and what to try, in one line.
[[nodiscard]] inline const char* to_string(flow_status status) {
    switch (status) {
        case flow_status::reached: return "reached";
        case flow_status::not_smooth:
            return "not_smooth: the tolerance cannot be met; ask for less, or look for a jump in the data "
                   "prediction";
        case flow_status::non_finite: return "non_finite: the data prediction returned NaN or infinity";
    }
    return "unknown";
}

/// The outcome of a reference flow.
///
/// - `x`            the state at the last level, one sample per column (where the run stopped, if it did not
///                  arrive).
/// - `evaluations`  of the data prediction, each on all columns.
/// - `error`        sum of the errors estimated for each step, relative to the state; below it errors of ends
///                  mean nothing.
struct [[nodiscard]] reference_end {
    Eigen::MatrixXd x;
    flow_status status = flow_status::reached;
    std::size_t evaluations = 0;
    double error = 0.0;

    explicit operator bool() const { return status == flow_status::reached; }
};

/// Options of `reference_flow`.
struct reference_flow_options {
    double tolerance = 1e-13;  ///< error of one step, relative to the state; in [1e-15, 1)
    double last_sigma = 1e-6;  ///< for a clean end: the sigma / alpha where x0_hat is taken; > 0
};

}  // namespace tweedie::verify

namespace tweedie::detail {

template <class Denoise>
[[nodiscard]] Eigen::MatrixXd predict_data(const Denoise& denoise, const Eigen::MatrixXd& x,
                                           const level& at) {
    if constexpr (analytic::exact_denoiser<Denoise>) {
        return denoise.denoise(x, at);
    } else {
        return denoise(x, at);
    }
}

/// One step of Gragg's method with extrapolation: modified midpoint with 2, 4, .. 12 substeps, a polynomial
/// in their squared lengths extrapolated to 0 by Neville's scheme. Order 12.
template <class Rate>
class extrapolated_step {
public:
    static constexpr std::size_t rows = 6;

    explicit extrapolated_step(const Rate& rate) : rate_(rate) {}

    /// The state after a step `h` from (u, x), where the rate is `first`; and the difference of the two best
    /// estimates.
    void operator()(double u, double h, const Eigen::MatrixXd& x, const Eigen::MatrixXd& first) {
        for (std::size_t i = 0; i < rows; ++i) {
            const auto substeps = static_cast<double>(2 * (i + 1));
            table_[i] = midpoint(u, h, 2 * (i + 1), x, first);
            for (std::size_t j = i; j-- > 0;) {
                const double ratio = substeps / static_cast<double>(2 * (j + 1));
                const double weight = 1.0 / (ratio * ratio - 1.0);
                if (j == 0) { before_last_ = table_[1]; }
                table_[j] = table_[j + 1] + weight * (table_[j + 1] - table_[j]);
            }
        }
    }
    [[nodiscard]] const Eigen::MatrixXd& result() const { return table_[0]; }
    [[nodiscard]] Eigen::MatrixXd difference() const { return table_[0] - before_last_; }

private:
    [[nodiscard]] Eigen::MatrixXd midpoint(double u, double h, std::size_t substeps, const Eigen::MatrixXd& x,
                                           const Eigen::MatrixXd& first) const {
        const double part = h / static_cast<double>(substeps);
        Eigen::MatrixXd before = x;
        Eigen::MatrixXd now = x + part * first;
        for (std::size_t i = 1; i < substeps; ++i) {
            before += (2.0 * part) * rate_(u + static_cast<double>(i) * part, now);
            before.swap(now);
        }
        // Gragg's smoothing: the error is even in the step
        const Eigen::MatrixXd last = rate_(u + h, now);
        return 0.5 * (now + before + part * last);
    }

    const Rate& rate_;
    std::array<Eigen::MatrixXd, rows> table_;
    Eigen::MatrixXd before_last_;
};

}  // namespace tweedie::detail

namespace tweedie::verify {

/// The probability flow of a data prediction between two levels, so exactly that it can be the truth for any
/// sampler.
///
///     z = x / sqrt(alpha^2 + sigma^2),    u = ln(sigma / alpha),    a = 1 / sqrt(1 + e^(2u))
///     dz/du = a^2 z - a x0_hat
///
/// z is bounded and smooth in u at both ends on every schedule. Integrated by Gragg's method extrapolated to
/// order 12 with automatic steps (Hairer, Norsett and Wanner 1993, Solving ODEs I, section II.9). With the
/// exact denoiser of a Gaussian it equals `gaussian::flow` to 1e-11.
///
/// - `denoise`   a `data_prediction` on the levels of `schedule`.
/// - `from`      where x is; sigma > 0. alpha = 0 is exact up to 1e-9 of alpha / sigma.
/// - `to`        either side of `from`; at sigma = 0 the flow runs to `last_sigma`, and ends in x0_hat.
/// - `x`         one sample per column.
/// - `options`   tolerance and end.
/// - cost        about 45 evaluations per step; 1000 to 3000 in all from EDM's sigma 80 to 0.002.
/// - errors      `std::invalid_argument`: a start without noise, an end at alpha = 0, options out of range. A
///               status otherwise: check it.
template <data_prediction Denoise, noise_schedule Schedule>
[[nodiscard]] reference_end reference_flow(const Denoise& denoise, const Schedule& schedule,
                                           const level& from, const level& to,
                                           const Eigen::Ref<const Eigen::MatrixXd>& x,
                                           const reference_flow_options& options = {}) {
    constexpr double pure_noise =
        1e9;  // the sigma / alpha that stands in for alpha = 0: an error of its inverse squared
    if (!(from.sigma > 0.0 && from.alpha >= 0.0 && std::isfinite(from.sigma) && std::isfinite(from.alpha))) {
        throw std::invalid_argument("reference_flow: the start must have sigma > 0");
    }
    if (!(to.alpha > 0.0 && to.sigma >= 0.0 && std::isfinite(to.sigma) && std::isfinite(to.alpha))) {
        throw std::invalid_argument("reference_flow: the end must have alpha > 0");
    }
    if (!(options.tolerance >= 1e-15 && options.tolerance < 1.0)) {
        throw std::invalid_argument("reference_flow: tolerance must lie in [1e-15, 1)");
    }
    if (!(options.last_sigma > 0.0 && std::isfinite(options.last_sigma))) {
        throw std::invalid_argument("reference_flow: last_sigma must be positive and finite");
    }

    reference_end end;
    const auto predict = [&](double u, const Eigen::MatrixXd& z) {
        const level at = at_half_log_snr(schedule, -u);
        ++end.evaluations;
        const Eigen::MatrixXd scaled = std::hypot(at.alpha, at.sigma) * z;
        return detail::predict_data(denoise, scaled, at);
    };
    const auto rate = [&](double u, const Eigen::MatrixXd& z) -> Eigen::MatrixXd {
        const double a = 1.0 / std::hypot(1.0, std::exp(u));
        const Eigen::MatrixXd x0 = predict(u, z);
        return (a * a) * z - a * x0;
    };

    end.x = x / std::hypot(from.alpha, from.sigma);
    double u = std::log(pure_noise);
    if (from.alpha > 0.0) {
        u = -from.half_log_snr();
    } else {  // x = sigma eps + alpha x0_hat with x0_hat of pure noise
        ++end.evaluations;
        const Eigen::MatrixXd x0 = detail::predict_data(denoise, x, from);
        end.x += x0 / pure_noise;
    }
    const double last = to.sigma > 0.0 ? -to.half_log_snr() : std::log(options.last_sigma);

    Eigen::MatrixXd first = rate(u, end.x);
    detail::extrapolated_step step(rate);
    double h = last > u ? 0.1 : -0.1;
    while (end.status == flow_status::reached && u != last) {
        const bool arrives = std::abs(h) >= std::abs(last - u);
        const double length = arrives ? last - u : h;
        step(u, length, end.x, first);
        const Eigen::RowVectorXd wrong = step.difference().colwise().norm();
        const Eigen::RowVectorXd size = end.x.colwise().norm();
        const double error = (wrong.array() / (size.array() + std::numeric_limits<double>::min())).maxCoeff();
        if (!std::isfinite(wrong.sum())) {
            end.status = flow_status::non_finite;
        } else if (error <= options.tolerance) {
            end.error += error;
            end.x = step.result();
            u = arrives ? last : u + length;
            if (!arrives || to.sigma == 0.0) { first = rate(u, end.x); }
        } else if (std::abs(length) < 1e-9) {
            end.status = flow_status::not_smooth;
        }
        // the error of a step grows like its length to the 11th
        const double grow = std::pow(options.tolerance / std::max(error, 1e-30), 1.0 / 11.0);
        h = length * std::clamp(0.8 * grow, 0.2, 3.0);
    }
    if (to.sigma == 0.0 && end.status == flow_status::reached) {
        end.x = to.alpha * predict(u, end.x);
    } else if (u == last) {
        end.x *= std::hypot(to.alpha, to.sigma);
    }
    return end;
}

/// The largest difference of two sets of samples.
/// - errors  `std::invalid_argument`: of different shape or empty.
[[nodiscard]] inline double max_error(const Eigen::Ref<const Eigen::MatrixXd>& a,
                                      const Eigen::Ref<const Eigen::MatrixXd>& b) {
    if (a.rows() != b.rows() || a.cols() != b.cols() || a.size() == 0) {
        throw std::invalid_argument("max_error: need two sets of samples of the same shape");
    }
    const Eigen::MatrixXd away = a - b;
    return away.allFinite() ? away.cwiseAbs().maxCoeff() : std::numeric_limits<double>::infinity();
}

/// The median over samples (columns) of the root mean square difference of their elements.
///
/// The median, because the flow of a mixture has separatrices: a few trajectories end on the other side,
/// whatever the sampler.
/// - errors  `std::invalid_argument`: of different shape or empty.
[[nodiscard]] inline double median_rms(const Eigen::Ref<const Eigen::MatrixXd>& a,
                                       const Eigen::Ref<const Eigen::MatrixXd>& b) {
    if (a.rows() != b.rows() || a.cols() != b.cols() || a.size() == 0) {
        throw std::invalid_argument("median_rms: need two sets of samples of the same shape");
    }
    const Eigen::RowVectorXd rms = (a - b).colwise().norm() / std::sqrt(static_cast<double>(a.rows()));
    std::vector<double> sorted(rms.begin(), rms.end());
    for (double& value : sorted) {
        if (!std::isfinite(value)) { value = std::numeric_limits<double>::infinity(); }
    }
    std::sort(sorted.begin(), sorted.end());
    const std::size_t middle = sorted.size() / 2;
    return sorted.size() % 2 == 1 ? sorted[middle] : 0.5 * (sorted[middle - 1] + sorted[middle]);
}

}  // namespace tweedie::verify
