// SPDX-License-Identifier: MIT
#include <tweedie/solver/pndm.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;

/// The paper's transfer, formula by formula.
double phi(double x, double e, const level& s, const level& t) {
    return t.alpha / s.alpha * (x - s.sigma * e) + t.sigma * e;
}

double eps(double x, const level& l) { return (x - l.alpha * smooth_humps(x, l)) / l.sigma; }

/// F-PNDM as published: three pseudo Runge-Kutta steps, then pseudo linear multistep.
double as_published(const any_schedule& schedule, const levels_t& levels, double x) {
    std::vector<double> e;
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const level s = levels[i];
        const level t = levels[i + 1];
        e.push_back(eps(x, s));
        if (i < 3) {
            const level m = at(schedule, (s.t + t.t) / 2);
            const double e1 = e.back();
            const double e2 = eps(phi(x, e1, s, m), m);
            const double e3 = eps(phi(x, e2, s, m), m);
            const double e4 = eps(phi(x, e3, s, t), t);
            x = phi(x, (e1 + 2 * e2 + 2 * e3 + e4) / 6, s, t);
        } else {
            x = phi(x, (55 * e[i] - 59 * e[i - 1] + 37 * e[i - 2] - 9 * e[i - 3]) / 24, s, t);
        }
    }
    return x;
}

/// The start of Stable Diffusion: improved Euler, then lower orders.
double without_prk(const levels_t& levels, double x) {
    std::vector<double> e;
    for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
        const level s = levels[i];
        const level t = levels[i + 1];
        e.push_back(eps(x, s));
        double mean = 0.0;
        if (i == 0) {
            mean = (e[0] + eps(phi(x, e[0], s, t), t)) / 2;
        } else if (i == 1) {
            mean = (3 * e[1] - e[0]) / 2;
        } else if (i == 2) {
            mean = (23 * e[2] - 16 * e[1] + 5 * e[0]) / 12;
        } else {
            mean = (55 * e[i] - 59 * e[i - 1] + 37 * e[i - 2] - 9 * e[i - 3]) / 24;
        }
        x = phi(x, mean, s, t);
    }
    return x;
}

}  // namespace

TEST_CASE("pndm is the published method on every schedule", "[solver][pndm][exact]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 8);
        const double x = start_of(levels);
        CHECK_THAT(run_on_double(solver::pndm{}.plan(s.schedule, levels), s.schedule, x, smooth_humps),
                   WithinRel(as_published(s.schedule, levels, x), tol<double>::identity));
        CHECK_THAT(run_on_double(solver::pndm{.skip_prk = true}.plan(s.schedule, levels), s.schedule, x,
                                 smooth_humps),
                   WithinRel(without_prk(levels, x), tol<double>::identity));
    }
}

TEST_CASE("one step of pndm to sigma = 0 or from pure noise is ddim's", "[solver][pndm][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::karras(s.schedule, 1);
        for (const bool skip : {false, true}) {
            const plan p = solver::pndm{.skip_prk = skip}.plan(s.schedule, levels);
            CHECK_THAT(end_of(p, s.schedule),
                       WithinRel(end_of(solver::ddim{}.plan(s.schedule, levels), s.schedule), same));
        }
        if (levels.front().alpha == 0.0) {
            const levels_t two = grid::karras(s.schedule, 1, {.last = grid::final_level::sigma_min});
            check_same_passes(solver::pndm{}.plan(s.schedule, two), solver::ddim{}.plan(s.schedule, two),
                              same);
        }
    }
}

TEST_CASE("pndm is of second order with either start", "[solver][pndm][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        CHECK_THAT(measured_order(solver::pndm{}, s.schedule, {160, 320, 640}), WithinAbs(2.0, 0.1));
        CHECK_THAT(measured_order(solver::pndm{.skip_prk = true}, s.schedule, {160, 320, 640}),
                   WithinAbs(2.0, 0.1));
    }
}

TEST_CASE("pndm inverts with its order", "[solver][pndm][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        for (const bool skip : {false, true}) {
            INFO(s.name);
            CHECK_THAT(measured_order(solver::pndm{.skip_prk = skip}, s.schedule, {160, 320, 640}, inversion),
                       WithinAbs(2.0, 0.1));
        }
    }
}

TEST_CASE("pndm's starts cost nine more calls, or one", "[solver][pndm][cost]") {
    const schedule::vp_linear vp;
    for (const std::size_t n : {1U, 2U, 3U, 4U, 10U}) {
        INFO(n << " steps");
        const levels_t noisy = grid::karras(vp, static_cast<int>(n), {.last = grid::final_level::sigma_min});
        const levels_t clean = grid::karras(vp, static_cast<int>(n));
        const plan_counts prk = counts(solver::pndm{}.plan(vp, noisy));
        CHECK(prk.network_calls == n + 3 * std::min<std::size_t>(n, 3));
        CHECK((prk.draws == 0 && prk.live_tensors <= 6));
        CHECK(counts(solver::pndm{}.plan(vp, clean)).network_calls ==
              n + 3 * std::min<std::size_t>(n - 1, 3));
        CHECK(counts(solver::pndm{.skip_prk = true}.plan(vp, noisy)).network_calls == n + 1);
        CHECK(counts(solver::pndm{.skip_prk = true}.plan(vp, clean)).network_calls == n + (n > 1 ? 1 : 0));
    }
    CHECK(counts(solver::pndm{.skip_prk = true}.plan(vp, grid::karras(vp, 10))).live_tensors == 4);
}

TEST_CASE("pndm refuses levels that cannot be walked", "[solver][pndm][errors]") {
    const schedule::edm edm;
    CHECK(refusal([&] { static_cast<void>(solver::pndm{}.plan(edm, {})); }) ==
          "pndm: need at least two levels, where to start and where to end");
}
