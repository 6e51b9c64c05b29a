// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/noise_stream.hpp>
#include <tweedie/random/normal.hpp>
#include <tweedie/random/philox.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

/// What a draw is for. Each kind counts its draws from 0, so that a change of one leaves the others alone.
enum class draw_kind : std::uint32_t {
    initial,  ///< the state that sampling starts from
    step,     ///< what a stochastic solver adds on the way
    user,     ///< never drawn by the library
};

/// Where noise comes from: `source.stream(kind, draw)` is the `noise_stream` of draw `draw` of its kind.
///
/// Semantics the compiler cannot check: the same arguments give the same numbers.
template <class Source, class Scalar = float>
concept noise_source = requires(const Source& source, draw_kind kind, std::uint32_t draw) {
    { source.stream(kind, draw) } -> noise_stream<Scalar>;
};

/// One draw of `noise`, computed where and when it is asked for.
///
///     element 4 i + j of batch item b = number j of counter (i, draw + 2^30 kind, sample + b), key = seed
///
/// - cost    see `fill_normal`; holds nothing, allocates nothing.
/// - errors  tier 1: `first_element` no multiple of 4; an element beyond 2^34; `draw` beyond 2^30.
struct normal_stream {
    std::uint64_t seed = 0;
    std::uint64_t sample = 0;
    draw_kind kind = draw_kind::initial;
    std::uint32_t draw = 0;

    void operator()(std::size_t item, std::size_t first_element, std::span<float> out) const {
        fill_normal(counter(item, first_element, out.size()), key(), out);
    }
    void operator()(std::size_t item, std::size_t first_element, std::span<double> out) const {
        fill_normal(counter(item, first_element, out.size()), key(), out);
    }

    friend bool operator==(const normal_stream&, const normal_stream&) = default;

private:
    [[nodiscard]] philox_key key() const {
        return {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
    }

    [[nodiscard]] philox_counter counter(std::size_t item, std::size_t first_element,
                                         std::size_t size) const {
        constexpr std::uint64_t elements = std::uint64_t{1} << 34;
        if (first_element % 4 != 0) {
            throw std::invalid_argument("normal_stream: need first_element % 4 == 0");
        }
        if (!(first_element <= elements && size <= elements - first_element)) {
            throw std::invalid_argument("normal_stream: need elements per sample <= 2^34");
        }
        if (!(draw < 1u << 30)) { throw std::invalid_argument("normal_stream: need draw < 2^30"); }
        const std::uint64_t index = sample + item;
        return {static_cast<std::uint32_t>(first_element / 4), draw | static_cast<std::uint32_t>(kind) << 30,
                static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32)};
    }
};

/// Noise as a value: every normal number is a pure function of (seed, sample, kind of draw, draw, element).
///
/// A sample is the same picture whatever the batch it is in, the number of threads and the order of the work.
/// - seed    any 64 bits.
/// - sample  index of the first sample of the batch; batch item b is sample `sample + b`. Work is split over
///           machines by it: `{.seed = s, .sample = 5}` with one item is item 5 of `{.seed = s}`.
/// - random  Philox4x32-10 and Box-Muller, `fill_normal`.
struct noise {
    std::uint64_t seed = 0;
    std::uint64_t sample = 0;

    [[nodiscard]] normal_stream stream(draw_kind kind, std::uint32_t draw) const {
        return {seed, sample, kind, draw};
    }

    friend bool operator==(const noise&, const noise&) = default;
};

/// Normal numbers as plain data: those a run drew, or those it is to draw.
///
/// - samples   batch items; > 0.
/// - elements  per sample; > 0.
/// - initial, step, user  the draws of each kind, in the order in which they are drawn; each
///                        `samples * elements` long, one sample after the other. An empty one was not drawn.
template <class Scalar>
struct noise_record {
    std::size_t samples = 1;
    std::size_t elements = 0;
    std::vector<std::vector<Scalar>> initial{};
    std::vector<std::vector<Scalar>> step{};
    std::vector<std::vector<Scalar>> user{};

    [[nodiscard]] std::vector<std::vector<Scalar>>& draws(draw_kind kind) {
        return kind == draw_kind::initial ? initial : kind == draw_kind::step ? step : user;
    }
    [[nodiscard]] const std::vector<std::vector<Scalar>>& draws(draw_kind kind) const {
        return kind == draw_kind::initial ? initial : kind == draw_kind::step ? step : user;
    }

    friend bool operator==(const noise_record&, const noise_record&) = default;
};

/// One draw of `injected_noise`: reads its numbers, which must outlive it.
template <class Scalar>
struct injected_stream {
    std::span<const Scalar> numbers;
    std::size_t elements = 0;

    void operator()(std::size_t item, std::size_t first_element, std::span<float> out) const {
        copy(item, first_element, out);
    }
    void operator()(std::size_t item, std::size_t first_element, std::span<double> out) const {
        copy(item, first_element, out);
    }

private:
    template <class Out>
    void copy(std::size_t item, std::size_t first_element, std::span<Out> out) const {
        if (!(item < numbers.size() / elements)) {
            throw std::invalid_argument("injected_noise: asked for more samples than were given");
        }
        if (!(first_element <= elements && out.size() <= elements - first_element)) {
            throw std::invalid_argument("injected_noise: asked for more elements per sample than were given");
        }
        const std::span<const Scalar> from = numbers.subspan(item * elements + first_element, out.size());
        for (std::size_t i = 0; i < out.size(); ++i) { out[i] = static_cast<Out>(from[i]); }
    }
};

/// The user's own numbers as a noise source, handed out in the order of `noise_record`.
///
///     injected_noise source(noise_record<float>{.elements = 4096, .initial = {x_T}, .step = {z_1, z_2}});
///
/// - errors  tier 1: a draw of the wrong size, when made; a draw, sample or element that was not given, when
///           asked for.
/// - choose  to reproduce a run of another program, or to replay a `recorded_noise`.
template <class Scalar>
class injected_noise {
public:
    explicit injected_noise(noise_record<Scalar> record) : record_(std::move(record)) {
        if (!(record_.samples > 0 && record_.elements > 0)) {
            throw std::invalid_argument("injected_noise: need samples > 0 and elements > 0");
        }
        for (const draw_kind kind : {draw_kind::initial, draw_kind::step, draw_kind::user}) {
            for (const std::vector<Scalar>& numbers : record_.draws(kind)) {
                if (!(numbers.empty() || numbers.size() == record_.samples * record_.elements)) {
                    throw std::invalid_argument(
                        "injected_noise: need samples * elements numbers in each draw");
                }
            }
        }
    }

    [[nodiscard]] injected_stream<Scalar> stream(draw_kind kind, std::uint32_t draw) const {
        const std::vector<std::vector<Scalar>>& draws = record_.draws(kind);
        if (!(draw < draws.size() && !draws[draw].empty())) {
            constexpr const char* names[] = {"initial", "step", "user"};
            throw std::invalid_argument(std::string("injected_noise: ") +
                                        names[static_cast<std::size_t>(kind)] + " draw " +
                                        std::to_string(draw) + " was not given");
        }
        return {draws[draw], record_.elements};
    }

    [[nodiscard]] const noise_record<Scalar>& record() const { return record_; }

private:
    noise_record<Scalar> record_;
};

/// One draw of `recorded_noise`: passes the numbers on and writes them down.
template <class Stream, class Scalar>
struct recorded_stream {
    Stream stream;
    std::span<Scalar> numbers;
    std::size_t elements = 0;

    template <class Out>
        requires noise_stream<Stream, Out>
    void operator()(std::size_t item, std::size_t first_element, std::span<Out> out) const {
        if (!(item < numbers.size() / elements && first_element <= elements &&
              out.size() <= elements - first_element)) {
            throw std::invalid_argument(
                "recorded_noise: asked for more than record->samples times record->elements");
        }
        stream(item, first_element, out);
        const std::span<Scalar> to = numbers.subspan(item * elements + first_element, out.size());
        for (std::size_t i = 0; i < out.size(); ++i) { to[i] = static_cast<Scalar>(out[i]); }
    }
};

/// Any noise source, with what is drawn from it written to a `noise_record` of the user.
///
///     noise_record<float> record{.samples = 4, .elements = 4096};
///     ... recorded_noise(noise{.seed = 7}, &record) ...       // run
///     ... injected_noise(record) ...                          // the same run again
///
/// A run with `noise` is repeated by its seed alone; a record is for other sources, and for other programs to
/// read.
/// - record  sized by the user, filled here; must outlive the source. Copies of the source write to the same
///           record.
/// - cost    one allocation and one copy per draw. Streams are made one at a time, by one thread; the streams
///           themselves write disjoint places and may be called from several.
/// - errors  tier 1: `samples` or `elements` 0; a stream that is asked for more than the record holds.
template <class Source, class Scalar>
class recorded_noise {
public:
    recorded_noise(Source source, noise_record<Scalar>* record)
        : source_(std::move(source)), record_(record) {
        if (!(record != nullptr && record->samples > 0 && record->elements > 0)) {
            throw std::invalid_argument("recorded_noise: need a record with samples > 0 and elements > 0");
        }
    }

    [[nodiscard]] auto stream(draw_kind kind, std::uint32_t draw) const
        requires noise_source<Source, Scalar>
    {
        auto stream = source_.stream(kind, draw);
        std::vector<std::vector<Scalar>>& draws = record_->draws(kind);
        if (draws.size() <= draw) { draws.resize(std::size_t{draw} + 1); }
        draws[draw].resize(record_->samples * record_->elements);
        return recorded_stream<decltype(stream), Scalar>{std::move(stream), draws[draw], record_->elements};
    }

private:
    Source source_;
    noise_record<Scalar>* record_;
};

}  // namespace tweedie
