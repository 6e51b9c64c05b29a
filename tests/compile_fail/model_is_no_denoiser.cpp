// SPDX-License-Identifier: MIT
// A bare network does not say what it predicts.
// EXPECT: is_denoiser
#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>

int main() {
    const tweedie::schedule::edm schedule;
    const auto plan = tweedie::solver::ddim{}.plan(schedule, tweedie::grid::karras(schedule, 3));
    const auto network = [](const std::vector<float>& x, const tweedie::network_level&) { return x; };
    std::vector<float> x(4, 1.0F);
#ifdef TWEEDIE_COMPILE_OK
    return tweedie::sample(plan, tweedie::denoiser(network, tweedie::prediction::x0, schedule), x) ? 0 : 1;
#else
    return tweedie::sample(plan, network, x) ? 0 : 1;
#endif
}
