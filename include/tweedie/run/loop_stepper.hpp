// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/loop.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie {

/// One run of a loop, driven from outside: what `stepper` is to a plan, with the same words.
///
///     const auto method = solver::dpm_adaptive{}.loop(schedule, levels);
///     loop_stepper s(method, model.convention(), x, noise{.seed = 7});
///     while (auto query = s.next()) { s.supply(engine.run(query->x, query->level)); }
///     x = s.x();
///
/// The network's convention is folded into each turn's matrix as `fold` does for plans. Samples of a batch
/// share the question: their levels are the same, their weights may differ.
/// A value: copies continue independently and identically; one that was moved from may only be assigned to or
/// dropped.
/// - `method`  from a data-dependent solver.
/// - `asked`   the convention of the network that will be asked.
/// - `x`       the state at the loop's first level; a tensor or a view of one.
/// - `noise`   source of the loop's draws; not needed where it makes none.
/// - `column`  `data_prediction` for runs that transform x0_hat.
/// - cost      one pass over memory per turn, one reading per measurement; `registers()` tensors, and one
///             more where the network's input is scaled; no allocation after the first question.
/// - errors    `std::invalid_argument`: an empty x, blocks that do not divide a sample, a loop that draws
///             without a source, an output of another shape, a level that does not determine x0. A non-finite
///             output ends the run with `run_status::non_finite`, a method that cannot go on with `gave_up`.
template <grouped_tensor T, loop Loop, noise_source<scalar_t<T>> Noise = no_noise>
class loop_stepper {
public:
    template <tensor_or_view X>
        requires std::same_as<owned_t<X>, T>
    loop_stepper(Loop method, convention asked, const X& x, Noise noise = {},
                 output_column column = output_column::network)
        : method_(std::move(method)),
          convention_(std::move(asked)),
          noise_(std::move(noise)),
          column_(column),
          turn_(groups_of(x, method_)) {
        if (!(method_.registers() >= 1 && method_.registers() <= combination::registers)) {
            throw std::invalid_argument("loop: registers must lie in [1, 16]");
        }
        if constexpr (std::same_as<Noise, no_noise>) {
            if (method_.draws()) { static_cast<void>(noise_.stream(draw_kind::step, 0)); }
        }
        buffers_.reserve(method_.registers() + 1);
        buffers_.push_back(detail::owned_copy<T>(x));
        while (buffers_.size() < method_.registers()) {
            buffers_.push_back(tensor_traits<T>::like(buffers_[0]));
        }
        for (std::size_t r = 0; r < combination::registers; ++r) { where_[r] = r; }
        streams_.reserve(combination::draws);
        matrix_.reserve((turn_.groups() > 1 ? turn_.groups() : 0) * rows * (method_.registers() + 1));
        advance(nullptr);
    }

    /// What to evaluate next; nothing when the run has ended.
    [[nodiscard]] std::optional<query<T>> next() const {
        if (status_ != run_status::running) { return std::nullopt; }
        return query<T>{question(), call_.at};
    }

    /// Gives the network's output for the pending query, by reference.
    template <class Output>
        requires accepts_result<T, Output>
    void supply(const Output& output) {
        if (column_ == output_column::network && std::same_as<Output, T>) {
            if constexpr (std::same_as<Output, T>) {
                require_shape(output);
                accept(output);
            }
        } else {
            if (!spare_) { spare_.emplace(tensor_traits<T>::like(buffers_[0])); }
            if (!tensor_traits<T>::assign(*spare_, output)) { detail::refuse_shape(); }
            supply(std::move(*spare_));
        }
    }

    /// The same in a tensor that may be overwritten.
    void supply(T&& output) {
        require_shape(output);
        if (status_ != run_status::running) { detail::refuse_supply(); }
        if (column_ == output_column::data_prediction) { form_data_prediction(output); }
        accept(output);
    }

    /// Gives the network's output, and changes the data prediction made of it before it is used; see
    /// `stepper::supply`.
    template <class Transform>
        requires std::invocable<Transform&, T&, const level&>
    void supply(T&& output, Transform&& transform) {
        require_shape(output);
        if (status_ != run_status::running) { detail::refuse_supply(); }
        if (column_ != output_column::data_prediction) {
            throw std::invalid_argument(
                "stepper: a transform of x0_hat needs a program made with output_column::data_prediction");
        }
        form_data_prediction(output);
        transform(output, asked_at_);
        require_shape(output);
        accept(output);
    }

    /// The state: at the end the sample; before that, what the pending query evaluates, in the network's
    /// input scale.
    [[nodiscard]] const T& x() const {
        return status_ == run_status::running ? question() : buffers_[where_[subject_]];
    }

    /// Takes the state out; the stepper can only be dropped afterwards.
    [[nodiscard]] T take() && { return std::move(const_cast<T&>(std::as_const(*this).x())); }

    /// The level of the state that observers see; the level the run ended at otherwise.
    [[nodiscard]] const level& at() const { return shown_at_; }

    /// How the run stands.
    [[nodiscard]] run_result result() const { return {status_, nfe_, step()}; }

    /// The solver's step of the pending query; the number of steps at the end.
    [[nodiscard]] std::size_t step() const {
        return status_ == run_status::finished || steps_begun_ == 0 ? steps_begun_ : steps_begun_ - 1;
    }

    /// Whether the pending query is the first of its step.
    [[nodiscard]] bool at_step_start() const {
        return status_ == run_status::running && options_.begins_step;
    }

    /// The method with what it has learnt: steps accepted and rejected, its present step size.
    [[nodiscard]] const Loop& method() const { return method_; }

    /// Ends the run here; x is then the state at `at()`.
    void stop() {
        if (status_ != run_status::running) { return; }
        T* const written[] = {&buffers_[where_[subject_]]};
        static_cast<void>(show(shown_x_, nullptr, written));
        status_ = run_status::stopped;
    }

    /// Writes x and x0_hat of the pending query into tensors of the same shape.
    void examine(const T& output, T& x, T& x0_hat) const {
        if (status_ != run_status::running) { detail::refuse_supply(); }
        require_shape(output);
        T* const to_x[] = {&x};
        T* const to_x0[] = {&x0_hat};
        show(shown_x_, &output, to_x);
        show(shown_x0_, &output, to_x0);
    }

    /// Changes the state that the pending query evaluates: `edit(x, level)`.
    template <class Edit>
        requires std::invocable<Edit&, T&, const level&>
    void edit(Edit&& change) {
        if (status_ != run_status::running) { return; }
        if (!options_.editable) {
            throw std::invalid_argument(
                "stepper: this solver evaluates a guess of the state and keeps the state elsewhere; it "
                "cannot be edited");
        }
        T& x = buffers_[where_[subject_]];
        detail::rescale(x, x, options_.scale);
        change(x, asked_at_);
        if (!tensor_traits<T>::same_shape(x, buffers_[0])) {
            throw std::invalid_argument("stepper: an edit must keep the shape of x");
        }
        detail::rescale(x, x, 1.0 / options_.scale);
        if (scaled()) { detail::rescale(x, *asked_, call_.input_scale * options_.scale); }
    }

    /// Dense output: writes the state at level `at`, which lies in the step that was accepted last, without a
    /// network call. Ask after `supply`.
    /// - returns  false, nothing done, where the level is outside that step.
    bool dense(const level& at, T& out) const
        requires dense_loop<Loop>
    {
        if (!method_.has_dense()) { return false; }
        const double place = at.half_log_snr();
        if (!(place >= method_.dense_from().half_log_snr() && place <= method_.dense_to().half_log_snr())) {
            return false;
        }
        require_shape(out);
        double scale = 1.0;
        const combination form = method_.dense(at, scale);
        T* const written[] = {&out};
        show(scale * form, nullptr, written);
        return true;
    }

private:
    static constexpr std::size_t rows = combination::registers + 1;  // the registers, and the network's input

    template <class X>
    [[nodiscard]] static std::size_t groups_of(const X& x, const Loop& method) {
        const std::size_t size = tensor_traits<X>::size(x);
        if (size == 0) { throw std::invalid_argument("stepper: x is empty"); }
        const std::size_t groups = tensor_traits<X>::batch(x) * method.blocks();
        if (groups == 0 || size % groups != 0) {
            throw std::invalid_argument("loop: blocks must divide the elements of a sample");
        }
        return groups;
    }

    void require_shape(const T& output) const {
        if (!tensor_traits<T>::same_shape(output, buffers_[0])) { detail::refuse_shape(); }
    }

    [[nodiscard]] bool scaled() const { return call_.input_scale * options_.scale != 1.0; }

    [[nodiscard]] const T& question() const { return scaled() ? *asked_ : buffers_[where_[subject_]]; }

    void form_data_prediction(T& output) const {
        T* const written[] = {&output};
        const T* const read[] = {&buffers_[where_[subject_]], &output};
        const double weights[] = {call_.x0.x * options_.scale, call_.x0.output};
        if (call_.x0 == read_weights{0.0, 1.0}) { return; }
        tensor_traits<T>::affine(written, weights, read);
    }

    void accept(const T& output) {
        if (status_ != run_status::running) { detail::refuse_supply(); }
        ++nfe_;
        advance(&output);
    }

    /// Turns until the network is needed again, or the run ends.
    void advance(const T* output) {
        for (;;) {
            turn_.begin(output != nullptr);
            method_.next(turn_);
            network_call call;
            if (turn_.outcome() == turn::next::ask) { call = convention_.call_at(turn_.at()); }
            if (!pass(output, call)) {
                status_ = run_status::non_finite;
                return;
            }
            output = nullptr;
            measure();
            subject_ = turn_.subject();
            switch (turn_.outcome()) {
                case turn::next::turn: break;
                case turn::next::ask: take_question(call); return;
                case turn::next::finish:
                case turn::next::give_up:
                    shown_at_ = turn_.at();
                    status_ =
                        turn_.outcome() == turn::next::finish ? run_status::finished : run_status::gave_up;
                    return;
            }
        }
    }

    void take_question(const network_call& call) {
        call_ = call;
        options_ = turn_.options();
        asked_at_ = turn_.at();
        if (options_.begins_step) { ++steps_begun_; }
        shown_at_ = turn_.shows() ? turn_.shown_at() : turn_.at();
        shown_x_ = turn_.shows() ? turn_.shown_x() : options_.scale * combination(subject_);
        shown_x0_ = turn_.shows() ? turn_.shown_x0() : turn::coming_x0_hat();
    }

    /// One pass: the new registers, and the network's next input where it is no register.
    bool pass(const T* output, const network_call& call) {
        std::array<std::size_t, combination::registers> before{};  // buffers that the right-hand sides read
        std::array<std::size_t, combination::registers> held{};  // what each register has become by exchanges
        for (std::size_t r = 0; r < combination::registers; ++r) {
            before[r] = where_[r];
            held[r] = r;
        }
        for (const turn::exchange& e : turn_.takes()) {
            std::swap(where_[e.a], where_[e.b]);
            std::swap(held[e.a], held[e.b]);
        }
        const bool asks = turn_.outcome() == turn::next::ask;
        const std::size_t subject = turn_.subject();
        double factor = 1.0;  // of one more row, after those of the turn
        if (asks) { factor = call.input_scale * turn_.options().scale; }
        const bool ends = turn_.outcome() == turn::next::finish || turn_.outcome() == turn::next::give_up;
        if (ends) { factor = turn_.options().scale; }
        const std::size_t own = turn_.rows().size();
        const bool extra = factor != 1.0;
        const std::size_t of_subject = asks || ends ? turn_.row_of(subject) : combination::columns;

        T* written[rows];
        std::size_t k = 0;
        for (const std::size_t r : turn_.rows()) { written[k++] = &buffers_[where_[r]]; }
        std::size_t replaced = combination::columns;  // a row that only the ending's scaled row would use
        if (extra && asks) {
            if (!asked_) { asked_.emplace(tensor_traits<T>::like(buffers_[0])); }
            written[k++] = &*asked_;
        } else if (extra && of_subject == combination::columns) {
            written[k++] = &buffers_[where_[subject]];
        } else if (extra) {
            replaced = of_subject;
        }
        if (k == 0) { return true; }

        const auto weight = [&](std::size_t group, std::size_t i, std::size_t column) {
            const double scale = i == own || i == replaced ? factor : 1.0;
            const std::size_t row = i == own ? of_subject : i;
            if (row == combination::columns) { return column == held[subject] ? scale : 0.0; }
            return scale * folded(turn_.value(group, row), column, output != nullptr);
        };
        const std::size_t groups = turn_.uniform() ? 1 : turn_.groups();
        std::array<std::size_t, combination::columns> columns{};
        std::size_t n = 0;
        const std::size_t last = combination::first_draw + turn_.draws().size();
        std::size_t registers = 0;
        for (std::size_t c = 0; c < last; ++c) {
            bool used = c >= combination::first_draw;
            for (std::size_t g = 0; g < groups && !used; ++g) {
                for (std::size_t i = 0; i < k && !used; ++i) { used = weight(g, i, c) != 0.0; }
            }
            if (!used) { continue; }
            if (c < combination::first_draw) { ++registers; }
            columns[n++] = c;
        }
        const T* read[combination::columns];
        for (std::size_t j = 0; j < registers; ++j) {
            read[j] = columns[j] == combination::output ? output : &buffers_[before[columns[j]]];
        }
        const auto fill = [&](std::span<double> matrix, std::size_t group) {
            for (std::size_t i = 0; i < k; ++i) {
                for (std::size_t j = 0; j < n; ++j) { matrix[i * n + j] = weight(group, i, columns[j]); }
            }
        };
        const std::size_t draws = n - registers;
        if (groups == 1) {
            std::array<double, rows * combination::columns> matrix;
            fill(matrix, 0);
            const std::span<const double> weights(matrix.data(), k * n);
            if (draws == 0) { return tensor_traits<T>::affine({written, k}, weights, {read, registers}); }
            make_streams();
            T* scratch[combination::draws];
            if constexpr (!fuses_noise<T>) { make_room(draws); }
            for (std::size_t d = 0; d < drawn_.size(); ++d) { scratch[d] = &drawn_[d]; }
            return affine_noise<T, stream>({written, k}, weights, {read, registers}, streams_,
                                           {scratch, drawn_.size()});
        }
        make_streams();
        make_room(draws);
        for (std::size_t d = 0; d < draws; ++d) {
            tensor_traits<T>::normal(drawn_[d], streams_[d]);
            read[registers + d] = &drawn_[d];
        }
        matrix_.resize(groups * k * n);
        for (std::size_t g = 0; g < groups; ++g) {
            fill(std::span<double>(matrix_).subspan(g * k * n, k * n), g);
        }
        return affine_groups<T>({written, k}, matrix_, {read, n}, groups);
    }

    /// The weight of a column where x0_hat is replaced by the register that was evaluated and the network's
    /// output.
    [[nodiscard]] double folded(const combination& value, std::size_t column, bool answered) const {
        const double w = answered ? value[combination::output] : 0.0;
        if (w == 0.0 || column_ == output_column::data_prediction) { return value[column]; }
        if (column == combination::output) { return w * call_.x0.output; }
        if (column == subject_) { return detail::tidy_sum(value[column], w * call_.x0.x * options_.scale); }
        return value[column];
    }

    /// A combination of the present registers and the pending question's output, in one tensor.
    void show(const combination& form, const T* output, std::span<T* const> written) const {
        const T* read[combination::registers + 1];
        double weights[combination::registers + 1];
        std::size_t n = 0;
        const double w = output != nullptr ? form[combination::output] : 0.0;
        for (std::size_t r = 0; r < combination::registers; ++r) {
            const double weight = form[r] + (r == subject_ ? w * call_.x0.x * options_.scale : 0.0);
            if (weight == 0.0) { continue; }
            read[n] = &buffers_[where_[r]];
            weights[n++] = weight;
        }
        if (w != 0.0) {
            read[n] = output;
            weights[n++] = w * call_.x0.output;
        }
        tensor_traits<T>::affine(written, {weights, n}, {read, n});
    }

    void measure() {
        std::size_t k = 0;
        for (const turn::measurement& m : turn_.measurements()) {
            const T& a = buffers_[where_[m.a]];
            const T& b = buffers_[where_[m.b]];
            if (m.what == turn::kind::inner) {
                dot_groups<T>(a, b, turn_.result(k));
            } else {
                scaled_error<T>(a, b, buffers_[where_[m.reference]], m.atol, m.rtol, turn_.result(k));
            }
            ++k;
        }
    }

    void make_streams() {
        streams_.clear();
        for (const std::uint32_t d : turn_.draws()) { streams_.push_back(noise_.stream(draw_kind::step, d)); }
    }

    void make_room(std::size_t draws) {
        while (drawn_.size() < draws) { drawn_.push_back(tensor_traits<T>::like(buffers_[0])); }
    }

    using stream = std::remove_cvref_t<decltype(std::declval<const Noise&>().stream(draw_kind::step, 0))>;

    Loop method_;
    convention convention_;
    Noise noise_;
    output_column column_;
    turn turn_;
    std::vector<T> buffers_;
    std::array<std::size_t, combination::registers> where_{};  // the buffer of each register
    std::optional<T> asked_;                                   // the network's input, where it is no register
    std::optional<T> spare_;                                   // holds outputs that are expressions
    std::vector<stream> streams_;
    std::vector<T> drawn_;
    std::vector<double> matrix_;
    network_call call_;  // the pending question
    ask_options options_;
    std::size_t subject_ = 0;
    level asked_at_;
    level shown_at_;
    combination shown_x_;
    combination shown_x0_;
    std::size_t steps_begun_ = 0;
    std::size_t nfe_ = 0;
    run_status status_ = run_status::running;
};

template <class Loop, tensor_or_view X>
loop_stepper(Loop, convention, const X&) -> loop_stepper<owned_t<X>, Loop>;
template <class Loop, tensor_or_view X, class Noise>
loop_stepper(Loop, convention, const X&, Noise) -> loop_stepper<owned_t<X>, Loop, Noise>;
template <class Loop, tensor_or_view X, class Noise>
loop_stepper(Loop, convention, const X&, Noise, output_column) -> loop_stepper<owned_t<X>, Loop, Noise>;

}  // namespace tweedie
