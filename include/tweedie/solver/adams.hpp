// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/single_step.hpp>
#include <tweedie/solver/start.hpp>
#include <tweedie/solver/transfer.hpp>

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace tweedie::solver {

// What the methods of Adams-Bashforth type share. On every schedule, y = x / alpha and kappa = sigma /
// alpha obey
//
//     dy / dkappa = eps_hat,
//
// a plain ODE, so they all advance
//
//     x_t = alpha_t (x_s / alpha_s + sum_j w_j eps_j),    sum_j w_j = kappa_t - kappa_s
//
// and differ in the weights alone.

/// One step from s to t along given noise predictions.
/// - `weights`  one for each of `eps`; their sum is kappa_t - kappa_s.
/// - `s`        alpha > 0.
[[nodiscard]] inline linear_form noise_step(const linear_form& x, const level& s, const level& t,
                                            std::span<const double> weights,
                                            std::span<const linear_form> eps) {
    linear_form sum = (t.alpha / s.alpha) * x;
    for (std::size_t j = 0; j < weights.size(); ++j) { sum += t.alpha * weights[j] * eps[j]; }
    return sum;
}

/// Adams-Bashforth weights in kappa: integrals over [kappa_s, kappa_t] of the Lagrange polynomials of the
/// nodes, in closed form.
/// - `nodes`  levels where eps_hat is known, newest first, nodes[0] = s; alpha > 0, kappa distinct.
/// - order    as many as nodes, on any grid.
[[nodiscard]] inline std::vector<double> adams_weights(std::span<const level> nodes, const level& t) {
    const auto kappa = [](const level& l) { return l.sigma / l.alpha; };
    const double from = kappa(nodes[0]);
    std::vector<double> passed;  // kappa falls: its negative grows along the run
    for (const level& l : nodes) { passed.push_back(from - kappa(l)); }
    std::vector<double> weights = exponential_weights(passed, 0.0, from - kappa(t), 0.0);
    for (double& w : weights) { w = -w; }
    return weights;
}

/// The run of a multistep method in the noise prediction: one network call per step, up to `order` past noise
/// predictions, the weights of each step from `weights(nodes, t)`.
///
/// From pure noise the first step is DDIM's limit and its noise prediction is not kept: kappa is infinite
/// there. The step that follows is the first of the method.
/// - `begin`    what is done before the history is full.
/// - `usable`   callable (i, known): how many of the `known` past predictions step i may use.
/// - `weights`  callable (nodes, t): one weight per node; nodes newest first, nodes[0] = s.
template <class Usable, class Weights>
[[nodiscard]] plan multistep_in_noise(const std::string& name, const any_schedule& schedule,
                                      std::span<const level> levels, std::size_t order, start begin,
                                      const Usable& usable, const Weights& weights) {
    plan_writer p(name, levels);
    plan_variable x = p.state();
    plan_history eps = p.remember("eps_hat", order);
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        const linear_form x0 = p.data_prediction(x, s);
        if (s.alpha == 0.0) {
            x = data_step(x, s, t, x0);
            continue;
        }
        eps.push((static_cast<linear_form>(x) - s.alpha * x0) / s.sigma);
        const std::size_t known = eps.size();
        // beyond order 4 its own lower orders are better than a single step of order 3, the highest there is
        const std::size_t single = starting_order(begin, known, std::min<std::size_t>(order, 4));
        if (single > 0 && t.sigma > 0.0) {
            x = single_step(p, schedule, x, eps[0], s, t, {.order = single, .predicts = form::noise});
            continue;
        }
        std::vector<level> nodes;
        std::vector<linear_form> values;
        for (std::size_t j = 0; j < usable(i, known); ++j) {
            nodes.push_back(levels[i - j]);
            values.push_back(eps[j]);
        }
        x = noise_step(x, s, t, weights(std::span<const level>(nodes), t), values);
    }
    return p.finish(x);
}

}  // namespace tweedie::solver
