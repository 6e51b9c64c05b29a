// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/gauss_legendre.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/start.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// DEIS: the noise prediction is extrapolated by a polynomial, the rest is integrated exactly.
///
///     x_t = alpha_t (x_s / alpha_s + sum_j C_j eps_j),    C_j = int_(kappa_s)^(kappa_t) l_j dkappa
///
/// l_j are Lagrange polynomials through the last `order` levels, in the variable
///
///     time      the schedule's own time (the paper's tAB)
///     rho       kappa = sigma / alpha (the paper's rhoAB); it is `lms`
///     log_rho   ln kappa (the form of popular software); it is DPM-Solver's integrator in noise prediction
///
/// Source: Zhang and Chen 2022, arXiv:2204.13902 (their AB-DEIS of order r is `order` = r + 1). rho and
/// log_rho are in closed form, time by Gauss-Legendre quadrature in ln kappa (8 points for each unit).
/// Order 1 is DDIM in all three.
/// - order   `order` with `start::single_step`; with `start::multistep` its own lower orders come first and
///           cap it at 2, as does `lower_order_final`, which uses fewer predictions in the last steps. A
///           step to sigma = 0 keeps the full order in time and rho; in log_rho it is of first order, ln 0
///           being no place to extrapolate to.
/// - cost    1 network call per step, `order` live tensors; `start::single_step` costs 1 call more for
///           order 3 and 4 for order 4.
/// - errors  `std::invalid_argument`: order 0 or above 4; levels that are neither strictly denoising nor
///           strictly rising in noise (inversion).
/// - choose  `time` on VP at 5 to 10 calls, on levels uniform in the square root of time, as the paper
///           does; else `log_rho`. Without a start or corrector `unipc` is more accurate for the same cost.
struct deis {
    enum class variable { time, rho, log_rho };

    std::size_t order = 3;                           ///< past noise predictions used; 1 to 4
    variable variant = variable::log_rho;            ///< in what the noise prediction is a polynomial
    solver::start start = solver::start::multistep;  ///< what is done before the history is full
    bool lower_order_final = true;  ///< the last steps use fewer predictions; steadier below about 15 steps

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 4)) { throw std::invalid_argument("deis: order must lie in [1, 4]"); }
        require_levels(levels, "deis", walk::either);
        const std::size_t steps = levels.size() - 1;
        const auto usable = [&](std::size_t i, std::size_t known) {
            if (variant == variable::log_rho && levels[i + 1].sigma == 0.0) { return std::size_t{1}; }
            return lower_order_final ? std::min(known, steps - i) : known;
        };
        return multistep_in_noise(describe(), schedule, levels, order, start, usable,
                                  [&](std::span<const level> nodes, const level& t) {
                                      if (variant == variable::rho || nodes.size() == 1) {
                                          return adams_weights(nodes, t);
                                      }
                                      return variant == variable::time ? time_weights(schedule, nodes, t)
                                                                       : log_rho_weights(nodes, t);
                                  });
    }

private:
    /// int l_j(lambda) dkappa with dkappa = -e^(-lambda) dlambda: the exponential integrator's weights.
    [[nodiscard]] static std::vector<double> log_rho_weights(std::span<const level> nodes, const level& t) {
        std::vector<double> lambda;
        for (const level& l : nodes) { lambda.push_back(-log_snr_step(l, nodes[0])); }
        std::vector<double> weights = exponential_weights(lambda, 0.0, log_snr_step(nodes[0], t), -1.0);
        for (double& w : weights) { w *= -t.sigma / t.alpha; }
        return weights;
    }

    /// int l_j(time) dkappa. The weights sum to kappa_t - kappa_s exactly: the quadrature gives all but the
    /// first.
    [[nodiscard]] static std::vector<double> time_weights(const any_schedule& schedule,
                                                          std::span<const level> nodes, const level& t) {
        const double kappa = nodes[0].sigma / nodes[0].alpha;
        const double from = nodes[0].half_log_snr();
        // on the way to sigma = 0 nothing is left beyond kappa e^-40
        const double h = std::min(log_snr_step(nodes[0], t), 40.0);
        std::vector<double> weights(nodes.size(), 0.0);
        detail::gauss_legendre(0.0, h, 1.0, [&](double passed, double part) {
            const double dkappa = -kappa * std::exp(-passed) * part;
            const double time = schedule.time_at(from + passed);
            for (std::size_t j = 1; j < nodes.size(); ++j) {
                double lagrange = 1.0;
                for (std::size_t k = 0; k < nodes.size(); ++k) {
                    if (k != j) { lagrange *= (time - nodes[k].t) / (nodes[j].t - nodes[k].t); }
                }
                weights[j] += dkappa * lagrange;
            }
        });
        weights[0] = t.sigma / t.alpha - kappa;
        for (std::size_t j = 1; j < nodes.size(); ++j) { weights[0] -= weights[j]; }
        return weights;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "deis(order=" + std::to_string(order);
        text += variant == variable::time ? ", time" : variant == variable::rho ? ", rho" : ", log_rho";
        if (start == solver::start::single_step) { text += ", single-step start"; }
        if (!lower_order_final) { text += ", full order to the end"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
