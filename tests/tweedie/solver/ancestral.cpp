// SPDX-License-Identifier: MIT

// Ancestral steps: Euler's, DPM2's and DPM-Solver++(2S)'s.

#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/dpm2_ancestral.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>
#include <tweedie/solver/dpmpp_2s_ancestral.hpp>
#include <tweedie/solver/euler_ancestral.hpp>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

namespace {

using solver::downstep;

constexpr double same = 1e-13;  // the same coefficients by another formula

}  // namespace

TEST_CASE("an ancestral step splits the target's noise into what is kept and what is fresh",
          "[solver][ancestral][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const level from = at_half_log_snr(s.schedule, -1.0);
        const level to = at_half_log_snr(s.schedule, 0.2);
        for (const downstep variant : {downstep::posterior, downstep::flow}) {
            for (const double eta : {0.0, 0.3, 1.0}) {
                INFO(s.name << ", eta " << eta);
                const auto [clean, noise] = solver::ancestral_step(from, to, eta, variant);
                CHECK(clean.alpha == to.alpha);
                CHECK_THAT(clean.sigma * clean.sigma + noise * noise, WithinRel(to.sigma * to.sigma, same));
                CHECK((noise == 0.0) == (eta == 0.0));
            }
        }
        // k-diffusion's sigma_down at eta = 1 is sigma_t^2 / sigma_s
        const auto one = solver::ancestral_step(from, to, 1.0, downstep::posterior);
        CHECK_THAT(one.clean.sigma / to.alpha, WithinRel(std::exp(-0.4 - 1.0), same));
    }
    // on flow the other variant is linear in sigma
    const schedule::flow flow;
    const auto [clean, noise] = solver::ancestral_step(at(flow, 1.0), at(flow, 0.8), 0.5, downstep::flow);
    CHECK_THAT(clean.sigma, WithinRel(0.2 * 0.72 / 0.28, same));
    CHECK(solver::ancestral_step(at(flow, 1.0), at(flow, 0.8), 1.0, downstep::posterior).clean.sigma == 0.0);
}

TEST_CASE("euler_ancestral is ddim with the same eta, on every schedule", "[solver][ancestral][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            const levels_t levels = grid::karras(s.schedule, 8, {.last = last});
            for (const double eta : {0.0, 0.4, 1.0}) {
                INFO(s.name << ", eta " << eta);
                check_same(solver::euler_ancestral{.eta = eta}.plan(s.schedule, levels),
                           solver::ddim{.eta = eta}.plan(s.schedule, levels), same);
            }
        }
    }
}

TEST_CASE("euler_ancestral with infinite eta renoises fully, as consistency sampling does",
          "[solver][ancestral][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 5);
        check_same(solver::euler_ancestral{.eta = infinity}.plan(s.schedule, levels),
                   solver::consistency{}.plan(s.schedule, levels), same);
    }
}

TEST_CASE("with eta = 0 the ancestral methods are the deterministic ones", "[solver][ancestral][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = warm_levels(s.schedule, 6);
        for (const downstep variant : {downstep::posterior, downstep::flow}) {
            INFO(s.name);
            check_same(solver::euler_ancestral{.eta = 0.0, .variant = variant}.plan(s.schedule, levels),
                       solver::ddim{}.plan(s.schedule, levels), same);
            const plan two = solver::dpm2_ancestral{.eta = 0.0, .variant = variant}.plan(s.schedule, levels);
            const plan dpm2 = solver::dpm2{}.plan(s.schedule, levels);
            const plan two_s =
                solver::dpmpp_2s_ancestral{.eta = 0.0, .variant = variant}.plan(s.schedule, levels);
            CHECK(counts(two).draws == 0);
            CHECK(counts(two_s).draws == 0);
            for (const double x : {-3.0, 0.9, 5.0}) {
                const double size = std::abs(law::run(dpm2, x, two_humps));
                const plan singles = solver::dpm_solver_singlestep{.order = 2,
                                                                   .nodes = solver::inner_nodes::own,
                                                                   .orders = std::vector<std::size_t>(6, 2)}
                                         .plan(s.schedule, levels);
                CHECK_THAT(law::run(two_s, x, two_humps),
                           WithinAbs(law::run(singles, x, two_humps), same * size * 10.0));
                CHECK_THAT(law::run(two, x, two_humps),
                           WithinAbs(law::run(dpm2, x, two_humps), same * size * 10.0));
            }
        }
    }
}

TEST_CASE("the two-call ancestral methods are of second order with eta = 0", "[solver][ancestral][order]") {
    for (const named_schedule& s : families()) {
        INFO(s.name);
        CHECK_THAT(flow_order(solver::dpm2_ancestral{.eta = 0.0}, s.schedule, 200), WithinAbs(2.0, 0.1));
        CHECK_THAT(flow_order(solver::dpmpp_2s_ancestral{.eta = 0.0}, s.schedule, 200), WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("the law of ancestral sampling converges with the order of its deterministic step",
          "[solver][ancestral][order]") {
    for (const named_schedule& s : families()) {
        for (const downstep variant : {downstep::posterior, downstep::flow}) {
            for (const double eta : {0.5, 1.0, 2.0}) {
                if (eta > 1.0 && variant == downstep::flow) { continue; }
                INFO(s.name << ", eta " << eta);
                CHECK_THAT(order(solver::euler_ancestral{.eta = eta, .variant = variant}, s.schedule, 320),
                           WithinAbs(1.0, 0.1));
                CHECK_THAT(order(solver::dpm2_ancestral{.eta = eta, .variant = variant}, s.schedule,
                                 eta > 1.0 ? 480 : 160),
                           WithinAbs(2.0, 0.1));
                CHECK_THAT(order(solver::dpmpp_2s_ancestral{.eta = eta, .variant = variant}, s.schedule,
                                 eta > 1.0 ? 480 : 160),
                           WithinAbs(2.0, 0.1));
            }
        }
    }
}

TEST_CASE("s_noise scales the fresh noise and nothing else", "[solver][ancestral][exact]") {
    const schedule::flow flow;
    const levels_t levels = warm_levels(flow, 2);
    for (const downstep variant : {downstep::posterior, downstep::flow}) {
        const plan one = solver::euler_ancestral{.variant = variant}.plan(flow, levels);
        const plan more = solver::euler_ancestral{.s_noise = 1.5, .variant = variant}.plan(flow, levels);
        for (std::size_t k = 0; k < 2; ++k) {
            const std::vector<double>& a = one.calls[k].then.rows[0].weights;
            const std::vector<double>& b = more.calls[k].then.rows[0].weights;
            CHECK(a[0] == b[0]);
            CHECK(a[1] == b[1]);
            CHECK_THAT(b[2], WithinRel(1.5 * a[2], same));
        }
        CHECK(counts(solver::euler_ancestral{.s_noise = 0.0, .variant = variant}.plan(flow, levels)).draws ==
              0);
    }
}

TEST_CASE("ancestral methods cost what they declare", "[solver][ancestral][cost]") {
    const schedule::vp_linear vp;
    for (const std::size_t n : {1U, 2U, 3U, 9U}) {
        const levels_t clean = grid::karras(vp, static_cast<int>(n));
        const levels_t noisy = grid::karras(vp, static_cast<int>(n), {.last = grid::final_level::sigma_min});
        CHECK(counts(solver::euler_ancestral{}.plan(vp, noisy)) == plan_counts{n, n, 1, 3 * n, n});
        CHECK(counts(solver::euler_ancestral{}.plan(vp, clean)).draws == n - 1);
        for (const double eta : {0.0, 1.0}) {
            const plan_counts a = counts(solver::dpm2_ancestral{.eta = eta}.plan(vp, noisy));
            const plan_counts b = counts(solver::dpmpp_2s_ancestral{.eta = eta}.plan(vp, clean));
            CHECK(a.network_calls == 2 * n);
            CHECK(b.network_calls == 2 * n - 1);
            CHECK(a.live_tensors == 2);
            CHECK(b.live_tensors == (n > 1 ? 2 : 1));
            CHECK(a.draws == (eta > 0.0 ? n : 0));
            CHECK(b.draws == (eta > 0.0 ? n - 1 : 0));
        }
    }
    for (const double eta : {0.0, 0.5, 1.0}) {
        for (const downstep variant : {downstep::posterior, downstep::flow}) {
            check_short_plans(solver::euler_ancestral{.eta = eta, .variant = variant});
            check_short_plans(solver::dpm2_ancestral{.eta = eta, .variant = variant});
            check_short_plans(solver::dpmpp_2s_ancestral{.eta = eta, .variant = variant});
        }
    }
}

TEST_CASE("ancestral options out of range are refused", "[solver][ancestral][errors]") {
    for (const double bad : {-1e-9, not_a_number}) {
        CHECK(refused(solver::euler_ancestral{.eta = bad}) == "euler_ancestral: eta must be >= 0");
        CHECK(refused(solver::dpm2_ancestral{.eta = bad}) == "dpm2_ancestral: eta must be >= 0");
        CHECK(refused(solver::dpmpp_2s_ancestral{.eta = bad}) == "dpmpp_2s_ancestral: eta must be >= 0");
        CHECK(refused(solver::euler_ancestral{.s_noise = bad}) ==
              "euler_ancestral: s_noise must be finite and not negative");
        CHECK(refused(solver::dpm2_ancestral{.s_noise = bad}) ==
              "dpm2_ancestral: s_noise must be finite and not negative");
        CHECK(refused(solver::dpmpp_2s_ancestral{.s_noise = bad}) ==
              "dpmpp_2s_ancestral: s_noise must be finite and not negative");
    }
    for (const double bad : {-0.1, 1.1, infinity, not_a_number}) {
        CHECK(refused(solver::euler_ancestral{.eta = bad, .variant = downstep::flow}) ==
              "euler_ancestral: eta must lie in [0, 1] with downstep::flow");
    }
    CHECK(refused(solver::euler_ancestral{.variant = static_cast<downstep>(7)}) ==
          "euler_ancestral: variant must be downstep::posterior or downstep::flow");
    CHECK(refusal([] {
              const schedule::edm edm;
              static_cast<void>(solver::dpm2_ancestral{}.plan(edm, levels_t{at(edm, 1.0)}));
          }) == "dpm2_ancestral: need at least two levels, where to start and where to end");
}
