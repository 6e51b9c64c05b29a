// SPDX-License-Identifier: MIT
// EXPECT: network_for
#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>

int main() {
    const tweedie::schedule::edm schedule;
    const auto plan = tweedie::solver::ddim{}.plan(schedule, tweedie::grid::karras(schedule, 3));
#ifdef TWEEDIE_COMPILE_OK
    using result = std::vector<float>;
#else
    using result = std::vector<double>;
#endif
    const tweedie::denoiser model(
        [](const std::vector<float>& x, const tweedie::network_level&) { return result(x.size()); },
        tweedie::prediction::x0, schedule);
    std::vector<float> x(4, 1.0F);
    return tweedie::sample(plan, model, x) ? 0 : 1;
}
