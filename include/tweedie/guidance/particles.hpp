// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/random/philox.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/run/program.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/stepper.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// What particles end with.
///
/// - `run`             how the run ended, network calls.
/// - `log_normalizer`  the logarithm of the estimate of E[exp(strength r(x0))], or of p(y), over the model's
///                     samples; its exponential is unbiased.
/// - `log_weights`     of the samples; all 0 after a last resampling, all -infinity where none is possible.
/// - `resamplings`     how often particles were drawn anew.
struct [[nodiscard]] particle_result {
    run_result run;
    double log_normalizer = 0.0;
    std::vector<double> log_weights = {};
    std::size_t resamplings = 0;
};

/// The logarithm of the mean of exp; -infinity where all are.
/// - errors  `std::invalid_argument`: no values.
[[nodiscard]] inline double log_mean_exp(std::span<const double> values) {
    if (values.empty()) { throw std::invalid_argument("log_mean_exp: need at least one value"); }
    const double largest = *std::max_element(values.begin(), values.end());
    if (!std::isfinite(largest)) { return largest; }
    double sum = 0.0;
    for (const double v : values) { sum += std::exp(v - largest); }
    return largest + std::log(sum / static_cast<double>(values.size()));
}

/// How many equal weights would be worth the same: `(sum w)^2 / sum w^2`; 0 where all are 0.
/// - errors  `std::invalid_argument`: no weights.
[[nodiscard]] inline double effective_sample_size(std::span<const double> log_weights) {
    if (log_weights.empty()) {
        throw std::invalid_argument("effective_sample_size: need at least one weight");
    }
    const double largest = *std::max_element(log_weights.begin(), log_weights.end());
    if (largest == -std::numeric_limits<double>::infinity()) { return 0.0; }
    double sum = 0.0;
    double squares = 0.0;
    for (const double v : log_weights) {
        const double w = std::exp(v - largest);
        sum += w;
        squares += w * w;
    }
    return sum * sum / squares;
}

/// Systematic resampling: which particle each one becomes. Particle i is chosen `n w_i / sum w` times,
/// rounded up or down.
/// - `place`  where the comb begins, in [0, 1).
/// - errors   `std::invalid_argument`: a place that is none, weights of which the largest is 0 or infinite.
[[nodiscard]] inline std::vector<std::size_t> systematic(std::span<const double> log_weights, double place) {
    if (!(place >= 0.0 && place < 1.0)) {
        throw std::invalid_argument("systematic: place must lie in [0, 1)");
    }
    const double largest = log_weights.empty() ? -std::numeric_limits<double>::infinity()
                                               : *std::max_element(log_weights.begin(), log_weights.end());
    if (!std::isfinite(largest)) {
        throw std::invalid_argument("systematic: the largest weight must be positive and finite");
    }
    double total = 0.0;
    for (const double v : log_weights) { total += std::exp(v - largest); }
    const std::size_t n = log_weights.size();
    std::vector<std::size_t> chosen(n);
    double below = 0.0;
    std::size_t next = 0;
    for (std::size_t i = 0; i < n; ++i) {
        below += std::exp(log_weights[i] - largest);
        while (next < n && (static_cast<double>(next) + place) * total < below * static_cast<double>(n)) {
            chosen[next++] = i;
        }
    }
    while (next < n) { chosen[next++] = n - 1; }  // rounding of the sum
    return chosen;
}

/// Options of `steer` and `twist`.
struct particle_options {
    double threshold = 0.5;     ///< resamples when the effective sample size is below this share; in [0, 1]
    bool resample_last = true;  ///< the samples come with equal weights
    std::uint64_t seed = 0;     ///< of the combs of resampling, apart from the run's noise
};

/// What `steer` rewards on the way; at the end it is `exp(strength r(x0))` for each.
enum class potential {
    difference,  ///< exp(strength (r - r before)): what was gained
    largest,     ///< exp(strength * largest r so far)
    sum,         ///< exp(strength * sum of r so far)
};

/// Options of `steer`.
struct steering_options {
    double strength = 1.0;                         ///< lambda, of the reward; finite
    potential on_the_way = potential::difference;  ///< see there
    std::size_t every = 1;                         ///< steps from one look at the reward to the next; >= 1
    particle_options particles = {};
};

}  // namespace tweedie::guidance

namespace tweedie::detail {

/// Particles: their weights, and how they are drawn anew.
class particle_cloud {
public:
    particle_cloud(std::size_t count, const guidance::particle_options& options, const char* who)
        : options_(options), log_weights_(count, 0.0) {
        if (!(options.threshold >= 0.0 && options.threshold <= 1.0)) {
            throw std::invalid_argument(std::string(who) + ": threshold must lie in [0, 1]");
        }
    }

    [[nodiscard]] std::vector<double>& log_weights() { return log_weights_; }

    /// Whether the weights are too unequal, or are nothing.
    [[nodiscard]] bool degenerate() const {
        const double largest = *std::max_element(log_weights_.begin(), log_weights_.end());
        if (!std::isfinite(largest)) { return false; }  // nobody to draw from
        return guidance::effective_sample_size(log_weights_) <
               options_.threshold * static_cast<double>(log_weights_.size());
    }

    /// Draws anew; the mean weight goes into the normalising constant.
    [[nodiscard]] std::vector<std::size_t> draw() {
        log_normalizer_ += guidance::log_mean_exp(log_weights_);
        const auto bits = philox4x32(
            {static_cast<std::uint32_t>(resamplings_), 0, 0, 0},
            {static_cast<std::uint32_t>(options_.seed), static_cast<std::uint32_t>(options_.seed >> 32)});
        const double place = (static_cast<double>(bits[0]) + 0.5) / 4294967296.0;
        std::vector<std::size_t> chosen = guidance::systematic(log_weights_, place);
        log_weights_.assign(log_weights_.size(), 0.0);
        ++resamplings_;
        return chosen;
    }

    /// Whether the last particles are drawn anew, from those that are possible.
    [[nodiscard]] bool resamples_last() const {
        return options_.resample_last &&
               std::isfinite(*std::max_element(log_weights_.begin(), log_weights_.end()));
    }

    [[nodiscard]] guidance::particle_result result(const run_result& run) const {
        return {run, log_normalizer_ + guidance::log_mean_exp(log_weights_), log_weights_, resamplings_};
    }

private:
    guidance::particle_options options_;
    std::vector<double> log_weights_;
    double log_normalizer_ = 0.0;
    std::size_t resamplings_ = 0;
};

/// Sample i becomes what sample `chosen[i]` was.
template <contiguous_tensor T>
void rearrange(T& x, std::span<const std::size_t> chosen) {
    using traits = tensor_traits<T>;
    const std::size_t length = traits::size(x) / chosen.size();
    const std::vector<scalar_t<T>> before(traits::data(x), traits::data(x) + traits::size(x));
    for (std::size_t i = 0; i < chosen.size(); ++i) {
        std::copy_n(before.begin() + static_cast<std::ptrdiff_t>(chosen[i] * length), length,
                    traits::data(x) + i * length);
    }
}

inline void rearrange(std::vector<double>& values, std::span<const std::size_t> chosen) {
    const std::vector<double> before = values;
    for (std::size_t i = 0; i < chosen.size(); ++i) { values[i] = before[chosen[i]]; }
}

/// The run with its particles rearranged. Their noise stays with the place, so that copies part at the next
/// draw.
template <class T, class Noise>
void rearrange(stepper<T, Noise>& s, const program& shared, const Noise& source,
               std::span<const std::size_t> chosen) {
    checkpoint<T> state = s.save();
    for (T& r : state.registers) { rearrange(r, chosen); }
    s = stepper<T, Noise>(shared, state, source);
}

}  // namespace tweedie::detail

namespace tweedie::guidance {

/// Feynman-Kac steering: particles that do well on the way are copied, those that do badly are dropped, so
/// that the samples are those of the model reweighted by `exp(strength r(x0))`. Any reward, no gradient.
///
///     log w += log G_k at each look,   G_k = potential of r(x0_hat), see there
///     resample, systematically, where the effective sample size falls below threshold * n
///     at the end  log w += strength r(x0) - sum of log G_k,   Z = prod of mean weights
///
/// Source: Singhal et al. 2025, arXiv:2501.06848. Deviations from the released code, which are faults there:
/// weights are carried on where nothing is resampled (theirs forget them: a mild reward steers nothing); the
/// last correction is by r(x0) for every potential.
///
///     const auto result = steer(plan, model, x, noise{.seed = 7}, reward, {.strength = 4.0});
///
/// - `p`       a stochastic plan: copies of a particle part by their noise. A deterministic one only selects.
/// - `x`       in: the particles' states at the plan's first level, one per sample of the batch; out: the
///             samples.
/// - `reward`  `reward(x0, values)`: one number per sample of clean data.
/// - returns   weights and the estimate of the normalising constant.
/// - cost      the plan's network calls for all particles, a reward each, two passes per call more than the
///             plan. Allocates when it resamples.
/// - errors    `std::invalid_argument`: one particle, a threshold or strength out of range. A reward that is
///             not finite ends the run with `run_status::non_finite`.
template <class Model, contiguous_tensor X, class Noise, class Reward>
    requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, X> &&
             noise_source<Noise, scalar_t<X>> && std::invocable<Reward&, const X&, std::span<double>>
particle_result steer(const plan& p, Model&& model, X& x, Noise source, Reward&& reward,
                      const steering_options& options = {}) {
    using traits = tensor_traits<X>;
    const std::size_t count = traits::batch(x);
    if (count < 2) { throw std::invalid_argument("steer: need at least two particles"); }
    if (!std::isfinite(options.strength)) { throw std::invalid_argument("steer: strength must be finite"); }
    if (options.every == 0) { throw std::invalid_argument("steer: every must be at least 1"); }
    detail::particle_cloud cloud(count, options.particles, "steer");
    const program shared(p, model.convention());
    stepper<X, Noise> s(shared, x, source);
    X output = traits::like(x);
    X state = traits::like(x);
    X clean = traits::like(x);
    std::vector<double> r(count);
    std::vector<double> best(count, -std::numeric_limits<double>::infinity());  // or the sum
    std::vector<double> given(count, 0.0);                                      // sum of log G_k
    bool first = true;
    const auto weigh = [&](const X& x0, bool last) {
        reward(x0, std::span<double>(r));
        bool finite = true;
        for (std::size_t i = 0; i < count; ++i) {
            finite = finite && std::isfinite(r[i]);
            double all = options.strength * r[i];
            if (!last && options.on_the_way == potential::largest) {
                best[i] = std::max(best[i], r[i]);
                all = given[i] + options.strength * best[i];
            } else if (!last && options.on_the_way == potential::sum) {
                best[i] = first ? r[i] : best[i] + r[i];
                all = given[i] + options.strength * best[i];
            }
            cloud.log_weights()[i] += all - given[i];
            given[i] = all;
        }
        first = false;
        return finite;
    };
    while (const auto asked = s.next()) {
        detail::call_network(model.network(), asked->x, asked->level, output);
        if (s.at_step_start() && s.step() % options.every == 0) {
            s.examine(output, state, clean);
            if (!weigh(clean, false)) {
                s.stop();
                particle_result failed = cloud.result(s.result());
                failed.run.status = run_status::non_finite;
                return failed;
            }
            if (cloud.degenerate()) {
                const std::vector<std::size_t> chosen = cloud.draw();
                detail::rearrange(s, shared, source, chosen);
                detail::rearrange(output, chosen);
                detail::rearrange(best, chosen);
                detail::rearrange(given, chosen);
            }
        }
        s.supply(std::move(output));
    }
    if (!s.result()) { return cloud.result(s.result()); }
    traits::assign(x, s.x());
    particle_result ended = cloud.result(s.result());
    if (!weigh(x, true)) {
        ended.run.status = run_status::non_finite;
        return ended;
    }
    if (cloud.resamples_last()) {
        const std::vector<std::size_t> chosen = cloud.draw();
        detail::rearrange(x, chosen);
    }
    return cloud.result(s.result());
}

/// Twisted diffusion sampling: particles that are drawn towards a condition by its gradient, with weights
/// that make the samples those of the exact posterior as their number grows.
///
///     x_{k+1} = mean_k + s_k^2 grad log p~_k(y | x_k) + s_k z
///     log w  += log p~_{k+1}(y | x_{k+1}) - log p~_k(y | x_k) - (s_k z . g_k + s_k^2 |g_k|^2 / 2)
///
/// the last term being the ratio of the model's transition to the twisted one; the last step is not twisted,
/// and its weight is by p(y | x0).
/// Source: Wu et al. 2023, arXiv:2306.17775, Algorithm 1. Here the transitions are those of any first-order
/// plan with one draw per step (`ddpm`, `ddim` with eta > 0, `euler_ancestral`, ...); z is drawn again, not
/// stored.
///
/// - `p`          a plan whose steps add one draw each to the state.
/// - `x`          in: states at the plan's first level; out: the samples.
/// - `twisting`   `twisting(x, level, x0_hat, values, gradient)`: log p~(y | x) of each sample and its
///                gradient with respect to x. Any positive function will do; the nearer to the truth, the
///                fewer particles.
/// - `likelihood` `likelihood(x0, values)`: log p(y | x0) of each sample.
/// - cost         the plan's network calls, a twisting each, a draw made twice, four passes more per call.
/// - errors       `std::invalid_argument`: one particle, a plan of another kind. NaN ends the run with
///                `run_status::non_finite`.
template <class Model, contiguous_tensor X, class Noise, class Twisting, class Likelihood>
    requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, X> &&
             grouped_tensor<X> && noise_source<Noise, scalar_t<X>> &&
             std::invocable<Twisting&, const X&, const level&, const X&, std::span<double>, X&> &&
             std::invocable<Likelihood&, const X&, std::span<double>>
particle_result twist(const plan& p, Model&& model, X& x, Noise source, Twisting&& twisting,
                      Likelihood&& likelihood, const particle_options& options = {}) {
    using traits = tensor_traits<X>;
    const std::size_t count = traits::batch(x);
    if (count < 2) { throw std::invalid_argument("twist: need at least two particles"); }
    for (const plan_call& call : p.calls) {
        if (!call.editable || call.then.draws.size() > 1) {
            throw std::invalid_argument("twist: need a plan that adds one draw per step to the state");
        }
    }
    detail::particle_cloud cloud(count, options, "twist");
    const program shared(p, model.convention());
    stepper<X, Noise> s(shared, x, source);
    X output = traits::like(x);
    X state = traits::like(x);
    X clean = traits::like(x);
    X slope = traits::like(x);
    std::vector<double> now(count);
    std::vector<double> before(count, 0.0);
    std::vector<double> first(count);
    std::vector<double> second(count);
    const auto weigh = [&] {
        bool finite = true;
        for (std::size_t i = 0; i < count; ++i) {
            cloud.log_weights()[i] += now[i] - before[i];
            finite = finite && !std::isnan(cloud.log_weights()[i]);
            before[i] = now[i];
        }
        return finite;
    };
    const auto failed = [&] {
        particle_result out = cloud.result(s.result());
        out.run.status = run_status::non_finite;
        return out;
    };
    for (std::size_t k = 0; const auto asked = s.next(); ++k) {
        detail::call_network(model.network(), asked->x, asked->level, output);
        s.examine(output, state, clean);
        twisting(std::as_const(state), s.at(), std::as_const(clean), std::span<double>(now), slope);
        if (!weigh()) {
            s.stop();
            return failed();
        }
        if (cloud.degenerate()) {
            const std::vector<std::size_t> chosen = cloud.draw();
            detail::rearrange(s, shared, source, chosen);
            detail::rearrange(output, chosen);
            detail::rearrange(slope, chosen);
            detail::rearrange(before, chosen);
        }
        s.supply(std::move(output));
        const plan_pass& pass = p.calls[k].then;
        if (!s.next() || pass.draws.empty()) { continue; }
        const double scale = pass.rows[p.calls[k + 1].query].weights.back();  // s_k
        if (scale == 0.0) { continue; }
        traits::normal(state, source.stream(draw_kind::step, pass.draws[0]));
        dot_groups(state, slope, std::span<double>(first));
        dot_groups(slope, slope, std::span<double>(second));
        for (std::size_t i = 0; i < count; ++i) {
            cloud.log_weights()[i] -= scale * first[i] + 0.5 * scale * scale * second[i];
        }
        s.edit([&](X& moved, const level&) {
            X* const written[] = {&moved};
            const X* const read[] = {&moved, &slope};
            const double weights[] = {1.0, scale * scale};
            traits::affine(written, weights, read);
        });
    }
    if (!s.result()) { return cloud.result(s.result()); }
    traits::assign(x, s.x());
    likelihood(std::as_const(x), std::span<double>(now));
    if (!weigh()) { return failed(); }
    if (cloud.resamples_last()) {
        const std::vector<std::size_t> chosen = cloud.draw();
        detail::rearrange(x, chosen);
    }
    return cloud.result(s.result());
}

}  // namespace tweedie::guidance
