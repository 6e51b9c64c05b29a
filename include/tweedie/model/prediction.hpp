// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <stdexcept>
#include <string>

namespace tweedie {

/// What a network returns, as one of the field's parameterizations. Made by the names in `prediction::`.
///
/// Each of them is linear in data and noise, `gain * output = data * x0 + noise * eps`; that is all the
/// library knows about them.
struct prediction_type {
    enum class kind { epsilon, x0, v, flow_velocity, score, k_diff, edm };
    kind is = kind::epsilon;
    double parameter = 0.0;  ///< k of `k_diff`, sigma_data of `edm`; unused otherwise

    friend bool operator==(const prediction_type&, const prediction_type&) = default;
};

namespace prediction {

/// The noise: `output = eps`. Ho et al. 2020, arXiv:2006.11239, eq. 14. Loses x0 where alpha = 0.
inline constexpr prediction_type epsilon{prediction_type::kind::epsilon, 0.0};

/// The clean data: `output = x0`. Loses eps where sigma = 0.
inline constexpr prediction_type x0{prediction_type::kind::x0, 0.0};

/// `output = alpha * eps - sigma * x0`. Salimans and Ho 2022, arXiv:2202.00512, appendix D. Well conditioned
/// at both ends.
inline constexpr prediction_type v{prediction_type::kind::v, 0.0};

/// The velocity of the path, `output = dx/dt = alpha'(t) * x0 + sigma'(t) * eps`, in the time of the
/// network's schedule. Rectified flow: Liu et al. 2022, arXiv:2209.03003, eq. 1; `eps - x0` where t = 1 is
/// noise.
inline constexpr prediction_type flow_velocity{prediction_type::kind::flow_velocity, 0.0};

/// The score of the noisy density: `output = -eps / sigma`. Song et al. 2021, arXiv:2011.13456, eq. 7.
inline constexpr prediction_type score{prediction_type::kind::score, 0.0};

/// k-Diff's `output = k * x0 - (1 - k) * eps`: x0 at k = 1, -eps at k = 0, half of `x0 - eps` at k = 1/2.
/// Jin and Wang 2026, arXiv:2601.21419. Well conditioned at both ends for 0 < k < 1.
/// - k  in [0, 1].
[[nodiscard]] inline prediction_type k_diff(double k) {
    if (!(k >= 0.0 && k <= 1.0)) { throw std::invalid_argument("prediction::k_diff: k must lie in [0, 1]"); }
    return {prediction_type::kind::k_diff, k};
}

/// The raw network F of EDM's preconditioning, `x0_hat = c_skip * x + c_out * F(c_in * x)` (alpha = 1; other
/// scales are brought there by `x / alpha`). Karras et al. 2022, arXiv:2206.00364, eq. 7 and table 1.
/// - sigma_data  standard deviation of the data; > 0.
[[nodiscard]] inline prediction_type edm(double sigma_data = 0.5) {
    if (!(sigma_data > 0.0 && std::isfinite(sigma_data))) {
        throw std::invalid_argument("prediction::edm: sigma_data must be positive and finite");
    }
    return {prediction_type::kind::edm, sigma_data};
}

}  // namespace prediction

/// The name of a prediction type, for messages.
[[nodiscard]] inline std::string to_string(const prediction_type& type) {
    switch (type.is) {
        case prediction_type::kind::epsilon: return "epsilon";
        case prediction_type::kind::x0: return "x0";
        case prediction_type::kind::v: return "v";
        case prediction_type::kind::flow_velocity: return "flow_velocity";
        case prediction_type::kind::score: return "score";
        case prediction_type::kind::k_diff: return "k_diff";
        case prediction_type::kind::edm: return "edm";
    }
    return "unknown";
}

/// The linear law of a prediction at one level: `gain * output = data * x0 + noise * eps`.
struct target_weights {
    double gain = 1.0;
    double data = 0.0;
    double noise = 0.0;
};

/// One prediction as a combination of the state and another prediction: `x * state + output *
/// network_output`.
struct read_weights {
    double x = 0.0;
    double output = 1.0;

    friend bool operator==(const read_weights&, const read_weights&) = default;
};

/// The law of `type` at level `at`; `schedule` gives the rates that a flow velocity is made of.
template <noise_schedule Schedule>
[[nodiscard]] target_weights target(const prediction_type& type, const level& at, const Schedule& schedule) {
    switch (type.is) {
        case prediction_type::kind::epsilon: return {1.0, 0.0, 1.0};
        case prediction_type::kind::x0: return {1.0, 1.0, 0.0};
        case prediction_type::kind::v: return {1.0, -at.sigma, at.alpha};
        case prediction_type::kind::flow_velocity:
            return {1.0, schedule.alpha_rate(at.t), schedule.sigma_rate(at.t)};
        case prediction_type::kind::score: return {at.sigma, 0.0, -1.0};
        case prediction_type::kind::k_diff: return {1.0, type.parameter, type.parameter - 1.0};
        case prediction_type::kind::edm: {
            // In EDM's coordinates y = x / alpha, s = sigma / alpha; written so that alpha = 0 needs no
            // division.
            const double d2 = type.parameter * type.parameter;
            const double a2 = at.alpha * at.alpha;
            const double total = at.sigma * at.sigma + a2 * d2;  // alpha^2 (s^2 + sigma_data^2)
            // c_skip / alpha = alpha d2 / total and c_out = sigma sigma_data / sqrt(total)
            return {at.sigma * type.parameter / std::sqrt(total), at.sigma * at.sigma / total,
                    -at.alpha * d2 * at.sigma / total};
        }
    }
    throw std::invalid_argument("prediction_type: unknown kind");
}

/// `to` expressed by the state and `from` at one level.
///
/// With `x = alpha x0 + sigma eps` and `g y = d x0 + n eps` (from), `g' y' = d' x0 + n' eps` (to), Delta =
/// alpha n - sigma d:
///
///     y' = [(d' n - n' d) x + (n' alpha - d' sigma) g y] / (Delta g')
///
/// The k-Diff row of it is core to arXiv:2601.21419 (Delta = alpha (1 - k) + sigma k up to sign).
/// - errors  `std::invalid_argument` naming the prediction where Delta = 0, or so nearly that no digit is
///           left: the output does not determine the other quantity there.
template <noise_schedule Schedule>
[[nodiscard]] read_weights convert(const prediction_type& from, const prediction_type& to, const level& at,
                                   const Schedule& schedule) {
    const target_weights f = target(from, at, schedule);
    const target_weights g = target(to, at, schedule);
    const auto refuse = [&] {
        throw std::invalid_argument("prediction: " + to_string(to) + " is not determined by " +
                                    to_string(from) + " at alpha = " + detail::shortest(at.alpha) +
                                    ", sigma = " + detail::shortest(at.sigma));
    };
    if (from == to) { return {0.0, 1.0}; }
    // The same quantity up to scale: no division by Delta is needed.
    if (g.data * f.noise == g.noise * f.data) {
        const double ratio = (f.data != 0.0 ? g.data / f.data : g.noise / f.noise) * (f.gain / g.gain);
        if (!(ratio != 0.0 && std::isfinite(ratio))) { refuse(); }
        return {0.0, ratio};
    }
    const double p = at.alpha * f.noise;
    const double q = at.sigma * f.data;
    const double delta = p - q;
    if (!(std::abs(delta) > 1e-14 * (std::abs(p) + std::abs(q))) || !(g.gain != 0.0)) { refuse(); }
    const read_weights weights{(g.data * f.noise - g.noise * f.data) / (delta * g.gain),
                               (g.noise * at.alpha - g.data * at.sigma) * f.gain / (delta * g.gain)};
    // The term in x is about |x| = hypot(alpha, sigma) times its weight. Where that is 1e13 of what remains,
    // no digit does.
    if (!(std::abs(weights.x) * std::hypot(at.alpha, at.sigma) < 1e13 && std::isfinite(weights.output))) {
        refuse();
    }
    return weights;
}

}  // namespace tweedie
