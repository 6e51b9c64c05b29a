// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/small_array.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/field_matrix.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie {

/// What a stepper wants evaluated: the network's input, and the level it is to be told.
///
/// - `blend`  where a call has several outputs, their weights in x0_hat: one of weight 0 is not read and need
///            not be evaluated. Empty otherwise.
///
/// References into the stepper: valid until the next call of `supply`, or until the stepper is moved or
/// destroyed.
template <tensor T>
struct query {
    const T& x;
    const network_level& level;
    std::span<const double> blend = {};
};

/// The noise of a plan that draws none: a plan that draws is refused before its first network call.
struct no_noise {
    [[noreturn]] normal_stream stream(draw_kind, std::uint32_t) const {
        throw std::invalid_argument(
            "sample: the plan draws noise; give it a source, for instance noise{.seed = 1}");
    }
};

/// A run written down: enough, with its program and its noise, to go on later or elsewhere. Plain data.
template <tensor T>
struct checkpoint {
    std::uint64_t program = 0;      ///< `program::fingerprint()`
    std::size_t call = 0;           ///< network calls of the plan that are done
    std::size_t network_calls = 0;  ///< network evaluations made
    run_status status = run_status::running;
    std::vector<T> registers;  ///< `program::buffers()` tensors
};

namespace detail {

/// A tensor the library owns with what `x` holds: `x` is a tensor of type `T`, or a view of one.
template <tensor T, class X>
[[nodiscard]] T owned_copy(const X& x) {
    T copy = tensor_traits<X>::like(x);
    if constexpr (std::same_as<X, T>) {
        if (!tensor_traits<T>::assign(copy, x)) {
            throw std::invalid_argument("stepper: like(x) must have the shape of x");
        }
    } else {
        tensor_traits<X>::load(copy, x);
    }
    return copy;
}

[[noreturn]] inline void refuse_shape() {
    throw std::invalid_argument("network: the output must have the shape of x");
}

[[noreturn]] inline void refuse_supply() {
    throw std::invalid_argument("stepper: nothing was asked; the run has ended");
}

/// `to` becomes `factor` times `from`; they may be one tensor.
template <tensor T>
void rescale(const T& from, T& to, double factor) {
    if (factor == 1.0 && &from == &to) { return; }
    T* const written[] = {&to};
    const T* const read[] = {&from};
    const double weights[] = {factor};
    tensor_traits<T>::affine(written, weights, read);
}

}  // namespace detail

/// One run of a plan, driven from outside: the engine owns the loop.
///
///     stepper s(plan, model.convention(), x, noise{.seed = 7});
///     while (auto query = s.next()) { s.supply(engine.run(query->x, query->level)); }
///     x = s.x();
///
/// A value: copy it (where T can be copied), move it, drop it; no globals, no locks. Copies continue
/// independently and identically; one that was moved from may only be assigned to or dropped.
/// - `plan`        from a solver; or a `program`, which many steppers can share.
/// - `convention`  of the network that will be asked.
/// - `x`           the state at the plan's first level; a tensor or a view of one (then an owned copy is
///                 made).
/// - `noise`       source of the plan's draws; not needed for a deterministic plan.
/// - cost          one pass over memory per network call; no allocation after construction;
///                 `program::buffers()` tensors.
/// - errors        `std::invalid_argument`: an empty x, a plan that draws without a source, an output of
///                 another shape. A non-finite output ends the run with `run_status::non_finite`.
template <tensor T, noise_source<scalar_t<T>> Noise = no_noise>
class stepper {
public:
    template <tensor_or_view X>
        requires std::same_as<owned_t<X>, T>
    stepper(const plan& p, const convention& asked, const X& x, Noise noise = {})
        : stepper(program(p, asked), x, std::move(noise)) {}

    template <tensor_or_view X>
        requires std::same_as<owned_t<X>, T>
    stepper(program shared, const X& x, Noise noise = {})
        : stepper(std::move(shared), detail::owned_copy<T>(x), std::move(noise), adopt{}) {}

    stepper(program shared, T&& x, Noise noise = {})
        : stepper(std::move(shared), std::move(x), std::move(noise), adopt{}) {}

    /// Goes on from a checkpoint, to the bit as if it had never stopped.
    /// - errors  `std::invalid_argument`: a checkpoint that is not of this program.
    stepper(program shared, const checkpoint<T>& from, Noise noise = {})
        : program_(std::move(shared)), noise_(std::move(noise)) {
        if (from.program != program_.fingerprint() || from.registers.size() != program_.buffers() ||
            tensor_traits<T>::size(from.registers[0]) == 0 || from.call > program_.network_calls() ||
            (from.call == program_.network_calls()) != (from.status == run_status::finished)) {
            throw std::invalid_argument("stepper: the checkpoint is not of this program");
        }
        for (const T& r : from.registers) { buffers_.push_back(detail::owned_copy<T>(r)); }
        for (const T& r : buffers_) { require_shape(r); }
        require_fields();
        prepare_noise();
        call_ = from.call;
        nfe_ = from.network_calls;
        status_ = from.status;
    }

    /// Writes the run down.
    [[nodiscard]] checkpoint<T> save() const {
        checkpoint<T> to{program_.fingerprint(), call_, nfe_, status_, {}};
        for (const T& r : buffers_) { to.registers.push_back(detail::owned_copy<T>(r)); }
        return to;
    }

    /// What to evaluate next; nothing when the run has ended. Asking again without supplying gives the same
    /// query.
    [[nodiscard]] std::optional<query<T>> next() const {
        if (status_ != run_status::running) { return std::nullopt; }
        const detail::placed_call& call = program_.call(call_);
        return query<T>{buffers_[call.query], call.asks, call.blend};
    }

    /// Gives the network's output for the pending query, by reference. One pass over memory.
    template <class Output>
        requires accepts_result<T, Output>
    void supply(const Output& output) {
        if constexpr (std::same_as<Output, T>) {
            require_shape(output);
            require_outputs(1);
            if (program_.column() == output_column::network) {  // read where it is
                const T* const outputs[] = {&output};
                apply(program_.call(call_).then, outputs, nullptr, call_ + 1);
                return;
            }
        }
        if (!spare_) { spare_.emplace(tensor_traits<T>::like(buffers_[0])); }
        if (!tensor_traits<T>::assign(*spare_, output)) { detail::refuse_shape(); }
        require_outputs(1);
        T* const outputs[] = {&*spare_};
        finish_call(outputs);
    }

    /// Gives the network's output in a tensor the stepper may take over: nothing is copied. `output` keeps
    /// its shape; its elements are unspecified afterwards, so that it can receive the next output.
    void supply(T&& output) {
        require_shape(output);
        require_outputs(1);
        T* const outputs[] = {&output};
        finish_call(outputs);
    }

    /// Gives all outputs of the pending query, of a program whose calls have several; as by `supply(T&&)`
    /// they may be taken over. One pass over memory, which reads those of weight 0 in the query's `blend` not
    /// at all.
    void supply(std::span<T* const> outputs) {
        require_outputs(outputs);
        finish_call(outputs);
    }

    /// Gives the network's output, and changes the data prediction made of it before it is used:
    /// `transform(x0_hat, level)`.
    ///
    /// For clipping, thresholding, guidance rules, data consistency, edit masks. The program must have been
    /// made with `output_column::data_prediction`. `output` holds x0_hat afterwards, or what the stepper
    /// swapped for it.
    template <class Transform>
        requires std::invocable<Transform&, T&, const level&>
    void supply(T&& output, Transform&& transform) {
        require_outputs(1);
        T* const outputs[] = {&output};
        supply(std::span<T* const>(outputs), transform);
    }

    /// The same with several outputs: the first holds x0_hat afterwards, the others are as they were.
    template <class Transform>
        requires std::invocable<Transform&, T&, const level&>
    void supply(std::span<T* const> outputs, Transform&& transform) {
        require_outputs(outputs);
        require_column();
        form_data_prediction(outputs);
        transform(*outputs[0], program_.call(call_).at);
        require_shape(*outputs[0]);
        apply(program_.call(call_).then, {outputs.data(), 1}, outputs.data(), call_ + 1);
    }

    /// Makes a data prediction of each output of the pending query: for rules that combine several outputs,
    /// and then go on by `supply_data_prediction`. One pass over memory.
    void data_predictions(std::span<T* const> outputs) const {
        if (status_ != run_status::running) { detail::refuse_supply(); }
        const detail::placed_call& call = program_.call(call_);
        if (call.x0 == read_weights{0.0, 1.0} || outputs.empty()) { return; }
        const std::size_t n = outputs.size();
        if (n >= most_registers) { throw std::invalid_argument("stepper: too many outputs"); }
        const T* read[most_registers];
        for (std::size_t j = 0; j < n; ++j) {
            require_shape(*outputs[j]);
            read[j] = outputs[j];
        }
        read[n] = &buffers_[call.query];
        detail::small_array<double, 64> weights(n * (n + 1));
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t i = 0; i <= n; ++i) {
                weights[j * (n + 1) + i] = i == n ? call.x0.x : (i == j ? call.x0.output : 0.0);
            }
        }
        tensor_traits<T>::affine(outputs, {weights.data(), n * (n + 1)}, {read, n + 1});
    }

    /// Answers the pending query with a data prediction, however it was made. The program must have been made
    /// with `output_column::data_prediction`; the stepper may take the tensor over.
    void supply_data_prediction(T&& x0_hat) {
        require_shape(x0_hat);
        require_column();
        T* const outputs[] = {&x0_hat};
        apply(program_.call(call_).then, {outputs, 1}, outputs, call_ + 1);
    }

    /// Answers the pending query with a blend of tensors whose weights differ from sample to sample: those of
    /// sample i begin at `weights[i * tensors.size()]`. The plan's one output is their sum: what the network
    /// returns, or x0_hat for a program made with `output_column::data_prediction`. One pass over memory, two
    /// where the step draws noise or has fields. The tensors may be overwritten.
    void supply_blend(std::span<T* const> tensors, std::span<const double> weights)
        requires grouped_tensor<T>
    {
        require_outputs(1);
        for (const T* const one : tensors) { require_shape(*one); }
        const std::size_t samples = tensor_traits<T>::batch(buffers_[0]);
        const std::size_t b = tensors.size();
        if (b == 0 || weights.size() != samples * b) {
            throw std::invalid_argument("stepper: a blend must have a weight for each tensor and sample");
        }
        const detail::placed_pass& pass = program_.call(call_).then;
        const bool adopts = pass.adopts != detail::npos;
        const std::vector<std::size_t>& inputs = adopts ? pass.adopting_inputs : pass.inputs;
        const std::vector<double>& matrix = adopts ? pass.adopting : pass.coefficients;
        const std::size_t n = inputs.size();
        const std::size_t k = pass.outputs.size() + (adopts ? 1 : 0);
        std::size_t output = 0;
        while (output < n && !detail::is_output(inputs[output])) { ++output; }
        if (pass.fields || !pass.draws.empty() || output == n || n + b > most_registers) {
            const T* read[most_registers];
            for (std::size_t j = 0; j < b; ++j) { read[j] = tensors[j]; }
            affine_groups<T>(tensors.first(1), weights, {read, b}, samples);
            apply(pass, {tensors.data(), 1}, tensors.data(), call_ + 1);
            return;
        }
        const T* read[most_registers];
        T* written[most_registers];
        for (std::size_t i = 0; i < n; ++i) { read[i] = i == output ? tensors[0] : &buffers_[inputs[i]]; }
        for (std::size_t j = 1; j < b; ++j) { read[n + j - 1] = tensors[j]; }
        for (std::size_t i = 0; i < pass.outputs.size(); ++i) { written[i] = &buffers_[pass.outputs[i]]; }
        if (adopts) { written[k - 1] = &buffers_[pass.adopts]; }
        const std::size_t columns = n + b - 1;
        blended_.resize(samples * k * columns);
        for (std::size_t s = 0; s < samples; ++s) {
            for (std::size_t r = 0; r < k; ++r) {
                double* const row = &blended_[(s * k + r) * columns];
                for (std::size_t i = 0; i < n; ++i) { row[i] = matrix[r * n + i]; }
                for (std::size_t j = 0; j < b; ++j) {
                    row[j == 0 ? output : n + j - 1] = weights[s * b + j] * matrix[r * n + output];
                }
            }
        }
        const bool finite = affine_groups<T>({written, k}, blended_, {read, columns}, samples);
        nfe_ += program_.call(call_).evaluations;
        finish_pass(finite, call_ + 1);
    }

    /// Network evaluations the pending query costs.
    [[nodiscard]] std::size_t evaluations() const {
        return call_ < program_.network_calls() ? program_.call(call_).evaluations : 0;
    }

    /// Writes the state that the pending query evaluates, free of the network's input scale, into a tensor of
    /// the same shape.
    void examine(T& x) const {
        if (status_ != run_status::running) { detail::refuse_supply(); }
        const detail::placed_call& call = program_.call(call_);
        detail::rescale(buffers_[call.query], x, 1.0 / call.input_scale);
    }

    /// Where in the plan the pending query stands.
    [[nodiscard]] const call_site& site() const {
        return program_.call(call_ < program_.network_calls() ? call_ : call_ - 1).site;
    }

    /// The state: at the end the sample; before that, what the pending query evaluates, in the network's
    /// input scale.
    [[nodiscard]] const T& x() const { return buffers_[register_of_x()]; }

    /// Takes the state out; the stepper can only be dropped afterwards.
    [[nodiscard]] T take() && { return std::move(buffers_[register_of_x()]); }

    /// The level of the pending query in the plan's schedule; of the last one when the run has ended.
    [[nodiscard]] const level& at() const {
        return program_.call(call_ < program_.network_calls() ? call_ : call_ - 1).at;
    }

    /// How the run stands.
    [[nodiscard]] run_result result() const { return {status_, nfe_, step()}; }

    /// The solver's step of the pending query; the number of steps at the end.
    [[nodiscard]] std::size_t step() const {
        return call_ < program_.network_calls() ? program_.call(call_).step : program_.steps();
    }

    /// Whether the pending query is the first of its step: then x is the state at `at()`.
    [[nodiscard]] bool at_step_start() const {
        return call_ < program_.network_calls() &&
               (call_ == 0 || program_.call(call_ - 1).step != program_.call(call_).step);
    }

    /// Ends the run here; x is then the state at `at()`, free of the network's input scale.
    void stop() {
        if (status_ != run_status::running) { return; }
        detail::rescale(buffers_[register_of_x()], buffers_[register_of_x()],
                        1.0 / program_.call(call_).input_scale);
        status_ = run_status::stopped;
    }

    /// Writes x and x0_hat of the pending query into tensors of the same shape: x free of the network's input
    /// scale.
    void examine(const T& output, T& x, T& x0_hat) const {
        require_outputs(1);
        const T* const outputs[] = {&output};
        examine(std::span<const T* const>(outputs), x, x0_hat);
    }

    /// The same with several outputs.
    void examine(std::span<const T* const> outputs, T& x, T& x0_hat) const {
        require_outputs(outputs);
        const detail::placed_call& call = program_.call(call_);
        T* const written[] = {&x, &x0_hat};
        const T* read[most_registers] = {&buffers_[call.query]};
        double weights[2 * most_registers];
        const std::size_t n = data_prediction(outputs, weights + most_registers, read);
        weights[0] = 1.0 / call.input_scale;
        for (std::size_t i = 1; i < n; ++i) { weights[i] = 0.0; }
        for (std::size_t i = 0; i < n; ++i) { weights[n + i] = weights[most_registers + i]; }
        tensor_traits<T>::affine(written, {weights, 2 * n}, {read, n});
    }

    /// Changes the state that the pending query evaluates: `edit(x, level)`, x free of the network's input
    /// scale.
    template <class Edit>
        requires std::invocable<Edit&, T&, const level&>
    void edit(Edit&& change) {
        if (status_ != run_status::running) { return; }
        const detail::placed_call& call = program_.call(call_);
        if (!call.editable) {
            throw std::invalid_argument(
                "stepper: this solver evaluates a guess of the state and keeps the state elsewhere; it "
                "cannot be edited");
        }
        T& x = buffers_[call.query];
        detail::rescale(x, x, 1.0 / call.input_scale);
        const std::size_t size = tensor_traits<T>::size(x);
        change(x, call.at);
        if (tensor_traits<T>::size(x) != size) {
            throw std::invalid_argument("stepper: an edit must keep the shape of x");
        }
        detail::rescale(x, x, call.input_scale);
    }

private:
    struct adopt {};
    static constexpr std::size_t most_registers = program::most_registers;

    stepper(program shared, T&& x, Noise noise, adopt)
        : program_(std::move(shared)), noise_(std::move(noise)) {
        if (tensor_traits<T>::size(x) == 0) { throw std::invalid_argument("stepper: x is empty"); }
        buffers_.reserve(program_.buffers());
        buffers_.push_back(std::move(x));
        require_fields();
        while (buffers_.size() < program_.buffers()) {
            buffers_.push_back(tensor_traits<T>::like(buffers_[0]));
        }
        prepare_noise();
        if (!trivial(program_.start())) { apply(program_.start(), {}, nullptr, 0); }
    }

    /// That tensors like the state can run the program, if it has fields.
    void require_fields() const {
        if (!program_.has_fields()) { return; }
        if (!combines_fields<T>) {
            throw std::invalid_argument(
                "stepper: tensor_traits<T> needs affine_fields to run a plan with fields");
        }
        const std::size_t has = tensor_traits<T>::size(buffers_[0]) / tensor_traits<T>::batch(buffers_[0]);
        if (program_.elements() != 0 && program_.elements() != has) {
            throw std::invalid_argument("plan: its fields have " + std::to_string(program_.elements()) +
                                        " elements per sample, x has " + std::to_string(has));
        }
    }

    void prepare_noise() {
        if constexpr (std::same_as<Noise, no_noise>) {
            if (program_.draws() > 0) { static_cast<void>(noise_.stream(draw_kind::step, 0)); }
        }
        streams_.reserve(program_.draws_at_once());
        const std::size_t held = fuses_noise<T> ? program_.draws_with_fields() : program_.draws_at_once();
        while (drawn_.size() < held) { drawn_.push_back(tensor_traits<T>::like(buffers_[0])); }
    }

    [[nodiscard]] static bool trivial(const detail::placed_pass& pass) {
        return pass.outputs.empty() && pass.adopts == detail::npos;
    }

    [[nodiscard]] std::size_t register_of_x() const {
        return call_ < program_.network_calls() ? program_.call(call_).query : program_.result();
    }

    void require_shape(const T& output) const {
        if (!tensor_traits<T>::same_shape(output, buffers_[0])) { detail::refuse_shape(); }
    }

    void require_outputs(std::size_t supplied) const {
        if (supplied != program_.outputs()) {
            throw std::invalid_argument("stepper: the plan's calls have " +
                                        std::to_string(program_.outputs()) + " outputs, supplied with " +
                                        std::to_string(supplied));
        }
        if (status_ != run_status::running) { detail::refuse_supply(); }
    }

    /// Those that are read have the shape of x, and the first, into which x0_hat may go.
    template <class Tensor>
    void require_outputs(std::span<Tensor* const> outputs) const {
        require_outputs(outputs.size());
        const std::vector<double>& blend = program_.call(call_).blend;
        for (std::size_t j = 0; j < outputs.size(); ++j) {
            if (j == 0 || blend.empty() || blend[j] != 0.0) { require_shape(*outputs[j]); }
        }
    }

    void require_column() const {
        if (status_ != run_status::running) { detail::refuse_supply(); }
        if (program_.column() != output_column::data_prediction) {
            throw std::invalid_argument(
                "stepper: a transform of x0_hat needs a program made with output_column::data_prediction");
        }
    }

    /// x0_hat of the pending query as a combination of its buffer and the outputs that are read; how many
    /// there are, the buffer counted.
    std::size_t data_prediction(std::span<const T* const> outputs, double* weights, const T** read) const {
        const detail::placed_call& call = program_.call(call_);
        read[0] = &buffers_[call.query];
        weights[0] = call.x0.x;
        std::size_t n = 1;
        for (std::size_t j = 0; j < outputs.size(); ++j) {
            const double w = call.blend.empty() ? 1.0 : call.blend[j];
            if (w == 0.0) { continue; }
            weights[n] = w * call.x0.output;
            read[n++] = outputs[j];
        }
        return n;
    }

    /// Into the first of the outputs.
    void form_data_prediction(std::span<T* const> outputs) const {
        const detail::placed_call& call = program_.call(call_);
        if (call.blend.empty() && call.x0 == read_weights{0.0, 1.0}) { return; }
        T* const written[] = {outputs[0]};
        const T* read[most_registers];
        double weights[most_registers];
        const std::size_t n = data_prediction({outputs.data(), outputs.size()}, weights, read);
        tensor_traits<T>::affine(written, {weights, n}, {read, n});
    }

    /// The outputs may be taken over; x0_hat, where the passes read it, is formed in the first.
    void finish_call(std::span<T* const> outputs) {
        if (program_.column() == output_column::data_prediction) {
            form_data_prediction(outputs);
            outputs = outputs.first(1);
        }
        apply(program_.call(call_).then, {outputs.data(), outputs.size()}, outputs.data(), call_ + 1);
    }

    /// One pass: new registers from old ones, the outputs and noise; an output's own memory is taken over
    /// where a register is just it.
    void apply(const detail::placed_pass& pass, std::span<const T* const> outputs, T* const* takeable,
               std::size_t next_call) {
        const bool take = pass.adopts == detail::npos || takeable != nullptr || pass.fields;
        const std::vector<std::size_t>& inputs = take ? pass.inputs : pass.adopting_inputs;
        const std::vector<double>& coefficients = take ? pass.coefficients : pass.adopting;
        const std::size_t n = inputs.size();
        const std::size_t k = pass.outputs.size() + (take ? 0 : 1);
        const T* read[most_registers];
        T* written[most_registers];
        for (std::size_t i = 0; i < n; ++i) {
            read[i] = detail::is_output(inputs[i]) ? outputs[detail::output_buffer - inputs[i]]
                                                   : &buffers_[inputs[i]];
        }
        for (std::size_t i = 0; i < pass.outputs.size(); ++i) { written[i] = &buffers_[pass.outputs[i]]; }
        if (!take) { written[k - 1] = &buffers_[pass.adopts]; }
        const bool finite =
            k == 0 || (pass.fields ? combine_fields({written, k}, {read, n}, pass)
                                   : combine({written, k}, coefficients, {read, n}, pass.draws));
        if (take && pass.adopts != detail::npos) {
            if (takeable == nullptr) {  // only where there are fields
                tensor_traits<T>::assign(buffers_[pass.adopts], *outputs[pass.adopted]);
            } else {
                using std::swap;
                swap(buffers_[pass.adopts], *takeable[pass.adopted]);
            }
        }
        if (!outputs.empty()) { nfe_ += program_.call(call_).evaluations; }
        finish_pass(finite, next_call);
    }

    void finish_pass(bool finite, std::size_t next_call) {
        if (!finite) {
            status_ = run_status::non_finite;
            return;
        }
        call_ = next_call;
        if (call_ == program_.network_calls()) { status_ = run_status::finished; }
    }

    bool combine(std::span<T* const> written, const std::vector<double>& coefficients,
                 std::span<const T* const> read, const std::vector<std::uint32_t>& draws) {
        if (draws.empty()) { return tensor_traits<T>::affine(written, coefficients, read); }
        streams_.clear();  // room for all was made at the start
        for (const std::uint32_t d : draws) { streams_.push_back(noise_.stream(draw_kind::step, d)); }
        T* scratch[most_registers];
        for (std::size_t d = 0; d < drawn_.size(); ++d) { scratch[d] = &drawn_[d]; }
        return affine_noise<T, stream>(written, coefficients, read, streams_, {scratch, drawn_.size()});
    }

    /// The same with weights that differ from element to element: noise is drawn first.
    bool combine_fields(std::span<T* const> written, std::span<const T* const> read,
                        const detail::placed_pass& pass) {
        if constexpr (combines_fields<T>) {
            const T* all[most_registers];
            std::size_t n = 0;
            for (const T* const one : read) { all[n++] = one; }
            for (std::size_t d = 0; d < pass.draws.size(); ++d) {
                tensor_traits<T>::normal(drawn_[d], noise_.stream(draw_kind::step, pass.draws[d]));
                all[n++] = &drawn_[d];
            }
            return tensor_traits<T>::affine_fields(written, *pass.fields, {all, n});
        } else {
            return false;  // refused at the start
        }
    }

    using stream = std::remove_cvref_t<decltype(std::declval<const Noise&>().stream(draw_kind::step, 0))>;

    program program_;
    Noise noise_;
    std::vector<T> buffers_;
    std::vector<stream> streams_;  // of one pass
    std::vector<T> drawn_;         // its noise, for tensors that cannot make it on the way
    std::optional<T> spare_;       // holds outputs that are expressions
    std::vector<double> blended_;  // a pass with weights of each sample
    std::size_t call_ = 0;
    std::size_t nfe_ = 0;
    run_status status_ = run_status::running;
};

template <tensor_or_view X>
stepper(const plan&, const convention&, const X&) -> stepper<owned_t<X>>;
template <tensor_or_view X, class Noise>
stepper(const plan&, const convention&, const X&, Noise) -> stepper<owned_t<X>, Noise>;
template <tensor T>
stepper(program, const checkpoint<T>&) -> stepper<T>;
template <tensor T, class Noise>
stepper(program, const checkpoint<T>&, Noise) -> stepper<T, Noise>;
template <tensor_or_view X>
stepper(program, const X&) -> stepper<owned_t<X>>;
template <tensor_or_view X, class Noise>
stepper(program, const X&, Noise) -> stepper<owned_t<X>, Noise>;

}  // namespace tweedie
