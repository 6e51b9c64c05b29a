// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/plan/plan.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace tweedie {

/// A plan as text: for people to read, for `diff` to compare, and for `parse_plan` to read back exactly.
///
///     tweedie plan 1
///     solver dpm_solver(order=2, data, midpoint)
///     output x0_hat
///     level 80 1 80                                        t alpha sigma, one line per level
///     start
///       r0 x = 1 r0
///     call r0 step 1 at 42.4 1 42.4                        evaluate register 0
///       r0 x = 0.53 r0 + 0.61 out - 0.14 r1                `out`: the network's output, `z3`: fourth draw
///       r1 x0_hat = 1 out
///
/// A call of a flow map goes on with the level it is to go to: `to 1 1 1`. `not editable` stands where the
/// state is kept apart from what is evaluated. A folded plan also has, per call, the lines `input_scale`,
/// `asks` (t alpha sigma condition, of a flow map `to` and the same again) and `x0` (weights of x and out).
/// Numbers are the shortest that read back to the same double. A plan with fields also has a line `elements`,
/// terms like `0.5 f3 r1`, and at its end the numbers of each field: `field f3` and one per element. A
/// constant is a multiple of `one`. A plan of several outputs has a line `outputs 2`, they are called `out`,
/// `out1`, ..., and its calls a line `blend` with their weights. `asked_for 2` is the number of evaluations
/// behind one output.
[[nodiscard]] inline std::string to_text(const plan& p) {
    require_plan(p);
    std::string text;
    const auto number = [&](double value) { text += detail::shortest(value); };
    const auto write_level = [&](const level& l) {
        number(l.t);
        text += ' ';
        number(l.alpha);
        text += ' ';
        number(l.sigma);
    };
    const auto write_told = [&](const told_level& told) {
        write_level(told);
        text += ' ';
        number(told.condition);
    };
    std::vector<const field*> fields;
    const auto write_field = [&](const field& f) {
        text += " f" + std::to_string(fields.size());
        fields.push_back(&f);
    };
    std::size_t registers = 1;
    const auto write_pass = [&](const plan_pass& pass, bool after_call) {
        const std::size_t outputs = registers + (after_call ? p.output_columns() : 0);
        if (!pass.draws.empty()) {
            text += "  draws";
            for (const std::uint32_t d : pass.draws) { text += " z" + std::to_string(d); }
            text += '\n';
        }
        for (std::size_t r = 0; r < pass.rows.size(); ++r) {
            const plan_row& row = pass.rows[r];
            text += "  r" + std::to_string(r) + ' ' + row.name + " =";
            bool first = true;
            const auto write_weight = [&](double w) {
                text += first ? " " : (w < 0 ? " - " : " + ");
                number(first || !(w < 0) ? w : -w);
                first = false;
            };
            std::size_t next_field = 0;
            for (std::size_t c = 0; c < row.weights.size(); ++c) {
                const plan_field* const f =
                    next_field < row.fields.size() ? &row.fields[next_field] : nullptr;
                const bool varies = f != nullptr && f->column == c;
                if (varies) { ++next_field; }
                if (row.weights[c] == 0.0 && !varies) { continue; }
                write_weight(row.weights[c]);
                if (varies) { write_field(f->values); }
                if (c < registers) {
                    text += " r" + std::to_string(c);
                } else if (c < outputs) {
                    text += " out";
                    if (c > registers) { text += std::to_string(c - registers); }
                } else {
                    text += " z" + std::to_string(pass.draws[c - outputs]);
                }
            }
            if (row.constant != field(0.0)) {
                const bool varies = row.constant.size() > 1;
                write_weight(varies ? 1.0 : row.constant[0]);
                if (varies) { write_field(row.constant); }
                text += " one";
            }
            text += '\n';
        }
        registers = pass.rows.size();
    };
    text += "tweedie plan 1\nsolver " + p.solver + "\noutput " +
            (p.output == output_column::network ? "network" : "x0_hat") + '\n';
    if (p.elements != 0) { text += "elements " + std::to_string(p.elements) + '\n'; }
    if (p.outputs != 1) { text += "outputs " + std::to_string(p.outputs) + '\n'; }
    for (const level& l : p.levels) {
        text += "level ";
        write_level(l);
        text += '\n';
    }
    text += "start\n";
    write_pass(p.start, false);
    for (const plan_call& call : p.calls) {
        text += "call r" + std::to_string(call.query) + " step " + std::to_string(call.step) + " at ";
        write_level(call.at);
        if (call.to) {
            text += " to ";
            write_level(*call.to);
        }
        text += '\n';
        if (!call.editable) { text += "  not editable\n"; }
        const bool plain = call.input_scale == 1.0 && call.x0 == read_weights{} &&
                           call.asks == detail::asked_as_planned(call.at, call.to);
        if (!plain) {
            text += "  input_scale ";
            number(call.input_scale);
            text += "\n  asks ";
            write_told(call.asks);
            if (call.asks.to) {
                text += " to ";
                write_told(*call.asks.to);
            }
            text += "\n  x0 ";
            number(call.x0.x);
            text += ' ';
            number(call.x0.output);
            text += '\n';
        }
        if (!call.blend.empty()) {
            text += "  blend";
            for (const double w : call.blend) {
                text += ' ';
                number(w);
            }
            text += '\n';
        }
        if (call.asked_for != 1) { text += "  asked_for " + std::to_string(call.asked_for) + '\n'; }
        write_pass(call.then, true);
    }
    for (std::size_t f = 0; f < fields.size(); ++f) {
        text += "field f" + std::to_string(f);
        for (std::size_t e = 0; e < p.elements; ++e) {
            text += ' ';
            number((*fields[f])[e]);
        }
        text += '\n';
    }
    return text;
}

namespace detail {

/// Reads the text of `to_text` word by word, line by line.
class plan_reader {
public:
    explicit plan_reader(std::string_view text) : rest_(text) {}

    /// Moves to the next line; false at the end.
    bool next_line() {
        if (rest_.empty()) { return false; }
        ++number_;
        const std::size_t end = rest_.find('\n');
        line_ = rest_.substr(0, end);
        rest_ = end == std::string_view::npos ? std::string_view() : rest_.substr(end + 1);
        return true;
    }

    void skip_spaces() {
        while (!line_.empty() && line_.front() == ' ') { line_.remove_prefix(1); }
    }

    [[nodiscard]] bool at_end() {
        skip_spaces();
        return line_.empty();
    }

    [[nodiscard]] std::string_view peek() {
        skip_spaces();
        return line_.substr(0, line_.find(' '));
    }

    std::string_view word() {
        const std::string_view w = peek();
        line_.remove_prefix(w.size());
        return w;
    }

    void expect(std::string_view wanted) {
        if (word() != wanted) { fail("expected '" + std::string(wanted) + "'"); }
    }

    std::string_view until(std::string_view mark) {
        skip_spaces();
        const std::size_t end = line_.find(mark);
        if (end == std::string_view::npos) { fail("expected '" + std::string(mark) + "'"); }
        const std::string_view part = line_.substr(0, end);
        line_.remove_prefix(end + mark.size());
        return part;
    }

    std::string_view remainder() {
        skip_spaces();
        return std::exchange(line_, std::string_view());
    }

    double real() { return parse<double>(word()); }
    std::size_t index(char prefix) {
        std::string_view w = word();
        if (w.size() < 2 || w.front() != prefix) {
            fail(std::string("expected '") + prefix + "' and a number");
        }
        return parse<std::size_t>(w.substr(1));
    }
    std::size_t index_after(std::string_view prefix) {
        return parse<std::size_t>(word().substr(prefix.size()));
    }
    std::size_t count() { return parse<std::size_t>(word()); }
    std::uint32_t draw() {
        const std::size_t which = index('z');
        if (which > std::numeric_limits<std::uint32_t>::max()) { fail("a draw's number is below 2^32"); }
        return static_cast<std::uint32_t>(which);
    }

    level read_level() {
        level l;
        l.t = real();
        l.alpha = real();
        l.sigma = real();
        return l;
    }

    told_level read_told() {
        told_level told;
        static_cast<level&>(told) = read_level();
        told.condition = real();
        return told;
    }

    /// Whether the line goes on with this word, which is then read.
    bool goes_on(std::string_view with) {
        if (peek() != with) { return false; }
        word();
        return true;
    }

    [[noreturn]] void fail(const std::string& rule) const {
        throw std::invalid_argument("parse_plan: line " + std::to_string(number_) + ": " + rule);
    }

private:
    template <class Number>
    Number parse(std::string_view w) const {
        Number value{};
        const auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), value);
        if (error != std::errc() || end != w.data() + w.size()) {
            fail("expected a number, found '" + std::string(w) + "'");
        }
        return value;
    }

    std::string_view rest_;
    std::string_view line_;
    std::size_t number_ = 0;
};

/// The fields of a plan's text, by their index.
[[nodiscard]] inline std::vector<field> read_fields(std::string_view text) {
    plan_reader in(text);
    std::vector<field> fields;
    while (in.next_line()) {
        if (in.peek() != "field") { continue; }
        in.word();
        if (in.index('f') != fields.size()) { in.fail("fields must be written in order"); }
        std::vector<double> values;
        while (!in.at_end()) { values.push_back(in.real()); }
        if (values.empty()) { in.fail("a field needs numbers"); }
        fields.emplace_back(std::move(values));
    }
    return fields;
}

}  // namespace detail

/// Reads a plan back: `parse_plan(to_text(p)) == p`.
/// - errors  `std::invalid_argument` with the line and what was expected there; or the rule of
///           `require_plan`.
[[nodiscard]] inline plan parse_plan(std::string_view text) {
    detail::plan_reader in(text);
    if (!in.next_line() || in.remainder() != "tweedie plan 1") { in.fail("expected 'tweedie plan 1'"); }
    const std::vector<field> fields = detail::read_fields(text);
    plan p;
    plan_pass* pass = nullptr;
    std::size_t registers = 1;  // columns of the pass being read
    std::size_t outputs = 1;
    const auto begin_pass = [&](plan_pass& next, bool after_call) {
        if (pass != nullptr) { registers = pass->rows.size(); }
        pass = &next;
        outputs = registers + (after_call ? p.output_columns() : 0);
    };
    const auto read_row = [&] {
        if (in.index('r') != pass->rows.size()) { in.fail("registers must be written in order"); }
        plan_row row{std::string(in.until(" =")), std::vector<double>(outputs + pass->draws.size(), 0.0)};
        std::vector<char> given(row.weights.size() + 1, 0);  // the last for the constant
        const auto give = [&](std::size_t column) {
            if (given[column] != 0) { in.fail("a register, output, draw or constant given twice"); }
            given[column] = 1;
        };
        double sign = 1.0;
        while (!in.at_end()) {
            if (in.peek() == "+" || in.peek() == "-") { sign = in.word() == "-" ? -1.0 : 1.0; }
            const double weight = sign * in.real();
            const field* values = nullptr;
            if (!in.at_end() && in.peek().front() == 'f') {
                const std::size_t f = in.index('f');
                if (f >= fields.size()) { in.fail("a field that does not exist"); }
                values = &fields[f];
            }
            if (in.goes_on("one")) {
                give(row.weights.size());
                row.constant = values != nullptr ? weight * *values : weight;
                continue;
            }
            std::size_t column = outputs + pass->draws.size();
            if (in.peek().substr(0, 3) == "out") {
                column = registers + (in.peek() == "out" ? 0 : in.index_after("out"));
                if (in.peek() == "out") { in.word(); }
                if (column >= outputs) { column = row.weights.size(); }
            } else if (!in.peek().empty() && in.peek().front() == 'z') {
                const std::size_t draw = in.index('z');
                for (std::size_t d = 0; d < pass->draws.size(); ++d) {
                    if (pass->draws[d] == draw) { column = outputs + d; }
                }
            } else {
                column = in.index('r');
                if (column >= registers) { column = row.weights.size(); }
            }
            if (column >= row.weights.size()) {
                in.fail("a register, output or draw that does not exist there");
            }
            give(column);
            row.weights[column] = weight;
            if (values != nullptr) { row.fields.push_back({column, *values}); }
        }
        pass->rows.push_back(std::move(row));
    };
    while (in.next_line()) {
        if (in.at_end()) { continue; }
        const std::string_view key = in.peek();
        if (key == "solver") {
            in.word();
            p.solver = std::string(in.remainder());
        } else if (key == "output") {
            in.word();
            const std::string_view column = in.word();
            if (column != "network" && column != "x0_hat") { in.fail("output must be network or x0_hat"); }
            p.output = column == "network" ? output_column::network : output_column::data_prediction;
        } else if (key == "elements") {
            in.word();
            p.elements = in.count();
        } else if (key == "outputs") {
            if (pass != nullptr) { in.fail("'outputs' must come before 'start'"); }
            in.word();
            p.outputs = in.count();
        } else if (key == "field") {
            static_cast<void>(in.remainder());  // read already
        } else if (key == "level") {
            in.word();
            p.levels.push_back(in.read_level());
        } else if (key == "start") {
            in.word();
            begin_pass(p.start, false);
        } else if (key == "call") {
            if (pass == nullptr) { in.fail("'start' must come before the first call"); }
            in.word();
            plan_call call;
            call.query = in.index('r');
            in.expect("step");
            call.step = in.count();
            in.expect("at");
            call.at = in.read_level();
            if (in.goes_on("to")) { call.to = in.read_level(); }
            call.asks = detail::asked_as_planned(call.at, call.to);
            registers = pass->rows.size();
            pass = nullptr;  // it may move with the vector
            p.calls.push_back(std::move(call));
            begin_pass(p.calls.back().then, true);
        } else if (pass == nullptr) {
            in.fail("unknown key '" + std::string(key) + "'");
        } else if (key == "not" && !p.calls.empty()) {
            in.word();
            in.expect("editable");
            p.calls.back().editable = false;
        } else if (key == "draws") {
            in.word();
            while (!in.at_end()) { pass->draws.push_back(in.draw()); }
        } else if (key == "input_scale" && !p.calls.empty()) {
            in.word();
            p.calls.back().input_scale = in.real();
        } else if (key == "asks" && !p.calls.empty()) {
            in.word();
            network_level& asks = p.calls.back().asks;
            static_cast<told_level&>(asks) = in.read_told();
            asks.to.reset();
            if (in.goes_on("to")) { asks.to = in.read_told(); }
        } else if (key == "blend" && !p.calls.empty()) {
            in.word();
            while (!in.at_end()) { p.calls.back().blend.push_back(in.real()); }
        } else if (key == "asked_for" && !p.calls.empty()) {
            in.word();
            p.calls.back().asked_for = in.count();
        } else if (key == "x0" && !p.calls.empty()) {
            in.word();
            p.calls.back().x0.x = in.real();
            p.calls.back().x0.output = in.real();
        } else {
            read_row();
        }
        if (!in.at_end()) { in.fail("nothing more expected on this line"); }
    }
    require_plan(p);
    return p;
}

}  // namespace tweedie
