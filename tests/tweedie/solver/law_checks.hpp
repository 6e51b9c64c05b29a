// SPDX-License-Identifier: MIT
#pragma once

// The exact law at the end of a plan on Gaussian data, the order it converges with, and a run on one number;
// with as few headers as that takes.

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace law {

using levels_t = std::vector<tweedie::level>;

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct named_schedule {
    std::string name;
    tweedie::any_schedule schedule;
};

/// One of each family.
inline std::vector<named_schedule> families() {
    namespace s = tweedie::schedule;
    return {{"vp", s::vp_linear{}}, {"edm", s::edm{}}, {"flow", s::flow{}}};
}

/// Every family; those that start at pure noise last.
inline std::vector<named_schedule> all_schedules() {
    namespace s = tweedie::schedule;
    return {{"vp_linear", s::vp_linear{}},
            {"vp_cosine", s::vp_cosine{}},
            {"discrete", s::discrete::linear()},
            {"ve", s::ve{}},
            {"edm", s::edm{}},
            {"flow", s::flow{}},
            {"trig", s::trig{}}};
}

/// Levels even in half-log-SNR, sigma / alpha from 8 to 0.1: where Gaussian data of variance 0.1 to 2 turns.
inline levels_t warm_levels(const tweedie::any_schedule& schedule, int steps) {
    return tweedie::grid::log_snr(
        schedule, steps, {.sigma_max = 8.0, .sigma_min = 0.1, .last = tweedie::grid::final_level::sigma_min});
}

/// Mean and variance at the end of a plan, of a start that has the law of its level, for data N(1, variance).
struct moments {
    double mean = 0.0;
    double variance = 0.0;
};

inline moments of_level(const tweedie::level& l, double variance) {
    return {l.alpha, l.alpha * l.alpha * variance + l.sigma * l.sigma};
}

inline moments at_end(const tweedie::plan& p, double variance) {
    const moments start = of_level(p.levels.front(), variance);
    const tweedie::transfer t = tweedie::analyze(p, variance);
    return {t.start * start.mean + t.mean, t.start * t.start * start.variance + t.noise_variance};
}

/// Distance of the law at the end from the exact one, relative to the exact standard deviation.
inline double error(const tweedie::plan& p, double variance) {
    const moments found = at_end(p, variance);
    const moments exact = of_level(p.levels.back(), variance);
    return (std::abs(found.mean - exact.mean) +
            std::abs(std::sqrt(found.variance) - std::sqrt(exact.variance))) /
           std::sqrt(exact.variance);
}

/// Order at which the law converges between n and 2 n steps, over data of three variances together, so that
/// an error that changes its sign in one of them hides nothing.
template <class Solver>
double order(const Solver& solver, const tweedie::any_schedule& schedule, int n) {
    const auto total = [&](int steps) {
        double sum = 0.0;
        for (const double variance : {0.1, 0.5, 2.0}) {
            sum += error(solver.plan(schedule, warm_levels(schedule, steps)), variance);
        }
        return sum;
    };
    return std::log2(total(n) / total(2 * n));
}

/// The data prediction of the scalar mixture `(N(-1, v) + N(1, v)) / 2`, v = 0.05: nothing in it is linear.
inline double two_humps(double x, const tweedie::level& at) {
    constexpr double v = 0.05;
    const double total = at.alpha * at.alpha * v + at.sigma * at.sigma;
    return (at.alpha * v * x + at.sigma * at.sigma * std::tanh(at.alpha * x / total)) / total;
}

/// Runs a plan on a number, with the draws given in order (0 beyond them).
template <class DataPrediction>
double run(const tweedie::plan& p, double x, const DataPrediction& x0,
           const std::vector<double>& draws = {}) {
    const auto pass = [&](const tweedie::plan_pass& what, std::vector<double> columns) {
        for (const std::uint32_t d : what.draws) { columns.push_back(d < draws.size() ? draws[d] : 0.0); }
        std::vector<double> out;
        for (const tweedie::plan_row& row : what.rows) {
            double sum = 0.0;
            for (std::size_t c = 0; c < columns.size(); ++c) { sum += row.weights[c] * columns[c]; }
            out.push_back(sum);
        }
        return out;
    };
    std::vector<double> registers = pass(p.start, {x});
    for (const tweedie::plan_call& call : p.calls) {
        registers.push_back(x0(registers[call.query], call.at));
        registers = pass(call.then, registers);
    }
    return registers[0];
}

/// The exact end of the probability flow of the two humps from level s to level t, by classical Runge-Kutta
/// for y = x / alpha in half-log-SNR: `dy / d lambda = -kappa eps_hat = x0_hat - y`. Error below 1e-10.
inline double exact_flow(double x, const tweedie::level& s, const tweedie::level& t) {
    constexpr int steps = 2000;
    const double from = s.half_log_snr();
    const double h = (t.half_log_snr() - from) / steps;
    const auto slope = [](double y, double lambda) {
        const double kappa = std::exp(-lambda);
        return two_humps(y, {kappa, 1.0, kappa}) - y;
    };
    double y = x / s.alpha;
    for (int i = 0; i < steps; ++i) {
        const double l = from + i * h;
        const double a = slope(y, l);
        const double b = slope(y + h / 2 * a, l + h / 2);
        const double c = slope(y + h / 2 * b, l + h / 2);
        const double d = slope(y + h * c, l + h);
        y += h / 6 * (a + 2 * b + 2 * c + d);
    }
    return t.alpha * y;
}

/// Order of a deterministic solver between n and 2 n steps on the two humps: the median over ten starts.
template <class Solver>
double flow_order(const Solver& solver, const tweedie::any_schedule& schedule, int n) {
    const tweedie::plan coarse = solver.plan(schedule, warm_levels(schedule, n));
    const tweedie::plan fine = solver.plan(schedule, warm_levels(schedule, 2 * n));
    std::vector<double> slopes;
    for (const double u : {-1.9, -1.3, -0.9, -0.6, -0.3, 0.2, 0.5, 0.8, 1.1, 1.6}) {
        const double x = u * std::hypot(coarse.levels[0].alpha, coarse.levels[0].sigma);
        const double exact = exact_flow(x, coarse.levels.front(), coarse.levels.back());
        slopes.push_back(std::log2(std::abs(run(coarse, x, two_humps) - exact) /
                                   std::abs(run(fine, x, two_humps) - exact)));
    }
    std::sort(slopes.begin(), slopes.end());
    return (slopes[4] + slopes[5]) / 2;
}

/// Do two plans have the same calls and weights, up to `tolerance` relative to the largest weight of each
/// pass?
inline void check_same(const tweedie::plan& a, const tweedie::plan& b, double tolerance) {
    REQUIRE(a.calls.size() == b.calls.size());
    const auto compare = [&](const tweedie::plan_pass& left, const tweedie::plan_pass& right) {
        REQUIRE(left.rows.size() == right.rows.size());
        CHECK(left.draws == right.draws);
        double size = 0.0;
        double difference = 0.0;
        for (std::size_t r = 0; r < left.rows.size(); ++r) {
            REQUIRE(left.rows[r].weights.size() == right.rows[r].weights.size());
            for (std::size_t c = 0; c < left.rows[r].weights.size(); ++c) {
                size = std::max(size, std::abs(right.rows[r].weights[c]));
                difference =
                    std::max(difference, std::abs(left.rows[r].weights[c] - right.rows[r].weights[c]));
            }
        }
        CHECK(difference <= tolerance * size);
    };
    compare(a.start, b.start);
    for (std::size_t k = 0; k < a.calls.size(); ++k) {
        INFO("call " << k);
        CHECK(a.calls[k].at == b.calls[k].at);
        CHECK(a.calls[k].query == b.calls[k].query);
        compare(a.calls[k].then, b.calls[k].then);
    }
}

/// Plans on every schedule with 1, 2 and 3 steps, to the clean end and to sigma_min: finite, from and to the
/// grid's ends, network calls at noisy levels only.
template <class Solver>
void check_short_plans(const Solver& solver) {
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 2, 3}) {
            for (const tweedie::grid::final_level last :
                 {tweedie::grid::final_level::zero, tweedie::grid::final_level::sigma_min}) {
                INFO(s.name << ", " << steps << " steps");
                const levels_t levels = tweedie::grid::karras(s.schedule, steps, {.last = last});
                const tweedie::plan p = solver.plan(s.schedule, levels);
                CHECK(p.levels == levels);
                for (const tweedie::plan_call& call : p.calls) { CHECK(call.at.sigma > 0.0); }
                const tweedie::transfer t = tweedie::analyze(p, 0.5);
                CHECK((std::isfinite(t.start) && std::isfinite(t.mean) && std::isfinite(t.noise_variance)));
            }
        }
    }
}

/// The message of what `action` throws; empty when it throws nothing.
template <class Action>
std::string refusal(const Action& action) {
    try {
        action();
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

/// The message of a solver that refuses to plan ten steps on EDM.
template <class Solver>
std::string refused(const Solver& solver) {
    const tweedie::schedule::edm edm;
    return refusal([&] { static_cast<void>(solver.plan(edm, tweedie::grid::karras(edm, 10))); });
}

}  // namespace law
