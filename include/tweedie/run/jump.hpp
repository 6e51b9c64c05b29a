// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace tweedie {

/// A plan whose first level is reached by a jump: a move of the state from one noise level to another that
/// asks no network.
///
/// - `p.jump()`  moves a state `x` at level `p.jump().from()` to `p.jump().to()`: `p.jump()(x)`, in place.
/// - `p.rest()`  the plan from there.
///
/// Semantics the compiler cannot check: the plan's first level is `p.jump().to()`.
template <class P, class T>
concept jumped_plan = tensor<T> && requires(const P& p, T& x) {
    { p.rest() } -> std::same_as<const plan&>;
    { p.jump().from() } -> std::convertible_to<level>;
    { p.jump().to() } -> std::convertible_to<level>;
    p.jump()(x);
};

/// Jumps, then runs the plan: `sample` for plans with such a prefix (`analytic::teleport`).
///
///     const analytic::teleport jump(data, schedule, 5.0);
///     start_from_noise(x, jump.from(), noise{.seed = 7});
///     const auto result = sample(jump.then(plan), model, x);
///
/// - `p`       the jump and the plan.
/// - `x`       in: the state at `p.jump().from()`; out: the state at the plan's last level.
/// - hooks     see the plan's run, not the jump.
/// - cost      the plan's network calls, and the jump.
/// - errors    those of the jump and those of `sample` for plans; x is then as it was.
/// Everything else as `sample` for plans.
template <class P, class Model, class X, class Noise = no_noise, class... Hooks>
    requires writable_state<X> && jumped_plan<P, owned_t<std::remove_cvref_t<X>>> &&
             model_for<Model, owned_t<std::remove_cvref_t<X>>> &&
             noise_source<Noise, scalar_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const P& p, Model&& model, X&& x, Noise source = {}, hooks<Hooks...> run = {}) {
    using T = owned_t<std::remove_cvref_t<X>>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;

    const program ready = detail::program_for(p.rest(), model, transforms);
    T start = detail::owned_copy<T>(std::as_const(x));
    p.jump()(start);
    stepper s(ready, std::move(start), std::move(source));
    detail::drive<T>(s, model, run, ready.steps());
    detail::write_back(s, x);
    return s.result();
}

/// The same for a deterministic plan with hooks.
template <class P, class Model, class X, class... Hooks>
    requires writable_state<X> && jumped_plan<P, owned_t<std::remove_cvref_t<X>>> &&
             model_for<Model, owned_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>>
run_result sample(const P& p, Model&& model, X&& x, hooks<Hooks...> run) {
    return sample(p, std::forward<Model>(model), std::forward<X>(x), no_noise{}, std::move(run));
}

}  // namespace tweedie
