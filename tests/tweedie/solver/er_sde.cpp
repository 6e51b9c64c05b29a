// SPDX-License-Identifier: MIT
#include <tweedie/plan/plan.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/er_sde.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "sde_checks.hpp"

namespace {

using tweedie::solver::er_sde;
using tweedie::solver::noise_scale;

using sde::check_same_law;
using sde::rounding;
constexpr double infinite = std::numeric_limits<double>::infinity();

noise_scale power(double p) { return {noise_scale::kind::power, p}; }

/// The weights of the three data predictions in the last step of three.
struct step_weights {
    double x = 0.0;
    std::vector<double> predictions;  // newest first
    double noise = 0.0;
};

step_weights last_step(const er_sde& ours, const std::vector<tweedie::level>& levels) {
    const tweedie::plan p = ours.plan(tweedie::schedule::edm{}, levels);
    const std::vector<double>& w = p.calls.back().then.rows[0].weights;
    step_weights out;
    out.x = w[0];
    const std::size_t registers = p.calls[p.calls.size() - 2].then.rows.size();
    out.predictions.push_back(w[registers]);
    for (std::size_t r = registers - 1; r > 0; --r) { out.predictions.push_back(w[r]); }  // held oldest first
    if (w.size() > registers + 1) { out.noise = w[registers + 1]; }
    return out;
}

}  // namespace

TEST_CASE("The first order of er_sde is DDIM with the ODE's noise scale and ancestral with the SDE's",
          "[solver][er_sde][identity]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        const sde::levels_t levels = sde::uneven_levels(schedule, 6);
        check_same_law(er_sde{.order = 1, .scale = noise_scale::ode()}.plan(schedule, levels),
                       tweedie::solver::ddim{}.plan(schedule, levels));
        check_same_law(er_sde{.order = 1, .scale = noise_scale::sde()}.plan(schedule, levels),
                       tweedie::solver::ddim{.eta = 1.0}.plan(schedule, levels));
        for (const double p : {1.0, 1.5, 2.0, 3.5}) {  // tau^2 = p - 1
            check_same_law(
                er_sde{.order = 1, .scale = power(p)}.plan(schedule, levels),
                tweedie::solver::sde_dpm_solver{.order = 1, .eta = p - 1.0}.plan(schedule, levels));
        }
    }
}

TEST_CASE("The weights of er_sde are the closed forms of the paper", "[solver][er_sde][exact]") {
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    for (const double reach : {1.0, 30.0}) {  // quadrature over long steps too
        const std::vector<tweedie::level> levels = {tweedie::at(edm, 5.0 * reach),
                                                    tweedie::at(edm, 3.0 * reach), tweedie::at(edm, 0.7)};
        const double s = 3.0 * reach;
        const double t = 0.7;
        // ODE, phi = kappa: int dq/phi = ln(s/t).   SDE, phi = kappa^2: 1/t - 1/s
        const double ode = t - s + t * std::log(s / t);
        const double full = t - s + t * t * (1.0 / t - 1.0 / s);
        const double step = 5.0 * reach - s;
        const step_weights a = last_step({.order = 2, .scale = noise_scale::ode()}, levels);
        CHECK_THAT(a.x, Catch::Matchers::WithinRel(t / s, rounding));
        CHECK_THAT(a.predictions[1], Catch::Matchers::WithinRel(ode / step, rounding));
        CHECK_THAT(a.predictions[0], Catch::Matchers::WithinRel(1.0 - t / s - ode / step, rounding));
        CHECK(a.noise == 0.0);
        const step_weights b = last_step({.order = 2, .scale = noise_scale::sde()}, levels);
        CHECK_THAT(b.x, Catch::Matchers::WithinRel(t * t / s / s, rounding));
        CHECK_THAT(b.predictions[1], Catch::Matchers::WithinRel(full / step, rounding));
        CHECK_THAT(b.noise, Catch::Matchers::WithinRel(std::sqrt(t * t - t * t * t * t / s / s), rounding));
    }
}

TEST_CASE("The recommended noise scale is integrated to rounding", "[solver][er_sde][exact]") {
    // against a midpoint sum of 400000 points, good to 1e-10, of the paper's form of the integral
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    const std::vector<tweedie::level> levels = {tweedie::at(edm, 80.0), tweedie::at(edm, 20.0),
                                                tweedie::at(edm, 2.0)};
    const auto phi = [](double q) { return q * (std::exp(std::pow(q, 0.3)) + 10.0); };
    const int points = 400000;
    double sum = 0.0;
    for (int i = 0; i < points; ++i) { sum += 18.0 / points / phi(2.0 + (i + 0.5) * 18.0 / points); }
    const double first = 2.0 - 20.0 + phi(2.0) * sum;
    const step_weights w = last_step({.order = 2}, levels);
    CHECK_THAT(w.predictions[1], Catch::Matchers::WithinRel(first / 60.0, 1e-9));
    const double r = phi(2.0) / phi(20.0);
    CHECK_THAT(w.x, Catch::Matchers::WithinRel(r, rounding));
    CHECK_THAT(w.noise, Catch::Matchers::WithinRel(std::sqrt(4.0 - 400.0 * r * r), rounding));
}

TEST_CASE("On data that are a point er_sde has the exact law for any steps", "[solver][er_sde][exact]") {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    for (const std::size_t order : {1U, 2U, 3U}) {
        for (const noise_scale& scale : {noise_scale{}, noise_scale::ode(), noise_scale::sde(), power(2.7)}) {
            for (const bool peer : {false, true}) {
                const er_sde ours{.order = order, .scale = scale, .peer_formula = peer};
                for (const int steps : {1, 2, 3, 7}) {
                    for (const auto& [name, schedule] : sde::schedules()) {
                        CHECK(sde::error_on_a_point(
                                  ours.plan(schedule, sde::uneven_levels(schedule, steps))) < rounding);
                    }
                    // from pure noise to clean data, and to a level between
                    sde::levels_t levels = sde::whole_range(steps);
                    CHECK(sde::error_on_a_point(ours.plan(flow, levels)) < rounding);
                    if (steps == 1) { continue; }
                    levels.pop_back();
                    CHECK(sde::error_on_a_point(ours.plan(flow, levels)) < rounding);
                }
            }
        }
    }
}

TEST_CASE("Mean and deviation of er_sde converge with the declared order", "[solver][er_sde][law]") {
    for (const auto& [name, schedule] : sde::schedules()) {
        for (const auto levels : {sde::even_levels, sde::uneven_levels}) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                INFO(name << " order " << order);
                const double declared = order == 1 ? 1.0 : 2.0;
                for (const double p : {1.0, 1.5, 2.0}) {
                    const er_sde ours{.order = order, .scale = power(p)};
                    const sde::law_order m = sde::order_of_law(ours, schedule, p - 1.0, levels, 200);
                    if (p < 2.0) { CHECK(m.mean > declared - 0.1); }  // p = 2: exact
                    CHECK(m.deviation > declared - 0.1);
                    CHECK(m.finest.deviation < (order == 1 ? 3e-2 : 3e-4));
                }
                const sde::law_order m =
                    sde::order_of_law(er_sde{.order = order}, schedule, 0.0, levels, 200);
                CHECK(m.deviation > declared - 0.1);
                CHECK(m.finest.deviation < (order == 1 ? 3e-2 : 3e-4));
            }
        }
    }
}

TEST_CASE("Between starts of its own order er_sde-3 is of third order, as published of second",
          "[solver][er_sde][order]") {
    // the error of one step grows with the fourth and the third power of the step
    const tweedie::any_schedule edm = tweedie::schedule::edm{};
    const auto local_error = [&](double h, bool peer) {
        // three steps of length h; the data prediction is the smooth function 1 / (1 + kappa) of the level
        const auto at = [&](double k) { return std::exp(-(0.3 + k * h)); };
        const std::vector<tweedie::level> levels = {tweedie::at(edm, at(-2)), tweedie::at(edm, at(-1)),
                                                    tweedie::at(edm, at(0)), tweedie::at(edm, at(1))};
        const step_weights w =
            last_step({.order = 3, .scale = noise_scale::sde(), .peer_formula = peer}, levels);
        const auto law = [](double kappa) { return 1.0 / (1.0 + kappa); };
        double found = 0.0;
        for (int age = 0; age < 3; ++age) {
            found += w.predictions[static_cast<std::size_t>(age)] * law(at(-age));
        }
        // phi = q^2: phi_t int phi'/phi^2 D dq = t^2 int 2 / (q^3 (1 + q)) dq
        const auto primitive = [](double q) {
            return 2.0 * (-0.5 / (q * q) + 1.0 / q + std::log(q) - std::log1p(q));
        };
        const double t = at(1);
        const double exact = t * t * (primitive(at(0)) - primitive(t));
        return std::abs(found - exact);
    };
    const auto slope = [&](bool peer) {
        return std::log2(local_error(0.04, peer) / local_error(0.02, peer));
    };
    CHECK_THAT(slope(false), Catch::Matchers::WithinAbs(4.0, 0.1));
    CHECK_THAT(slope(true), Catch::Matchers::WithinAbs(3.0, 0.1));
}

TEST_CASE("er_sde costs one call and one draw; the ODE's draws nothing", "[solver][er_sde][cost]") {
    const tweedie::any_schedule vp = tweedie::schedule::vp_linear{};
    for (const std::size_t order : {1U, 2U, 3U}) {
        const tweedie::plan_counts one = sde::cost_of_a_step(er_sde{.order = order}, vp);
        CHECK(one.network_calls == 1);
        CHECK(one.draws == 1);
        CHECK(one.reads == order + 2);
        CHECK(one.writes == (order == 1 ? 1 : 2));
        CHECK(one.live_tensors == order);
    }
    CHECK(tweedie::counts(er_sde{.scale = noise_scale::ode()}.plan(vp, sde::even_levels(vp, 4))).draws == 0);
    CHECK(tweedie::counts(er_sde{}.plan(vp, tweedie::grid::log_snr(vp, 4))).draws == 3);
}

TEST_CASE("er_sde refuses options that make no sense", "[solver][er_sde][errors]") {
    constexpr double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK(sde::refusal(er_sde{.order = 0}) == "er_sde: order must lie in [1, 3]");
    CHECK(sde::refusal(er_sde{.order = 4}) == "er_sde: order must lie in [1, 3]");
    for (const double bad : {-0.1, nan, infinite}) {
        CHECK(sde::refusal(er_sde{.s_noise = bad}) == "er_sde: s_noise must be finite and not negative");
        CHECK(sde::refusal(er_sde{.scale = power(bad)}) ==
              "er_sde: the power of the noise scale must be finite and at least 1");
    }
    CHECK(sde::refusal(er_sde{.scale = power(0.9)}) ==
          "er_sde: the power of the noise scale must be finite and at least 1");
}
