// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/loop.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adaptive_range.hpp>
#include <tweedie/solver/ancestral_step.hpp>
#include <tweedie/solver/exponential_step.hpp>
#include <tweedie/solver/step_control.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>

namespace tweedie::solver {

/// DPM-Solver-12 and -23: the singlestep DPM-Solver(++) of order 2 or 3 whose steps in half-log-SNR follow
/// the difference to the order below, which costs no further call.
///
///     h        = lambda_t - lambda_s,    s_i = the level at lambda_s + r_i h,    D_i = (m(s_i) - m(s)) / r_i
///     noise    x_t = alpha_t/alpha_s x - sigma_t (e^h - 1) m(s) - sigma_t (correction)
///     data     x_t = sigma_t/sigma_s x - alpha_t (e^-h - 1) m(s) + alpha_t (correction)
///     error    sqrt(mean(((x_low - x_high) / max(atol, rtol max(|x_low|, |x_low before|)))^2))
///
/// order 2: r = 1/2, low = DDIM; order 3: r = 1/3, 2/3, low = order 2 at r = 1/3. The run goes on from
/// x_high. Source: Lu et al. 2022, arXiv:2206.00927, adaptive step sizes (noise prediction);
/// arXiv:2211.01095 (data prediction); `step_rule::pid` and `.eta` as in k-diffusion's sample_dpm_adaptive.
/// Deviations: the last step ends on the last level exactly; after a rejection the network's answer at s is
/// used again (`peer_formula` asks again, as both programs do, and takes Lu et al.'s step factors in single
/// precision and without bounds, as theirs does).
///
/// With `.eta` > 0 every accepted step is an ancestral one (see `ancestral`): a shorter deterministic step,
/// then fresh noise. The noise is drawn after the step was accepted, so what is rejected cannot depend on it,
/// and the law is that of the ancestral sampler on the steps taken.
///
/// - levels  from levels.front() to levels.back(). A first level at pure noise is left by one DDIM step to
///           sigma / alpha = pure_noise_as; a clean last level is reached by one from the level before it
///           (with two levels, from the end of the schedule's range).
/// - order   `.order` in the number of steps; error proportional to the tolerance, about.
/// - cost    `.order` network calls per step tried, one less where a step is tried again; 7 tensors.
/// - random  with `.eta`, draw n for accepted step n.
/// - batch   the step is the one the worst sample allows; a sample alone takes its own.
/// - errors  `std::invalid_argument`: an option out of range. A run that cannot keep its tolerance gives up.
/// - choose  to ask for an accuracy rather than for a number of steps; for sampling at few calls a fixed grid
///           and `unipc` are cheaper.
struct dpm_adaptive {
    std::size_t order = 3;                      ///< of the solution; the error is of the order below; 2 or 3
    double rtol = 0.05;                         ///< relative tolerance; >= 0
    double atol = 0.0078;                       ///< absolute tolerance, in units of x; > 0
    double h_init = 0.05;                       ///< first step in half-log-SNR; > 0
    form predicts = form::noise;                ///< which prediction is interpolated
    difference variant = difference::midpoint;  ///< how differences of predictions are weighted
    step_control control = {};                  ///< how the step answers the error
    double eta = 0.0;                           ///< noise, as a part of the ancestral step's; >= 0
    double s_noise = 1.0;                       ///< the noise added is multiplied by this; >= 0
    std::size_t max_steps = 10000;              ///< steps tried before giving up; > 0
    double pure_noise_as = 160.0;               ///< the sigma / alpha where steps begin after pure noise; > 0
    bool peer_formula = false;                  ///< ask the network again after a rejection

    class run;

    /// The sampler as a loop, for `sample` and `loop_stepper` (`<tweedie/run/loop.hpp>`).
    [[nodiscard]] run loop(const any_schedule& schedule, std::span<const level> levels) const;
};

/// `dpm_adaptive` at work.
class dpm_adaptive::run {
public:
    run(const dpm_adaptive& options, const any_schedule& schedule, std::span<const level> levels)
        : o_(options),
          schedule_(schedule),
          range_(range_of(schedule, levels, options.pure_noise_as, "dpm_adaptive")),
          size_(options.control, options.h_init,
                options.eta > 0.0 && options.control.rule == step_rule::pid
                    ? 1.5
                    : static_cast<double>(options.order),
                options.peer_formula) {
        const auto require = [](bool holds, const char* rule) {
            if (!holds) { throw std::invalid_argument(rule); }
        };
        require(o_.order == 2 || o_.order == 3, "dpm_adaptive: order must be 2 or 3");
        require_tolerances(o_.rtol, o_.atol, "dpm_adaptive");
        require(o_.h_init > 0.0 && std::isfinite(o_.h_init),
                "dpm_adaptive: h_init must be positive and finite");
        require(o_.eta >= 0.0 && std::isfinite(o_.eta), "dpm_adaptive: eta must be finite and not negative");
        require(o_.s_noise >= 0.0 && std::isfinite(o_.s_noise),
                "dpm_adaptive: s_noise must be finite and not negative");
        require(o_.max_steps > 0, "dpm_adaptive: max_steps must be positive");
        o_.control.require("dpm_adaptive");
        s_ = range_.first;
    }

    [[nodiscard]] static std::size_t registers() { return 7; }
    [[nodiscard]] static std::size_t blocks() { return 1; }
    [[nodiscard]] bool draws() const { return o_.eta > 0.0; }
    [[nodiscard]] level first() const { return range_.first; }

    [[nodiscard]] std::size_t accepted() const { return size_.accepted(); }
    [[nodiscard]] std::size_t rejected() const { return size_.rejected(); }
    [[nodiscard]] double h() const { return size_.h(); }

    void next(turn& p) {
        switch (stage_) {
            case stage::start: begin_step(p); return;
            case stage::leave_pure_noise:
                p.set(x, (range_.from.sigma / s_.sigma) * p(x) + range_.from.alpha * p.x0_hat());
                s_ = range_.from;
                begin_step(p);
                return;
            case stage::denoise:
                p.set(x, range_.last.alpha * p.x0_hat());
                p.finish(x, range_.last);
                return;
            case stage::at_s: {
                const combination m = prediction(p, x, s_);
                p.set(m0, m);
                try_step(p, m);
                return;
            }
            case stage::at_s1: after_s1(p); return;
            case stage::at_s2: {
                const combination m2 = prediction(p, u, s2_);
                p.set(high, third(p(x), p(m0), p(m1), m2));
                error_ = p.scaled_error(low, high, size_.accepted() == 0 ? x : before, o_.atol, o_.rtol);
                stage_ = stage::judge;
                return;
            }
            case stage::judge: judge(p); return;
        }
    }

private:
    enum reg : std::size_t { x, m0, m1, u, low, high, before };
    enum class stage { start, leave_pure_noise, denoise, at_s, at_s1, at_s2, judge };

    /// At s with x: what is to be asked there.
    void begin_step(turn& p) {
        p.ask(x, s_, {.begins_step = true, .editable = true});
        stage_ = s_.alpha == 0.0                                 ? stage::leave_pure_noise
                 : s_.half_log_snr() >= range_.to.half_log_snr() ? stage::denoise
                                                                 : stage::at_s;
        if (stage_ == stage::denoise && !range_.to_clean()) { p.finish(x, range_.last); }
        // straight from pure noise to the clean level: nothing lies between
        if (stage_ == stage::leave_pure_noise && range_.from.alpha == 0.0) { stage_ = stage::denoise; }
    }

    /// Chooses t and asks for the first stage; `m` is the prediction at s.
    void try_step(turn& p, const combination& m) {
        const double lambda = s_.half_log_snr();
        const double left = range_.to.half_log_snr() - lambda;
        tried_ = size_.h();
        if (!(tried_ > 1e-12 * (1.0 + std::abs(lambda))) ||
            size_.accepted() + size_.rejected() >= o_.max_steps) {
            p.give_up(x, s_);
            return;
        }
        if (!(tried_ < left - 1e-5)) {
            tried_ = left;
            t_ = range_.to;
        } else {
            t_ = at_half_log_snr(schedule_, lambda + tried_);
        }
        // the level reached before noise is added
        to_ = t_;
        noise_ = 0.0;
        if (o_.eta > 0.0) {
            to_ = ancestral(s_, t_, o_.eta).clean;
            to_.sigma = std::max(to_.sigma, range_.to.sigma / range_.to.alpha * to_.alpha);
            noise_ = std::sqrt(std::max((t_.sigma - to_.sigma) * (t_.sigma + to_.sigma), 0.0));
        }
        h_ = to_ == t_ ? tried_ : log_snr_step(s_, to_);
        const double r1 = o_.order == 2 ? 0.5 : 1.0 / 3.0;
        s1_ = at_half_log_snr(schedule_, lambda + r1 * h_);
        p.set(u, first_order(p(x), m, s1_, r1 * h_));
        p.ask(u, s1_);
        stage_ = stage::at_s1;
    }

    void after_s1(turn& p) {
        const combination m = prediction(p, u, s1_);
        if (o_.order == 2) {
            p.set(low, first_order(p(x), p(m0), to_, h_));
            p.set(high, second(p(x), p(m0), m, 0.5));
            error_ = p.scaled_error(low, high, size_.accepted() == 0 ? x : before, o_.atol, o_.rtol);
            stage_ = stage::judge;
            return;
        }
        constexpr double r1 = 1.0 / 3.0;
        constexpr double r2 = 2.0 / 3.0;
        s2_ = at_half_log_snr(schedule_, s_.half_log_snr() + r2 * h_);
        const double z = r2 * h_;
        combination to_s2 = first_order(p(x), p(m0), s2_, z);
        if (data()) {
            to_s2 += (r2 / r1 * s2_.alpha * (std::expm1(-z) / z + 1)) * (m - p(m0));
        } else {
            to_s2 -= (r2 / r1 * s2_.sigma * (std::expm1(z) / z - 1)) * (m - p(m0));
        }
        p.set(low, second(p(x), p(m0), m, r1));
        p.set(u, to_s2);
        if (o_.variant == difference::taylor) { p.set(m1, m); }
        p.ask(u, s2_);
        stage_ = stage::at_s2;
    }

    void judge(turn& p) {
        if (!size_.propose(p.worst(error_), tried_)) {
            if (o_.peer_formula) {
                p.ask(x, s_);
                stage_ = stage::at_s;
            } else {
                try_step(p, p(m0));
            }
            return;
        }
        p.take(before, low);
        if (noise_ > 0.0 && o_.s_noise > 0.0) {
            p.set(x, p(high) + (o_.s_noise * noise_) * p.noise(draw_++));
        } else {
            p.take(x, high);
        }
        s_ = t_;
        begin_step(p);
    }

    [[nodiscard]] bool data() const { return o_.predicts == form::data; }

    /// The prediction that is interpolated, from the network's answer at register `r`.
    [[nodiscard]] combination prediction(const turn& p, std::size_t r, const level& at) const {
        return data() ? p.x0_hat() : (p(r) - at.alpha * p.x0_hat()) / at.sigma;
    }

    /// DDIM from s over a step h.
    [[nodiscard]] combination first_order(const combination& from, const combination& m, const level& t,
                                          double h) const {
        if (data()) { return (t.sigma / s_.sigma) * from - (t.alpha * std::expm1(-h)) * m; }
        return (t.alpha / s_.alpha) * from - (t.sigma * std::expm1(h)) * m;
    }

    [[nodiscard]] combination second(const combination& from, const combination& m, const combination& m_1,
                                     double r) const {
        const bool taylor = o_.variant == difference::taylor;
        const combination base = first_order(from, m, to_, h_);
        const double phi = std::expm1(data() ? -h_ : h_);
        if (data()) {
            const double weight = taylor ? phi / h_ + 1 : -0.5 * phi;
            return base + (to_.alpha * weight / r) * (m_1 - m);
        }
        const double weight = taylor ? phi / h_ - 1 : 0.5 * phi;
        return base - (to_.sigma * weight / r) * (m_1 - m);
    }

    [[nodiscard]] combination third(const combination& from, const combination& m, const combination& m_1,
                                    const combination& m_2) const {
        constexpr double r1 = 1.0 / 3.0;
        constexpr double r2 = 2.0 / 3.0;
        const combination base = first_order(from, m, to_, h_);
        const double phi1 = std::expm1(data() ? -h_ : h_);
        const double phi2 = data() ? phi1 / h_ + 1 : phi1 / h_ - 1;
        const double phi3 = phi2 / h_ - 0.5;
        const double sign = data() ? to_.alpha : -to_.sigma;
        if (o_.variant == difference::midpoint) { return base + (sign * phi2 / r2) * (m_2 - m); }
        const combination d10 = (m_1 - m) / r1;
        const combination d11 = (m_2 - m) / r2;
        const combination d1 = (r2 * d10 - r1 * d11) / (r2 - r1);
        const combination d2 = (2.0 / (r2 - r1)) * (d11 - d10);
        return base + (sign * phi2) * d1 + (data() ? -sign : sign) * phi3 * d2;
    }

    dpm_adaptive o_;
    any_schedule schedule_;
    adaptive_range range_;
    step_size size_;
    stage stage_ = stage::start;
    level s_, t_, to_, s1_, s2_;  // the step from s to t, by way of `to` where noise is added
    double tried_ = 0.0;          // lambda_t - lambda_s
    double h_ = 0.0;              // lambda_to - lambda_s
    double noise_ = 0.0;
    std::uint32_t draw_ = 0;
    std::size_t error_ = 0;
};

inline dpm_adaptive::run dpm_adaptive::loop(const any_schedule& schedule,
                                            std::span<const level> levels) const {
    return {*this, schedule, levels};
}

}  // namespace tweedie::solver
