// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/host.hpp>

#include <concepts>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace tweedie {

/// A network that writes its output: `net(x, level, out)`.
template <class Network, class T>
concept writing_network = tensor<T> && requires(Network& network, const T& x, const network_level& at,
                                                T& out) { network(x, at, out); };

/// `accepts_result` with its parameters turned round, for use as a constraint on an expression.
template <class Result, class T>
concept result_for = accepts_result<T, Result>;

/// A network that returns its output: `out = net(x, level)`, a tensor of x's type or an expression of the
/// same scalar.
template <class Network, class T>
concept returning_network = tensor<T> && requires(Network& network, const T& x, const network_level& at) {
    { network(x, at) } -> result_for<T>;
};

/// A network for states of type `T`: a callable of the state and the `network_level`.
///
/// Semantics the compiler cannot check: the output has the shape of x, and is what the denoiser's
/// `prediction` says.
template <class Network, class T>
concept network_for = writing_network<Network, T> || returning_network<Network, T>;

namespace detail {

template <class Model>
inline constexpr bool is_denoiser_v = false;
template <class Network>
inline constexpr bool is_denoiser_v<denoiser<Network>> = true;

/// The state goes back to where it came from.
template <class Stepper, class X>
void write_back(const Stepper& s, X& x) {
    using view = std::remove_cv_t<X>;
    if constexpr (tensor<view>) {
        tensor_traits<view>::assign(x, s.x());
    } else {
        tensor_traits<view>::store(x, s.x());
    }
}

}  // namespace detail

/// A `denoiser`: a network with its convention.
template <class Model>
concept is_denoiser = detail::is_denoiser_v<Model>;

/// A state that `sample` can write its result to: a tensor that is not const, or a view of one.
template <class X>
concept writable_state =
    tensor_or_view<std::remove_cvref_t<X>> &&
    (tensor_view<std::remove_cvref_t<X>> || !std::is_const_v<std::remove_reference_t<X>>);

/// Hooks that fit a state of type `T`.
template <class Hooks, class T>
concept hooks_for = observer<decltype(Hooks::observe), T> && tensor_hook<decltype(Hooks::transform), T> &&
                    tensor_hook<decltype(Hooks::edit), T>;

/// The network of a denoiser, const if the denoiser is.
template <class Model>
using network_of = std::remove_reference_t<decltype(std::declval<Model&>().network())>;

namespace detail {

/// Runs a stepper to its end: `model` answers, `run` looks on, `after()` is called when an answer was used.
/// `steps` is what observers are told.
template <class T, class Stepper, class Model, class Hooks, class After = no_hook>
void drive(Stepper& s, Model& model, Hooks& run, std::size_t steps,
           [[maybe_unused]] const After& after = {}) {
    using traits = tensor_traits<T>;
    using network = network_of<Model>;
    constexpr bool observes = !std::same_as<decltype(run.observe), no_hook>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;
    constexpr bool edits = !std::same_as<decltype(run.edit), no_hook>;

    std::optional<T> seen_x;
    std::optional<T> seen_x0;
    const auto observe = [&](const T& output) {
        if constexpr (observes) {
            if (!s.at_step_start()) { return; }
            if (!seen_x) {
                seen_x.emplace(traits::like(s.x()));
                seen_x0.emplace(traits::like(s.x()));
            }
            s.examine(output, *seen_x, *seen_x0);
            const observation<T> seen{s.step(), steps,    s.at(),
                                      *seen_x,  *seen_x0, s.result().network_calls + 1};
            if constexpr (std::same_as<decltype(run.observe(seen)), verdict>) {
                if (run.observe(seen) == verdict::stop) { s.stop(); }
            } else {
                run.observe(seen);
            }
        }
    };
    const auto supply = [&](T& output) {  // the stepper may take it over
        observe(output);
        if (s.result().status != run_status::running) { return; }
        if constexpr (transforms) {
            s.supply(std::move(output), run.transform);
        } else {
            s.supply(std::move(output));
        }
        if constexpr (!std::same_as<After, no_hook>) { after(); }
    };

    std::optional<T> scratch;
    while (s.next()) {
        if constexpr (edits) {
            if (s.at_step_start()) { s.edit(run.edit); }
        }
        const auto asked = s.next();
        if constexpr (writing_network<network, T>) {
            if (!scratch) { scratch.emplace(traits::like(asked->x)); }
            model.network()(asked->x, asked->level, *scratch);
            supply(*scratch);
        } else {
            using result = decltype(model.network()(asked->x, asked->level));
            if constexpr (std::same_as<result, T>) {
                T output = model.network()(asked->x, asked->level);
                supply(output);
            } else {  // a reference, or an expression that must not outlive this line
                if (!scratch) { scratch.emplace(traits::like(asked->x)); }
                if (!traits::assign(*scratch, model.network()(asked->x, asked->level))) {
                    throw std::invalid_argument("network: the output must have the shape of x");
                }
                supply(*scratch);
            }
        }
    }
}

}  // namespace detail

/// Runs a plan from its first level to its last. The library owns the loop.
///
///     const auto levels = grid::karras(schedule, 10);
///     const auto plan   = solver::unipc{.order = 3}.plan(schedule, levels);
///     const auto result = sample(plan, model, x, noise{.seed = 7});
///
/// - `plan`    from a solver.
/// - `model`   a `denoiser`: the network and its convention.
/// - `x`       in: the state at the plan's first level (see `start_from_noise`); out: the state at its last.
///             A tensor or a view of one.
/// - `source`  noise of stochastic plans.
/// - `run`     see `hooks`.
/// - returns   how the run ended, network calls made, steps done. Check it: a non-finite output ends the run
///             where it came.
/// - cost      the plan's network calls; one pass over memory each; nothing is allocated after the start
///             unless the network allocates.
/// - errors    `std::invalid_argument`: an empty x, an output of another shape, a plan that draws without a
///             source, a level that does not determine x0. The network's own exceptions pass through; x is
///             then as it was.
template <class Model, class X, class Noise = no_noise, class... Hooks>
    requires writable_state<X> && is_denoiser<std::remove_cvref_t<Model>> &&
             network_for<network_of<Model>, owned_t<std::remove_cvref_t<X>>> &&
             noise_source<Noise, scalar_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const plan& p, Model&& model, X&& x, Noise source = {}, hooks<Hooks...> run = {}) {
    using T = owned_t<std::remove_cvref_t<X>>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;

    const program ready(p, model.convention(),
                        transforms ? output_column::data_prediction : output_column::network);
    stepper s(ready, std::as_const(x), std::move(source));
    detail::drive<T>(s, model, run, ready.steps());
    detail::write_back(s, x);
    return s.result();
}

/// The same for a deterministic plan with hooks.
template <class Model, class X, class... Hooks>
    requires writable_state<X> && is_denoiser<std::remove_cvref_t<Model>> &&
             network_for<network_of<Model>, owned_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const plan& p, Model&& model, X&& x, hooks<Hooks...> run) {
    return sample(p, std::forward<Model>(model), std::forward<X>(x), no_noise{}, std::move(run));
}

}  // namespace tweedie
