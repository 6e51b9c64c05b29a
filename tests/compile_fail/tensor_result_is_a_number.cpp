// SPDX-License-Identifier: MIT
// EXPECT: accepts_result
#include <tweedie/tensor/host.hpp>

// A number would make a vector of that length; the library does not.
template <tweedie::tensor T, class Result>
    requires tweedie::accepts_result<T, Result>
T keep(const T& x, const Result& result) {
    T out = tweedie::tensor_traits<T>::like(x);
    return tweedie::tensor_traits<T>::assign(out, result) ? std::move(out)
                                                          : tweedie::tensor_traits<T>::like(x);
}

int main() {
    const std::vector<float> x(3);
#ifdef TWEEDIE_COMPILE_OK
    return keep(x, std::span<const float>(x)).size() == 3 ? 0 : 1;
#else
    return keep(x, 3.0F).size() == 3 ? 0 : 1;
#endif
}
