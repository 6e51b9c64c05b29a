// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/detail/gauss_legendre.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// (alpha / sigma)^2; 0 at pure noise.
[[nodiscard]] inline double signal_to_noise(const level& at) {
    const double ratio = at.alpha / at.sigma;
    return ratio * ratio;
}

/// Throws unless the levels are candidates for a search: they denoise, and the last has noise left.
inline void require_candidates(std::span<const level> levels, const char* who) {
    require_levels(levels, who);
    if (levels.back().sigma == 0.0) {
        throw std::invalid_argument(std::string(who) + ": the last level must have sigma > 0");
    }
}

/// x - ln(1 + x) for x >= 0, without cancellation.
[[nodiscard]] inline double excess_over_log1p(double x) {
    if (x > 0.05) { return x - std::log1p(x); }
    double sum = 0.0;  // 1/2 - x/3 + x^2/4 - ...: the first term left out is below 1e-17 of the sum
    for (int n = 14; n >= 2; --n) { sum = 1.0 / n - x * sum; }
    return x * x * sum;
}

/// out = a x + b y; without b the second term is not read. - returns  whether all of it is finite.
template <tensor T>
bool weighted_sum(T& out, double a, const T& x, double b, const T& y) {
    T* const written[] = {&out};
    const T* const read[] = {&x, &y};
    const double weights[] = {a, b};
    const std::size_t terms = b == 0.0 ? 1 : 2;
    return tensor_traits<T>::affine(written, {weights, terms}, {read, terms});
}

}  // namespace tweedie::detail

namespace tweedie::tune {

/// The KLUB of single steps for Gaussian data, in closed form: no network is called.
///
///     klub(j, k) = 1/2 sum_c n_c (r_c - ln(1 + r_c)),    r_c = v_c (s_k - s_j) / (1 + v_c s_j)
///
/// with s = (alpha / sigma)^2 and n_c directions of variance v_c. It is the integral that `network_klub`
/// estimates, with E|D_k - D_j|^2 = v^2 (1 / (kappa_k^2 + v) - 1 / (kappa_j^2 + v)) in each direction,
/// kappa = sigma / alpha (Sabour et al. 2024, arXiv:2404.14507).
///
/// - `data`    the spectrum; `binned` where it has thousands of variances.
/// - `levels`  candidates, at least two, the last with noise left: 200 of `grid::log_snr` are as good as all.
/// - cost      one logarithm per variance for each step asked for.
/// - errors    `std::invalid_argument`: a spectrum that is empty, negative or not finite; levels that do not
///             denoise or end at sigma = 0.
class gaussian_klub {
public:
    gaussian_klub(analytic::spectrum data, std::vector<level> levels)
        : data_(std::move(data)), levels_(std::move(levels)) {
        detail::require_spectrum(data_, "gaussian_klub");
        detail::require_candidates(levels_, "gaussian_klub");
        for (const level& at : levels_) { snr_.push_back(detail::signal_to_noise(at)); }
    }

    [[nodiscard]] const std::vector<level>& levels() const { return levels_; }

    /// The cost of the step from level j to level k > j, in nats.
    [[nodiscard]] double operator()(std::size_t j, std::size_t k) const {
        double sum = 0.0;
        for (std::size_t c = 0; c < data_.variances.size(); ++c) {
            const double v = data_.variances[c];
            sum += data_.counts[c] * detail::excess_over_log1p(v * (snr_[k] - snr_[j]) / (1.0 + v * snr_[j]));
        }
        return 0.5 * sum;
    }

private:
    analytic::spectrum data_;
    std::vector<level> levels_;
    std::vector<double> snr_;
};

/// The KLUB of single steps for a network and data, estimated: how far the data prediction moves while a step
/// holds it.
///
///     klub(j, k) = int_{kappa_k}^{kappa_j} kappa^-3 E|D(y_kappa, kappa) - D(y_j, kappa_j)|^2 d kappa
///
/// with y = x / alpha, kappa = sigma / alpha, and y_j = y_kappa + noise: the Kullback-Leibler divergence
/// between the reverse SDE and the one whose data prediction is held from level j on (Girsanov: 1/2 the
/// squared drift over the squared diffusion, 2 kappa). Scaling the state changes no divergence, so the
/// schedule matters through kappa alone.
///
/// Source: Sabour et al. 2024 (Align Your Steps), arXiv:2404.14507, their KLUB. Deviations: D is in units of
/// the data on every schedule, so no scale of the state appears; and where they draw new noise and new times
/// (from the density a Gaussian would want) for each guess of the search, here each sample walks once through
/// all candidate levels, y_j = y_{j+1} + sqrt(kappa_j^2 - kappa_{j+1}^2) z, and the integrals of all pairs
/// are taken from its predictions: the search needs no further call, and every guess sees the same noise.
/// Between neighbours the squared change is a cubic in ln kappa through four of them (linear in kappa^-2 from
/// pure noise): with 120 candidates from 80 to 0.002, an error below 1e-3 of any step longer than one.
///
///     tune::network_klub klub(grid::log_snr(schedule, 120, {.last = grid::final_level::sigma_min}));
///     for (const auto& batch : batches) { klub.add(model, batch, noise{.seed = 1}); }
///
/// - `levels`  candidates, at least two, the last with noise left. Of any schedule: the network is asked at
///             equal signal-to-noise ratio on its own.
/// - errors    `std::invalid_argument`: levels that do not denoise or end at sigma = 0.
class network_klub {
public:
    explicit network_klub(std::vector<level> levels) : levels_(std::move(levels)) {
        detail::require_candidates(levels_, "network_klub");
        const auto n = static_cast<Eigen::Index>(levels_.size());
        products_ = Eigen::MatrixXd::Zero(n, n);
        klub_ = Eigen::MatrixXd::Zero(n, n);
    }

    /// Adds a batch of samples of the data. The estimate is the mean over all that were added.
    ///
    /// - `model`   a `denoiser`; unguided, as it was trained.
    /// - `data`    clean samples, `batch(data)` of one size; 256 are usual.
    /// - `source`  noise. - random  one `step` draw per level; further batches take further draws, so the
    ///             same source may be given each time.
    /// - cost      one network call per level; memory for the predictions at all levels, so give large data
    ///             in batches; then O(levels^2) multiplications per element.
    /// - errors    `std::invalid_argument`: data that are empty, not finite or of another size than before; a
    ///             network whose output is not finite or of another shape. Nothing is added then.
    template <class Model, analytic::cpu_tensor T, noise_source<scalar_t<T>> Noise>
        requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, T>
    void add(Model&& model, const T& data, const Noise& source) {
        using traits = tensor_traits<T>;
        const std::size_t samples = traits::batch(data);
        const std::size_t elements = samples == 0 ? 0 : traits::size(data) / samples;
        require_data(std::span(traits::data(data), traits::size(data)), samples, elements);

        const std::vector<T> x0_hat = predict(model, data, source);
        const auto d = static_cast<Eigen::Index>(elements);
        using matrix = Eigen::Matrix<scalar_t<T>, Eigen::Dynamic, Eigen::Dynamic>;
        Eigen::MatrixXd moved(d, products_.cols());
        for (std::size_t b = 0; b < samples; ++b) {
            for (Eigen::Index j = 0; j < moved.cols(); ++j) {
                const auto sample_at = [&](std::size_t level) {
                    return Eigen::Map<const matrix>(traits::data(x0_hat[level]) + b * elements, d, 1)
                        .template cast<double>();
                };
                // relative to the cleanest: products of small numbers, whose differences keep their digits
                moved.col(j) = sample_at(static_cast<std::size_t>(j)) - sample_at(levels_.size() - 1);
            }
            products_.selfadjointView<Eigen::Lower>().rankUpdate(moved.transpose());
        }
        elements_ = elements;
        samples_ += samples;
        calls_ += levels_.size();
        integrate();
    }

    [[nodiscard]] const std::vector<level>& levels() const { return levels_; }
    [[nodiscard]] std::size_t samples() const { return samples_; }
    [[nodiscard]] std::size_t network_calls() const { return calls_; }

    /// The cost of the step from level j to level k > j, in nats.
    /// - errors  `std::invalid_argument`: no data were added.
    [[nodiscard]] double operator()(std::size_t j, std::size_t k) const {
        if (samples_ == 0) { throw std::invalid_argument("network_klub: add data first"); }
        return klub_(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(k));
    }

private:
    template <class Scalar>
    void require_data(std::span<const Scalar> values, std::size_t samples, std::size_t elements) const {
        if (values.empty()) { throw std::invalid_argument("network_klub: the data must not be empty"); }
        if (samples_ > 0 && elements != elements_) {
            throw std::invalid_argument("network_klub: a sample must have " + std::to_string(elements_) +
                                        " elements, as before, not " + std::to_string(elements));
        }
        if (elements * samples != values.size()) {
            throw std::invalid_argument("network_klub: the samples must be of one size");
        }
        for (const Scalar value : values) {
            if (!std::isfinite(value)) {
                throw std::invalid_argument("network_klub: the data must be finite");
            }
        }
    }

    /// The data prediction at every level, from the cleanest state to the noisiest.
    template <class Model, class T, class Noise>
    [[nodiscard]] std::vector<T> predict(Model& model, const T& data, const Noise& source) {
        using traits = tensor_traits<T>;
        T y = traits::like(data);
        detail::weighted_sum(y, 1.0, data, 0.0, data);
        T z = traits::like(data);
        T x = traits::like(data);
        detail::asking_room<T> room;
        std::vector<T> x0_hat;
        x0_hat.reserve(levels_.size());
        for (std::size_t i = 0; i < levels_.size(); ++i) { x0_hat.push_back(traits::like(data)); }
        double kappa = 0.0;
        for (std::size_t j = levels_.size(); j-- > 0;) {
            const level& at = levels_[j];
            traits::normal(z, source.stream(draw_kind::step, draws_++));
            if (at.alpha > 0.0) {
                const double next = at.sigma / at.alpha;
                detail::weighted_sum(y, 1.0, y, std::sqrt((next - kappa) * (next + kappa)), z);
                kappa = next;
                detail::weighted_sum(x, at.alpha, y, 0.0, y);
            } else {
                detail::weighted_sum(x, at.sigma, z, 0.0, z);
            }
            if (!detail::ask_x0(model, x, at, room, x0_hat[j])) {
                throw std::invalid_argument("network_klub: the network's output must be finite (level " +
                                            std::to_string(j) + ")");
            }
        }
        return x0_hat;
    }

    /// The integrals over every step from the mean squared changes: 1/2 int E|D - D_j|^2 ds, s = kappa^-2.
    void integrate() {
        const auto n = static_cast<std::size_t>(products_.cols());
        std::vector<double> u(n);  // ln s
        for (std::size_t k = 0; k < n; ++k) { u[k] = 2.0 * levels_[k].half_log_snr(); }
        std::vector<double> changed(n);
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t k = j; k < n; ++k) { changed[k] = mean_square_change(j, k); }
            double sum = 0.0;
            for (std::size_t k = j + 1; k < n; ++k) {
                sum += std::isinf(u[k - 1]) ? 0.25 * std::exp(u[k]) * changed[k]  // from pure noise, s = 0
                                            : panel(u, changed, j, k);
                klub_(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(k)) = sum;
            }
        }
    }

    [[nodiscard]] double mean_square_change(std::size_t j, std::size_t k) const {
        const auto a = static_cast<Eigen::Index>(j);
        const auto b = static_cast<Eigen::Index>(k);  // b >= a: the lower triangle is filled
        return (products_(a, a) + products_(b, b) - 2.0 * products_(b, a)) / static_cast<double>(samples_);
    }

    /// 1/2 int e^u f(u) du from u_{k-1} to u_k, f the cubic through f_{k-2}, ..., f_{k+1}, or the next
    /// four: none before the step begins at j, where f has a kink.
    [[nodiscard]] static double panel(const std::vector<double>& u, const std::vector<double>& f,
                                      std::size_t j, std::size_t k) {
        std::size_t first = k >= j + 2 ? k - 2 : j;
        if (std::isinf(u[first])) { ++first; }
        const std::size_t last = std::min(first + 3, u.size() - 1);
        double sum = 0.0;
        detail::gauss_legendre(u[k - 1], u[k], 1.0, [&](double at, double weight) {
            double value = 0.0;
            for (std::size_t m = first; m <= last; ++m) {
                double term = f[m];
                for (std::size_t q = first; q <= last; ++q) {
                    if (q != m) { term *= (at - u[q]) / (u[m] - u[q]); }
                }
                value += term;
            }
            sum += 0.5 * weight * std::exp(at) * value;
        });
        return sum;
    }

    std::vector<level> levels_;
    Eigen::MatrixXd products_;
    Eigen::MatrixXd klub_;
    std::size_t elements_ = 0;
    std::size_t samples_ = 0;
    std::size_t calls_ = 0;
    std::uint32_t draws_ = 0;
};

}  // namespace tweedie::tune
