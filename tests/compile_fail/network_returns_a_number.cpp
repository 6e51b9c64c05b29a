// SPDX-License-Identifier: MIT
// A vector can be constructed from a number; a network that returns one is wrong all the same.
// EXPECT: network_for
#include <tweedie/grid/karras.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>

int main() {
    const tweedie::schedule::edm schedule;
    const auto plan = tweedie::solver::ddim{}.plan(schedule, tweedie::grid::karras(schedule, 3));
#ifdef TWEEDIE_COMPILE_OK
    const auto network = [](const std::vector<float>& x, const tweedie::network_level&) { return x; };
#else
    const auto network = [](const std::vector<float>& x, const tweedie::network_level&) { return x[0]; };
#endif
    std::vector<float> x(4, 1.0F);
    return tweedie::sample(plan, tweedie::denoiser(network, tweedie::prediction::x0, schedule), x) ? 0 : 1;
}
