// SPDX-License-Identifier: MIT
#include <tweedie/plan/analyze.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/single_step.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;

/// k-diffusion's sample_dpm_2 without churn, as written: on VE.
double sample_dpm_2(const levels_t& levels, double x) {
    const auto d = [](double y, double sigma) {
        return (y - smooth_humps(y, level{0.0, 1.0, sigma})) / sigma;
    };
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const double sigma = levels[i].sigma;
        const double next = levels[i + 1].sigma;
        if (next == 0.0) {
            x += d(x, sigma) * (next - sigma);
        } else {
            const double mid = std::exp((std::log(sigma) + std::log(next)) / 2);
            x += d(x + d(x, sigma) * (mid - sigma), mid) * (next - sigma);
        }
    }
    return x;
}

}  // namespace

TEST_CASE("dpm2 is k-diffusion's on VE, and the same in x / alpha on every schedule",
          "[solver][dpm2][exact]") {
    const schedule::edm edm;
    const levels_t on_edm = grid::karras(edm, 7, {.sigma_max = 20.0, .sigma_min = 0.05});
    const double end = sample_dpm_2(on_edm, 24.0);
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 7, {.sigma_max = 20.0, .sigma_min = 0.05});
        const plan p = solver::dpm2{}.plan(s.schedule, levels);
        const double x = run_on_double(p, s.schedule, 24.0 * levels.front().alpha, smooth_humps);
        // the range's ends are those of each schedule's own time, known to about 1e-13 of kappa
        CHECK_THAT(x / levels.back().alpha, WithinRel(end, 1e-10));
    }
}

TEST_CASE("dpm2 is DPM-Solver-2 with its node in the middle", "[solver][dpm2][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 6);
        plan_writer p("DPM-Solver-2", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [from, to] = p.step(i);
            const linear_form eps = p.noise_prediction(x, from);
            x = solver::single_step(p, s.schedule, x, eps, from, to,
                                    {.order = 2, .predicts = solver::form::noise});
        }
        const plan two = p.finish(x);
        CHECK_THAT(end_of(solver::dpm2{}.plan(s.schedule, levels), s.schedule),
                   WithinRel(end_of(two, s.schedule), same));
    }
}

TEST_CASE("dpm2 is of second order", "[solver][dpm2][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::dpm2{}, s.schedule, {80, 160, 320}), WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("dpm2 inverts with its order, without churn", "[solver][dpm2][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::dpm2{}, s.schedule, {80, 160, 320}, inversion),
                   WithinAbs(2.0, 0.1));
    }
    const schedule::edm edm;
    const levels_t up = {at(edm, 0.1), at(edm, 1.0)};
    CHECK(refusal([&] { static_cast<void>(solver::dpm2{.churn = {.s_churn = 1.0}}.plan(edm, up)); }) ==
          "dpm2: level 1: half_log_snr must increase from level to level");
}

TEST_CASE("dpm2 asks twice a step, once at either end of the noise", "[solver][dpm2][cost]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 4);
        const bool pure_noise = levels.front().alpha == 0.0;
        const plan_counts c = counts(solver::dpm2{}.plan(s.schedule, levels));
        CHECK(c.network_calls == (pure_noise ? 6 : 7));
        CHECK((c.live_tensors == 2 && c.draws == 0));
    }
}

TEST_CASE("churn in dpm2 draws once a step and keeps the law of the step's start", "[solver][dpm2][churn]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 10);
    const solver::dpm2 churned{.churn = {.s_churn = 4.0}};
    const plan p = churned.plan(edm, levels);
    CHECK(counts(p).draws == 10);
    CHECK(solver::dpm2{.churn = {.s_churn = 4.0, .s_tmin = 1.0}}.plan(edm, levels).calls.size() == 20);
    // mean and variance of Gaussian data converge
    const auto variance_error = [&](int n) {
        const levels_t l = interior_levels(edm, n);
        const transfer end = analyze(solver::dpm2{.churn = {.s_churn = 4.0}}.plan(edm, l), 0.5);
        const double found =
            end.start * end.start * (0.5 + l.front().sigma * l.front().sigma) + end.noise_variance;
        return std::abs(found / (0.5 + l.back().sigma * l.back().sigma) - 1.0);
    };
    CHECK(variance_error(400) < 1e-3);
    CHECK(variance_error(100) > 10.0 * variance_error(400));  // second order: 16
    CHECK(solver::dpm2{.churn = {.s_churn = 0.0}}.plan(edm, levels) == solver::dpm2{}.plan(edm, levels));
}

TEST_CASE("dpm2 refuses bad options", "[solver][dpm2][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    CHECK(refusal([&] {
              static_cast<void>(solver::dpm2{.churn = {.s_churn = not_a_number}}.plan(edm, good));
          }) == "dpm2: churn.s_churn must be >= 0");
    CHECK(refusal([&] { static_cast<void>(solver::dpm2{}.plan(edm, {})); }) ==
          "dpm2: need at least two levels, where to start and where to end");
}
