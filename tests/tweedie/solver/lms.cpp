// SPDX-License-Identifier: MIT
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/lms.hpp>

#include "order_checks.hpp"

using namespace tweedie;

namespace {

constexpr double same = 1e-13;

level with_kappa(double kappa) { return {kappa, 1.0, kappa}; }

/// Integral of the Lagrange polynomial of node j from nodes[0] to `to` by Simpson's rule, exact for cubics.
double lagrange_integral(const std::vector<double>& nodes, std::size_t j, double to) {
    const auto l = [&](double x) {
        double value = 1.0;
        for (std::size_t k = 0; k < nodes.size(); ++k) {
            if (k != j) { value *= (x - nodes[k]) / (nodes[j] - nodes[k]); }
        }
        return value;
    };
    const double from = nodes[0];
    return (to - from) / 6 * (l(from) + 4 * l((from + to) / 2) + l(to));
}

}  // namespace

TEST_CASE("Adams weights integrate the Lagrange polynomials of the nodes", "[solver][adams][exact]") {
    const std::vector<double> kappa = {1.3, 2.0, 3.5, 4.1};
    for (std::size_t n = 1; n <= 4; ++n) {
        const std::vector<double> at(kappa.begin(), kappa.begin() + static_cast<std::ptrdiff_t>(n));
        std::vector<level> nodes;
        for (const double k : at) { nodes.push_back(with_kappa(k)); }
        for (const double to : {1.0, 0.2, 0.0}) {
            const std::vector<double> w = solver::adams_weights(nodes, with_kappa(to));
            REQUIRE(w.size() == n);
            double sum = 0.0;
            for (std::size_t j = 0; j < n; ++j) {
                CHECK_THAT(w[j], WithinRel(lagrange_integral(at, j, to), tol<double>::identity));
                sum += w[j];
            }
            CHECK_THAT(sum, WithinRel(to - 1.3, tol<double>::identity));
        }
    }
}

TEST_CASE("on equal steps in kappa, Adams weights are Adams and Bashforth's", "[solver][adams][exact]") {
    for (std::size_t n = 1; n <= 4; ++n) {
        std::vector<level> nodes;
        for (std::size_t j = 0; j < n; ++j) {
            nodes.push_back(with_kappa(1.0 + 0.25 * static_cast<double>(j)));
        }
        const std::vector<double> w = solver::adams_weights(nodes, with_kappa(0.75));
        const std::vector<double> table = solver::equal_step_adams(n);
        for (std::size_t j = 0; j < n; ++j) { CHECK_THAT(w[j], WithinRel(-0.25 * table[j], same)); }
    }
}

TEST_CASE("lms is exact where eps_hat is a polynomial in kappa, to sigma = 0 too", "[solver][lms][exact]") {
    // eps_hat(kappa) = kappa^2 - 3 kappa + 1, x0_hat = x - kappa eps_hat on VE: y moves by its integral
    const auto eps = [](double k) { return k * k - 3.0 * k + 1.0; };
    const auto integral = [](double k) { return k * k * k / 3.0 - 1.5 * k * k + k; };
    const schedule::edm edm;
    const auto law = [&](double x, const level& at) { return x - at.sigma * eps(at.sigma); };
    const std::vector<double> k = {3.0, 2.5, 2.1, 1.0, 0.3, 0.0};
    levels_t levels;
    for (const double kappa : k) { levels.push_back(with_kappa(kappa)); }
    const double x = 0.4;
    // a step of order 1, one of order 2, and then nothing but the integral
    const double h = k[2] - k[1];
    const double line = (eps(k[1]) - eps(k[0])) / (k[1] - k[0]);
    const double start = x + (k[1] - k[0]) * eps(k[0]) + h * eps(k[1]) + h * h / 2 * line;
    CHECK_THAT(run_on_double(solver::lms{.order = 3}.plan(edm, levels), edm, x, law),
               WithinRel(start - integral(k[2]), same));
    CHECK(std::abs(run_on_double(solver::lms{.order = 2}.plan(edm, levels), edm, x, law) -
                   (start - integral(k[2]))) > 1e-3);
}

TEST_CASE("lms of order 1 is ddim, on every schedule", "[solver][lms][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            const levels_t levels = grid::karras(s.schedule, 7, {.last = last});
            CHECK_THAT(end_of(solver::lms{.order = 1}.plan(s.schedule, levels), s.schedule),
                       WithinRel(end_of(solver::ddim{}.plan(s.schedule, levels), s.schedule), same));
        }
    }
}

TEST_CASE("lms is the same method in x / alpha on every schedule", "[solver][lms][identity]") {
    const schedule::edm edm;
    const solver::lms method{.order = 4, .start = solver::start::single_step};
    const double end = run_on_double(method.plan(edm, interior_levels(edm, 9)), edm, 25.0, smooth_humps);
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = interior_levels(s.schedule, 9);
        const double x = run_on_double(method.plan(s.schedule, levels), s.schedule,
                                       25.0 * levels.front().alpha, smooth_humps);
        // kappa of levels found through each schedule's own time agree to about 1e-12
        CHECK_THAT(x / levels.back().alpha, WithinRel(end, 1e-9));
    }
}

TEST_CASE("lms has its order with a single-step start, and falls towards 2 without", "[solver][lms][order]") {
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        for (const std::size_t order : {1U, 2U, 3U, 4U}) {
            INFO("order " << order);
            const solver::lms method{.order = order, .start = solver::start::single_step};
            CHECK_THAT(measured_order(method, s.schedule, {160, 320, 640}),
                       WithinAbs(static_cast<double>(order), 0.1));
        }
        // the first step's error is of second order; it shows once the rest is smaller
        CHECK(measured_order(solver::lms{.order = 4}, s.schedule, {640, 1280}) < 2.5);
        CHECK_THAT(measured_order(solver::lms{.order = 6, .start = solver::start::single_step}, s.schedule,
                                  {320, 640}),
                   WithinAbs(4.0, 0.5));
    }
}

TEST_CASE("lms inverts with its order", "[solver][lms][inversion]") {
    for (const named_schedule& s : order_schedules()) {
        for (const std::size_t order : {1U, 2U, 3U, 4U}) {
            INFO(s.name << ", order " << order);
            const solver::lms method{.order = order, .start = solver::start::single_step};
            CHECK_THAT(measured_order(method, s.schedule, {160, 320, 640}, inversion),
                       WithinAbs(static_cast<double>(order), 0.1));
        }
    }
}

TEST_CASE("lms costs one call a step, a single-step start 1 more for order 3 and 4 more above",
          "[solver][lms][cost]") {
    const schedule::vp_linear vp;
    for (std::size_t order = 1; order <= 8; ++order) {
        INFO("order " << order);
        const levels_t levels = grid::karras(vp, 12);
        const plan_counts own = counts(solver::lms{.order = order}.plan(vp, levels));
        CHECK((own.network_calls == 12 && own.live_tensors == order && own.draws == 0));
        const plan_counts single =
            counts(solver::lms{.order = order, .start = solver::start::single_step}.plan(vp, levels));
        CHECK(single.network_calls == (order < 3 ? 12 : order == 3 ? 13 : 16));
        CHECK(single.live_tensors <= std::max<std::size_t>(order, 4));
    }
    // a start that would be the end is not begun, from pure noise it comes second
    const schedule::flow flow;
    const solver::lms four{.order = 4, .start = solver::start::single_step};
    CHECK(counts(four.plan(flow, grid::karras(flow, 1))).network_calls == 1);
    CHECK(counts(four.plan(flow, grid::karras(flow, 2))).network_calls == 2);
    CHECK(counts(four.plan(flow, grid::karras(flow, 3))).network_calls == 5);
}

TEST_CASE("lms refuses orders outside 1 to 8", "[solver][lms][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const std::size_t order : {std::size_t{0}, std::size_t{9}, static_cast<std::size_t>(-1)}) {
        CHECK(refusal([&] { static_cast<void>(solver::lms{.order = order}.plan(edm, good)); }) ==
              "lms: order must lie in [1, 8]");
    }
    CHECK(refusal([&] { static_cast<void>(solver::lms{}.plan(edm, {})); }) ==
          "lms: need at least two levels, where to start and where to end");
}
