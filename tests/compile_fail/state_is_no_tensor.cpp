// SPDX-License-Identifier: MIT
// EXPECT: tensor_or_view|has_tensor_traits
#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>

int main() {
    const tweedie::schedule::edm schedule;
    const auto plan = tweedie::solver::ddim{}.plan(schedule, tweedie::grid::karras(schedule, 3));
#ifdef TWEEDIE_COMPILE_OK
    std::vector<float> x(4, 1.0F);
#else
    std::vector<int> x(4, 1);
#endif
    return tweedie::sample(plan,
                           tweedie::denoiser([](const auto& y, const tweedie::network_level&) { return y; },
                                             tweedie::prediction::x0, schedule),
                           x)
               ? 0
               : 1;
}
