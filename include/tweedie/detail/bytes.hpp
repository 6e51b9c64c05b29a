// SPDX-License-Identifier: MIT
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// Saved data: eight letters that say what they are and in which version, numbers, and a checksum.
///
/// Unsigned integers as eight bytes, least significant first.
class byte_writer {
public:
    void number(std::uint64_t value) {
        for (unsigned i = 0; i < 8; ++i) {
            bytes_.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xffU));
        }
    }
    void text(std::string_view letters) {
        for (const char letter : letters) { bytes_.push_back(static_cast<std::byte>(letter)); }
    }
    template <class Scalar>
    void values(const std::vector<Scalar>& all) {
        static_assert(std::endian::native == std::endian::little, "to_bytes: a little-endian machine");
        const std::size_t at = bytes_.size();
        bytes_.resize(at + all.size() * sizeof(Scalar));
        if (!all.empty()) { std::memcpy(bytes_.data() + at, all.data(), all.size() * sizeof(Scalar)); }
    }
    /// All that was written and its checksum.
    [[nodiscard]] std::vector<std::byte> sealed() {
        number(sum(bytes_));
        return std::move(bytes_);
    }

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
    /// The next `count` values of a `byte_writer`.
    template <class Scalar>
    std::vector<Scalar> values(std::uint64_t count) {
        if (count > rest_.size() / sizeof(Scalar)) {
            throw std::invalid_argument("from_bytes: the data end too early");
        }
        std::vector<Scalar> all(static_cast<std::size_t>(count));
        const auto bytes = take(count * sizeof(Scalar));
        if (!all.empty()) { std::memcpy(all.data(), bytes.data(), bytes.size()); }
        return all;
    }
    [[nodiscard]] std::size_t left() const { return rest_.size(); }

private:
    std::span<const std::byte> rest_;
};

/// Throws unless everything was read.
inline void require_end(const byte_reader& in) {
    if (in.left() != 0) { throw std::invalid_argument("from_bytes: the data are longer than they say"); }
}

/// What lies between the mark and the checksum.
/// - errors  `std::invalid_argument`: `refusal` for another mark; data that are damaged or cut off.
[[nodiscard]] inline byte_reader open_sealed(std::span<const std::byte> bytes, std::string_view mark,
                                             const char* refusal) {
    if (bytes.size() < mark.size() + 16 || std::memcmp(bytes.data(), mark.data(), mark.size()) != 0) {
        throw std::invalid_argument(refusal);
    }
    byte_reader tail(bytes.last(8));
    if (tail.number() != byte_writer::sum(bytes.first(bytes.size() - 8))) {
        throw std::invalid_argument("from_bytes: the data are damaged or end too early");
    }
    return byte_reader(bytes.subspan(mark.size(), bytes.size() - mark.size() - 8));
}

}  // namespace tweedie::detail
