// SPDX-License-Identifier: MIT

// Restart sampling.

#include <tweedie/solver/restart.hpp>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

namespace {

using solver::restart;
using solver::restart_interval;

constexpr double same = 1e-13;

/// Where calls go up in noise: how many times.
std::size_t rises(const plan& p) {
    std::size_t n = 0;
    for (std::size_t k = 0; k + 1 < p.calls.size(); ++k) {
        n += p.calls[k + 1].at.half_log_snr() < p.calls[k].at.half_log_snr() ? 1U : 0U;
    }
    return n;
}

}  // namespace

TEST_CASE("without intervals restart is heun", "[solver][restart][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 6);
        CHECK(restart{}.plan(s.schedule, levels).calls == solver::heun{}.plan(s.schedule, levels).calls);
        // none below s_tmax, or no times
        CHECK(restart{.intervals = {{.s_tmin = 0.01, .s_tmax = 0.05}}}.plan(s.schedule, levels).calls ==
              solver::heun{}.plan(s.schedule, levels).calls);
        CHECK(restart{.intervals = {{.s_tmin = 0.5, .s_tmax = 1.0, .times = 0}}}
                  .plan(s.schedule, levels)
                  .calls == solver::heun{}.plan(s.schedule, levels).calls);
    }
}

TEST_CASE("a restart goes back up to s_tmax from the level nearest to s_tmin, and down Karras' curve",
          "[solver][restart][exact]") {
    const schedule::edm edm;
    const levels_t levels = {at(edm, 10.0), at(edm, 1.0), at(edm, 0.3), at(edm, 0.1), at(edm, 0.0)};
    const plan p =
        restart{.intervals = {{.s_tmin = 0.28, .s_tmax = 2.0, .times = 2, .steps = 2}}}.plan(edm, levels);
    const double middle = std::pow((std::pow(2.0, 1.0 / 7.0) + std::pow(0.3, 1.0 / 7.0)) / 2.0, 7.0);
    std::vector<double> asked;
    for (const plan_call& call : p.calls) { asked.push_back(call.at.sigma); }
    const std::vector<double> expected = {10.0, 1.0,    1.0,    0.3, 2.0, middle, middle, 0.3,
                                          2.0,  middle, middle, 0.3, 0.3, 0.1,    0.1};
    REQUIRE(asked.size() == expected.size());
    for (std::size_t k = 0; k < asked.size(); ++k) { CHECK_THAT(asked[k], WithinRel(expected[k], same)); }
    CHECK(p.levels == levels);
    CHECK(p.calls[5].step == 1);
    // as dense as the grid by default: levels 0.3 and 1 lie below 2
    const plan dense = restart{.intervals = {{.s_tmin = 0.3, .s_tmax = 2.0}}}.plan(edm, levels);
    CHECK(dense.calls.size() == 7 + 2 * 2);
}

TEST_CASE("the raised state has exactly the law of s_tmax", "[solver][restart][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = warm_levels(s.schedule, 12);
        const restart_interval interval{.s_tmin = 0.3, .s_tmax = 2.0, .times = 1, .steps = 1};
        const plan p = restart{.intervals = {interval}}.plan(s.schedule, levels);
        REQUIRE(rises(p) == 1);
        // point data: x = alpha x0 + sigma eps at the raised level whatever Heun's error in eps
        std::size_t up = 0;
        while (p.calls[up + 1].at.half_log_snr() >= p.calls[up].at.half_log_snr()) { ++up; }
        const level to = p.calls[up + 1].at;
        CHECK_THAT(to.sigma / to.alpha, WithinRel(2.0, 1e-12));
        const double noise = p.calls[up].then.rows[p.calls[up + 1].query].weights.back();
        const double low = levels[9].sigma / levels[9].alpha;
        double nearest = low;
        for (const level& l : levels) {
            const double kappa = l.sigma / l.alpha;
            if (std::abs(std::log(kappa / 0.3)) < std::abs(std::log(nearest / 0.3))) { nearest = kappa; }
        }
        CHECK_THAT(noise, WithinRel(to.alpha * std::sqrt(4.0 - nearest * nearest), 1e-10));
    }
}

TEST_CASE("the law of restart converges with order 2", "[solver][restart][order]") {
    for (const named_schedule& s : families()) {
        INFO(s.name);
        const restart one{.intervals = {{.s_tmin = 0.3, .s_tmax = 2.0, .times = 3}}};
        const restart two{.intervals = {{.s_tmin = 0.2, .s_tmax = 1.0, .times = 2},
                                        {.s_tmin = 1.0, .s_tmax = 4.0, .times = 1}}};
        // the level nearest to s_tmin moves with the grid: over a factor of four in the number of steps
        for (const restart& method : {one, two}) {
            const auto total = [&](int steps) {
                double sum = 0.0;
                for (const double variance : {0.1, 0.5, 2.0}) {
                    sum += error(method.plan(s.schedule, warm_levels(s.schedule, steps)), variance);
                }
                return sum;
            };
            CHECK_THAT(std::log2(total(100) / total(400)) / 2.0, WithinAbs(2.0, 0.1));
        }
    }
}

TEST_CASE("restarts contract an error of the start", "[solver][restart][exact]") {
    // a start of the wrong variance: the law at the end forgets it, the more the more often it restarts
    const schedule::edm edm;
    const levels_t levels = warm_levels(edm, 40);
    double before = analyze(solver::heun{}.plan(edm, levels), 0.5).start;
    for (const std::size_t times : {1U, 3U, 6U}) {
        const transfer t = analyze(
            restart{.intervals = {{.s_tmin = 0.2, .s_tmax = 3.0, .times = times}}}.plan(edm, levels), 0.5);
        CHECK(t.start < 0.3 * before);
        before = t.start;
    }
}

TEST_CASE("restart costs its inner steps and one draw each time", "[solver][restart][cost]") {
    const schedule::edm edm;
    const levels_t levels = grid::karras(edm, 18);
    const plan_counts plain = counts(solver::heun{}.plan(edm, levels));
    const plan_counts with = counts(
        restart{.intervals = {{.s_tmin = 0.06, .s_tmax = 0.3, .times = 4, .steps = 3}}}.plan(edm, levels));
    CHECK(with.network_calls == plain.network_calls + 4 * 3 * 2);
    CHECK(with.draws == 4);
    CHECK(with.live_tensors == 2);
    CHECK(counts(restart{.intervals = {{.s_tmin = 0.06, .s_tmax = 0.3, .times = 4}}, .s_noise = 0.0}.plan(
                     edm, levels))
              .draws == 0);
    check_short_plans(restart{.intervals = {{.s_tmin = 0.2, .s_tmax = 1.0, .times = 2}}});
}

TEST_CASE("restart refuses intervals that are none", "[solver][restart][errors]") {
    const auto with = [](double low, double high) {
        return restart{.intervals = {{.s_tmin = low, .s_tmax = high}}};
    };
    for (const auto& [low, high] :
         {std::pair{0.0, 1.0}, std::pair{1.0, 1.0}, std::pair{2.0, 1.0}, std::pair{1.0, infinity},
          std::pair{not_a_number, 1.0}, std::pair{1.0, not_a_number}, std::pair{-1.0, 1.0}}) {
        CHECK(refused(with(low, high)) == "restart: an interval needs 0 < s_tmin < s_tmax < infinity");
    }
    for (const double bad : {-1.0, not_a_number, infinity}) {
        CHECK(refused(restart{.s_noise = bad}) == "restart: s_noise must be finite and not negative");
    }
    const schedule::vp_linear vp;
    CHECK(refusal([&] { static_cast<void>(with(1.0, 1e6).plan(vp, grid::karras(vp, 10))); }) ==
          "restart: an interval reaches beyond the noisy end of the schedule");
}
