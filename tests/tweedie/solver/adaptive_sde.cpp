// SPDX-License-Identifier: MIT
#include <tweedie/solver/adaptive_sde.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "loop_checks.hpp"

using namespace tweedie;
using solver::adaptive_sde;
using solver::brownian_pieces;

namespace {

/// An increment as weights over numbered draws.
using weights = std::map<std::uint32_t, double>;

/// Runs pieces of a Brownian path, with the registers they keep as weights.
struct path {
    brownian_pieces pieces{0.0, 0};
    turn p;
    std::vector<weights> registers = std::vector<weights>(brownian_pieces::slots);
    std::size_t written = 0;

    weights of(const combination& c) const {
        weights out;
        for (std::size_t r = 0; r < brownian_pieces::slots; ++r) {
            for (const auto& [draw, w] : registers[r]) { out[draw] += c[r] * w; }
        }
        for (std::size_t d = 0; d < p.draws().size(); ++d) {
            out[p.draws()[d]] += c[combination::first_draw + d];
        }
        return out;
    }
    weights increment(double to) {
        p.begin(false);
        bool known = false;
        const combination c = pieces.increment(p, to, known);
        REQUIRE(known);
        return of(c);
    }
    void pass(double to) {
        p.begin(false);
        pieces.pass(p, to);
        std::vector<weights> after = registers;
        for (const std::size_t r : p.rows()) { after[r] = of(p.value(0, p.row_of(r))); }
        written += p.rows().size();
        registers = after;
    }
};

double covariance(const weights& a, const weights& b) {
    double sum = 0.0;
    for (const auto& [draw, w] : a) {
        if (const auto found = b.find(draw); found != b.end()) { sum += w * found->second; }
    }
    return sum;
}

weights minus(weights a, const weights& b) {
    for (const auto& [draw, w] : b) { a[draw] -= w; }
    return a;
}

}  // namespace

TEST_CASE("however a Brownian path is cut, its increments have their law and fit together",
          "[solver][adaptive][exact]") {
    path w;
    const weights far = w.increment(1.0);
    const weights near = w.increment(0.25);
    const weights between = w.increment(0.6);
    CHECK(covariance(far, far) == 1.0);
    CHECK(std::abs(covariance(near, near) - 0.25) < tol<double>::exact);
    CHECK(std::abs(covariance(between, between) - 0.6) < tol<double>::exact);
    CHECK(std::abs(covariance(near, between) - 0.25) < tol<double>::exact);
    CHECK(std::abs(covariance(near, far) - 0.25) < tol<double>::exact);
    CHECK(std::abs(covariance(minus(far, between), between)) < tol<double>::exact);
    CHECK(covariance(w.increment(0.25), near) == covariance(near, near));  // the same when asked again

    // a long walk of tried, rejected and accepted steps: what was accepted adds up to a Brownian path
    path walk;
    std::vector<weights> steps;
    std::vector<double> lengths;
    double now = 0.0;
    const noise source{.seed = 3};
    for (std::uint32_t n = 0; n < 120; ++n) {
        double z[3];
        source.stream(draw_kind::user, n)(0, 0, std::span<double>(z));
        double h = 0.3 + 0.2 * std::abs(z[0]);
        weights tried = walk.increment(now + h);
        const int rejections = static_cast<int>(std::abs(2.0 * z[1]));
        for (int r = 0; r < rejections; ++r) {
            h *= 0.2 + 0.15 * std::min(std::abs(z[2]), 3.0);
            tried = walk.increment(now + h);
        }
        walk.pass(now + h);
        now += h;
        steps.push_back(tried);
        lengths.push_back(h);
    }
    CHECK(walk.written > 0);
    double worst = 0.0;
    for (std::size_t i = 0; i < steps.size(); ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
            worst = std::max(worst, std::abs(covariance(steps[i], steps[j]) - (i == j ? lengths[i] : 0.0)));
        }
    }
    CHECK(worst < tol<double>::identity);
}

TEST_CASE("the adaptive SDE step keeps the law on every kind of schedule", "[solver][adaptive][statistics]") {
    const gaussian_law law;
    constexpr int runs = 1200;
    for (const any_schedule& schedule :
         {any_schedule(schedule::vp_linear{}), any_schedule(schedule::edm{}), any_schedule(schedule::flow{}),
          any_schedule(schedule::flow({.time = schedule::flow_time::data_at_one}))}) {
        levels_t levels = ends_of(schedule, 20.0, 0.1);
        if (schedule.alpha(schedule.range().noisy) == 0.0) {
            levels.front() = at(schedule, schedule.range().noisy);
        }
        double sum = 0.0;
        double squares = 0.0;
        std::size_t rejected = 0;
        for (std::uint64_t i = 0; i < runs; ++i) {
            const noise source{.seed = 17, .sample = i};
            double z = 0.0;
            source.stream(draw_kind::initial, 0)(0, 0, std::span<double>(&z, 1));
            const double start = levels.front().alpha * law.mean + law.spread(levels.front()) * z;
            loop_stepper s(adaptive_sde{.rtol = 0.1, .atol = 0.03}.loop(schedule, levels),
                           convention(prediction::x0, schedule), start, source);
            while (const auto query = s.next()) { s.supply(law.x0(query->x, query->level)); }
            REQUIRE(s.result());
            rejected += s.method().rejected();
            const std::size_t tried = s.method().accepted() + s.method().rejected();
            CHECK(s.result().network_calls ==
                  tried + s.method().accepted() + (levels.front().alpha == 0.0 ? 1U : 0U));
            const double y = (s.x() - levels.back().alpha * law.mean) / law.spread(levels.back());
            sum += y;
            squares += y * y;
        }
        CHECK(rejected > static_cast<std::size_t>(5 * runs));
        // four standard errors, and the method's own error at this tolerance, measured below 3 %
        CHECK(std::abs(sum / runs) < 4.0 / std::sqrt(double(runs)) + 0.01);
        CHECK(std::abs(squares / runs - 1.0) < 4.0 * std::sqrt(2.0 / runs) + 0.05);
    }
}

TEST_CASE("the adaptive SDE step ends on the clean level, alone as in a batch of one",
          "[solver][adaptive][exact]") {
    for (const named_schedule& named : all_schedules()) {
        INFO(named.name);
        const time_range range = named.schedule.range();
        const levels_t ends = {at(named.schedule, range.noisy),
                               at_half_log_snr(named.schedule, std::log(20.0)),
                               at_half_log_snr(named.schedule, infinity)};
        // data at a point: the clean level is that point, whatever the noise
        const denoiser model([](double, const network_level&) { return 0.3; }, prediction::x0,
                             named.schedule);
        double x = start_of(ends);
        const run_result result = sample(adaptive_sde{.rtol = 0.1, .atol = 0.1}.loop(named.schedule, ends),
                                         model, x, noise{.seed = 2});
        REQUIRE(result.status == run_status::finished);
        CHECK(std::abs(x - 0.3 * ends.back().alpha) < tol<double>::identity);
    }
}

TEST_CASE("the adaptive SDE step refuses options out of range and gives up", "[solver][adaptive][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = ends_of(vp, 20.0, 0.05);
    const auto message = [&](const adaptive_sde& m) { return refusal([&] { (void)m.loop(vp, levels); }); };
    for (const double bad : {-1.0, infinity, not_a_number}) {
        CHECK(message({.rtol = bad}) == "adaptive_sde: rtol must be finite and not negative");
        CHECK(message({.atol = bad}) == "adaptive_sde: atol must be positive and finite");
        CHECK(message({.h_init = bad}) == "adaptive_sde: h_init must lie in (0, 1]");
        CHECK(message({.r = bad}) == "adaptive_sde: r must lie in [1/2, 1]");
        CHECK(message({.safety = bad}) == "adaptive_sde: safety must lie in (0, 1)");
    }
    CHECK(message({.max_steps = 0}) == "adaptive_sde: max_steps must be positive");
    loop_stepper s(adaptive_sde{.max_steps = 3}.loop(vp, levels), convention(prediction::x0, vp), 1.0,
                   noise{.seed = 1});
    while (const auto query = s.next()) { s.supply(two_humps(query->x, query->level)); }
    CHECK(s.result().status == run_status::gave_up);
}
