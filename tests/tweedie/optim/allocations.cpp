// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/ema.hpp>

#include <support/catch.hpp>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace {

std::atomic<std::size_t> count{0};

}  // namespace

void* operator new(std::size_t size) {
    ++count;
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) { return memory; }
    throw std::bad_alloc();
}
void* operator new[](std::size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }

TEST_CASE("a step allocates nothing after the first", "[optim][cost]") {
    using namespace tweedie;
    std::vector<std::vector<float>> x(32, std::vector<float>(50, 1.0F));
    const auto g = x;
    optim::state<float> state;
    optim::state<float> average;
    const optim::adam optimizer{.clip = {.norm = 1}};
    (void)optimizer.step(x, g, state);
    optim::ema{}.update(x, average);
    const std::size_t before = count;
    for (int k = 0; k < 5; ++k) {
        (void)optimizer.step(x, g, state);
        optim::ema{}.update(x, average);
    }
    CHECK(count == before);
}
