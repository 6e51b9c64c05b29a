// SPDX-License-Identifier: MIT
#include <tweedie/plan/plan.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/sa_solver.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/tau.hpp>
#include <tweedie/solver/unipc.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "sde_checks.hpp"

namespace {

using tweedie::solver::difference;
using tweedie::solver::form;
using tweedie::solver::sa_solver;
using tweedie::solver::tau_profile;

using sde::check_same_law;
using sde::rounding;
constexpr double infinite = std::numeric_limits<double>::infinity();

/// The order of the drift that the header declares, as far as the lower orders at the start allow.
double declared(std::size_t order, std::size_t corrector) {
    const std::size_t started = corrector == 0 ? 2 : 3;
    return static_cast<double>(std::min(corrector == 0 ? order : std::min(order + 1, corrector), started));
}

}  // namespace

TEST_CASE("Without a corrector sa_solver is sde_dpm_solver, and at tau = 0 dpm_solver",
          "[solver][sa_solver][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 7);
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                for (const double tau : {0.0, 0.7, 1.0}) {
                    const sa_solver ours{.order = order, .corrector = 0, .tau = tau, .predicts = predicts};
                    const tweedie::solver::sde_dpm_solver multistep{.order = order,
                                                                    .predicts = predicts,
                                                                    .variant = difference::taylor,
                                                                    .eta = tau * tau};
                    check_same_law(ours.plan(schedule, levels), multistep.plan(schedule, levels));
                }
                const sa_solver ours{.order = order, .corrector = 0, .tau = 0.0, .predicts = predicts};
                const tweedie::solver::dpm_solver ode{
                    .order = order, .predicts = predicts, .variant = difference::taylor};
                check_same_law(ours.plan(schedule, levels), ode.plan(schedule, levels));
            }
        }
        check_same_law(sa_solver{.order = 1, .corrector = 0, .tau = 0.0}.plan(schedule, levels),
                       tweedie::solver::ddim{}.plan(schedule, levels));
        check_same_law(sa_solver{.order = 1, .corrector = 0}.plan(schedule, levels),
                       tweedie::solver::ddim{.eta = 1.0}.plan(schedule, levels));
    }
}

TEST_CASE("At tau = 0, with one node more in the corrector and the few-steps weights, sa_solver is UniPC bh1",
          "[solver][sa_solver][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const int steps : {1, 2, 3, 8}) {
            const sde::levels_t levels = sde::uneven_levels(schedule, steps);
            for (const std::size_t order : {1U, 2U, 3U}) {
                const sa_solver ours{.order = order, .corrector = order + 1, .tau = 0.0, .few_steps = true};
                const tweedie::solver::unipc theirs{.order = order,
                                                    .variant = tweedie::solver::unipc::bh::bh1};
                INFO(name << ", order " << order << ", " << steps);
                check_same_law(ours.plan(schedule, levels), theirs.plan(schedule, levels));
                CHECK(tweedie::counts(ours.plan(schedule, levels)) ==
                      tweedie::counts(theirs.plan(schedule, levels)));
            }
        }
    }
}

TEST_CASE("Mean and deviation of sa_solver converge with the declared order", "[solver][sa_solver][law]") {
    constexpr double tau = 0.6;
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U, 4U}) {
                for (const std::size_t corrector : {0U, 1U, 2U, 3U, 4U}) {
                    INFO(name << (predicts == form::data ? " data" : " noise") << " p" << order << " c"
                              << corrector);
                    const sa_solver ours{.order = order,
                                         .corrector = corrector,
                                         .tau = tau,
                                         .predicts = predicts,
                                         .lower_order_final = false};
                    const sde::law_order m =
                        sde::order_of_law(ours, schedule, tau * tau, sde::uneven_levels, 160);
                    const double drift = declared(order, corrector);
                    // Where terms of opposite sign are about as large, the slope between two grids says
                    // little; the error is then below what the order alone would give.
                    CHECK((m.mean > drift - 0.1 || m.finest.mean < (drift > 2.0 ? 1e-6 : 2e-5)));
                    CHECK((m.deviation > std::min(drift, 2.0) - 0.1 || m.finest.deviation < 5e-5));
                }
            }
        }
    }
}

TEST_CASE("The second order of sa_solver's law holds at tau = 1, corrected and in every mode",
          "[solver][sa_solver][law]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const sa_solver::evaluation mode : {sa_solver::evaluation::pec, sa_solver::evaluation::pece}) {
            for (const bool few : {false, true}) {
                const sa_solver ours{.mode = mode, .few_steps = few, .correct_last = true};
                const sde::law_order m = sde::order_of_law(ours, schedule, 1.0, sde::even_levels, 100);
                INFO(name);
                CHECK(m.deviation > 1.9);
                CHECK(m.finest.deviation < 1e-3);
                CHECK(m.finest.mean < rounding);  // E[x0 | x] does not drift under the SDE
            }
        }
    }
}

TEST_CASE("The corrector of sa_solver pays: a tenth of the error of the predictor alone",
          "[solver][sa_solver][law]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    const sde::levels_t levels = sde::even_levels(vp, 160);
    const auto error = [&](std::size_t corrector) {
        const sa_solver ours{.corrector = corrector, .lower_order_final = false};
        return sde::error_of_law(ours.plan(vp, levels), 0.5, 1.0).deviation;
    };
    CHECK(error(2) < 0.1 * error(0));
}

TEST_CASE("A profile of tau is honoured inside steps", "[solver][sa_solver][tau][exact]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 6);
        for (const form predicts : {form::data, form::noise}) {
            const auto with = [&](const tau_profile& tau) {
                return sa_solver{.tau = tau, .predicts = predicts}.plan(schedule, levels);
            };
            // everywhere the same
            check_same_law(with(0.7), with(tau_profile::per_step(std::vector<double>(6, 0.7))));
            check_same_law(with(0.7), with(tau_profile::windows({{infinite, 0.0, 0.7}})));
            check_same_law(with(0.7), with(tau_profile::windows({{1.7, 0.0, 0.7}, {infinite, 1.7, 0.7}})));
            check_same_law(with(0.0), with(tau_profile::windows({})));
            check_same_law(with(0.0), with(tau_profile::windows({{200.0, 100.0, 1.0}})));
        }
        // a point stays a point whatever tau does
        const tau_profile wild = tau_profile::windows({{5.0, 3.3, 2.0}, {1.1, 0.9, 0.4}, {0.2, 0.05, 1.0}});
        CHECK(sde::error_on_a_point(sa_solver{.tau = wild}.plan(schedule, levels)) < rounding);
        // and the law of Gaussian data converges with order 2; from grid to grid the error depends on where
        // in a step tau jumps, so that no slope is smooth
        for (const int n : {80, 100, 160, 226, 320, 640}) {
            const sa_solver ours{.tau = wild, .lower_order_final = false};
            const tweedie::plan p = ours.plan(schedule, sde::even_levels(schedule, n));
            CHECK(sde::error_of_law(p, 0.5, 0.0).deviation < 1.0 / n / n);
        }
    }
}

TEST_CASE("The integral of tau^2 over a step is exact", "[solver][sa_solver][tau][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    const auto at_ratio = [&](double ratio) { return tweedie::at_half_log_snr(flow, -std::log(ratio)); };
    const auto integral = [](const tau_profile& tau, const tweedie::level& s, const tweedie::level& t) {
        return tweedie::solver::integral_of_tau_squared(tau.pieces(0, s, t));
    };
    const tau_profile two = tau_profile::windows({{0.8, 0.5, 2.0}, {3.0, 1.0, 0.7}});
    const double log_2 = std::log(2.0);
    const double log_3 = std::log(3.0);
    CHECK_THAT(integral(0.7, at_ratio(4.0), at_ratio(2.0)),
               Catch::Matchers::WithinRel(0.49 * log_2, rounding));
    // both windows whole, one whole, a part of one, none
    CHECK_THAT(integral(two, at_ratio(4.0), at_ratio(0.1)),
               Catch::Matchers::WithinRel(0.49 * log_3 + 4.0 * std::log(1.6), rounding));
    CHECK_THAT(integral(two, at_ratio(4.0), at_ratio(0.9)),
               Catch::Matchers::WithinRel(0.49 * log_3, rounding));
    CHECK_THAT(integral(two, at_ratio(2.0), at_ratio(1.0)),
               Catch::Matchers::WithinRel(0.49 * log_2, rounding));
    CHECK(integral(two, at_ratio(10.0), at_ratio(4.0)) == 0.0);
    CHECK(integral(two, at_ratio(0.4), at_ratio(0.1)) == 0.0);
    // from pure noise, to clean data
    const tweedie::level noise = tweedie::at(flow, 1.0);
    const tweedie::level clean = tweedie::at(flow, 0.0);
    CHECK_THAT(integral(two, noise, at_ratio(1.5)), Catch::Matchers::WithinRel(0.49 * log_2, rounding));
    CHECK_THAT(integral(two, at_ratio(0.8), clean),
               Catch::Matchers::WithinRel(4.0 * std::log(1.6), rounding));
    CHECK(integral(tau_profile::windows({{infinite, 1.0, 0.5}}), noise, at_ratio(0.5)) == infinite);
    CHECK_THAT(integral(two, noise, clean),
               Catch::Matchers::WithinRel(0.49 * log_3 + 4.0 * std::log(1.6), rounding));
}

TEST_CASE("A plan draws only where tau is not zero", "[solver][sa_solver][tau][cost]") {
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    const sde::levels_t levels = sde::even_levels(edm, 4);
    CHECK(tweedie::counts(sa_solver{.tau = 0.0}.plan(edm, levels)).draws == 0);
    CHECK(tweedie::counts(sa_solver{.tau = tau_profile::per_step({0.0, 1.0, 0.5, 0.0})}.plan(edm, levels))
              .draws == 2);
    CHECK(tweedie::counts(sa_solver{}.plan(edm, tweedie::grid::log_snr(edm, 4))).draws == 3);
}

TEST_CASE("On data that are a point sa_solver has the exact law, from pure noise and in few steps too",
          "[solver][sa_solver][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    const std::vector<tau_profile> profiles = {0.0, 0.5, 1.0, tau_profile::windows({{infinite, 1.0, 0.5}}),
                                               tau_profile::windows({{1.0, 0.05, 1.0}})};
    for (const tau_profile& tau : profiles) {
        for (const form predicts : {form::data, form::noise}) {
            for (const int steps : {1, 2, 3, 6}) {
                for (const sa_solver::evaluation mode :
                     {sa_solver::evaluation::pec, sa_solver::evaluation::pece}) {
                    const sa_solver ours{
                        .order = 3, .corrector = 4, .tau = tau, .predicts = predicts, .mode = mode};
                    // cleaned at the end: whatever the noise form did, x0_hat is the point
                    CHECK(sde::error_on_a_point(ours.plan(flow, sde::whole_range(steps))) < rounding);
                }
            }
        }
        for (const int steps : {1, 2, 3}) {
            const tweedie::plan p = sa_solver{.tau = tau}.plan(flow, sde::uneven_levels(flow, steps));
            CHECK(sde::error_on_a_point(p) < rounding);
        }
    }
}

TEST_CASE("A step of sa_solver reads five tensors, the noise among them, and writes two",
          "[solver][sa_solver][cost]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    const tweedie::plan_counts one = sde::cost_of_a_step(sa_solver{.lower_order_final = false}, vp);
    CHECK(one.network_calls == 1);
    CHECK(one.draws == 1);
    CHECK(one.reads == 5);
    CHECK(one.writes == 2);
    CHECK(one.live_tensors == 3);
    CHECK(sde::cost_of_a_step(sa_solver{.mode = sa_solver::evaluation::pece}, vp).network_calls == 2);
    const auto calls = [&](const sa_solver& s) {
        return tweedie::counts(s.plan(vp, sde::even_levels(vp, 9))).network_calls;
    };
    CHECK(calls(sa_solver{}) == 9);
    CHECK(calls(sa_solver{.correct_last = true}) == 10);
    CHECK(calls(sa_solver{.mode = sa_solver::evaluation::pece}) == 17);
    CHECK(calls(sa_solver{.corrector = 0, .mode = sa_solver::evaluation::pece, .correct_last = true}) == 9);
}

TEST_CASE("sa_solver and its profile refuse options that make no sense", "[solver][sa_solver][errors]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(sde::refusal(sa_solver{.order = 0}) == "sa_solver: order must lie in [1, 4]");
    CHECK(sde::refusal(sa_solver{.order = 5}) == "sa_solver: order must lie in [1, 4]");
    CHECK(sde::refusal(sa_solver{.corrector = 5}) == "sa_solver: corrector must lie in [0, 4]");
    for (const double bad : {-0.1, nan, infinite}) {
        CHECK(sde::refusal(sa_solver{.s_noise = bad}) ==
              "sa_solver: s_noise must be finite and not negative");
        CHECK_THROWS_WITH(tau_profile(bad), "tau_profile: tau must be finite and not negative");
        CHECK_THROWS_WITH(tau_profile::per_step({1.0, bad}),
                          "tau_profile: tau must be finite and not negative");
        CHECK_THROWS_WITH(tau_profile::windows({{1.0, 0.5, bad}}),
                          "tau_profile: tau must be finite and not negative");
    }
    CHECK(sde::refusal(sa_solver{.tau = tau_profile::per_step({1.0})}) ==
          "sa_solver: tau must have one value per step");
    CHECK_THROWS_WITH(tau_profile::per_step({}), "tau_profile: need a value for each step");
    for (const auto& [high, low] :
         {std::pair{1.0, 1.0}, std::pair{1.0, nan}, std::pair{nan, 0.5}, std::pair{1.0, -1.0}}) {
        CHECK_THROWS_WITH(tau_profile::windows({{high, low, 1.0}}),
                          "tau_profile: a window needs sigma_max > sigma_min >= 0");
    }
    // before they are sorted, which NaN would upset
    CHECK_THROWS_WITH(tau_profile::windows({{3.0, 2.0, 1.0}, {nan, 0.5, 1.0}, {1.0, 0.5, 1.0}}),
                      "tau_profile: a window needs sigma_max > sigma_min >= 0");
    CHECK_THROWS_WITH(tau_profile::windows({{3.0, 1.0, 1.0}, {2.0, 0.5, 1.0}}),
                      "tau_profile: windows must not overlap");
}
