// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/elementwise.hpp>

#include <cmath>
#include <cstdint>
#include <type_traits>

namespace tweedie {

namespace detail {

/// What decoupled decay leaves of a parameter.
inline double kept(double learning_rate, const optim::weight_decay& decay) {
    return decay.where == optim::weight_decay::place::decoupled ? 1 - learning_rate * decay.rate : 1.0;
}

/// How an optimizer adds epsilon; `corrected` for those that leave no choice.
template <class Options>
optim::epsilon convention_of(const Options& o) {
    if constexpr (requires { o.convention; }) {
        return o.convention;
    } else {
        return optim::epsilon::corrected;
    }
}

/// The numbers that Adam and its relatives share.
template <class Scalar, class Options>
adam_numbers<Scalar> numbers_of_adam(const Options& o, std::uint64_t step) {
    const auto t = static_cast<double>(step);
    const double correction1 = 1 - std::pow(o.beta1, t);
    const double correction2 = 1 - std::pow(o.beta2, t);
    double rate = o.learning_rate / correction1;
    double scale = 1 / correction2;
    double inside = 0;
    double outside = o.eps;
    if (convention_of(o) == optim::epsilon::uncorrected) {
        rate *= std::sqrt(correction2);
        scale = 1;
    } else if (convention_of(o) == optim::epsilon::under_root) {
        inside = o.eps;
        outside = 0;
    }
    const auto narrow = [](double x) { return static_cast<Scalar>(x); };
    return {.beta1 = narrow(o.beta1),
            .rest1 = narrow(1 - o.beta1),
            .beta2 = narrow(o.beta2),
            .rest2 = narrow(1 - o.beta2),
            .keep = narrow(kept(o.learning_rate, o.decay)),
            .rate = narrow(rate),
            .scale = narrow(scale),
            .inside = narrow(inside),
            .outside = narrow(outside)};
}

template <class Options>
void require_adam(const char* name, const Options& o) {
    require_rate(name, o.learning_rate);
    require_beta(name, "beta1", o.beta1);
    require_beta(name, "beta2", o.beta2);
    require_not_negative(name, "eps", o.eps);
    require_not_negative(name, "decay", o.decay.rate);
}

template <class Options>
step_options common_options(const char* name, const char* method, const Options& o) {
    return {.name = name,
            .method = method,
            .clip = o.clip,
            .non_finite = o.non_finite,
            .coupled_decay = o.decay.where == optim::weight_decay::place::coupled ? o.decay.rate : 0.0};
}

template <class Options, class Parameters, class Gradients, class Scalar>
optim::step_result adam_step(const char* name, const Options& o, Parameters& parameters,
                             const Gradients& gradients, optim::state<Scalar>& state) {
    require_adam(name, o);
    return elementwise_step<2>(
        common_options(name, "adam", o), parameters, gradients, state,
        [&](const optim::tensor_record& tensor) { return numbers_of_adam<Scalar>(o, tensor.step); });
}

}  // namespace detail

namespace optim {

/// Adam: steps of about the learning rate, whatever the gradient's scale.
///
///     m = beta1 m + (1 - beta1) g            m_hat = m / (1 - beta1^t)
///     v = beta2 v + (1 - beta2) g^2          v_hat = v / (1 - beta2^t)
///     theta = theta - learning_rate m_hat / (sqrt(v_hat) + eps)
///
/// Source: Kingma and Ba 2014, arXiv:1412.6980, Algorithm 1. Deviation: none.
/// - cost    one pass: four arrays read, three written; state of two numbers per element; no allocation after
///           the first step (up to 128 tensors).
/// - errors  options, lists and states that do not fit throw `std::invalid_argument`, "adam: rule"; NaN is a
///           status.
/// - choose  `adamw` when there is weight decay.
struct adam {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< memory of the mean; in [0, 1)
    double beta2 = 0.999;         ///< memory of the square; in [0, 1)
    double eps = 1e-8;            ///< >= 0
    weight_decay decay = coupled(0);
    epsilon convention = epsilon::corrected;
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    /// One step on a tensor or a list of them; `state` is empty before the first.
    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        return detail::adam_step("adam", *this, parameters, gradients, state);
    }
};

/// AdamW: Adam with decoupled weight decay.
///
///     theta = (1 - learning_rate decay) theta - learning_rate m_hat / (sqrt(v_hat) + eps)
///
/// Source: Loshchilov and Hutter 2017, arXiv:1711.05101, Algorithm 2. Deviation: the decay is multiplied by
/// the learning rate, as in torch, and not by its schedule alone. State is that of `adam`.
/// - cost, errors  as `adam`.
struct adamw {
    double learning_rate = 1e-3;  ///< >= 0
    double beta1 = 0.9;           ///< memory of the mean; in [0, 1)
    double beta2 = 0.999;         ///< memory of the square; in [0, 1)
    double eps = 1e-8;            ///< >= 0
    weight_decay decay = decoupled(0.01);
    epsilon convention = epsilon::corrected;
    clipping clip{};
    on_non_finite non_finite = on_non_finite::refuse;

    template <parameter_set Parameters, parameter_set Gradients>
    step_result step(Parameters&& parameters, const Gradients& gradients,
                     optim::state<state_scalar_t<Parameters>>& state) const {
        return detail::adam_step("adamw", *this, parameters, gradients, state);
    }
};

}  // namespace optim

}  // namespace tweedie
