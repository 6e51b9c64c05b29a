// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>

#include <cstddef>
#include <stdexcept>

namespace tweedie {

/// What a plan does to element `e` of a sample: the same plan without fields, each replaced by its number
/// there. For `analyze`, for tests, for people.
/// - errors  `std::invalid_argument`: a malformed plan; an element past the end. In a plan without fields
///           every element is like the others.
[[nodiscard]] inline plan element(plan p, std::size_t e) {
    require_plan(p);
    if (p.elements != 0 && e >= p.elements) {
        throw std::invalid_argument("element: the plan has fewer elements");
    }
    const auto reduce = [e](plan_pass& pass) {
        for (plan_row& row : pass.rows) {
            for (const plan_field& f : row.fields) { row.weights[f.column] *= f.values[e]; }
            row.fields.clear();
            row.constant = field(row.constant[e]);
        }
    };
    reduce(p.start);
    for (plan_call& call : p.calls) { reduce(call.then); }
    p.elements = 0;
    return p;
}

}  // namespace tweedie
