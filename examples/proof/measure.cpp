// SPDX-License-Identifier: MIT
#include "measure.hpp"

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>

namespace proof {

namespace {

using namespace tweedie;

constexpr double sigma_max = 10.0;
constexpr double sigma_min = 0.1;

/// Three Gaussians in the plane: curved trajectories, smooth at this scale.
const analytic::mixture& small_mixture() {
    static const analytic::mixture mixture = [] {
        const auto at = [](double x, double y, double v, double w) {
            return analytic::gaussian::low_rank(Eigen::Vector2d(x, y), Eigen::Matrix2d::Identity(),
                                                Eigen::Vector2d(v, w));
        };
        return analytic::mixture({0.5, 0.3, 0.2},
                                 {at(1.0, 0.4, 0.2, 0.3), at(-1.0, 0.7, 0.4, 0.2), at(0.2, -1.2, 0.3, 0.3)});
    }();
    return mixture;
}

family make_family(std::string name, const any_schedule& schedule, bool kinked = false) {
    family out{std::move(name), schedule, kinked, {}};
    out.flow.steps = {80, 113, 160, 226, 320};
    const std::vector<level> ends = order_levels(out, 1);
    constexpr Eigen::Index count = 31;
    Eigen::MatrixXd z(2, count);
    noise{.seed = 1}.stream(draw_kind::user, 0)(0, 0, std::span<double>(z.data(), 2 * count));
    out.flow.starts = (ends.front().sigma * z).colwise() + ends.front().alpha * small_mixture().mean();
    const auto exact =
        verify::reference_flow(small_mixture(), schedule, ends.front(), ends.back(), out.flow.starts);
    if (!exact) { throw std::runtime_error("the reference flow on " + out.name + " did not arrive"); }
    out.flow.ends = exact.x;
    return out;
}

}  // namespace

std::vector<family> families() {
    return {make_family("VP", schedule::vp_linear{}),
            make_family("VE", schedule::ve{}),
            make_family("EDM", schedule::edm{}),
            make_family("flow", schedule::flow{}),
            make_family("trig", schedule::trig{}),
            make_family("table", schedule::discrete::scaled_linear(), true)};
}

std::vector<level> order_levels(const family& on, int steps) {
    return grid::log_snr(
        on.schedule, steps,
        {.sigma_max = sigma_max, .sigma_min = sigma_min, .last = grid::final_level::sigma_min});
}

verify::measured order_of(const row& solver, const family& on) {
    return verify::measured_order(
        solver, on.schedule, [&](int steps) { return order_levels(on, solver.refine * steps); },
        small_mixture(), on.flow);
}

double error_with_calls(const row& solver, const problem& on, std::size_t calls) {
    const schedule::edm edm({.sigma_min = on.sigma_min, .sigma_max = on.sigma_max});
    plan best;
    for (int steps = 1; steps <= static_cast<int>(calls); ++steps) {
        const std::vector<level> levels = grid::karras(edm, steps, {.last = grid::final_level::sigma_min});
        plan p = solver.plan(edm, levels);
        if (p.calls.size() > calls) { break; }
        best = std::move(p);
    }
    if (best.calls.empty()) { return std::numeric_limits<double>::quiet_NaN(); }
    return verify::median_rms(verify::run_plan(best, on.data, edm, on.starts, noise{.seed = 3}), on.ends);
}

moment_error moments_of(const row& solver, const family& on, int steps) {
    const plan p = solver.plan(on.schedule, order_levels(on, steps));
    const level& s = p.levels.front();
    const level& t = p.levels.back();
    moment_error worst;
    for (const double v : {0.01, 0.25, 4.0}) {
        const transfer end = analyze(p, v);
        const double start_variance = s.alpha * s.alpha * v + s.sigma * s.sigma;
        const double exact_variance = t.alpha * t.alpha * v + t.sigma * t.sigma;
        const double variance = end.start * end.start * start_variance + end.noise_variance;
        const double mean = end.start * s.alpha + end.mean;
        worst.mean = std::max(worst.mean, std::abs(mean - t.alpha) / std::sqrt(exact_variance));
        worst.variance = std::max(worst.variance, std::abs(variance / exact_variance - 1.0));
    }
    return worst;
}

double slope(const moment_error& coarse, const moment_error& fine, int refinement) {
    const double from = std::max(coarse.mean, coarse.variance);
    const double to = std::max(fine.mean, fine.variance);
    return to < 1e-13 ? std::numeric_limits<double>::quiet_NaN() : std::log(from / to) / std::log(refinement);
}

step_cost cost_of(const row& solver) {
    const schedule::edm edm;
    constexpr int steps = 32;
    const auto calls = [&](int n) {
        return static_cast<double>(
            solver.plan(edm, grid::log_snr(edm, n, {.last = grid::final_level::sigma_min})).calls.size());
    };
    const plan_counts all =
        counts(solver.plan(edm, grid::log_snr(edm, steps, {.last = grid::final_level::sigma_min})));
    return {(calls(2 * steps) - calls(steps)) / steps, all.live_tensors, all.draws > 0};
}

}  // namespace proof
