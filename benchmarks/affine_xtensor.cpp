// SPDX-License-Identifier: MIT
// Does one pass over xtensor tensors cost what a hand-fused loop costs?

#include <tweedie/tensor/xtensor.hpp>

#include <array>

#include "support/affine.hpp"

namespace {

const int registered = [] {
    using tensor = xt::xtensor<float, 1>;
    bench::add_affine_sizes<tensor>("xtensor", [](std::size_t size) { return tensor(std::array{size}); });
    return 0;
}();

}  // namespace
