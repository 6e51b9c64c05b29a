// SPDX-License-Identifier: MIT
#include <tweedie/schedule/ve.hpp>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("ve is geometric in time", "[schedule][ve][exact]") {
    const schedule::ve ve;
    CHECK(ve.sigma(0.0) == 0.01);
    CHECK(ve.sigma(1.0) == 50.0);
    CHECK_THAT(ve.sigma(0.5), WithinRel(std::sqrt(0.5), tol<double>::exact));
    for (const double t : times_between(-2.0, 1.0, 500)) {
        REQUIRE_THAT(ve.sigma(t), WithinRel(0.01 * std::pow(5000.0, t), 1e-13));
        REQUIRE(ve.alpha(t) == 1.0);
    }
}

TEST_CASE("ve is consistent on all its times", "[schedule][ve][identity]") {
    const schedule::ve ve;
    check_consistency(ve, times_between(1e-3, 1.0, 5000));
    check_consistency(ve, times_between(-10.0, -1e-3, 5000));
    check_rates(ve, times_between(-1.0, 0.98, 200), 0.01);
    check_clean_end(ve, -infinity);
    CHECK(ve.alpha_rate(-infinity) == 0.0);
    CHECK(ve.sigma_rate(-infinity) == 0.0);
    CHECK(ve.time_at(-std::log(50.0)) == 1.0);
    CHECK(ve.range() == time_range{1.0, 0.0});
    CHECK(schedule::ve({.sigma_max = 348.0}).sigma(1.0) == 348.0);
}

TEST_CASE("ve refuses what it does not have", "[schedule][ve][errors]") {
    const schedule::ve ve;
    check_domain(ve, {1.001, infinity}, "schedule::ve: t must lie in [-infinity, 1]");
    CHECK_THROWS_WITH(ve.time_at(-4.0),
                      "schedule::ve: half_log_snr must be at least that of t = 1, -ln(sigma_max)");
    CHECK_THROWS_AS(ve.time_at(-infinity), std::invalid_argument);
    const char* range = "schedule::ve: need 0 < sigma_min < sigma_max < infinity";
    CHECK_THROWS_WITH(schedule::ve({.sigma_min = 0.0}), range);
    CHECK_THROWS_WITH(schedule::ve({.sigma_min = 50.0}), range);
    CHECK_THROWS_WITH(schedule::ve({.sigma_min = not_a_number}), range);
    CHECK_THROWS_WITH(schedule::ve({.sigma_max = infinity}), range);
    CHECK_THROWS_WITH(schedule::ve({.sigma_max = not_a_number}), range);
}
