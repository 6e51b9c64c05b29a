// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/field.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/likelihood.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/model_statistics.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// The finite half-log-SNRs of levels.
[[nodiscard]] inline std::vector<double> finite_nodes(std::span<const level> levels, const char* who) {
    std::vector<double> nodes;
    for (const level& at : levels) {
        const double lambda = at.half_log_snr();
        if (std::isnan(lambda)) { throw std::invalid_argument(std::string(who) + ": a node is NaN"); }
        if (std::isinf(lambda)) { continue; }
        if (!(std::abs(lambda) <= most_half_log_snr)) {
            throw std::invalid_argument(std::string(who) + ": half_log_snr must lie in [-350, 350]");
        }
        if (!nodes.empty() && !(lambda > nodes.back())) {
            throw std::invalid_argument(std::string(who) + ": half_log_snr must increase from node to node");
        }
        nodes.push_back(lambda);
    }
    if (nodes.size() < 2) {
        throw std::invalid_argument(std::string(who) + ": need at least two nodes at finite half_log_snr");
    }
    return nodes;
}

}  // namespace tweedie::detail

namespace tweedie::tune {

/// The statistics of DPM-Solver-v3 for Gaussian data, in closed form.
///
///     A = kappa^2 (Sigma + kappa^2 I)^-1,    kappa eps_hat = A (y - mu)
///     l = diag(A),   s = Cov(f, f') / Var f,   b = (s l - l') mu
///
/// With a diagonal covariance f = -l mu has no variance, s is 0/0 and set to 0, and one step of first order
/// is exact. With any other the statistics see the diagonal only; the rotation is `analytic::teleport`'s.
/// - `data`   of any rank.
/// - `nodes`  levels of any schedule, noisy to clean, at least two; those at infinite half-log-SNR are left
///            out.
/// - cost     d r operations per node, no network call.
/// - errors   `std::invalid_argument`: nodes that do not ascend in half-log-SNR, NaN, beyond 350 but finite.
[[nodiscard]] inline solver::model_statistics exact_statistics(const analytic::gaussian& data,
                                                               std::span<const level> nodes) {
    constexpr double rounding = 1e-12;  // relative variance of f that is none
    solver::model_statistics out;
    out.half_log_snr = detail::finite_nodes(nodes, "exact_statistics");
    const Eigen::Index d = data.dimension();
    const Eigen::MatrixXd share = data.eigenvectors().cwiseAbs2();
    const Eigen::ArrayXd outside = (1.0 - share.rowwise().sum().array()).max(0.0);
    const Eigen::ArrayXd variance =
        detail::product(share, data.eigenvalues()).array() + outside * data.residual();
    const bool rest = data.rank() < d;
    const auto numbers = [](const Eigen::ArrayXd& of) { return std::vector<double>(of.begin(), of.end()); };
    for (const double lambda : out.half_log_snr) {
        const double noise = std::exp(-2.0 * lambda);
        const Eigen::VectorXd a = (noise / (noise + data.eigenvalues().array())).matrix();
        const double a_rest = rest ? noise / (noise + data.residual()) : 0.0;
        const Eigen::ArrayXd l = detail::product(share, a).array() + outside * a_rest;
        const Eigen::ArrayXd q =
            detail::product(share, a.cwiseAbs2().eval()).array() + outside * (a_rest * a_rest);  // diag(A A)
        const Eigen::ArrayXd slope = 2.0 * (q - l);
        const Eigen::ArrayXd spread = l * l * (variance + noise);  // Var (l y)
        const Eigen::ArrayXd variance_f = (spread - l * noise).max(0.0);
        const Eigen::ArrayXd covariance = noise * (2.0 * l - l * l - q) + l * (variance + noise) * slope;
        const Eigen::ArrayXd s = (variance_f > rounding * spread).select(covariance / variance_f, 0.0);
        out.l.push_back(field(numbers(l)));
        out.s.push_back(field(numbers(s)));
        out.b.push_back(field(numbers((s * l - slope) * data.mean().array())));
    }
    return out;
}

/// Options of `statistics_estimator`.
struct statistics_options {
    std::size_t probes = 1;     ///< random directions per sample, for l; > 0
    double ridge = 1e-6;        ///< added to Var f in the fit of s, relative to E f^2; >= 0
    double direction = 0.0;     ///< differences along directions, over kappa; 0: 1e-4, in float 0.05
    double half_log_snr = 0.0;  ///< differences along the flow; 0: 1e-4, in float 0.01
};

/// Estimates the statistics of DPM-Solver-v3 of any network, batch by batch.
///
///     y  = x_0 + kappa eps at every node, x_0 from data, the same eps for all
///     l  = 1 - E v (d x0_hat / dy v)                            v random signs (Hutchinson)
///     f  = (1 - l) y - x0_hat,   f' = its derivative along y' = x0_hat - y
///     s  = Cov(f, f') / (Var f + ridge E f^2 + ridge^2 E x0_hat^2),   b = E f' - s E f
///
/// Everything is summed as moments of y, x0_hat and its two derivatives, of which l, s and b are made at the
/// end, so each batch is seen once. The ridge is for f without variance, where s is 0/0: near pure noise, and
/// everywhere for Gaussian data. One noise for all nodes makes the estimates smooth along them. Source: Zheng
/// et al. 2023, arXiv:2310.13268; their code of it is not public.
/// - cost    per batch and node 3 network calls, 2 at the first and the last node, and 2 per probe (without
///           exact derivatives); 9 numbers per node and element, 7 tensors of the batch's size.
/// - random  of the noise source, its `user` draws: 0 the noise, then one per probe. With `noise` the samples
///           of later batches are the next ones; other sources go on with the next draws.
/// - errors  `std::invalid_argument`: options out of range; nodes that do not ascend; data that are not
///           finite, empty, or of another size than before; outputs that are not finite, with the node, or
///           of another shape; `statistics` before any data. A batch that fails on the way, by the network's
///           exceptions too, is in the sums in part: `add` and `statistics` are refused from then on.
/// - choose  1024 to 4096 samples of the training data (none that the network made), 100 nodes; conditions
///           and guidance as in sampling, or none.
class statistics_estimator {
public:
    /// - `nodes`  levels of any schedule, noisy to clean; those at infinite half-log-SNR are left out.
    explicit statistics_estimator(std::span<const level> nodes, const statistics_options& options = {})
        : nodes_(detail::finite_nodes(nodes, "statistics_estimator")), options_(options) {
        if (options.probes == 0) {
            throw std::invalid_argument("statistics_estimator: probes must be positive");
        }
        for (const double v : {options.ridge, options.direction, options.half_log_snr}) {
            if (!(v >= 0.0 && std::isfinite(v))) {
                throw std::invalid_argument(
                    "statistics_estimator: ridge, direction and half_log_snr must be finite and not "
                    "negative");
            }
        }
    }

    /// Adds a batch.
    /// - `model`   a `denoiser`.
    /// - `data`    clean samples, unscaled.
    /// - `jvp`     exact derivatives, see `network_jvp`; without one they are central differences.
    template <class Model, analytic::cpu_tensor X, class Noise = noise, class Jvp = no_hook>
        requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, X> &&
                 noise_source<Noise, scalar_t<X>> && network_jvp<Jvp, X>
    void add(Model&& model, const X& data, Noise source = {}, Jvp jvp = {}) {
        using traits = tensor_traits<X>;
        require_unspoiled();
        const std::size_t size = traits::size(data);
        if (size == 0) { throw std::invalid_argument("statistics_estimator: the data are empty"); }
        const std::size_t batch = traits::batch(data);
        const std::size_t elements = size / batch;
        if (samples_ == 0) {
            moments_.assign(nodes_.size(), {});
            for (auto& at : moments_) {
                for (std::vector<double>& sum : at) { sum.assign(elements, 0.0); }
            }
        } else if (moments_[0][0].size() != elements) {
            throw std::invalid_argument("statistics_estimator: a sample must have " +
                                        std::to_string(moments_[0][0].size()) + " elements as before, not " +
                                        std::to_string(elements));
        }
        for (std::size_t i = 0; i < size; ++i) {
            if (!std::isfinite(traits::data(data)[i])) {
                throw std::invalid_argument("statistics_estimator: the data must be finite");
            }
        }
        constexpr bool narrow = std::same_as<scalar_t<X>, float>;
        const double direction = options_.direction > 0.0 ? options_.direction : narrow ? 0.05 : 1e-4;
        const double along = options_.half_log_snr > 0.0 ? options_.half_log_snr : narrow ? 0.01 : 1e-4;
        std::uint32_t draw = 0;
        if constexpr (std::same_as<Noise, noise>) {
            source.sample += samples_;
        } else {
            draw = static_cast<std::uint32_t>(batches_ * (options_.probes + 1));
        }
        X eps = traits::like(data);
        X v = traits::like(data);
        X y = traits::like(data);
        X x0 = traits::like(data);
        X one = traits::like(data);
        X other = traits::like(data);
        X query = traits::like(data);
        std::size_t node = 0;
        const auto combine = [&](X& to, std::initializer_list<double> weights,
                                 std::initializer_list<const X*> from) {
            X* const written[] = {&to};
            return traits::affine(written, std::span<const double>(weights.begin(), weights.size()),
                                  std::span<const X* const>(from.begin(), from.size()));
        };
        const auto evaluate = [&](const X& at_x, const network_level& at, X& to) {
            ++network_calls_;
            detail::call_network(model.network(), at_x, at, to);
        };
        const auto require = [&](bool finite) {
            if (!finite) {
                throw std::invalid_argument(
                    "statistics_estimator: the network's output is not finite at node " +
                    std::to_string(node));
            }
        };
        // x0_hat at kappa = e^-lambda of `at_y`, which may be `query`
        const auto predict = [&](const X& at_y, double lambda, X& to) {
            const double kappa = std::exp(-lambda);
            const network_call call = model.convention().call_at({kappa, 1.0, kappa});
            require(combine(query, {call.input_scale}, {&at_y}));
            evaluate(query, call.at, to);
            require(combine(to, {call.x0.x / call.input_scale, call.x0.output}, {&query, &to}));
        };
        // adds the sums of products of elements
        const auto add_products = [&](std::size_t which, const X& a, const X* b, double weight) {
            std::vector<double>& sum = moments_[node][which];
            const auto* const left = traits::data(a);
            const auto* const right = b == nullptr ? nullptr : traits::data(*b);
            for (std::size_t k = 0; k < batch; ++k) {
                for (std::size_t e = 0; e < elements; ++e) {
                    const std::size_t i = k * elements + e;
                    const double product = static_cast<double>(left[i]) *
                                           (right == nullptr ? 1.0 : static_cast<double>(right[i]));
                    sum[e] += weight * product;
                }
            }
        };

        spoiled_ = true;  // until all sums have this batch
        traits::normal(eps, source.stream(draw_kind::user, draw));
        for (; node < nodes_.size(); ++node) {
            const double lambda = nodes_[node];
            const double kappa = std::exp(-lambda);
            require(combine(y, {1.0, kappa}, {&data, &eps}));
            predict(y, lambda, x0);
            add_products(mean_y, y, nullptr, 1.0);
            add_products(mean_x, x0, nullptr, 1.0);
            add_products(yy, y, &y, 1.0);
            add_products(yx, y, &x0, 1.0);
            add_products(xx, x0, &x0, 1.0);
            // d x0_hat / d lambda along y' = x0_hat - y; to one side at the end nodes
            const double up = node + 1 < nodes_.size() ? along : 0.0;
            const double down = node > 0 ? along : 0.0;
            require(combine(one, {1.0 - up, up}, {&y, &x0}));
            if (up > 0.0) {
                predict(one, lambda + up, one);
            } else {
                require(combine(one, {1.0}, {&x0}));
            }
            require(combine(other, {1.0 + down, -down}, {&y, &x0}));
            if (down > 0.0) {
                predict(other, lambda - down, other);
            } else {
                require(combine(other, {1.0}, {&x0}));
            }
            require(combine(one, {1.0 / (up + down), -1.0 / (up + down)}, {&one, &other}));
            add_products(mean_d, one, nullptr, 1.0);
            add_products(yd, y, &one, 1.0);
            add_products(xd, x0, &one, 1.0);
            for (std::size_t n = 0; n < options_.probes; ++n) {
                auto stream = source.stream(draw_kind::user, draw + 1 + static_cast<std::uint32_t>(n));
                traits::normal(v, detail::sign_stream<decltype(stream)>{std::move(stream)});
                const double weight = 1.0 / static_cast<double>(options_.probes);
                ++derivatives_;
                if constexpr (!std::same_as<Jvp, no_hook>) {
                    const network_call call = model.convention().call_at({kappa, 1.0, kappa});
                    require(combine(query, {call.input_scale}, {&y}));
                    jvp(std::as_const(query), call.at, std::as_const(v), one);
                    add_products(trace, v, &v, weight * call.x0.x);
                    add_products(trace, v, &one, weight * call.x0.output * call.input_scale);
                } else {
                    const double length = direction * kappa;
                    require(combine(one, {1.0, length}, {&y, &v}));
                    predict(one, lambda, one);
                    require(combine(other, {1.0, -length}, {&y, &v}));
                    predict(other, lambda, other);
                    add_products(trace, v, &one, weight * 0.5 / length);
                    add_products(trace, v, &other, -weight * 0.5 / length);
                }
            }
        }
        samples_ += batch;
        ++batches_;
        spoiled_ = false;
    }

    /// What the batches so far give.
    [[nodiscard]] solver::model_statistics statistics() const {
        require_unspoiled();
        if (samples_ == 0) { throw std::invalid_argument("statistics_estimator: need at least one sample"); }
        const std::size_t elements = moments_[0][0].size();
        const double n = static_cast<double>(samples_);
        solver::model_statistics out;
        out.half_log_snr = nodes_;
        for (const auto& at : moments_) {
            std::vector<double> l;
            for (const double sum : at[trace]) { l.push_back(1.0 - sum / n); }
            out.l.push_back(field(std::move(l)));
        }
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const field slope = detail::slope_at(nodes_, i).of(out.l);  // what the solver will interpolate
            std::vector<double> s(elements);
            std::vector<double> b(elements);
            for (std::size_t e = 0; e < elements; ++e) {
                const auto mean = [&](moment which) { return moments_[i][which][e] / n; };
                const double m = 1.0 - out.l[i][e];
                const double a = -m - slope[e];
                // f = m y - x, f' = a y + m x - d
                const double f = m * mean(mean_y) - mean(mean_x);
                const double f_rate = a * mean(mean_y) + m * mean(mean_x) - mean(mean_d);
                const double ff = m * m * mean(yy) - 2.0 * m * mean(yx) + mean(xx);
                const double f_f_rate =
                    m * a * mean(yy) + (m * m - a) * mean(yx) - m * mean(yd) - m * mean(xx) + mean(xd);
                const double ridge = options_.ridge;
                const double variance = std::max(0.0, ff - f * f) + ridge * ff + ridge * ridge * mean(xx);
                s[e] = variance > 0.0 ? (f_f_rate - f * f_rate) / variance : 0.0;
                b[e] = f_rate - s[e] * f;
            }
            out.s.push_back(field(std::move(s)));
            out.b.push_back(field(std::move(b)));
        }
        return out;
    }

    [[nodiscard]] std::size_t samples() const { return samples_; }
    [[nodiscard]] std::size_t network_calls() const { return network_calls_; }  ///< of a whole batch each
    [[nodiscard]] std::size_t derivatives() const { return derivatives_; }  ///< directional, of a batch each

private:
    /// Sums over samples; x is x0_hat and d its derivative along the flow.
    enum moment : std::size_t { trace, mean_y, mean_x, mean_d, yy, yx, yd, xx, xd, count };

    void require_unspoiled() const {
        if (spoiled_) {
            throw std::invalid_argument(
                "statistics_estimator: a batch failed on the way; begin with another");
        }
    }

    std::vector<double> nodes_;
    statistics_options options_;
    std::vector<std::array<std::vector<double>, count>> moments_;
    std::size_t samples_ = 0;
    std::size_t batches_ = 0;
    std::size_t network_calls_ = 0;
    std::size_t derivatives_ = 0;
    bool spoiled_ = false;
};

/// What `estimate_statistics` returns.
struct statistics_estimate {
    solver::model_statistics statistics;
    std::size_t network_calls = 0;
    std::size_t derivatives = 0;
};

/// The statistics of a network from one batch of data: a `statistics_estimator` of its own.
template <class Model, analytic::cpu_tensor X, class Noise = noise, class Jvp = no_hook>
    requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, X> &&
             noise_source<Noise, scalar_t<X>> && network_jvp<Jvp, X>
[[nodiscard]] statistics_estimate estimate_statistics(Model&& model, std::span<const level> nodes,
                                                      const X& data, Noise source = {},
                                                      const statistics_options& options = {}, Jvp jvp = {}) {
    statistics_estimator estimator(nodes, options);
    estimator.add(model, data, std::move(source), std::move(jvp));
    return {estimator.statistics(), estimator.network_calls(), estimator.derivatives()};
}

}  // namespace tweedie::tune
