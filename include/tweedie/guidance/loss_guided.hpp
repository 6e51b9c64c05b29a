// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/guidance/gradient.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// A log-likelihood or reward of clean data with its gradient: `likelihood(x0, values, out)` writes one value
/// per sample, and the gradient.
template <class Likelihood, class T>
concept data_likelihood = tensor<T> && requires(Likelihood& likelihood, const T& x0, std::span<double> values,
                                                T& out) { likelihood(x0, values, out); };

/// The spread of clean data about x0_hat, as a standard deviation: `kappa / sqrt(1 + kappa^2)`, kappa = sigma
/// / alpha. That of data of unit variance.
struct unit_spread {
    [[nodiscard]] double operator()(const level& at) const {
        return at.sigma / std::hypot(at.alpha, at.sigma);
    }
};

/// Options of `loss_guided`.
struct loss_guided_options {
    std::size_t samples = 8;  ///< clean samples per prediction; at least 1
};

/// Loss-guided diffusion: the likelihood of the noisy state as the mean over clean samples about x0_hat,
///
///     log p(y | x) ~ log 1/n sum_i exp(l(x0_i)),   x0_i = x0_hat + spread z_i
///     grad_x       = J^T sum_i softmax_i(l(x0_i)) grad l(x0_i)
///
/// Source: Song et al. 2023, Loss-guided diffusion models for plug-and-play controllable generation (ICML).
/// The mean is of likelihoods (log-mean-exp), not of gradients: for a quadratic loss the latter is no
/// different from n = 1 at spread 0.
///
///     loss_guided pull(likelihood, symmetric_difference(model), noise{.seed = 3});
///     sample(plan, with_gradient(model, pull), x);
///
/// - `likelihood`  see `data_likelihood`.
/// - `product`     J^T v, see `jacobian_product`.
/// - `source`      noise; its `user` draws, `samples` new ones at each call.
/// - `spread`      a function of the level.
/// - cost    `samples` evaluations of the likelihood, one product; three tensors.
/// - errors  `std::invalid_argument`: no samples. A likelihood that is NaN, or 0 for all samples, makes a
///           gradient that is not finite, which the run reports.
/// - choose  over `through` where the likelihood is narrow: that one takes x0_hat for the data.
template <class Likelihood, class Product, class Noise = noise, class Spread = unit_spread>
class loss_guided {
public:
    loss_guided(Likelihood likelihood, Product product, Noise source, const loss_guided_options& options = {},
                Spread spread = {})
        : likelihood_(std::move(likelihood)),
          product_(std::move(product)),
          source_(std::move(source)),
          samples_(options.samples),
          spread_(std::move(spread)) {
        if (options.samples < 1) { throw std::invalid_argument("loss_guided: need at least one sample"); }
    }

    template <grouped_tensor T>
        requires data_likelihood<Likelihood, T> && jacobian_product<Product, T>
    void operator()(const T& x, const level& at, const T& x0_hat, T& out) {
        using traits = tensor_traits<T>;
        auto& memory = memory_.template as<tensors<T>>();
        T& clean = detail::fitting(memory.clean, x);
        T& slope = detail::fitting(memory.slope, x);
        T& sum = detail::fitting(memory.sum, x);
        const std::size_t count = traits::batch(x);
        values_.resize(count);
        // Softmax while the samples come: the sum so far is relative to the largest value so far.
        largest_.assign(count, -std::numeric_limits<double>::infinity());
        total_.assign(count, 0.0);
        weights_.resize(2 * count);
        const double spread = spread_(at);
        for (std::size_t i = 0; i < samples_; ++i) {
            traits::normal(clean, source_.stream(draw_kind::user, draw_++));
            T* const written[] = {&clean};
            const T* const read[] = {&x0_hat, &clean};
            const double mix[] = {1.0, spread};
            traits::affine(written, mix, read);
            likelihood_(std::as_const(clean), std::span<double>(values_), slope);
            for (std::size_t s = 0; s < count; ++s) {
                const double before = largest_[s];
                largest_[s] = std::isnan(values_[s]) ? values_[s] : std::max(before, values_[s]);
                const double keep = total_[s] == 0.0 ? 0.0 : std::exp(before - largest_[s]);
                const double add = values_[s] == -std::numeric_limits<double>::infinity()
                                       ? 0.0  // impossible data say nothing
                                       : std::exp(values_[s] - largest_[s]);
                total_[s] = keep * total_[s] + add;
                weights_[2 * s] = add;
                weights_[2 * s + 1] = keep;
            }
            accumulate(sum, slope, i == 0);
        }
        for (std::size_t s = 0; s < count; ++s) { weights_[s] = 1.0 / total_[s]; }
        T* const written[] = {&sum};
        const T* const read[] = {&sum};
        affine_groups<T>(written, std::span<const double>(weights_).first(count), read, count);
        product_(x, at, std::as_const(sum), out);
    }

private:
    template <class T>
    struct tensors {
        std::optional<T> clean;
        std::optional<T> slope;
        std::optional<T> sum;
    };

    /// sum = add * slope + keep * sum, of each sample; what `sum` held before the first does not matter.
    template <class T>
    void accumulate(T& sum, const T& slope, bool first) {
        const std::size_t count = largest_.size();
        T* const written[] = {&sum};
        if (first) {
            tensor_traits<T>::assign(sum, slope);
            return;
        }
        const T* const read[] = {&slope, &sum};
        affine_groups<T>(written, weights_, read, count);
    }

    Likelihood likelihood_;
    Product product_;
    Noise source_;
    std::size_t samples_;
    Spread spread_;
    std::uint32_t draw_ = 0;
    detail::working_memory memory_;
    std::vector<double> values_;
    std::vector<double> largest_;
    std::vector<double> total_;
    std::vector<double> weights_;
};

/// Options of `climb`.
struct climb_options {
    int steps = 5;      ///< of gradient ascent; >= 0
    double rate = 0.1;  ///< of each, in units of the data squared per unit of the gradient; finite
};

/// Moves the data prediction uphill before it is used: universal guidance, backward.
///
///     x0_hat <- x0_hat + rate (grad l)(x0_hat),     `steps` times
///
/// Source: Bansal et al. 2023, arXiv:2302.07121, section 3.2: their delta in eps_hat is -alpha / sigma times
/// that of x0_hat. Needs no derivative of the network. A transform of the data prediction:
///
///     sample(plan, model, x, hooks{.transform = climb(gradient, {.steps = 5, .rate = 0.1})});
///
/// - `gradient`  `gradient(x0, out)`, of a log-likelihood or of minus a loss.
/// - cost        `steps` gradients and passes; one tensor.
/// - errors      `std::invalid_argument`: a negative number of steps, a rate that is not finite.
template <class DataGradient>
class climb {
public:
    explicit climb(DataGradient gradient, const climb_options& options = {})
        : gradient_(std::move(gradient)), options_(options) {
        if (!(options.steps >= 0)) { throw std::invalid_argument("climb: steps must not be negative"); }
        if (!std::isfinite(options.rate)) { throw std::invalid_argument("climb: rate must be finite"); }
    }

    template <tensor T>
        requires data_gradient<DataGradient, T>
    void operator()(T& x0_hat, const level& /*at*/) {
        T& slope = detail::fitting(memory_.template as<std::optional<T>>(), x0_hat);
        for (int k = 0; k < options_.steps; ++k) {
            gradient_(std::as_const(x0_hat), slope);
            T* const written[] = {&x0_hat};
            const T* const read[] = {&x0_hat, &slope};
            const double weights[] = {1.0, options_.rate};
            tensor_traits<T>::affine(written, weights, read);
        }
    }

private:
    DataGradient gradient_;
    climb_options options_;
    detail::working_memory memory_;
};

}  // namespace tweedie::guidance
