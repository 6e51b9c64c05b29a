// SPDX-License-Identifier: MIT
#include <tweedie/plan/plan.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/dpmpp_sde.hpp>
#include <tweedie/solver/linear_path.hpp>
#include <tweedie/solver/seeds.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "sde_checks.hpp"

namespace {

using tweedie::solver::difference;
using tweedie::solver::dpmpp_sde;
using tweedie::solver::form;
using tweedie::solver::seeds;

using sde::check_same_law;
using sde::rounding;

}  // namespace

TEST_CASE("Without noise seeds is the single-step dpm_solver", "[solver][seeds][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 5);
        for (const form predicts : {form::data, form::noise}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                for (const difference variant : {difference::midpoint, difference::taylor}) {
                    const seeds ours{.order = order, .predicts = predicts, .tau = 0.0, .variant = variant};
                    const tweedie::solver::dpm_solver_singlestep ode{
                        .order = order,
                        .predicts = predicts,
                        .variant = variant,
                        .nodes = tweedie::solver::inner_nodes::own};
                    check_same_law(ours.plan(schedule, levels), ode.plan(schedule, levels));
                }
            }
        }
    }
}

TEST_CASE("SEEDS-1 is the paper's step, and in data prediction ancestral DDIM", "[solver][seeds][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 5);
        check_same_law(seeds{.order = 1}.plan(schedule, levels),
                       tweedie::solver::ddim{.eta = 1.0}.plan(schedule, levels));
        // x_t = alpha_t/alpha_s x - 2 sigma_t (e^h - 1) eps + sigma_t sqrt(e^(2h) - 1) z on x0_hat = 0: eps =
        // x / sigma
        const std::vector<tweedie::level> two = {levels[1], levels[2]};
        const tweedie::plan p = seeds{.order = 1, .predicts = form::noise}.plan(schedule, two);
        const double h = tweedie::log_snr_step(two[0], two[1]);
        const tweedie::transfer move = tweedie::analyze(p, 0.0);
        CHECK_THAT(
            move.start,
            Catch::Matchers::WithinAbs(
                two[1].alpha / two[0].alpha - 2.0 * two[1].sigma / two[0].sigma * std::expm1(h), rounding));
        CHECK_THAT(move.noise_variance,
                   Catch::Matchers::WithinRel(two[1].sigma * two[1].sigma * std::expm1(2.0 * h), rounding));
    }
}

TEST_CASE("The noise of a step is one Brownian path: the paper's decomposition", "[solver][seeds][exact]") {
    // SEEDS-2, noise prediction: sigma_t (sqrt(e^(2h) - e^h) z1 + sqrt(e^h - 1) z2)
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    const sde::levels_t levels = sde::even_levels(vp, 4);
    const tweedie::level& s = levels[1];
    const tweedie::level& t = levels[2];
    const double h = tweedie::log_snr_step(s, t);
    tweedie::plan_writer p("noise", levels);
    const tweedie::linear_form nothing;
    tweedie::solver::linear_path path(p, nothing, s, form::noise, 1.0, 1.0);
    const tweedie::level middle = tweedie::at_half_log_snr(vp, s.half_log_snr() + h / 2.0);
    const tweedie::linear_form at_middle = path.at(middle);
    const tweedie::linear_form at_end = path.at(t);
    REQUIRE(at_end.terms().size() == 2);
    CHECK_THAT(at_middle.terms()[0].weight,
               Catch::Matchers::WithinRel(middle.sigma * std::sqrt(std::expm1(h)), rounding));
    CHECK_THAT(at_end.terms()[0].weight,
               Catch::Matchers::WithinRel(t.sigma * std::sqrt(std::exp(2.0 * h) - std::exp(h)), rounding));
    CHECK_THAT(at_end.terms()[1].weight,
               Catch::Matchers::WithinRel(t.sigma * std::sqrt(std::expm1(h)), rounding));
}

TEST_CASE("Mean and deviation of seeds converge with the declared order", "[solver][seeds][law]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const auto levels : {sde::even_levels, sde::uneven_levels}) {
            for (const form predicts : {form::data, form::noise}) {
                for (const difference variant : {difference::midpoint, difference::taylor}) {
                    for (const std::size_t order : {1U, 2U, 3U}) {
                        if (order == 1 && variant == difference::taylor) { continue; }
                        constexpr double tau = 0.6;  // tau = 1 is exact for the mean in data prediction
                        INFO(name << (predicts == form::data ? " data" : " noise") << " order " << order);
                        const seeds ours{
                            .order = order, .predicts = predicts, .tau = tau, .variant = variant};
                        const sde::law_order m = sde::order_of_law(ours, schedule, tau * tau, levels, 160);
                        CHECK(m.mean > static_cast<double>(order) - 0.1);
                        CHECK(m.deviation > (order == 1 ? 0.9 : 1.9));
                        const sde::law_order full =
                            sde::order_of_law(seeds{.order = order, .predicts = predicts, .variant = variant},
                                              schedule, 1.0, levels, 240);
                        CHECK(full.deviation > (order == 1 ? 0.9 : 1.9));
                        CHECK(full.finest.deviation < (order == 1 ? 2e-2 : 2e-4));
                    }
                }
            }
        }
    }
}

TEST_CASE("Drawing the noise of the stages independently costs an order", "[solver][seeds][law]") {
    // what `linear_path` is for: seeds-2 and dpmpp_sde are one method, the latter can draw independently
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    const sde::law_order path = sde::order_of_law(seeds{}, edm, 1.0, sde::even_levels, 160);
    const sde::law_order independent =
        sde::order_of_law(dpmpp_sde{.peer_formula = true}, edm, 1.0, sde::even_levels, 160);
    CHECK_THAT(path.deviation, Catch::Matchers::WithinAbs(2.0, 0.1));
    CHECK_THAT(independent.deviation, Catch::Matchers::WithinAbs(1.0, 0.1));
    CHECK(independent.finest.deviation > 100.0 * path.finest.deviation);
}

TEST_CASE("On data that are a point seeds has the exact law, from pure noise and in few steps too",
          "[solver][seeds][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    for (const std::size_t order : {1U, 2U, 3U}) {
        for (const double tau : {0.0, 0.5, 1.0, 2.0}) {
            const seeds ours{.order = order, .tau = tau};
            CHECK(sde::error_on_a_point(ours.plan(flow, sde::uneven_levels(flow, 3))) < rounding);
            for (const int steps : {1, 2, 3}) {
                CHECK(sde::error_on_a_point(ours.plan(flow, sde::whole_range(steps))) < rounding);
                const seeds noise{.order = order, .predicts = form::noise, .tau = tau};
                const tweedie::plan p = noise.plan(flow, sde::whole_range(steps));
                CHECK(std::isfinite(tweedie::analyze(p, 0.5).noise_variance));
            }
        }
    }
}

TEST_CASE("seeds costs its order in calls and draws", "[solver][seeds][cost]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    for (const std::size_t order : {1U, 2U, 3U}) {
        const tweedie::plan_counts one = sde::cost_of_a_step(seeds{.order = order}, vp);
        CHECK(one.network_calls == order);
        CHECK(one.draws == order);
        CHECK(one.live_tensors == order);
        for (const difference variant : {difference::midpoint, difference::taylor}) {
            const seeds noise{.order = order, .predicts = form::noise, .variant = variant};
            CHECK(sde::cost_of_a_step(noise, vp).live_tensors <= order + 1);
        }
    }
    CHECK(tweedie::counts(seeds{.tau = 0.0}.plan(vp, sde::even_levels(vp, 4))).draws == 0);
    CHECK(tweedie::counts(seeds{.order = 3}.plan(vp, tweedie::grid::log_snr(vp, 4))).network_calls == 10);
}

TEST_CASE("seeds refuses options that make no sense", "[solver][seeds][errors]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(sde::refusal(seeds{.order = 0}) == "seeds: order must lie in [1, 3]");
    CHECK(sde::refusal(seeds{.order = 4}) == "seeds: order must lie in [1, 3]");
    for (const double bad : {-0.1, nan, std::numeric_limits<double>::infinity()}) {
        CHECK(sde::refusal(seeds{.tau = bad}) == "seeds: tau must be finite and not negative");
        CHECK(sde::refusal(seeds{.s_noise = bad}) == "seeds: s_noise must be finite and not negative");
        CHECK(sde::refusal(seeds{.r = bad}) == "seeds: r must lie in (0, 1]");
    }
    CHECK(sde::refusal(seeds{.r = 0.0}) == "seeds: r must lie in (0, 1]");
}

// dpmpp_sde

TEST_CASE("With all of the noise dpmpp_sde is SEEDS-2 in data prediction", "[solver][dpmpp_sde][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const double r : {0.5, 0.3, 1.0}) {
            const sde::levels_t levels = sde::uneven_levels(schedule, 6);
            const tweedie::plan ours = dpmpp_sde{.r = r}.plan(schedule, levels);
            const tweedie::plan theirs = seeds{.r = r}.plan(schedule, levels);
            check_same_law(ours, theirs);
            CHECK(tweedie::counts(ours).draws == tweedie::counts(theirs).draws);
        }
    }
}

TEST_CASE("Without noise dpmpp_sde is the second-order single-step DPM-Solver++",
          "[solver][dpmpp_sde][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 6);
        for (const bool peer : {false, true}) {
            check_same_law(
                dpmpp_sde{.eta = 0.0, .peer_formula = peer}.plan(schedule, levels),
                tweedie::solver::dpm_solver_singlestep{.order = 2, .nodes = tweedie::solver::inner_nodes::own}
                    .plan(schedule, levels));
        }
    }
}

TEST_CASE("The deviation of dpmpp_sde converges with order 2, with independent draws with order 1",
          "[solver][dpmpp_sde][law]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const auto levels : {sde::even_levels, sde::uneven_levels}) {
            for (const double eta : {1.0, 0.5, 0.0}) {
                for (const double r : {0.5, 0.3, 1.0}) {
                    INFO(name << " eta " << eta << " r " << r);
                    dpmpp_sde ours{.eta = eta, .r = r};
                    const sde::law_order m = sde::order_of_law(ours, schedule, eta * eta, levels, 160);
                    CHECK(m.deviation > 1.9);
                    CHECK(m.finest.deviation < 3e-4);
                    if (eta == 0.0) { continue; }
                    ours.peer_formula = true;
                    CHECK_THAT(sde::order_of_law(ours, schedule, eta * eta, levels, 160).deviation,
                               Catch::Matchers::WithinAbs(1.0, 0.1));
                }
            }
        }
    }
}

TEST_CASE("On data that are a point dpmpp_sde has the exact law, capped noise and pure noise included",
          "[solver][dpmpp_sde][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    for (const double eta : {0.0, 0.5, 1.0, 1.3, 5.0}) {
        for (const double r : {0.5, 1.0}) {
            for (const bool peer : {false, true}) {
                const dpmpp_sde ours{.eta = eta, .r = r, .peer_formula = peer};
                CHECK(sde::error_on_a_point(ours.plan(flow, sde::uneven_levels(flow, 3))) < rounding);
                for (const int steps : {1, 2, 3}) {
                    CHECK(sde::error_on_a_point(ours.plan(flow, sde::whole_range(steps))) < rounding);
                }
            }
        }
    }
}

TEST_CASE("dpmpp_sde costs two calls and two draws", "[solver][dpmpp_sde][cost]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    const tweedie::plan_counts one = sde::cost_of_a_step(dpmpp_sde{}, vp);
    CHECK(one.network_calls == 2);
    CHECK(one.draws == 2);
    CHECK(one.live_tensors == 2);
    CHECK(tweedie::counts(dpmpp_sde{.eta = 0.0}.plan(vp, sde::even_levels(vp, 3))).draws == 0);
}

TEST_CASE("dpmpp_sde refuses options that make no sense", "[solver][dpmpp_sde][errors]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    for (const double bad : {-0.1, nan, std::numeric_limits<double>::infinity()}) {
        CHECK(sde::refusal(dpmpp_sde{.eta = bad}) == "dpmpp_sde: eta must be finite and not negative");
        CHECK(sde::refusal(dpmpp_sde{.s_noise = bad}) ==
              "dpmpp_sde: s_noise must be finite and not negative");
        CHECK(sde::refusal(dpmpp_sde{.r = bad}) == "dpmpp_sde: r must lie in (0, 1]");
    }
}
