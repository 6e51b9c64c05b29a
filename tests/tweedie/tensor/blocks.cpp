// SPDX-License-Identifier: MIT
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/host.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

using namespace tweedie;

namespace {

using vec = std::vector<double>;

vec wave(std::size_t size, double step) {
    vec out(size);
    for (std::size_t i = 0; i < size; ++i) { out[i] = std::sin(step * static_cast<double>(i) + 0.3); }
    return out;
}

}  // namespace

TEST_CASE("each group is measured by itself", "[tensor][blocks][exact]") {
    // one segment and several, odd and even
    for (const std::size_t size : {1U, 7U, 4096U, 10001U, 300000U}) {
        const std::size_t groups = 3;
        const vec a = wave(groups * size, 0.7);
        const vec b = wave(groups * size, 0.9);
        const vec r = wave(groups * size, 1.1);
        vec dots(groups);
        vec errors(groups);
        dot_groups(a, b, std::span<double>(dots));
        scaled_error(a, b, r, 0.1, 0.5, std::span<double>(errors));
        for (std::size_t g = 0; g < groups; ++g) {
            long double dot = 0.0L;
            long double sum = 0.0L;
            for (std::size_t i = g * size; i < (g + 1) * size; ++i) {
                dot += static_cast<long double>(a[i]) * static_cast<long double>(b[i]);
                const double bound = std::max(0.1, 0.5 * std::max(std::abs(a[i]), std::abs(r[i])));
                const double e = (a[i] - b[i]) / bound;
                sum += static_cast<long double>(e) * static_cast<long double>(e);
            }
            // sums of up to 3e5 terms of size 1
            CHECK(std::abs(dots[g] - static_cast<double>(dot)) < 1e-13 * static_cast<double>(size));
            CHECK(std::abs(errors[g] - std::sqrt(static_cast<double>(sum) / static_cast<double>(size))) <
                  tol<double>::exact * 10.0);
        }
    }
}

TEST_CASE("a group is measured the same alone and among others", "[tensor][blocks][identity]") {
    const vec a = wave(6000, 0.7);
    const vec b = wave(6000, 0.9);
    vec together(2);
    vec alone(1);
    scaled_error(a, b, a, 0.1, 0.5, std::span<double>(together));
    const vec a1(a.begin() + 3000, a.end());
    const vec b1(b.begin() + 3000, b.end());
    scaled_error(a1, b1, a1, 0.1, 0.5, std::span<double>(alone));
    CHECK(together[1] == alone[0]);
}

TEST_CASE("each group has its own matrix", "[tensor][blocks][exact]") {
    const vec a = wave(12, 0.7);
    const vec b = wave(12, 0.9);
    vec sum(12);
    vec difference = a;  // an output may be an input
    const std::vector<double> matrices = {1, 1, 1, -1, 2, 0.5, 0, 3};
    vec* const written[] = {&sum, &difference};
    const vec* const read[] = {&difference, &b};
    CHECK(affine_groups<vec>(written, matrices, read, 2));
    for (std::size_t i = 0; i < 12; ++i) {
        const double* const m = matrices.data() + (i < 6 ? 0 : 4);
        CHECK(std::abs(sum[i] - (m[0] * a[i] + m[1] * b[i])) <= tol<double>::exact);
        CHECK(std::abs(difference[i] - (m[2] * a[i] + m[3] * b[i])) <= tol<double>::exact);
    }
    vec broken = a;
    broken[2] = std::numeric_limits<double>::quiet_NaN();
    const vec* const read_broken[] = {&broken, &b};
    CHECK_FALSE(affine_groups<vec>(written, matrices, read_broken, 2));
}
