// SPDX-License-Identifier: MIT
// A network under guidance must take the state as any other.
// EXPECT: model_for
#include <tweedie/grid/karras.hpp>
#include <tweedie/guidance/cfg.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>

int main() {
    const tweedie::schedule::edm schedule;
    const auto plan = tweedie::solver::ddim{}.plan(schedule, tweedie::grid::karras(schedule, 3));
    const auto network = [](const std::vector<float>& x, const tweedie::network_level&) { return x; };
#ifdef TWEEDIE_COMPILE_OK
    std::vector<float> x(4, 1.0F);
#else
    std::vector<double> x(4, 1.0);
#endif
    const tweedie::denoiser model(network, tweedie::prediction::x0, schedule);
    return tweedie::sample(plan, tweedie::guidance::guided(tweedie::guidance::cfg{}, model, model), x) ? 0
                                                                                                       : 1;
}
