// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <span>
#include <string>

namespace tweedie::solver {

/// DPM-Solver++(2M): second-order multistep exponential integrator in data prediction.
///
///     D   = m0 + (m0 - m1) / (2 r),    r = h_prev / h
///     x_t = (sigma_t / sigma_s) x_s - alpha_t (e^(-h) - 1) D
///
/// m0, m1 are the data predictions at s and at the level before it. Source: Lu et al. 2022, arXiv:2211.01095,
/// algorithm 2 (`midpoint`); `taylor` replaces `(e^(-h) - 1) / 2` of the difference term by the exact
/// integral of the linear interpolant, `-((e^(-h) - 1) / h + 1)` (called `heun` in popular software).
/// - order   2 in half-log-SNR; the first step, a step to sigma = 0, and with `lower_order_final` the last
///           step are of first order (DDIM).
/// - cost    1 network call per step; 2 live tensors; 3 reads and 2 writes.
/// - errors  `std::invalid_argument`: levels that are not strictly denoising.
/// - choose  as the robust default with guidance at 15 to 30 calls; `unipc` is more accurate at the same cost
///           where the network is smooth.
struct dpmpp_2m {
    enum class difference { midpoint, taylor };

    difference variant = difference::midpoint;  ///< how the second-order term is weighted
    bool lower_order_final = true;  ///< the last step is of first order; steadier below about 15 steps

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        require_levels(levels, "dpmpp_2m");
        plan_writer p(std::string("dpmpp_2m(") + (variant == difference::midpoint ? "midpoint" : "taylor") +
                          (lower_order_final ? ")" : ", full order to the end)"),
                      levels);
        plan_variable x = p.state();
        plan_history m = p.remember("x0_hat", 2);
        double h_prev = 0.0;
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const double h = log_snr_step(s, t);
            const bool first_order = i == 0 || t.sigma == 0.0 || (lower_order_final && i + 1 == p.steps());

            m.push(p.data_prediction(x, s));
            x = (t.sigma / s.sigma) * x - t.alpha * std::expm1(-h) * m[0];
            if (!first_order) {
                const double r = h_prev / h;
                const linear_form difference_term = (m[0] - m[1]) / r;
                const double weight =
                    variant == difference::midpoint ? -std::expm1(-h) / 2 : std::expm1(-h) / h + 1;
                x = x + t.alpha * weight * difference_term;
            }
            h_prev = h;
        }
        return p.finish(x);
    }
};

}  // namespace tweedie::solver
