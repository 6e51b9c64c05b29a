// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/start.hpp>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// LMS, the linear multistep method of k-diffusion: Adams-Bashforth in kappa = sigma / alpha.
///
///     x_t = alpha_t (x_s / alpha_s + sum_j w_j eps_j),    w_j = int_(kappa_s)^(kappa_t) l_j(kappa) dkappa
///
/// l_j are the Lagrange polynomials of the last `order` levels. Source: Crowson, k-diffusion, `sample_lms`
/// (2022), on VE; on every other schedule the same in x / alpha. The integrals are in closed form where
/// popular software calls a quadrature routine for each. It is the same method as iPNDM with true weights
/// (`ipndm::steps::variable`) and DEIS's rho-AB (`deis::variable::rho`).
/// - order   `order` in kappa on any grid with `start::single_step`; 4 for orders above 4, whose start is
///           of third order at most. With `start::multistep` its own lower orders come first and cap it at
///           2. A step to sigma = 0 keeps the full order: kappa = 0 is a point like any other.
/// - cost    1 network call per step, `order` live tensors; `start::single_step` costs 1 call more for
///           order 3 and 4 for higher ones, all in the first two steps.
/// - errors  `std::invalid_argument`: order 0 or above 8; levels that are neither strictly denoising nor
///           strictly rising in noise (inversion).
/// - choose  order 3 or 4 at 10 to 30 calls on `grid::karras`, without guidance.
struct lms {
    std::size_t order = 4;                           ///< past noise predictions used; 1 to 8
    solver::start start = solver::start::multistep;  ///< what is done before the history is full

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 8)) { throw std::invalid_argument("lms: order must lie in [1, 8]"); }
        require_levels(levels, "lms", walk::either);
        const std::string name = "lms(order=" + std::to_string(order) +
                                 (start == solver::start::single_step ? ", single-step start)" : ")");
        return multistep_in_noise(
            name, schedule, levels, order, start,
            [](std::size_t /*step*/, std::size_t known) { return known; },
            [](std::span<const level> nodes, const level& t) { return adams_weights(nodes, t); });
    }
};

}  // namespace tweedie::solver
