// SPDX-License-Identifier: MIT
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tensor/host.hpp>

#include <support/archetypes.hpp>
#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <array>
#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "checks.hpp"

using namespace tweedie;

namespace {

using floats = std::vector<float>;
using doubles = std::vector<double>;

template <class T>
constexpr bool complete_tensor =
    batched_tensor<T> && mappable_tensor<T> && fuses_noise<T> && tensor_or_view<T>;
static_assert(complete_tensor<floats> && complete_tensor<doubles>);
static_assert(complete_tensor<float> && complete_tensor<double>);
static_assert(complete_tensor<std::array<float, 3>> && complete_tensor<std::array<double, 0>>);
static_assert(complete_tensor<archetypes::contiguous<float>> &&
              complete_tensor<archetypes::contiguous<double>>);

static_assert(batched_tensor<archetypes::opaque<float>> && tensor_or_view<archetypes::opaque<float>>);
static_assert(!mappable_tensor<archetypes::opaque<float>> && !fuses_noise<archetypes::opaque<float>>);

static_assert(tensor_view<std::span<float>> && tensor_view<std::span<double, 4>>);
static_assert(tensor_or_view<std::span<float>> && !tensor<std::span<float>>);
static_assert(std::same_as<owned_t<std::span<float, 4>>, floats> &&
              std::same_as<scalar_t<std::span<double>>, double>);
static_assert(std::same_as<owned_t<floats>, floats> && std::same_as<scalar_t<floats>, float>);

// No tensors: other elements, other containers, constants, references, text, nothing at all.
static_assert(!has_tensor_traits<std::vector<int>> && !has_tensor_traits<std::vector<bool>>);
static_assert(!has_tensor_traits<std::vector<long double>> && !has_tensor_traits<std::vector<const char*>>);
static_assert(!has_tensor_traits<std::string> && !has_tensor_traits<const char*> && !has_tensor_traits<char>);
static_assert(!has_tensor_traits<int> && !has_tensor_traits<bool> && !has_tensor_traits<long double>);
static_assert(!has_tensor_traits<std::list<float>> && !has_tensor_traits<std::vector<floats>>);
static_assert(!has_tensor_traits<const floats> && !has_tensor_traits<floats&> &&
              !has_tensor_traits<const float>);
static_assert(!has_tensor_traits<float*> && !has_tensor_traits<float[3]> && !has_tensor_traits<void>);
static_assert(!tensor_or_view<std::span<const float>> && !tensor_or_view<std::span<int>>);

// What networks may return: the tensor itself, however it is handed over, and what the backend lists.
static_assert(accepts_result<floats, floats> && accepts_result<floats, floats&>);
static_assert(accepts_result<floats, const floats&> && accepts_result<floats, floats&&>);
static_assert(accepts_result<floats, std::span<const float>> && accepts_result<floats, std::span<float, 8>>);
static_assert(accepts_result<std::array<float, 2>, std::span<float>>);
static_assert(accepts_result<double, double> && accepts_result<double, const double&>);
static_assert(accepts_result<archetypes::contiguous<float>, archetypes::contiguous<float>>);

// A number is no vector of that length, double is not float, nothing converts.
static_assert(std::constructible_from<floats, std::size_t> && !accepts_result<floats, std::size_t>);
static_assert(!accepts_result<floats, double> && !accepts_result<floats, float> &&
              !accepts_result<floats, int>);
static_assert(!accepts_result<floats, doubles> && !accepts_result<floats, std::span<const double>>);
static_assert(!accepts_result<float, double> && !accepts_result<double, float> &&
              !accepts_result<double, int>);
static_assert(!accepts_result<floats, void> && !accepts_result<floats, std::array<float, 3>>);
static_assert(!accepts_result<std::vector<int>, std::vector<int>>);

// Streams of normal numbers.
static_assert(noise_stream<counting_stream, float> && noise_stream<counting_stream, double>);
static_assert(!noise_stream<int, float> && !noise_stream<floats, float>);

}  // namespace

namespace {

// The noise made on the way, and through tensors filled with it.
template <class T, class Make, class Element>
void check_noise(const Make& make, const Element& element) {
    constexpr std::size_t size = 37;
    const auto coefficients = sample_coefficients(2 * 3);
    const std::array<counting_stream, 2> streams{{{0}, {1}}};
    const std::vector<T> x = filled<T>(1, make, element);
    std::vector<T> out = filled<T>(2, make, element);
    std::vector<T> expected = filled<T>(2, make, element);
    std::vector<T> scratch = filled<T>(2, make, element);
    std::vector<T> noise = filled<T>(2, make, element);

    CHECK(affine_noise<T, counting_stream>(pointers(out), coefficients, const_pointers(x), streams,
                                           pointers(scratch)));
    std::vector<const T*> all = const_pointers(x);
    for (std::size_t s = 0; s < 2; ++s) {
        tensor_traits<T>::normal(noise[s], streams[s]);
        all.push_back(std::addressof(noise[s]));
    }
    CHECK(tensor_traits<T>::affine(pointers(expected), coefficients, all));
    for (std::size_t k = 0; k < 2; ++k) {
        for (std::size_t i = 0; i < size; ++i) {
            CHECK(same_bits(element(out[k], i), element(expected[k], i)));
        }
    }
}

}  // namespace

TEST_CASE("affine_noise is normal followed by affine, whether a tensor fuses them or not",
          "[tensor][identity]") {
    using fused = archetypes::contiguous<float>;
    using plain = archetypes::opaque<float>;
    check_noise<fused>([] { return fused(37); },
                       [](fused& x, std::size_t i) -> float& { return x.values()[i]; });
    check_noise<plain>([] { return plain(1, 37); },
                       [](plain& x, std::size_t i) -> float& { return x.at(i); });
}

TEST_CASE("the minimal tensor types are combined, filled, copied and reduced", "[tensor][archetype]") {
    using tensor_type = archetypes::opaque<double>;
    using traits = tensor_traits<tensor_type>;
    tensor_type x(2, 10);
    traits::normal(x, counting_stream{});
    tensor_type y = traits::like(x);
    CHECK(traits::same_shape(x, y));
    CHECK(traits::assign(y, x));
    tensor_type* const out[1] = {std::addressof(y)};
    const tensor_type* const in[2] = {std::addressof(x), std::addressof(y)};
    const double coefficients[2] = {1.0, 1.0};
    CHECK(traits::affine(out, coefficients, in));
    CHECK(same_bits(y.at(7), 2.0 * x.at(7)));
    double xx[2];
    double xy[2];
    traits::dot(x, x, xx);
    traits::dot(x, y, xy);
    CHECK_THAT(xy[1], WithinRel(2.0 * xx[1], tol<double>::exact));
    CHECK_FALSE(traits::assign(y, tensor_type(2, 12)));
}
