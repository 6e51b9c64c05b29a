// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/mersenne_twister.hpp>
#include <tweedie/detail/numpy_ziggurat.hpp>
#include <tweedie/detail/rounded_product.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tweedie {

/// `numpy.random.RandomState(seed)`, which is `numpy.random.seed(seed)` and `numpy.random.randn` too: the
/// legacy numbers, which NumPy never changes.
///
///     numpy_random_state state(0);
///     state.randn(x);                                    // np.random.seed(0); np.random.randn(x.size())
///
///     repeat u, v = 2 U - 1 until 0 < r = u^2 + v^2 < 1;   numbers v f and then u f, f = sqrt(-2 ln(r) / r)
///
/// Source: the polar method of Marsaglia and Bray 1964 on MT19937; NumPy 1.24.2 (Debian's) on x86-64. Builds
/// that fuse u^2 + v^2 (some for ARM) differ in last bits.
/// - random  sequential; the second of a pair is kept for the next call.
/// - cost    2.5 KB; no allocation. Bits of `randn` hang on the C library's log; those of `random_sample` on
///           nothing.
/// - choose  to reproduce a NumPy program: fill an array and hand it to `injected_noise`.
class numpy_random_state {
public:
    explicit numpy_random_state(std::uint32_t seed = 5489) : engine_(seed) {}

    /// Seeded by a list of words, as NumPy seeds by an array.
    explicit numpy_random_state(std::span<const std::uint32_t> key) : engine_(key) {}

    /// `state.random_sample(out.size())`: in [0, 1), 53 bits.
    void random_sample(std::span<double> out) {
        for (double& number : out) { number = uniform(); }
    }

    /// `state.randn(out.size())`, also `standard_normal`.
    void randn(std::span<double> out) {
        for (double& number : out) { number = normal(); }
    }

    friend bool operator==(const numpy_random_state&, const numpy_random_state&) = default;

private:
    double uniform() {
        std::uint32_t words[2];
        engine_.fill(words);
        return (static_cast<double>(words[0] >> 5) * 0x1p26 + static_cast<double>(words[1] >> 6)) * 0x1p-53;
    }

    double normal() {
        if (second_) {
            const double number = *second_;
            second_.reset();
            return number;
        }
        double u = 0.0;
        double v = 0.0;
        double r = 0.0;
        do {
            u = 2.0 * uniform() - 1.0;
            v = 2.0 * uniform() - 1.0;
            r = detail::rounded_product(u, u) + detail::rounded_product(v, v);
        } while (r >= 1.0 || r == 0.0);
        const double f = std::sqrt(-2.0 * std::log(r) / r);
        second_ = f * u;
        return f * v;
    }

    detail::mersenne_twister engine_;
    std::optional<double> second_;
};

namespace detail {

struct wide_word {
    std::uint64_t high = 0;
    std::uint64_t low = 0;

    friend bool operator==(const wide_word&, const wide_word&) = default;
};

[[nodiscard]] constexpr wide_word product(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t a0 = a & 0xffffffffu;
    const std::uint64_t a1 = a >> 32;
    const std::uint64_t b0 = b & 0xffffffffu;
    const std::uint64_t b1 = b >> 32;
    const std::uint64_t middle = a1 * b0 + (a0 * b0 >> 32);
    const std::uint64_t other = a0 * b1 + (middle & 0xffffffffu);
    return {a1 * b1 + (middle >> 32) + (other >> 32), a * b};
}

[[nodiscard]] constexpr wide_word sum(const wide_word& a, const wide_word& b) {
    const std::uint64_t low = a.low + b.low;
    return {a.high + b.high + (low < a.low ? 1u : 0u), low};
}

/// `numpy.random.SeedSequence(seed).generate_state`: O'Neill's seed sequence with a pool of four words.
template <std::size_t Words>
[[nodiscard]] constexpr std::array<std::uint64_t, Words> numpy_seed_sequence(std::uint64_t seed) {
    std::array<std::uint32_t, 4> pool = {static_cast<std::uint32_t>(seed),
                                         static_cast<std::uint32_t>(seed >> 32), 0, 0};
    std::uint32_t hash = 0x43b0d7e5u;
    const auto hashed = [&hash](std::uint32_t value, std::uint32_t factor) {
        value ^= hash;
        hash *= factor;
        value *= hash;
        return value ^ value >> 16;
    };
    for (std::uint32_t& word : pool) { word = hashed(word, 0x931e8875u); }
    for (std::size_t from = 0; from < 4; ++from) {
        for (std::size_t to = 0; to < 4; ++to) {
            if (from == to) { continue; }
            const std::uint32_t mixed =
                0xca01f9ddu * pool[to] - 0x4973f715u * hashed(pool[from], 0x931e8875u);
            pool[to] = mixed ^ mixed >> 16;
        }
    }
    hash = 0x8b51f9ddu;
    std::array<std::uint64_t, Words> out{};
    for (std::size_t i = 0; i < 2 * Words; ++i) {
        const std::uint64_t word = hashed(pool[i % 4], 0x58f38dedu);
        out[i / 2] |= word << (32 * (i % 2));
    }
    return out;
}

}  // namespace detail

/// `numpy.random.PCG64(seed)`: PCG XSL RR 128/64. Source: O'Neill 2014, PCG: a family of simple fast
/// space-efficient statistically good algorithms.
class numpy_pcg64 {
public:
    explicit numpy_pcg64(std::uint64_t seed) {
        const auto words = detail::numpy_seed_sequence<4>(seed);
        increment_ = {words[2] << 1 | words[3] >> 63, words[3] << 1 | 1u};
        step();
        state_ = detail::sum(state_, {words[0], words[1]});
        step();
    }

    std::uint64_t operator()() {
        step();
        const std::uint64_t word = state_.high ^ state_.low;
        const std::uint64_t turn = state_.high >> 58;
        return word >> turn | word << ((64 - turn) & 63);
    }

    friend bool operator==(const numpy_pcg64&, const numpy_pcg64&) = default;

private:
    void step() {
        constexpr detail::wide_word factor = {0x2360ed051fc65da4u, 0x4385df649fccf645u};
        detail::wide_word next = detail::product(state_.low, factor.low);
        next.high += state_.high * factor.low + state_.low * factor.high;
        state_ = detail::sum(next, increment_);
    }

    detail::wide_word state_;
    detail::wide_word increment_;
};

/// `numpy.random.Philox(seed)`: Philox4x64-10 (not the Philox4x32-10 of `noise`). Source: Salmon et al. 2011.
class numpy_philox {
public:
    explicit numpy_philox(std::uint64_t seed) : key_(detail::numpy_seed_sequence<2>(seed)) {}

    std::uint64_t operator()() {
        if (next_ == 4) {
            for (std::uint64_t& word : counter_) {
                if (++word != 0) { break; }
            }
            words_ = counter_;
            std::array<std::uint64_t, 2> key = key_;
            for (int round = 0; round < 10; ++round) {
                const detail::wide_word p0 = detail::product(0xd2e7470ee14c6c93u, words_[0]);
                const detail::wide_word p1 = detail::product(0xca5a826395121157u, words_[2]);
                words_ = {p1.high ^ words_[1] ^ key[0], p1.low, p0.high ^ words_[3] ^ key[1], p0.low};
                key[0] += 0x9e3779b97f4a7c15u;
                key[1] += 0xbb67ae8584caa73bu;
            }
            next_ = 0;
        }
        return words_[next_++];
    }

    friend bool operator==(const numpy_philox&, const numpy_philox&) = default;

private:
    std::array<std::uint64_t, 2> key_;
    std::array<std::uint64_t, 4> counter_{};
    std::array<std::uint64_t, 4> words_{};
    std::size_t next_ = 4;
};

/// `numpy.random.Generator(PCG64(seed))`, which is `numpy.random.default_rng(seed)`, or of `numpy_philox`.
///
///     numpy_generator rng(numpy_pcg64(0));
///     rng.standard_normal(x);                   // np.random.default_rng(0).standard_normal(x.size())
///
/// Normals by the ziggurat of 256 strips, 1.02 words each.
/// Source: Marsaglia and Tsang 2000, The ziggurat method; NumPy 1.24.2 (Debian's), whose strips were measured
/// (see `numpy_strips`). NumPy does not promise to keep these numbers in later versions.
/// - random  sequential: a number takes as many words as it needs. Beyond 3.65 (one number in 3,900) its bits
///           hang on the C library's log1p.
/// - choose  to reproduce a NumPy program: fill an array and hand it to `injected_noise`.
template <class Words = numpy_pcg64>
class numpy_generator {
public:
    explicit numpy_generator(const Words& words) : words_(words) {}

    /// `rng.random(out.size())`: in [0, 1), 53 bits.
    void random(std::span<double> out) {
        for (double& number : out) { number = uniform(); }
    }

    /// `rng.standard_normal(out.size())`.
    void standard_normal(std::span<double> out) {
        static const detail::numpy_ziggurat ziggurat;
        for (double& number : out) { number = normal(ziggurat); }
    }

    friend bool operator==(const numpy_generator&, const numpy_generator&) = default;

private:
    double uniform() { return static_cast<double>(words_() >> 11) * 0x1p-53; }

    double normal(const detail::numpy_ziggurat& ziggurat) {
        constexpr double edge = 3.6541528853610087963519472518;
        constexpr double edge_inverse = 0.27366123732975827203338247596;
        while (true) {
            const std::uint64_t word = words_();
            const std::size_t strip = word & 0xff;
            const std::uint64_t place = word >> 9 & 0xfffffffffffffu;
            const bool negative = (word >> 8 & 1) != 0;
            const double x = static_cast<double>(place) * detail::numpy_strips[strip];
            if (place < ziggurat.inside[strip]) { return negative ? -x : x; }
            if (strip == 0) {
                while (true) {
                    const double beyond = -edge_inverse * std::log1p(-uniform());
                    const double y = -std::log1p(-uniform());
                    if (y + y > beyond * beyond) {
                        return (place >> 8 & 1) != 0 ? -(edge + beyond) : edge + beyond;
                    }
                }
            }
            const double top = ziggurat.height[strip - 1];
            const double height =
                ziggurat.height[strip] + detail::rounded_product(top - ziggurat.height[strip], uniform());
            if (height < std::exp(-0.5 * x * x)) { return negative ? -x : x; }
        }
    }

    Words words_;
};

}  // namespace tweedie
