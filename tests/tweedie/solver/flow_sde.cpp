// SPDX-License-Identifier: MIT

// The SDE with the marginals of the probability flow, for any diffusion coefficient.

#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/flow_sde.hpp>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

namespace {

using solver::flow_sde;
using coefficient = flow_sde::coefficient;
using form = flow_sde::scheme;

constexpr double same = 1e-13;  // the same coefficients by another formula

}  // namespace

TEST_CASE("with no diffusion flow_sde is euler in its native form and ddim in the exponential one",
          "[solver][flow_sde][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            for (const coefficient g : {coefficient::constant, coefficient::sigma, coefficient::forward,
                                        coefficient::flow_grpo, coefficient::given}) {
                INFO(s.name);
                const levels_t levels = grid::karras(s.schedule, 6, {.last = last});
                const std::vector<double> none(6, 0.0);
                check_same(flow_sde{.g = g, .scale = 0.0, .variant = form::exponential, .values = none}.plan(
                               s.schedule, levels),
                           solver::ddim{}.plan(s.schedule, levels), same);
                check_same(
                    flow_sde{.g = g, .scale = 0.0, .variant = form::euler_maruyama, .values = none}.plan(
                        s.schedule, levels),
                    solver::euler{}.plan(s.schedule, levels), same);
            }
        }
    }
}

TEST_CASE("the exponential form of the forward SDE's reversal is ddim with eta = 1",
          "[solver][flow_sde][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 6);
        check_same(flow_sde{}.plan(s.schedule, levels), solver::ddim{.eta = 1.0}.plan(s.schedule, levels),
                   same);
    }
}

TEST_CASE("the step of Flow-GRPO is that of its paper", "[solver][flow_sde][exact]") {
    // x + (v + s^2 / (2 t) (x + (1 - t) v)) dt + s sqrt(-dt) z with s = a sqrt(t / (1 - t)), in x and x0 = x
    // - t v
    const schedule::flow flow;
    const levels_t levels = {at(flow, 1.0), at(flow, 0.8), at(flow, 0.5), at(flow, 0.25)};
    const double a = 0.7;
    const plan p =
        flow_sde{.g = coefficient::flow_grpo, .scale = a, .variant = form::euler_maruyama}.plan(flow, levels);
    for (std::size_t i = 0; i < 3; ++i) {
        const double t = levels[i].t;
        const double dt = levels[i + 1].t - t;
        const double g2 = a * a * t / (1.0 - (i == 0 ? levels[1].t : t));
        const double on_x = 1.0 + g2 / (2.0 * t) * dt;
        const double on_v = (1.0 + g2 * (1.0 - t) / (2.0 * t)) * dt;
        const std::vector<double>& w = p.calls[i].then.rows[0].weights;
        CHECK_THAT(w[0], WithinRel(on_x + on_v / t, same));
        CHECK_THAT(w[1], WithinAbs(-on_v / t, same));
        CHECK_THAT(w[2], WithinRel(std::sqrt(-g2 * dt), same));
    }
    // on flow it is the forward SDE's reversal, scaled
    const levels_t warm = warm_levels(flow, 5);
    check_same(
        flow_sde{.g = coefficient::flow_grpo, .scale = a, .variant = form::euler_maruyama}.plan(flow, warm),
        flow_sde{.g = coefficient::forward, .scale = a / std::sqrt(2.0), .variant = form::euler_maruyama}
            .plan(flow, warm),
        same);
}

TEST_CASE("Flow-GRPO's sampler gives the standard deviations of an independent simulation",
          "[solver][flow_sde][reference]") {
    // data N(1.5, 0.4^2), a = 0.7, times 3 t / (1 + 2 t) with t even from 1 to 0.001, then 0; simulated in
    // Python
    const schedule::flow flow;
    struct recorded {
        int steps;
        double ode;
        double sde;
    };
    for (const recorded& r :
         {recorded{10, 0.266, 0.332}, recorded{40, 0.365, 0.380}, recorded{160, 0.392, 0.396}}) {
        levels_t levels;
        for (int i = 0; i < r.steps; ++i) {
            const double t = 1.0 - 0.999 * i / (r.steps - 1.0);
            levels.push_back(at(flow, 3.0 * t / (1.0 + 2.0 * t)));
        }
        levels.push_back(at(flow, 0.0));
        const auto deviation = [&](double scale) {
            return std::sqrt(
                at_end(flow_sde{.g = coefficient::flow_grpo, .scale = scale, .variant = form::euler_maruyama}
                           .plan(flow, levels),
                       0.16)
                    .variance);
        };
        CHECK_THAT(deviation(0.0), WithinAbs(r.ode, 2e-3));  // theirs are estimates from samples
        CHECK_THAT(deviation(0.7), WithinAbs(r.sde, 2e-3));
    }
}

TEST_CASE("the direction of a schedule's time does not matter", "[solver][flow_sde][identity]") {
    const schedule::flow forth;
    const schedule::flow back({.time = schedule::flow_time::data_at_one});
    for (const form variant : {form::euler_maruyama, form::exponential}) {
        const flow_sde method{.g = coefficient::sigma, .scale = 0.8, .variant = variant};
        const transfer a = analyze(method.plan(forth, warm_levels(forth, 5)), 0.4);
        const transfer b = analyze(method.plan(back, warm_levels(back, 5)), 0.4);
        CHECK_THAT(a.start, WithinRel(b.start, 1e-12));
        CHECK_THAT(a.mean, WithinRel(b.mean, 1e-12));
        CHECK_THAT(a.noise_variance, WithinRel(b.noise_variance, 1e-12));
    }
}

TEST_CASE("the law of flow_sde converges with order 1 for every diffusion coefficient",
          "[solver][flow_sde][order]") {
    struct choice {
        coefficient g;
        double scale;
    };
    for (const named_schedule& s : families()) {
        for (const form variant : {form::euler_maruyama, form::exponential}) {
            for (const choice& c : {choice{coefficient::constant, 0.3}, choice{coefficient::sigma, 0.5},
                                    choice{coefficient::forward, 1.0}, choice{coefficient::forward, 1.4},
                                    choice{coefficient::flow_grpo, 0.7}}) {
                INFO(s.name << ", g " << static_cast<int>(c.g) << ", form " << static_cast<int>(variant));
                CHECK_THAT(order(flow_sde{.g = c.g, .scale = c.scale, .variant = variant}, s.schedule, 640),
                           WithinAbs(1.0, 0.1));
            }
        }
    }
}

TEST_CASE("values given for each step are the coefficient itself", "[solver][flow_sde][identity]") {
    const schedule::vp_linear vp;
    for (const form variant : {form::euler_maruyama, form::exponential}) {
        const levels_t levels = grid::karras(vp, 5);
        std::vector<double> values;
        for (std::size_t i = 0; i < 4; ++i) { values.push_back(0.6 * levels[i].sigma); }
        check_same(flow_sde{.g = coefficient::given, .variant = variant, .values = values}.plan(vp, levels),
                   flow_sde{.g = coefficient::sigma, .scale = 0.6, .variant = variant}.plan(vp, levels), 0.0);
    }
}

TEST_CASE("the two forms add the same noise in a short step", "[solver][flow_sde][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const level from = at_half_log_snr(s.schedule, -0.4);
        const level to = at_half_log_snr(s.schedule, -0.399);
        for (const coefficient g :
             {coefficient::constant, coefficient::sigma, coefficient::forward, coefficient::flow_grpo}) {
            INFO(s.name << ", g " << static_cast<int>(g));
            const auto noise = [&](form variant) {
                return flow_sde{.g = g, .scale = 0.05, .variant = variant}
                    .plan(s.schedule, levels_t{from, to})
                    .calls[0]
                    .then.rows[0]
                    .weights.back();
            };
            // they differ by the step's relative length, 1e-3
            CHECK_THAT(noise(form::exponential), WithinRel(noise(form::euler_maruyama), 3e-3));
        }
    }
}

TEST_CASE("the exponential form never adds more noise than the target has", "[solver][flow_sde][exact]") {
    const schedule::edm edm;
    const levels_t levels = grid::karras(edm, 4, {.last = grid::final_level::sigma_min});
    for (const coefficient g : {coefficient::constant, coefficient::sigma, coefficient::flow_grpo}) {
        const plan p = flow_sde{.g = g, .scale = 10.0}.plan(edm, levels);
        for (std::size_t i = 0; i < 4; ++i) {
            CHECK(p.calls[i].then.rows[0].weights.back() <= levels[i + 1].sigma);
        }
    }
}

TEST_CASE("flow_sde costs one call and one draw per step", "[solver][flow_sde][cost]") {
    const schedule::flow flow;
    for (const form variant : {form::euler_maruyama, form::exponential}) {
        const flow_sde method{.g = coefficient::flow_grpo, .scale = 0.7, .variant = variant};
        CHECK(counts(method.plan(flow, warm_levels(flow, 5))) == plan_counts{5, 5, 1, 15, 5});
        CHECK(counts(method.plan(flow, grid::karras(flow, 5))).network_calls == 5);
        for (const coefficient g :
             {coefficient::constant, coefficient::sigma, coefficient::forward, coefficient::flow_grpo}) {
            check_short_plans(flow_sde{.g = g, .variant = variant});
        }
    }
    CHECK(counts(flow_sde{}.plan(flow, grid::karras(flow, 5))).draws == 4);
}

TEST_CASE("flow_sde refuses options out of range", "[solver][flow_sde][errors]") {
    for (const double bad : {-1.0, not_a_number, infinity}) {
        CHECK(refused(flow_sde{.scale = bad}) == "flow_sde: scale must be finite and not negative");
        CHECK(refused(flow_sde{.g = coefficient::given, .values = std::vector<double>(10, bad)}) ==
              "flow_sde: values must be finite and not negative");
    }
    CHECK(refused(flow_sde{.g = coefficient::given}) == "flow_sde: values must hold one number per step");
    CHECK(refused(flow_sde{.g = static_cast<coefficient>(9)}) ==
          "flow_sde: g must be one of flow_sde::coefficient");
    CHECK(refused(flow_sde{.variant = static_cast<form>(9)}) ==
          "flow_sde: variant must be euler_maruyama or exponential");
}
