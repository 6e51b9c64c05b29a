// SPDX-License-Identifier: MIT
#include <tweedie/random/philox.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

using namespace tweedie;

namespace {

struct known_answer {
    philox_counter counter;
    philox_key key;
    philox_counter words;
};

// The lines "philox4x32 10" of Random123's kat_vectors.
constexpr std::array<known_answer, 3> known_answers = {{
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
}};

static_assert(philox4x32(known_answers[0].counter, known_answers[0].key) == known_answers[0].words);
static_assert(philox4x32(known_answers[1].counter, known_answers[1].key) == known_answers[1].words);
static_assert(philox4x32(known_answers[2].counter, known_answers[2].key) == known_answers[2].words);

constexpr detail::random_path paths[] = {detail::random_path::scalar, detail::random_path::vector128,
                                         detail::random_path::avx2, detail::random_path::avx512};

}  // namespace

TEST_CASE("philox4x32 gives the known answers at run time, block by block and in bulk",
          "[random][philox][reference]") {
    for (const known_answer& known : known_answers) {
        philox_counter counter = known.counter;
        CHECK(philox4x32(counter, known.key) == known.words);

        philox_counter words{};
        fill_philox4x32(counter, known.key, words);
        CHECK(words == known.words);

        for (const detail::random_path path : paths) {
            if (!detail::random_path_available(path)) { continue; }
            words = {};
            detail::random_fill(path, counter.data(), known.key.data(), words.data(), words.size());
            CHECK(words == known.words);
        }
    }
}

TEST_CASE("fill_philox4x32 gives the words of consecutive counters on every path and at every length",
          "[random][philox][identity]") {
    const philox_key key = {0x01234567, 0x89abcdef};
    for (const std::uint32_t first : {0u, 1000u, 0xffffffe0u}) {  // the last one wraps
        const philox_counter counter = {first, 3, 5, 7};
        std::vector<std::uint32_t> expected;
        for (std::uint32_t i = 0; i < 80; ++i) {
            const philox_counter words = philox4x32({first + i, 3, 5, 7}, key);
            expected.insert(expected.end(), words.begin(), words.end());
        }
        for (const detail::random_path path : paths) {
            if (!detail::random_path_available(path)) { continue; }
            for (std::size_t size = 0; size <= expected.size(); ++size) {
                std::vector<std::uint32_t> words(size + 1, 42);
                detail::random_fill(path, counter.data(), key.data(), words.data(), size);
                std::vector<std::uint32_t> wanted(expected.begin(), expected.begin() + std::ptrdiff_t(size));
                wanted.push_back(42);  // nothing past the end is written
                REQUIRE(words == wanted);
            }
        }
    }
}
