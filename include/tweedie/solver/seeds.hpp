// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/linear_path.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// SEEDS-1, -2 and -3: single-step exponential integrators of the diffusion SDE, with stages.
///
/// With a(s, t) and E the exact linear part and integral of a constant, D_k the prediction at stage k, and
/// noise(u) one Brownian path (`linear_path`) seen at the stages and at the end:
///
///     SEEDS-1   x_t = a x_s + E D_0 + noise(t)
///     SEEDS-2   u   = lambda_s + r h,      x_u = a x_s + E D_0 + noise(u)
///               x_t = a x_s + E ((1 - 1/(2 r)) D_0 + 1/(2 r) D_u) + noise(t)
///     SEEDS-3   u, v = lambda_s + h/3, lambda_s + 2h/3,    x_u as above
///               x_v = a x_s + int of the line through D_0, D_u + noise(v)
///               x_t = a x_s + int of the line through D_0, D_v + noise(t)
///
/// These are `midpoint`; with `taylor` the end of SEEDS-2 is the integral of the line, that of SEEDS-3 of the
/// parabola through all.
///
/// In noise prediction and tau = 1 SEEDS-1 is `x_t = alpha_t/alpha_s x_s - 2 sigma_t (e^h - 1) eps + sigma_t
/// sqrt(e^(2h) - 1) z`. Source: Gonzalez et al. 2023, arXiv:2305.14267 (VP, noise prediction, tau = 1). Here
/// for any schedule, either prediction and any stochasticity; tau = 0 gives DPM-Solver-1, -2 and -3,
/// single-step.
/// - order   of the drift: `order` in half-log-SNR. On Gaussian data the mean converges with `order`; the
///           variance with order 1 for SEEDS-1 and 2 for SEEDS-2 and -3 (three stages on one path cannot
///           match the covariances of the third order).
/// - cost    `order` network calls per step, 1 on a step to sigma = 0 or from alpha = 0; `order` draws;
///           `order` live tensors in data prediction, at most one more in noise prediction.
/// - random  `order` draws per step when tau > 0.
/// - errors  `std::invalid_argument`: order outside [1, 3]; tau or s_noise negative, NaN or infinite; r
///           outside (0, 1]; levels that are not strictly denoising.
/// - choose  order 3 in data prediction: of the samplers of the reverse-time SDE it has the smallest error in
///           the variance of Gaussian data at 12 to 24 calls; order 2 is behind DPM++ 2M SDE at equal calls,
///           and noise prediction needs steps well below 1 in half-log-SNR.
struct seeds {
    std::size_t order = 2;                      ///< 1 to 3
    form predicts = form::data;                 ///< what is interpolated; the paper's VP form is noise
    double tau = 1.0;                           ///< stochasticity; 0 is the ODE, 1 the reverse-time SDE
    double s_noise = 1.0;                       ///< factor on the noise; 1 keeps the law
    double r = 0.5;                             ///< where SEEDS-2 has its stage; (0, 1]
    difference variant = difference::midpoint;  ///< how the last stage weights the differences

    [[nodiscard]] tweedie::plan plan(const any_schedule& schedule, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 3)) { throw std::invalid_argument("seeds: order must lie in [1, 3]"); }
        if (!(tau >= 0.0 && std::isfinite(tau))) {
            throw std::invalid_argument("seeds: tau must be finite and not negative");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("seeds: s_noise must be finite and not negative");
        }
        if (!(r > 0.0 && r <= 1.0)) { throw std::invalid_argument("seeds: r must lie in (0, 1]"); }
        require_levels(levels, "seeds");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_variable m0 = p.variable("m0");
        plan_variable m1 = p.variable("m1");
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const form f = form_at(s, predicts);
            linear_path w(p, x, s, f, tau, s_noise);
            const auto node = [](const level& at, const linear_form& value) {
                return exponential_node{at.half_log_snr(), value};
            };
            const auto step = [&, &s = s](const level& to, std::span<const exponential_node> nodes,
                                          difference how) {
                return w.at(to) + exponential_step(linear_form(), s, to, nodes, f, how, tau);
            };
            m0 = evaluate(p, x, s, predicts);
            const double h = log_snr_step(s, t);
            if (order == 1 || !std::isfinite(h)) {  // at an infinite end there is no level between
                x = step(t, std::array{node(s, m0)}, variant);
                continue;
            }
            const double share = order == 2 ? r : 1.0 / 3.0;
            const level u = share == 1.0 ? t : at_half_log_snr(schedule, s.half_log_snr() + share * h);
            x = step(u, std::array{node(s, m0)}, variant);
            m1 = evaluate(p, x, u, predicts);
            if (order == 2) {
                x = step(t, std::array{node(s, m0), node(u, m1)}, variant);
                continue;
            }
            const level v = at_half_log_snr(schedule, s.half_log_snr() + 2.0 / 3.0 * h);
            x = step(v, std::array{node(s, m0), node(u, m1)}, difference::taylor);
            const linear_form m2 = evaluate(p, x, v, predicts);
            if (variant == difference::midpoint) {
                x = step(t, std::array{node(s, m0), node(v, m2)}, difference::taylor);
            } else {
                x = step(t, std::array{node(s, m0), node(u, m1), node(v, m2)}, difference::taylor);
            }
        }
        return p.finish(x);
    }

private:
    [[nodiscard]] std::string describe() const {
        std::string text = "seeds(order=" + std::to_string(order);
        text += predicts == form::data ? ", data" : ", noise";
        text += order > 1 && variant == difference::taylor ? ", taylor" : "";
        text += ", tau=" + detail::shortest(tau);
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        if (order == 2 && r != 0.5) { text += ", r=" + detail::shortest(r); }
        return text + ")";
    }
};

}  // namespace tweedie::solver
