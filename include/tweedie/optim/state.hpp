// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/bytes.hpp>

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
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

inline constexpr std::string_view state_mark = "tweedie1";

}  // namespace tweedie::detail

namespace tweedie::optim {

/// The state as bytes that `from_bytes` turns into an equal one, to the bit; with a mark, a version and a
/// checksum.
template <class Scalar>
[[nodiscard]] std::vector<std::byte> to_bytes(const state<Scalar>& from) {
    detail::byte_writer out;
    out.text(detail::state_mark);
    out.number(sizeof(Scalar));
    out.number(from.method.size());
    out.text(from.method);
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
    return out.sealed();
}

/// The state that `to_bytes` saved.
/// - errors  `std::invalid_argument` if the data are no state, are cut off or damaged, or are of another
///           scalar.
template <std::floating_point Scalar>
[[nodiscard]] state<Scalar> from_bytes(std::span<const std::byte> bytes) {
    detail::byte_reader in =
        detail::open_sealed(bytes, detail::state_mark, "from_bytes: the data are not a saved state");
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
    if (count != expected || count > in.left() / sizeof(Scalar) || in.left() != count * sizeof(Scalar)) {
        throw std::invalid_argument("from_bytes: the numbers do not fit the tensors");
    }
    out.values = in.values<Scalar>(count);
    return out;
}

}  // namespace tweedie::optim
