// SPDX-License-Identifier: MIT
#include <tweedie/random/torch_cuda.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <vector>

using namespace tweedie;

namespace {

// Published numbers are printed to four decimals; half of the last, and what the device's functions differ
// by.
constexpr double printed = 5e-5 + 1e-6;

float number(const torch_cuda_noise& source, std::size_t element, draw_kind kind = draw_kind::initial,
             std::uint32_t draw = 0) {
    float out = 0;
    source.stream(kind, draw)(element / source.elements, element % source.elements,
                              std::span<float>(&out, 1));
    return out;
}

void check(const torch_cuda_noise& source, std::size_t first, std::initializer_list<double> expected,
           double mean = 0.0, double deviation = 1.0) {
    for (const double value : expected) {
        const double ours = mean + deviation * static_cast<double>(number(source, first));
        INFO("element " << first);
        CHECK_THAT(ours, WithinAbs(value, printed));
        ++first;
    }
}

}  // namespace

static_assert(noise_source<torch_cuda_noise, float> && noise_source<torch_cuda_noise, double>);

TEST_CASE("torch_cuda_noise gives the published first and last numbers of an A100 and an H100",
          "[random][torch][reference]") {
    // pytorch issue 143086: torch.randn(1, 49 * 12 * 112 * 144), seed 1
    const std::size_t n = 49 * 12 * 112 * 144;
    const torch_cuda_noise a100{.seed = 1, .elements = n, .grid = torch_cuda_device::a100};
    const torch_cuda_noise h100{.seed = 1, .elements = n, .grid = torch_cuda_device::h100_sxm};
    check(a100, 0, {-0.2963, 2.6764, -0.1408});
    check(h100, 0, {-0.2963, 2.6764, -0.1408});
    check(a100, n - 3, {0.1549, -0.6797, -0.1656});
    check(h100, n - 3, {-0.6970, -0.7780, 0.3267});
}

TEST_CASE("torch_cuda_noise gives the published numbers of an RTX A4000", "[random][torch][reference]") {
    // pytorch issue 97097: normal_(5, sqrt(5)) of 1000 x 100, seed 14; 73,728 threads
    const torch_cuda_noise a4000{.seed = 14, .elements = 100'000, .grid = torch_cuda_device::rtx_a4000};
    const double s = std::sqrt(5.0);
    const auto row = [&](std::size_t i, std::initializer_list<double> head,
                         std::initializer_list<double> tail) {
        check(a4000, 100 * i, head, 5.0, s);
        check(a4000, 100 * i + 97, tail, 5.0, s);
    };
    row(0, {2.8731, 5.2727, 2.9889}, {1.6853, 9.6331, 6.6319});
    row(1, {3.9968, 3.8097, 5.7328}, {4.4029, 3.9804, 7.4698});
    row(2, {6.5552, 4.0857, 4.2315}, {2.7704, 3.5479, 3.3063});
    row(997, {8.6297, 2.3137, 6.2596}, {7.9358, 4.4697, 2.7475});
    row(998, {7.0551, 7.8583, 3.9990}, {4.1139, 8.9315, 4.2042});
    row(999, {2.7337, 2.2106, 7.7815}, {8.2207, 6.5395, 4.2604});
}

TEST_CASE("torch_cuda_noise gives the published numbers of small tensors on any device",
          "[random][torch][reference]") {
    // pytorch issue 79496: torch.manual_seed(10), torch.randn(3)
    for (const torch_cuda_grid& grid : {torch_cuda_device::infinite, torch_cuda_device::t4}) {
        check({.seed = 10, .elements = 3, .grid = grid}, 0, {-0.1029, 1.6810, -0.2708});
    }
    // pytorch issue 158398: torch.randn(1, 64, 2048), seed 42, the first of two machines
    const torch_cuda_noise first{.seed = 42, .elements = 64 * 2048};
    check(first, 0, {0.1940, 2.1614, -0.1721});
    check(first, 2045, {1.4540, -2.7733, -0.8932});
    check(first, 2048, {-0.4574, 0.8063, 0.1580});
    check(first, 4096, {1.1346, -0.6329, -0.9147});
}

TEST_CASE("A grid decides nothing below its threads, and everything above", "[random][torch][exact]") {
    // pytorch issue 194676: a T4 and an L4 agree on 40,960 numbers, and on 40,961 no more
    CHECK(torch_cuda_device::t4.threads(1'000'000) == 40'960);
    CHECK(torch_cuda_device::l4.threads(1'000'000) == 89'088);
    CHECK(torch_cuda_device::h20.threads(1'000'000) == 159'744);  // pytorch pull request 176584
    CHECK(torch_cuda_device::infinite.threads(1'000'001) == 1'000'192);
    const auto all = [](std::size_t n, const torch_cuda_grid& grid) {
        std::vector<float> out(n);
        torch_cuda_noise{.seed = 5, .elements = n, .grid = grid}.stream(draw_kind::initial, 0)(
            0, 0, std::span(out));
        return out;
    };
    CHECK(all(40'960, torch_cuda_device::t4) == all(40'960, torch_cuda_device::l4));
    const std::vector<float> t4 = all(40'961, torch_cuda_device::t4);
    const std::vector<float> l4 = all(40'961, torch_cuda_device::l4);
    CHECK(t4 != l4);
    CHECK(std::vector<float>(t4.begin(), t4.end() - 1) == std::vector<float>(l4.begin(), l4.end() - 1));
    CHECK(all(40'961, torch_cuda_device::infinite) == l4);
}

TEST_CASE("torch_cuda_noise is a value: any draw, any part, any order", "[random][torch][noise]") {
    const torch_cuda_grid small{1, 256};  // 256 threads: turns and blocks in a small tensor
    const torch_cuda_noise batch{.seed = 3, .elements = 500, .samples = 3, .grid = small};
    const torch_cuda_noise whole{.seed = 3, .elements = 1500, .grid = small};
    const torch_cuda_noise part{.seed = 3, .elements = 500, .samples = 3, .sample = 2, .grid = small};
    for (std::size_t i = 0; i < 1500; i += 7) {
        REQUIRE(number(batch, i, draw_kind::step, 4) == number(whole, i, draw_kind::step, 4));
        if (i >= 1000) {
            REQUIRE(number(part, i - 1000, draw_kind::step, 4) == number(whole, i, draw_kind::step, 4));
        }
    }
    // a draw begins where the last has ended: 1500 numbers on 256 threads take two blocks of each
    CHECK(whole.stream(draw_kind::initial, 0).first == 0);
    CHECK(whole.stream(draw_kind::step, 0).first == 2);
    CHECK(whole.stream(draw_kind::step, 3).first == 8);
    torch_cuda_noise given = whole;
    given.initial_draws = 0;
    CHECK(given.stream(draw_kind::step, 0) == whole.stream(draw_kind::initial, 0));

    torch_cuda_noise each = batch;
    each.seed_per_sample = true;
    for (std::size_t b = 0; b < 3; ++b) {
        const torch_cuda_noise alone{.seed = 3 + b, .elements = 500, .grid = small};
        for (std::size_t i = 0; i < 500; i += 11) {
            REQUIRE(number(each, 500 * b + i, draw_kind::step, 1) == number(alone, i, draw_kind::step, 1));
        }
    }
}

TEST_CASE("torch_cuda_noise rejects what it cannot do", "[random][torch][errors]") {
    const auto refused = [](const torch_cuda_noise& source, draw_kind kind, std::uint32_t draw) {
        CHECK_THROWS_AS(source.stream(kind, draw), std::invalid_argument);
    };
    refused({.seed = 1}, draw_kind::step, 0);
    refused({.elements = 1, .samples = 0}, draw_kind::step, 0);
    refused({.elements = 1}, draw_kind::user, 0);
    refused({.elements = 1}, draw_kind::initial, 1);
    refused({.elements = (std::size_t{1} << 29) + 1}, draw_kind::step, 0);
    refused({.elements = std::size_t{1} << 29, .samples = 2}, draw_kind::step, 0);
    refused({.elements = 1, .grid = {1, 255}}, draw_kind::step, 0);
    CHECK_THROWS_AS(number({.elements = 4}, 4), std::invalid_argument);
}
