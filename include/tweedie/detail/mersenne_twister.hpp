// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/torch_paths.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace tweedie::detail {

/// MT19937, the words of `std::mt19937`, with fills that are made by the widest instructions of the machine.
///
/// Source: Matsumoto and Nishimura 1998, Mersenne Twister; initialization of 2002.
/// - cost  a fill of 624 words or more makes 624 at a time.
class mersenne_twister {
public:
    explicit mersenne_twister(std::uint32_t seed = 5489) : next_(words_of_state) {
        state_[0] = seed;
        for (std::uint32_t i = 1; i < words_of_state; ++i) {
            state_[i] = 1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + i;
        }
    }

    /// Initialized by an array of words, as `init_by_array` of the authors.
    /// - errors  none; an empty key counts as {0}.
    explicit mersenne_twister(std::span<const std::uint32_t> key) : mersenne_twister(19650218u) {
        constexpr std::uint32_t nothing[] = {0};
        if (key.empty()) { key = nothing; }
        std::size_t i = 1;
        std::size_t j = 0;
        const auto advance = [&] {
            if (++i == words_of_state) {
                state_[0] = state_[words_of_state - 1];
                i = 1;
            }
        };
        for (std::size_t k = std::max(words_of_state, key.size()); k > 0; --k) {
            state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1664525u)) + key[j] +
                        static_cast<std::uint32_t>(j);
            advance();
            j = j + 1 == key.size() ? 0 : j + 1;
        }
        for (std::size_t k = words_of_state - 1; k > 0; --k) {
            state_[i] = (state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * 1566083941u)) -
                        static_cast<std::uint32_t>(i);
            advance();
        }
        state_[0] = 0x80000000u;
    }

    std::uint32_t operator()() {
        std::uint32_t word = 0;
        fill({&word, 1});
        return word;
    }

    void fill(std::span<std::uint32_t> out) {
        pass(out.size(), [&](std::size_t at, std::size_t size) {
            path_.words(state_.data() + next_, out.data() + at, size);
        });
    }

    /// The low 24 bits of each word, in [0, 1).
    void fill_uniform(std::span<float> out) {
        pass(out.size(), [&](std::size_t at, std::size_t size) {
            path_.uniforms(state_.data() + next_, out.data() + at, size);
        });
    }

    void discard(std::size_t words) {
        pass(words, [](std::size_t, std::size_t) {});
    }

    [[nodiscard]] const torch_path& path() const { return path_; }

    friend bool operator==(const mersenne_twister& a, const mersenne_twister& b) {
        return a.next_ == b.next_ && a.state_ == b.state_;
    }

private:
    static constexpr std::size_t words_of_state = 624;

    template <class Take>
    void pass(std::size_t size, const Take& take) {
        for (std::size_t done = 0; done < size;) {
            if (next_ == words_of_state) {
                path_.twist(state_.data());
                next_ = 0;
            }
            const std::size_t n = std::min(size - done, words_of_state - next_);
            take(done, n);
            next_ += n;
            done += n;
        }
    }

    std::array<std::uint32_t, words_of_state> state_;
    std::size_t next_;
    torch_path path_ = widest_torch_path();
};

}  // namespace tweedie::detail
