// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/gauss_legendre.hpp>
#include <tweedie/detail/number.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::solver {

/// The noise scale function phi(kappa) of an extended reverse-time SDE, kappa = sigma/alpha.
///
///     power p        phi = kappa^p             p = 1: the ODE, p = 2: the reverse-time SDE (tau^2 = p - 1)
///     exponential    phi = kappa (e^(kappa^0.3) + 10)
///
/// Only the growth beyond kappa matters: `growth(k) = phi(k) / k` up to a factor.
/// Source: Cui et al. 2023, arXiv:2309.06169; `exponential` is the one they recommend.
struct noise_scale {
    enum class kind { power, exponential };

    kind function = kind::exponential;
    double power = 2.0;  ///< of kind::power; >= 1

    [[nodiscard]] static noise_scale ode() { return {kind::power, 1.0}; }
    [[nodiscard]] static noise_scale sde() { return {kind::power, 2.0}; }

    /// `phi(to)/to / (phi(from)/from)`, at most 1; exact at to = 0 and from = infinity.
    [[nodiscard]] double growth(double to, double from) const {
        if (function == kind::power) {
            return power == 1.0 ? 1.0 : std::isinf(from) ? 0.0 : std::pow(to / from, power - 1.0);
        }
        const double a = std::pow(to, 0.3);
        const double b = std::pow(from, 0.3);
        if (std::isinf(from)) { return 0.0; }
        // (e^a + 10) / (e^b + 10) without overflow
        return (std::exp(a - b) + 10.0 * std::exp(-b)) / (1.0 + 10.0 * std::exp(-b));
    }

    /// `d ln phi / d ln kappa`.
    [[nodiscard]] double slope(double kappa) const {
        if (function == kind::power) { return power; }
        const double a = std::pow(kappa, 0.3);
        return 1.0 + 0.3 * a / (1.0 + 10.0 * std::exp(-a));
    }
};

/// ER-SDE-Solver of order 1, 2 or 3: multistep, for the reverse-time SDE with any noise scale function.
///
///     G    = phi(kappa_t)/kappa_t / (phi(kappa_s)/kappa_s),    kappa = sigma/alpha
///     x_t  = sigma_t/sigma_s G x_s + alpha_t int (phi(kappa_t) phi'/phi^2) D(kappa) dkappa
///            + sigma_t sqrt(1 - G^2) z
///
/// D the polynomial in kappa through the data predictions at s and before. Source: Cui et al. 2023,
/// arXiv:2309.06169 (VP and VE solvers; both are this in x / alpha).
///
/// Deviations: their integrals are sums over 100 points, here Gauss quadrature to rounding. Their third order
/// takes D' from the last two predictions alone, which is right to first order only and keeps the method at
/// order 2; here D is the parabola through three. `peer_formula` gives theirs (with exact integrals).
/// - order   of the drift: `order` in half-log-SNR, 2 for order 3 with `peer_formula`; the first steps use
///           what is known. Mean and variance of Gaussian data: 1 for order 1, 2 for orders 2 and 3. A step
///           to sigma = 0 is of first order, and one from alpha = 0.
/// - exact   for data that are a point, with any levels: the law of the end is N(alpha_t x0, sigma_t^2).
/// - cost    1 network call per step; `order` live tensors; order + 2 reads (noise included), 2 writes.
/// - random  one draw per step unless the scale is the ODE's, none on a step to sigma = 0.
/// - errors  `std::invalid_argument`: order outside [1, 3]; a power below 1, NaN or infinite; s_noise
///           negative, NaN or infinite; levels that are not strictly denoising.
/// - choose  at 10 to 100 calls, where a little noise is wanted that dies out by itself towards clean levels;
///           on Gaussian data order 3 leaves 15 to 40 % of the error of DPM++ 2M SDE.
struct er_sde {
    std::size_t order = 3;           ///< 1 to 3
    noise_scale scale = {};          ///< phi
    double s_noise = 1.0;            ///< factor on the noise; 1 keeps the law
    bool lower_order_final = false;  ///< the last steps use fewer nodes
    bool peer_formula = false;       ///< the published third order

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        if (!(order >= 1 && order <= 3)) { throw std::invalid_argument("er_sde: order must lie in [1, 3]"); }
        if (!(scale.power >= 1.0 && std::isfinite(scale.power))) {
            throw std::invalid_argument("er_sde: the power of the noise scale must be finite and at least 1");
        }
        if (!(s_noise >= 0.0 && std::isfinite(s_noise))) {
            throw std::invalid_argument("er_sde: s_noise must be finite and not negative");
        }
        require_levels(levels, "er_sde");
        plan_writer p(describe(), levels);
        plan_variable x = p.state();
        plan_history m = p.remember("x0_hat", order);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form x0 = p.data_prediction(x, s);
            if (t.sigma == 0.0) {
                x = t.alpha * x0;
                continue;
            }
            const double kappa_t = t.sigma / t.alpha;
            const double kappa_s = s.sigma / s.alpha;  // infinite at pure noise
            const double g = scale.growth(kappa_t, kappa_s);
            const double h = log_snr_step(s, t);
            x = t.sigma / s.sigma * g * x + t.alpha * (1.0 - std::exp(-h) * g) * x0;
            if (s.alpha > 0.0) {  // a prediction at pure noise has no place on the axis of kappa
                m.push(x0);
                std::size_t usable = std::min(order, m.size());
                if (lower_order_final) { usable = std::min(usable, p.steps() - i); }
                if (usable > 1) {
                    x = x + t.alpha * differences(levels.subspan(i + 1 - usable, usable), kappa_t, h, m);
                }
            }
            const double noise = s_noise * t.sigma * std::sqrt((1.0 - g) * (1.0 + g));
            if (noise > 0.0) { x = x + noise * p.noise(); }
        }
        return p.finish(x);
    }

private:
    /// The integral of D(kappa) - m[0]; `known` are the levels of the history, oldest first, the last is s.
    [[nodiscard]] linear_form differences(std::span<const level> known, double kappa_t, double h,
                                          const plan_history& m) const {
        std::vector<double> kappa;
        for (std::size_t age = 0; age < known.size(); ++age) {
            const level& l = known[known.size() - 1 - age];
            kappa.push_back(l.sigma / l.alpha);
        }
        if (peer_formula) {
            const linear_form first = (m[0] - m[1]) / (kappa[0] - kappa[1]);
            linear_form sum = moment(kappa_t, h, [&](double q) { return q - kappa[0]; }) * first;
            if (kappa.size() == 3) {
                const linear_form before = (m[1] - m[2]) / (kappa[1] - kappa[2]);
                const linear_form second = (first - before) / ((kappa[0] - kappa[2]) / 2.0);
                const auto half_square = [&](double q) { return (q - kappa[0]) * (q - kappa[0]) / 2.0; };
                sum += moment(kappa_t, h, half_square) * second;
            }
            return sum;
        }
        linear_form sum;
        for (std::size_t j = 1; j < kappa.size(); ++j) {
            const auto lagrange = [&](double q) {
                double value = 1.0;
                for (std::size_t k = 0; k < kappa.size(); ++k) {
                    if (k != j) { value *= (q - kappa[k]) / (kappa[j] - kappa[k]); }
                }
                return value;
            };
            sum += moment(kappa_t, h, lagrange) * (m[j] - m[0]);
        }
        return sum;
    }

    /// `phi(kappa_t) int phi'/phi^2 f dkappa` over the step: in u = ln(kappa / kappa_t), 0 to h, the weight
    /// is `e^(-u) growth slope`. Gauss-Legendre of 8 points on panels of at most 1/2: rounding.
    template <class Function>
    [[nodiscard]] double moment(double kappa_t, double h, const Function& f) const {
        double sum = 0.0;
        detail::gauss_legendre(0.0, h, 0.5, [&](double u, double part) {
            const double q = kappa_t * std::exp(u);
            sum += part * std::exp(-u) * scale.growth(kappa_t, q) * scale.slope(q) * f(q);
        });
        return sum;
    }

    [[nodiscard]] std::string describe() const {
        std::string text = "er_sde(order=" + std::to_string(order);
        text += scale.function == noise_scale::kind::power ? ", power=" + detail::shortest(scale.power)
                                                           : std::string(", exponential");
        if (s_noise != 1.0) { text += ", s_noise=" + detail::shortest(s_noise); }
        if (lower_order_final) { text += ", lower order at the end"; }
        if (peer_formula) { text += ", published third order"; }
        return text + ")";
    }
};

}  // namespace tweedie::solver
