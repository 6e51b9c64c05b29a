// SPDX-License-Identifier: MIT
#include <tweedie/tensor/host.hpp>

#include <support/catch.hpp>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <span>
#include <vector>

#include "checks.hpp"

namespace {

std::size_t allocations = 0;  // one thread at a time: see below

void* counted(std::size_t size) {
    ++allocations;
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) { return memory; }
    throw std::bad_alloc();
}

}  // namespace

void* operator new(std::size_t size) { return counted(size); }
void* operator new[](std::size_t size) { return counted(size); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size == 0 ? 1 : size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

using namespace tweedie;

TEST_CASE("affine, affine_noise, normal, dot, map and assign allocate nothing", "[tensor][cost]") {
    using tensor_type = std::vector<float>;
    using traits = tensor_traits<tensor_type>;
    constexpr std::size_t size = 5000;  // below what threads are started for
    std::vector<tensor_type> x(20, tensor_type(size, 0.25F));
    std::array<tensor_type*, 16> to{};
    std::array<const tensor_type*, 16> from{};
    for (std::size_t i = 0; i < 16; ++i) {
        to[i] = &x[i + 4];
        from[i] = &x[i];
    }
    const std::vector<double> coefficients(16 * 20, 0.03125);
    const std::array<counting_stream, 4> streams{{{0}, {1}, {2}, {3}}};
    double sum = 0.0;
    bool finite = true;

    const std::size_t before = allocations;
    for (std::size_t k = 1; k <= 16; ++k) {
        for (std::size_t n = 0; n <= 16; ++n) {
            const std::span outputs(to.data(), k);
            const std::span inputs(from.data(), n);
            finite = traits::affine(outputs, std::span(coefficients).first(k * n), inputs) && finite;
        }
        const std::span all_coefficients = std::span(coefficients).first(k * 20);
        finite = traits::affine_noise(std::span(to.data(), k), all_coefficients, std::span(from),
                                      std::span<const counting_stream>(streams)) &&
                 finite;
    }
    traits::normal(x[0], streams[0]);
    traits::dot(x[0], x[1], std::span<double>(&sum, 1));
    traits::map(x[0], [](float v) { return v < 0.0F ? 0.0F : v; });
    finite = traits::assign(x[1], x[0]) && finite;
    const std::size_t after = allocations;

    CHECK(after == before);
    CHECK(finite);
}
