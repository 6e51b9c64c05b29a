// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// The gradient, with respect to the noisy state, of what a sample is drawn towards:
///
///     gradient(x, level, x0_hat, out)          out = grad_x log p(y | x), or -grad_x of an energy
///
/// `level` and x are those of the network's schedule, `x0_hat` is the network's prediction there.
template <class Gradient, class T>
concept state_gradient = tensor<T> && requires(Gradient& gradient, const T& x, const level& at, T& out) {
    gradient(x, at, x, out);
};

/// The gradient, with respect to clean data, of a log-likelihood or reward: `gradient(x0, out)`.
template <class Gradient, class T>
concept data_gradient = tensor<T> && requires(Gradient& gradient, const T& x0, T& out) { gradient(x0, out); };

/// A weight of the gradient at each noise level.
struct constant_weight {
    double value = 1.0;
    [[nodiscard]] double operator()(const level&) const { return value; }
};

/// A denoiser whose score has a term added: what `with_gradient` makes.
template <is_denoiser Model, class Gradient, class Weight>
class gradient_network {
public:
    gradient_network(Model model, Gradient gradient, Weight weight)
        : ask_(std::move(model)), gradient_(std::move(gradient)), weight_(std::move(weight)) {}

    template <tensor T>
        requires network_for<network_of<Model>, T> && state_gradient<Gradient, T>
    void operator()(const T& x, const level& at, T& x0_hat) {
        ask_(x, at, x0_hat);
        // Noise alone says nothing of the condition, and what is clean cannot be moved.
        if (at.alpha == 0.0 || at.sigma == 0.0) { return; }
        const double weight = weight_(at);
        if (!std::isfinite(weight)) {
            throw std::invalid_argument("with_gradient: the weight must be finite");
        }
        if (weight == 0.0) { return; }
        auto& memory = memory_.template as<std::optional<T>>();
        T& term = detail::fitting(memory, x);
        gradient_(x, at, std::as_const(x0_hat), term);
        if (!tensor_traits<T>::same_shape(term, x)) {
            throw std::invalid_argument("with_gradient: the gradient must have the shape of x");
        }
        T* const written[] = {&x0_hat};
        const T* const read[] = {&x0_hat, &term};
        const double weights[] = {1.0, weight * at.sigma * at.sigma / at.alpha};
        tensor_traits<T>::affine(written, weights, read);
    }

private:
    evaluator<Model> ask_;
    Gradient gradient_;
    Weight weight_;
    detail::working_memory memory_;
};

/// Gradient guidance: a denoiser drawn towards a condition by a gradient that is given. Classifier guidance,
/// energy guidance, guidance by any reward:
///
///     score'  = score  + weight grad_x log p(y | x)
///     x0_hat' = x0_hat + weight sigma^2 / alpha grad_x log p(y | x)
///
/// Source: Dhariwal and Nichol 2021, arXiv:2105.05233, section 4 (a classifier's gradient); Song et al. 2020,
/// arXiv:2011.13456, equation 14. With the exact gradient and weight 1 the samples are those of the
/// condition; with any weight it is classifier-free guidance, since grad log p(y | x) is the difference of
/// the two scores.
///
///     const auto gradient = [&](const T& x, const level& at, const T& x0_hat, T& out) { ... };
///     sample(plan, with_gradient(model, gradient, 2.0), x);
///
/// - `model`     a denoiser; kept by value.
/// - `gradient`  see `state_gradient`; `through` makes one of a gradient with respect to clean data.
/// - `weight`    a number, or a function of the level.
/// - returns     a denoiser that predicts data, for any plan.
/// - cost        the network's call, the gradient's, and up to three passes.
/// - errors      `std::invalid_argument`: a weight that is not finite, a gradient of another shape. A
///               gradient that is not finite ends the run with `run_status::non_finite`.
template <is_denoiser Model, class Gradient, class Weight>
    requires std::is_invocable_r_v<double, Weight&, const level&>
[[nodiscard]] auto with_gradient(Model model, Gradient gradient, Weight weight) {
    const any_schedule schedule = model.convention().schedule();
    return denoiser(
        gradient_network<Model, Gradient, Weight>(std::move(model), std::move(gradient), std::move(weight)),
        prediction::x0, schedule);
}

template <is_denoiser Model, class Gradient>
[[nodiscard]] auto with_gradient(Model model, Gradient gradient, double weight = 1.0) {
    if (!std::isfinite(weight)) { throw std::invalid_argument("with_gradient: the weight must be finite"); }
    return with_gradient(std::move(model), std::move(gradient), constant_weight{weight});
}

/// The product of the transposed Jacobian of the denoiser with a vector: `product(x, level, v, out)`,
/// out = J^T v, J = d x0_hat / d x.
template <class Product, class T>
concept jacobian_product =
    tensor<T> && requires(Product& product, const T& x, const level& at, T& out) { product(x, at, x, out); };

/// J^T v by two evaluations of the denoiser, for those that cannot differentiate:
///
///     J^T v = J v ~ (x0_hat(x + h v) - x0_hat(x - h v)) / (2 h),     |h v| = step * sigma for each sample
///
/// Exact but for the step where the Jacobian is symmetric: it is alpha / sigma^2 times the covariance of the
/// data given x for the true data prediction, and nearly so for a network that was trained well.
/// - cost    two network calls, three passes.
/// - errors  `std::invalid_argument`: a step that is not positive.
template <is_denoiser Model>
class symmetric_difference {
public:
    /// - `step`  length of the step in units of sigma; about 1e-3 in double, 1e-1 in float.
    explicit symmetric_difference(Model model, double step = 1e-3) : ask_(std::move(model)), step_(step) {
        if (!(step > 0.0 && std::isfinite(step))) {
            throw std::invalid_argument("symmetric_difference: step must be positive");
        }
    }

    template <grouped_tensor T>
    void operator()(const T& x, const level& at, const T& v, T& out) {
        using traits = tensor_traits<T>;
        auto& memory = memory_.template as<tensors<T>>();
        T& probe = detail::fitting(memory.probe, x);
        T& minus = detail::fitting(memory.minus, x);
        const std::size_t samples = traits::batch(x);
        norms_.resize(samples);
        weights_.resize(2 * samples);
        dot_groups(v, v, std::span<double>(norms_));
        const auto move = [&](double sign) {
            for (std::size_t s = 0; s < samples; ++s) {
                weights_[2 * s] = 1.0;
                weights_[2 * s + 1] = norms_[s] > 0.0 ? sign * step_ * at.sigma / std::sqrt(norms_[s]) : 0.0;
            }
            T* const written[] = {&probe};
            const T* const read[] = {&x, &v};
            affine_groups<T>(written, weights_, read, samples);
        };
        move(-1.0);
        ask_(probe, at, minus);
        move(1.0);
        ask_(probe, at, out);
        for (std::size_t s = 0; s < samples; ++s) {
            const double h = weights_[2 * s + 1];
            weights_[2 * s] = h > 0.0 ? 0.5 / h : 0.0;
            weights_[2 * s + 1] = -weights_[2 * s];
        }
        T* const written[] = {&out};
        const T* const read[] = {&out, &minus};
        affine_groups<T>(written, weights_, read, samples);
    }

    /// Network calls made.
    [[nodiscard]] std::size_t calls() const { return ask_.calls(); }

private:
    template <class T>
    struct tensors {
        std::optional<T> probe;
        std::optional<T> minus;
    };

    evaluator<Model> ask_;
    double step_;
    detail::working_memory memory_;
    std::vector<double> norms_;
    std::vector<double> weights_;
};

/// A gradient with respect to clean data as one with respect to the noisy state, through the denoiser:
///
///     grad_x f(x0_hat(x)) = J^T (grad f)(x0_hat)
///
/// Source: Bansal et al. 2023, arXiv:2302.07121 (universal guidance, forward); Chung et al. 2022,
/// arXiv:2209.14687. As a likelihood of the noisy state it is an approximation: it takes x0_hat for the data
/// (see `loss_guided`).
/// - `gradient`  `gradient(x0, out)`, of a log-likelihood or of minus a loss.
/// - `product`   J^T v, see `jacobian_product`: yours by automatic differentiation, or
///               `symmetric_difference`.
template <class DataGradient, class Product>
class through {
public:
    through(DataGradient gradient, Product product)
        : gradient_(std::move(gradient)), product_(std::move(product)) {}

    template <tensor T>
        requires data_gradient<DataGradient, T> && jacobian_product<Product, T>
    void operator()(const T& x, const level& at, const T& x0_hat, T& out) {
        T& v = detail::fitting(memory_.template as<std::optional<T>>(), x);
        gradient_(x0_hat, v);
        product_(x, at, std::as_const(v), out);
    }

private:
    DataGradient gradient_;
    Product product_;
    detail::working_memory memory_;
};

}  // namespace tweedie::guidance
