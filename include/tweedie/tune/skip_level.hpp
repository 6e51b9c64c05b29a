// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/teleport.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::tune {

/// What teleportation to a level would get wrong.
///
/// - `at`         the level.
/// - `network`    root mean square per element of `x0_hat - x0_hat of the Gaussian` there, as the network
///                gave them; units of the data.
/// - `deviation`  root mean square per element of the state's predicted deviation from the network's own
///                flow, divided by alpha; units of the data.
struct skip_candidate {
    level at;
    double network = 0.0;
    double deviation = 0.0;

    friend bool operator==(const skip_candidate&, const skip_candidate&) = default;
};

/// The outcome of `skip_level`.
///
/// - `at`             the level to teleport to; the first candidate (no teleportation) if no other is good
///                    enough.
/// - `table`          of every candidate with sigma > 0, noisy to clean.
/// - `network_calls`  made, each on the whole batch.
struct [[nodiscard]] skip_choice {
    level at;
    std::vector<skip_candidate> table;
    std::size_t network_calls = 0;
};

/// Chooses how far to teleport: to the cleanest level that the Gaussian flow reaches within a tolerance of
/// the network's own flow.
///
///     y      = x / alpha,    kappa = sigma / alpha,    dy/dkappa = (y - x0_hat) / kappa
///     r(s)   = x0_hat(x_s, s) - x0_hat of the Gaussian (x_s, s),    x_s the teleported state at level s
///     dev(t) = int over ln(kappa_s) from the start to t of  Phi(t, s) r(s)
///     Phi    = U diag(sqrt((l_k + kappa_t^2) / (l_k + kappa_s^2))) U^T, and the same outside the
///     eigenvectors
///
/// The linearised flow of a disturbed Gaussian (Alekseev 1961, Groebner 1960), of first order in r, with the
/// closed-form propagator of Wang and Vastola 2024, arXiv:2412.09726. The integral is the trapezoidal rule
/// over the candidates, which errs on the safe side: r grows as kappa falls. What comes before the first
/// candidate with alpha > 0, from pure noise, is counted as r falling with kappa^-2, its law for data of any
/// skewness.
///
///     std::vector<float> x(64 * size);                                    // a batch tensor, better
///     start_from_noise(x, levels.front(), noise{.seed = 1});
///     const auto choice = tune::skip_level(data, model, x, grid::log_snr(schedule, 24), 0.01);
///     const analytic::teleport jump(data, choice.table.front().at, choice.at);
///
/// - `data`        the Gaussian that would be teleported by; for a class-conditional network that of one
///                 class, with the network told that class: the highest of the classes' levels serves all.
/// - `model`       a `denoiser`. A law that is known asks nothing of a network: `denoiser(std::cref(mixture),
///                 prediction::x0, schedule)`, or of samples alone, with `analytic::empirical`.
/// - `x`           states at the first candidate, a batch of a few dozen samples (1 gives an idea); not
///                 changed.
/// - `candidates`  levels, noisy to clean, the first that of sampling's start. A ratio of 1.5 between
///                 neighbours' sigma / alpha, or less, gives the integral to a tenth. A clean last level is
///                 not asked.
/// - `tolerance`   largest root mean square deviation per element, in units of the data; > 0. That of the
///                 end is smaller in directions in which the flow still contracts, larger where it decides
///                 between modes: what is undecided when the teleportation ends can be decided otherwise.
/// - cost          a network call per candidate that has alpha > 0 and sigma > 0, on the whole batch: fewer
///                 than one sampling run saves, for the network's whole life.
/// - errors        `std::invalid_argument`: fewer than two candidates with sigma > 0, not falling, or not
///                 finite; tolerance not positive; x of another shape; a network that returns NaN.
/// - choose        as the level of `analytic::teleport` where none is known; where one is, give it by hand.
template <class Model, class X>
    requires tensor_or_view<X> && analytic::cpu_tensor<owned_t<X>> &&
             is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, owned_t<X>>
[[nodiscard]] skip_choice skip_level(const analytic::gaussian& data, Model&& model, const X& x,
                                     std::span<const level> candidates, double tolerance) {
    using T = owned_t<X>;
    using traits = tensor_traits<T>;
    using matrix = Eigen::Matrix<scalar_t<T>, Eigen::Dynamic, Eigen::Dynamic>;
    if (!(tolerance > 0.0 && std::isfinite(tolerance))) {
        throw std::invalid_argument("tune::skip_level: tolerance must be positive and finite");
    }
    if (!candidates.empty() && candidates.back().sigma == 0.0) {
        candidates = candidates.first(candidates.size() - 1);
    }
    if (candidates.size() < 2) {
        throw std::invalid_argument("tune::skip_level: need at least two candidates with sigma > 0");
    }
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const level& at = candidates[i];
        const bool valid =
            at.sigma > 0.0 && at.alpha >= 0.0 && std::isfinite(at.sigma) && std::isfinite(at.alpha);
        if (!valid || (i > 0 && !(at.half_log_snr() > candidates[i - 1].half_log_snr()))) {
            throw std::invalid_argument("tune::skip_level: the candidates must be finite, noisy to clean");
        }
    }

    // deviations in y, where the flow of any schedule is that of sigma = kappa
    const analytic::gaussian centred = analytic::gaussian::low_rank(
        Eigen::VectorXd::Zero(data.dimension()), data.eigenvectors(), data.eigenvalues(), data.residual());
    const auto in_y = [](const level& at) { return level{0.0, 1.0, at.sigma / at.alpha}; };
    const T start = detail::owned_copy<T>(x);
    const auto samples = static_cast<Eigen::Index>(traits::batch(start));
    Eigen::MatrixXd deviation = Eigen::MatrixXd::Zero(data.dimension(), samples);
    Eigen::MatrixXd before;
    detail::asking_room<T> room;
    T x0_hat = traits::like(start);
    skip_choice out{candidates.front(), {}, 0};
    bool good = true;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
        const level& at = candidates[i];
        if (at.alpha == 0.0) {  // the data say nothing there
            out.table.push_back({at, 0.0, 0.0});
            continue;
        }
        T state = detail::owned_copy<T>(start);
        analytic::teleport(data, candidates.front(), at)(state);
        const Eigen::MatrixXd here =
            Eigen::Map<const matrix>(traits::data(state), data.dimension(), samples).template cast<double>();
        const bool finite = detail::ask_x0(model, state, at, room, x0_hat);
        ++out.network_calls;
        if (!finite) { throw std::invalid_argument("tune::skip_level: the network's output must be finite"); }
        const Eigen::MatrixXd away = Eigen::Map<const matrix>(traits::data(x0_hat), data.dimension(), samples)
                                         .template cast<double>() -
                                     data.denoise(here, at);
        const bool first = i == 0 || candidates[i - 1].alpha == 0.0;
        if (!first) {
            const double length = at.half_log_snr() - candidates[i - 1].half_log_snr();
            deviation = centred.flow(deviation + (0.5 * length) * before, in_y(candidates[i - 1]), in_y(at));
            deviation += (0.5 * length) * away;
        } else if (i > 0) {
            deviation = away / 3.0;  // int of Phi r with r ~ kappa^-2 and Phi ~ kappa_t / kappa_s
        }
        before = away;
        const auto rms = [](const Eigen::MatrixXd& m) {
            return std::sqrt(m.squaredNorm() / static_cast<double>(m.size()));
        };
        out.table.push_back({at, rms(away), rms(deviation)});
        good = good && out.table.back().deviation <= tolerance;
        if (good) { out.at = at; }
    }
    return out;
}

}  // namespace tweedie::tune
