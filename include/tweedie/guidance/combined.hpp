// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/guidance/guided.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace tweedie::guidance {

/// Several networks and a linear rule as one network that predicts data: what `combined` makes.
template <linear_rule Rule, is_denoiser... Models>
class combined_network {
public:
    combined_network(Rule rule, Models... models)
        : rule_(std::move(rule)), ask_(evaluator<Models>(std::move(models))...) {
        if (rule_.networks() != sizeof...(Models)) {
            throw std::invalid_argument("combined: the rule combines " + std::to_string(rule_.networks()) +
                                        " networks, given " + std::to_string(sizeof...(Models)));
        }
    }

    template <tensor T>
        requires(network_for<network_of<Models>, T> && ...)
    void operator()(const T& x, const level& at, T& x0_hat) {
        const output_blend blend = rule_.blend({.at = at, .from = at, .to = at});
        T& next = detail::fitting(memory_.template as<std::optional<T>>(), x);
        bool first = true;
        const auto add = [&](auto& ask, double weight) {
            if (weight == 0.0) { return; }
            ask(x, at, first ? x0_hat : next);
            T* const written[] = {&x0_hat};
            const T* const read[] = {first ? &x : &x0_hat, first ? &x0_hat : &next};
            const double weights[] = {first ? blend.state : 1.0, weight};
            if (!first || weight != 1.0 || blend.state != 0.0) {
                tensor_traits<T>::affine(written, weights, read);
            }
            first = false;
        };
        std::apply(
            [&](auto&... ask) {
                std::size_t j = 0;
                (add(ask, blend.weights[j++]), ...);
            },
            ask_);
        if (first) { throw std::invalid_argument("combined: a weight must not be zero"); }
    }

    /// Network evaluations made.
    [[nodiscard]] std::size_t calls() const {
        return std::apply([](const auto&... ask) { return (ask.calls() + ...); }, ask_);
    }

private:
    Rule rule_;
    std::tuple<evaluator<Models>...> ask_;
    tweedie::detail::working_memory memory_;
};

/// Guidance as one denoiser, for what asks its network outside a plan: adaptive samplers
/// (`<tweedie/run/loop.hpp>`), other guidance, measurements.
///
///     sample(solver::dpm_adaptive{}.loop(schedule, levels), guidance::combined(guidance::cfg{.weight = 3.0},
///            conditional, unconditional), x);
///
/// For plans `guided` does the same without any pass of its own.
/// - `rule`    a linear rule that looks at the level alone: `cfgpp`, which looks at the step, refuses.
/// - `models`  denoisers for one state, of any conventions: each is read by its own.
/// - returns   a denoiser that predicts data, on the schedule of the first.
/// - cost      up to three passes for each network whose weight is not 0; two tensors per network. A run
///             counts one call; `network().calls()` counts evaluations.
/// - errors    `std::invalid_argument`: another number of networks than the rule combines; the rule's own.
template <linear_rule Rule, is_denoiser First, is_denoiser... Others>
[[nodiscard]] auto combined(Rule rule, First first, Others... others) {
    const any_schedule schedule = first.convention().schedule();
    return denoiser(
        combined_network<Rule, First, Others...>(std::move(rule), std::move(first), std::move(others)...),
        prediction::x0, schedule);
}

}  // namespace tweedie::guidance
