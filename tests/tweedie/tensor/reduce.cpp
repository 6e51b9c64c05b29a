// SPDX-License-Identifier: MIT
#include <tweedie/detail/reduce.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "checks.hpp"

using tweedie::detail::dot;

namespace {

template <class Scalar>
std::vector<Scalar> values(std::size_t stream, std::size_t size) {
    std::vector<Scalar> out(size);
    for (std::size_t i = 0; i < size; ++i) { out[i] = sample_value<Scalar>(stream, i); }
    return out;
}

}  // namespace

TEMPLATE_TEST_CASE("dot sums in double whatever the scalar", "[tensor][reduce][exact]", float, double) {
    for (const std::size_t size : counts{0, 1, 3, 7, 8, 9, 15, 16, 17, 1025, 4095, 4096, 4097, 300'001}) {
        const auto x = values<TestType>(0, size);
        const auto y = values<TestType>(1, size);
        double sum = -1.0;
        dot<TestType>(size, x.data(), y.data(), std::span<double>(&sum, 1));
        long double expected = 0;
        long double scale = 0;
        for (std::size_t i = 0; i < size; ++i) {
            const long double term = static_cast<long double>(x[i]) * static_cast<long double>(y[i]);
            expected += term;
            scale += std::fabs(term);
        }
        // An eighth of a segment of at most 4096 or size / 64 in a row, 64 segments, the product itself.
        const long double roundings = 512.0L + 64.0L + 8.0L + static_cast<long double>(size) / 512.0L;
        INFO(size << " elements");
        CHECK(std::fabs(static_cast<long double>(sum) - expected) <=
              roundings * static_cast<long double>(std::numeric_limits<double>::epsilon()) * scale);
    }
}

TEST_CASE("dot of floats is, to the bit, dot of the same numbers as doubles", "[tensor][reduce][identity]") {
    for (const std::size_t size : counts{1, 9, 4097, 300'001}) {
        const auto x = values<float>(0, size);
        const auto y = values<float>(1, size);
        const std::vector<double> xd(x.begin(), x.end());
        const std::vector<double> yd(y.begin(), y.end());
        double a = 0.0;
        double b = 0.0;
        dot<float>(size, x.data(), y.data(), std::span<double>(&a, 1));
        dot<double>(size, xd.data(), yd.data(), std::span<double>(&b, 1));
        CHECK(same_bits(a, b));
    }
}

TEMPLATE_TEST_CASE("a sample's dot product depends on neither the batch nor the number of threads",
                   "[tensor][reduce][identity]", float, double) {
    for (const std::size_t size : counts{5, 5000, 150'000}) {
        const std::size_t batch = 900'000 / (size < 1000 ? 9000 : size);
        const auto x = values<TestType>(0, batch * size);
        const auto y = values<TestType>(1, batch * size);
        std::vector<double> alone(batch);
        for (std::size_t b = 0; b < batch; ++b) {
            dot<TestType>(size, x.data() + b * size, y.data() + b * size, std::span<double>(&alone[b], 1));
        }
        for_thread_counts([&] {
            std::vector<double> together(batch);
            dot<TestType>(size, x.data(), y.data(), together);
            CHECK(same_bits(together, alone, batch));
        });
    }
}
