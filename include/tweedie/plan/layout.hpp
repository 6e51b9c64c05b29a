// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// Where a tensor of a plan under construction comes from.
enum class symbol_kind {
    state,     ///< what the run starts with
    output,    ///< of the call before its pass
    draw,      ///< fresh noise
    one,       ///< the number 1, which constants are multiples of
    assigned,  ///< a combination of earlier ones, written by its pass
};

/// What a `plan_writer` wrote, and its layout: which tensors are held as registers, and each pass as a
/// matrix.
///
/// Pass p runs before call p, the last one ends the plan. Symbols are added pass by pass, so those of a pass
/// lie together, and each pass is laid out by looking at its own and the registers that reach it.
/// - cost  linear in the number of passes.
class plan_layout {
public:
    /// The first symbol, 0, is the state.
    plan_layout() {
        passes_.push_back({});
        static_cast<void>(add("x", symbol_kind::state));
    }

    /// A new symbol of the pass under way.
    std::size_t add(std::string name, symbol_kind kind, linear_form value = {}) {
        const std::uint32_t draw = kind == symbol_kind::draw ? draws_++ : 0;
        symbols_.push_back({std::move(name), passes_.size() - 1, kind, std::move(value), draw});
        return symbols_.size() - 1;
    }

    /// The symbol that holds `value`: an existing one if the form is just that, otherwise one written by the
    /// pass under way.
    std::size_t hold(const std::string& name, const linear_form& value) {
        const auto& terms = value.terms();
        if (terms.size() == 1 && terms[0].weight == 1.0 && value.factors().empty() &&
            is_tensor(terms[0].symbol)) {
            return terms[0].symbol;
        }
        const std::size_t current = passes_.size() - 1;
        for (std::size_t s = first(current); s < end(current); ++s) {
            if (defined_here(s, current) && symbols_[s].value == value) { return s; }
        }
        return add(name, symbol_kind::assigned, value);
    }

    /// Ends the pass under way by a call that evaluates `query` while `state` is the state.
    void close_pass(std::size_t query, std::size_t state) {
        passes_.back().query = query;
        passes_.back().state = state;
        passes_.push_back({symbols_.size()});
    }

    /// Fills in the passes of a plan that has its calls, `result` being what it ends with: liveness backwards
    /// from there, then the matrices forwards.
    void lay_out(plan& to, std::size_t result) {
        const std::size_t last = passes_.size() - 1;
        // A register dropped after pass p changes what is alive up to p, nothing that a later pass looks at.
        register_sets live = liveness(result);
        for (std::size_t p = 0; p < last; ++p) { drop_redundant_register(p, live); }
        live = liveness(result);
        const std::vector<std::size_t> given = {0};
        for (std::size_t p = 0; p <= last; ++p) {
            plan_pass& pass = p == 0 ? to.start : to.calls[p - 1].then;
            pass = make_pass(p, p == 0 ? given : live[p - 1], live[p]);
            for (const plan_row& row : pass.rows) {
                for (const plan_field& f : row.fields) { to.elements = f.values.size(); }
                if (row.constant.size() > 1) { to.elements = row.constant.size(); }
            }
            if (p < last) {
                const std::size_t state = passes_[p].state;
                to.calls[p].editable = state == passes_[p].query || !contains(live[p], state);
            }
        }
    }

private:
    using register_sets = std::vector<std::vector<std::size_t>>;

    struct symbol_record {
        std::string name;
        std::size_t pass;  // the one that defines it; an output comes from the call before that pass
        symbol_kind kind;
        linear_form value;   // of an assigned symbol, over earlier ones
        std::uint32_t draw;  // which one, of a draw
    };

    struct pass_record {
        std::size_t first = 0;  // its symbols are those from here to the next pass's first
        std::size_t query = 0;  // the symbol evaluated after this pass
        std::size_t state = 0;  // the one that is the state then
    };

    [[nodiscard]] std::size_t first(std::size_t p) const { return passes_[p].first; }
    [[nodiscard]] std::size_t end(std::size_t p) const {
        return p + 1 < passes_.size() ? passes_[p + 1].first : symbols_.size();
    }

    /// Whether it can be a register without being written.
    [[nodiscard]] bool is_tensor(std::size_t symbol) const {
        return symbols_[symbol].kind != symbol_kind::draw && symbols_[symbol].kind != symbol_kind::one;
    }

    [[nodiscard]] bool defined_here(std::size_t symbol, std::size_t p) const {
        return symbols_[symbol].kind == symbol_kind::assigned && symbols_[symbol].pass == p;
    }

    [[nodiscard]] static bool contains(const std::vector<std::size_t>& set, std::size_t symbol) {
        for (const std::size_t s : set) {
            if (s == symbol) { return true; }
        }
        return false;
    }

    /// The registers alive after each pass, the query first.
    [[nodiscard]] register_sets liveness(std::size_t result) const {
        const std::size_t last = passes_.size() - 1;
        register_sets live(last + 1);
        const auto want = [](std::vector<std::size_t>& set, std::size_t symbol) {
            if (!contains(set, symbol)) { set.push_back(symbol); }
        };
        live[last] = {result};
        for (std::size_t p = last; p > 0; --p) {
            std::vector<std::size_t>& before = live[p - 1];
            want(before, passes_[p - 1].query);
            for (const std::size_t s : live[p]) {
                if (defined_here(s, p)) {
                    for (const linear_form::term& t : symbols_[s].value.terms()) {
                        if (t.weight != 0.0 && symbols_[t.symbol].pass < p &&
                            symbols_[t.symbol].kind != symbol_kind::one) {
                            want(before, t.symbol);
                        }
                    }
                } else if (symbols_[s].pass < p) {
                    want(before, s);
                }
            }
        }
        return live;
    }

    /// The smallest size of a weight at any element.
    [[nodiscard]] static double least(const field& weight) {
        double size = std::abs(weight[0]);
        for (std::size_t e = 1; e < weight.size(); ++e) { size = std::min(size, std::abs(weight[e])); }
        return size;
    }

    /// Whether nothing but rounding is left of a - b, at every element.
    [[nodiscard]] static bool negligible(const field& left, const field& a, const field& b) {
        for (std::size_t e = 0; e < std::max({left.size(), a.size(), b.size()}); ++e) {
            if (!(std::abs(left[e]) <= 1e-14 * (std::abs(a[e]) + std::abs(b[e])))) { return false; }
        }
        return true;
    }

    /// A register b beside the query q that pass p writes, with b = c q + (registers alive anyway): the next
    /// pass, its only reader, is rewritten in terms of q, and b is not kept. c q is never formed by itself,
    /// so nothing is amplified at run time.
    void drop_redundant_register(std::size_t p, const register_sets& live) {
        const std::size_t query = passes_[p].query;
        if (!defined_here(query, p)) { return; }
        for (const std::size_t b : live[p]) {
            if (b == query || contains(live[p + 1], b)) { continue; }
            const linear_form& q_value = symbols_[query].value;
            const linear_form b_value = defined_here(b, p) ? symbols_[b].value : linear_form(b);
            const auto kept = [&](std::size_t symbol) {
                return symbol != b &&
                       (contains(live[p], symbol) || symbols_[symbol].kind == symbol_kind::one);
            };
            field c = 0.0;  // from the largest term on something that is not alive otherwise
            double largest = 0.0;
            for (const linear_form::term& t : q_value.terms()) {
                if (kept(t.symbol)) { continue; }
                const field of_q = q_value.weights(t.symbol);
                const double size = least(of_q);
                if (size > largest) {
                    largest = size;
                    c = b_value.weights(t.symbol) / of_q;
                }
            }
            if (!(least(c) > 0.0 && c.finite())) { continue; }
            linear_form rest;  // b - c q over what is alive
            bool redundant = true;
            linear_form both = b_value;
            both.add(-c, q_value);
            for (const linear_form::term& t : both.terms()) {
                const field left = both.weights(t.symbol);
                if (negligible(left, b_value.weights(t.symbol), c * q_value.weights(t.symbol))) { continue; }
                if (kept(t.symbol)) {
                    rest.add(left, linear_form(t.symbol));
                } else {
                    redundant = false;
                }
            }
            if (!redundant) { continue; }
            rest.add(c, linear_form(query));
            for (std::size_t s = first(p + 1); s < end(p + 1); ++s) {
                if (!defined_here(s, p + 1)) { continue; }
                linear_form& value = symbols_[s].value;
                if (value.weight(b) == 0.0) { continue; }
                const field w = value.weights(b);
                value.add(-w, linear_form(b));  // leaves an exact zero
                value.add(w, rest);
            }
            return;
        }
    }

    [[nodiscard]] plan_pass make_pass(std::size_t p, const std::vector<std::size_t>& before,
                                      const std::vector<std::size_t>& after) const {
        // Columns: registers, the output of the call before this pass, the draws it uses.
        std::vector<std::size_t> columns = before;
        for (std::size_t s = first(p); s < end(p); ++s) {
            if (symbols_[s].kind == symbol_kind::output) { columns.push_back(s); }
        }
        plan_pass pass;
        for (std::size_t d = first(p); d < end(p); ++d) {
            if (symbols_[d].kind != symbol_kind::draw) { continue; }
            bool used = false;
            for (const std::size_t s : after) {
                used = used || s == d || (defined_here(s, p) && symbols_[s].value.weight(d) != 0.0);
            }
            if (used) {
                columns.push_back(d);
                pass.draws.push_back(symbols_[d].draw);
            }
        }
        for (const std::size_t s : after) {
            const linear_form value = defined_here(s, p) ? symbols_[s].value : linear_form(s);
            plan_row row{symbols_[s].name, {}};
            for (const std::size_t c : columns) { row.weights.push_back(value.weight(c)); }
            for (std::size_t c = 0; c < columns.size() && !value.factors().empty(); ++c) {
                row.set_weight(c, value.weights(columns[c]));
            }
            for (const linear_form::term& t : value.terms()) {
                if (symbols_[t.symbol].kind == symbol_kind::one) { row.constant = value.weights(t.symbol); }
            }
            pass.rows.push_back(std::move(row));
        }
        return pass;
    }

    std::vector<symbol_record> symbols_;
    std::vector<pass_record> passes_;
    std::uint32_t draws_ = 0;
};

}  // namespace tweedie::detail
