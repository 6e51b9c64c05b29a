// SPDX-License-Identifier: MIT
// EXPECT: has_tensor_traits
#include <tweedie/tensor/host.hpp>

template <tweedie::tensor T>
std::size_t elements(const T& x) {
    return tweedie::tensor_traits<T>::size(x);
}

int main() {
#ifdef TWEEDIE_COMPILE_OK
    const std::vector<float> x(3);
#else
    const std::vector<int> x(3);
#endif
    return elements(x) == 3 ? 0 : 1;
}
