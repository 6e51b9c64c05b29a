// SPDX-License-Identifier: MIT
#include <tweedie/plan/analyze.hpp>

// Plans of many calls, and draws that are read more than once. What analyze says of one run is in fold.cpp.

#include <tweedie/plan/text.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/seeds.hpp>

#include <array>

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

constexpr double v = 0.3;

double gaussian(double x, const level& at) {
    return at.alpha * v * x / (at.alpha * at.alpha * v + at.sigma * at.sigma);
}

/// The variance that the draws make, from one run for each of them.
double variance_by_draws(const plan& p, const any_schedule& schedule, std::size_t draws) {
    double variance = 0.0;
    for (std::size_t k = 0; k < draws; ++k) {
        std::vector<std::vector<double>> one(draws, std::vector<double>{0.0});
        one[k][0] = 1.0;
        const double response = run_on_double(p, schedule, 0.0, gaussian, nullptr, one);
        variance += response * response;
    }
    return variance;
}

}  // namespace

TEST_CASE("the variance a sampler makes is that of its draws one by one", "[plan][analyze][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 9);
        for (const named_solver& method : {as_named("ddim eta 1", solver::ddim{.eta = 1.0}),
                                           as_named("sde_dpm_solver", solver::sde_dpm_solver{.order = 3}),
                                           as_named("seeds", solver::seeds{})}) {
            INFO(method.name << " on " << s.name);
            const plan p = method.plan(s.schedule, levels);
            CHECK_THAT(analyze(p, v).noise_variance,
                       WithinRel(variance_by_draws(p, s.schedule, counts(p).draws), 1e-12));
        }
    }
}

TEST_CASE("draws that later passes read again are kept apart until then", "[plan][analyze][exact]") {
    const schedule::edm edm;
    const plan p = parse_plan(
        "tweedie plan 1\nsolver s\noutput x0_hat\nlevel 4 1 4\nlevel 1 1 1\n"
        "start\n  draws z1\n  r0 x = 1 r0 + 0.5 z1\n  r1 y = 1 z1\n"
        "call r0 step 0 at 4 1 4\n  draws z0 z2\n"
        "  r0 x = 0.5 r0 + 0.5 out + 1 z0 - 0.25 z2\n  r1 y = 1 r1 + 2 z2\n"
        "call r0 step 1 at 3 1 3\n  draws z3\n  r0 x = 0.5 r0 + 0.5 out + 1 z3\n  r1 y = 1 r1 - 1 r0\n"
        "call r0 step 2 at 2 1 2\n  draws z2 z4\n"
        "  r0 x = 0.75 r0 + 0.5 out + 0.5 r1 - 1 z2 + 0.75 z4\n"
        "call r0 step 3 at 1.5 1 1.5\n  draws z1 z0\n  r0 x = 1 r0 + 0.5 out - 0.5 z0 + 1 z1\n");
    CHECK_THAT(analyze(p, v).noise_variance, WithinRel(variance_by_draws(p, edm, 5), tol<double>::identity));
}

TEST_CASE("twenty thousand steps are written and analyzed at once", "[plan][writer][analyze][cost]") {
    const schedule::vp_linear vp;
    const std::size_t steps = 20000;
    const levels_t levels = interior_levels(vp, static_cast<int>(steps));
    const plan smooth = solver::unipc{.order = 3}.plan(vp, levels);
    CHECK(counts(smooth).network_calls == steps);
    CHECK(counts(smooth).live_tensors == 4);
    const transfer flow = exact_transfer(levels.front(), levels.back(), v);
    CHECK_THAT(analyze(smooth, v).start, WithinRel(flow.start, 1e-9));

    const plan noisy = solver::sde_dpm_solver{}.plan(vp, levels);
    CHECK(counts(noisy).draws == steps);
    CHECK(counts(noisy).live_tensors == 2);
    const level& t = levels.back();
    const level& s = levels.front();
    const transfer made = analyze(noisy, v);
    const double start = s.alpha * s.alpha * v + s.sigma * s.sigma;
    CHECK_THAT(made.start * made.start * start + made.noise_variance,
               WithinRel(t.alpha * t.alpha * v + t.sigma * t.sigma, 1e-5));
}
