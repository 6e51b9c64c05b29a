// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>

namespace tweedie::optim {

/// How parameters are drawn to zero: `coupled(rate)` or `decoupled(rate)`, two different methods.
struct weight_decay {
    enum class place { coupled, decoupled };
    double rate = 0;  ///< >= 0; 0: none
    place where = place::decoupled;
};

/// Added to the gradient, `g + rate * theta`: an L2 penalty of the loss, which the optimizer then rescales.
[[nodiscard]] inline weight_decay coupled(double rate) { return {rate, weight_decay::place::coupled}; }

/// Taken off beside the gradient step, `theta - learning_rate * rate * theta`. Source: Loshchilov and Hutter
/// 2017, arXiv:1711.05101.
[[nodiscard]] inline weight_decay decoupled(double rate) { return {rate, weight_decay::place::decoupled}; }

/// Where epsilon is added to the root of the second moment. Programs differ: at the first step the second is
/// 1 / sqrt(1 - beta2) (31.6 for 0.999) times the first in effect.
enum class epsilon {
    corrected,    ///< sqrt(v_hat) + epsilon, v_hat = v / (1 - beta2^t): the paper's algorithm, torch
    uncorrected,  ///< sqrt(v) + epsilon before the bias correction: the paper's "epsilon hat", TensorFlow
    under_root,   ///< sqrt(v_hat + epsilon)
};

/// What is done to the gradients of all tensors of a call before anything else; nothing unless said. In this
/// order: the scale, the norm, the value.
struct clipping {
    /// the largest Euclidean norm of all gradients together; longer ones are scaled down to it; > 0
    double norm = std::numeric_limits<double>::infinity();
    double value = std::numeric_limits<double>::infinity();  ///< the largest |element|; > 0
    double scale = 1;  ///< multiplies them: 1 / loss scale, -1 to go uphill; finite
};

/// What to do about gradients that are NaN or infinite.
enum class on_non_finite {
    /// look at all of them first, and change nothing if one is not finite; reads them once more, which makes
    /// a step of Adam up to a quarter longer where tensors do not fit in the cache
    refuse,
    /// find out on the way, when it is too late: for gradients that were checked before
    report,
};

/// How a step ended.
enum class step_status {
    done,
    gradient_not_finite,   ///< parameters and state were left as they were
    parameter_not_finite,  ///< found after the step: a parameter overflowed, or a gradient was not checked
};

/// What a status means and what to try, in one line.
[[nodiscard]] inline const char* to_string(step_status status) {
    switch (status) {
        case step_status::done: return "done";
        case step_status::gradient_not_finite:
            return "gradient_not_finite: a gradient is NaN or infinite, nothing was changed; skip the batch, "
                   "or "
                   "check the loss and its scale";
        case step_status::parameter_not_finite:
            return "parameter_not_finite: a parameter is NaN or infinite after the step; go back to the last "
                   "good "
                   "state, with a smaller learning rate or clipping";
    }
    return "unknown";
}

/// The outcome of a step.
/// - tensor         the first tensor at fault.
/// - gradient_norm  before clipping; only where `clipping::norm` asked for it, otherwise 0.
struct [[nodiscard]] step_result {
    step_status status = step_status::done;
    std::size_t tensor = 0;
    double gradient_norm = 0;

    explicit operator bool() const { return status == step_status::done; }
    friend bool operator==(const step_result&, const step_result&) = default;
};

}  // namespace tweedie::optim

namespace tweedie::detail {

[[noreturn]] inline void refuse_option(const char* name, const std::string& rule) {
    throw std::invalid_argument(std::string(name) + ": " + rule);
}

// Negated comparisons, so that NaN is refused.

inline void require_rate(const char* name, double learning_rate) {
    if (!(learning_rate >= 0) || !std::isfinite(learning_rate)) {
        refuse_option(name, "learning_rate must be finite and not negative");
    }
}
inline void require_beta(const char* name, const char* which, double beta) {
    if (!(beta >= 0) || !(beta < 1)) { refuse_option(name, std::string(which) + " must be in [0, 1)"); }
}
inline void require_not_negative(const char* name, const char* which, double value) {
    if (!(value >= 0) || !std::isfinite(value)) {
        refuse_option(name, std::string(which) + " must be finite and not negative");
    }
}
inline void require_positive(const char* name, const char* which, double value) {
    if (!(value > 0)) { refuse_option(name, std::string(which) + " must be > 0"); }
}

}  // namespace tweedie::detail
