// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

class plan_writer;

/// A named register of a plan under construction: assigned and read like a variable in the paper's equations.
///
/// Its value is carried across network calls by the plan. Reading it before anything was assigned to it is an
/// error.
class plan_variable {
public:
    plan_variable(const plan_variable&) = delete;
    ~plan_variable() = default;

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
    ~plan_history() = default;

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
        symbols_.push_back({"x", 0, symbol_kind::state, {}});
        passes_.emplace_back();
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
        values_.push_back({"x", linear_form(0), true});
        state_ = values_.size() - 1;
        return {*this, state_};
    }

    /// A variable without a value.
    [[nodiscard]] plan_variable variable(std::string name) {
        values_.push_back({std::move(name), {}, false});
        return {*this, values_.size() - 1};
    }

    /// A memory of the last `depth` values of something, empty.
    [[nodiscard]] plan_history remember(const std::string& name, std::size_t depth) {
        if (depth == 0) {
            throw std::invalid_argument("plan_writer: the depth of " + name + " must be at least 1");
        }
        for (std::size_t age = 0; age < depth; ++age) { values_.push_back({name, {}, false}); }
        return {*this, values_.size() - depth, depth};
    }

    /// Evaluates the network at `x` and gives its data prediction x0_hat. One network call.
    [[nodiscard]] linear_form data_prediction(const linear_form& x, const level& at) {
        return evaluate(x, at).x0;
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
    [[nodiscard]] linear_form noise() {
        const std::size_t symbol = new_symbol("z", symbol_kind::draw, {});
        draw_of_.push_back({symbol, draws_++});
        return linear_form(symbol);
    }

    /// Ends the plan with `x` as its result.
    [[nodiscard]] plan finish(const linear_form& x) {
        if (plan_.calls.empty()) {
            throw std::invalid_argument("plan_writer: a plan needs at least one network call");
        }
        const std::size_t result = materialise("x", x);
        lay_out(result);
        require_plan(plan_);
        return std::move(plan_);
    }

private:
    friend class plan_variable;
    friend class plan_history;

    enum class symbol_kind { state, output, draw, assigned };

    struct symbol_record {
        std::string name;
        std::size_t pass;  // the one that defines it; an output comes from the call before that pass
        symbol_kind kind;
        linear_form value;  // of an assigned symbol, over earlier ones
    };

    struct variable_record {
        std::string name;
        linear_form value;
        bool written;
    };

    struct draw_record {
        std::size_t symbol;
        std::uint32_t draw;
    };

    struct pass_record {
        std::size_t query = 0;  // the symbol evaluated after this pass
        std::size_t state = 0;  // the one that is the state then
    };

    struct evaluation {
        linear_form x;  // what was evaluated, as a register
        linear_form x0;
    };

    [[nodiscard]] evaluation evaluate(const linear_form& x, const level& at) {
        const std::size_t query = close_pass(x);
        plan_call call;
        call.step = step_;
        call.at = at;
        static_cast<level&>(call.asks) = at;
        call.asks.condition = at.t;
        plan_.calls.push_back(std::move(call));
        return {linear_form(query), linear_form(new_symbol("x0_hat", symbol_kind::output, {}))};
    }

    std::size_t new_symbol(std::string name, symbol_kind kind, linear_form value) {
        symbols_.push_back({std::move(name), passes_.size() - 1, kind, std::move(value)});
        return symbols_.size() - 1;
    }

    /// The symbol that holds `value`: an existing one if the form is just that, otherwise a new one written
    /// by the pass under way.
    std::size_t materialise(const std::string& name, const linear_form& value) {
        const auto& terms = value.terms();
        if (terms.size() == 1 && terms[0].weight == 1.0 &&
            symbols_[terms[0].symbol].kind != symbol_kind::draw) {
            return terms[0].symbol;
        }
        for (const linear_form::term& t : terms) {
            if (!std::isfinite(t.weight)) {
                throw std::invalid_argument("plan_writer: weights must be finite (in " + name + " of " +
                                            plan_.solver + ")");
            }
        }
        for (std::size_t s = 0; s < symbols_.size(); ++s) {
            if (symbols_[s].kind == symbol_kind::assigned && symbols_[s].pass == passes_.size() - 1 &&
                symbols_[s].value == value) {
                return s;
            }
        }
        return new_symbol(name, symbol_kind::assigned, value);
    }

    /// Everything assigned since the last call becomes registers; then the network is asked at `x`.
    std::size_t close_pass(const linear_form& x) {
        // A form that is just a variable is named after it.
        std::string query_name = "x";
        for (const variable_record& v : values_) {
            if (v.written && v.value == x) { query_name = v.name; }
        }
        for (variable_record& v : values_) {
            if (v.written) { v.value = linear_form(materialise(v.name, v.value)); }
        }
        const std::size_t query = materialise(query_name, x);
        passes_.back().query = query;
        passes_.back().state = state_ < values_.size() ? values_[state_].value.terms()[0].symbol : query;
        passes_.emplace_back();
        return query;
    }

    /// Liveness backwards from the result, then the matrices forwards.
    void lay_out(std::size_t result) {
        const std::size_t last = passes_.size() - 1;  // pass p runs before call p; pass `last` ends the plan
        std::vector<std::vector<std::size_t>> live = liveness(result);
        for (std::size_t p = 0; p < last; ++p) {
            if (drop_redundant_register(p, live)) { live = liveness(result); }
        }
        const std::vector<std::size_t> given = {0};
        for (std::size_t p = 0; p <= last; ++p) {
            plan_pass& pass = p == 0 ? plan_.start : plan_.calls[p - 1].then;
            pass = make_pass(p, p == 0 ? given : live[p - 1], live[p]);
            if (p < last) {
                const std::size_t state = passes_[p].state;
                plan_.calls[p].editable = state == passes_[p].query || !contains(live[p], state);
            }
        }
    }

    /// The registers alive after each pass, the query first.
    [[nodiscard]] std::vector<std::vector<std::size_t>> liveness(std::size_t result) const {
        const std::size_t last = passes_.size() - 1;
        std::vector<std::vector<std::size_t>> live(last + 1);
        const auto want = [](std::vector<std::size_t>& set, std::size_t symbol) {
            if (!contains(set, symbol)) { set.push_back(symbol); }
        };
        live[last] = {result};
        for (std::size_t p = last; p > 0; --p) {
            std::vector<std::size_t>& before = live[p - 1];
            want(before, passes_[p - 1].query);
            for (const std::size_t s : live[p]) {
                if (symbols_[s].pass == p && symbols_[s].kind == symbol_kind::assigned) {
                    for (const linear_form::term& t : symbols_[s].value.terms()) {
                        if (t.weight != 0.0 && symbols_[t.symbol].pass < p) { want(before, t.symbol); }
                    }
                } else if (symbols_[s].pass < p) {
                    want(before, s);
                }
            }
        }
        return live;
    }

    /// A register b beside the query q that pass p writes, with b = c q + (registers alive anyway): the next
    /// pass, its only reader, is rewritten in terms of q, and b is not kept. c q is never formed by itself,
    /// so nothing is amplified at run time.
    bool drop_redundant_register(std::size_t p, const std::vector<std::vector<std::size_t>>& live) {
        const std::size_t query = passes_[p].query;
        if (!defined_here(query, p)) { return false; }
        for (const std::size_t b : live[p]) {
            if (b == query || contains(live[p + 1], b)) { continue; }
            const linear_form& q_value = symbols_[query].value;
            const linear_form b_value = defined_here(b, p) ? symbols_[b].value : linear_form(b);
            const auto kept = [&](std::size_t symbol) { return symbol != b && contains(live[p], symbol); };
            double c = 0.0;  // from the largest term on something that is not alive otherwise
            double largest = 0.0;
            for (const linear_form::term& t : q_value.terms()) {
                if (!kept(t.symbol) && std::abs(t.weight) > largest) {
                    largest = std::abs(t.weight);
                    c = b_value.weight(t.symbol) / t.weight;
                }
            }
            if (!(std::abs(c) > 0.0 && std::isfinite(c))) { continue; }
            linear_form rest;  // b - c q over what is alive
            bool redundant = true;
            linear_form both = b_value;
            both.add(-c, q_value);
            for (const linear_form::term& t : both.terms()) {
                const double scale =
                    std::abs(b_value.weight(t.symbol)) + std::abs(c * q_value.weight(t.symbol));
                if (std::abs(t.weight) <= 1e-14 * scale) { continue; }
                if (kept(t.symbol)) {
                    rest.add(t.weight, linear_form(t.symbol));
                } else {
                    redundant = false;
                }
            }
            if (!redundant) { continue; }
            rest.add(c, linear_form(query));
            for (symbol_record& s : symbols_) {
                const double w = s.kind == symbol_kind::assigned && s.pass == p + 1 ? s.value.weight(b) : 0.0;
                if (w == 0.0) { continue; }
                s.value.add(-w, linear_form(b));  // leaves an exact zero
                s.value.add(w, rest);
            }
            return true;
        }
        return false;
    }

    [[nodiscard]] static bool contains(const std::vector<std::size_t>& set, std::size_t symbol) {
        for (const std::size_t s : set) {
            if (s == symbol) { return true; }
        }
        return false;
    }

    [[nodiscard]] plan_pass make_pass(std::size_t p, const std::vector<std::size_t>& before,
                                      const std::vector<std::size_t>& after) const {
        // Columns: registers, the output of the call before this pass, the draws it uses.
        std::vector<std::size_t> columns = before;
        for (std::size_t s = 0; s < symbols_.size(); ++s) {
            if (symbols_[s].kind == symbol_kind::output && symbols_[s].pass == p) { columns.push_back(s); }
        }
        plan_pass pass;
        for (const draw_record& d : draw_of_) {
            if (symbols_[d.symbol].pass != p) { continue; }
            bool used = false;
            for (const std::size_t s : after) {
                used = used || s == d.symbol ||
                       (defined_here(s, p) && symbols_[s].value.weight(d.symbol) != 0.0);
            }
            if (used) {
                columns.push_back(d.symbol);
                pass.draws.push_back(d.draw);
            }
        }
        for (const std::size_t s : after) {
            const linear_form value = defined_here(s, p) ? symbols_[s].value : linear_form(s);
            plan_row row{symbols_[s].name, {}};
            for (const std::size_t c : columns) { row.weights.push_back(value.weight(c)); }
            pass.rows.push_back(std::move(row));
        }
        return pass;
    }

    [[nodiscard]] bool defined_here(std::size_t symbol, std::size_t p) const {
        return symbols_[symbol].kind == symbol_kind::assigned && symbols_[symbol].pass == p;
    }

    plan plan_;
    std::vector<symbol_record> symbols_;
    std::vector<variable_record> values_;
    std::vector<draw_record> draw_of_;
    std::vector<pass_record> passes_;
    std::size_t state_ = static_cast<std::size_t>(-1);  // the variable that is the state
    std::size_t step_ = 0;
    std::uint32_t draws_ = 0;
};

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
