// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>

/// Learning rates that change: functions of the number of steps taken, 0 at the first. After `steps` they
/// stay where they are.
///
///     const rate::warmup rate{.steps = 100, .then = rate::cosine{.from = 1e-2, .steps = 5000}};
///     optimizer.learning_rate = rate(step);
///
/// A negative or NaN rate is refused by the optimizer that it is given to.
namespace tweedie::optim::rate {

/// The part of `steps` that is over, in [0, 1]; 1 when there are none.
[[nodiscard]] inline double progress(double step, double steps) {
    return steps > 0 ? std::clamp(step / steps, 0.0, 1.0) : 1.0;
}

/// Always the same.
struct constant {
    double value = 1e-3;
    [[nodiscard]] double operator()(double) const { return value; }
};

/// A straight line.
struct linear {
    double from = 1e-3;
    double to = 0;
    double steps = 0;  ///< >= 0
    [[nodiscard]] double operator()(double step) const { return from + (to - from) * progress(step, steps); }
};

/// Half a cosine wave. Source: Loshchilov and Hutter 2016, arXiv:1608.03983, without restarts.
struct cosine {
    double from = 1e-3;
    double to = 0;
    double steps = 0;  ///< >= 0
    [[nodiscard]] double operator()(double step) const {
        return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * progress(step, steps)));
    }
};

/// `to + (from - to) (1 - part)^power`.
struct polynomial {
    double from = 1e-3;
    double to = 0;
    double steps = 0;  ///< >= 0
    double power = 2;  ///< > 0
    [[nodiscard]] double operator()(double step) const {
        return to + (from - to) * std::pow(1 - progress(step, steps), power);
    }
};

/// Multiplied by `factor` every `every` steps.
struct step_decay {
    double from = 1e-3;
    double factor = 0.1;
    double every = 1000;  ///< > 0
    [[nodiscard]] double operator()(double step) const {
        return from * std::pow(factor, std::floor(step / every));
    }
};

/// Up and down again by half cosines. Source: Smith and Topin 2017, arXiv:1708.07120, in the two-phase form
/// of torch.
struct one_cycle {
    double peak = 1e-2;
    double steps = 0;           ///< of the whole, >= 0
    double rising = 0.3;        ///< the part that rises; in [0, 1]
    double start_divisor = 25;  ///< starts at peak / start_divisor; > 0
    double end_divisor = 1e4;   ///< ends at start / end_divisor; > 0
    [[nodiscard]] double operator()(double step) const {
        const double start = peak / start_divisor;
        const double up = rising * steps;
        if (step < up) { return cosine{.from = start, .to = peak, .steps = up}(step); }
        return cosine{.from = peak, .to = start / end_divisor, .steps = steps - up}(step - up);
    }
};

/// Warm-up, stable, decay: a straight line up, a long constant stretch, a straight line down. Source: Hu et
/// al. 2024, arXiv:2404.06395, with a linear decay.
struct wsd {
    double peak = 1e-3;
    double steps = 0;   ///< of the whole, >= 0
    double warmup = 0;  ///< steps; >= 0
    double decay = 0;   ///< the last steps; >= 0
    double to = 0;
    [[nodiscard]] double operator()(double step) const {
        if (step < warmup) { return peak * (step + 1) / warmup; }
        return linear{.from = peak, .to = to, .steps = decay}(std::max(0.0, step - (steps - decay))) *
                   (decay > 0 || step < steps ? 1.0 : 0.0) +
               (decay > 0 || step < steps ? 0.0 : to);
    }
};

/// A straight line from nearly nothing to the first rate of `then`, which goes on from there.
template <class Rate>
struct warmup {
    double steps = 0;  ///< >= 0
    Rate then{};
    [[nodiscard]] double operator()(double step) const {
        return step < steps ? then(0.0) * (step + 1) / steps : then(step - steps);
    }
};
template <class Rate>
warmup(double, Rate) -> warmup<Rate>;

}  // namespace tweedie::optim::rate
