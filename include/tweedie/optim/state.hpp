// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::optim {

/// What an optimizer knows of one tensor besides its numbers of every element.
struct tensor_record {
    std::uint64_t size = 0;          ///< elements
    std::uint64_t step = 0;          ///< steps taken; kept per tensor
    std::uint64_t extra = 0;         ///< values besides those of each element, which they follow
    std::array<double, 2> memory{};  ///< what some methods sum up over the steps

    friend bool operator==(const tensor_record&, const tensor_record&) = default;
};

/// What an optimizer remembers between steps: plain data, empty until the first step sets it up.
///
/// - method   whose numbers these are, e.g. "adam"; another method refuses them.
/// - slots    numbers per element; `values` holds, tensor after tensor, all of slot 0, all of slot 1, ...
///
/// Copy it, compare it, save it (`to_bytes`): a run that goes on from a copy gives the bits of one that never
/// stopped. `Scalar` is that of the parameters; `float` for parameters of 16 bits.
template <std::floating_point Scalar>
struct state {
    std::string method;
    std::uint64_t slots = 0;
    std::vector<tensor_record> tensors;
    std::vector<Scalar> values;

    /// Steps taken by the tensor that has taken the most.
    [[nodiscard]] std::uint64_t step() const {
        std::uint64_t most = 0;
        for (const tensor_record& tensor : tensors) { most = tensor.step > most ? tensor.step : most; }
        return most;
    }

    friend bool operator==(const state&, const state&) = default;
};

}  // namespace tweedie::optim

namespace tweedie::detail {

inline constexpr char state_mark[8] = {'t', 'w', 'e', 'e', 'd', 'i', 'e', '1'};

/// Unsigned integers as eight bytes, least significant first.
class byte_writer {
public:
    void number(std::uint64_t value) {
        for (unsigned i = 0; i < 8; ++i) {
            bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xffU));
        }
    }
    void text(const char* from, std::size_t size) {
        for (std::size_t i = 0; i < size; ++i) { bytes_.push_back(static_cast<std::byte>(from[i])); }
    }
    template <class Scalar>
    void values(const std::vector<Scalar>& all) {
        static_assert(std::endian::native == std::endian::little, "to_bytes: a little-endian machine");
        const std::size_t at = bytes_.size();
        bytes_.resize(at + all.size() * sizeof(Scalar));
        if (!all.empty()) { std::memcpy(bytes_.data() + at, all.data(), all.size() * sizeof(Scalar)); }
    }
    [[nodiscard]] std::uint64_t checksum() const { return sum(bytes_); }
    [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

    /// FNV-1a over words of eight bytes, the last one filled up with zeros.
    [[nodiscard]] static std::uint64_t sum(std::span<const std::byte> bytes) {
        std::uint64_t hash = 0xcbf2'9ce4'8422'2325U;
        for (std::size_t i = 0; i < bytes.size(); i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes.data() + i, bytes.size() - i < 8 ? bytes.size() - i : 8);
            hash = (hash ^ word) * 0x100'0000'01b3U;
            hash ^= hash >> 29U;
        }
        return hash;
    }

private:
    std::vector<std::byte> bytes_;
};

class byte_reader {
public:
    explicit byte_reader(std::span<const std::byte> bytes) : rest_(bytes) {}
    std::span<const std::byte> take(std::uint64_t size) {
        if (size > rest_.size()) { throw std::invalid_argument("from_bytes: the data end too early"); }
        const auto taken = rest_.first(static_cast<std::size_t>(size));
        rest_ = rest_.subspan(static_cast<std::size_t>(size));
        return taken;
    }
    std::uint64_t number() {
        std::uint64_t value = 0;
        const auto bytes = take(8);
        for (unsigned i = 0; i < 8; ++i) { value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i); }
        return value;
    }
    [[nodiscard]] std::size_t left() const { return rest_.size(); }

private:
    std::span<const std::byte> rest_;
};

}  // namespace tweedie::detail

namespace tweedie::optim {

/// The state as bytes that `from_bytes` turns into an equal one, to the bit; with a mark, a version and a
/// checksum.
template <class Scalar>
[[nodiscard]] std::vector<std::byte> to_bytes(const state<Scalar>& from) {
    detail::byte_writer out;
    out.text(detail::state_mark, sizeof detail::state_mark);
    out.number(sizeof(Scalar));
    out.number(from.method.size());
    out.text(from.method.data(), from.method.size());
    out.number(from.slots);
    out.number(from.tensors.size());
    for (const tensor_record& tensor : from.tensors) {
        out.number(tensor.size);
        out.number(tensor.step);
        out.number(tensor.extra);
        for (const double number : tensor.memory) { out.number(std::bit_cast<std::uint64_t>(number)); }
    }
    out.number(from.values.size());
    out.values(from.values);
    out.number(out.checksum());
    return out.take();
}

/// The state that `to_bytes` saved.
/// - errors  `std::invalid_argument` if the data are no state, are cut off or damaged, or are of another
///           scalar.
template <std::floating_point Scalar>
[[nodiscard]] state<Scalar> from_bytes(std::span<const std::byte> bytes) {
    detail::byte_reader in(bytes);
    const auto mark = bytes.size() < 24 ? std::span<const std::byte>() : in.take(sizeof detail::state_mark);
    if (mark.empty() || std::memcmp(mark.data(), detail::state_mark, mark.size()) != 0) {
        throw std::invalid_argument("from_bytes: the data are not a saved state");
    }
    detail::byte_reader tail(bytes.last(8));
    if (tail.number() != detail::byte_writer::sum(bytes.first(bytes.size() - 8))) {
        throw std::invalid_argument("from_bytes: the data are damaged or end too early");
    }
    if (in.number() != sizeof(Scalar)) {
        throw std::invalid_argument("from_bytes: the state was saved with another scalar");
    }
    state<Scalar> out;
    const auto method = in.take(in.number());
    for (const std::byte letter : method) { out.method.push_back(static_cast<char>(letter)); }
    out.slots = in.number();
    const std::uint64_t tensors = in.number();
    if (tensors > in.left() / 40) { throw std::invalid_argument("from_bytes: the data end too early"); }
    std::uint64_t expected = 0;
    for (std::uint64_t i = 0; i < tensors; ++i) {
        tensor_record tensor;
        tensor.size = in.number();
        tensor.step = in.number();
        tensor.extra = in.number();
        for (double& number : tensor.memory) { number = std::bit_cast<double>(in.number()); }
        expected += out.slots * tensor.size + tensor.extra;
        out.tensors.push_back(tensor);
    }
    const std::uint64_t count = in.number();
    if (count != expected || count > in.left() / sizeof(Scalar) || in.left() != count * sizeof(Scalar) + 8) {
        throw std::invalid_argument("from_bytes: the numbers do not fit the tensors");
    }
    out.values.resize(static_cast<std::size_t>(count));
    const auto values = in.take(count * sizeof(Scalar));
    if (!values.empty()) { std::memcpy(out.values.data(), values.data(), values.size()); }
    return out;
}

}  // namespace tweedie::optim
