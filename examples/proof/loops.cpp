// SPDX-License-Identifier: MIT
#include "loops.hpp"

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/loop.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/adaptive_sde.hpp>
#include <tweedie/solver/dpm_adaptive.hpp>
#include <tweedie/solver/evodiff.hpp>
#include <tweedie/solver/predictor_corrector.hpp>
#include <tweedie/solver/runge_kutta_pair.hpp>
#include <tweedie/verify/exactness.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>

namespace proof {

namespace {

using namespace tweedie;

/// All starts of a problem, one after the other: an adaptive method shares its steps among the samples of a
/// batch, so each runs alone.
template <class Solver>
loop_end run_on(const Solver& solver, const problem& on, std::size_t steps) {
    const schedule::edm edm({.sigma_min = on.sigma_min, .sigma_max = on.sigma_max});
    const std::vector<level> levels =
        grid::karras(edm, static_cast<int>(steps), {.last = grid::final_level::sigma_min});
    const auto method = solver.loop(edm, levels);
    const auto network = [&](const std::vector<double>& x, const network_level& at) {
        const Eigen::Map<const Eigen::MatrixXd> columns(x.data(), static_cast<Eigen::Index>(x.size()), 1);
        const Eigen::MatrixXd x0 = on.data.denoise(columns, at);
        return std::vector<double>(x0.data(), x0.data() + x0.size());
    };
    const denoiser model(network, prediction::x0, edm);
    constexpr Eigen::Index every = 6;  // 64 of the 384 starts
    const Eigen::Index count = on.starts.cols() / every;
    Eigen::MatrixXd ends(on.starts.rows(), count);
    Eigen::MatrixXd exact(on.starts.rows(), count);
    loop_end out;
    for (Eigen::Index i = 0; i < count; ++i) {
        const Eigen::VectorXd start = on.starts.col(every * i);
        std::vector<double> x(start.data(), start.data() + start.size());
        const run_result result = sample(method, model, x);
        if (!result) { throw std::runtime_error("a loop did not finish"); }
        out.calls += static_cast<double>(result.network_calls) / static_cast<double>(count);
        ends.col(i) = Eigen::Map<const Eigen::VectorXd>(x.data(), start.size());
        exact.col(i) = on.ends.col(every * i);
    }
    out.error = verify::median_rms(ends, exact);
    return out;
}

template <std::size_t order>
loop_end adaptive(const problem& on, double tolerance) {
    return run_on(solver::dpm_adaptive{.order = order, .rtol = tolerance, .atol = tolerance / 10.0}, on, 1);
}

template <solver::runge_kutta_pair::pair variant>
loop_end pair(const problem& on, double tolerance) {
    return run_on(solver::runge_kutta_pair{.variant = variant, .rtol = tolerance, .atol = tolerance}, on, 1);
}

template <solver::evodiff::formula variant>
loop_end evodiff(const problem& on, std::size_t calls) {
    return run_on(solver::evodiff{.variant = variant}, on, calls);
}

/// A stochastic loop from sigma 10 to 0.1.
template <class Solver>
loop_moments moments(const Solver& solver, int steps) {
    constexpr std::size_t samples = 500;
    constexpr std::size_t elements = 64;
    constexpr double data_variance = 0.25;
    const schedule::edm edm;
    const std::vector<level> levels = grid::log_snr(
        edm, steps, {.sigma_max = 10.0, .sigma_min = 0.1, .last = grid::final_level::sigma_min});
    const auto network = [](const std::vector<double>& x, const network_level& at) {
        std::vector<double> out = x;
        const double total = data_variance + at.sigma * at.sigma;
        for (double& v : out) { v = (data_variance * v + at.sigma * at.sigma) / total; }
        return out;
    };
    const denoiser model(network, prediction::x0, edm);
    loop_moments out;
    double sum = 0.0;
    double squares = 0.0;
    for (std::size_t i = 0; i < samples; ++i) {
        std::vector<double> x(elements);
        noise{.seed = 11, .sample = i}.stream(draw_kind::initial, 0)(0, 0, std::span<double>(x));
        for (double& v : x) { v = 1.0 + std::sqrt(100.0 + data_variance) * v; }
        const run_result result = sample(solver.loop(edm, levels), model, x, noise{.seed = 11, .sample = i});
        if (!result) { throw std::runtime_error("a loop did not finish"); }
        out.calls += static_cast<double>(result.network_calls) / samples;
        for (const double v : x) {
            sum += v - 1.0;
            squares += (v - 1.0) * (v - 1.0);
        }
    }
    constexpr double n = samples * elements;
    const double exact = data_variance + 0.01;
    out.mean = std::abs(sum / n) / std::sqrt(exact);
    out.variance = std::abs((squares / n - sum / n * (sum / n)) / exact - 1.0);
    return out;
}

}  // namespace

std::vector<loop_row> loop_rows() {
    using evo = solver::evodiff::formula;
    constexpr auto bs = solver::runge_kutta_pair::pair::bogacki_shampine;
    constexpr auto dp = solver::runge_kutta_pair::pair::dormand_prince;
    return {{"evodiff, 5 calls", [](const problem& p) { return evodiff<evo::released>(p, 5); }},
            {"evodiff, 10 calls", [](const problem& p) { return evodiff<evo::released>(p, 10); }},
            {"evodiff, 20 calls", [](const problem& p) { return evodiff<evo::released>(p, 20); }},
            {"evodiff, 40 calls", [](const problem& p) { return evodiff<evo::released>(p, 40); }},
            {"evodiff published, 10 calls", [](const problem& p) { return evodiff<evo::published>(p, 10); }},
            {"evodiff published, 40 calls", [](const problem& p) { return evodiff<evo::published>(p, 40); }},
            {"dpm_adaptive 12, 0.05", [](const problem& p) { return adaptive<2>(p, 0.05); }},
            {"dpm_adaptive 12, 0.005", [](const problem& p) { return adaptive<2>(p, 0.005); }},
            {"dpm_adaptive 23, 0.05", [](const problem& p) { return adaptive<3>(p, 0.05); }},
            {"dpm_adaptive 23, 0.005", [](const problem& p) { return adaptive<3>(p, 0.005); }},
            {"dpm_adaptive 23, 0.0005", [](const problem& p) { return adaptive<3>(p, 0.0005); }},
            {"Bogacki-Shampine 3(2), 1e-3", [](const problem& p) { return pair<bs>(p, 1e-3); }},
            {"Bogacki-Shampine 3(2), 1e-5", [](const problem& p) { return pair<bs>(p, 1e-5); }},
            {"Dormand-Prince 5(4), 1e-3", [](const problem& p) { return pair<dp>(p, 1e-3); }},
            {"Dormand-Prince 5(4), 1e-5", [](const problem& p) { return pair<dp>(p, 1e-5); }},
            {"Dormand-Prince 5(4), 1e-8", [](const problem& p) { return pair<dp>(p, 1e-8); }}};
}

std::vector<stochastic_loop_row> stochastic_loop_rows() {
    return {
        {"predictor_corrector, 20 steps", [] { return moments(solver::predictor_corrector{}, 20); }},
        {"predictor_corrector, 80 steps", [] { return moments(solver::predictor_corrector{}, 80); }},
        {"predictor_corrector, 320 steps", [] { return moments(solver::predictor_corrector{}, 320); }},
        {"adaptive_sde, 0.05", [] { return moments(solver::adaptive_sde{.rtol = 0.05, .atol = 0.05}, 1); }},
        {"adaptive_sde, 0.01", [] { return moments(solver::adaptive_sde{.rtol = 0.01, .atol = 0.01}, 1); }},
        {"adaptive_sde, 0.002",
         [] { return moments(solver::adaptive_sde{.rtol = 0.002, .atol = 0.002}, 1); }}};
}

}  // namespace proof
