// SPDX-License-Identifier: MIT
// EXPECT: has_tensor_traits
#ifdef TWEEDIE_COMPILE_OK
#include <tweedie/tensor/eigen.hpp>
#else
#include <tweedie/tensor/host.hpp>
#endif

#include <Eigen/Core>

template <tweedie::tensor_or_view X>
std::size_t elements(const X& x) {
    return tweedie::tensor_traits<X>::size(x);
}

int main() { return elements(Eigen::ArrayXd(3)) == 3 ? 0 : 1; }
