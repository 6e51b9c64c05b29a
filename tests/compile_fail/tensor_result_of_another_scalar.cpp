// SPDX-License-Identifier: MIT
// EXPECT: accepts_result
#include <tweedie/tensor/eigen.hpp>

template <tweedie::tensor T, class Network>
    requires tweedie::accepts_result<T, std::invoke_result_t<Network&, const T&>>
bool call(Network&& network, const T& x) {
    T out = tweedie::tensor_traits<T>::like(x);
    return tweedie::tensor_traits<T>::assign(out, network(x));
}

int main() {
    const Eigen::MatrixXf x(2, 3);
#ifdef TWEEDIE_COMPILE_OK
    return call([](const Eigen::MatrixXf& y) { return Eigen::MatrixXf(2.0F * y); }, x) ? 0 : 1;
#else
    return call([](const Eigen::MatrixXf& y) { return Eigen::MatrixXd(2.0 * y.cast<double>()); }, x) ? 0 : 1;
#endif
}
