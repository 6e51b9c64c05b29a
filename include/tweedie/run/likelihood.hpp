// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <numbers>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie {

/// How the divergence of the flow is found.
enum class divergence {
    exact,       ///< one derivative per element of a sample
    rademacher,  ///< Hutchinson's estimate with random signs: no variance from the diagonal
    gaussian,    ///< Hutchinson's estimate with normal numbers
};

/// Options of `log_likelihood`.
struct likelihood_options {
    divergence trace = divergence::rademacher;
    std::size_t probes = 1;  ///< Hutchinson: random directions, averaged; > 0
    double step = 0.0;       ///< finite differences: length relative to the state's scale; 0: by precision
    double data_mean = 0.0;  ///< of all elements: the law at the noisiest level is taken as that of Gaussian
    double data_variance = 0.0;  ///< data, N(alpha mean, sigma^2 + alpha^2 variance); >= 0
};

/// The outcome of `log_likelihood`.
///
/// - `log_density`    per sample: the natural logarithm of the density of x, with respect to the elements.
/// - `network_calls`  calls made, those of derivatives by differences included.
/// - `derivatives`    Jacobian-vector products made.
struct [[nodiscard]] likelihood_result {
    run_status status = run_status::running;
    std::vector<double> log_density;
    std::size_t network_calls = 0;
    std::size_t derivatives = 0;
};

/// A Jacobian-vector product of a network: `jvp(x, level, direction, out)` writes the derivative of the
/// network's output along `direction` at the input x, both as the network sees them.
template <class Jvp, class T>
concept network_jvp = std::same_as<Jvp, no_hook> ||
                      (tensor<T> && requires(Jvp& jvp, const T& x, const network_level& at,
                                             const T& direction, T& out) { jvp(x, at, direction, out); });

namespace detail {

/// The unit vector of element `element` in every sample.
struct unit_stream {
    std::size_t element = 0;

    template <class Scalar>
    void operator()(std::size_t, std::size_t first, std::span<Scalar> out) const {
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = first + i == element ? Scalar{1} : Scalar{0};
        }
    }
};

/// Ones.
struct constant_stream {
    template <class Scalar>
    void operator()(std::size_t, std::size_t, std::span<Scalar> out) const {
        for (Scalar& v : out) { v = Scalar{1}; }
    }
};

/// The signs of another stream's numbers.
template <class Stream>
struct sign_stream {
    Stream stream;

    template <class Scalar>
    void operator()(std::size_t item, std::size_t first, std::span<Scalar> out) const {
        stream(item, first, out);
        for (Scalar& v : out) { v = v < Scalar{0} ? Scalar{-1} : Scalar{1}; }
    }
};

}  // namespace detail

/// The log-density of samples under the model's probability flow: the instantaneous change of variables along
/// it, from data to noise.
///
///     log p(x) = log p_noise(x_T) + int div(u) along the flow
///
/// In the angle theta = atan(sigma / alpha) with y = x / sqrt(alpha^2 + sigma^2), where dy/dtheta =
/// (cos(theta) y - x0_hat) / sin(theta) on every schedule and up to pure noise, by the classical Runge-Kutta
/// method, the divergence at the same four points.
/// Source: Chen et al. 2018, arXiv:1806.07366, theorem 1; Grathwohl et al. 2019, arXiv:1810.01367
/// (Hutchinson's trace); Song et al. 2021, arXiv:2011.13456, section 4.3.
///
///     const auto levels = grid::log_snr(schedule, 40, {.last = grid::final_level::sigma_min});
///     const auto result = log_likelihood(levels, model, x, noise{.seed = 7});
///
/// - `levels`  the way, noisy to clean as for sampling, walked backwards; sigma > 0 at its end. For data,
///             that end is a small sigma: the density is that of data with so much noise.
/// - `model`   a `denoiser`.
/// - `x`       samples at the last level.
/// - `source`  of the random directions, its `user` draws, one per probe: the same directions all the way, so
///             that the estimate is that of one fixed flow.
/// - `jvp`     exact derivatives; without one they are central differences, two network calls each.
/// - order     4 in the number of levels; the noisy end's law adds the error of calling it Gaussian (see
///             `likelihood_options`), which vanishes as sigma / alpha grows.
/// - cost      4 network calls per step and 4 derivatives per probe (per element with `divergence::exact`); 9
///             tensors.
/// - errors    `std::invalid_argument`: options out of range, levels that do not end above sigma = 0. A
///             non-finite output ends it with `run_status::non_finite`.
template <class Model, class X, class Noise = noise, class Jvp = no_hook>
    requires is_denoiser<std::remove_cvref_t<Model>> && grouped_tensor<X> &&
             network_for<network_of<Model>, X> && noise_source<Noise, scalar_t<X>> && network_jvp<Jvp, X>
likelihood_result log_likelihood(std::span<const level> levels, Model&& model, const X& x, Noise source = {},
                                 const likelihood_options& options = {}, Jvp jvp = {}) {
    using traits = tensor_traits<X>;
    if (levels.size() < 2) { throw std::invalid_argument("log_likelihood: need at least two levels"); }
    for (std::size_t i = 1; i < levels.size(); ++i) {
        if (!(levels[i].half_log_snr() > levels[i - 1].half_log_snr())) {
            throw std::invalid_argument("log_likelihood: half_log_snr must increase from level to level");
        }
    }
    if (!(levels.back().sigma > 0.0)) {
        throw std::invalid_argument("log_likelihood: the last level must have sigma > 0");
    }
    if (options.probes == 0) { throw std::invalid_argument("log_likelihood: probes must be positive"); }
    if (!(options.step >= 0.0 && std::isfinite(options.step))) {
        throw std::invalid_argument("log_likelihood: step must be finite and not negative");
    }
    if (!(options.data_variance >= 0.0 && std::isfinite(options.data_variance) &&
          std::isfinite(options.data_mean))) {
        throw std::invalid_argument(
            "log_likelihood: data_mean and data_variance must be finite, the variance not negative");
    }
    const std::size_t size = traits::size(x);
    if (size == 0) { throw std::invalid_argument("log_likelihood: x is empty"); }
    const std::size_t batch = traits::batch(x);
    const std::size_t elements = size / batch;
    const auto dimension = static_cast<double>(elements);

    likelihood_result result;
    result.log_density.assign(batch, 0.0);
    std::vector<double> trace(batch, 0.0);
    std::vector<double> product(batch, 0.0);
    X y = traits::like(x);
    X sum = traits::like(x);
    X stage = traits::like(x);
    X input = traits::like(x);
    X output = traits::like(x);
    X slope = traits::like(x);
    X direction = traits::like(x);
    X along = traits::like(x);
    X beyond = traits::like(x);
    bool finite = true;

    const auto combine = [&](X& to, std::initializer_list<double> weights,
                             std::initializer_list<const X*> from) {
        X* const written[] = {&to};
        finite = traits::affine(written, std::span<const double>(weights.begin(), weights.size()),
                                std::span<const X* const>(from.begin(), from.size())) &&
                 finite;
    };
    const auto evaluate = [&](const X& at_x, const network_level& at, X& to) {
        ++result.network_calls;
        detail::call_network(model.network(), at_x, at, to);
    };
    // adds weight <direction, J direction>, J the Jacobian of the network at `input`
    const double relative =
        options.step > 0.0 ? options.step : std::cbrt(std::same_as<scalar_t<X>, float> ? 6e-8 : 1.1e-16);
    const auto add_quadratic = [&](const network_level& at, double weight) {
        ++result.derivatives;
        if constexpr (!std::same_as<Jvp, no_hook>) {
            jvp(std::as_const(input), at, std::as_const(direction), along);
        } else {
            dot_groups<X>(input, input, product);
            double largest = 0.0;
            for (const double v : product) { largest = std::fmax(largest, v); }
            const double length = relative * std::fmax(1.0, std::sqrt(largest / dimension));
            combine(along, {1.0, length}, {&input, &direction});
            evaluate(along, at, beyond);
            combine(along, {1.0, -length}, {&input, &direction});
            evaluate(along, at, output);
            combine(along, {0.5 / length, -0.5 / length}, {&beyond, &output});
        }
        dot_groups<X>(direction, along, product);
        for (std::size_t b = 0; b < batch; ++b) { trace[b] += weight * product[b]; }
    };
    const auto trace_of_jacobian = [&](const network_level& at) {
        for (double& v : trace) { v = 0.0; }
        if (options.trace == divergence::exact) {
            for (std::size_t j = 0; j < elements; ++j) {
                traits::normal(direction, detail::unit_stream{j});
                add_quadratic(at, 1.0);
            }
            return;
        }
        for (std::size_t n = 0; n < options.probes; ++n) {
            auto stream = source.stream(draw_kind::user, static_cast<std::uint32_t>(n));
            if (options.trace == divergence::rademacher) {
                traits::normal(direction, detail::sign_stream<decltype(stream)>{std::move(stream)});
            } else {
                traits::normal(direction, stream);
            }
            add_quadratic(at, 1.0 / static_cast<double>(options.probes));
        }
    };
    // dy/dtheta at `state`, into `slope`; its divergence times `weight` is added to the result
    const auto flow = [&](const X& state, const level& at, double weight) {
        const network_call call = model.convention().call_at(at);
        combine(input, {call.input_scale}, {&state});
        evaluate(input, call.at, output);
        combine(slope, {(at.alpha - call.x0.x) / at.sigma, -call.x0.output / at.sigma}, {&state, &output});
        trace_of_jacobian(call.at);
        for (std::size_t b = 0; b < batch; ++b) {
            const double x0 = dimension * call.x0.x + call.x0.output * call.input_scale * trace[b];
            result.log_density[b] += weight * (dimension * at.alpha - x0) / at.sigma;
        }
    };
    const auto on_circle = [](const level& l) {
        const double radius = std::hypot(l.alpha, l.sigma);
        return level{std::atan2(l.sigma, l.alpha), l.alpha / radius, l.sigma / radius};
    };

    const double radius = std::hypot(levels.back().alpha, levels.back().sigma);
    combine(y, {1.0 / radius}, {&x});
    for (std::size_t i = levels.size() - 1; i > 0; --i) {
        const level s = on_circle(levels[i]);
        const level t = on_circle(levels[i - 1]);
        const double h = t.t - s.t;
        const double half = s.t + h / 2;
        const level m{half, std::cos(half), std::sin(half)};
        flow(y, s, h / 6);
        combine(sum, {1.0, h / 6}, {&y, &slope});
        combine(stage, {1.0, h / 2}, {&y, &slope});
        flow(stage, m, h / 3);
        combine(sum, {1.0, h / 3}, {&sum, &slope});
        combine(stage, {1.0, h / 2}, {&y, &slope});
        flow(stage, m, h / 3);
        combine(sum, {1.0, h / 3}, {&sum, &slope});
        combine(stage, {1.0, h}, {&y, &slope});
        flow(stage, t, h / 6);
        combine(y, {1.0, h / 6}, {&sum, &slope});
        if (!finite) {
            result.status = run_status::non_finite;
            return result;
        }
    }
    const level noisy = on_circle(levels.front());
    traits::normal(direction, detail::constant_stream{});
    combine(y, {1.0, -noisy.alpha * options.data_mean}, {&y, &direction});
    dot_groups<X>(y, y, product);
    const double variance = noisy.sigma * noisy.sigma + noisy.alpha * noisy.alpha * options.data_variance;
    for (std::size_t b = 0; b < batch; ++b) {
        result.log_density[b] -=
            0.5 * (product[b] / variance + dimension * std::log(2.0 * std::numbers::pi * variance)) +
            dimension * std::log(radius);
    }
    result.status = run_status::finished;
    return result;
}

}  // namespace tweedie
