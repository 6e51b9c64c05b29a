// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/field_matrix.hpp>

#include <algorithm>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

namespace detail {

/// A pass with its registers placed in buffers: one `affine`, then at most one buffer that takes one of the
/// network's outputs as it is.
struct placed_pass {
    std::vector<std::size_t> inputs;   // buffers read; `output_buffer - j` stands for the network's output j
    std::vector<std::size_t> outputs;  // buffers written
    std::vector<double> coefficients;  // outputs x (inputs + draws), row by row
    std::vector<std::uint32_t> draws;
    std::size_t adopts = npos;  // buffer whose new content is a network's output itself
    std::size_t adopted = 0;    // which output that is
    std::vector<double>
        adopting;  // the same matrix with that copy as one row more, for outputs that cannot be taken over
    std::vector<std::size_t> adopting_inputs;
    std::optional<field_matrix> fields;  // in place of both matrices, for weights that differ by element
};

inline constexpr std::size_t output_buffer = npos - 1;

/// Whether an input of a pass is an output of the network, not a buffer.
[[nodiscard]] constexpr bool is_output(std::size_t input) { return input > npos / 2; }

struct placed_call {
    std::size_t step = 0;
    level at;
    std::size_t query = 0;  // buffer
    bool editable = true;
    double input_scale = 1.0;
    network_level asks;
    read_weights x0;  // of the query buffer as it is stored, and of the output
    std::vector<double> blend;
    std::size_t evaluations = 1;
    call_site site;
    placed_pass then;
};

}  // namespace detail

/// A plan made ready to run for one network: folded, its registers placed in buffers, every read and write
/// decided.
///
/// Immutable and shared: copies are cheap, any number of steppers may use one at the same time.
/// - `p`        a plan from a solver (not folded).
/// - `asked`    the network's convention.
/// - `column`   `data_prediction` for runs that transform x0_hat (see `fold`).
/// - cost       O(calls * registers); done once.
/// - errors     `std::invalid_argument`: a level at which the network's output does not determine x0; a
///              malformed plan.
class program {
public:
    program(const plan& p, const convention& asked, output_column column = output_column::network)
        : shared_(std::make_shared<const content>(place(fold(p, asked, column)))) {}

    /// The same for a model that folds itself into the plan (`guidance::guided`).
    template <class Model>
        requires requires(const Model& model, plan p, output_column column) {
            { model.fold(std::move(p), column) } -> std::same_as<plan>;
        }
    program(const plan& p, const Model& model, output_column column = output_column::network)
        : shared_(std::make_shared<const content>(place(model.fold(p, column)))) {}

    /// A number that tells programs apart: equal for programs that do the same arithmetic.
    [[nodiscard]] std::uint64_t fingerprint() const { return shared_->fingerprint; }

    /// Calls of the plan; what they cost is `evaluations`.
    [[nodiscard]] std::size_t network_calls() const { return shared_->calls.size(); }

    /// Network evaluations of a run (NFE): as many as calls, unless a call has several outputs.
    [[nodiscard]] std::size_t evaluations() const { return shared_->evaluations; }

    /// Outputs that a call is supplied with.
    [[nodiscard]] std::size_t outputs() const { return shared_->outputs; }

    [[nodiscard]] std::size_t steps() const { return shared_->steps; }
    [[nodiscard]] output_column column() const { return shared_->column; }

    /// Registers, and draws, that one pass may have at most.
    static constexpr std::size_t most_registers = 64;

    /// Tensors a run holds at once.
    [[nodiscard]] std::size_t buffers() const { return shared_->buffers; }

    /// Normal tensors a run draws.
    [[nodiscard]] std::size_t draws() const { return shared_->draws; }

    /// Normal tensors the greediest pass draws.
    [[nodiscard]] std::size_t draws_at_once() const { return shared_->draws_at_once; }

    /// Whether a tensor that runs it has to be `combines_fields`.
    [[nodiscard]] bool has_fields() const { return shared_->has_fields; }

    /// Elements a sample has to have; 0: any.
    [[nodiscard]] std::size_t elements() const { return shared_->elements; }

    /// Normal tensors the greediest pass with fields draws.
    [[nodiscard]] std::size_t draws_with_fields() const { return shared_->draws_with_fields; }

    // The placed passes, for the stepper.
    [[nodiscard]] const detail::placed_pass& start() const { return shared_->start; }
    [[nodiscard]] const detail::placed_call& call(std::size_t i) const { return shared_->calls[i]; }
    [[nodiscard]] std::size_t result() const { return shared_->result; }

private:
    struct content {
        output_column column = output_column::network;
        std::size_t outputs = 1;
        std::size_t evaluations = 0;
        std::size_t steps = 0;
        std::size_t buffers = 1;
        std::size_t draws = 0;
        std::size_t draws_at_once = 0;
        std::size_t draws_with_fields = 0;
        std::size_t elements = 0;
        bool has_fields = false;
        std::size_t result = 0;
        std::uint64_t fingerprint = 0;
        detail::placed_pass start;
        std::vector<detail::placed_call> calls;
    };

    [[nodiscard]] static content place(const plan& p) {
        content c;
        c.column = p.output;
        c.elements = p.elements;
        c.outputs = p.outputs;
        c.steps = p.calls.back().step + 1;
        std::vector<std::size_t> where = {0};  // buffer of each register
        c.start = place_pass(p.start, where, 0, c);
        for (std::size_t k = 0; k < p.calls.size(); ++k) {
            const plan_call& call = p.calls[k];
            detail::placed_call placed;
            placed.step = call.step;
            placed.at = call.at;
            placed.query = where[call.query];
            placed.editable = call.editable;
            placed.input_scale = call.input_scale;
            placed.asks = call.asks;
            placed.x0 = {call.x0.x / call.input_scale, call.x0.output};
            placed.blend = call.blend;
            placed.evaluations = call.evaluations();
            placed.site = {k, call.step, call.at, call.at, call.at};
            if (call.step + 1 < p.levels.size()) {
                placed.site.from = p.levels[call.step];
                placed.site.to = p.levels[call.step + 1];
            }
            c.evaluations += placed.evaluations;
            placed.then = place_pass(call.then, where, p.output_columns(), c);
            c.calls.push_back(std::move(placed));
        }
        c.result = where[0];
        c.fingerprint = fingerprint_of(c);
        return c;
    }

    /// FNV-1a over every number that the run depends on.
    [[nodiscard]] static std::uint64_t fingerprint_of(const content& c) {
        std::uint64_t hash = 0xcbf29ce484222325U;
        const auto add = [&](std::uint64_t value) { hash = (hash ^ value) * 0x100000001b3U; };
        const auto add_number = [&](double value) { add(std::bit_cast<std::uint64_t>(value)); };
        const auto add_pass = [&](const detail::placed_pass& pass) {
            for (const std::size_t b : pass.inputs) { add(b); }
            for (const std::size_t b : pass.outputs) { add(b); }
            for (const double w : pass.coefficients) { add_number(w); }
            for (const std::uint32_t d : pass.draws) { add(d); }
            add(pass.adopts);
            if (pass.fields) {
                const field_matrix& m = *pass.fields;
                const std::size_t elements = m.elements() == 0 ? 1 : m.elements();
                for (std::size_t r = 0; r < m.rows().size(); ++r) {
                    for (std::size_t col = 0; col <= m.columns(); ++col) {
                        for (std::size_t e = 0; e < elements; ++e) { add_number(m.weight(r, col, e)); }
                    }
                }
            }
        };
        add(c.buffers);
        add(c.column == output_column::network ? 1 : 0);
        add_pass(c.start);
        for (const detail::placed_call& call : c.calls) {
            add(call.query);
            add_number(call.asks.condition);
            add_number(call.asks.alpha);
            add_number(call.asks.sigma);
            if (call.asks.to) {
                add_number(call.asks.to->condition);
                add_number(call.asks.to->alpha);
                add_number(call.asks.to->sigma);
            }
            add_number(call.input_scale);
            for (const double w : call.blend) { add_number(w); }
            add_pass(call.then);
        }
        return hash;
    }

    /// Registers that only move keep their buffer; those that are computed take the buffers that fall free,
    /// the one read first foremost.
    [[nodiscard]] static detail::placed_pass place_pass(const plan_pass& pass,
                                                        std::vector<std::size_t>& where, std::size_t outputs,
                                                        content& c) {
        const std::size_t registers = where.size();
        const std::size_t columns = registers + outputs;
        if (columns + pass.draws.size() > most_registers || pass.rows.size() > most_registers) {
            throw std::invalid_argument("plan: a pass may have at most 64 registers and draws");
        }
        c.draws += pass.draws.size();
        c.draws_at_once = c.draws_at_once < pass.draws.size() ? pass.draws.size() : c.draws_at_once;

        const std::size_t rows = pass.rows.size();
        const std::vector<std::size_t> moved = detail::moved_columns(pass, registers, columns);
        std::vector<char> busy(c.buffers, 0);
        for (std::size_t r = 0; r < rows; ++r) {
            if (moved[r] < registers) { busy[where[moved[r]]] = 1; }
        }
        const auto claim = [&] {
            std::size_t b = 0;
            for (const std::size_t w :
                 where) {  // first the buffers of registers that end here: they are in cache
                if (busy[w] == 0) {
                    busy[w] = 1;
                    return w;
                }
            }
            while (b < busy.size() && busy[b] != 0) { ++b; }
            if (b == busy.size()) {
                busy.push_back(0);
                ++c.buffers;
            }
            busy[b] = 1;
            return b;
        };
        detail::placed_pass placed;
        placed.draws = pass.draws;
        std::vector<std::size_t> after(rows);
        std::vector<std::size_t> computed;
        for (std::size_t r = 0; r < rows; ++r) {
            if (moved[r] == detail::npos) {
                computed.push_back(r);
                after[r] = claim();
                placed.outputs.push_back(after[r]);
            } else if (moved[r] < registers) {
                after[r] = where[moved[r]];
            }
        }
        for (std::size_t r = 0; r < rows; ++r) {
            if (moved[r] != detail::npos && moved[r] >= registers) {
                after[r] = claim();
                placed.adopts = after[r];
                placed.adopted = moved[r] - registers;
            }
        }
        const std::vector<std::size_t> order = reading_order(pass, registers, columns, moved);
        bool plain = true;
        for (const std::size_t r : computed) { plain = plain && pass.rows[r].plain(); }
        if (!plain) {
            fill_fields(placed, pass, where, order, computed, c.elements);
            c.has_fields = true;
            c.draws_with_fields = std::max(c.draws_with_fields, pass.draws.size());
            where = std::move(after);
            return placed;
        }
        fill(placed.inputs, placed.coefficients, pass, where, order, computed);
        if (placed.adopts != detail::npos) {
            for (std::size_t r = 0; r < rows; ++r) {
                if (moved[r] != detail::npos && moved[r] >= registers) { computed.push_back(r); }
            }
            fill(placed.adopting_inputs, placed.adopting, pass, where, order, computed);
        }
        where = std::move(after);
        return placed;
    }

    /// The columns in the order `affine` reads them: those that most computed rows need come first, since it
    /// is faster when a row ends early. One order for the pass, whichever rows are asked for, so that sums
    /// round alike.
    [[nodiscard]] static std::vector<std::size_t> reading_order(const plan_pass& pass, std::size_t registers,
                                                                std::size_t columns,
                                                                const std::vector<std::size_t>& moved) {
        std::vector<std::size_t> order;
        for (std::size_t readers = pass.rows.size() + 1; readers-- > 0;) {
            for (std::size_t col = 0; col < columns; ++col) {
                std::size_t count = 0;
                for (std::size_t r = 0; r < pass.rows.size(); ++r) {
                    const bool stays = moved[r] < registers;
                    count += !stays && pass.rows[r].weights[col] != 0.0 ? 1U : 0U;
                }
                if (count == readers) { order.push_back(col); }
            }
        }
        return order;
    }

    /// The columns that the given rows read, and the buffers they stand for.
    [[nodiscard]] static std::vector<std::size_t> read_columns(std::vector<std::size_t>& inputs,
                                                               const plan_pass& pass,
                                                               const std::vector<std::size_t>& where,
                                                               const std::vector<std::size_t>& order,
                                                               const std::vector<std::size_t>& rows) {
        std::vector<std::size_t> used;
        for (const std::size_t col : order) {
            bool asked = false;
            for (const std::size_t r : rows) { asked = asked || pass.rows[r].weights[col] != 0.0; }
            if (asked) { used.push_back(col); }
        }
        for (const std::size_t col : used) {
            inputs.push_back(col < where.size() ? where[col] : detail::output_buffer - (col - where.size()));
        }
        return used;
    }

    /// What the given rows read, and the matrix over it.
    static void fill(std::vector<std::size_t>& inputs, std::vector<double>& matrix, const plan_pass& pass,
                     const std::vector<std::size_t>& where, const std::vector<std::size_t>& order,
                     const std::vector<std::size_t>& rows) {
        const std::vector<std::size_t> used = read_columns(inputs, pass, where, order, rows);
        for (const std::size_t r : rows) {
            for (const std::size_t col : used) { matrix.push_back(pass.rows[r].weights[col]); }
            for (std::size_t d = 0; d < pass.draws.size(); ++d) {
                matrix.push_back(pass.rows[r].weights[order.size() + d]);
            }
        }
    }

    /// The same with a matrix for each element, whose last columns are the draws.
    static void fill_fields(detail::placed_pass& placed, const plan_pass& pass,
                            const std::vector<std::size_t>& where, const std::vector<std::size_t>& order,
                            const std::vector<std::size_t>& rows, std::size_t elements) {
        std::vector<std::size_t> used = read_columns(placed.inputs, pass, where, order, rows);
        for (std::size_t d = 0; d < pass.draws.size(); ++d) { used.push_back(order.size() + d); }
        std::vector<field_matrix::entry> entries;
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const plan_row& row = pass.rows[rows[i]];
            const auto add = [&](std::size_t column, const field& weight) {
                if (weight.uniform() && weight[0] == 0.0) { return; }
                field_matrix::entry one{i, column, {}};
                for (std::size_t e = 0; e < weight.size(); ++e) { one.values.push_back(weight[e]); }
                entries.push_back(std::move(one));
            };
            for (std::size_t c = 0; c < used.size(); ++c) { add(c, row.weight(used[c])); }
            add(used.size(), row.constant);
        }
        placed.fields.emplace(elements, rows.size(), used.size(), entries);
    }

    std::shared_ptr<const content> shared_;
};

}  // namespace tweedie
