// SPDX-License-Identifier: MIT
#include <tweedie/grid/custom.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/solver/dpm_solver_singlestep.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "order_checks.hpp"

using namespace tweedie;
using solver::difference;
using solver::form;
using solver::inner_nodes;
using method = solver::dpm_solver_singlestep;
using orders = std::vector<std::size_t>;

namespace {

constexpr double same = 1e-13;  // the same coefficients at nodes that differ by rounding

levels_t even(const any_schedule& schedule, int steps, double from = 10.0, double to = 0.1) {
    return grid::log_snr(schedule, steps,
                         {.sigma_max = from, .sigma_min = to, .last = grid::final_level::sigma_min});
}

}  // namespace

TEST_CASE("the orders of the steps are those of the paper and of popular software",
          "[solver][dpm_solver_singlestep]") {
    CHECK(method::order_list(6, 3) == orders{3, 2, 1});
    CHECK(method::order_list(7, 3) == orders{3, 3, 1});
    CHECK(method::order_list(8, 3) == orders{3, 3, 2});
    CHECK(method::order_list(6, 2) == orders{2, 2, 1, 1});
    CHECK(method::order_list(7, 2) == orders{2, 2, 2, 1});
    CHECK(method::order_list(3, 1) == orders{1, 1, 1});
    CHECK(method::order_list(6, 3, false) == orders{3, 3});
    CHECK(method::order_list(7, 3, false) == orders{3, 2, 2});  // 3, 3, 1 would be of second order
    CHECK(method::order_list(8, 3, false) == orders{3, 3, 2});
    CHECK(method::order_list(6, 2, false) == orders{2, 2, 2});
    CHECK(method::order_list(7, 2, false) == orders{2, 2, 2, 1});
    for (std::size_t order = 1; order <= 3; ++order) {
        for (std::size_t calls = 1; calls < 20; ++calls) {
            for (const bool lower : {false, true}) {
                const orders list = method::order_list(calls, order, lower);
                CHECK(std::accumulate(list.begin(), list.end(), std::size_t{0}) == calls);
            }
        }
    }
}

TEST_CASE("on levels of equal steps their nodes and own nodes are one method",
          "[solver][dpm_solver_singlestep][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const std::size_t order : {1U, 2U, 3U}) {
            for (const form predicts : {form::data, form::noise}) {
                for (const difference variant : {difference::midpoint, difference::taylor}) {
                    INFO(s.name << ", order " << order);
                    const method fine{
                        .order = order, .predicts = predicts, .variant = variant, .lower_order_final = false};
                    method coarse = fine;
                    coarse.nodes = inner_nodes::own;
                    const plan a = fine.plan(s.schedule, even(s.schedule, 12));
                    const plan b = coarse.plan(s.schedule, even(s.schedule, 12 / static_cast<int>(order)));
                    CHECK(a.calls.size() == 12);
                    CHECK(b.calls.size() == 12);
                    CHECK_THAT(end_of(a, s.schedule), WithinRel(end_of(b, s.schedule), 1e-11));
                }
            }
        }
    }
}

TEST_CASE("single steps of order 1 are ddim", "[solver][dpm_solver_singlestep][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::log_snr(s.schedule, 6, {.sigma_max = 20.0, .last = last});
            const plan ddim = solver::ddim{}.plan(s.schedule, levels);
            check_same_passes(method{.order = 1}.plan(s.schedule, levels), ddim, same);
            check_same_passes(method{.order = 1, .predicts = form::noise}.plan(s.schedule, levels), ddim,
                              same);
        }
    }
}

TEST_CASE("single steps have their order on a variance-preserving schedule, EDM and a flow",
          "[solver][dpm_solver_singlestep][order]") {
    for (const named_schedule& s : order_schedules()) {
        for (const form predicts : {form::data, form::noise}) {
            for (const difference variant : {difference::midpoint, difference::taylor}) {
                INFO(s.name << (predicts == form::data ? ", data" : ", noise")
                            << (variant == difference::midpoint ? ", midpoint" : ", taylor"));
                for (const std::size_t order : {1U, 2U, 3U}) {
                    method m{
                        .order = order, .predicts = predicts, .variant = variant, .lower_order_final = false};
                    // calls that the orders divide: no remainder
                    CHECK_THAT(measured_order(m, s.schedule, {120, 240, 480}),
                               WithinAbs(static_cast<double>(order), 0.1));
                    m.nodes = inner_nodes::own;
                    CHECK_THAT(measured_order(m, s.schedule, {80, 160}),
                               WithinAbs(static_cast<double>(order), 0.1));
                }
            }
        }
    }
}

TEST_CASE("third order needs the second node at two thirds of the step",
          "[solver][dpm_solver_singlestep][order]") {
    const schedule::vp_linear vp;
    const auto order = [&](difference variant, difference inner, double r1, double r2) {
        const method m{.variant = variant, .nodes = inner_nodes::own, .inner = inner, .r1 = r1, .r2 = r2};
        return measured_order(m, vp, {80, 160, 320});
    };
    for (const difference variant : {difference::midpoint, difference::taylor}) {
        for (const difference inner : {difference::midpoint, difference::taylor}) {
            CHECK_THAT(order(variant, inner, 0.5, 2.0 / 3.0), WithinAbs(3.0, 0.1));
            CHECK_THAT(order(variant, inner, 0.3, 0.8), WithinAbs(2.0, 0.1));
        }
    }
}

TEST_CASE("a run to clean data and one from pure noise spend one call per level",
          "[solver][dpm_solver_singlestep][cost]") {
    for (const named_schedule& s : all_schedules()) {
        for (std::size_t n = 1; n <= 8; ++n) {
            for (const std::size_t order : {1U, 2U, 3U}) {
                for (const bool lower : {false, true}) {
                    INFO(s.name << ", order " << order << ", " << n << " calls");
                    const levels_t levels = grid::karras(s.schedule, static_cast<int>(n));
                    const plan p =
                        method{.order = order, .lower_order_final = lower}.plan(s.schedule, levels);
                    CHECK(counts(p).network_calls == n);
                    CHECK(counts(p).live_tensors <= order);
                    for (std::size_t i = 0; i < n; ++i) { CHECK(p.calls[i].at == levels[i]); }
                    CHECK(std::isfinite(end_of(p, s.schedule)));
                    CHECK(p.calls.back().then.rows[0].weights.back() == levels.back().alpha);
                }
            }
        }
    }
}

TEST_CASE("a budget of network calls is spent as dpm_fast does", "[solver][dpm_solver_singlestep][cost]") {
    const schedule::edm edm;
    for (std::size_t calls = 1; calls <= 15; ++calls) {
        const orders list = method::order_list(calls, 3);
        const method fast{.predicts = form::noise, .nodes = inner_nodes::own, .orders = list};
        const plan p = fast.plan(edm, even(edm, static_cast<int>(list.size())));
        CHECK(p.calls.size() == calls);
        CHECK(p.calls.back().step + 1 == list.size());
    }
}

TEST_CASE("with nodes of its own it inverts without noise", "[solver][dpm_solver_singlestep][inversion]") {
    const schedule::vp_linear vp;
    levels_t up = even(vp, 6);
    std::reverse(up.begin(), up.end());
    const plan p = method{.order = 1, .nodes = inner_nodes::own}.plan(vp, up);
    CHECK(counts(p).draws == 0);
    check_same_passes(p, solver::dpm_solver{.order = 1}.plan(vp, up), tol<double>::identity);
}

TEST_CASE("with eta no step goes beyond the last level", "[solver][dpm_solver_singlestep][exact]") {
    const schedule::edm edm;
    const levels_t levels = grid::from_sigmas(edm, {10.0, 1.0, 0.9, 0.8});
    const plan p = method{.order = 1, .nodes = inner_nodes::own, .eta = 1.0}.plan(edm, levels);
    CHECK(counts(p).draws == 2);
    // to sigma 0.8 rather than to 1 / 10, and noise back up to 1
    CHECK_THAT(p.calls[0].then.rows.at(0).weights.at(0), WithinRel(0.8 / 10.0, tol<double>::identity));
    CHECK_THAT(p.calls[0].then.rows.at(0).weights.at(2), WithinRel(0.6, tol<double>::identity));
}

TEST_CASE("with eta the law of Gaussian samples converges with the order of the steps",
          "[solver][dpm_solver_singlestep][marginal]") {
    for (const named_schedule& s : order_schedules()) {
        for (const std::size_t order : {1U, 2U, 3U}) {
            for (const double eta : {0.5, 1.0}) {
                const auto error = [&](int steps) {
                    double sum = 0.0;
                    for (const double v : {0.1, 0.5, 2.0}) {
                        const method m{.order = order, .nodes = inner_nodes::own, .eta = eta};
                        const plan p = m.plan(s.schedule, even(s.schedule, steps, 8.0));
                        const level& a = p.levels.front();
                        const level& b = p.levels.back();
                        const transfer t = analyze(p, v);
                        const double start = a.alpha * a.alpha * v + a.sigma * a.sigma;
                        const double end = b.alpha * b.alpha * v + b.sigma * b.sigma;
                        sum += std::abs((t.start * t.start * start + t.noise_variance) / end - 1.0);
                        CHECK_THAT(t.start * a.alpha + t.mean, WithinRel(b.alpha, 1e-12));
                    }
                    return sum;
                };
                INFO(s.name << ", order " << order << ", eta " << eta);
                // deterministic steps to a cleaner level, and exact noise: nothing but the steps errs
                CHECK_THAT(std::log2(error(320) / error(640)), WithinAbs(static_cast<double>(order), 0.15));
            }
        }
    }
    const schedule::edm edm;
    const method m{.nodes = inner_nodes::own, .eta = 1.0};
    CHECK(counts(m.plan(edm, even(edm, 5))).draws == 4);  // none on the last step
    CHECK(counts(m.plan(edm, even(edm, 5))).network_calls == 15);
    CHECK(method{.nodes = inner_nodes::own, .eta = 1.0, .s_noise = 0.0}.plan(edm, even(edm, 5)).calls !=
          method{.nodes = inner_nodes::own}.plan(edm, even(edm, 5)).calls);
}

TEST_CASE("dpm_solver_singlestep refuses what it cannot do", "[solver][dpm_solver_singlestep][errors]") {
    const schedule::edm edm;
    const levels_t levels = even(edm, 4);
    const auto message = [&](const method& m) {
        return refusal([&] { static_cast<void>(m.plan(edm, levels)); });
    };
    const std::string who = "dpm_solver_singlestep: ";
    CHECK(message({.order = 0}) == who + "order must lie in [1, 3]");
    CHECK(message({.order = 4}) == who + "order must lie in [1, 3]");
    CHECK(message({.orders = {3, 2}}) == who + "orders must sum to the steps of the levels");
    CHECK(message({.orders = {4}}) == who + "orders must lie in [1, 3]");
    CHECK(message({.nodes = inner_nodes::own, .orders = {3, 1}}) ==
          who + "orders must be as many as the steps of the levels");
    CHECK(message({.r1 = 0.4}) == who + "eta, r1 and r2 need inner_nodes::own");
    CHECK(message({.nodes = inner_nodes::own, .r1 = 0.0}) == who + "r1 must lie in (0, 1]");
    CHECK(message({.nodes = inner_nodes::own, .r2 = 0.0}) == who + "r2 must lie in (0, 1]");
    CHECK(message({.eta = 0.5}) == who + "eta, r1 and r2 need inner_nodes::own");
    for (const double bad : {not_a_number, -1.0, infinity}) {
        CHECK(message({.nodes = inner_nodes::own, .eta = bad}) ==
              who + "eta must be finite and not negative");
        CHECK(message({.s_noise = bad}) == who + "s_noise must be finite and not negative");
        CHECK(message({.nodes = inner_nodes::own, .r1 = bad}) == who + "r1 must lie in (0, 1]");
    }
}
