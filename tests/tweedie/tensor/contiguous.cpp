// SPDX-License-Identifier: MIT
#include <tweedie/tensor/contiguous.hpp>
#include <tweedie/tensor/host.hpp>

#include <support/archetypes.hpp>
#include <support/catch.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <span>
#include <stdexcept>
#include <vector>

#include "checks.hpp"

using namespace tweedie;

namespace {

constexpr std::size_t sizes[] = {0, 1, 3, 4, 5, 15, 16, 17, 31, 33, 255, 1023, 1024, 1025, 16383, 16385};

template <class Scalar>
struct problem {
    using tensor_type = std::vector<Scalar>;
    using traits = tensor_traits<tensor_type>;
    std::vector<tensor_type> inputs;
    std::vector<tensor_type> outputs;
    std::vector<double> coefficients;

    problem(std::size_t k, std::size_t n, std::size_t size)
        : inputs(n, tensor_type(size)),
          outputs(k, tensor_type(size)),
          coefficients(sample_coefficients(k * n)) {
        for (std::size_t j = 0; j < n; ++j) {
            for (std::size_t i = 0; i < size; ++i) { inputs[j][i] = sample_value<Scalar>(j, i); }
        }
    }
    bool run() { return traits::affine(pointers(outputs), coefficients, const_pointers(inputs)); }

    // One element alone: no vectors, no blocks, no threads.
    [[nodiscard]] Scalar element(std::size_t k, std::size_t i) const {
        Scalar out = 0;
        Scalar* const to[1] = {&out};
        std::vector<const Scalar*> from;
        for (const tensor_type& x : inputs) { from.push_back(&x[i]); }
        const auto row = std::span(coefficients).subspan(k * inputs.size(), inputs.size());
        tensor_traits<Scalar>::affine(to, row, from);
        return out;
    }
    // Each coefficient rounded once, the sum in much higher precision; and the sum of the terms' sizes.
    [[nodiscard]] std::pair<long double, long double> reference(std::size_t k, std::size_t i) const {
        long double sum = 0;
        long double scale = 0;
        for (std::size_t j = 0; j < inputs.size(); ++j) {
            const long double term =
                static_cast<long double>(static_cast<Scalar>(coefficients[k * inputs.size() + j])) *
                static_cast<long double>(inputs[j][i]);
            sum += term;
            scale += std::fabs(term);
        }
        return {sum, scale};
    }
};

}  // namespace

TEMPLATE_TEST_CASE("affine is the sum of coefficients times inputs, to the rounding",
                   "[tensor][affine][exact]", float, double) {
    for (std::size_t k = 0; k <= 4; ++k) {
        for (std::size_t n = 0; n <= 9; ++n) {
            for (const std::size_t size : sizes) {
                if (size > 1025 && n % 3 != 0) { continue; }
                problem<TestType> p(k, n, size);
                REQUIRE(p.run());
                bool close = true;
                for (std::size_t row = 0; row < k; ++row) {
                    for (std::size_t i = 0; i < size; ++i) {
                        const auto [sum, scale] = p.reference(row, i);
                        // n products and n - 1 sums, each rounded once
                        const long double bound =
                            static_cast<long double>(std::numeric_limits<TestType>::epsilon()) *
                            static_cast<long double>(n) * scale;
                        close =
                            close && std::fabs(static_cast<long double>(p.outputs[row][i]) - sum) <= bound;
                    }
                }
                INFO(k << " outputs, " << n << " inputs, " << size << " elements");
                REQUIRE(close);
            }
        }
    }
}

TEMPLATE_TEST_CASE("every kernel rounds like one element alone, to the bit", "[tensor][affine][identity]",
                   float, double) {
    for (const std::size_t k : counts{1, 2, 3, 4, 5, 8, 11, 16}) {
        for (const std::size_t n : counts{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16}) {
            for (const std::size_t size : counts{5, 64, 1025}) {
                problem<TestType> p(k, n, size);
                REQUIRE(p.run());
                bool same = true;
                for (std::size_t row = 0; row < k; ++row) {
                    for (std::size_t i = 0; i < size; ++i) {
                        same = same && same_bits(p.outputs[row][i], p.element(row, i));
                    }
                }
                INFO(k << " outputs, " << n << " inputs, " << size << " elements");
                REQUIRE(same);
            }
        }
    }
}

TEST_CASE("affine goes on past the numbers of tensors it keeps room for", "[tensor][affine][identity]") {
    for (const auto& [k, n] : {std::pair<std::size_t, std::size_t>{3, 70}, {70, 3}, {300, 2}}) {
        problem<float> p(k, n, 45);
        REQUIRE(p.run());
        for (std::size_t row = 0; row < k; ++row) {
            REQUIRE(same_bits(p.outputs[row][41], p.element(row, 41)));
        }
    }
}

TEMPLATE_TEST_CASE("an output may be any of the inputs", "[tensor][affine][identity]", float, double) {
    using tensor_type = std::vector<TestType>;
    using traits = tensor_traits<tensor_type>;
    for (const auto& [k, n] : {std::pair<std::size_t, std::size_t>{1, 1},
                               {1, 3},
                               {2, 2},
                               {2, 4},
                               {3, 4},
                               {4, 4},
                               {5, 5},
                               {3, 9}}) {
        const std::size_t size = 203;
        problem<TestType> expected(k, n, size);
        REQUIRE(expected.run());
        // Output row r is tensor target[r]: an input if below n, a new tensor otherwise. All ways to choose
        // them.
        std::vector<std::size_t> target(n + k);
        std::iota(target.begin(), target.end(), std::size_t{0});
        std::size_t count = 0;
        do {
            const std::vector<std::size_t> head(target.begin(),
                                                target.begin() + static_cast<std::ptrdiff_t>(k));
            if (++count % 29 == 0 || n <= 4) {  // of five and more, a few of the many
                std::vector<tensor_type> all = expected.inputs;
                all.resize(n + k, tensor_type(size));
                std::vector<tensor_type*> to;
                std::vector<const tensor_type*> from;
                for (const std::size_t index : head) { to.push_back(&all[index]); }
                for (std::size_t j = 0; j < n; ++j) { from.push_back(&all[j]); }
                REQUIRE(traits::affine(to, expected.coefficients, from));
                for (std::size_t row = 0; row < k; ++row) {
                    REQUIRE(same_bits(*to[row], expected.outputs[row], size));
                }
            }
            std::reverse(target.begin() + static_cast<std::ptrdiff_t>(k),
                         target.end());  // to the next first k
        } while (std::next_permutation(target.begin(), target.end()) && count < 20'000);
    }
}

TEST_CASE("one tensor may be several inputs", "[tensor][affine][exact]") {
    std::vector<double> x{1, 2, 3, 4, 5};
    std::vector<double>* const to[1] = {&x};
    const std::vector<double>* const from[3] = {&x, &x, &x};
    const double coefficients[3] = {1, 10, 100};
    CHECK(tensor_traits<std::vector<double>>::affine(to, coefficients, from));
    CHECK(x == std::vector<double>{111, 222, 333, 444, 555});
}

TEMPLATE_TEST_CASE("affine tells of a value that is not finite, wherever it is", "[tensor][affine][errors]",
                   float, double) {
    const TestType wrong[] = {std::numeric_limits<TestType>::quiet_NaN(),
                              std::numeric_limits<TestType>::infinity(),
                              -std::numeric_limits<TestType>::infinity()};
    for (const std::size_t k : counts{1, 2, 3, 4, 6}) {
        for (const std::size_t n : counts{1, 3, 6, 9}) {
            for (const std::size_t size : counts{1, 3, 4, 16, 17, 63, 1025}) {
                problem<TestType> p(k, n, size);
                REQUIRE(p.run());
                for (std::size_t i = 0; i < size; ++i) {
                    if (size > 64 && i % 37 != 0 && i + 5 < size) { continue; }
                    TestType& spot = p.inputs[i % n][i];
                    const TestType before = spot;
                    spot = wrong[i % 3];
                    REQUIRE_FALSE(p.run());
                    spot = before;
                }
                REQUIRE(p.run());
            }
        }
    }
}

TEMPLATE_TEST_CASE("affine tells of an overflow in one output alone, and of none where sums are large",
                   "[tensor][affine][errors]", float, double) {
    const TestType most = std::numeric_limits<TestType>::max();
    for (const std::size_t k : counts{1, 2, 3, 4, 6}) {
        for (std::size_t row = 0; row < k; ++row) {
            problem<TestType> p(k, 2, 100);
            p.inputs[0].assign(100, most);
            p.inputs[1].assign(100, most);
            std::fill(p.coefficients.begin(), p.coefficients.end(), 0.5);
            CHECK(p.run());  // a hundred times the largest number: finite each
            p.inputs[1][57] = most;
            p.coefficients[2 * row] = 1.0;
            p.coefficients[2 * row + 1] = 1.0;
            CHECK_FALSE(p.run());
        }
    }
    problem<TestType> p(1, 1, 7);
    p.coefficients[0] = std::numeric_limits<double>::infinity();
    CHECK_FALSE(p.run());
}

TEMPLATE_TEST_CASE("affine gives the same bits on any number of threads", "[tensor][affine][identity]", float,
                   double) {
    problem<TestType> p(3, 5, 300'001);
    const problem<TestType> small = [] {
        problem<TestType> q(3, 5, 300'001);
        return q;
    }();
    for_thread_counts([&] {
        REQUIRE(p.run());
        for (std::size_t row = 0; row < 3; ++row) {
            for (std::size_t i = 0; i < 300'001; i += 997) {
                REQUIRE(same_bits(p.outputs[row][i], small.element(row, i)));
            }
            REQUIRE(same_bits(p.outputs[row][300'000], small.element(row, 300'000)));
        }
        p.inputs[2][299'999] = std::numeric_limits<TestType>::infinity();
        REQUIRE_FALSE(p.run());
        p.inputs[2][299'999] = small.inputs[2][299'999];
    });
}

TEMPLATE_TEST_CASE("affine_noise is normal followed by affine, to the bit", "[tensor][affine][identity]",
                   float, double) {
    using tensor_type = std::vector<TestType>;
    using traits = tensor_traits<tensor_type>;
    for (const std::size_t size : counts{0, 1, 5, 1023, 1024, 1025, 5000, 200'003}) {
        for (const auto& [k, n, s] :
             {std::array<std::size_t, 3>{1, 2, 1}, {2, 3, 1}, {3, 5, 2}, {2, 0, 1}, {6, 3, 16}, {1, 2, 0}}) {
            if (size > 5000 && s > 2) { continue; }
            std::vector<counting_stream> streams;
            for (std::size_t i = 0; i < s; ++i) { streams.push_back({i}); }
            problem<TestType> expected(k, n + s, size);
            for (std::size_t i = 0; i < s; ++i) { traits::normal(expected.inputs[n + i], streams[i]); }
            REQUIRE(expected.run());
            for_thread_counts([&] {
                problem<TestType> p(k, n + s, size);
                p.inputs.resize(n);
                REQUIRE(traits::affine_noise(pointers(p.outputs), p.coefficients, const_pointers(p.inputs),
                                             std::span<const counting_stream>(streams)));
                for (std::size_t row = 0; row < k; ++row) {
                    REQUIRE(same_bits(p.outputs[row], expected.outputs[row], size));
                }
            });
        }
    }
}

TEST_CASE("affine_noise tells of a value that is not finite", "[tensor][affine][errors]") {
    const auto bad_at = [](std::size_t where) {
        return [where](std::size_t, std::size_t first, std::span<float> out) {
            std::fill(out.begin(), out.end(), 0.5F);
            if (first <= where && where < first + out.size()) { out[where - first] = INFINITY; }
        };
    };
    std::vector<float> x(3000, 1.0F);
    std::vector<float>* const to[1] = {&x};
    const std::vector<float>* const from[1] = {&x};
    const double coefficients[2] = {1.0, 1.0};
    using stream = decltype(bad_at(0));
    for (const std::size_t where : counts{0, 1023, 1024, 2999}) {
        const stream streams[1] = {bad_at(where)};
        CHECK_FALSE(tensor_traits<std::vector<float>>::affine_noise(to, coefficients, from,
                                                                    std::span<const stream>(streams)));
        x.assign(3000, 1.0F);
    }
    const stream streams[1] = {bad_at(3000)};
    CHECK(tensor_traits<std::vector<float>>::affine_noise(to, coefficients, from,
                                                          std::span<const stream>(streams)));
}

TEST_CASE("an exception of a stream reaches the caller, on any number of threads", "[tensor][errors]") {
    const auto stream = [](std::size_t, std::size_t first, std::span<float> out) {
        if (first == 0) { throw std::runtime_error("no noise"); }
        std::fill(out.begin(), out.end(), 0.0F);
    };
    std::vector<float> x(100'000);
    for_thread_counts(
        [&] { CHECK_THROWS_AS(tensor_traits<std::vector<float>>::normal(x, stream), std::runtime_error); });
}

TEST_CASE("map replaces every element", "[tensor][exact]") {
    for (const std::size_t size : counts{0, 1, 17, 300'000}) {
        std::vector<float> x(size);
        for (std::size_t i = 0; i < size; ++i) { x[i] = 3.0F * sample_value<float>(0, i); }
        const std::vector<float> before = x;
        for_thread_counts([&] {
            x = before;
            tensor_traits<std::vector<float>>::map(x, [](float v) { return std::clamp(v, -1.0F, 1.0F); });
            bool clipped = true;
            for (std::size_t i = 0; i < size; ++i) {
                clipped = clipped && same_bits(x[i], std::clamp(before[i], -1.0F, 1.0F));
            }
            CHECK(clipped);
        });
    }
}
