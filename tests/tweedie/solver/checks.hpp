// SPDX-License-Identifier: MIT
#pragma once

// All schedules, all solvers and a scalar network, for tests that run over each pair.

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

using levels_t = std::vector<tweedie::level>;

struct named_schedule {
    std::string name;
    tweedie::any_schedule schedule;
};

/// Every family; the last four start at pure noise, alpha = 0.
inline std::vector<named_schedule> all_schedules() {
    namespace s = tweedie::schedule;
    std::vector<double> alphas_bar;
    const s::discrete table = s::discrete::scaled_linear();
    for (int i = 0; i < 1000; ++i) {
        const double a = table.alpha(i) - table.alpha(999.0);
        alphas_bar.push_back(a * a / 1.01);
    }
    return {{"vp_linear", s::vp_linear{}},
            {"vp_cosine", s::vp_cosine{}},
            {"discrete", s::discrete::linear()},
            {"ve", s::ve{}},
            {"edm", s::edm{}},
            {"flow", s::flow{}},
            {"flow, data at one", s::flow({.time = s::flow_time::data_at_one})},
            {"trig", s::trig{}},
            {"discrete, zero terminal SNR", s::discrete::from_alphas_bar(alphas_bar)}};
}

/// A level of a schedule by its half-log-SNR, and a grid between two of them that has neither end of the
/// schedule.
inline levels_t interior_levels(const tweedie::any_schedule& schedule, int steps, double sigma_max = 20.0,
                                double sigma_min = 0.05) {
    return tweedie::grid::karras(
        schedule, steps,
        {.sigma_max = sigma_max, .sigma_min = sigma_min, .last = tweedie::grid::final_level::sigma_min});
}

struct named_solver {
    std::string name;
    std::function<tweedie::plan(const tweedie::any_schedule&, std::span<const tweedie::level>)> plan;
};

template <class Solver>
named_solver as_named(std::string name, const Solver& solver) {
    return {std::move(name),
            [solver](const tweedie::any_schedule& schedule, std::span<const tweedie::level> levels) {
                return solver.plan(schedule, levels);
            }};
}

inline std::vector<named_solver> all_solvers() {
    namespace s = tweedie::solver;
    std::vector<named_solver> out = {
        as_named("ddim", s::ddim{}),
        as_named("ddim eta 0.5", s::ddim{.eta = 0.5}),
        as_named("ddim eta 1", s::ddim{.eta = 1.0}),
        as_named("euler", s::euler{}),
        as_named("heun", s::heun{}),
        as_named("dpm_solver", s::dpm_solver{}),
        as_named("dpm_solver taylor", s::dpm_solver{.variant = s::difference::taylor}),
        as_named("dpm_solver full", s::dpm_solver{.lower_order_final = false})};
    for (const std::size_t order : {1U, 2U, 3U, 4U, 8U}) {
        for (const auto b : {s::unipc::bh::bh1, s::unipc::bh::bh2}) {
            for (const auto form : {s::form::data, s::form::noise}) {
                for (const int lower : {0, 1}) {
                    const s::unipc method{
                        .order = order, .variant = b, .predicts = form, .lower_order_final = lower == 1};
                    out.push_back(as_named(
                        "unipc " + std::to_string(order) + (b == s::unipc::bh::bh1 ? " bh1" : " bh2") +
                            (form == s::form::data ? " data" : " noise") + (lower == 1 ? " lower" : ""),
                        method));
                }
            }
        }
        out.push_back(
            as_named("unip " + std::to_string(order), s::unipc{.order = order, .corrector = false}));
    }
    return out;
}

/// The data prediction of the scalar mixture `(N(-1, v) + N(1, v)) / 2`, v = 0.05: nothing in it is linear.
inline double two_humps(double x, const tweedie::level& at) {
    constexpr double v = 0.05;
    const double total = at.alpha * at.alpha * v + at.sigma * at.sigma;
    return (at.alpha * v * x + at.sigma * at.sigma * std::tanh(at.alpha * x / total)) / total;
}

/// A start of the right size for a grid.
inline double start_of(const levels_t& levels) {
    return 1.3 * std::hypot(levels.front().alpha, levels.front().sigma) - 0.2;
}

/// Runs a plan on a double with the data prediction `x0(x, level)`; `seen` gets the state at the start of
/// each step.
template <class Law>
double run_on_double(const tweedie::plan& p, const tweedie::any_schedule& schedule, double x, const Law& x0,
                     std::vector<double>* seen = nullptr, std::vector<std::vector<double>> noise = {}) {
    const tweedie::denoiser model([&](double y, const tweedie::network_level& at) { return x0(y, at); },
                                  tweedie::prediction::x0, schedule);
    const tweedie::injected_noise<double> source(
        tweedie::noise_record<double>{.elements = 1, .step = std::move(noise)});
    const auto watch = [&](const tweedie::observation<double>& o) {
        if (seen != nullptr) { seen->push_back(o.x); }
    };
    const tweedie::run_result result = tweedie::sample(p, model, x, source, tweedie::hooks{.observe = watch});
    CHECK(result.status == tweedie::run_status::finished);
    return x;
}

/// The same as a function of the plan alone, from `start_of` with the two humps.
inline double end_of(const tweedie::plan& p, const tweedie::any_schedule& schedule) {
    return run_on_double(p, schedule, start_of(p.levels), two_humps);
}

/// Do two plans have the same calls and weights, up to `tolerance` relative to the largest weight of each
/// pass?
inline void check_same_passes(const tweedie::plan& a, const tweedie::plan& b, double tolerance,
                              std::size_t first_call = 0) {
    REQUIRE(a.calls.size() == b.calls.size());
    for (std::size_t k = first_call; k < a.calls.size(); ++k) {
        INFO("call " << k);
        CHECK(a.calls[k].at == b.calls[k].at);
        CHECK(a.calls[k].query == b.calls[k].query);
        const auto& left = a.calls[k].then.rows;
        const auto& right = b.calls[k].then.rows;
        REQUIRE(left.size() == right.size());
        double size = 0.0;
        double difference = 0.0;
        for (std::size_t r = 0; r < left.size(); ++r) {
            REQUIRE(left[r].weights.size() == right[r].weights.size());
            for (std::size_t c = 0; c < left[r].weights.size(); ++c) {
                size = std::max(size, std::abs(right[r].weights[c]));
                difference = std::max(difference, std::abs(left[r].weights[c] - right[r].weights[c]));
            }
        }
        CHECK(difference <= tolerance * size);
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
