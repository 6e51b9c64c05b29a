// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/loop.hpp>
#include <tweedie/run/loop_stepper.hpp>
#include <tweedie/run/sample.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace tweedie {

/// Runs a data-dependent sampler; the same door as for plans, see `sample` there.
///
///     const auto method = solver::dpm_adaptive{.rtol = 0.05}.loop(schedule, levels);
///     const auto result = sample(method, model, x, noise{.seed = 7});
///
/// - `method`  a loop; it is copied, so it can be run again.
/// - `run`     hooks; an observer's `steps` is 0, since nobody knows it beforehand. Where a method keeps more
///             than the state (Runge-Kutta pairs), an `edit` is refused.
/// - batches   samples share the levels. An adaptive method takes the step that the worst sample allows: to
///             have each sample independent of its neighbours, run it alone.
template <loop Loop, class Model, class X, class Noise = no_noise, class... Hooks>
    requires writable_state<X> && is_denoiser<std::remove_cvref_t<Model>> &&
             network_for<network_of<Model>, owned_t<std::remove_cvref_t<X>>> &&
             noise_source<Noise, scalar_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>> &&
             grouped_tensor<owned_t<std::remove_cvref_t<X>>>
run_result sample(const Loop& method, Model&& model, X&& x, Noise source = {}, hooks<Hooks...> run = {}) {
    using T = owned_t<std::remove_cvref_t<X>>;
    constexpr bool transforms = !std::same_as<decltype(run.transform), no_hook>;
    loop_stepper s(method, model.convention(), std::as_const(x), std::move(source),
                   transforms ? output_column::data_prediction : output_column::network);
    detail::drive<T>(s, model, run, 0);
    detail::write_back(s, x);
    return s.result();
}

/// The same for a deterministic loop with hooks.
template <loop Loop, class Model, class X, class... Hooks>
    requires writable_state<X> && is_denoiser<std::remove_cvref_t<Model>> &&
             network_for<network_of<Model>, owned_t<std::remove_cvref_t<X>>> &&
             hooks_for<hooks<Hooks...>, owned_t<std::remove_cvref_t<X>>> &&
             grouped_tensor<owned_t<std::remove_cvref_t<X>>>
run_result sample(const Loop& method, Model&& model, X&& x, hooks<Hooks...> run) {
    return sample(method, std::forward<Model>(model), std::forward<X>(x), no_noise{}, std::move(run));
}

/// Runs a loop with dense output, and hands over the state at every level asked for: `receive(i, x)` for
/// `levels[i]`, at no network call.
///
///     sample_at(solver::runge_kutta_pair{}.loop(schedule, ends), model, x, levels,
///               [&](std::size_t i, const auto& at_level) { frames[i] = at_level; });
///
/// - `levels`   from noisy to clean; those outside the way of the loop are never received.
/// - `receive`  called in the order of the levels, with a const view that is valid during the call.
/// - cost       one pass over memory per level.
template <dense_loop Loop, class Model, class X, class Receive>
    requires writable_state<X> && is_denoiser<std::remove_cvref_t<Model>> &&
             network_for<network_of<Model>, owned_t<std::remove_cvref_t<X>>> &&
             grouped_tensor<owned_t<std::remove_cvref_t<X>>> &&
             std::invocable<Receive&, std::size_t, const owned_t<std::remove_cvref_t<X>>&>
run_result sample_at(const Loop& method, Model&& model, X&& x, std::span<const level> levels,
                     Receive&& receive) {
    using T = owned_t<std::remove_cvref_t<X>>;
    loop_stepper s(method, model.convention(), std::as_const(x));
    T here = tensor_traits<T>::like(s.x());
    std::size_t i = 0;
    const auto hand_over = [&] {
        if (!s.method().has_dense()) { return; }
        const double from = s.method().dense_from().half_log_snr();
        while (i < levels.size() && levels[i].half_log_snr() < from) { ++i; }
        for (; i < levels.size() && s.dense(levels[i], here); ++i) { receive(i, std::as_const(here)); }
    };
    hooks<> none;
    detail::drive<T>(s, model, none, 0, hand_over);
    detail::write_back(s, x);
    return s.result();
}

}  // namespace tweedie
