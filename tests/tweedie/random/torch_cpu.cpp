// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/random/torch_cpu.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/euler_ancestral.hpp>

#include <support/catch.hpp>
#include <support/reference.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

using namespace tweedie;

namespace {

using nlohmann::json;

/// FNV-1a by words of 32 bits, low word first: what make_torch_noise.py records.
template <class Number>
std::string checksum(std::span<const Number> numbers) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const Number number : numbers) {
        std::uint32_t words[sizeof(Number) / 4];
        std::memcpy(words, &number, sizeof number);
        for (const std::uint32_t word : words) { hash = (hash ^ word) * 0x100000001b3; }
    }
    std::string text(16, '0');
    for (std::size_t i = 0; i < 16; ++i) { text[15 - i] = "0123456789abcdef"[(hash >> (4 * i)) & 15]; }
    return text;
}

template <class Number>
Number from_bits(const std::string& hex) {
    using word = std::conditional_t<sizeof(Number) == 4, std::uint32_t, std::uint64_t>;
    return std::bit_cast<Number>(static_cast<word>(std::stoull(hex, nullptr, 16)));
}

/// Whether torch's double normals are expected to the bit: the library that made the recorded ones, on a
/// machine where it takes the same functions. Elsewhere they are near.
bool libm_as_recorded() {
#if defined(__GLIBC__) && defined(__x86_64__)
    return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

/// Makes a recorded call's numbers and returns whether they are those.
template <class Number, class Make>
bool same(const json& call, bool to_the_bit, const Make& make) {
    std::vector<Number> numbers(call.at("size").get<std::size_t>());
    make(std::span<Number>(numbers));
    if (!to_the_bit) {
        if (!call.contains("first")) { return true; }
        for (std::size_t i = 0; i < 4; ++i) {
            const auto near = [](double a, double b) { return std::abs(a - b) <= 4e-7 * std::abs(b); };
            const auto first = from_bits<Number>(call["first"][i]);
            const auto last = from_bits<Number>(call["last"][i]);
            if (!near(static_cast<double>(numbers[i]), static_cast<double>(first))) { return false; }
            if (!near(static_cast<double>(numbers[numbers.size() - 4 + i]), static_cast<double>(last))) {
                return false;
            }
        }
        return true;
    }
    return checksum(std::span<const Number>(numbers)) == call.at("checksum").get<std::string>();
}

bool same(torch_cpu_generator& g, const json& call, bool libm_floats) {
    const std::string make = call.at("make");
    if (make == "randint") {
        return same<std::int64_t>(call, true, [&](std::span<std::int64_t> out) {
            g.randint(call.at("low").get<std::int64_t>(), call.at("high").get<std::int64_t>(), out);
        });
    }
    const bool exact = make == "rand" || libm_as_recorded();
    if (call.at("type") == "double") {
        return same<double>(call, exact,
                            [&](std::span<double> out) { make == "rand" ? g.rand(out) : g.randn(out); });
    }
    return same<float>(call, exact || !libm_floats,
                       [&](std::span<float> out) { make == "rand" ? g.rand(out) : g.randn(out); });
}

std::size_t check(const std::string& file, torch_cpu_kernel kernel) {
    const json recorded = reference(file);
    std::size_t numbers = 0;
    for (const json& stream : recorded.at("streams")) {
        torch_cpu_generator g(std::stoull(stream.at("seed").get<std::string>()), kernel);
        std::size_t index = 0;
        for (const json& call : stream.at("calls")) {
            INFO("seed " << stream.at("seed") << ", call " << index++ << ": " << call.dump());
            REQUIRE(same(g, call, kernel == torch_cpu_kernel::libm));
            numbers += call.at("size").get<std::size_t>();
        }
    }
    return numbers;
}

constexpr detail::torch_instructions sets[] = {
    detail::torch_instructions::scalar, detail::torch_instructions::avx2, detail::torch_instructions::avx512};

template <class Scalar>
std::vector<Scalar> drawn(torch_cpu_generator& g, std::size_t size) {
    std::vector<Scalar> out(size);
    g.randn(out);
    return out;
}

template <class Scalar, class Source>
std::vector<Scalar> drawn(const Source& source, draw_kind kind, std::uint32_t draw, std::size_t samples,
                          std::size_t elements) {
    std::vector<Scalar> out(samples * elements);
    const auto stream = source.stream(kind, draw);
    for (std::size_t b = 0; b < samples; ++b) {
        stream(b, 0, std::span<Scalar>(out).subspan(b * elements, elements));
    }
    return out;
}

}  // namespace

static_assert(noise_source<torch_cpu_noise<float>, float>);
static_assert(noise_source<torch_cpu_noise<float>, double>);
static_assert(noise_source<torch_cpu_noise<double>, double>);

TEST_CASE("torch_cpu_generator gives torch's numbers on an AVX2 machine, to the bit",
          "[random][torch][reference]") {
    CHECK(check("torch_noise.json", torch_cpu_kernel::avx2) > 9'000'000);
}

TEST_CASE("torch_cpu_generator gives torch's numbers on a machine without AVX2, to the bit",
          "[random][torch][reference]") {
    CHECK(check("torch_noise_libm.json", torch_cpu_kernel::libm) > 9'000'000);
}

TEST_CASE("torch's seeds give the numbers that everyone knows", "[random][torch][reference]") {
    torch_cpu_generator g(0);
    const std::vector<float> four = drawn<float>(g, 4);  // torch.manual_seed(0); torch.randn(4)
    const float known[] = {1.5410f, -0.2934f, -2.1788f, 0.5684f};
    for (std::size_t i = 0; i < 4; ++i) { CHECK(std::abs(four[i] - known[i]) < 6e-5f); }
    g = torch_cpu_generator(0);
    const std::vector<float> more = drawn<float>(g, 16);
    const float known_more[] = {-1.1258f, -1.1524f, -0.2506f, -0.4339f};
    for (std::size_t i = 0; i < 4; ++i) { CHECK(std::abs(more[i] - known_more[i]) < 6e-5f); }
}

TEST_CASE("Every path gives the same words, uniforms and normals", "[random][torch][parity]") {
    std::vector<std::uint32_t> state(624);
    std::mt19937 engine(11);
    for (std::uint32_t& word : state) { word = static_cast<std::uint32_t>(engine()); }
    const detail::torch_path scalar = detail::torch_path_of(detail::torch_instructions::scalar);
    for (const detail::torch_instructions set : sets) {
        if (!detail::torch_path_available(set)) { continue; }
        const detail::torch_path path = detail::torch_path_of(set);
        std::vector<std::uint32_t> x = state;
        std::vector<std::uint32_t> y = state;
        path.twist(x.data());
        scalar.twist(y.data());
        REQUIRE(x == y);
        for (std::size_t size : {0u, 1u, 7u, 8u, 15u, 16u, 17u, 100u, 624u}) {
            std::vector<std::uint32_t> a(size + 1, 42);
            std::vector<std::uint32_t> b(size + 1, 42);
            path.words(x.data(), a.data(), size);
            scalar.words(x.data(), b.data(), size);
            REQUIRE(a == b);
            std::vector<float> u(size + 1, 42.0f);
            std::vector<float> v(size + 1, 42.0f);
            path.uniforms(x.data(), u.data(), size);
            scalar.uniforms(x.data(), v.data(), size);
            REQUIRE(u == v);
        }
        for (std::size_t blocks = 0; blocks < 40; ++blocks) {
            std::vector<float> u(16 * blocks + 1, 0.25f);
            scalar.uniforms(x.data(), u.data(), std::min<std::size_t>(16 * blocks, 624));
            std::vector<float> v = u;
            path.normals(u.data(), blocks);
            scalar.normals(v.data(), blocks);
            REQUIRE(std::memcmp(u.data(), v.data(), u.size() * sizeof(float)) == 0);
        }
    }
}

TEST_CASE("The words are those of std::mt19937", "[random][torch][identity]") {
    std::mt19937 standard(5489);
    detail::mersenne_twister ours;
    for (int i = 0; i < 2000; ++i) { REQUIRE(ours() == standard()); }
    std::vector<std::uint32_t> many(5000);
    ours.fill(many);
    for (const std::uint32_t word : many) { REQUIRE(word == standard()); }
    ours.discard(1001);
    standard.discard(1001);
    REQUIRE(ours() == standard());
    // init_by_array of the authors, {0x123, 0x234, 0x345, 0x456}: the first words of their mt19937ar.out
    constexpr std::uint32_t key[] = {0x123, 0x234, 0x345, 0x456};
    detail::mersenne_twister by_array{std::span<const std::uint32_t>(key)};
    for (const std::uint32_t word : {1067595299u, 955945823u, 477289528u, 4107218783u, 4228976476u}) {
        CHECK(by_array() == word);
    }
}

TEST_CASE("Extreme uniforms give finite normals and no negative zero", "[random][torch][exact]") {
    const float most = 1.0f - 0x1p-24f;
    float data[32] = {0, 0, most, most, 0, 0.5f, 0.25f, 0.75f, 0, most, 0, most, 0.5f, 0.5f, 0.25f, 0.75f};
    for (const detail::torch_instructions set : sets) {
        if (!detail::torch_path_available(set)) { continue; }
        float z[16];
        std::memcpy(z, data, sizeof z);
        detail::torch_path_of(set).normals(z, 1);
        for (const float number : z) {
            CHECK(std::isfinite(number));
            CHECK_FALSE((number == 0.0f && std::signbit(number)));
        }
        CHECK_THAT(z[2], WithinRel(5.7682f, 1e-4f));  // sqrt(2 * 24 ln 2), at angle 0
    }
}

TEMPLATE_TEST_CASE("skip_randn goes where randn goes", "[random][torch][identity]", float, double) {
    for (std::size_t size = 0; size < 100; ++size) {
        torch_cpu_generator drawing(size);
        torch_cpu_generator skipping(size);
        static_cast<void>(drawn<TestType>(drawing, size));
        skipping.skip_randn<TestType>(size);
        REQUIRE(drawing == skipping);
        REQUIRE(drawing.random() == skipping.random());
    }
}

TEST_CASE("The rules of torch 2.7 change wide ranges of randint, and the last bits of a few doubles",
          "[random][torch][exact]") {
    const auto made = [](torch_release release, std::int64_t high) {
        torch_cpu_generator g(3, torch_cpu_kernel::avx2, release);
        std::vector<std::int64_t> out(9);
        g.randint(0, high, out);
        return out;
    };
    const std::int64_t limit = std::int64_t{1} << 28;
    CHECK(made(torch_release::v1_13, limit - 1) == made(torch_release::v2_7, limit - 1));
    CHECK(made(torch_release::v1_13, limit) != made(torch_release::v2_7, limit));
    CHECK(made(torch_release::v1_13, 16 * limit) == made(torch_release::v2_7, 16 * limit));
    torch_cpu_generator wide(3);
    for (const std::int64_t number : made(torch_release::v2_7, limit)) {
        CHECK(number == static_cast<std::int64_t>(wide.random64() % static_cast<std::uint64_t>(limit)));
    }
    torch_cpu_generator older(4);
    torch_cpu_generator newer(4, torch_cpu_kernel::avx2, torch_release::v2_7);
    for (int i = 0; i < 100; ++i) {
        const std::vector<double> x = drawn<double>(older, 15);
        const std::vector<double> y = drawn<double>(newer, 15);
        for (std::size_t k = 0; k < x.size(); ++k) { REQUIRE_THAT(x[k], WithinRel(y[k], 1e-15)); }
        REQUIRE(drawn<float>(older, 15) == drawn<float>(newer, 15));
        REQUIRE(drawn<float>(older, 40) == drawn<float>(newer, 40));
    }
}

TEST_CASE("torch_cpu_noise makes the calls of a torch program", "[random][torch][noise]") {
    const std::size_t elements = 21;  // with a tail
    const std::size_t samples = 3;
    torch_cpu_generator g(9);
    const std::vector<float> latents = drawn<float>(g, elements * samples);
    const std::vector<float> first = drawn<float>(g, elements * samples);
    const std::vector<float> second = drawn<float>(g, elements * samples);

    const torch_cpu_noise<float> source({.seed = 9, .elements = elements, .samples = samples});
    CHECK(drawn<float>(source, draw_kind::initial, 0, samples, elements) == latents);
    CHECK(drawn<float>(source, draw_kind::step, 1, samples, elements) == second);
    CHECK(drawn<float>(source, draw_kind::step, 0, samples, elements) == first);  // in any order
    const auto copy = source;
    CHECK(drawn<float>(copy, draw_kind::step, 1, samples, elements) == second);
    CHECK(drawn<double>(source, draw_kind::step, 0, samples, elements) ==
          std::vector<double>(first.begin(), first.end()));

    SECTION("a part of the batch is that part") {
        const torch_cpu_noise<float> part({.seed = 9, .elements = elements, .samples = samples, .sample = 2});
        CHECK(drawn<float>(part, draw_kind::step, 0, 1, elements) ==
              std::vector<float>(first.begin() + 2 * elements, first.end()));
        CHECK_THROWS_AS(drawn<float>(part, draw_kind::step, 0, 2, elements), std::invalid_argument);
    }
    SECTION("latents that were given leave the first call to the first step") {
        const torch_cpu_noise<float> given(
            {.seed = 9, .elements = elements, .samples = samples, .initial_draws = 0});
        CHECK(drawn<float>(given, draw_kind::step, 0, samples, elements) == latents);
        CHECK_THROWS_AS(given.stream(draw_kind::initial, 0), std::invalid_argument);
    }
    SECTION("a generator per sample is the sample alone, with the next seed") {
        const torch_cpu_noise<float> each({.seed = 9,
                                           .elements = elements,
                                           .samples = samples,
                                           .batch = torch_batch::generator_per_sample});
        for (std::uint32_t draw : {0u, 1u}) {
            const std::vector<float> all = drawn<float>(each, draw_kind::step, draw, samples, elements);
            for (std::size_t b = 0; b < samples; ++b) {
                const torch_cpu_noise<float> alone({.seed = 9 + b, .elements = elements});
                const std::vector<float> one = drawn<float>(alone, draw_kind::step, draw, 1, elements);
                CHECK(std::memcmp(one.data(), all.data() + b * elements, elements * sizeof(float)) == 0);
            }
        }
    }
}

TEST_CASE("torch_cpu_noise feeds sample and stepper, and a resumed stepper goes on", "[random][torch][run]") {
    const schedule::edm schedule{};
    const auto levels = grid::karras(schedule, 6);
    const auto plan = solver::euler_ancestral{}.plan(schedule, levels);
    const auto network = [](const std::vector<float>& x, const network_level&) {
        std::vector<float> out(x);
        for (float& number : out) { number *= 0.5f; }
        return out;
    };
    const denoiser model(network, prediction::x0, schedule);
    const torch_cpu_noise<float> source({.seed = 3, .elements = 40});

    std::vector<float> x(40);
    start_from_noise(x, levels.front(), source);
    const std::vector<float> start = x;
    REQUIRE(sample(plan, model, x, source).status == run_status::finished);

    // the numbers drawn by hand, injected
    torch_cpu_generator g(3);
    noise_record<float> record{.elements = 40};
    record.initial.push_back(drawn<float>(g, 40));
    for (int i = 0; i < 6; ++i) { record.step.push_back(drawn<float>(g, 40)); }
    std::vector<float> by_hand(40);
    start_from_noise(by_hand, levels.front(), injected_noise(record));
    REQUIRE(by_hand == start);
    REQUIRE(sample(plan, model, by_hand, injected_noise(record)).status == run_status::finished);
    CHECK(by_hand == x);

    stepper s(plan, model.convention(), start, source);
    for (int i = 0; i < 3; ++i) {
        auto query = s.next();
        s.supply(network(query->x, query->level));
    }
    stepper resumed(program(plan, model.convention()), s.save(),
                    torch_cpu_noise<float>({.seed = 3, .elements = 40}));
    while (auto query = resumed.next()) { resumed.supply(network(query->x, query->level)); }
    CHECK(resumed.x() == x);
}

TEST_CASE("torch_cpu rejects what it cannot do", "[random][torch][errors]") {
    torch_cpu_generator g(0);
    std::vector<std::int64_t> out(3);
    CHECK_THROWS_AS(g.randint(3, 3, out), std::invalid_argument);
    CHECK_THROWS_AS(torch_cpu_noise<float>({.seed = 1}), std::invalid_argument);
    CHECK_THROWS_AS(torch_cpu_noise<float>({.elements = 4, .samples = 0}), std::invalid_argument);
    const torch_cpu_noise<float> source({.elements = 4});
    CHECK_THROWS_AS(source.stream(draw_kind::user, 0), std::invalid_argument);
    CHECK_THROWS_AS(source.stream(draw_kind::initial, 1), std::invalid_argument);
    float three[5];
    CHECK_THROWS_AS(source.stream(draw_kind::step, 0)(0, 0, std::span<float>(three)), std::invalid_argument);
    CHECK_THROWS_AS(source.stream(draw_kind::step, 0)(1, 0, std::span<float>(three, 4)),
                    std::invalid_argument);
}
