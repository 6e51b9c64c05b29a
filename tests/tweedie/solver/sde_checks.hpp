// SPDX-License-Identifier: MIT
#pragma once

// The exact law of a sampler on Gaussian data, and how fast it converges.

#include <tweedie/grid/log_snr.hpp>
#include <tweedie/model/convention.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace sde {

/// What weights of size 1 may differ by when they are formed in another order.
inline constexpr double rounding = 1e-13;

/// The same calls, and the same weights for the state, whatever registers carry it: the runs on three kinds of data
/// agree.
inline void check_same_law(const tweedie::plan& a, const tweedie::plan& b) {
    REQUIRE(a.calls.size() == b.calls.size());
    for (const double variance : {0.05, 1.0, 30.0}) {
        const tweedie::transfer left = tweedie::analyze(a, variance);
        const tweedie::transfer right = tweedie::analyze(b, variance);
        CHECK_THAT(left.start, Catch::Matchers::WithinAbs(right.start, rounding));
        CHECK_THAT(left.mean, Catch::Matchers::WithinAbs(right.mean, rounding));
        CHECK_THAT(left.noise_variance, Catch::Matchers::WithinAbs(right.noise_variance, rounding));
    }
}

using levels_t = std::vector<tweedie::level>;

struct named_schedule {
    std::string name;
    tweedie::any_schedule schedule;
};

inline std::vector<named_schedule> schedules() {
    return {{"vp", tweedie::schedule::vp_linear{}},
            {"edm", tweedie::schedule::edm{}},
            {"flow", tweedie::schedule::flow{}}};
}

/// Levels even in half-log-SNR, from sigma/alpha = 8 to 0.1, where Gaussian data of variance 1/2 turns.
inline levels_t even_levels(const tweedie::any_schedule& schedule, int steps) {
    return tweedie::grid::log_snr(
        schedule, steps, {.sigma_max = 8.0, .sigma_min = 0.1, .last = tweedie::grid::final_level::sigma_min});
}

/// Levels whose steps in half-log-SNR grow and shrink by a factor of about two.
inline levels_t uneven_levels(const tweedie::any_schedule& schedule, int steps) {
    levels_t out;
    for (int i = 0; i <= steps; ++i) {
        const double u = static_cast<double>(i) / steps;
        const double warped = u + 0.06 * std::sin(6.283185307179586 * u);
        out.push_back(tweedie::at_half_log_snr(schedule, -std::log(8.0) + warped * std::log(80.0)));
    }
    return out;
}

/// Errors at the end of a run on data N(1, variance) whose start has the right law.
///
/// - `mean`       of the weight of the start: how a start off the mean is forgotten,
///                alpha_t/alpha_s ((v + kappa_t^2) / (v + kappa_s^2))^((1 + eta)/2) for the SDE with
///                diffusion eta.
/// - `deviation`  of the standard deviation of the samples, against sqrt(alpha_t^2 v + sigma_t^2).
struct law_error {
    double mean = 0.0;
    double deviation = 0.0;
};

inline law_error error_of_law(const tweedie::plan& p, double variance, double eta) {
    const tweedie::transfer move = tweedie::analyze(p, variance);
    const tweedie::level& s = p.levels.front();
    const tweedie::level& t = p.levels.back();
    const double start = s.alpha * s.alpha * variance + s.sigma * s.sigma;
    const double end = t.alpha * t.alpha * variance + t.sigma * t.sigma;
    const double reached = move.start * move.start * start + move.noise_variance;
    const double ratio = end / start * (s.alpha * s.alpha) / (t.alpha * t.alpha);
    const double kept = t.alpha / s.alpha * std::pow(ratio, (1.0 + eta) / 2.0);
    // the mean itself: x = alpha mu is carried to alpha mu whatever the step
    const double shift = std::abs(move.start * s.alpha + move.mean - t.alpha);
    return {std::abs(move.start - kept) + shift, std::abs(std::sqrt(reached) - std::sqrt(end))};
}

/// Measured orders of mean and standard deviation between n and 2n steps: of the errors summed over
/// variances, so that one that happens to change its sign does not hide the others.
struct law_order {
    double mean = 0.0;
    double deviation = 0.0;
    law_error finest;
};

template <class Solver>
law_order order_of_law(const Solver& solver, const tweedie::any_schedule& schedule, double eta,
                       levels_t (*levels)(const tweedie::any_schedule&, int), int n) {
    const auto total = [&](int steps) {
        const tweedie::plan p = solver.plan(schedule, levels(schedule, steps));
        law_error sum;
        for (const double variance : {0.1, 0.5, 2.0}) {
            const law_error e = error_of_law(p, variance, eta);
            sum.mean += e.mean;
            sum.deviation += e.deviation;
        }
        return sum;
    };
    const law_error coarse = total(n);
    const law_error fine = total(2 * n);
    return {std::log2(coarse.mean / fine.mean), std::log2(coarse.deviation / fine.deviation), fine};
}

/// What one more step costs a plan that asks an epsilon network, far from its ends.
template <class Solver>
tweedie::plan_counts cost_of_a_step(const Solver& solver, const tweedie::any_schedule& schedule) {
    const auto total = [&](int steps) {
        const tweedie::plan p = solver.plan(schedule, even_levels(schedule, steps));
        return tweedie::counts(tweedie::fold(p, tweedie::convention(tweedie::prediction::epsilon, schedule)));
    };
    const tweedie::plan_counts shorter = total(10);
    tweedie::plan_counts one = total(11);
    one.network_calls -= shorter.network_calls;
    one.draws -= shorter.draws;
    one.reads -= shorter.reads;
    one.writes -= shorter.writes;
    return one;
}

/// The message of what planning on a few levels throws; empty when it throws nothing.
template <class Solver>
std::string refusal(const Solver& solver) {
    const tweedie::any_schedule schedule = tweedie::schedule::edm{};
    try {
        const tweedie::plan unused = solver.plan(schedule, even_levels(schedule, 4));
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

/// Levels from pure noise to clean data on the flow schedule.
inline levels_t whole_range(int steps) {
    const tweedie::any_schedule flow = tweedie::schedule::flow{};
    return tweedie::grid::log_snr(flow, steps, {});
}

/// The exact law of the samples at the end of a plan for data that are the point 1: N(alpha, sigma^2).
inline double error_on_a_point(const tweedie::plan& p) {
    const tweedie::transfer move = tweedie::analyze(p, 0.0);
    const tweedie::level& s = p.levels.front();
    const tweedie::level& t = p.levels.back();
    const double deviation = std::hypot(move.start * s.sigma, std::sqrt(move.noise_variance));
    return std::abs(move.start * s.alpha + move.mean - t.alpha) + std::abs(deviation - t.sigma);
}

}  // namespace sde
