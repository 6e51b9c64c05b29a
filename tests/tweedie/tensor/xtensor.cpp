// SPDX-License-Identifier: MIT
#include <tweedie/tensor/host.hpp>
#include <tweedie/tensor/xtensor.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <utility>
#include <vector>

#include "checks.hpp"

#if __has_include(<xtensor/views/xview.hpp>)
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/generators/xbuilder.hpp>
#include <xtensor/views/xstrided_view.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xstrided_view.hpp>
#include <xtensor/xview.hpp>
#endif

using namespace tweedie;

namespace {

using array = xt::xarray<float>;
using cube = xt::xtensor<float, 3>;
using doubles = xt::xtensor<double, 2>;

template <class T>
constexpr bool complete_tensor = batched_tensor<T> && mappable_tensor<T> && fuses_noise<T>;
static_assert(complete_tensor<array> && complete_tensor<cube> && complete_tensor<doubles>);

using vector_adaptor = decltype(xt::adapt(std::declval<std::vector<float>&>(), std::array<std::size_t, 2>{}));
using pointer_adaptor = decltype(xt::adapt(std::declval<float*>(), std::size_t{}, xt::no_ownership(),
                                           std::array<std::size_t, 2>{}));
using array_view = decltype(xt::view(std::declval<array&>(), xt::all(), 1));
using strided = decltype(xt::strided_view(std::declval<array&>(), {xt::range(0, 2), xt::ellipsis()}));
static_assert(tensor_view<vector_adaptor> && tensor_view<pointer_adaptor> && tensor_view<array_view>);
static_assert(tensor_view<strided> && tensor_view<decltype(xt::view(std::declval<cube&>(), 0))>);
static_assert(tensor_view<xt::xarray<float, xt::layout_type::column_major>>);
static_assert(std::same_as<owned_t<vector_adaptor>, xt::xtensor<float, 2>> &&
              std::same_as<owned_t<array_view>, array>);

// No tensors: other scalars, constants, values that are computed.
static_assert(!has_tensor_traits<xt::xarray<int>> && !has_tensor_traits<xt::xarray<bool>>);
static_assert(!has_tensor_traits<const array>);
static_assert(!tensor_or_view<decltype(xt::view(std::declval<const array&>(), 0))>);
static_assert(!tensor_or_view<decltype(std::declval<array&>() + std::declval<array&>())>);

// Results: any expression of the same scalar that may have the same dimension.
static_assert(accepts_result<array, array> && accepts_result<array, const cube&> &&
              accepts_result<cube, array>);
static_assert(accepts_result<array, decltype(std::declval<array&>() * 2.0F)> &&
              accepts_result<array, array_view>);
static_assert(accepts_result<cube, decltype(-std::declval<const cube&>())>);
static_assert(!accepts_result<array, decltype(std::declval<array&>() * 2.0)>);
static_assert(!accepts_result<array, xt::xarray<double>> && !accepts_result<array, float>);
static_assert(!accepts_result<cube, xt::xtensor<float, 2>> && !accepts_result<array, std::vector<float>>);

}  // namespace

TEST_CASE("the first of several extents counts samples", "[tensor][xtensor]") {
    CHECK(tensor_traits<array>::batch(array::from_shape({4, 2, 3})) == 4);
    CHECK(tensor_traits<array>::batch(array::from_shape({4})) == 1);
    CHECK(tensor_traits<cube>::batch(cube::from_shape({0, 2, 3})) == 0);
    const cube x = cube::from_shape({4, 2, 3});
    CHECK(tensor_traits<cube>::size(x) == 24);
    CHECK(tensor_traits<cube>::same_shape(x, tensor_traits<cube>::like(x)));
    CHECK_FALSE(tensor_traits<cube>::same_shape(x, cube::from_shape({4, 3, 2})));
    const array y = array::from_shape({4, 2, 3});
    CHECK(tensor_traits<array>::same_shape(y, tensor_traits<array>::like(y)));
    CHECK_FALSE(tensor_traits<array>::same_shape(y, array::from_shape({4, 6})));
}

TEST_CASE("an xtensor tensor gives the bits of a host tensor", "[tensor][xtensor][identity]") {
    constexpr std::size_t size = 3 * 7 * 61;
    using host = std::vector<float>;
    auto a = filled<cube>(
        4, [] { return cube(cube::shape_type{3, 7, 61}); },
        [](cube& x, std::size_t i) -> float& { return x.data()[i]; });
    auto b =
        filled<host>(4, [] { return host(size); }, [](host& x, std::size_t i) -> float& { return x[i]; });
    const auto coefficients = sample_coefficients(8);
    cube* const a_to[2] = {&a[0], &a[1]};
    host* const b_to[2] = {&b[0], &b[1]};
    CHECK(tensor_traits<cube>::affine(a_to, coefficients, const_pointers(a)));
    CHECK(tensor_traits<host>::affine(b_to, coefficients, const_pointers(b)));
    CHECK(same_bits(a[0].data(), b[0].data(), size));
    CHECK(same_bits(a[1].data(), b[1].data(), size));

    tensor_traits<cube>::normal(a[2], counting_stream{});
    host one(7 * 61);
    double per_sample[3];
    tensor_traits<cube>::dot(a[2], a[2], per_sample);
    for (std::size_t sample = 0; sample < 3; ++sample) {
        counting_stream{}(sample, 0, std::span<float>(one));
        CHECK(same_bits(a[2].data() + sample * one.size(), one.data(), one.size()));
        double sum = 0.0;
        tensor_traits<host>::dot(one, one, std::span<double>(&sum, 1));
        CHECK(same_bits(sum, per_sample[sample]));
    }
}

TEST_CASE("xtensor expressions are evaluated into a tensor of the same shape only", "[tensor][xtensor]") {
    using traits = tensor_traits<array>;
    const array x = 2.0F * xt::ones<float>({2, 3});
    array out = traits::like(x);
    CHECK(traits::assign(out, x * 3.0F + 1.0F));
    CHECK(out(1, 2) == 7.0F);
    CHECK(traits::assign(out, x));
    CHECK(out(1, 2) == 2.0F);
    CHECK_FALSE(traits::assign(out, xt::view(x, 0)));
    CHECK_FALSE(traits::assign(out, array::from_shape({3, 2})));
    CHECK(out(1, 2) == 2.0F);
}

TEST_CASE("adaptors and views of any stride are loaded and stored", "[tensor][xtensor]") {
    std::vector<float> memory(6, 1.0F);
    auto adaptor = xt::adapt(memory, std::array<std::size_t, 2>{2, 3});
    using adapted = tensor_traits<decltype(adaptor)>;
    adapted::owned owned = adapted::like(adaptor);
    adapted::load(owned, adaptor);
    CHECK(adapted::batch(adaptor) == 2);
    CHECK(owned(1, 2) == 1.0F);
    owned(1, 2) = 4.0F;
    adapted::store(adaptor, owned);
    CHECK(memory[5] == 4.0F);

    array x = xt::zeros<float>({2, 3, 4});
    auto middle = xt::view(x, xt::all(), 1);
    using viewed = tensor_traits<decltype(middle)>;
    viewed::owned copy = viewed::like(middle);
    viewed::load(copy, middle);
    CHECK(viewed::size(middle) == 8);
    CHECK(viewed::batch(middle) == 2);
    copy.fill(3.0F);
    viewed::store(middle, copy);
    CHECK(x(1, 1, 3) == 3.0F);
    CHECK(x(1, 2, 3) == 0.0F);
    CHECK(x(1, 0, 3) == 0.0F);

    xt::xarray<float, xt::layout_type::column_major> by_columns = xt::zeros<float>({2, 3});
    by_columns(1, 0) = 5.0F;
    using columns = tensor_traits<decltype(by_columns)>;
    columns::owned by_rows = columns::like(by_columns);
    columns::load(by_rows, by_columns);
    CHECK(by_rows.data()[3] == 5.0F);
    by_rows.data()[1] = 6.0F;
    columns::store(by_columns, by_rows);
    CHECK(by_columns(0, 1) == 6.0F);
}
