// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/loop.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adaptive_range.hpp>
#include <tweedie/solver/brownian_pieces.hpp>
#include <tweedie/solver/step_control.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>

namespace tweedie::solver {

/// The reverse SDE with steps that follow the difference between Euler-Maruyama and stochastic improved
/// Euler.
///
///     x'  = x - h f(t) x + h g(t)^2 s(x, t) + g(t) W
///     x~  = x - h f(t - h) x' + h g(t - h)^2 s(x', t - h) + g(t - h) W
///     x'' = (x' + x~) / 2
///
/// in the schedule's own time, f = alpha' / alpha, g^2 = |2 sigma sigma' - 2 f sigma^2|, the score s =
/// (alpha x0_hat - x) / sigma^2, W the Brownian increment of the step. (Exponential integrators are no base
/// for this: their x' lies where the network expects it, whatever the step, and the difference is blind.)
///
///     error = sqrt(mean(((x' - x'') / max(atol, rtol max(|x'|, |x' before|)))^2))
///
/// A step is accepted at 1 or less, and the run goes on from x''. Then h <- safety h error^-r, at most five
/// times as long and no shorter than a tenth.
/// Source: Jolicoeur-Martineau et al. 2021, arXiv:2105.14080, algorithm 1. Deviations: the increment of a
/// rejected step is not thrown away, see `brownian_pieces` (theirs draws a new one, which prefers increments
/// that are easy to accept); the last step ends on the last level and the clean level is x = alpha x0_hat;
/// the network's answer at s is used again after a rejection. The step is the one the worst sample of a batch
/// allows, theirs is per sample: a sample alone takes its own.
///
/// - levels  from levels.front() to levels.back(). A first level at pure noise is left by one step of
///           DDPM's posterior to sigma / alpha = pure_noise_as.
/// - order   weak order 1 in the number of steps.
/// - cost    2 network calls per step tried, one less where a step is tried again; 8 tensors.
/// - random  one draw per step, one more per rejection; how, see `brownian_pieces`.
/// - errors  `std::invalid_argument`: an option out of range. A run that cannot keep its tolerance gives up.
/// - choose  for SDE samples of an accuracy asked for; at few calls stochastic solvers on a fixed grid are
///           cheaper.
struct adaptive_sde {
    double rtol = 0.01;              ///< relative tolerance; >= 0
    double atol = 0.0078;            ///< absolute tolerance, in units of x; > 0
    double h_init = 0.01;            ///< first step, as a part of the whole way; in (0, 1]
    double r = 0.9;                  ///< how strongly the step answers the error; in [1/2, 1]
    double safety = 0.9;             ///< of the next step; in (0, 1)
    std::size_t max_steps = 100000;  ///< steps tried before giving up; > 0
    double pure_noise_as = 160.0;    ///< the sigma / alpha where steps begin after pure noise; > 0

    class run;

    /// The sampler as a loop, for `sample` and `loop_stepper` (`<tweedie/run/loop.hpp>`).
    [[nodiscard]] run loop(const any_schedule& schedule, std::span<const level> levels) const;
};

/// `adaptive_sde` at work.
class adaptive_sde::run {
public:
    run(const adaptive_sde& options, const any_schedule& schedule, std::span<const level> levels)
        : o_(options),
          schedule_(schedule),
          range_(range_of(schedule, levels, options.pure_noise_as, "adaptive_sde")) {
        const auto require = [](bool holds, const char* rule) {
            if (!holds) { throw std::invalid_argument(rule); }
        };
        require_tolerances(o_.rtol, o_.atol, "adaptive_sde");
        require(o_.h_init > 0.0 && o_.h_init <= 1.0, "adaptive_sde: h_init must lie in (0, 1]");
        require(o_.r >= 0.5 && o_.r <= 1.0, "adaptive_sde: r must lie in [1/2, 1]");
        require(o_.safety > 0.0 && o_.safety < 1.0, "adaptive_sde: safety must lie in (0, 1)");
        require(o_.max_steps > 0, "adaptive_sde: max_steps must be positive");
        s_ = range_.first;
        h_ = o_.h_init * std::abs(range_.to.t - range_.from.t);
        path_ = brownian_pieces(clock(range_.from), first_slot, range_.from_pure_noise() ? 1 : 0);
    }

    [[nodiscard]] static std::size_t registers() { return first_slot + brownian_pieces::slots; }
    [[nodiscard]] static std::size_t blocks() { return 1; }
    [[nodiscard]] static bool draws() { return true; }
    [[nodiscard]] level first() const { return range_.first; }

    [[nodiscard]] std::size_t accepted() const { return accepted_; }
    [[nodiscard]] std::size_t rejected() const { return rejected_; }
    [[nodiscard]] double h() const { return h_; }

    void next(turn& p) {
        switch (stage_) {
            case stage::start: begin_step(p); return;
            case stage::leave_pure_noise: {
                p.set(x, range_.from.alpha * p.x0_hat() + range_.from.sigma * p.noise(0));
                s_ = range_.from;
                begin_step(p);
                return;
            }
            case stage::denoise:
                p.set(x, range_.last.alpha * p.x0_hat());
                p.finish(x, range_.last);
                return;
            case stage::at_s:
                p.set(m0, p.x0_hat());
                try_step(p, p.x0_hat());
                return;
            case stage::at_t: {
                bool known = true;
                const combination w = path_.increment(p, clock(t_), known);
                p.set(v, 0.5 * (p(u) + p(x) + euler(t_, p(u), p.x0_hat(), w)));
                error_ = p.scaled_error(u, v, accepted_ == 0 ? x : before, o_.atol, o_.rtol);
                stage_ = stage::judge;
                return;
            }
            case stage::judge: judge(p); return;
        }
    }

private:
    enum reg : std::size_t { x, m0, u, v, before, first_slot };
    enum class stage { start, leave_pure_noise, denoise, at_s, at_t, judge };

    /// Where a level lies in the clock of the Brownian path.
    [[nodiscard]] double clock(const level& l) const { return std::abs(l.t - range_.from.t); }

    void begin_step(turn& p) {
        if (s_ == range_.last) {
            p.finish(x, range_.last);
            return;
        }
        p.ask(x, s_, {.begins_step = true, .editable = true});
        stage_ = s_.alpha == 0.0 && range_.from.alpha > 0.0        ? stage::leave_pure_noise
                 : !(s_.half_log_snr() < range_.to.half_log_snr()) ? stage::denoise
                                                                   : stage::at_s;
    }

    void try_step(turn& p, const combination& m) {
        const double left = std::abs(range_.to.t - s_.t);
        if (!(h_ > 1e-12 * (left + std::abs(range_.from.t - range_.to.t))) ||
            accepted_ + rejected_ >= o_.max_steps) {
            p.give_up(x, s_);
            return;
        }
        const bool last = !(h_ < left * (1.0 - 1e-9));
        tried_ = last ? left : h_;
        if (last) {
            t_ = range_.to;
        } else {
            t_ = at(schedule_, s_.t + (range_.to.t > s_.t ? tried_ : -tried_));
        }
        bool known = true;
        const combination w = path_.increment(p, clock(t_), known);
        if (!known) {
            p.give_up(x, s_);
            return;
        }
        p.set(u, p(x) + euler(s_, p(x), m, w));
        p.ask(u, t_);
        stage_ = stage::at_t;
    }

    /// The move of Euler-Maruyama with the coefficients of level `l`.
    [[nodiscard]] combination euler(const level& l, const combination& from, const combination& x0,
                                    const combination& w) const {
        const double dt = t_.t - s_.t;
        const double f = schedule_.alpha_rate(l.t) / l.alpha;
        const double g2 = 2.0 * l.sigma * (schedule_.sigma_rate(l.t) - f * l.sigma);
        const combination score = (l.alpha * x0 - from) / (l.sigma * l.sigma);
        return (dt * f) * from - (dt * g2) * score + std::sqrt(std::abs(g2)) * w;
    }

    void judge(turn& p) {
        const double error = p.worst(error_);
        const double factor = std::clamp(o_.safety * std::pow(error, -o_.r), 0.1, 5.0);
        h_ = tried_ * factor;
        if (!(error <= 1.0)) {
            ++rejected_;
            try_step(p, p(m0));
            return;
        }
        ++accepted_;
        p.take(before, u);
        p.take(x, v);
        path_.pass(p, clock(t_));
        s_ = t_;
        begin_step(p);
    }

    adaptive_sde o_;
    any_schedule schedule_;
    adaptive_range range_;
    brownian_pieces path_;
    stage stage_ = stage::start;
    level s_, t_;
    double h_ = 0.0;
    double tried_ = 0.0;
    std::size_t error_ = 0;
    std::size_t accepted_ = 0;
    std::size_t rejected_ = 0;
};

inline adaptive_sde::run adaptive_sde::loop(const any_schedule& schedule,
                                            std::span<const level> levels) const {
    return {*this, schedule, levels};
}

}  // namespace tweedie::solver
