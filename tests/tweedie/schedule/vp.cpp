// SPDX-License-Identifier: MIT
#include <tweedie/schedule/vp.hpp>

#include <support/reference.hpp>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("vp_linear is the closed form of Song et al.", "[schedule][vp_linear][exact]") {
    const schedule::vp_linear vp;
    for (const double t : times_between(1e-12, 1.0, 2000)) {
        // in long double, where the cancellation of 1 - exp(-B) costs nothing that a double would show
        const auto time = static_cast<long double>(t);
        const long double b = 0.1L * time + 0.5L * time * time * (20.0L - 0.1L);
        const auto alpha = static_cast<double>(std::exp(-0.5L * b));
        const auto sigma = static_cast<double>(std::sqrt(-std::expm1(-b)));
        const auto lambda = static_cast<double>(-0.5L * std::log(std::expm1(b)));
        REQUIRE_THAT(vp.alpha(t), WithinRel(alpha, tol<double>::exact));
        REQUIRE_THAT(vp.sigma(t), WithinRel(sigma, tol<double>::exact));
        REQUIRE_THAT(vp.half_log_snr(t), WithinAbs(lambda, tol<double>::exact * (1.0 + std::abs(lambda))));
        REQUIRE_THAT(vp.alpha(t) * vp.alpha(t) + vp.sigma(t) * vp.sigma(t),
                     WithinRel(1.0, tol<double>::exact));
    }
}

TEST_CASE("vp_linear has the numbers of dpm_solver", "[schedule][vp_linear][reference]") {
    // that code uses beta 0.1 and 20, and ln(alpha) - ln(1 - alpha^2) / 2 without expm1
    const schedule::vp_linear vp;
    const auto recorded = reference("official_dpm_solver.json")["noise_schedule"].back();
    for (std::size_t i = 0; i < recorded["t"].size(); ++i) {
        const double t = recorded["t"][i];
        CHECK_THAT(vp.alpha(t), WithinRel(recorded["alpha"][i].get<double>(), 1e-12));
        CHECK_THAT(vp.sigma(t), WithinRel(recorded["sigma"][i].get<double>(), 1e-12));
        CHECK_THAT(vp.half_log_snr(t), WithinRel(recorded["lam"][i].get<double>(), 1e-12));
    }
}

TEST_CASE("vp_linear is consistent from its clean end to its noisy end", "[schedule][vp_linear][identity]") {
    const schedule::vp_linear vp;
    check_consistency(vp, times_between(1e-3, 1.0, 5000));
    check_consistency(vp, times_between(1e-15, 1e-3, 5000));
    check_consistency(schedule::vp_linear({.beta_min = 2.0, .beta_max = 2.0}), times_between(1e-6, 1.0, 500));
    check_consistency(schedule::vp_linear({.beta_max = 2500.0}), times_between(1e-6, 1.0, 500));
    check_rates(vp, times_between(0.1, 0.98, 200), 0.01);
    check_clean_end(vp, 0.0);
    CHECK(vp.time_at(vp.half_log_snr(1.0)) == 1.0);
    CHECK(vp.range() == time_range{1.0, 1e-3});
    CHECK(schedule::vp_linear({.clean = 1e-4}).range() == time_range{1.0, 1e-4});
}

TEST_CASE("the sigma of vp_linear starts with infinite slope", "[schedule][vp_linear][exact]") {
    const schedule::vp_linear vp;
    CHECK(vp.sigma_rate(0.0) == infinity);
    CHECK_THAT(vp.alpha_rate(0.0), WithinRel(-0.05, tol<double>::exact));
    CHECK_THAT(vp.sigma_rate(1e-14), WithinRel(0.5 * std::sqrt(0.1 / 1e-14), 1e-10));
}

TEST_CASE("vp_linear refuses what it does not have", "[schedule][vp_linear][errors]") {
    const schedule::vp_linear vp;
    check_domain(vp, {-1e-300, 1.0000001, infinity, -infinity}, "schedule::vp_linear: t must lie in [0, 1]");
    CHECK_THROWS_WITH(vp.time_at(-6.0), "schedule::vp_linear: half_log_snr must be at least that of t = 1");
    CHECK_THROWS_AS(vp.time_at(-infinity), std::invalid_argument);
    const char* betas = "schedule::vp_linear: need 0 < beta_min <= beta_max < infinity";
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_min = 0.0}), betas);
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_min = 21.0}), betas);
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_min = not_a_number}), betas);
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_max = not_a_number}), betas);
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_max = infinity}), betas);
    CHECK_THROWS_WITH(schedule::vp_linear({.beta_max = 3000.0}),
                      "schedule::vp_linear: beta_max must leave a signal at t = 1, alpha > 0");
    const char* clean = "schedule::vp_linear: clean must lie in (0, 1)";
    CHECK_THROWS_WITH(schedule::vp_linear({.clean = 0.0}), clean);
    CHECK_THROWS_WITH(schedule::vp_linear({.clean = 1.0}), clean);
    CHECK_THROWS_WITH(schedule::vp_linear({.clean = not_a_number}), clean);
}

TEST_CASE("vp_cosine is the closed form of Nichol and Dhariwal", "[schedule][vp_cosine][exact]") {
    const schedule::vp_cosine vp;
    const long double half_pi = std::acos(-1.0L) / 2.0L;
    const long double start = std::cos(half_pi * 0.008L / 1.008L);
    for (const double t : times_between(1e-9, 1.0 - 1e-9, 2000)) {
        const long double alpha = std::cos(half_pi * (static_cast<long double>(t) + 0.008L) / 1.008L) / start;
        const long double sigma = std::sqrt((1.0L - alpha) * (1.0L + alpha));
        REQUIRE_THAT(vp.alpha(t), WithinRel(static_cast<double>(alpha), 1e-9));
        REQUIRE_THAT(vp.sigma(t), WithinRel(static_cast<double>(sigma), 1e-9));
        if (t > 1e-3 && t < 0.999) {
            REQUIRE_THAT(vp.alpha(t), WithinRel(static_cast<double>(alpha), tol<double>::exact));
            REQUIRE_THAT(vp.sigma(t), WithinRel(static_cast<double>(sigma), tol<double>::exact));
        }
    }
}

TEST_CASE("vp_cosine is consistent from clean to pure noise", "[schedule][vp_cosine][identity]") {
    const schedule::vp_cosine vp;
    check_consistency(vp, times_between(1e-3, 0.9946, 5000));
    check_consistency(vp, times_between(1e-15, 1e-3, 5000));
    check_consistency(vp, times_between(0.9, 0.999999, 5000));
    check_consistency(schedule::vp_cosine({.offset = 0.2}), times_between(1e-6, 0.9999, 500));
    check_rates(vp, times_between(0.1, 0.98, 200), 0.01);
    check_clean_end(vp, 0.0);
    check_pure_noise_end(vp, 1.0);
    CHECK(vp.sigma_rate(0.0) == infinity);
    CHECK(vp.sigma_rate(1.0) == 0.0);
    CHECK(vp.range() == time_range{0.9946, 1e-3});
    CHECK(schedule::vp_cosine({.noisy = 1.0}).range() == time_range{1.0, 1e-3});
}

TEST_CASE("vp_cosine refuses what it does not have", "[schedule][vp_cosine][errors]") {
    check_domain(schedule::vp_cosine{}, {-1e-9, 1.001, infinity},
                 "schedule::vp_cosine: t must lie in [0, 1]");
    const char* offset = "schedule::vp_cosine: need 0 < offset < infinity";
    CHECK_THROWS_WITH(schedule::vp_cosine({.offset = 0.0}), offset);
    CHECK_THROWS_WITH(schedule::vp_cosine({.offset = not_a_number}), offset);
    const char* range = "schedule::vp_cosine: need 0 < clean < noisy <= 1";
    CHECK_THROWS_WITH(schedule::vp_cosine({.noisy = 1.1}), range);
    CHECK_THROWS_WITH(schedule::vp_cosine({.noisy = 1e-4}), range);
    CHECK_THROWS_WITH(schedule::vp_cosine({.noisy = not_a_number}), range);
    CHECK_THROWS_WITH(schedule::vp_cosine({.clean = 0.0}), range);
    CHECK_THROWS_WITH(schedule::vp_cosine({.clean = not_a_number}), range);
}
