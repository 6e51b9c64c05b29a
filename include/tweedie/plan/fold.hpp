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

}  // namespace detail

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
/// - errors    `std::invalid_argument` where a level of the plan does not determine x0 (for instance epsilon
///             at alpha = 0), and for a plan that is folded already.
[[nodiscard]] inline plan fold(plan p, const convention& asked_of,
                               output_column column = output_column::network) {
    require_plan(p);
    // Of the registers before the pass: a register holds scale * its value.
    std::vector<double> scales(1, 1.0);
    for (const plan_call& call : p.calls) {
        if (p.output != output_column::data_prediction || call.input_scale != 1.0 ||
            !(call.x0 == read_weights{})) {
            throw std::invalid_argument("fold: the plan is folded already");
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
    rescale(p.start, p.calls.data());
    for (std::size_t k = 0; k < p.calls.size(); ++k) {
        plan_call& call = p.calls[k];
        if (column == output_column::network) {
            const std::size_t output = scales.size();
            for (plan_row& row : call.then.rows) {
                const double w = row.weights[output];
                if (w == 0.0) { continue; }
                if (!row.fields.empty()) {
                    const field of_x0 = row.weight(output);
                    row.set_weight(call.query, detail::tidy_sum(row.weight(call.query), of_x0 * call.x0.x));
                    row.set_weight(output, detail::tidy_sum(of_x0 * call.x0.output, 0.0));
                    continue;
                }
                row.weights[call.query] = detail::tidy_sum(row.weights[call.query], w * call.x0.x);
                row.weights[output] = detail::tidy_sum(w * call.x0.output, 0.0);
            }
        }
        rescale(call.then, k + 1 < p.calls.size() ? &p.calls[k + 1] : nullptr);
    }
    p.output = column;
    return p;
}

}  // namespace tweedie
