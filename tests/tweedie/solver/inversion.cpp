// SPDX-License-Identifier: MIT
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>

#include <algorithm>
#include <cmath>

#include "checks.hpp"

using namespace tweedie;

namespace {

levels_t rising(const any_schedule& schedule, int steps, double sigma_max, double sigma_min) {
    levels_t out = interior_levels(schedule, steps, sigma_max, sigma_min);
    std::reverse(out.begin(), out.end());
    return out;
}

/// The exact probability flow of N(0, v) from one level to another: x keeps its quantile.
double exact(double x, double v, const level& from, const level& to) {
    return x * std::sqrt((to.alpha * to.alpha * v + to.sigma * to.sigma) /
                         (from.alpha * from.alpha * v + from.sigma * from.sigma));
}

}  // namespace

TEST_CASE("ddim takes a point mass to its noise and back exactly", "[solver][ddim][inversion][exact]") {
    const auto point = [](double, const level&) { return 0.7; };
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t up = rising(s.schedule, 6, 10.0, 0.05);
        const double eps = -1.3;
        const double start = 0.7 * up.front().alpha + eps * up.front().sigma;
        const double noisy = run_on_double(solver::ddim{}.plan(s.schedule, up), s.schedule, start, point);
        CHECK_THAT(noisy, WithinRel(0.7 * up.back().alpha + eps * up.back().sigma, tol<double>::identity));
        const levels_t down(up.rbegin(), up.rend());
        CHECK_THAT(run_on_double(solver::ddim{}.plan(s.schedule, down), s.schedule, noisy, point),
                   WithinRel(start, tol<double>::identity));
    }
}

TEST_CASE("ddim inversion is of first order on Gaussian data", "[solver][ddim][inversion][order]") {
    constexpr double v = 0.3;
    const auto gaussian = [](double x, const level& l) {
        return l.alpha * v * x / (l.alpha * l.alpha * v + l.sigma * l.sigma);
    };
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const auto error = [&](int steps) {
            const levels_t up = rising(s.schedule, steps, 3.0, 0.1);
            const double end = run_on_double(solver::ddim{}.plan(s.schedule, up), s.schedule, 0.9, gaussian);
            return std::abs(end - exact(0.9, v, up.front(), up.back()));
        };
        CHECK_THAT(std::log2(error(320) / error(640)), WithinAbs(1.0, 0.1));
    }
}

TEST_CASE("euler inverts with first order and heun with second", "[solver][euler][heun][inversion][order]") {
    constexpr double v = 0.3;
    const auto gaussian = [](double x, const level& l) {
        return l.alpha * v * x / (l.alpha * l.alpha * v + l.sigma * l.sigma);
    };
    for (const named_schedule& s : all_schedules()) {
        if (s.name.starts_with("discrete")) { continue; }  // a time with kinks
        INFO(s.name);
        const auto order = [&](const auto& method) {
            const auto error = [&](int steps) {
                const levels_t up = rising(s.schedule, steps, 3.0, 0.1);
                const double end = run_on_double(method.plan(s.schedule, up), s.schedule, 0.9, gaussian);
                return std::abs(end - exact(0.9, v, up.front(), up.back()));
            };
            return std::log2(error(320) / error(640));
        };
        CHECK_THAT(order(solver::euler{}), WithinAbs(1.0, 0.1));
        CHECK_THAT(order(solver::heun{}), WithinAbs(2.0, 0.1));
        CHECK_THAT(order(solver::heun{.alpha = 2.0 / 3.0}), WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("ddim refuses to add posterior noise while noise rises, and to invert a clean sample",
          "[solver][ddim][inversion][errors]") {
    const schedule::edm edm;
    const levels_t up = rising(edm, 3, 10.0, 0.1);
    CHECK(refusal([&] { static_cast<void>(solver::ddim{.eta = 0.5}.plan(edm, up)); }) ==
          "ddim: level 1: half_log_snr must increase from level to level");
    const levels_t from_clean = {{0.0, 1.0, 0.0}, {0.1, 1.0, 0.1}, {2.0, 1.0, 2.0}};
    CHECK(refusal([&] { static_cast<void>(solver::ddim{}.plan(edm, from_clean)); }) ==
          "ddim: level 0: levels that rise in noise need sigma > 0 and alpha > 0");
}
