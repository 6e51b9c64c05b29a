// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/teleport.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <concepts>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::tune {

/// A way to sample that was measured.
///
/// - `solver`         as the plan describes it.
/// - `levels`         log_snr or karras: that grid; found: by the search.
/// - `teleported_to`  sigma / alpha of the first level, if the way there is a jump.
/// - `error`          what `recommendation::predicted_error` is of the best.
struct trial {
    std::string solver;
    std::string levels;
    std::optional<double> teleported_to = {};
    double error = 0.0;
};

/// A jump, or none: then it leaves the state where it is.
class optional_jump {
public:
    optional_jump(std::optional<analytic::teleport> jump, const level& first)
        : jump_(std::move(jump)), first_(first) {}

    [[nodiscard]] level from() const { return jump_ ? jump_->from() : first_; }
    [[nodiscard]] level to() const { return first_; }

    template <class X>
        requires std::invocable<const analytic::teleport&, X&>
    void operator()(X& x) const {
        if (jump_) { (*jump_)(x); }
    }

private:
    std::optional<analytic::teleport> jump_;
    level first_;
};

/// What `recommend` returns. `sample(recommendation, model, x, noise)` of `<tweedie/run/jump.hpp>` runs it,
/// from `jump().from()`.
///
/// - `plan`             the solver on its levels, `plan.levels`.
/// - `teleport`         what comes before it, if anything does.
/// - `predicted_error`  per element of a sample, in units of the data; of what, `recommend` says.
/// - `why`              what was compared with what, in sentences.
/// - `tried`            the candidates, the best first.
struct recommendation {
    tweedie::plan plan;
    std::optional<analytic::teleport> teleport = {};
    double predicted_error = 0.0;
    std::string why = {};
    std::vector<trial> tried = {};

    [[nodiscard]] optional_jump jump() const { return {teleport, plan.levels.front()}; }
    [[nodiscard]] const tweedie::plan& rest() const { return plan; }
};

}  // namespace tweedie::tune
