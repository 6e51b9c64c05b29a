// SPDX-License-Identifier: MIT
#include <tweedie/random/numpy.hpp>

#include <support/catch.hpp>
#include <support/reference.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

using namespace tweedie;

namespace {

using nlohmann::json;

/// FNV-1a by words of 32 bits, low word first: what make_numpy_noise.py records.
std::string checksum(const std::vector<double>& numbers) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const double number : numbers) {
        const auto word = std::bit_cast<std::uint64_t>(number);
        hash = (hash ^ (word & 0xffffffff)) * 0x100000001b3;
        hash = (hash ^ (word >> 32)) * 0x100000001b3;
    }
    std::string text(16, '0');
    for (std::size_t i = 0; i < 16; ++i) { text[15 - i] = "0123456789abcdef"[(hash >> (4 * i)) & 15]; }
    return text;
}

/// Whether numbers that hang on the C library are expected to the bit: those were recorded with glibc.
bool libm_as_recorded() {
#if defined(__GLIBC__) && defined(__x86_64__)
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

template <class Fill>
void check(const json& recorded, bool to_the_bit, const Fill& fill) {
    std::vector<double> numbers(recorded.at("size").get<std::size_t>());
    fill(std::span<double>(numbers));
    if (to_the_bit) { CHECK(checksum(numbers) == recorded.at("checksum").get<std::string>()); }
    for (std::size_t i = 0; i < 4; ++i) {
        const auto bits = [](const json& hex) {
            return std::bit_cast<double>(
                static_cast<std::uint64_t>(std::stoull(hex.get<std::string>(), nullptr, 16)));
        };
        CHECK_THAT(numbers[i], WithinRel(bits(recorded["first"][i]), 1e-14));
        CHECK_THAT(numbers[numbers.size() - 4 + i], WithinRel(bits(recorded["last"][i]), 1e-14));
    }
}

template <class Words>
void check_generator(const json& c) {
    numpy_generator rng(Words(std::stoull(c.at("seed").get<std::string>())));
    check(c.at("normal"), libm_as_recorded(), [&](std::span<double> out) { rng.standard_normal(out); });
    check(c.at("uniform"), true, [&](std::span<double> out) { rng.random(out); });
    check(c.at("again"), true, [&](std::span<double> out) { rng.standard_normal(out); });
}

}  // namespace

TEST_CASE("NumPy's numbers, legacy, PCG64 and Philox, are given to the bit", "[random][numpy][reference]") {
    const json recorded = reference("numpy_noise.json");
    std::size_t cases = 0;
    for (const json& c : recorded.at("streams")) {
        const std::string kind = c.at("kind");
        INFO(kind << " " << (c.contains("seed") ? c["seed"] : c["key"]));
        ++cases;
        if (kind == "PCG64") {
            check_generator<numpy_pcg64>(c);
        } else if (kind == "Philox") {
            check_generator<numpy_philox>(c);
        } else {
            const auto key =
                c.contains("key") ? c["key"].get<std::vector<std::uint32_t>>() : std::vector<std::uint32_t>();
            numpy_random_state state = c.contains("key")
                                           ? numpy_random_state(std::span<const std::uint32_t>(key))
                                           : numpy_random_state(static_cast<std::uint32_t>(
                                                 std::stoull(c.at("seed").get<std::string>())));
            check(c.at("normal"), libm_as_recorded(), [&](std::span<double> out) { state.randn(out); });
            check(c.at("uniform"), true, [&](std::span<double> out) { state.random_sample(out); });
            check(c.at("again"), libm_as_recorded(), [&](std::span<double> out) { state.randn(out); });
        }
    }
    CHECK(cases == 10);
}

TEST_CASE("NumPy's seeds give the numbers that everyone knows", "[random][numpy][reference]") {
    double x[3];
    numpy_random_state(0).randn(x);  // np.random.seed(0); np.random.randn(3)
    CHECK_THAT(x[0], WithinAbs(1.76405235, 1e-8));
    CHECK_THAT(x[1], WithinAbs(0.40015721, 1e-8));
    CHECK_THAT(x[2], WithinAbs(0.97873798, 1e-8));
    numpy_generator(numpy_pcg64(0)).standard_normal(x);  // np.random.default_rng(0).standard_normal(3)
    CHECK_THAT(x[0], WithinAbs(0.12573022, 1e-8));
    CHECK_THAT(x[1], WithinAbs(-0.13210486, 1e-8));
    CHECK_THAT(x[2], WithinAbs(0.64042265, 1e-8));
}

TEST_CASE("The strips are those of the published ziggurat, to 1e-13", "[random][numpy][exact]") {
    const double area = 0.0049286732339746553;  // of each strip, and of the tail with the lowest
    const auto curve = [](double x) { return std::exp(-0.5 * x * x); };
    for (std::size_t i = 2; i < 255; ++i) {
        const double x = detail::numpy_strips[i + 1] * 0x1p52;
        const double next = detail::numpy_strips[i] * 0x1p52;
        // x (f(next) - f(x)) = area; the difference of heights loses digits
        CHECK_THAT(x * (curve(next) - curve(x)), WithinRel(area, 2e-13 / (1.0 - curve(x) / curve(next))));
    }
    CHECK_THAT(detail::numpy_strips[255] * 0x1p52, WithinRel(3.6541528853610088, 1e-15));
    CHECK_THAT(detail::numpy_strips[0] * 0x1p52 * curve(3.6541528853610088), WithinRel(area, 1e-14));
}

TEST_CASE("Products of 64 bits are exact to 128", "[random][numpy][exact]") {
    constexpr std::uint64_t all = ~std::uint64_t{0};
    static_assert(detail::product(all, all) == detail::wide_word{all - 1, 1});
    static_assert(detail::product(all, 2) == detail::wide_word{1, all - 1});
    static_assert(detail::product(0x123456789abcdef0u, 0xfedcba9876543210u) ==
                  detail::wide_word{0x121fa00ad77d7422u, 0x236d88fe5618cf00u});
    static_assert(detail::sum({1, all}, {2, 1}) == detail::wide_word{4, 0});
}

TEST_CASE("A copied generator goes on by itself", "[random][numpy][exact]") {
    numpy_random_state a(3);
    double x[7];
    a.randn(x);
    numpy_random_state b = a;
    CHECK(a == b);
    double y[7];
    a.randn(x);
    b.randn(y);
    CHECK(std::memcmp(x, y, sizeof x) == 0);
}
