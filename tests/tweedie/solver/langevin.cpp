// SPDX-License-Identifier: MIT

// Annealed Langevin dynamics with fixed steps.

#include <tweedie/solver/langevin.hpp>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

TEST_CASE("langevin's stationary variance on Gaussian data is V / (1 - a sigma^2 / (4 V))",
          "[solver][langevin][exact]") {
    for (const named_schedule& s : families()) {
        for (const double step : {0.2, 1.0}) {
            for (const double variance : {0.1, 0.5, 2.0}) {
                INFO(s.name << ", step " << step << ", variance " << variance);
                // two close levels, walked until the start is forgotten
                const levels_t levels = {at_half_log_snr(s.schedule, 0.0), at_half_log_snr(s.schedule, 0.01)};
                const plan p = solver::langevin{.step = step, .repeats = 400}.plan(s.schedule, levels);
                const level end = levels.back();
                const double v = of_level(end, variance).variance;
                const moments found = at_end(p, variance);
                CHECK_THAT(found.mean, WithinRel(end.alpha, 1e-10));
                CHECK_THAT(found.variance,
                           WithinRel(v / (1.0 - step * end.sigma * end.sigma / (4.0 * v)), 1e-10));
            }
        }
    }
}

TEST_CASE("annealing reaches the data's law up to a bias that falls with the step",
          "[solver][langevin][exact]") {
    for (const named_schedule& s : families()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 12);
        // V is about sigma^2 at every level, so step * repeats / 2 = 5 relaxation times are spent at each
        const double coarse =
            error(solver::langevin{.step = 0.5, .repeats = 20}.plan(s.schedule, levels), 0.01);
        const double fine =
            error(solver::langevin{.step = 0.05, .repeats = 200}.plan(s.schedule, levels), 0.01);
        CHECK(coarse < 0.05);
        CHECK(fine < 0.15 * coarse);
    }
}

TEST_CASE("one step is the paper's, in x", "[solver][langevin][exact]") {
    // x + alpha_i / 2 score + sqrt(alpha_i) z with alpha_i = epsilon sigma_i^2 / sigma_L^2, score = (x0 - x)
    // / sigma^2
    const schedule::edm edm;
    const levels_t levels = {at(edm, 10.0), at(edm, 1.0), at(edm, 0.01)};
    const double epsilon = 2e-5;
    const plan p = solver::langevin{.step = epsilon / 1e-4, .repeats = 2}.plan(edm, levels);
    REQUIRE(p.calls.size() == 6);
    for (std::size_t k = 0; k < 6; ++k) {
        const double sigma = levels[k / 2].sigma;
        const double alpha_i = epsilon * sigma * sigma / 1e-4;
        CHECK(p.calls[k].at == levels[k / 2]);
        const std::vector<double>& w = p.calls[k].then.rows[0].weights;
        CHECK_THAT(w[0], WithinRel(1.0 - alpha_i / (2.0 * sigma * sigma), 1e-13));
        CHECK_THAT(w[1], WithinRel(alpha_i / (2.0 * sigma * sigma), 1e-13));
        CHECK_THAT(w[2], WithinRel(std::sqrt(alpha_i), 1e-13));
    }
}

TEST_CASE("langevin costs its repeats at each noisy level", "[solver][langevin][cost]") {
    const schedule::edm edm;
    const schedule::flow flow;
    const solver::langevin method{.repeats = 7};
    CHECK(counts(method.plan(edm, grid::karras(edm, 5))) == plan_counts{36, 35, 1, 3 * 35 + 1, 36});
    const levels_t noisy = grid::karras(edm, 5, {.last = grid::final_level::sigma_min});
    CHECK(counts(method.plan(edm, noisy)).network_calls == 42);
    CHECK(counts(method.plan(edm, noisy)).draws == 42);
    // no step at pure noise, where the start has the law already
    CHECK(counts(method.plan(flow, grid::karras(flow, 5))).network_calls == 4 * 7 + 1);
    check_short_plans(method);
}

TEST_CASE("langevin refuses steps that diverge", "[solver][langevin][errors]") {
    for (const double bad : {0.0, -0.1, 4.0, 5.0, not_a_number, infinity}) {
        CHECK(refused(solver::langevin{.step = bad}) == "langevin: step must lie in (0, 4)");
    }
    CHECK(refused(solver::langevin{.repeats = 0}) == "langevin: repeats must be at least 1");
}
