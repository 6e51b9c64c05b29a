// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/denoiser.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/contiguous.hpp>
#include <tweedie/verify/exactness.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// A matrix with one sample per column, as a tensor.
struct columns {
    Eigen::MatrixXd values;
};

}  // namespace tweedie::detail

namespace tweedie {

template <>
struct tensor_traits<detail::columns> : contiguous_tensor_traits<detail::columns, double> {
    static double* data(detail::columns& x) { return x.values.data(); }
    static const double* data(const detail::columns& x) { return x.values.data(); }
    static std::size_t size(const detail::columns& x) { return static_cast<std::size_t>(x.values.size()); }
    static std::size_t batch(const detail::columns& x) { return static_cast<std::size_t>(x.values.cols()); }
    static detail::columns like(const detail::columns& x) {
        return {Eigen::MatrixXd(x.values.rows(), x.values.cols())};
    }
};

}  // namespace tweedie

namespace tweedie::verify {

/// A convergence order, and what it was measured on.
///
/// - `order`   least-squares slope of -ln error over ln steps.
/// - `steps`   the numbers of steps.
/// - `errors`  the error at each of them.
/// - `spread`  largest distance of a ln error from the line. Above 0.1 there is no one order in this range:
///             the steps are too few, or the errors are those of rounding or of the reference.
struct measured {
    double order = 0.0;
    std::vector<int> steps;
    std::vector<double> errors;
    double spread = 0.0;
};

/// The order at which errors fall with the number of steps.
/// - `steps`   at least two different ones, > 0.
/// - `errors`  as many, > 0 and finite.
/// - errors    `std::invalid_argument` otherwise.
[[nodiscard]] inline measured fit_order(std::span<const int> steps, std::span<const double> errors) {
    if (steps.size() != errors.size() || steps.size() < 2) {
        throw std::invalid_argument("fit_order: need at least two numbers of steps, and one error for each");
    }
    const auto n = static_cast<double>(steps.size());
    std::vector<double> x;
    std::vector<double> y;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        if (!(steps[i] > 0)) { throw std::invalid_argument("fit_order: steps must be positive"); }
        if (!(errors[i] > 0.0 && std::isfinite(errors[i]))) {
            throw std::invalid_argument("fit_order: the error at " + std::to_string(steps[i]) +
                                        " steps must be positive and finite");
        }
        x.push_back(std::log(static_cast<double>(steps[i])));
        y.push_back(std::log(errors[i]));
    }
    double mean_x = 0.0;
    double mean_y = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        mean_x += x[i] / n;
        mean_y += y[i] / n;
    }
    double xx = 0.0;
    double xy = 0.0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx += (x[i] - mean_x) * (x[i] - mean_x);
        xy += (x[i] - mean_x) * (y[i] - mean_y);
    }
    if (!(xx > 0.0)) {
        throw std::invalid_argument("fit_order: need at least two different numbers of steps");
    }
    measured out{-xy / xx, {steps.begin(), steps.end()}, {errors.begin(), errors.end()}, 0.0};
    for (std::size_t i = 0; i < x.size(); ++i) {
        out.spread = std::max(out.spread, std::abs(y[i] - mean_y + out.order * (x[i] - mean_x)));
    }
    return out;
}

/// Measures the order of anything that has a number of steps and an error.
///
///     const auto m = verify::measured_order([&](int n) { return error_of(my_sampler(n)); }, {40, 80, 160});
///
/// - `error_at`  callable `double(int steps)`.
/// - `steps`     geometric ones weigh equally; doubling once or twice is enough.
template <class Error>
    requires std::is_invocable_r_v<double, Error&, int>
[[nodiscard]] measured measured_order(Error&& error_at, std::span<const int> steps) {
    std::vector<double> errors;
    for (const int n : steps) { errors.push_back(error_at(n)); }
    return fit_order(steps, errors);
}

template <class Error>
    requires std::is_invocable_r_v<double, Error&, int>
[[nodiscard]] measured measured_order(Error&& error_at, std::initializer_list<int> steps) {
    return measured_order(error_at, std::span<const int>(steps.begin(), steps.size()));
}

/// A solver: something that writes a plan for levels of a schedule.
template <class Solver>
concept plan_solver =
    requires(const Solver& solver, const any_schedule& schedule, std::span<const level> levels) {
        { solver.plan(schedule, levels) } -> std::convertible_to<plan>;
    };

/// Runs a plan on a matrix of samples with a data prediction; the library's own `sample`, in double.
///
/// - `p`         from a solver, not folded.
/// - `denoise`   a `data_prediction` on the levels of `schedule`.
/// - `starts`    one sample per column, at the plan's first level.
/// - `source`    noise, for stochastic plans.
/// - returns     the samples at the plan's last level; the state where it stopped holds NaN if the run did
///               not finish.
template <data_prediction Denoise, noise_schedule Schedule, class Noise = no_noise>
[[nodiscard]] Eigen::MatrixXd run_plan(const plan& p, const Denoise& denoise, const Schedule& schedule,
                                       const Eigen::Ref<const Eigen::MatrixXd>& starts, Noise source = {}) {
    const denoiser model(
        [&](const detail::columns& x, const network_level& at, detail::columns& out) {
            out.values = detail::predict_data(denoise, x.values, at);
        },
        prediction::x0, schedule);
    detail::columns x{starts};
    if (!sample(p, model, x, std::move(source))) {
        x.values.setConstant(std::numeric_limits<double>::quiet_NaN());
    }
    return std::move(x.values);
}

/// Where and on what a solver is measured.
///
/// - `starts`  samples at the first level, one per column; ten or more, so that the median is not one of the
///             few that bend most.
/// - `ends`    the exact ends of their flow, from `reference_flow`.
/// - `steps`   numbers of steps; the range where the error is well above rounding and the slope does not
///             change.
struct order_problem {
    Eigen::MatrixXd starts;
    Eigen::MatrixXd ends;
    std::vector<int> steps = {40, 57, 80, 113, 160};
};

/// Measures the order of a solver: median over samples of the root mean square error of the ends, over the
/// number of steps.
///
///     const auto levels = [&](int n) {
///         return grid::log_snr(schedule, n, {.last = grid::final_level::sigma_min});
///     };
///     const auto ends = verify::reference_flow(mix, schedule, levels(1).front(), levels(1).back(), starts);
///     const auto m = verify::measured_order(my_solver{}, schedule, levels, mix,
///                                           {.starts = starts, .ends = ends.x});
///
/// - `solver`    has `plan(schedule, levels)`; yours or ours. Turn off options that lower the order of some
///               steps.
/// - `schedule`  that of the levels and of `denoise`.
/// - `levels`    callable: number of steps to levels. A family whose steps shrink everywhere: each interval's
///               share of the whole must converge. End at sigma > 0: the step to sigma = 0 is of first order
///               in any method.
/// - `denoise`   a smooth exact denoiser, a mixture for choice: on a Gaussian too much is exact.
/// - errors      `std::invalid_argument`: shapes that disagree, an error that is 0 or not finite.
template <plan_solver Solver, noise_schedule Schedule, class Levels, data_prediction Denoise>
    requires std::is_invocable_r_v<std::vector<level>, const Levels&, int>
[[nodiscard]] measured measured_order(const Solver& solver, const Schedule& schedule, const Levels& levels,
                                      const Denoise& denoise, const order_problem& problem) {
    const any_schedule any(schedule);
    const auto error_at = [&](int steps) {
        const std::vector<level> nodes = levels(steps);
        const plan p = solver.plan(any, nodes);
        return median_rms(run_plan(p, denoise, schedule, problem.starts), problem.ends);
    };
    return measured_order(error_at, problem.steps);
}

}  // namespace tweedie::verify
