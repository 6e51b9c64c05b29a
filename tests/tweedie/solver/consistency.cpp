// SPDX-License-Identifier: MIT
#include <tweedie/plan/analyze.hpp>
#include <tweedie/solver/consistency.hpp>
#include <tweedie/solver/lcm.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;

/// The consistency function of Gaussian data N(mu, v): the end of the probability flow, at kappa_min.
double exact_jump(double x, const level& at, double kappa_min) {
    constexpr double mu = 0.7;
    constexpr double v = 0.3;
    const double y = x / at.alpha;
    const double kappa = at.sigma / at.alpha;
    return mu + (y - mu) * std::sqrt((v + kappa_min * kappa_min) / (v + kappa * kappa));
}

/// Mean and variance of the end of a run whose network is linear, over starts N(mean, variance) and fresh
/// noise.
struct moments {
    double mean = 0.0;
    double variance = 0.0;
};
template <class Law>
moments moments_of(const plan& p, const any_schedule& schedule, moments start, const Law& x0) {
    const std::size_t draws = counts(p).draws;
    const std::vector<std::vector<double>> none(draws, std::vector<double>{0.0});
    const double base = run_on_double(p, schedule, start.mean, x0, nullptr, none);
    const double along = run_on_double(p, schedule, start.mean + 1.0, x0, nullptr, none) - base;
    moments out{base, along * along * start.variance};
    for (std::size_t k = 0; k < draws; ++k) {
        std::vector<std::vector<double>> one = none;
        one[k][0] = 1.0;
        const double gain = run_on_double(p, schedule, start.mean, x0, nullptr, one) - base;
        out.variance += gain * gain;
    }
    return out;
}

}  // namespace

TEST_CASE("an exact consistency function gives exact samples in any number of steps",
          "[solver][consistency][exact]") {
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 2, 5}) {
            for (const double kappa_min : {0.0, 0.02}) {
                INFO(s.name << ", " << steps << " steps, to kappa " << kappa_min);
                const levels_t levels =
                    kappa_min == 0.0
                        ? grid::karras(s.schedule, steps, {.sigma_max = 20.0})
                        : grid::karras(
                              s.schedule, steps,
                              {.sigma_max = 20.0, .sigma_min = 0.02, .last = grid::final_level::sigma_min});
                const plan p = solver::consistency{.kappa_min = kappa_min}.plan(s.schedule, levels);
                CHECK(counts(p).draws == static_cast<std::size_t>(steps - 1));
                const level& from = levels.front();
                const level& to = levels.back();
                const moments end =
                    moments_of(p, s.schedule,
                               {from.alpha * 0.7, from.alpha * from.alpha * 0.3 + from.sigma * from.sigma},
                               [&](double x, const level& at) { return exact_jump(x, at, kappa_min); });
                CHECK_THAT(end.mean, WithinRel(to.alpha * 0.7, 1e-11));
                // kappa_min through the schedule's time is known to 1e-13 of kappa
                CHECK_THAT(end.variance,
                           WithinRel(to.alpha * to.alpha * (0.3 + kappa_min * kappa_min), 1e-11));
            }
        }
    }
}

TEST_CASE("an ordinary denoiser under multistep consistency sampling has too little variance, ever",
          "[solver][consistency]") {
    const schedule::edm edm;
    for (const int steps : {4, 64, 1024}) {
        const levels_t levels = grid::karras(edm, steps, {.sigma_max = 20.0});
        const transfer end = analyze(solver::consistency{}.plan(edm, levels), 0.3);
        const double variance = end.start * end.start * (0.3 + 400.0) + end.noise_variance;
        CHECK(variance < 0.7 * 0.3);
        CHECK_THAT(end.start + end.mean, WithinRel(1.0, same));  // the mean is right
    }
}

TEST_CASE("the boundary scalings make the identity of a network at kappa_min, and are the paper's above",
          "[solver][consistency][exact]") {
    // the network F of EDM's preconditioning, read as x0 = c_skip x + c_out F
    constexpr double d = 0.5;
    constexpr double kappa_min = 0.002;
    const schedule::edm edm;
    const auto f_net = [](double x, double sigma) { return std::sin(3.0 * x + sigma); };
    const auto x0 = [&](double x, const level& at) {
        const double total = at.sigma * at.sigma + d * d;
        return d * d / total * x + at.sigma * d / std::sqrt(total) * f_net(x, at.sigma);
    };
    for (const double sigma : {0.0020001, 0.1, 3.0, 80.0}) {
        const levels_t levels = {{sigma, 1.0, sigma}, {kappa_min, 1.0, kappa_min}};
        const plan p = solver::consistency{.kappa_min = kappa_min, .sigma_data = d}.plan(edm, levels);
        const double x = 0.37;
        const double above = sigma - kappa_min;
        const double f = d * d / (above * above + d * d) * x +
                         d * above / std::sqrt(sigma * sigma + d * d) * f_net(x, sigma);
        CHECK_THAT(run_on_double(p, edm, x, x0), WithinRel(f, tol<double>::identity));
    }
    CHECK_THAT(run_on_double(solver::consistency{.kappa_min = kappa_min, .sigma_data = d}.plan(
                                 edm, levels_t{{0.0020001, 1.0, 0.0020001}, {kappa_min, 1.0, kappa_min}}),
                             edm, 0.37, x0),
               WithinAbs(0.37, 1e-6));
}

TEST_CASE("on trig, consistency sampling is TrigFlow's", "[solver][consistency][trig][identity]") {
    const schedule::trig trig;
    const levels_t levels = {at(trig, 1.5), at(trig, 1.1), at(trig, 0.0)};
    const plan p = solver::consistency{}.plan(trig, levels);
    // F with x0_hat = cos t x - sin t F
    const auto f_net = [](double x, double t) { return std::cos(2.0 * x) + t; };
    const auto x0 = [&](double x, const level& l) {
        return std::cos(l.t) * x - std::sin(l.t) * f_net(x, l.t);
    };
    const double z = -0.4;
    double x = 0.9;
    x = std::cos(1.5) * x - std::sin(1.5) * f_net(x, 1.5);
    x = std::cos(1.1) * x + std::sin(1.1) * z;
    x = std::cos(1.1) * x - std::sin(1.1) * f_net(x, 1.1);
    CHECK_THAT(run_on_double(p, trig, 0.9, x0, nullptr, {{z}}), WithinRel(x, same));
}

TEST_CASE("lcm is its authors' step, and consistency where the scalings have saturated",
          "[solver][lcm][exact]") {
    const schedule::discrete table = schedule::discrete::scaled_linear();
    const levels_t levels = {at(table, 999.0), at(table, 499.0), at(table, 1.0), at(table, -1.0)};
    const plan p = solver::lcm{}.plan(table, levels);
    CHECK(counts(p) == plan_counts{3, 2, 1, 8, 3});
    const std::vector<std::vector<double>> z = {{0.3}, {-1.2}};
    double x = 0.8;
    for (std::size_t i = 0; i < 3; ++i) {
        const double tau = 10.0 * levels[i].t;
        const double skip = 0.25 / (tau * tau + 0.25);
        const double out = tau / std::sqrt(tau * tau + 0.25);
        x = out * smooth_humps(x, levels[i]) + skip * x;
        if (i < 2) { x = levels[i + 1].alpha * x + levels[i + 1].sigma * z[i][0]; }
    }
    CHECK_THAT(run_on_double(p, table, 0.8, smooth_humps, nullptr, z), WithinRel(x, same));
    const plan far = solver::lcm{.timestep_scaling = 1e9}.plan(table, levels);
    const plan plain = solver::consistency{}.plan(table, levels);
    CHECK_THAT(run_on_double(far, table, 0.8, smooth_humps, nullptr, z),
               WithinRel(run_on_double(plain, table, 0.8, smooth_humps, nullptr, z), same));
    // at the schedule's last noise level nothing is changed
    const plan still = solver::lcm{}.plan(table, levels_t{at(table, 0.0), at(table, -1.0)});
    CHECK(still.calls[0].then.rows[0].weights == std::vector<double>{1.0, 0.0});
}

TEST_CASE("lcm's scalings are those of a network's whole range on every schedule", "[solver][lcm][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        // from the last noise level f = x, from the middle of the range in time it is all but the prediction
        const time_range range = s.schedule.range();
        const level clean = at_half_log_snr(s.schedule, infinity);
        const auto skip = [&](double t) {
            const plan p = solver::lcm{}.plan(s.schedule, levels_t{at(s.schedule, t), clean});
            return p.calls[0].then.rows.at(0).weights.at(0);
        };
        CHECK(skip(range.clean) == clean.alpha);
        CHECK(skip((range.noisy + range.clean) / 2) < 1e-6);
    }
}

TEST_CASE("consistency and lcm draw between jumps and not after the last",
          "[solver][consistency][lcm][cost]") {
    for (const named_schedule& s : all_schedules()) {
        for (const int n : {1, 2, 3, 7}) {
            INFO(s.name << ", " << n << " steps");
            const auto steps = static_cast<std::size_t>(n);
            const levels_t clean = grid::karras(s.schedule, n);
            const levels_t noisy = grid::karras(s.schedule, n, {.last = grid::final_level::sigma_min});
            const plan_counts one = counts(solver::consistency{}.plan(s.schedule, clean));
            CHECK((one.network_calls == steps && one.draws == steps - 1 && one.live_tensors == 1));
            CHECK(counts(solver::consistency{.s_noise = 0.0}.plan(s.schedule, clean)).draws == 0);
            CHECK(counts(solver::consistency{}.plan(s.schedule, noisy)).draws == steps);
            const plan_counts two = counts(solver::lcm{}.plan(s.schedule, clean));
            CHECK((two.network_calls == steps && two.draws == steps - 1 && two.live_tensors == 1));
        }
    }
}

TEST_CASE("consistency and lcm refuse options out of range", "[solver][consistency][lcm][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    const auto says = [&](const auto& solver) {
        return refusal([&] { static_cast<void>(solver.plan(edm, good)); });
    };
    for (const double bad : {not_a_number, -1.0, infinity}) {
        CHECK(says(solver::consistency{.kappa_min = bad}) ==
              "consistency: kappa_min must be finite and not negative");
        CHECK(says(solver::consistency{.sigma_data = bad}) ==
              "consistency: sigma_data must be finite and not negative");
        CHECK(says(solver::consistency{.s_noise = bad}) ==
              "consistency: s_noise must be finite and not negative");
        CHECK(says(solver::lcm{.timestep_scaling = bad}) ==
              "lcm: timestep_scaling must be positive and finite");
        CHECK(says(solver::lcm{.sigma_data = bad}) == "lcm: sigma_data must be positive and finite");
    }
    CHECK(says(solver::lcm{.sigma_data = 0.0}) == "lcm: sigma_data must be positive and finite");
    CHECK(says(solver::consistency{.kappa_min = 5.0}) ==
          "consistency: every level but the last must lie above kappa_min");
    CHECK(refusal([&] { static_cast<void>(solver::consistency{}.plan(edm, {})); }) ==
          "consistency: need at least two levels, where to start and where to end");
    CHECK(refusal([&] { static_cast<void>(solver::lcm{}.plan(edm, {})); }) ==
          "lcm: need at least two levels, where to start and where to end");
}
