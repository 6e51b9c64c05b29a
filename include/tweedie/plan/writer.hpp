// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/layout.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

class plan_writer;

/// A named register of a plan under construction: assigned and read like a variable in the paper's equations.
///
/// Its value is carried across network calls by the plan as long as it lives; the writer must outlive it.
/// Reading it before anything was assigned to it is an error.
class plan_variable {
public:
    plan_variable(const plan_variable&) = delete;
    ~plan_variable();

    plan_variable& operator=(const linear_form& value);
    plan_variable& operator=(const plan_variable& other) { return *this = static_cast<linear_form>(other); }
    operator linear_form() const;  // NOLINT: implicit by design, a variable is read by naming it

private:
    friend class plan_writer;
    plan_variable(plan_writer& writer, std::size_t index) : writer_(&writer), index_(index) {}

    plan_writer* writer_;
    std::size_t index_;
};

/// The last `depth` values of something a solver remembers, newest first: `m[0]`, `m[1]`, ... Each is a
/// register of the plan.
///
/// Declared once and pushed to, never shifted by hand. What an old value was made of is not kept, the value
/// is.
/// - errors  `std::invalid_argument` on a read before it was written, or beyond the declared depth.
class plan_history {
public:
    plan_history(const plan_history&) = delete;
    plan_history& operator=(const plan_history&) = delete;
    ~plan_history();

    void push(const linear_form& newest);

    /// How many values can be read now.
    [[nodiscard]] std::size_t size() const;

    [[nodiscard]] linear_form operator[](std::size_t age) const;

private:
    friend class plan_writer;
    plan_history(plan_writer& writer, std::size_t first, std::size_t depth)
        : writer_(&writer), first_(first), depth_(depth) {}

    plan_writer* writer_;
    std::size_t first_;
    std::size_t depth_;
};

/// One step of the grid: from level `s` to level `t`.
struct plan_step {
    level s;
    level t;
};

/// Writes a plan from equations between symbolic registers.
///
///     plan_writer p("euler in x0", levels);
///     plan_variable x = p.state();
///     for (std::size_t i = 0; i < p.steps(); ++i) {
///         const auto [s, t] = p.step(i);
///         const linear_form x0 = p.data_prediction(x, s);
///         x = (t.sigma / s.sigma) * x + (t.alpha - s.alpha * t.sigma / s.sigma) * x0;
///     }
///     return p.finish(x);
///
/// All equations between two network calls become one pass; what later equations need is kept, nothing else.
/// Read a variable after the call rather than before it: the call turns its value into a register, an older
/// copy of the value keeps all that it was made of alive. So give the call a statement of its own: in `x = y
/// + p.velocity(x, t, schedule)` compilers differ in which side they evaluate first. Where a register equals
/// a combination of the query and other registers, it is not kept (UniPC's corrected state is none).
/// - errors  `std::invalid_argument`: a variable read before it was written, a weight that is not finite, a
///           plan without a network call.
class plan_writer {
public:
    /// - `solver`  name and options of the method, for people.
    /// - `levels`  the grid, already checked by the solver.
    plan_writer(std::string solver, std::span<const level> levels) {
        if (levels.size() < 2) { throw std::invalid_argument("plan_writer: need at least two levels"); }
        plan_.solver = std::move(solver);
        plan_.levels.assign(levels.begin(), levels.end());
    }
    plan_writer(const plan_writer&) = delete;
    plan_writer& operator=(const plan_writer&) = delete;
    ~plan_writer() = default;

    [[nodiscard]] std::size_t steps() const { return plan_.levels.size() - 1; }

    /// Begins step `i` and gives its two levels.
    [[nodiscard]] plan_step step(std::size_t i) {
        step_ = i;
        return {plan_.levels[i], plan_.levels[i + 1]};
    }

    /// The state at the first level, as a variable called x.
    [[nodiscard]] plan_variable state() {
        values_.push_back({"x", linear_form(0), true, true});
        state_ = values_.size() - 1;
        return {*this, state_};
    }

    /// A variable without a value.
    [[nodiscard]] plan_variable variable(std::string name) {
        values_.push_back({std::move(name), {}, false, true});
        return {*this, values_.size() - 1};
    }

    /// A memory of the last `depth` values of something, empty.
    [[nodiscard]] plan_history remember(const std::string& name, std::size_t depth) {
        if (depth == 0) {
            throw std::invalid_argument("plan_writer: the depth of " + name + " must be at least 1");
        }
        for (std::size_t age = 0; age < depth; ++age) { values_.push_back({name, {}, false, true}); }
        return {*this, values_.size() - depth, depth};
    }

    /// Evaluates the network at `x` and gives its data prediction x0_hat. One network call.
    [[nodiscard]] linear_form data_prediction(const linear_form& x, const level& at) {
        return evaluate(x, at).x0;
    }

    /// Asks a flow map to go from `x` at level `at` to the level `to`, and gives the constant x0_hat that
    /// would take x there: `x_to = (sigma_to / sigma) x + (alpha_to - alpha sigma_to / sigma) x0_hat`. One
    /// network call. A network that takes no target gives its data prediction.
    [[nodiscard]] linear_form data_prediction(const linear_form& x, const level& at, const level& to) {
        return evaluate(x, at, to).x0;
    }

    /// Evaluates the network at `x` and gives its noise prediction, `eps_hat = (x - alpha x0_hat) / sigma`.
    /// One network call.
    /// - at  a level with sigma > 0.
    [[nodiscard]] linear_form noise_prediction(const linear_form& x, const level& at) {
        const evaluation e = evaluate(x, at);
        return (e.x - at.alpha * e.x0) / at.sigma;
    }

    /// Evaluates the network at `x` and gives the velocity `dx/dt = alpha' x0_hat + sigma' eps_hat` of the
    /// probability flow in the time of `schedule`. One network call.
    /// - at  a level with sigma > 0.
    [[nodiscard]] linear_form velocity(const linear_form& x, const level& at, const any_schedule& schedule) {
        const evaluation e = evaluate(x, at);
        const double stretch = schedule.sigma_rate(at.t) / at.sigma;
        return stretch * e.x + (schedule.alpha_rate(at.t) - stretch * at.alpha) * e.x0;
    }

    /// A fresh standard normal tensor.
    [[nodiscard]] linear_form noise() { return linear_form(layout_.add("z", detail::symbol_kind::draw)); }

    /// A constant: at each element its own number, read from nothing.
    [[nodiscard]] linear_form constant(const field& value) {
        if (one_ == detail::npos) { one_ = layout_.add("1", detail::symbol_kind::one); }
        return value * linear_form(one_);
    }

    /// Ends the plan with `x` as its result.
    [[nodiscard]] plan finish(const linear_form& x) {
        if (plan_.calls.empty()) {
            throw std::invalid_argument("plan_writer: a plan needs at least one network call");
        }
        layout_.lay_out(plan_, hold("x", x));
        require_plan(plan_);
        return std::move(plan_);
    }

private:
    friend class plan_variable;
    friend class plan_history;

    struct variable_record {
        std::string name;
        linear_form value;
        bool written;
        bool in_scope;
    };

    struct evaluation {
        linear_form x;  // what was evaluated, as a register
        linear_form x0;
    };

    [[nodiscard]] evaluation evaluate(const linear_form& x, const level& at,
                                      const std::optional<level>& to = {}) {
        const std::size_t query = close_pass(x);
        plan_call call;
        call.step = step_;
        call.at = at;
        call.to = to;
        call.asks = detail::asked_as_planned(at, to);
        plan_.calls.push_back(std::move(call));
        return {linear_form(query), linear_form(layout_.add("x0_hat", detail::symbol_kind::output))};
    }

    /// Variables that end their life are carried no further; those of a step are not looked at in the next.
    void release(std::size_t first, std::size_t count) {
        for (std::size_t v = first; v < first + count; ++v) { values_[v] = {{}, {}, false, false}; }
        if (state_ >= first && state_ < first + count) { state_ = detail::npos; }
        while (!values_.empty() && !values_.back().in_scope) { values_.pop_back(); }
    }

    /// The symbol that holds `value`.
    std::size_t hold(const std::string& name, const linear_form& value) {
        for (const linear_form::term& t : value.terms()) {
            if (!std::isfinite(t.weight)) { refuse_weight(name); }
        }
        for (const linear_form::factor& f : value.factors()) {
            if (!f.values.finite()) { refuse_weight(name); }
        }
        return layout_.hold(name, value);
    }

    [[noreturn]] void refuse_weight(const std::string& name) const {
        throw std::invalid_argument("plan_writer: weights must be finite (in " + name + " of " +
                                    plan_.solver + ")");
    }

    /// Everything assigned since the last call becomes registers; then the network is asked at `x`.
    std::size_t close_pass(const linear_form& x) {
        // A form that is just a variable is named after it.
        std::string query_name = "x";
        for (const variable_record& v : values_) {
            if (v.written && v.value == x) { query_name = v.name; }
        }
        for (variable_record& v : values_) {
            if (v.written) { v.value = linear_form(hold(v.name, v.value)); }
        }
        const std::size_t query = hold(query_name, x);
        layout_.close_pass(query, state_ != detail::npos ? values_[state_].value.terms()[0].symbol : query);
        return query;
    }

    plan plan_;
    detail::plan_layout layout_;
    std::vector<variable_record> values_;
    std::size_t state_ = detail::npos;  // the variable that is the state
    std::size_t one_ = detail::npos;    // the symbol that constants are multiples of
    std::size_t step_ = 0;
};

inline plan_variable::~plan_variable() { writer_->release(index_, 1); }

inline plan_variable& plan_variable::operator=(const linear_form& value) {
    writer_->values_[index_].value = value;
    writer_->values_[index_].written = true;
    return *this;
}

inline plan_variable::operator linear_form() const {
    const auto& record = writer_->values_[index_];
    if (!record.written) {
        throw std::invalid_argument("plan_writer: " + record.name + " is read before it was written");
    }
    return record.value;
}

inline plan_history::~plan_history() { writer_->release(first_, depth_); }

inline void plan_history::push(const linear_form& newest) {
    for (std::size_t age = depth_ - 1; age > 0; --age) {
        writer_->values_[first_ + age] = writer_->values_[first_ + age - 1];
    }
    auto& record = writer_->values_[first_];
    record.value = newest;
    record.written = true;
}

inline std::size_t plan_history::size() const {
    std::size_t written = 0;
    while (written < depth_ && writer_->values_[first_ + written].written) { ++written; }
    return written;
}

inline linear_form plan_history::operator[](std::size_t age) const {
    if (age >= depth_) {
        throw std::invalid_argument("plan_writer: " + writer_->values_[first_].name +
                                    " is read beyond its declared depth");
    }
    const auto& record = writer_->values_[first_ + age];
    if (!record.written) {
        throw std::invalid_argument("plan_writer: " + record.name + " is read before it was written");
    }
    return record.value;
}

}  // namespace tweedie
