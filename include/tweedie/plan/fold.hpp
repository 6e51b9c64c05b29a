// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/plan.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie {

namespace detail {

/// a + b, exactly zero when nothing but rounding is left and exactly one when nothing but rounding is
/// missing, so that what cancels on paper costs no read, and what copies on paper is a move.
[[nodiscard]] inline double tidy_sum(double a, double b) {
    constexpr double eps = 8.0 * std::numeric_limits<double>::epsilon();
    const double sum = a + b;
    const double scale = std::abs(a) + std::abs(b);
    if (std::abs(sum) <= eps * scale) { return 0.0; }
    if (std::abs(sum - 1.0) <= eps * scale) { return 1.0; }
    return sum;
}

/// The same element by element.
[[nodiscard]] inline field tidy_sum(const field& a, const field& b) {
    return a.combined(b, [](double x, double y) { return tidy_sum(x, y); });
}

/// Room for the columns of `outputs` outputs where one was, before the draws.
inline void widen(plan_pass& pass, std::size_t output, std::size_t outputs) {
    for (plan_row& row : pass.rows) {
        row.weights.insert(row.weights.begin() + static_cast<std::ptrdiff_t>(output) + 1, outputs - 1, 0.0);
        for (plan_field& f : row.fields) {
            if (f.column > output) { f.column += outputs - 1; }
        }
    }
}

}  // namespace detail

/// How x0_hat is made of several data predictions: `x0_hat = sum_j weights[j] x0_hat_j + state * x`, x the
/// plan's.
struct output_blend {
    std::vector<double> weights;
    double state = 0.0;
};

/// Where in a plan a network call stands.
///
/// - `index`       of the call; 0 begins a run.
/// - `step`        of the solver.
/// - `at`          the level of the state that is evaluated.
/// - `from`, `to`  the levels of the step, in the plan's schedule.
struct call_site {
    std::size_t index = 0;
    std::size_t step = 0;
    level at;
    level from;
    level to;
};

/// The site of call `index` of a plan.
/// - errors  `std::invalid_argument`: a plan without the levels of that step.
[[nodiscard]] inline call_site site(const plan& p, std::size_t index) {
    const plan_call& call = p.calls[index];
    if (call.step + 1 >= p.levels.size()) {
        throw std::invalid_argument("plan: a step must have its two levels");
    }
    return {index, call.step, call.at, p.levels[call.step], p.levels[call.step + 1]};
}

/// Multiplies a network's convention into a plan: prediction type, preconditioning, the network's own
/// schedule, input scaling.
///
/// With `x0_hat = a x + b output` and the network fed `c x` (see `convention::call_at`), every row that uses
/// x0_hat uses the register that was evaluated and the raw output instead, and the register holds `c x`. The
/// folded plan does the same arithmetic in the same number of passes; no conversion is left for the run.
///
/// - `column`  `network` (the default) folds all. `data_prediction` leaves x0_hat as the column of the
///             passes, for runs that transform it (clipping, thresholding, guidance rules): x0_hat is then
///             formed first, one pass more.
/// - `blends`  for guidance, how x0_hat is made of several outputs: one for each call, of as many weights in
///             each. Empty: there is one output. A weight of 0 costs no read.
/// - errors    `std::invalid_argument` where a level of the plan does not determine x0 (for instance epsilon
///             at alpha = 0), for a plan that is folded already, and for blends that do not fit the plan.
[[nodiscard]] inline plan fold(plan p, const convention& asked_of,
                               output_column column = output_column::network,
                               const std::vector<output_blend>& blends = {}) {
    require_plan(p);
    // Of the registers before the pass: a register holds scale * its value.
    std::vector<double> scales(1, 1.0);
    for (const plan_call& call : p.calls) {
        if (p.output != output_column::data_prediction || call.input_scale != 1.0 ||
            !(call.x0 == read_weights{}) || p.outputs != 1 || call.asked_for != 1) {
            throw std::invalid_argument("fold: the plan is folded already");
        }
    }
    if (!blends.empty()) {
        if (blends.size() != p.calls.size()) {
            throw std::invalid_argument("fold: need one blend for each network call");
        }
        p.outputs = blends[0].weights.size();
        for (const output_blend& blend : blends) {
            if (blend.weights.size() != p.outputs || p.outputs < 2) {
                throw std::invalid_argument("fold: need a weight for each of two outputs or more");
            }
            bool finite = std::isfinite(blend.state);
            for (const double w : blend.weights) { finite = finite && std::isfinite(w); }
            if (!finite) { throw std::invalid_argument("fold: the blend must be finite"); }
        }
    }
    const auto rescale = [&](plan_pass& pass, const plan_call* next) {
        std::vector<double> after;
        const std::vector<std::size_t> all_moved = detail::moved_columns(pass, scales.size(), scales.size());
        for (std::size_t r = 0; r < pass.rows.size(); ++r) {
            plan_row& row = pass.rows[r];
            const std::size_t moved = all_moved[r];
            double scale =
                moved < scales.size() ? scales[moved] : 1.0;  // a register that only moves keeps its scale
            if (next == nullptr) { scale = 1.0; }             // the result is the state itself
            if (next != nullptr && next->query == r) { scale = next->input_scale; }
            for (std::size_t c = 0; c < row.weights.size(); ++c) {
                const double before = c < scales.size() ? scales[c] : 1.0;
                if (scale != before) { row.weights[c] *= scale / before; }
            }
            if (scale != 1.0 && !row.plain()) { row.constant = scale * row.constant; }
            after.push_back(scale);
        }
        scales = std::move(after);
    };
    for (plan_call& call : p.calls) {
        const network_call asked = call.to ? asked_of.call_at(call.at, *call.to) : asked_of.call_at(call.at);
        call.asks = asked.at;
        call.input_scale = asked.input_scale;
        call.x0 = asked.x0;
    }
    for (std::size_t k = 0; k < blends.size(); ++k) {
        double total = 0.0;  // 1 for nearly all
        for (const double w : blends[k].weights) { total = detail::tidy_sum(total, w); }
        p.calls[k].blend = blends[k].weights;
        p.calls[k].x0.x = detail::tidy_sum(total * p.calls[k].x0.x, blends[k].state);
    }
    rescale(p.start, p.calls.data());
    for (std::size_t k = 0; k < p.calls.size(); ++k) {
        plan_call& call = p.calls[k];
        if (column == output_column::network) {
            const std::size_t output = scales.size();
            const auto weight = [&](std::size_t j) { return call.blend.empty() ? 1.0 : call.blend[j]; };
            if (p.outputs > 1) { detail::widen(call.then, output, p.outputs); }
            for (plan_row& row : call.then.rows) {
                const double w = row.weights[output];
                if (w == 0.0) { continue; }
                if (!row.fields.empty()) {
                    const field of_x0 = row.weight(output);
                    row.set_weight(call.query, detail::tidy_sum(row.weight(call.query), of_x0 * call.x0.x));
                    for (std::size_t j = 0; j < p.outputs; ++j) {
                        row.set_weight(output + j,
                                       detail::tidy_sum(of_x0 * (weight(j) * call.x0.output), 0.0));
                    }
                    continue;
                }
                row.weights[call.query] = detail::tidy_sum(row.weights[call.query], w * call.x0.x);
                for (std::size_t j = 0; j < p.outputs; ++j) {
                    row.weights[output + j] = detail::tidy_sum(w * (weight(j) * call.x0.output), 0.0);
                }
            }
        }
        rescale(call.then, k + 1 < p.calls.size() ? &p.calls[k + 1] : nullptr);
    }
    p.output = column;
    return p;
}

}  // namespace tweedie
