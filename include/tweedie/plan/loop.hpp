// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie {

/// A weighted sum of what a turn of a loop can read: registers, the network's data prediction, noise draws.
///
/// What `linear_form` is to a plan, of fixed size, so that writing equations while a run is under way
/// allocates nothing. Made by a `turn`; combined with `+`, `-`, and multiplication or division by a `double`.
class combination {
public:
    static constexpr std::size_t registers = 16;  ///< registers a loop may have
    static constexpr std::size_t draws = 16;      ///< draws one turn may read
    static constexpr std::size_t output = registers;
    static constexpr std::size_t first_draw = registers + 1;
    static constexpr std::size_t columns = registers + 1 + draws;

    combination() = default;
    explicit combination(std::size_t column) { weights_[column] = 1.0; }

    /// The weight of a column: registers first, then the network's data prediction, then draws.
    [[nodiscard]] double operator[](std::size_t column) const { return weights_[column]; }

    /// Adds `weight * other` to this.
    combination& add(double weight, const combination& other) {
        for (std::size_t c = 0; c < columns; ++c) { weights_[c] += weight * other.weights_[c]; }
        return *this;
    }

private:
    std::array<double, columns> weights_{};
};

[[nodiscard]] inline combination operator+(combination a, const combination& b) { return a.add(1.0, b); }
[[nodiscard]] inline combination operator-(combination a, const combination& b) { return a.add(-1.0, b); }
[[nodiscard]] inline combination operator*(double weight, const combination& a) {
    return combination().add(weight, a);
}
[[nodiscard]] inline combination operator/(const combination& a, double divisor) {
    return (1.0 / divisor) * a;
}
inline combination& operator+=(combination& a, const combination& b) { return a.add(1.0, b); }
inline combination& operator-=(combination& a, const combination& b) { return a.add(-1.0, b); }

/// How a turn's question is put.
///
/// - `scale`        the state that is evaluated is `scale` times the register (for loops that keep the state
///                  in coordinates of their own); not 0.
/// - `begins_step`  the first question of a step: observers look here.
/// - `editable`     the register is the state, and nothing else depends on it: it may be replaced.
struct ask_options {
    double scale = 1.0;
    bool begins_step = false;
    bool editable = false;
};

/// One turn of a loop: what was measured goes in; new registers, new measurements and the next question go
/// out. Plain numbers; the tensors are elsewhere.
///
///     p.set(x, p(x) + step * (p(eps) - p.noise(draw)));   // every right-hand side reads the old registers
///     const auto error = p.scaled_error(low, high, x, atol, rtol);
///
/// Weights may differ from group to group, a group being a sample, or a block of each sample (see `loop`).
/// The order within a turn: all right-hand sides are read, `take`s exchange registers, the results are
/// written, then the measurements are made of the new registers, then the network is asked.
/// - cost  one pass over memory for all `set`s of a turn together; one more per measurement.
class turn {
public:
    // Reading.

    /// Groups with weights and measurements of their own: samples, or blocks of all samples.
    [[nodiscard]] std::size_t groups() const { return groups_; }

    /// Measurement `k` of the turn before, for one group.
    [[nodiscard]] double measured(std::size_t k, std::size_t group = 0) const {
        return results_[k * groups_ + group];
    }

    /// The largest of measurement `k` over all groups; +infinity if one is NaN.
    [[nodiscard]] double worst(std::size_t k) const {
        double largest = -std::numeric_limits<double>::infinity();
        for (std::size_t g = 0; g < groups_; ++g) {
            const double value = measured(k, g);
            if (!(value <= largest)) { largest = value; }
            if (std::isnan(value)) { return std::numeric_limits<double>::infinity(); }
        }
        return largest;
    }

    /// Register `r` as it was before this turn.
    [[nodiscard]] combination operator()(std::size_t r) const { return combination(r); }

    /// The network's data prediction for the question of the turn before.
    /// - errors  `std::invalid_argument` where none was asked.
    [[nodiscard]] combination x0_hat() const {
        if (!answered_) {
            throw std::invalid_argument("loop: x0_hat is read, and the network was not asked");
        }
        return combination(combination::output);
    }

    /// Draw number `draw` of the run, a standard normal tensor: the same numbers whenever it is read.
    [[nodiscard]] combination noise(std::uint32_t draw) {
        std::size_t k = 0;
        while (k < drawn_ && draw_[k] != draw) { ++k; }
        if (k == combination::draws) { throw std::invalid_argument("loop: too many draws in one turn"); }
        if (k == drawn_) { draw_[drawn_++] = draw; }
        return combination(combination::first_draw + k);
    }

    // Writing.

    /// Register `r` becomes `value`, in every group.
    void set(std::size_t r, const combination& value) {
        const std::size_t i = row(r);
        for (std::size_t g = 0; g < (uniform_ ? 1 : groups_); ++g) { store(g, i, value); }
    }

    /// Register `r` becomes `value` in one group; to be said for each of them.
    void set(std::size_t r, std::size_t group, const combination& value) {
        if (uniform_) { part(); }
        store(group, row(r), value);
    }

    /// Registers `a` and `b` are exchanged, at no cost: `a` becomes what `b` was before this turn unless it
    /// is also set.
    void take(std::size_t a, std::size_t b) {
        if (!(a < combination::registers && b < combination::registers)) {
            throw std::invalid_argument("loop: no such register");
        }
        if (taken_ == takes_.size()) { throw std::invalid_argument("loop: too many exchanges in one turn"); }
        takes_[taken_++] = {a, b};
    }

    /// Asks for the inner product of two new registers, per group.
    /// - returns  its number among this turn's measurements.
    std::size_t inner(std::size_t a, std::size_t b) { return measure({kind::inner, a, b, a, 0.0, 0.0}); }

    /// Asks for the error norm of step-size control, per group:
    ///
    ///     sqrt(mean(((a - b) / max(atol, rtol max(|a|, |reference|)))^2))
    std::size_t scaled_error(std::size_t a, std::size_t b, std::size_t reference, double atol, double rtol) {
        return measure({kind::scaled_error, a, b, reference, atol, rtol});
    }

    /// The network is to be evaluated at (new) register `r`, which is at level `at`.
    void ask(std::size_t r, const level& at, const ask_options& options = {}) {
        next_ = next::ask;
        subject_ = r;
        at_ = at;
        options_ = options;
    }

    /// What an observer of the coming question sees, and what a run that is stopped there leaves, over the
    /// new registers and the coming x0_hat; without this, the register asked about and its x0_hat.
    void show(const level& at, const combination& x, const combination& x0_hat) {
        shows_ = true;
        shown_at_ = at;
        shown_x_ = x;
        shown_x0_ = x0_hat;
    }

    /// x0_hat of the question under way, for `show`.
    [[nodiscard]] static combination coming_x0_hat() { return combination(combination::output); }

    /// The run is at its end, with `scale` times (new) register `r` as its result.
    void finish(std::size_t r, const level& at, double scale = 1.0) {
        next_ = next::finish;
        subject_ = r;
        at_ = at;
        options_ = {.scale = scale};
    }

    /// The method cannot go on: a tolerance it does not reach, more steps than it may take. What it has
    /// reached is `scale` times (new) register `r`, at level `at`.
    void give_up(std::size_t r, const level& at, double scale = 1.0) {
        finish(r, at, scale);
        next_ = next::give_up;
    }

    // For whoever runs the loop.

    enum class kind { inner, scaled_error };
    enum class next { turn, ask, finish, give_up };

    struct measurement {
        kind what = kind::inner;
        std::size_t a = 0;
        std::size_t b = 0;
        std::size_t reference = 0;
        double atol = 0.0;
        double rtol = 0.0;
    };

    struct exchange {
        std::size_t a = 0;
        std::size_t b = 0;
    };

    /// Makes room for all that a run will need.
    explicit turn(std::size_t groups = 1) : groups_(groups) {
        weights_.resize(groups * combination::registers);
        results_.resize(groups * most_measurements);
    }

    /// Begins the next turn; `answered`: there is a data prediction to read.
    void begin(bool answered) {
        answered_ = answered;
        rows_ = 0;
        drawn_ = 0;
        taken_ = 0;
        asked_ = 0;
        uniform_ = true;
        shows_ = false;
        next_ = next::turn;
        of_.fill(combination::columns);
    }

    [[nodiscard]] std::span<const std::size_t> rows() const { return {written_.data(), rows_}; }
    [[nodiscard]] std::span<const std::uint32_t> draws() const { return {draw_.data(), drawn_}; }
    [[nodiscard]] std::span<const exchange> takes() const { return {takes_.data(), taken_}; }
    [[nodiscard]] std::span<const measurement> measurements() const { return {wanted_.data(), asked_}; }
    [[nodiscard]] bool uniform() const { return uniform_; }
    [[nodiscard]] const combination& value(std::size_t group, std::size_t i) const {
        return weights_[group * combination::registers + i];
    }
    [[nodiscard]] std::size_t row_of(std::size_t r) const { return of_[r]; }  // `columns` if not set
    [[nodiscard]] std::span<double> result(std::size_t k) { return {results_.data() + k * groups_, groups_}; }
    [[nodiscard]] next outcome() const { return next_; }
    [[nodiscard]] std::size_t subject() const { return subject_; }
    [[nodiscard]] const level& at() const { return at_; }
    [[nodiscard]] const ask_options& options() const { return options_; }
    [[nodiscard]] bool shows() const { return shows_; }
    [[nodiscard]] const level& shown_at() const { return shown_at_; }
    [[nodiscard]] const combination& shown_x() const { return shown_x_; }
    [[nodiscard]] const combination& shown_x0() const { return shown_x0_; }

    static constexpr std::size_t most_measurements = 16;

private:
    std::size_t row(std::size_t r) {
        if (!(r < combination::registers)) { throw std::invalid_argument("loop: no such register"); }
        if (of_[r] == combination::columns) {
            of_[r] = rows_;
            written_[rows_++] = r;
        }
        return of_[r];
    }

    void store(std::size_t group, std::size_t i, const combination& value) {
        weights_[group * combination::registers + i] = value;
    }

    /// From here on every group has weights of its own.
    void part() {
        uniform_ = false;
        for (std::size_t g = 1; g < groups_; ++g) {
            for (std::size_t i = 0; i < rows_; ++i) { store(g, i, value(0, i)); }
        }
    }

    std::size_t measure(const measurement& m) {
        if (asked_ == most_measurements) { throw std::invalid_argument("loop: too many measurements"); }
        wanted_[asked_] = m;
        return asked_++;
    }

    std::size_t groups_;
    bool answered_ = false;
    bool uniform_ = true;
    std::size_t rows_ = 0;
    std::array<std::size_t, combination::registers> written_{};
    std::array<std::size_t, combination::registers> of_{};
    std::vector<combination> weights_;
    std::size_t drawn_ = 0;
    std::array<std::uint32_t, combination::draws> draw_{};
    std::size_t taken_ = 0;
    std::array<exchange, combination::registers> takes_{};
    std::size_t asked_ = 0;
    std::array<measurement, most_measurements> wanted_{};
    std::vector<double> results_;
    next next_ = next::turn;
    std::size_t subject_ = 0;
    level at_;
    ask_options options_;
    bool shows_ = false;
    level shown_at_;
    combination shown_x_;
    combination shown_x0_;
};

/// A sampler whose coefficients depend on what it sees: a plan written while it runs.
///
///     void next(turn& p);               // the next turn; register 0 holds the state at the first one
///     std::size_t registers() const;    // how many it uses
///     std::size_t blocks() const;       // groups per sample, one after the other in memory
///     bool draws() const;               // whether it may ask for noise
///     level first() const;              // where it starts
///
/// Written by the data-dependent methods of the solver room, run by `loop_stepper` and `sample` as plans are.
/// A value without tensors: a copy goes on as the original does.
template <class Loop>
concept loop = std::copy_constructible<Loop> && requires(Loop& l, const Loop& seen, turn& p) {
    l.next(p);
    { seen.registers() } -> std::convertible_to<std::size_t>;
    { seen.blocks() } -> std::convertible_to<std::size_t>;
    { seen.draws() } -> std::convertible_to<bool>;
    { seen.first() } -> std::convertible_to<level>;
};

/// A loop that can tell the state anywhere inside the step it has just accepted, from what it holds.
///
///     bool has_dense() const;                    // a step is held
///     level dense_from() const, dense_to() const;  // its two ends
///     combination dense(const level& at, double& scale) const;   // x at a level = scale * combination
template <class Loop>
concept dense_loop = loop<Loop> && requires(const Loop& seen, const level& at, double& scale) {
    { seen.has_dense() } -> std::convertible_to<bool>;
    { seen.dense_from() } -> std::convertible_to<level>;
    { seen.dense_to() } -> std::convertible_to<level>;
    { seen.dense(at, scale) } -> std::convertible_to<combination>;
};

}  // namespace tweedie
