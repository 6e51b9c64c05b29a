// SPDX-License-Identifier: MIT
#include <tweedie/solver/single_step.hpp>

#include <array>
#include <cmath>
#include <string>

#include "checks.hpp"

using namespace tweedie;
using solver::difference;
using solver::form;

namespace {

/// One single step from the first level to the last, as a plan.
plan one_step(const any_schedule& schedule, const levels_t& levels, const solver::single_step_options& how) {
    plan_writer p("single_step", levels);
    plan_variable x = p.state();
    const auto [s, t] = p.step(0);
    const linear_form m = solver::evaluate(p, x, s, how.predicts);
    x = solver::single_step(p, schedule, x, m, s, t, how);
    return p.finish(x);
}

levels_t wide_step(const any_schedule& schedule) {
    return {at_half_log_snr(schedule, -1.1), at_half_log_snr(schedule, 0.2)};
}

/// DPM-Solver++(2S, 3S) and DPM-Solver-2, -3 as in the papers and their authors' code, on numbers.
double by_the_paper(const any_schedule& schedule, const levels_t& levels, double x,
                    const solver::single_step_options& how) {
    const bool data = how.predicts == form::data;
    const level& s = levels[0];
    const level& t = levels[1];
    const double h = t.half_log_snr() - s.half_log_snr();
    const double r1 = how.order == 3 ? 1.0 / 3.0 : 0.5;
    const double r2 = 2.0 / 3.0;
    const level s1 = at_half_log_snr(schedule, s.half_log_snr() + r1 * h);
    const level s2 = at_half_log_snr(schedule, s.half_log_snr() + r2 * h);
    const auto predict = [&](double u, const level& at) {
        const double x0 = two_humps(u, at);
        return data ? x0 : (u - at.alpha * x0) / at.sigma;
    };
    const double sign = data ? -1.0 : 1.0;
    // what multiplies x, and minus what multiplies e^(z) - 1
    const auto keep = [&](const level& to) { return data ? to.sigma / s.sigma : to.alpha / s.alpha; };
    const auto gain = [&](const level& to) { return data ? to.alpha : to.sigma; };
    const double m = predict(x, s);
    const double phi_11 = std::expm1(sign * r1 * h);
    const double u1 = keep(s1) * x - gain(s1) * phi_11 * m;
    const double m1 = predict(u1, s1);
    const double phi_1 = std::expm1(sign * h);
    const double phi_2 = phi_1 / h - sign;  // (e^h - 1)/h - 1, or (e^-h - 1)/h + 1
    const double phi_3 = phi_2 / h - 0.5;
    const double direction = data ? 1.0 : -1.0;
    if (how.order == 2) {
        if (how.variant == difference::midpoint) {
            return keep(t) * x - gain(t) * phi_1 * m - 0.5 / r1 * gain(t) * phi_1 * (m1 - m);
        }
        return keep(t) * x - gain(t) * phi_1 * m + direction / r1 * gain(t) * phi_2 * (m1 - m);
    }
    const double phi_12 = std::expm1(sign * r2 * h);
    const double phi_22 = phi_12 / (r2 * h) - sign;
    const double u2 =
        keep(s2) * x - gain(s2) * phi_12 * m + direction * r2 / r1 * gain(s2) * phi_22 * (m1 - m);
    const double m2 = predict(u2, s2);
    if (how.variant == difference::midpoint) {
        return keep(t) * x - gain(t) * phi_1 * m + direction / r2 * gain(t) * phi_2 * (m2 - m);
    }
    const double d1_0 = (m1 - m) / r1;
    const double d1_1 = (m2 - m) / r2;
    const double d1 = (r2 * d1_0 - r1 * d1_1) / (r2 - r1);
    const double d2 = 2.0 * (d1_1 - d1_0) / (r2 - r1);
    return keep(t) * x - gain(t) * phi_1 * m + direction * gain(t) * phi_2 * d1 - gain(t) * phi_3 * d2;
}

}  // namespace

TEST_CASE("a single step is the one of the papers", "[solver][single_step][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = wide_step(s.schedule);
        for (const std::size_t order : {2U, 3U}) {
            for (const form predicts : {form::data, form::noise}) {
                for (const difference variant : {difference::midpoint, difference::taylor}) {
                    INFO(s.name << ", order " << order << (predicts == form::data ? ", data" : ", noise")
                                << (variant == difference::midpoint ? ", midpoint" : ", taylor"));
                    const solver::single_step_options how{
                        .order = order, .predicts = predicts, .variant = variant};
                    const double x = start_of(levels);
                    const double ours =
                        run_on_double(one_step(s.schedule, levels, how), s.schedule, x, two_humps);
                    // phi_3 by its recurrence loses four digits at this h
                    CHECK_THAT(ours, WithinRel(by_the_paper(s.schedule, levels, x, how), 1e-11));
                }
            }
        }
    }
}

TEST_CASE("the taylor forms integrate polynomials exactly", "[solver][single_step][exact]") {
    const schedule::flow flow;
    const levels_t levels = wide_step(flow);
    const double from = levels[0].half_log_snr();
    const double to = levels[1].half_log_snr();
    // int_from^to e^(-(to - l)) l^k dl by parts
    const auto moment = [&](int k) {
        double value = -std::expm1(from - to);
        for (int i = 1; i <= k; ++i) {
            value = std::pow(to, i) - std::exp(from - to) * std::pow(from, i) - i * value;
        }
        return value;
    };
    for (int degree = 0; degree <= 3; ++degree) {
        const auto law = [&](double, const level& at) { return std::pow(at.half_log_snr(), degree); };
        const double exact = levels[1].sigma / levels[0].sigma * 0.4 + levels[1].alpha * moment(degree);
        const auto error = [&](std::size_t order, difference variant) {
            const plan p = one_step(flow, levels, {.order = order, .variant = variant});
            return std::abs(run_on_double(p, flow, 0.4, law) - exact);
        };
        INFO("degree " << degree);
        CHECK((error(2, difference::taylor) < 1e-14) == (degree <= 1));
        CHECK((error(3, difference::taylor) < 1e-14) == (degree <= 2));
        CHECK((error(2, difference::midpoint) < 1e-14) == (degree == 0));
        CHECK((error(3, difference::midpoint) < 1e-14) == (degree <= 1));
    }
}

TEST_CASE("a single step calls the network once per stage, and once at the two ends",
          "[solver][single_step][cost]") {
    const schedule::flow flow;
    const levels_t inside = wide_step(flow);
    const level clean{0.0, 1.0, 0.0};
    const level noise{1.0, 0.0, 1.0};
    for (const form predicts : {form::data, form::noise}) {
        for (const std::size_t order : {1U, 2U, 3U}) {
            const solver::single_step_options how{.order = order, .predicts = predicts};
            CHECK(counts(one_step(flow, inside, how)).network_calls == order);
            CHECK(counts(one_step(flow, inside, how)).live_tensors == order);
            CHECK(counts(one_step(flow, {inside[0], clean}, how)).network_calls == 1);
            CHECK(counts(one_step(flow, {noise, inside[0]}, how)).network_calls == 1);
        }
    }
}

TEST_CASE("a multistep method starts with single steps only where its own would cost the order",
          "[solver][single_step]") {
    using solver::start;
    for (std::size_t known = 1; known < 10; ++known) {
        for (std::size_t order = 1; order < 10; ++order) {
            CHECK(solver::starting_order(start::multistep, known, order) == 0);
        }
    }
    const auto single = [](std::size_t known, std::size_t order) {
        return solver::starting_order(start::single_step, known, order);
    };
    CHECK((single(1, 1) == 0 && single(1, 2) == 0));
    CHECK((single(1, 3) == 2 && single(2, 3) == 0));
    CHECK((single(1, 4) == 3 && single(2, 4) == 3 && single(3, 4) == 0));
    CHECK((single(1, 8) == 3 && single(6, 8) == 3 && single(7, 8) == 0));
}

TEST_CASE("a single step refuses orders and nodes it cannot make", "[solver][single_step][errors]") {
    const schedule::edm edm;
    const levels_t levels = wide_step(edm);
    const auto message = [&](const solver::single_step_options& how) {
        return refusal([&] { static_cast<void>(one_step(edm, levels, how)); });
    };
    CHECK(message({.order = 0}) == "single_step: order must lie in [1, 3]");
    CHECK(message({.order = 4}) == "single_step: order must lie in [1, 3]");
    for (const double bad : {not_a_number, -0.1, 1.1, infinity}) {
        CHECK(message({.r1 = bad}) == "single_step: r1 must lie in (0, 1]");
        CHECK(message({.order = 3, .r2 = bad}) == "single_step: r2 must lie in (0, 1]");
    }
    CHECK(message({.order = 3, .r1 = 0.5, .r2 = 0.5}) == "single_step: r1 and r2 must differ");
    CHECK(message({.r1 = 1.0}).empty());  // the node at the end: a trapezoid
}
