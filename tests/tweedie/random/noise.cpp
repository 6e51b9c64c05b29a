// SPDX-License-Identifier: MIT
#include <tweedie/random/noise.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

using namespace tweedie;

namespace {

static_assert(noise_stream<normal_stream, float> && noise_stream<normal_stream, double>);
static_assert(noise_source<noise, float> && noise_source<noise, double>);
static_assert(noise_source<injected_noise<float>, float> && noise_source<injected_noise<float>, double>);
static_assert(noise_source<recorded_noise<noise, double>, float>);
static_assert(noise_source<recorded_noise<injected_noise<double>, double>, double>);
static_assert(std::is_trivially_copyable_v<normal_stream> && std::is_aggregate_v<normal_stream>);
static_assert(std::is_trivially_copyable_v<noise> && std::is_aggregate_v<noise>);

// A source that knows floats only: refused for doubles.
struct zero_stream {
    void operator()(std::size_t, std::size_t, std::span<float> out) const {
        std::fill(out.begin(), out.end(), 0.0f);
    }
};
struct zeros {
    [[nodiscard]] zero_stream stream(draw_kind, std::uint32_t) const { return {}; }
};
static_assert(noise_source<zeros, float> && !noise_source<zeros, double>);
static_assert(noise_source<recorded_noise<zeros, float>, float>);
static_assert(!noise_source<int> && !noise_source<zero_stream> && !noise_stream<noise>);

template <class Scalar, class Stream>
std::vector<Scalar> draw(const Stream& stream, std::size_t item, std::size_t size, std::size_t first = 0) {
    std::vector<Scalar> out(size);
    stream(item, first, std::span<Scalar>(out));
    return out;
}

std::vector<float> slice(const std::vector<float>& x, std::size_t first, std::size_t size) {
    return {x.begin() + static_cast<std::ptrdiff_t>(first),
            x.begin() + static_cast<std::ptrdiff_t>(first + size)};
}

}  // namespace

TEST_CASE("noise counts elements, draws and samples as it says", "[random][noise][exact]") {
    const noise source{.seed = 0x0123456789abcdef, .sample = 0xffffffff};
    const std::vector<float> z = draw<float>(source.stream(draw_kind::step, 5), 1, 8, 400);
    std::vector<float> expected(8);
    fill_normal({100, 5 + (1u << 30), 0, 1}, {0x89abcdef, 0x01234567}, std::span<float>(expected));
    CHECK(z == expected);
}

TEMPLATE_TEST_CASE("A sample does not depend on the batch it is in", "[random][noise][identity]", float,
                   double) {
    const noise batch{.seed = 7};
    for (const std::size_t item : {0u, 1u, 5u, 63u}) {
        const noise alone{.seed = 7, .sample = item};
        CHECK(draw<TestType>(batch.stream(draw_kind::initial, 0), item, 1001) ==
              draw<TestType>(alone.stream(draw_kind::initial, 0), 0, 1001));
    }
}

TEST_CASE("An element does not depend on how a draw is cut into calls", "[random][noise][identity]") {
    const normal_stream stream = noise{.seed = 7}.stream(draw_kind::initial, 0);
    const std::vector<float> whole = draw<float>(stream, 3, 1000);
    for (std::size_t first = 0; first < 200; first += 4) {
        for (const std::size_t size : {0u, 1u, 2u, 3u, 4u, 5u, 31u, 32u, 33u, 97u, 500u}) {
            REQUIRE(draw<float>(stream, 3, size, first) == slice(whole, first, size));
        }
    }
}

TEST_CASE("A draw does not depend on the number of threads or the order of the work",
          "[random][noise][identity]") {
    const normal_stream stream = noise{.seed = 7}.stream(draw_kind::step, 2);
    const std::size_t size = 100'000;
    const std::size_t chunk = 1000;
    const std::vector<float> whole = draw<float>(stream, 0, size);

    std::vector<float> backward(size);
    for (std::size_t first = size; first > 0; first -= chunk) {
        stream(0, first - chunk, std::span(backward).subspan(first - chunk, chunk));
    }
    CHECK(backward == whole);

#ifdef _OPENMP
    for (const int threads : {1, 2, 3, 8}) {
        std::vector<float> parallel(size);
#pragma omp parallel for num_threads(threads) schedule(dynamic)
        for (std::size_t i = 0; i < size / chunk; ++i) {
            const std::size_t first = (i * 37 % (size / chunk)) * chunk;
            stream(0, first, std::span(parallel).subspan(first, chunk));
        }
        CHECK(parallel == whole);
    }
#endif
}

TEST_CASE("Different seeds, samples, kinds and draws give different numbers", "[random][noise][identity]") {
    std::set<std::vector<float>> seen;
    std::size_t count = 0;
    for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
        for (const std::uint64_t sample : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32}) {
            for (const draw_kind kind : {draw_kind::initial, draw_kind::step, draw_kind::user}) {
                for (const std::uint32_t index : {0u, 1u, 2u, (1u << 30) - 1}) {
                    seen.insert(draw<float>(noise{seed, sample}.stream(kind, index), 0, 8));
                    ++count;
                }
            }
        }
    }
    CHECK(seen.size() == count);
}

TEST_CASE("Noise and its streams compare by value", "[random][noise][contract]") {
    CHECK(noise{.seed = 7} == noise{.seed = 7, .sample = 0});
    CHECK(noise{.seed = 7} != noise{.seed = 7, .sample = 1});
    CHECK(noise{.seed = 7}.stream(draw_kind::step, 1) == normal_stream{7, 0, draw_kind::step, 1});
    CHECK(noise{.seed = 7}.stream(draw_kind::step, 1) != noise{.seed = 7}.stream(draw_kind::initial, 1));
}

TEST_CASE("normal_stream refuses places that it does not have", "[random][noise][errors]") {
    const normal_stream stream = noise{}.stream(draw_kind::initial, 0);
    const std::size_t end = std::size_t{1} << 34;
    std::array<float, 8> out{};
    CHECK_THROWS_WITH(stream(0, 2, std::span<float>(out)), "normal_stream: need first_element % 4 == 0");
    CHECK_THROWS_WITH(stream(0, end - 4, std::span<float>(out)),
                      "normal_stream: need elements per sample <= 2^34");
    CHECK_THROWS_WITH(stream(0, end + 4, std::span<float>(out)),
                      "normal_stream: need elements per sample <= 2^34");
    CHECK_NOTHROW(stream(0, end - 8, std::span<float>(out)));
    CHECK_THROWS_WITH(noise{}.stream(draw_kind::step, 1u << 30)(0, 0, std::span<float>(out)),
                      "normal_stream: need draw < 2^30");
    CHECK_THROWS_AS(stream(0, 2, std::span<float>(out)), std::invalid_argument);
}

TEST_CASE("injected_noise hands out the user's numbers, draw by draw and sample by sample",
          "[random][noise][exact]") {
    const injected_noise source(
        noise_record<float>{.samples = 2,
                            .elements = 3,
                            .initial = {{1, 2, 3, 4, 5, 6}},
                            .step = {{10, 20, 30, 40, 50, 60}, {-1, -2, -3, -4, -5, -6}}});
    CHECK(draw<float>(source.stream(draw_kind::initial, 0), 0, 3) == std::vector<float>{1, 2, 3});
    CHECK(draw<float>(source.stream(draw_kind::initial, 0), 1, 3) == std::vector<float>{4, 5, 6});
    CHECK(draw<float>(source.stream(draw_kind::step, 0), 1, 2, 1) == std::vector<float>{50, 60});
    CHECK(draw<double>(source.stream(draw_kind::step, 1), 0, 3) == std::vector<double>{-1, -2, -3});
}

TEST_CASE("injected_noise refuses what was not given", "[random][noise][errors]") {
    using record = noise_record<double>;
    CHECK_THROWS_WITH(injected_noise(record{}), "injected_noise: need samples > 0 and elements > 0");
    CHECK_THROWS_WITH(injected_noise(record{.samples = 0, .elements = 4}),
                      "injected_noise: need samples > 0 and elements > 0");
    CHECK_THROWS_WITH(injected_noise(record{.samples = 2, .elements = 2, .step = {{1, 2, 3, 4}, {1, 2}}}),
                      "injected_noise: need samples * elements numbers in each draw");

    const injected_noise source(record{.elements = 4, .initial = {{1, 2, 3, 4}}, .step = {{}, {1, 2, 3, 4}}});
    CHECK_THROWS_WITH(source.stream(draw_kind::initial, 1), "injected_noise: initial draw 1 was not given");
    CHECK_THROWS_WITH(source.stream(draw_kind::step, 0), "injected_noise: step draw 0 was not given");
    CHECK_THROWS_WITH(source.stream(draw_kind::user, 0), "injected_noise: user draw 0 was not given");
    CHECK_THROWS_AS(source.stream(draw_kind::user, 0), std::invalid_argument);

    const injected_stream<double> stream = source.stream(draw_kind::initial, 0);
    CHECK_THROWS_WITH(draw<double>(stream, 1, 4), "injected_noise: asked for more samples than were given");
    CHECK_THROWS_WITH(draw<double>(stream, 0, 5),
                      "injected_noise: asked for more elements per sample than were given");
    CHECK_THROWS_WITH(draw<double>(stream, 0, 1, 4),
                      "injected_noise: asked for more elements per sample than were given");
}

TEST_CASE("A recorded run is replayed to the bit", "[random][noise][identity]") {
    const std::size_t samples = 3;
    const std::size_t elements = 1000;
    noise_record<float> record{.samples = samples, .elements = elements};
    const recorded_noise source(noise{.seed = 7}, &record);
    const recorded_noise copy = source;  // writes to the same record

    const auto whole_batch = [&](const auto& stream) {
        std::vector<float> batch(samples * elements);
#ifdef _OPENMP
#pragma omp parallel for num_threads(4) schedule(dynamic)
#endif
        for (std::size_t i = 0; i < samples * 10; ++i) {
            stream(i / 10, (i % 10) * 100, std::span(batch).subspan(i * 100, 100));
        }
        return batch;
    };
    const std::vector<float> start = whole_batch(source.stream(draw_kind::initial, 0));
    const std::vector<float> second = whole_batch(copy.stream(draw_kind::step, 1));
    const std::vector<float> first = whole_batch(source.stream(draw_kind::step, 0));

    CHECK(slice(start, elements, elements) ==
          draw<float>(noise{.seed = 7}.stream(draw_kind::initial, 0), 1, elements));
    CHECK(record == noise_record<float>{samples, elements, {start}, {first, second}, {}});

    const injected_noise replay(record);
    CHECK(whole_batch(replay.stream(draw_kind::initial, 0)) == start);
    CHECK(whole_batch(replay.stream(draw_kind::step, 0)) == first);
    CHECK(whole_batch(replay.stream(draw_kind::step, 1)) == second);
}

TEST_CASE("Streams of recorded_noise stay valid while others are made", "[random][noise][identity]") {
    noise_record<double> record{.elements = 8};
    const recorded_noise source(noise{.seed = 7}, &record);
    const auto stream = source.stream(draw_kind::step, 0);
    for (std::uint32_t later = 1; later < 100; ++later) {
        static_cast<void>(source.stream(draw_kind::step, later));
    }
    const std::vector<double> z = draw<double>(stream, 0, 8);
    CHECK(record.step[0] == z);
}

TEST_CASE("recorded_noise refuses what its record cannot hold", "[random][noise][errors]") {
    noise_record<float> record{.samples = 2, .elements = 8};
    const recorded_noise source(zeros{}, &record);
    const auto stream = source.stream(draw_kind::user, 0);
    const char* message = "recorded_noise: asked for more than record->samples times record->elements";
    CHECK_THROWS_WITH(draw<float>(stream, 2, 8), message);
    CHECK_THROWS_WITH(draw<float>(stream, 0, 12), message);
    CHECK_THROWS_WITH(draw<float>(stream, 0, 4, 8), message);
    CHECK_NOTHROW(draw<float>(stream, 1, 4, 4));

    noise_record<float> empty;
    CHECK_THROWS_WITH(recorded_noise(zeros{}, &empty),
                      "recorded_noise: need a record with samples > 0 and elements > 0");
}
