// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/working_memory.hpp>
#include <tweedie/guidance/anderson.hpp>
#include <tweedie/run/evaluate.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <cmath>
#include <cstddef>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Options of `manifold_projection`. Noise is measured as a flow does, `tau = sigma / (alpha + sigma)`, on
/// every schedule: 1 is pure noise, 0 is clean.
struct projection_options {
    int iterations = 2;          ///< K, of the fixed point at each step; >= 0; 0 is plain guidance
    double active_above = 0.4;   ///< projects where tau is larger than this
    double reversed_from = 2.0;  ///< from this tau up, conditional first (operator H); 2 is never
    /// Acceleration (CFG-MP+); a window of 0 is Picard's iteration (CFG-MP).
    anderson_options acceleration = {.window = 1, .trust = 10.0};

    /// As in the authors' DiT-XL/2 demonstration (at guidance 1.75, 10 Euler steps).
    [[nodiscard]] static projection_options dit() {
        return {.iterations = 2, .active_above = 0.4, .acceleration = {.window = 1}};
    }
    /// As in the authors' Stable Diffusion 3.5 demonstration (at guidance 4.5, 10 Euler steps).
    [[nodiscard]] static projection_options stable_diffusion() {
        return {.iterations = 3, .active_above = 0.6, .reversed_from = 0.95, .acceleration = {.window = 1}};
    }
};

/// Manifold projection before guided steps (CFG-MP, CFG-MP+): moves the state, at its noise level, to where
/// the conditional and the unconditional prediction differ less. With d half the coming step in tau,
///
///     G(x):  z = x - d v_u(x),   G(x) = z + d v_c(z)         back without the condition, forth with it
///     H(x):  z = x + d v_c(x),   H(x) = z - d v_u(z)         the other way round
///     x <- G(x), `iterations` times, by Picard or by Anderson acceleration
///
/// where v = x0_hat - eps_hat is the velocity towards the data of the flow with the same signal-to-noise
/// ratio (a state of another schedule is `alpha + sigma` times the flow's).
/// Source: Cai, Liu, Su and Wang 2026, arXiv:2601.21892, after the authors' code. Deviations: the ridge is
/// relative to the residuals (theirs, 1e-4, drives the weights to 1/2 where residuals are small);
/// acceleration has a trust region (without it a map that hardly contracts is extrapolated a hundredfold;
/// `dit` and `stable_diffusion` have none, as theirs); the window of tau is stated once, theirs differ
/// between their programs.
///
///     manifold_projection project(conditional, unconditional, plan.levels);
///     sample(plan, guided, x, noise{.seed = 7}, hooks{.edit = std::ref(project)});
///
/// - `conditional`, `unconditional`  denoisers; any prediction and schedule each.
/// - `levels`  of the plan that is run.
/// - order   a fixed-point iteration is no integrator: it changes what is sampled. With exact predictions the
///           distance to the true conditional law grows; what it does for a trained network is its authors'
///           finding.
/// - cost    2 `iterations` network calls at each active step, one after the other, not counted by the plan
///           but by `calls`; five passes each.
/// - errors  `std::invalid_argument`: options out of range, a level that is not of `levels`.
/// - choose  for strong guidance in few steps, where pictures lose detail; look at them.
template <is_denoiser Conditional, is_denoiser Unconditional>
class manifold_projection {
public:
    manifold_projection(Conditional conditional, Unconditional unconditional, std::span<const level> levels,
                        const projection_options& options = {})
        : conditional_(std::move(conditional)),
          unconditional_(std::move(unconditional)),
          levels_(levels.begin(), levels.end()),
          options_(options) {
        if (!(options.iterations >= 0)) {
            throw std::invalid_argument("manifold_projection: iterations must not be negative");
        }
        if (!(options.active_above >= 0.0)) {
            throw std::invalid_argument("manifold_projection: active_above must not be negative");
        }
        if (!(options.reversed_from > 0.0)) {
            throw std::invalid_argument("manifold_projection: reversed_from must be positive");
        }
        require_anderson(options.acceleration);
        if (levels.size() < 2) {
            throw std::invalid_argument("manifold_projection: need the levels of a plan");
        }
    }

    /// Network calls made so far.
    [[nodiscard]] std::size_t calls() const { return conditional_.calls() + unconditional_.calls(); }

    /// Network calls that one run makes.
    [[nodiscard]] std::size_t calls_of_a_run() const {
        std::size_t count = 0;
        for (std::size_t i = 0; i + 1 < levels_.size(); ++i) { count += active(levels_[i]) ? 1U : 0U; }
        return 2 * count * static_cast<std::size_t>(options_.iterations);
    }

    /// The edit of the state at the begin of a step.
    template <grouped_tensor T>
    void operator()(T& x, const level& at) {
        const std::size_t i = index_of(at);
        if (!active(at) || options_.iterations == 0) { return; }
        const double half = 0.5 * (noise_share(at) - noise_share(levels_[i + 1]));
        auto& memory = memory_.template as<tensors<T>>();
        if (!memory.image || !tensor_traits<T>::same_shape(*memory.image, x)) {
            memory.mix.emplace(x, options_.acceleration);
        }
        T& image = detail::fitting(memory.image, x);
        memory.mix->reset();
        const auto order = noise_share(at) >= options_.reversed_from ? apply::reversed : apply::forward;
        for (int k = 0; k < options_.iterations; ++k) {
            map(x, at, half, order, image);
            memory.mix->step(x, image);
        }
    }

    /// G(x) (or H(x)) of a state at a level, with half step `half` in tau.
    enum class apply { forward, reversed };
    template <grouped_tensor T>
    void map(const T& x, const level& at, double half, apply order, T& out) {
        const double k = half / noise_share(at);
        T& x0 = detail::fitting(memory_.template as<tensors<T>>().x0, x);
        const double sign = order == apply::forward ? 1.0 : -1.0;
        if (order == apply::forward) {
            unconditional_(x, at, x0);
        } else {
            conditional_(x, at, x0);
        }
        step(x, x0, at, -sign * k, out);
        if (order == apply::forward) {
            conditional_(out, at, x0);
        } else {
            unconditional_(out, at, x0);
        }
        step(out, x0, at, sign * k, out);
    }

private:
    [[nodiscard]] static double noise_share(const level& at) { return at.sigma / (at.alpha + at.sigma); }

    [[nodiscard]] bool active(const level& at) const { return noise_share(at) > options_.active_above; }

    /// out = x + k ((alpha + sigma) x0_hat - x): a step of k tau along v.
    template <tensor T>
    static void step(const T& x, const T& x0, const level& at, double k, T& out) {
        T* const written[] = {&out};
        const T* const read[] = {&x, &x0};
        const double weights[] = {1.0 - k, k * (at.alpha + at.sigma)};
        tensor_traits<T>::affine(written, weights, read);
    }

    [[nodiscard]] std::size_t index_of(const level& at) const {
        for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
            if (levels_[i] == at) { return i; }
        }
        throw std::invalid_argument("manifold_projection: the plan must have the levels that were given");
    }

    template <class T>
    struct tensors {
        std::optional<T> image;
        std::optional<T> x0;
        std::optional<anderson<T>> mix;
    };

    evaluator<Conditional> conditional_;
    evaluator<Unconditional> unconditional_;
    std::vector<level> levels_;
    projection_options options_;
    detail::working_memory memory_;
};

}  // namespace tweedie::guidance
