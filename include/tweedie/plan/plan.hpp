// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/field.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

/// What multiplies the weight of a column, element by element.
struct plan_field {
    std::size_t column = 0;
    field values;

    friend bool operator==(const plan_field&, const plan_field&) = default;
};

/// One new register as a combination of what a pass reads.
///
/// - `name`      for people: what the solver calls it.
/// - `weights`   one per column of the pass: registers, then the network's outputs (if the pass follows a
///               call; one in most plans), then fresh noise.
/// - `fields`    of the columns whose weight differs from element to element, by ascending column: the weight
///               at element e is `weights[column] * values[e]`. Empty in most plans.
/// - `constant`  added to the sum, read from nothing.
struct plan_row {
    std::string name;
    std::vector<double> weights;
    std::vector<plan_field> fields = {};
    field constant = 0.0;

    /// The weight of a column at every element.
    [[nodiscard]] field weight(std::size_t column) const {
        for (const plan_field& f : fields) {
            if (f.column == column) { return weights[column] * f.values; }
        }
        return weights[column];
    }

    /// Gives a column another weight, which becomes a `double` if it is the same everywhere.
    void set_weight(std::size_t column, field weight) {
        std::size_t at = 0;
        while (at < fields.size() && fields[at].column < column) { ++at; }
        const auto place = fields.begin() + static_cast<std::ptrdiff_t>(at);
        const bool there = at < fields.size() && fields[at].column == column;
        if (weight.uniform()) {
            weights[column] = weight[0];
            if (there) { fields.erase(place); }
            return;
        }
        weights[column] = 1.0;
        if (there) {
            place->values = std::move(weight);
        } else {
            fields.insert(place, {column, std::move(weight)});
        }
    }

    /// Whether its weights are the same for every element, and nothing is added.
    [[nodiscard]] bool plain() const { return fields.empty() && constant == field(0.0); }

    friend bool operator==(const plan_row&, const plan_row&) = default;
};

/// One pass over memory: all new registers from all old ones, the network's output, and fresh noise.
///
/// - `draws`  indices of the noise draws it consumes, in column order.
struct plan_pass {
    std::vector<plan_row> rows;
    std::vector<std::uint32_t> draws;

    friend bool operator==(const plan_pass&, const plan_pass&) = default;
};

/// One network call and the pass that follows it.
///
/// - `step`         index of the solver's step this call belongs to.
/// - `at`           noise level of the state that is evaluated, in the plan's schedule.
/// - `to`           the level a flow map is asked to go to, in the plan's schedule; empty for other networks.
/// - `query`        the register that is evaluated.
/// - `editable`     whether replacing that register replaces the state: false where the solver keeps the
///                  state in another register and evaluates a guess of it.
/// - `input_scale`  the register holds `input_scale * x`; 1 until the plan is folded.
/// - `asks`         what the network is told; `at` and `to`, by their times, until the plan is folded.
/// - `x0`           `x0_hat = x0.x * x + x0.output * output`; (0, 1) until the plan is folded: the output is
///                  x0_hat.
/// - `blend`        of a call that has several outputs, their weights: `x0_hat = x0.x * x + x0.output * sum_j
///                  blend[j] * output_j`. An output of weight 0 is not read, nor need it be evaluated. Empty:
///                  there is one output.
/// - `asked_for`    network evaluations made for the one output of a call whose `blend` is empty: several
///                  where a rule that depends on the data makes one of them.
struct plan_call {
    std::size_t step = 0;
    level at;
    std::optional<level> to = {};
    std::size_t query = 0;
    bool editable = true;
    double input_scale = 1.0;
    network_level asks;
    read_weights x0;
    std::vector<double> blend = {};
    std::size_t asked_for = 1;
    plan_pass then;

    /// Network evaluations this call costs.
    [[nodiscard]] std::size_t evaluations() const {
        if (blend.empty()) { return asked_for; }
        std::size_t read = 0;
        for (const double w : blend) { read += w != 0.0 ? 1U : 0U; }
        return read;
    }

    friend bool operator==(const plan_call&, const plan_call&) = default;
};

/// What the output column of a plan's passes stands for.
enum class output_column {
    data_prediction,  ///< x0_hat (every plan a solver writes)
    network,          ///< what the network returns (a folded plan)
};

/// A sampler as plain data: which register is evaluated at which noise level, and one small matrix per
/// network call.
///
/// Register 0 holds the state at the start and at the end. `start` is the pass before the first call; it
/// usually copies. `elements` is how many elements a sample has to have, because there are fields; 0: any.
/// `outputs` is how many outputs a call has: 1 unless the plan is folded for guidance.
/// Written by a solver, changed by `fold`, run by `sample` and `stepper`, examined by
/// `analyze`, `counts` and `to_text`.
struct plan {
    std::string solver;
    std::vector<level> levels;
    output_column output = output_column::data_prediction;
    plan_pass start;
    std::vector<plan_call> calls;
    std::size_t elements = 0;
    std::size_t outputs = 1;

    /// Columns of the passes after a call that stand for its outputs: x0_hat is one.
    [[nodiscard]] std::size_t output_columns() const {
        return output == output_column::network ? outputs : 1;
    }

    friend bool operator==(const plan&, const plan&) = default;
};

/// What a plan costs, known before it runs.
///
/// - `network_calls`  NFE: network evaluations, of a call with several outputs one for each that is read.
/// - `draws`          normal tensors drawn.
/// - `live_tensors`   registers held at once, at most, the network's output not counted.
/// - `reads`, `writes`  tensors read and written by all passes together; a register that only moves costs
///                      neither.
/// - `fields`         fields read by all passes together, weights and constants; each is as large as one
///                    sample, however many samples there are.
struct plan_counts {
    std::size_t network_calls = 0;
    std::size_t draws = 0;
    std::size_t live_tensors = 0;
    std::size_t reads = 0;
    std::size_t writes = 0;
    std::size_t fields = 0;

    friend bool operator==(const plan_counts&, const plan_counts&) = default;
};

namespace detail {

inline constexpr std::size_t npos = static_cast<std::size_t>(-1);

/// What a call of a plan that is not folded tells the network.
[[nodiscard]] inline network_level asked_as_planned(const level& at, const std::optional<level>& to) {
    const auto by_time = [](const level& l) {
        told_level told;
        static_cast<level&>(told) = l;
        told.condition = l.t;
        return told;
    };
    network_level asked;
    static_cast<told_level&>(asked) = by_time(at);
    if (to) { asked.to = by_time(*to); }
    return asked;
}

/// What each row of a pass merely moves, of its first `columns` columns (registers and the output, not
/// draws), or `npos` where it computes. Of two rows that are the same column, the second computes a copy. A
/// network's output, one of the last columns after a call, is moved only if another row reads it: what comes
/// from the network is always looked at once. Of several outputs one is moved.
[[nodiscard]] inline std::vector<std::size_t> moved_columns(const plan_pass& pass, std::size_t registers,
                                                            std::size_t columns) {
    std::vector<std::size_t> moved(pass.rows.size(), npos);
    std::vector<char> taken(columns, 0);
    std::vector<char> read(columns, 0);
    for (std::size_t r = 0; r < pass.rows.size(); ++r) {
        std::size_t source = npos;
        std::size_t terms = 0;
        for (std::size_t c = 0; c < pass.rows[r].weights.size(); ++c) {
            if (pass.rows[r].weights[c] == 0.0) { continue; }
            ++terms;
            source = c;
        }
        if (terms == 1 && pass.rows[r].plain() && source < columns && pass.rows[r].weights[source] == 1.0 &&
            taken[source] == 0) {
            moved[r] = source;
            taken[source] = 1;
            continue;
        }
        for (std::size_t c = 0; c < columns; ++c) {
            if (pass.rows[r].weights[c] != 0.0) { read[c] = 1; }
        }
    }
    bool moves_output = false;
    for (std::size_t& source : moved) {
        if (source == npos || source < registers) { continue; }
        if (read[source] == 0 || moves_output) {
            source = npos;
        } else {
            moves_output = true;
        }
    }
    return moved;
}

/// The rules for the fields of a row.
inline void require_fields(const plan_row& row, std::size_t elements) {
    const auto refuse = [&](const char* rule) {
        throw std::invalid_argument(std::string("plan: ") + rule + " (row " + row.name + ")");
    };
    const auto require = [&](const field& f) {
        if (!f.finite()) { refuse("weights must be finite"); }
        if (f.size() != elements) {
            refuse("every field must have as many numbers as the plan has elements");
        }
    };
    for (std::size_t i = 0; i < row.fields.size(); ++i) {
        if (row.fields[i].column >= row.weights.size() ||
            (i > 0 && row.fields[i].column <= row.fields[i - 1].column)) {
            refuse("fields must belong to columns, in their order");
        }
        require(row.fields[i].values);
    }
    if (row.constant.size() != 1 || !row.constant.finite()) { require(row.constant); }
}

}  // namespace detail

/// Throws unless a plan can be run: it has a call, every call evaluates a register that exists, and every row
/// has a finite weight for each register, the output and each draw; fields have one size. What a solver
/// writes is; what was read from a file may not be.
/// - errors  `std::invalid_argument`, one message per rule.
inline void require_plan(const plan& p) {
    if (p.calls.empty()) { throw std::invalid_argument("plan: need at least one network call"); }
    if (p.outputs == 0) { throw std::invalid_argument("plan: a call must have at least one output"); }
    const auto require_pass = [&](const plan_pass& pass, std::size_t columns) {
        if (pass.rows.empty()) {
            throw std::invalid_argument("plan: every pass must write at least one register");
        }
        for (const plan_row& row : pass.rows) {
            if (row.weights.size() != columns + pass.draws.size()) {
                throw std::invalid_argument("plan: row " + row.name +
                                            " must have one weight per register, output and draw");
            }
            for (const double w : row.weights) {
                if (!std::isfinite(w)) {
                    throw std::invalid_argument("plan: weights must be finite (row " + row.name + ")");
                }
            }
            if (!row.plain()) { detail::require_fields(row, p.elements); }
        }
    };
    require_pass(p.start, 1);
    std::size_t registers = p.start.rows.size();
    const auto require_name = [](const std::string& name) {
        if (name.empty() || name.front() == ' ' || name.back() == ' ' ||
            name.find('\n') != std::string::npos || name.find('=') != std::string::npos) {
            throw std::invalid_argument(
                "plan: a register's name must not be empty, nor hold '=', a new line or outer spaces");
        }
    };
    if (p.solver.find('\n') != std::string::npos || (!p.solver.empty() && p.solver.front() == ' ')) {
        throw std::invalid_argument("plan: the solver's name must be one line and not begin with a space");
    }
    for (const plan_row& row : p.start.rows) { require_name(row.name); }
    for (const plan_call& call : p.calls) {
        for (const plan_row& row : call.then.rows) { require_name(row.name); }
        if (call.query >= registers) {
            throw std::invalid_argument("plan: a call must evaluate an existing register");
        }
        if (!(call.input_scale != 0.0 && std::isfinite(call.input_scale))) {
            throw std::invalid_argument("plan: an input scale must be finite and not zero");
        }
        if (call.blend.size() != (p.outputs == 1 ? 0 : p.outputs)) {
            throw std::invalid_argument("plan: the blend of a call must have one weight per output");
        }
        for (const double w : call.blend) {
            if (!std::isfinite(w)) {
                throw std::invalid_argument("plan: the blend of a call must be finite");
            }
        }
        require_pass(call.then, registers + p.output_columns());
        registers = call.then.rows.size();
    }
}

/// Counts what a plan costs.
[[nodiscard]] inline plan_counts counts(const plan& p) {
    require_plan(p);
    plan_counts total;
    std::size_t held = 1;
    const auto add = [&](const plan_pass& pass, std::size_t outputs) {
        total.draws += pass.draws.size();
        total.live_tensors = total.live_tensors < held ? held : total.live_tensors;
        const std::vector<std::size_t> moved = detail::moved_columns(pass, held, held + outputs);
        std::vector<char> used(held + outputs + pass.draws.size(), 0);
        for (std::size_t r = 0; r < pass.rows.size(); ++r) {
            if (moved[r] != detail::npos) { continue; }
            ++total.writes;
            const plan_row& row = pass.rows[r];
            for (std::size_t c = 0; c < used.size(); ++c) {
                if (row.weights[c] != 0.0) { used[c] = 1; }
            }
            for (const plan_field& f : row.fields) { total.fields += row.weights[f.column] != 0.0 ? 1U : 0U; }
            total.fields += row.constant.size() > 1 ? 1U : 0U;
        }
        for (const char u : used) { total.reads += u != 0 ? 1U : 0U; }
        held = pass.rows.size();
    };
    add(p.start, 0);
    for (const plan_call& call : p.calls) {
        total.network_calls += call.evaluations();
        add(call.then, p.output_columns());
    }
    total.live_tensors = total.live_tensors < held ? held : total.live_tensors;
    return total;
}

}  // namespace tweedie
