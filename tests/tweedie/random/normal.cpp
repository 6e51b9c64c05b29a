// SPDX-License-Identifier: MIT
#include <tweedie/random/normal.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <span>
#include <type_traits>
#include <vector>

using namespace tweedie;

namespace {

// The bounds of the card in normal.hpp.
constexpr double float_error = 4.5e-7;
constexpr double double_error = 8e-16;

// Statistics of independent normals lie within this many of their own standard deviations: once in 150,000
// seeds they do not, and the seed is fixed.
constexpr double deviations = 4.5;

constexpr philox_key key = {20260817, 4};

constexpr detail::random_path paths[] = {detail::random_path::scalar, detail::random_path::vector128,
                                         detail::random_path::avx2, detail::random_path::avx512};

template <class Scalar>
std::vector<Scalar> normals(std::size_t size, const philox_counter& first = {}) {
    std::vector<Scalar> out(size);
    fill_normal(first, key, std::span<Scalar>(out));
    return out;
}

/// FNV-1a of the bits, least significant byte first.
template <class Scalar>
std::uint64_t checksum(const std::vector<Scalar>& numbers) {
    using bits = std::conditional_t<sizeof(Scalar) == 4, std::uint32_t, std::uint64_t>;
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const Scalar number : numbers) {
        const auto word = std::bit_cast<bits>(number);
        for (std::size_t byte = 0; byte < sizeof word; ++byte) {
            hash = (hash ^ ((word >> (8 * byte)) & 0xff)) * 0x100000001b3;
        }
    }
    return hash;
}

/// Mean of `f(i)` over i = 0 .. n - 1.
template <class Function>
double mean_of(std::size_t n, const Function& f) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) { sum += f(i); }
    return sum / static_cast<double>(n);
}

/// Checks that x and y are uncorrelated, and their squares too.
void check_independent(std::span<const double> x, std::span<const double> y) {
    const double bound = deviations / std::sqrt(static_cast<double>(x.size()));
    CHECK_THAT(mean_of(x.size(), [&](std::size_t i) { return x[i] * y[i]; }), WithinAbs(0, bound));
    CHECK_THAT(mean_of(x.size(), [&](std::size_t i) { return (x[i] * x[i] - 1) * (y[i] * y[i] - 1) / 2; }),
               WithinAbs(0, bound));
}

/// Box-Muller in the words of the header, in long double; the angle is reduced exactly, as 2 pi is not.
std::vector<long double> box_muller(std::uint32_t x, std::uint32_t angle) {
    const long double unit = 4294967296.0L;
    const long double two_pi = 2 * std::numbers::pi_v<long double>;
    const long double r = std::sqrt(-2 * std::log((static_cast<long double>(x) + 1) / unit));
    const auto sine = [&](std::uint32_t a) {  // sin(2 pi a / 2^32)
        const bool negative = a >= 0x80000000u;
        std::uint32_t half_turn = a & 0x7fffffffu;
        half_turn = half_turn > 0x40000000u ? 0x80000000u - half_turn : half_turn;
        const long double s = std::sin(two_pi * (static_cast<long double>(half_turn) / unit));
        return negative ? -s : s;
    };
    return {r * sine(angle + 0x40000000u), r * sine(angle)};
}

template <class Scalar>
double largest_error() {
    double largest = 0;
    std::vector<Scalar> z(1u << 14);
    std::vector<std::uint32_t> words(z.size());
    for (std::uint32_t draw = 0; draw < 32; ++draw) {
        const philox_counter first = {0, draw, 0, 0};
        fill_normal(first, key, std::span<Scalar>(z));
        fill_philox4x32(first, key, words);
        for (std::size_t i = 0; i < z.size(); i += 2) {
            const std::vector<long double> exact = box_muller(words[i], words[i + 1]);
            for (std::size_t j = 0; j < 2; ++j) {
                const long double error = std::abs(static_cast<long double>(z[i + j]) - exact[j]);
                largest = std::max(largest, static_cast<double>(error / std::abs(exact[j])));
            }
        }
    }
    return largest;
}

}  // namespace

TEST_CASE("fill_normal gives the same bits on every machine, with every compiler and flag",
          "[random][normal][reference]") {
    CHECK(checksum(normals<float>(100'003)) == 0x5ff7dbf60a4cde85);
    CHECK(checksum(normals<double>(100'003)) == 0xad84ca4c469fd454);
}

TEMPLATE_TEST_CASE("fill_normal gives the same bits on every path", "[random][normal][parity]", float,
                   double) {
    std::size_t tried = 0;
    for (const detail::random_path path : paths) {
        if (!detail::random_path_available(path)) { continue; }
        ++tried;
        for (const std::uint32_t first : {0u, 0xffffffe0u}) {  // the second one wraps
            const philox_counter counter = {first, 1, 2, 3};
            const std::vector<TestType> expected = normals<TestType>(20'001, counter);
            for (std::size_t size = 0; size < 300; ++size) {
                std::vector<TestType> z(size + 1, TestType(42));
                detail::random_fill(path, counter.data(), key.data(), z.data(), size);
                REQUIRE(z.back() == TestType(42));  // nothing past the end is written
                REQUIRE(std::memcmp(z.data(), expected.data(), size * sizeof(TestType)) == 0);
            }
            std::vector<TestType> z(expected.size());
            detail::random_fill(path, counter.data(), key.data(), z.data(), z.size());
            REQUIRE(z == expected);
        }
    }
    CHECK(tried >= 1);
}

TEST_CASE("fill_normal is as near to the formula as its card says", "[random][normal][exact]") {
    CHECK(largest_error<float>() < float_error);
    if constexpr (std::numeric_limits<long double>::digits > std::numeric_limits<double>::digits) {
        CHECK(largest_error<double>() < double_error);
    }
}

TEST_CASE("The float and the double of the same place differ by rounding alone",
          "[random][normal][identity]") {
    const std::size_t n = 1'000'000;
    const std::vector<float> x = normals<float>(n);
    const std::vector<double> y = normals<double>(n);
    double largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        largest = std::max(largest, std::abs(static_cast<double>(x[i]) - y[i]) / std::abs(y[i]));
    }
    CHECK(largest < float_error);
}

TEST_CASE("The radius uses all 32 bits, from 0 to 6.66", "[random][normal][exact]") {
    namespace kernel = detail::random_scalar;
    const double longest = std::sqrt(64 * std::numbers::ln2);
    CHECK_THAT(double{kernel::radius(std::uint32_t{0})}, WithinRel(longest, float_error));
    CHECK_THAT(kernel::radius(std::uint64_t{0}), WithinRel(longest, double_error));
    CHECK(kernel::radius(std::uint32_t{0xffffffff}) == 0.0f);
    CHECK(kernel::radius(std::uint64_t{0xffffffff}) == 0.0);

    // Near u = 1, where 2^32 - 1 - a counts, and on both sides of every power of two.
    for (int bit = 0; bit < 32; ++bit) {
        for (const std::uint32_t offset : {0u, 1u, 2u}) {
            for (const std::uint32_t a : {(1u << bit) - offset, ~((1u << bit) - offset)}) {
                const double u = (static_cast<double>(a) + 1) * 0x1p-32;
                const double exact = std::sqrt(-2 * (u > 0.5 ? std::log1p(u - 1) : std::log(u)));
                REQUIRE_THAT(double{kernel::radius(a)}, WithinRel(exact, float_error));
                REQUIRE_THAT(kernel::radius(std::uint64_t{a}), WithinRel(exact, double_error));
            }
        }
    }
}

TEST_CASE("The angle is exact at the axes", "[random][normal][exact]") {
    namespace kernel = detail::random_scalar;
    const auto check = [](std::uint32_t b, float cosine, float sine) {
        CHECK(kernel::on_circle(1.0f, b).cosine == cosine);
        CHECK(kernel::on_circle(1.0f, b).sine == sine);
        CHECK(kernel::on_circle(1.0, std::uint64_t{b}).cosine == double{cosine});
        CHECK(kernel::on_circle(1.0, std::uint64_t{b}).sine == double{sine});
    };
    check(0x00000000u, 1, 0);
    check(0x40000000u, 0, 1);
    check(0x80000000u, -1, 0);
    check(0xc0000000u, 0, -1);
}

TEMPLATE_TEST_CASE("fill_normal has the moments of the normal law", "[random][normal][statistics]", float,
                   double) {
    const std::size_t n = 1'000'000;
    const std::vector<TestType> z = normals<TestType>(n);
    const auto moment = [&](int order) {
        return mean_of(n, [&](std::size_t i) { return std::pow(static_cast<double>(z[i]), order); });
    };
    // E[z^k] = 0, 1, 0, 3, 0, 15 and Var[z^k] = E[z^2k] - E[z^k]^2.
    const double root_n = std::sqrt(static_cast<double>(n));
    CHECK_THAT(moment(1), WithinAbs(0, deviations * 1 / root_n));
    CHECK_THAT(moment(2), WithinAbs(1, deviations * std::sqrt(2.0) / root_n));
    CHECK_THAT(moment(3), WithinAbs(0, deviations * std::sqrt(15.0) / root_n));
    CHECK_THAT(moment(4), WithinAbs(3, deviations * std::sqrt(96.0) / root_n));
    CHECK_THAT(moment(6), WithinAbs(15, deviations * std::sqrt(10395.0 - 225.0) / root_n));
}

TEMPLATE_TEST_CASE("fill_normal passes the Kolmogorov-Smirnov test", "[random][normal][statistics]", float,
                   double) {
    const std::size_t n = 1'000'000;
    std::vector<TestType> z = normals<TestType>(n);
    std::sort(z.begin(), z.end());
    double distance = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double law = std::erfc(-static_cast<double>(z[i]) / std::numbers::sqrt2) / 2;
        distance = std::max({distance, law - static_cast<double>(i) / static_cast<double>(n),
                             static_cast<double>(i + 1) / static_cast<double>(n) - law});
    }
    CHECK(distance * std::sqrt(static_cast<double>(n)) < 1.9495);  // sqrt(-ln(0.001 / 2) / 2): level 0.1 %
}

TEST_CASE("fill_normal has the tails of the normal law", "[random][normal][statistics]") {
    const std::size_t chunks = 1024;
    std::vector<float> z(1u << 16);
    double beyond[3] = {0, 0, 0};
    for (std::uint32_t chunk = 0; chunk < chunks; ++chunk) {
        fill_normal({0, chunk, 0, 0}, key, std::span<float>(z));
        for (const float number : z) {
            if (std::abs(number) > 3) {
                ++beyond[0];
                beyond[1] += std::abs(number) > 4 ? 1 : 0;
                beyond[2] += std::abs(number) > 5 ? 1 : 0;
            }
        }
    }
    for (int i = 0; i < 3;
         ++i) {  // 181184, 4251 and 38.5 of 2^26 are expected; a Poisson count varies by its root
        const double expected =
            static_cast<double>(chunks * z.size()) * std::erfc((3 + i) / std::numbers::sqrt2);
        CHECK_THAT(beyond[i], WithinAbs(expected, deviations * std::sqrt(expected)));
    }
}

TEST_CASE("Normals of different places are independent", "[random][normal][statistics]") {
    const std::size_t n = 400'000;
    const std::vector<double> z = normals<double>(4 * n + 64);

    // Within a block: every pair of its four places.
    for (std::size_t a = 0; a < 4; ++a) {
        for (std::size_t b = a + 1; b < 4; ++b) {
            std::vector<double> x(n);
            std::vector<double> y(n);
            for (std::size_t i = 0; i < n; ++i) {
                x[i] = z[4 * i + a];
                y[i] = z[4 * i + b];
            }
            check_independent(x, y);
        }
    }
    // Across blocks, and across the registers of every path.
    for (const std::size_t lag : {1u, 2u, 3u, 4u, 8u, 12u, 16u, 24u, 32u, 48u}) {
        check_independent(std::span(z).first(n), std::span(z).subspan(lag, n));
    }
    // Across draws, samples and seeds, neighbours and far ones.
    for (const philox_counter& other :
         {philox_counter{0, 1, 0, 0}, philox_counter{0, 0, 1, 0}, philox_counter{0, 0, 0, 1},
          philox_counter{0, 1u << 30, 0, 0}, philox_counter{0, 1u << 31, 0, 0}}) {
        check_independent(std::span(z).first(n), normals<double>(n, other));
    }
    for (const philox_key& other : {philox_key{key[0] + 1, key[1]}, philox_key{key[0], key[1] + 1}}) {
        std::vector<double> y(n);
        fill_normal({}, other, std::span<double>(y));
        check_independent(std::span(z).first(n), y);
    }
}
