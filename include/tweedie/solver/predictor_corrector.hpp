// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/loop.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

/// Predictor-corrector sampling: Langevin steps at every level, sized by a signal-to-noise ratio, then a step
/// of the reverse diffusion to the next level.
///
///     corrector          x <- x + e score + sqrt(2 e) z,    e = 2 (snr |z| / |score|)^2
///     reverse diffusion  y_t = y + (kappa_s^2 - kappa_t^2) score_y + sqrt(kappa_s^2 - kappa_t^2) z
///     ancestral          the same drift, with sqrt(kappa_s^2 - kappa_t^2) kappa_t / kappa_s of noise
///
/// score = -eps_hat / sigma, y = x / alpha, kappa = sigma / alpha, |.| the norm of a sample.
/// Source: Song et al. 2021, arXiv:2011.13456, predictor-corrector samplers of the VE SDE. Deviations: the
/// predictors are those of VE in y on every schedule (on VP theirs differ by O(beta^2)); the norms are per
/// sample, where their program takes the batch's mean, so a sample does not depend on its neighbours; a step
/// to sigma = 0 is x = alpha x0_hat, without noise (their `denoise`); a score of zero is not corrected.
///
/// - order   weak order 1 for snr -> 0 in the predictor; the corrector's Langevin step of finite size leaves
///           an error of the variance of order snr^2 that no number of levels removes.
/// - cost    1 + corrector_steps network calls per step; 3 tensors; two inner products per corrector step.
/// - random  one draw per corrector step, then one per predictor step that adds noise.
/// - errors  `std::invalid_argument`: an option out of range; reverse diffusion from pure noise (alpha = 0),
///           where its noise is infinite.
/// - choose  to reproduce its pictures at hundreds of calls.
struct predictor_corrector {
    enum class predictor {
        reverse_diffusion,  ///< the discretised reverse SDE
        ancestral,          ///< DDPM's posterior
    };

    predictor variant = predictor::ancestral;
    double snr = 0.16;                ///< size of the corrector's steps; >= 0
    std::size_t corrector_steps = 1;  ///< Langevin steps per level

    class run;

    /// The sampler as a loop, for `sample` and `loop_stepper` (`<tweedie/run/loop.hpp>`).
    [[nodiscard]] run loop(const any_schedule& schedule, std::span<const level> levels) const;
};

/// `predictor_corrector` at work.
class predictor_corrector::run {
public:
    run(const predictor_corrector& options, std::span<const level> levels) : o_(options) {
        require_levels(levels, "predictor_corrector");
        if (!(o_.snr >= 0.0 && std::isfinite(o_.snr))) {
            throw std::invalid_argument("predictor_corrector: snr must be finite and not negative");
        }
        if (o_.variant == predictor::reverse_diffusion && levels.front().alpha == 0.0 &&
            levels[1].sigma > 0.0) {
            throw std::invalid_argument(
                "predictor_corrector: reverse diffusion cannot start at pure noise (alpha = 0)");
        }
        levels_.assign(levels.begin(), levels.end());
    }

    [[nodiscard]] static std::size_t registers() { return 3; }
    [[nodiscard]] static std::size_t blocks() { return 1; }
    [[nodiscard]] static bool draws() { return true; }
    [[nodiscard]] level first() const { return levels_.front(); }

    void next(turn& p) {
        const level& s = levels_[i_];
        switch (stage_) {
            case stage::start: ask(p); return;
            case stage::answered:
                if (corrected_ < o_.corrector_steps && o_.snr > 0.0) {
                    p.set(eps, (p(x) - s.alpha * p.x0_hat()) / s.sigma);
                    p.set(z, p.noise(draw_++));
                    p.inner(eps, eps);
                    p.inner(z, z);
                    stage_ = stage::measured;
                    return;
                }
                predict(p);
                return;
            case stage::measured:
                for (std::size_t g = 0; g < p.groups(); ++g) {
                    const double score2 = p.measured(0, g) / (s.sigma * s.sigma);
                    const double e = score2 > 0.0 ? 2.0 * o_.snr * o_.snr * p.measured(1, g) / score2 : 0.0;
                    p.set(x, g, p(x) - (e / s.sigma) * p(eps) + std::sqrt(2.0 * e) * p(z));
                }
                ++corrected_;
                ask(p);
                return;
        }
    }

private:
    enum reg : std::size_t { x, eps, z };
    enum class stage { start, answered, measured };

    void ask(turn& p) {
        p.ask(x, levels_[i_], {.begins_step = corrected_ == 0, .editable = true});
        stage_ = stage::answered;
    }

    void predict(turn& p) {
        const level& s = levels_[i_];
        const level& t = levels_[i_ + 1];
        const combination x0 = p.x0_hat();
        if (t.sigma == 0.0) {
            p.set(x, t.alpha * x0);
        } else if (s.alpha == 0.0) {  // the posterior from pure noise
            p.set(x, t.alpha * x0 + t.sigma * p.noise(draw_++));
        } else {
            const double ks = s.sigma / s.alpha;
            const double kt = t.sigma / t.alpha;
            const double variance = (ks - kt) * (ks + kt);
            const double noise = std::sqrt(variance) * (o_.variant == predictor::ancestral ? kt / ks : 1.0);
            // y - (variance / kappa_s) eps_hat, eps_hat = (y - x0_hat) / kappa_s
            const double move = variance / (ks * ks);
            p.set(x, t.alpha * (((1.0 - move) / s.alpha) * p(x) + move * x0 + noise * p.noise(draw_++)));
        }
        corrected_ = 0;
        if (++i_ + 1 == levels_.size()) {
            p.finish(x, levels_.back());
        } else {
            ask(p);
        }
    }

    predictor_corrector o_;
    std::vector<level> levels_;
    std::size_t i_ = 0;
    std::size_t corrected_ = 0;
    std::uint32_t draw_ = 0;
    stage stage_ = stage::start;
};

inline predictor_corrector::run predictor_corrector::loop(const any_schedule& /*schedule*/,
                                                          std::span<const level> levels) const {
    return {*this, levels};
}

}  // namespace tweedie::solver
