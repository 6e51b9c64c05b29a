// SPDX-License-Identifier: MIT
#include <tweedie/schedule/flow.hpp>

#include "checks.hpp"

using namespace tweedie;
using schedule::flow_time;

TEST_CASE("flow is the straight path, whichever way its time runs", "[schedule][flow][exact]") {
    const schedule::flow noise_last;
    const schedule::flow data_last({.time = flow_time::data_at_one});
    for (const double t : times_between(0.0, 1.0, 65)) {  // multiples of 1/64: 1 - t is exact
        CHECK(at(noise_last, t) == level{t, 1.0 - t, t});
        CHECK(at(data_last, t) == level{t, t, 1.0 - t});
        CHECK(noise_last.half_log_snr(t) == data_last.half_log_snr(1.0 - t));
        CHECK(noise_last.alpha_rate(t) == -1.0);
        CHECK(noise_last.sigma_rate(t) == 1.0);
        CHECK(data_last.alpha_rate(t) == 1.0);
        CHECK(data_last.sigma_rate(t) == -1.0);
    }
    CHECK(noise_last.range() == time_range{1.0, 1e-3});
    CHECK(data_last.range() == time_range{0.0, 0.999});
    CHECK(schedule::flow({.sigma_min = 0.01}).range() == time_range{1.0, 0.01});
}

TEST_CASE("flow is consistent from clean to pure noise", "[schedule][flow][identity]") {
    for (const flow_time time : {flow_time::noise_at_one, flow_time::data_at_one}) {
        const schedule::flow flow({.time = time});
        check_consistency(flow, times_between(1e-3, 0.999, 5000));
        check_consistency(flow, times_between(1e-15, 1e-3, 5000));
        check_consistency(flow, times_between(0.999, 1.0 - 1e-12, 5000));
    }
    check_clean_end(schedule::flow{}, 0.0);
    check_pure_noise_end(schedule::flow{}, 1.0);
    check_clean_end(schedule::flow({.time = flow_time::data_at_one}), 1.0);
    check_pure_noise_end(schedule::flow({.time = flow_time::data_at_one}), 0.0);
    // far out the inverse neither overflows nor leaves the domain
    CHECK_THAT(schedule::flow{}.time_at(700.0), WithinRel(std::exp(-700.0), 1e-13));
    CHECK(schedule::flow{}.time_at(-700.0) == 1.0);
}

TEST_CASE("flow refuses what it does not have", "[schedule][flow][errors]") {
    check_domain(schedule::flow{}, {-1e-300, 1.0000001, infinity}, "schedule::flow: t must lie in [0, 1]");
    check_domain(schedule::flow({.time = flow_time::data_at_one}), {-0.1, 1.1},
                 "schedule::flow: t must lie in [0, 1]");
    const char* range = "schedule::flow: sigma_min must lie in (0, 1)";
    CHECK_THROWS_WITH(schedule::flow({.sigma_min = 0.0}), range);
    CHECK_THROWS_WITH(schedule::flow({.sigma_min = 1.0}), range);
    CHECK_THROWS_WITH(schedule::flow({.sigma_min = not_a_number}), range);
    CHECK_THROWS_WITH(schedule::flow({.time = static_cast<flow_time>(7)}),
                      "schedule::flow: time must be noise_at_one or data_at_one");
}
