// SPDX-License-Identifier: MIT
#include <tweedie/schedule/edm.hpp>

#include "checks.hpp"

using namespace tweedie;

TEST_CASE("the time of edm is its noise level", "[schedule][edm][exact]") {
    const schedule::edm edm;
    for (const double t : {0.0, 1e-300, 0.002, 1.0, 80.0, 1e6}) {
        CHECK(edm.alpha(t) == 1.0);
        CHECK(edm.sigma(t) == t);
        CHECK(edm.alpha_rate(t) == 0.0);
        CHECK(edm.sigma_rate(t) == 1.0);
    }
    CHECK(edm.half_log_snr(1.0) == 0.0);
    CHECK(edm.range() == time_range{80.0, 0.002});
    CHECK(schedule::edm({.sigma_min = 0.03, .sigma_max = 14.6}).range() == time_range{14.6, 0.03});
}

TEST_CASE("edm is consistent far beyond its range", "[schedule][edm][identity]") {
    check_consistency(schedule::edm{}, times_between(0.002, 80.0, 5000));
    check_consistency(schedule::edm{}, times_between(1e-12, 1e-3, 500));
    check_consistency(schedule::edm{}, times_between(80.0, 1e6, 500));
    check_clean_end(schedule::edm{}, 0.0);
}

TEST_CASE("edm refuses what it does not have", "[schedule][edm][errors]") {
    const schedule::edm edm;
    check_domain(edm, {-1e-300, infinity, -infinity}, "schedule::edm: t must lie in [0, infinity)");
    CHECK_THROWS_WITH(edm.time_at(-infinity),
                      "schedule::edm: half_log_snr must be that of a finite noise level, -ln(sigma)");
    const char* range = "schedule::edm: need 0 < sigma_min < sigma_max < infinity";
    CHECK_THROWS_WITH(schedule::edm({.sigma_min = 0.0}), range);
    CHECK_THROWS_WITH(schedule::edm({.sigma_min = 80.0}), range);
    CHECK_THROWS_WITH(schedule::edm({.sigma_min = not_a_number}), range);
    CHECK_THROWS_WITH(schedule::edm({.sigma_max = infinity}), range);
    CHECK_THROWS_WITH(schedule::edm({.sigma_max = not_a_number}), range);
}
