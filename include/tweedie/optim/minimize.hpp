// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/elementwise.hpp>
#include <tweedie/optim/learning_rate.hpp>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <type_traits>

namespace tweedie::detail {

struct own_rate {};  ///< of the optimizer
struct no_observer {};

}  // namespace tweedie::detail

namespace tweedie::optim {

/// How `minimize` ended.
enum class minimize_status {
    finished,    ///< all steps were taken
    converged,   ///< the gradient is as small as asked for
    stopped,     ///< the observer asked to stop
    non_finite,  ///< the value, or the gradient, was NaN or infinite; x is where that happened
};

/// What a status means and what to try, in one line.
[[nodiscard]] inline const char* to_string(minimize_status status) {
    switch (status) {
        case minimize_status::finished:
            return "finished: all steps were taken; ask for more if the gradient is not small";
        case minimize_status::converged: return "converged: the gradient's norm is as small as asked for";
        case minimize_status::stopped: return "stopped: the observer asked for it";
        case minimize_status::non_finite:
            return "non_finite: the value or the gradient became NaN or infinite at the step reported; try a "
                   "smaller "
                   "learning rate or clipping";
    }
    return "unknown";
}

/// What an observer of `minimize` sees before each step.
template <class X>
struct minimize_view {
    std::size_t step;
    double value;
    double gradient_norm;
    double learning_rate;
    const X& x;
    const X& gradient;
};

/// What an observer says.
enum class verdict { go_on, stop };

/// The outcome: where and why it ended, and the function there.
struct [[nodiscard]] minimize_result {
    minimize_status status = minimize_status::finished;
    std::size_t steps = 0;
    double value = 0;
    double gradient_norm = 0;

    /// True unless something was not finite.
    explicit operator bool() const { return status != minimize_status::non_finite; }
};

struct minimize_options {
    std::size_t steps = 1000;  ///< most steps
    double gradient_norm = 0;  ///< ends when the norm is at most this; >= 0
};

/// Minimises a function of one tensor with an optimizer: for people who have a function and its gradient.
///
///     const auto f = [](const std::vector<double>& x, std::vector<double>& gradient) { ...; return value; };
///     const auto result = minimize(f, x, adam{.learning_rate = 0.1}, {.steps = 500});
///
/// - f          `f(x, gradient)` returns the value at x and fills the gradient, a tensor like x.
/// - x          in: the start; out: where it ended.
/// - rate       the learning rate as a function of the step; the optimizer's own unless given.
/// - observe    `observe(minimize_view)` before each step; may return a `verdict`.
/// - cost       one call of f per step and one at the end; one tensor like x and the optimizer's state.
template <class Function, tensor X, class Optimizer, class Rate = detail::own_rate,
          class Observer = detail::no_observer>
    requires parameter_tensor<X> && requires(Function& f, const X& x, X& gradient) {
        { f(x, gradient) } -> std::convertible_to<double>;
    }
minimize_result minimize(Function&& f, X& x, Optimizer optimizer, const minimize_options& options = {},
                         const Rate& rate = {}, Observer&& observe = {}) {
    detail::require_not_negative("minimize", "gradient_norm", options.gradient_norm);
    X gradient = tensor_traits<X>::like(x);
    const X& here = x;
    state<state_scalar_t<X>> memory;
    minimize_result result;
    for (std::size_t step = 0;; ++step) {
        result.steps = step;
        result.value = f(here, gradient);
        detail::gathered_set<const X> slopes(gradient);
        result.gradient_norm = detail::norm_of(slopes);
        if (!std::isfinite(result.value) || !std::isfinite(result.gradient_norm)) {
            result.status = minimize_status::non_finite;
            return result;
        }
        if constexpr (!std::same_as<Rate, detail::own_rate>) {
            optimizer.learning_rate = rate(static_cast<double>(step));
        }
        if constexpr (!std::same_as<std::remove_cvref_t<Observer>, detail::no_observer>) {
            const minimize_view<X> view{step, result.value, result.gradient_norm, optimizer.learning_rate,
                                        here, gradient};
            if constexpr (std::same_as<decltype(observe(view)), verdict>) {
                if (observe(view) == verdict::stop) {
                    result.status = minimize_status::stopped;
                    return result;
                }
            } else {
                observe(view);
            }
        }
        if (result.gradient_norm <= options.gradient_norm) {
            result.status = minimize_status::converged;
            return result;
        }
        if (step == options.steps) { return result; }
        const step_result taken = optimizer.step(x, gradient, memory);
        if (!taken) {
            result.status = minimize_status::non_finite;
            return result;
        }
    }
}

}  // namespace tweedie::optim
