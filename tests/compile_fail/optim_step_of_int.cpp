// SPDX-License-Identifier: MIT
// EXPECT: parameter_set|parameter_tensor
#include <tweedie/optim/adam.hpp>

#include <vector>

int main() {
    tweedie::optim::state<float> state;
#ifdef TWEEDIE_COMPILE_OK
    std::vector<float> x(4, 1.0F);
#else
    std::vector<int> x(4, 1);
#endif
    return tweedie::optim::adam{}.step(x, x, state) ? 0 : 1;
}
