// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/concept.hpp>

#include <concepts>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// That two networks are asked alike and read alike at a level of the plan.
inline void require_one_convention(const convention& a, const convention& b, const plan_call& call) {
    const network_call x = call.to ? a.call_at(call.at, *call.to) : a.call_at(call.at);
    const network_call y = call.to ? b.call_at(call.at, *call.to) : b.call_at(call.at);
    if (!(x.at == y.at && x.input_scale == y.input_scale && x.x0 == y.x0)) {
        throw std::invalid_argument("guided: the networks must have one convention");
    }
}

}  // namespace tweedie::detail

namespace tweedie::guidance {

/// A rule whose guided prediction is linear in the predictions, with weights known when the plan is: it is
/// folded into the plan and costs no pass.
///
/// - `networks()`   how many predictions it combines: conditional ones first, the base last.
/// - `blend(site)`  their weights at a network call.
template <class Rule>
concept linear_rule = requires(const Rule& rule, const call_site& where) {
    { rule.networks() } -> std::same_as<std::size_t>;
    { rule.blend(where) } -> std::same_as<output_blend>;
};

/// What a data-dependent rule combines.
enum class rule_space {
    network,          ///< what the networks return, as it comes
    data_prediction,  ///< the data predictions made of it
};

/// A rule whose weights depend on the predictions themselves.
///
/// - `space`                       what it combines.
/// - `networks()`                  how many it takes: conditional ones first, the base last.
/// - `evaluations(site)`           how many of them, from the first, it looks at in this call.
/// - `combine(predictions, site)`  writes the guided prediction into the first; the others are its to use.
///                                 Call index 0 begins a run.
template <class Rule, class T>
concept data_rule = tensor<T> && requires(Rule& rule, const Rule& same, std::span<T* const> predictions,
                                          const call_site& where) {
    { Rule::space } -> std::convertible_to<rule_space>;
    { same.networks() } -> std::same_as<std::size_t>;
    { same.evaluations(where) } -> std::same_as<std::size_t>;
    rule.combine(predictions, where);
};

/// A `data_rule` whose guided prediction is a blend of two tensors with weights of each sample: `weigh` gives
/// them, and the step itself combines. `combine` does the same where x0_hat is wanted.
template <class Rule, class T>
concept weighing_rule =
    data_rule<Rule, T> && requires(Rule& rule, std::span<T* const> predictions, const call_site& where) {
        { rule.weigh(predictions, where).tensors[0] } -> std::convertible_to<T*>;
        { rule.weigh(predictions, where).weights } -> std::convertible_to<std::span<const double>>;
    };

/// A network that makes several predictions of one state in one call: `net(x, level, outputs)`. An output
/// that is not wanted is null.
template <class Network, class T>
concept joint_network = tensor<T> && requires(Network& network, const T& x, const network_level& at,
                                              std::span<T* const> outputs) { network(x, at, outputs); };

/// Networks that can make the predictions of a state of type `T`: a `network_for` each, or one
/// `joint_network`.
template <class T, class... Networks>
concept predicting_networks = (sizeof...(Networks) == 1 && (joint_network<Networks, T> && ...)) ||
                              (sizeof...(Networks) > 1 && (network_for<Networks, T> && ...));

/// Several networks and the rule that combines them: what `guided` makes. `sample` takes it for a denoiser.
template <class Rule, is_denoiser... Models>
class guided_model {
public:
    static constexpr bool linear = linear_rule<Rule>;

    guided_model(Rule rule, Models... models) : rule_(std::move(rule)), models_(std::move(models)...) {
        if (rule_.networks() < 2 || rule_.networks() > most_networks) {
            throw std::invalid_argument("guided: a rule combines two networks or more, at most 32");
        }
        if (!joint && rule_.networks() != sizeof...(Models)) {
            throw std::invalid_argument("guided: the rule combines " + std::to_string(rule_.networks()) +
                                        " networks, given " + std::to_string(sizeof...(Models)));
        }
        const auto agree = [&](const tweedie::convention& other) {
            const tweedie::convention& own = this->convention();
            if (!(own.prediction() == other.prediction() && own.options().time == other.options().time &&
                  own.options().time_scale == other.options().time_scale)) {
                throw std::invalid_argument("guided: the networks must have one convention");
            }
        };
        std::apply([&](const auto&... model) { (agree(model.convention()), ...); }, models_);
    }

    [[nodiscard]] const tweedie::convention& convention() const { return std::get<0>(models_).convention(); }
    [[nodiscard]] const Rule& rule() const { return rule_; }

    /// Predictions that are combined.
    [[nodiscard]] std::size_t outputs() const { return rule_.networks(); }

    /// How the answer to a call is given, see `tweedie::combined_model`.
    static constexpr answer_kind gives = [] {
        if constexpr (linear) {
            return answer_kind::outputs;
        } else {
            return Rule::space == rule_space::network ? answer_kind::output : answer_kind::data_prediction;
        }
    }();

    /// The plan with the convention and, of a linear rule, the weights in it.
    [[nodiscard]] plan fold(plan p, output_column column) const {
        require_plan(p);
        for (const plan_call& call : p.calls) {
            std::apply(
                [&](const auto&... model) {
                    (detail::require_one_convention(convention(), model.convention(), call), ...);
                },
                models_);
        }
        if constexpr (linear) {
            std::vector<output_blend> blends;
            for (std::size_t k = 0; k < p.calls.size(); ++k) { blends.push_back(rule_.blend(site(p, k))); }
            return tweedie::fold(std::move(p), convention(), column, blends);
        } else {
            std::vector<std::size_t> evaluations;
            for (std::size_t k = 0; k < p.calls.size(); ++k) {
                evaluations.push_back(rule_.evaluations(site(p, k)));
            }
            p = tweedie::fold(
                std::move(p), convention(),
                gives == answer_kind::data_prediction ? output_column::data_prediction : column);
            for (std::size_t k = 0; k < p.calls.size(); ++k) { p.calls[k].asked_for = evaluations[k]; }
            return p;
        }
    }

    /// Answers the pending query of a stepper: evaluates what is wanted, and combines it where the rule
    /// depends on it.
    template <tensor T, class Noise>
        requires predicting_networks<T, network_of<Models>...> && (linear || data_rule<Rule, T>)
    void answer(const stepper<T, Noise>& s, std::span<T* const> tensors) {
        evaluate(*this, s, tensors);
        if constexpr (!linear) {
            predict(s, tensors);
            rule_.combine(tensors, s.site());
        }
    }

    /// The same, but what it would combine is given as a blend.
    template <tensor T, class Noise>
        requires predicting_networks<T, network_of<Models>...> && weighing_rule<Rule, T>
    auto weigh(const stepper<T, Noise>& s, std::span<T* const> tensors) {
        evaluate(*this, s, tensors);
        predict(s, tensors);
        return rule_.weigh(tensors, s.site());
    }

    template <tensor T, class Noise>
        requires predicting_networks<T, network_of<const Models>...> && linear
    void answer(const stepper<T, Noise>& s, std::span<T* const> tensors) const {
        evaluate(*this, s, tensors);
    }

private:
    static constexpr bool joint = sizeof...(Models) == 1;
    static constexpr std::size_t most_networks = 32;

    template <class T, class Noise>
    void predict(const stepper<T, Noise>& s, std::span<T* const> tensors) const {
        if constexpr (gives == answer_kind::data_prediction) {
            s.data_predictions(tensors.first(rule_.evaluations(s.site())));
        }
    }

    template <class Self, class T, class Noise>
    static void evaluate(Self& self, const stepper<T, Noise>& s, std::span<T* const> tensors) {
        const auto asked = s.next();
        T* wanted[most_networks] = {};
        bool any = false;
        for (std::size_t j = 0; j < tensors.size(); ++j) {
            if constexpr (linear) {
                wanted[j] = asked->blend[j] != 0.0 ? tensors[j] : nullptr;
            } else {
                wanted[j] = j < self.rule_.evaluations(s.site()) ? tensors[j] : nullptr;
            }
            any = any || wanted[j] != nullptr;
        }
        if constexpr (joint) {
            if (any) {
                std::get<0>(self.models_)
                    .network()(asked->x, asked->level, std::span<T* const>(wanted, tensors.size()));
            }
        } else {
            const auto call = [&](auto& model, T* out) {
                if (out != nullptr) { detail::call_network(model.network(), asked->x, asked->level, *out); }
            };
            std::apply(
                [&](auto&... model) {
                    std::size_t j = 0;
                    (call(model, wanted[j++]), ...);
                },
                self.models_);
        }
    }

    Rule rule_;
    std::tuple<Models...> models_;
};

/// Guidance: several predictions of one state, combined by a rule, for any plan.
///
///     sample(plan, guidance::guided(guidance::cfg{.weight = 3.0}, conditional, unconditional), x,
///            noise{.seed = 7});
///
/// - `rule`    `cfg`, `cfgpp`, `recfg`, `composed` (linear: folded into the plan, no pass over memory more),
///             `apg`, `cfg_zero_star`, ... (dependent on the data), or your own `linear_rule` or `data_rule`.
/// - `models`  denoisers of one convention, kept by value: the conditional ones first, the base last (the
///             unconditional one, a negative prompt, a weaker network). Or one denoiser whose network makes
///             all predictions in one batched call, see `joint_network`.
/// - returns   what `sample` takes for a model, and `program(plan, guided)` for steppers of your own: those
///             are supplied with all outputs of a call, `s.supply(outputs)`.
/// - cost      as many network evaluations per call as predictions are read: one of weight 0 is not
///             evaluated. Each is a tensor. `run_result::network_calls` and `counts` count evaluations; one
///             call of a `joint_network` that makes two predictions counts as two.
/// - errors    `std::invalid_argument`: networks of different conventions, another number of networks than
///             the rule combines; and the rule's own, when the plan is folded.
template <class Rule, is_denoiser... Models>
    requires(sizeof...(Models) > 0)
[[nodiscard]] auto guided(Rule rule, Models... models) {
    return guided_model<Rule, Models...>(std::move(rule), std::move(models)...);
}

}  // namespace tweedie::guidance
