// SPDX-License-Identifier: MIT
#include <tweedie/detail/affine.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

// What every machine runs and what a newer one runs give the same bits.
#if defined(TWEEDIE_AFFINE_AVX2)

namespace {

template <class Scalar>
std::vector<std::vector<Scalar>> run(const tweedie::detail::affine_entry<Scalar>& entry, std::size_t k,
                                     std::size_t n, const std::vector<Scalar>& coefficients) {
    const std::size_t size = 64 * 5;  // a multiple of every kernel's step
    std::vector<std::vector<Scalar>> in(n, std::vector<Scalar>(size));
    std::vector<std::vector<Scalar>> out(k, std::vector<Scalar>(size));
    std::vector<const Scalar*> inputs;
    std::vector<Scalar*> outputs;
    for (std::size_t j = 0; j < n; ++j) {
        for (std::size_t i = 0; i < size; ++i) {
            in[j][i] = static_cast<Scalar>((i * 7919 + j * 104729) % 1000003) / Scalar{977} - Scalar{400};
        }
        inputs.push_back(in[j].data());
    }
    for (std::vector<Scalar>& o : out) { outputs.push_back(o.data()); }
    entry.kernel(0, size, outputs.data(), coefficients.data(), n, inputs.data(), n);
    return out;
}

}  // namespace

TEMPLATE_TEST_CASE("every instruction set gives the same bits", "[tensor][affine][identity]", float, double) {
    using namespace tweedie::detail;
    if (__builtin_cpu_supports("avx2") == 0) { return; }
    for (std::size_t k = 1; k <= affine_group; ++k) {
        for (std::size_t n = 1; n <= affine_inputs + 3; ++n) {
            std::vector<TestType> c(k * n);
            for (std::size_t i = 0; i < c.size(); ++i) {
                c[i] = TestType{1} / static_cast<TestType>(3 + 5 * i);
            }
            const std::size_t place = (k - 1) * (affine_inputs + 1) + (n <= affine_inputs ? n : 0);
            CHECK(run(affine_plain::table<TestType>[place], k, n, c) ==
                  run(affine_fast::table<TestType>[place], k, n, c));
            if (k == 2 && n > short_row && n <= affine_inputs) {
                for (std::size_t j = short_row; j < n; ++j) { c[n + j] = 0; }
                const affine_entry<TestType>& row_ends_early =
                    affine_fast::short_table<TestType>[n - short_row - 1];
                REQUIRE(ends_early(2, n, c.data(), n));
                CHECK(run(affine_plain::table<TestType>[place], k, n, c) == run(row_ends_early, k, n, c));
                CHECK(run(affine_plain::short_table<TestType>[n - short_row - 1], k, n, c) ==
                      run(row_ends_early, k, n, c));
            }
        }
    }
}

#endif

TEMPLATE_TEST_CASE("a row that ends early ends there in every element", "[tensor][affine][identity]", float,
                   double) {
    // The third term would turn -0 into +0, and its infinity into NaN.
    const std::size_t size = 37;
    std::vector<TestType> zero(size, TestType{0});
    std::vector<TestType> infinite(size, static_cast<TestType>(INFINITY));
    std::vector<TestType> first(size);
    std::vector<TestType> second(size);
    TestType* const outputs[] = {first.data(), second.data()};
    const TestType* const inputs[] = {zero.data(), zero.data(), infinite.data()};
    const TestType coefficients[] = {1, 1, 1, -1, -1, 0};
    tweedie::detail::affine<TestType>(size, outputs, coefficients, inputs);
    for (const TestType v : second) { CHECK((v == 0 && std::signbit(v))); }
}
