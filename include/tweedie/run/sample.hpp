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
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

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

/// What a `combined_model` answers a query with.
enum class answer_kind {
    outputs,          ///< all outputs of a call that has several
    output,           ///< the one output, combined from several evaluations
    data_prediction,  ///< x0_hat, in the first tensor
};

/// A model that asks several networks, or one network several things, at each call: `guidance::guided`.
///
/// - `gives`             which kind of answer.
/// - `fold(p, column)`   itself and its convention folded into a plan (see `tweedie::fold`), with the number
///                       of evaluations of each call.
/// - `outputs()`         how many tensors it works in.
/// - `answer(s, tensors)`  answers the pending query of the stepper.
template <class Model, class T>
concept combined_model =
    tensor<T> && requires(Model& model, const plan& p, const stepper<T>& s, std::span<T* const> tensors) {
        { std::remove_cvref_t<Model>::gives } -> std::convertible_to<answer_kind>;
        { model.fold(p, output_column::network) } -> std::same_as<plan>;
        { model.outputs() } -> std::same_as<std::size_t>;
        model.answer(s, tensors);
    };

/// What `sample` takes for a network: a `denoiser` of states of type `T`, or a `combined_model`.
template <class Model, class T>
concept model_for = (is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, T>) ||
                    combined_model<Model, T>;

namespace detail {

/// The program of a plan for a model.
template <class Model>
[[nodiscard]] program program_for(const plan& p, const Model& model, bool transforms) {
    const output_column column = transforms ? output_column::data_prediction : output_column::network;
    if constexpr (is_denoiser<Model>) {
        return {p, model.convention(), column};
    } else {
        return {p, model, column};
    }
}

}  // namespace detail

namespace detail {

template <class Model>
inline constexpr bool gives_data_prediction = false;
template <class Model>
    requires requires { std::remove_cvref_t<Model>::gives; }
inline constexpr bool gives_data_prediction<Model> =
    std::remove_cvref_t<Model>::gives == answer_kind::data_prediction;

/// Runs a stepper to its end: `model` answers, `run` looks on, `after()` is called when an answer was used.
/// `steps` is what observers are told.
template <class T, class Stepper, class Model, class Hooks, class After = no_hook>
void drive(Stepper& s, Model& model, Hooks& run, std::size_t steps,
           [[maybe_unused]] const After& after = {}) {
    using traits = tensor_traits<T>;
    constexpr bool observes = !std::same_as<decltype(run.observe), no_hook>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;
    constexpr bool edits = !std::same_as<decltype(run.edit), no_hook>;

    std::optional<T> seen_x;
    std::optional<T> seen_x0;
    const auto observe = [&]([[maybe_unused]] const auto& output) {
        if constexpr (observes) {
            if (!s.at_step_start()) { return; }
            if (!seen_x) {
                seen_x.emplace(traits::like(s.x()));
                seen_x0.emplace(traits::like(s.x()));
            }
            std::size_t evaluations = s.result().network_calls + 1;
            if constexpr (requires { s.evaluations(); }) { evaluations += s.evaluations() - 1; }
            if constexpr (gives_data_prediction<Model>) {
                s.examine(*seen_x);
                traits::assign(*seen_x0, output);
            } else {
                s.examine(output, *seen_x, *seen_x0);
            }
            const observation<T> seen{s.step(), steps, s.at(), *seen_x, *seen_x0, evaluations};
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

    [[maybe_unused]] const auto running = [&] { return s.result().status == run_status::running; };
    std::optional<T> scratch;
    std::vector<T> tensors;
    std::vector<T*> outputs;
    while (s.next()) {
        if constexpr (edits) {
            if (s.at_step_start()) { s.edit(run.edit); }
        }
        const auto asked = s.next();
        if constexpr (!is_denoiser<std::remove_cvref_t<Model>>) {
            if (outputs.empty()) {
                while (tensors.size() < model.outputs()) { tensors.push_back(traits::like(asked->x)); }
                for (T& tensor : tensors) { outputs.push_back(&tensor); }
            }
            constexpr bool weighs = !observes && !transforms && requires {
                model.weigh(std::as_const(s), std::span<T* const>(outputs)).weights;
            };
            if constexpr (weighs) {
                const auto blend = model.weigh(std::as_const(s), std::span<T* const>(outputs));
                if (!blend.weights.empty()) {
                    s.supply_blend(blend.tensors, blend.weights);
                    continue;
                }
            } else {
                model.answer(std::as_const(s), std::span<T* const>(outputs));
            }
            if constexpr (std::remove_cvref_t<Model>::gives == answer_kind::output) {
                supply(tensors[0]);
            } else if constexpr (std::remove_cvref_t<Model>::gives == answer_kind::data_prediction) {
                observe(tensors[0]);
                if (!running()) { return; }
                if constexpr (transforms) { run.transform(tensors[0], s.at()); }
                s.supply_data_prediction(std::move(tensors[0]));
            } else {
                observe(std::span<const T* const>(outputs.data(), outputs.size()));
                if (!running()) { return; }
                if constexpr (transforms) {
                    s.supply(std::span<T* const>(outputs), run.transform);
                } else {
                    s.supply(std::span<T* const>(outputs));
                }
            }
        } else if constexpr (writing_network<network_of<Model>, T>) {
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
/// - `model`   a `denoiser`: the network and its convention; or several of them, `guidance::guided`.
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
    requires writable_state<X> && model_for<Model, owned_t<std::remove_cvref_t<X>>> &&
             noise_source<Noise, scalar_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const plan& p, Model&& model, X&& x, Noise source = {}, hooks<Hooks...> run = {}) {
    using T = owned_t<std::remove_cvref_t<X>>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;

    const program ready = detail::program_for(p, model, transforms);
    stepper s(ready, std::as_const(x), std::move(source));
    detail::drive<T>(s, model, run, ready.steps());
    detail::write_back(s, x);
    return s.result();
}

/// The same for a deterministic plan with hooks.
template <class Model, class X, class... Hooks>
    requires writable_state<X> && model_for<Model, owned_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const plan& p, Model&& model, X&& x, hooks<Hooks...> run) {
    return sample(p, std::forward<Model>(model), std::forward<X>(x), no_noise{}, std::move(run));
}

}  // namespace tweedie
