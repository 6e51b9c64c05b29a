// SPDX-License-Identifier: MIT
// Does one pass over host and Eigen tensors cost what a hand-fused loop costs?

#include "support/affine.hpp"

#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>

#include <Eigen/Core>

namespace {

const int registered = [] {
    using array = Eigen::ArrayXf;
    bench::add_affine_sizes<std::vector<float>>("host",
                                                [](std::size_t size) { return std::vector<float>(size); });
    bench::add_affine_sizes<array>("eigen",
                                   [](std::size_t size) { return array(static_cast<Eigen::Index>(size)); });
    return 0;
}();

}  // namespace
