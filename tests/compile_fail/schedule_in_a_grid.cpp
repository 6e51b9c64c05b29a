// SPDX-License-Identifier: MIT
// EXPECT: noise_schedule
#include <tweedie/grid/karras.hpp>
#include <tweedie/schedule/edm.hpp>

int main() {
#ifdef TWEEDIE_COMPILE_OK
    const auto levels = tweedie::grid::karras(tweedie::schedule::edm{}, 10);
#else
    const auto levels = tweedie::grid::karras(tweedie::schedule::edm_options{}, 10);
#endif
    return levels.size() == 11 ? 0 : 1;
}
