// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/ema.hpp>

#include <support/allocations.hpp>
#include <support/catch.hpp>

#include <cstddef>
#include <vector>

TEST_CASE("a step allocates nothing after the first", "[optim][cost]") {
    using namespace tweedie;
    std::vector<std::vector<float>> x(32, std::vector<float>(50, 1.0F));
    const auto g = x;
    optim::state<float> state;
    optim::state<float> average;
    const optim::adam optimizer{.clip = {.norm = 1}};
    (void)optimizer.step(x, g, state);
    optim::ema{}.update(x, average);
    const std::size_t before = allocations();
    for (int k = 0; k < 5; ++k) {
        (void)optimizer.step(x, g, state);
        optim::ema{}.update(x, average);
    }
    CHECK(allocations() == before);
}
