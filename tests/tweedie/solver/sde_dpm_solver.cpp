// SPDX-License-Identifier: MIT
#include <tweedie/plan/plan.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/sde_dpm_solver_singlestep.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "checks.hpp"
#include "sde_checks.hpp"

namespace {

using tweedie::solver::difference;
using tweedie::solver::form;
using tweedie::solver::start;
using method = tweedie::solver::sde_dpm_solver;
using single = tweedie::solver::sde_dpm_solver_singlestep;

using sde::check_same_law;
using sde::rounding;

}  // namespace

TEST_CASE("Without noise sde_dpm_solver is dpm_solver", "[solver][sde_dpm_solver][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 7);
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                for (const difference variant : {difference::midpoint, difference::taylor}) {
                    for (const start begin : {start::multistep, start::single_step}) {
                        INFO(name << ", order " << order);
                        const method ours{.order = order,
                                          .predicts = predicts,
                                          .variant = variant,
                                          .eta = 0.0,
                                          .start = begin};
                        const tweedie::solver::dpm_solver ode{
                            .order = order, .predicts = predicts, .variant = variant, .start = begin};
                        check_same_law(ours.plan(schedule, levels), ode.plan(schedule, levels));
                        CHECK(tweedie::counts(ours.plan(schedule, levels)).live_tensors ==
                              tweedie::counts(ode.plan(schedule, levels)).live_tensors);
                    }
                }
            }
        }
    }
}

TEST_CASE("The first order of sde_dpm_solver is ancestral DDIM", "[solver][sde_dpm_solver][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 5);
        check_same_law(method{.order = 1}.plan(schedule, levels),
                       tweedie::solver::ddim{.eta = 1.0}.plan(schedule, levels));
    }
}

TEST_CASE("Mean and deviation of sde_dpm_solver converge with the declared order",
          "[solver][sde_dpm_solver][law]") {
    // 80 and 160 steps: a little of the next order is left in the slope
    constexpr double slack = 0.1;
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const auto levels : {sde::even_levels, sde::uneven_levels}) {
            for (const form predicts : {form::data, form::noise}) {
                for (const double eta : {1.0, 0.25}) {
                    for (const std::size_t order : {1U, 2U, 3U}) {
                        for (const difference variant : {difference::midpoint, difference::taylor}) {
                            INFO(name << (predicts == form::data ? " data" : " noise") << " eta " << eta
                                      << " order " << order);
                            const method ours{.order = order,
                                              .predicts = predicts,
                                              .variant = variant,
                                              .eta = eta,
                                              .lower_order_final = false};
                            const sde::law_order m = sde::order_of_law(ours, schedule, eta, levels, 160);
                            const double declared = order == 1 ? 1.0 : 2.0;
                            CHECK(m.deviation > declared - slack);
                            CHECK(m.finest.deviation < (order == 1 ? 2e-2 : 2e-4));
                            if (eta == 1.0 && predicts == form::data) {
                                // E[x0 | x] does not drift under the SDE: the mean is exact
                                CHECK(m.finest.mean < rounding);
                            } else {
                                CHECK(m.mean > declared - slack);
                            }
                        }
                    }
                }
            }
        }
    }
}

TEST_CASE("A single-step start keeps the third order of sde_dpm_solver's drift",
          "[solver][sde_dpm_solver][order]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            INFO(name << (predicts == form::data ? " data" : " noise"));
            method ours{.order = 3,
                        .predicts = predicts,
                        .variant = difference::taylor,
                        .eta = 0.25,
                        .lower_order_final = false,
                        .start = start::single_step};
            const sde::law_order m = sde::order_of_law(ours, schedule, 0.25, sde::even_levels, 160);
            CHECK_THAT(m.mean, Catch::Matchers::WithinAbs(3.0, 0.1));
            ours.start = start::multistep;
            CHECK(sde::order_of_law(ours, schedule, 0.25, sde::even_levels, 160).mean < 2.2);
        }
    }
}

TEST_CASE("The third orders of the peers of sde_dpm_solver are of second and of first order",
          "[solver][sde_dpm_solver][order]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    const auto order_with = [&](method::peer peer) {
        const method ours{.order = 3,
                          .eta = 0.25,
                          .lower_order_final = false,
                          .start = start::single_step,
                          .peer_formula = peer};
        return sde::order_of_law(ours, vp, 0.25, sde::even_levels, 160).mean;
    };
    CHECK_THAT(order_with(method::peer::none), Catch::Matchers::WithinAbs(3.0, 0.1));
    CHECK_THAT(order_with(method::peer::k_diffusion), Catch::Matchers::WithinAbs(2.0, 0.1));
    CHECK_THAT(order_with(method::peer::diffusers), Catch::Matchers::WithinAbs(1.0, 0.1));
}

TEST_CASE("On data that are a point sde_dpm_solver has the exact law", "[solver][sde_dpm_solver][exact]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const std::size_t order : {1U, 2U, 3U}) {
            for (const double eta : {0.0, 0.5, 1.0, 3.0}) {
                const method ours{.order = order, .eta = eta};
                CHECK(sde::error_on_a_point(ours.plan(schedule, sde::uneven_levels(schedule, 4))) < rounding);
            }
        }
    }
}

TEST_CASE("sde_dpm_solver starts at pure noise and ends at clean data", "[solver][sde_dpm_solver][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    for (const int steps : {1, 2, 3, 8}) {
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                for (const start begin : {start::multistep, start::single_step}) {
                    const method ours{.order = order, .predicts = predicts, .start = begin};
                    const tweedie::plan p = ours.plan(flow, sde::whole_range(steps));
                    CHECK(tweedie::counts(p).draws + 1 == tweedie::counts(p).network_calls);
                    CHECK(std::isfinite(tweedie::analyze(p, 0.5).start));
                    CHECK(sde::error_on_a_point(p) < rounding);
                }
            }
        }
    }
}

TEST_CASE("A step of DPM++ 2M SDE reads four tensors, the noise among them, and writes two",
          "[solver][sde_dpm_solver][cost]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    for (const std::size_t order : {1U, 2U, 3U}) {
        const tweedie::plan_counts one =
            sde::cost_of_a_step(method{.order = order, .lower_order_final = false}, vp);
        CHECK(one.network_calls == 1);
        CHECK(one.draws == 1);
        CHECK(one.reads == order + 2);
        CHECK(one.writes == (order == 1 ? 1 : 2));
        CHECK(one.live_tensors == order);
    }
    const auto extra = [&](std::size_t order) {
        const method ours{.order = order, .start = start::single_step};
        return tweedie::counts(ours.plan(vp, sde::even_levels(vp, 9))).network_calls - 9;
    };
    CHECK(extra(2) == 0);
    CHECK(extra(3) == 1);
}

TEST_CASE("s_noise scales the noise of sde_dpm_solver and nothing else", "[solver][sde_dpm_solver][exact]") {
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    const sde::levels_t levels = sde::uneven_levels(edm, 6);
    const tweedie::transfer one = tweedie::analyze(method{}.plan(edm, levels), 0.5);
    const tweedie::transfer half = tweedie::analyze(method{.s_noise = 0.5}.plan(edm, levels), 0.5);
    CHECK(half.start == one.start);
    CHECK(half.mean == one.mean);
    CHECK_THAT(half.noise_variance, Catch::Matchers::WithinRel(0.25 * one.noise_variance, rounding));
}

TEST_CASE("sde_dpm_solver refuses options that make no sense", "[solver][sde_dpm_solver][errors]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(sde::refusal(method{.order = 0}) == "sde_dpm_solver: order must lie in [1, 3]");
    CHECK(sde::refusal(method{.order = 4}) == "sde_dpm_solver: order must lie in [1, 3]");
    for (const double bad : {-0.1, nan, std::numeric_limits<double>::infinity()}) {
        CHECK(sde::refusal(method{.eta = bad}) == "sde_dpm_solver: eta must be finite and not negative");
        CHECK(sde::refusal(method{.s_noise = bad}) ==
              "sde_dpm_solver: s_noise must be finite and not negative");
    }
    for (const method& bad :
         {method{.order = 2, .peer_formula = method::peer::diffusers},
          method{.order = 3, .predicts = form::noise, .peer_formula = method::peer::k_diffusion}}) {
        CHECK(sde::refusal(bad) == "sde_dpm_solver: peer_formula exists for order 3 in data prediction only");
    }
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    CHECK_THROWS_AS(method{}.plan(edm, sde::levels_t(1)), std::invalid_argument);
}

// sde_dpm_solver_singlestep

TEST_CASE("Without noise sde_dpm_solver_singlestep is dpm_solver_singlestep",
          "[solver][sde_dpm_solver_singlestep][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const int steps : {1, 2, 3, 7, 8, 9}) {
            const sde::levels_t levels = sde::uneven_levels(schedule, steps);
            for (const form predicts : {form::data, form::noise}) {
                for (const std::size_t order : {1U, 2U, 3U}) {
                    for (const difference variant : {difference::midpoint, difference::taylor}) {
                        INFO(name << ", order " << order << ", " << steps);
                        const single ours{
                            .order = order, .predicts = predicts, .variant = variant, .eta = 0.0};
                        const tweedie::solver::dpm_solver_singlestep ode{
                            .order = order, .predicts = predicts, .variant = variant};
                        check_same_law(ours.plan(schedule, levels), ode.plan(schedule, levels));
                    }
                }
            }
        }
    }
}

TEST_CASE(
    "One Brownian path keeps the second order of the deviation in single steps, independent draws do not",
    "[solver][sde_dpm_solver_singlestep][law]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {2U, 3U}) {
                INFO(name << (predicts == form::data ? " data" : " noise") << ", order " << order);
                single ours{.order = order,
                            .predicts = predicts,
                            .variant = difference::taylor,
                            .eta = 0.5,
                            .lower_order_final = false};
                const sde::law_order path = sde::order_of_law(ours, schedule, 0.5, sde::even_levels, 240);
                CHECK(path.deviation > 1.9);
                CHECK_THAT(path.mean, Catch::Matchers::WithinAbs(static_cast<double>(order), 0.1));
                if (order == 2) {
                    ours.peer_formula = true;
                    const sde::law_order peer = sde::order_of_law(ours, schedule, 0.5, sde::even_levels, 240);
                    CHECK_THAT(peer.deviation, Catch::Matchers::WithinAbs(1.0, 0.1));
                    CHECK(peer.finest.deviation > 10.0 * path.finest.deviation);
                }
            }
        }
    }
}

TEST_CASE("sde_dpm_solver_singlestep starts at pure noise and ends at clean data",
          "[solver][sde_dpm_solver_singlestep][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    for (const int steps : {1, 2, 3, 4, 5, 8}) {
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                const single ours{.order = order, .predicts = predicts};
                const tweedie::plan p = ours.plan(flow, sde::whole_range(steps));
                CHECK(tweedie::counts(p).network_calls == static_cast<std::size_t>(steps));
                CHECK(tweedie::counts(p).draws == static_cast<std::size_t>(steps - 1));
                CHECK(tweedie::counts(p).live_tensors <= order + 1);
                CHECK(sde::error_on_a_point(p) < rounding);
            }
        }
    }
}

TEST_CASE("sde_dpm_solver_singlestep refuses options that make no sense",
          "[solver][sde_dpm_solver_singlestep][errors]") {
    const std::string who = "sde_dpm_solver_singlestep: ";
    CHECK(sde::refusal(single{.order = 0}) == who + "order must lie in [1, 3]");
    for (const double bad : {-0.1, not_a_number, infinity}) {
        CHECK(sde::refusal(single{.eta = bad}) == who + "eta must be finite and not negative");
        CHECK(sde::refusal(single{.s_noise = bad}) == who + "s_noise must be finite and not negative");
    }
    CHECK(sde::refusal(single{.orders = {1, 2}}) == who + "orders must sum to the steps of the levels");
    CHECK(sde::refusal(single{.orders = {4}}) == who + "orders must lie in [1, 3]");
}
