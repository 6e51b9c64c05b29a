// SPDX-License-Identifier: MIT
#include <tweedie/schedule/trig.hpp>

#include "checks.hpp"

using namespace tweedie;

namespace {
const double half_pi = std::acos(0.0);
}

TEST_CASE("trig is the angle between data and noise", "[schedule][trig][exact]") {
    const schedule::trig trig;
    for (const double t : times_between(0.0, 1.57, 200)) {
        CHECK(at(trig, t) == level{t, std::cos(t), std::sin(t)});
        CHECK(trig.alpha_rate(t) == -std::sin(t));
        CHECK(trig.sigma_rate(t) == std::cos(t));
    }
    CHECK(trig.alpha_rate(half_pi) == -1.0);
    CHECK(trig.sigma_rate(half_pi) == 0.0);
    CHECK(trig.range() == time_range{half_pi, 1e-3});
    CHECK(schedule::trig({.clean = 0.004}).range() == time_range{half_pi, 0.004});
}

TEST_CASE("trig is consistent from clean to pure noise", "[schedule][trig][identity]") {
    check_consistency(schedule::trig{}, times_between(1e-3, 1.57, 5000));
    check_consistency(schedule::trig{}, times_between(1e-15, 1e-3, 5000));
    check_consistency(schedule::trig{}, times_between(1.57, half_pi - 1e-10, 5000));
    check_clean_end(schedule::trig{}, 0.0);
    check_pure_noise_end(schedule::trig{}, half_pi);
}

TEST_CASE("trig refuses what it does not have", "[schedule][trig][errors]") {
    check_domain(schedule::trig{}, {-1e-300, 1.6, infinity}, "schedule::trig: t must lie in [0, pi/2]");
    const char* clean = "schedule::trig: clean must lie in (0, pi/2)";
    CHECK_THROWS_WITH(schedule::trig({.clean = 0.0}), clean);
    CHECK_THROWS_WITH(schedule::trig({.clean = 1.6}), clean);
    CHECK_THROWS_WITH(schedule::trig({.clean = not_a_number}), clean);
}
