// SPDX-License-Identifier: MIT
#include <tweedie/tensor/host.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("a number is a tensor of one element", "[tensor][host]") {
    using traits = tensor_traits<double>;
    double x = 3.0;
    double y = traits::like(x);
    CHECK(traits::size(x) == 1);
    CHECK(traits::batch(x) == 1);
    double* const to[2] = {&x, &y};
    const double* const from[1] = {&x};
    const double coefficients[2] = {2.0, -1.0};
    CHECK(traits::affine(to, coefficients, from));
    CHECK(x == 6.0);
    CHECK(y == -3.0);
    CHECK(traits::assign(y, x));
    CHECK(y == 6.0);
    double xy = 0.0;
    traits::dot(x, y, std::span<double>(&xy, 1));
    CHECK(xy == 36.0);
    traits::normal(x, counting_stream{});
    CHECK(x == sample_value<double>(100, 0));
}

TEST_CASE("a vector takes vectors and spans of its own length only", "[tensor][host]") {
    using traits = tensor_traits<std::vector<float>>;
    const std::vector<float> x{1, 2, 3};
    std::vector<float> out = traits::like(x);
    CHECK(out.size() == 3);
    CHECK(traits::batch(x) == 1);
    CHECK(traits::assign(out, x));
    CHECK(out == x);
    CHECK(traits::assign(out, std::span<const float>(x)));
    CHECK_FALSE(traits::assign(out, std::span<const float>(x).first(2)));
    CHECK_FALSE(traits::assign(out, std::vector<float>(4)));
    CHECK_FALSE(traits::same_shape(x, std::vector<float>(4)));
    CHECK(out == x);
}

TEST_CASE("an array takes arrays and spans", "[tensor][host]") {
    using array = std::array<double, 3>;
    using traits = tensor_traits<array>;
    array x{1, 2, 3};
    array out = traits::like(x);
    CHECK(traits::assign(out, x));
    CHECK(out == x);
    CHECK_FALSE(traits::assign(out, std::span<double>(x).first(1)));
    array* const to[1] = {&x};
    const array* const from[2] = {&x, &out};
    const double coefficients[2] = {1.0, 1.0};
    CHECK(traits::affine(to, coefficients, from));
    CHECK(x == array{2, 4, 6});
}

TEST_CASE("a span is loaded into a vector and stored back", "[tensor][host]") {
    std::array<float, 4> memory{1, 2, 3, 4};
    std::span<float> view(memory);
    using traits = tensor_traits<std::span<float>>;
    std::vector<float> owned = traits::like(view);
    CHECK(traits::size(view) == 4);
    CHECK(traits::batch(view) == 1);
    traits::load(owned, view);
    CHECK(owned == std::vector<float>{1, 2, 3, 4});
    owned[2] = 7;
    traits::store(view, owned);
    CHECK(memory == std::array<float, 4>{1, 2, 7, 4});
}
