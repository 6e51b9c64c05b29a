// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/loop.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/adaptive_range.hpp>
#include <tweedie/solver/step_control.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>

namespace tweedie::solver {

/// Embedded Runge-Kutta pairs for the probability-flow ODE in the angle of the noise level, with error
/// control and dense output.
///
///     theta = atan(sigma / alpha),   y = x / sqrt(alpha^2 + sigma^2) = cos(theta) x0 + sin(theta) eps
///     dy/dtheta = cos(theta) eps_hat - sin(theta) x0_hat = (cos(theta) y - x0_hat) / sin(theta)
///     error     = sqrt(mean(((y_low - y_high) / max(atol, rtol max(|y_low|, |y|)))^2))
///
/// On every schedule the same equation, and the best scaled one: theta is finite at both ends (pi/2 is pure
/// noise, where dy/dtheta = -x0_hat), y keeps its size, and for data at a point the solution is a sine.
/// Sources: Bogacki and Shampine 1989, A 3(2) pair of Runge-Kutta formulas; Dormand and Prince 1980, A family
/// of embedded Runge-Kutta formulae, with the continuous extension of Hairer, Norsett and Wanner 1993,
/// Solving Ordinary Differential Equations I, section II.6 (cubic Hermite for Bogacki and Shampine).
///
/// - levels  from levels.front() to levels.back(). A clean last level is reached from the level before it
///           (with two levels, from the end of the schedule's range) by DDIM, with the x0_hat already at
///           hand.
/// - order   3 or 5; the dense output 3 or 4.
/// - cost    3 or 6 network calls per step tried, one more at the start; 10 tensors.
/// - batch   the step is the one the worst sample allows; a sample alone takes its own.
/// - errors  `std::invalid_argument`: an option out of range. A run that cannot keep its tolerance gives up.
/// - choose  for reference solutions, and where x is wanted at many levels; at few calls fixed grids are
///           cheaper.
struct runge_kutta_pair {
    enum class pair {
        bogacki_shampine,  ///< 3(2)
        dormand_prince,    ///< 5(4)
    };

    pair variant = pair::dormand_prince;
    double rtol = 1e-3;                                     ///< relative tolerance; >= 0
    double atol = 1e-3;                                     ///< absolute tolerance, in units of y; > 0
    double h_init = 0.02;                                   ///< first step in theta; > 0
    step_control control = {.rule = step_rule::published};  ///< how the step answers the error
    std::size_t max_steps = 10000;                          ///< steps tried before giving up; > 0

    class run;

    /// The sampler as a loop, for `sample` and `loop_stepper` (`<tweedie/run/loop.hpp>`).
    [[nodiscard]] run loop(const any_schedule& schedule, std::span<const level> levels) const;
};

/// `runge_kutta_pair` at work.
class runge_kutta_pair::run {
public:
    run(const runge_kutta_pair& options, const any_schedule& schedule, std::span<const level> levels)
        : o_(options),
          schedule_(schedule),
          range_(range_of(schedule, levels, 160.0, "runge_kutta_pair")),
          size_(options.control, options.h_init, dormand() ? 5.0 : 3.0) {
        const auto require = [](bool holds, const char* rule) {
            if (!holds) { throw std::invalid_argument(rule); }
        };
        require_tolerances(o_.rtol, o_.atol, "runge_kutta_pair");
        require(o_.h_init > 0.0 && std::isfinite(o_.h_init),
                "runge_kutta_pair: h_init must be positive and finite");
        require(o_.max_steps > 0, "runge_kutta_pair: max_steps must be positive");
        o_.control.require("runge_kutta_pair");
        s_ = angle_of(range_.first);
        end_ = angle_of(range_.to);
    }

    [[nodiscard]] static std::size_t registers() { return 10; }
    [[nodiscard]] static std::size_t blocks() { return 1; }
    [[nodiscard]] static bool draws() { return false; }
    [[nodiscard]] level first() const { return range_.first; }

    [[nodiscard]] std::size_t accepted() const { return size_.accepted(); }
    [[nodiscard]] std::size_t rejected() const { return size_.rejected(); }
    [[nodiscard]] double h() const { return size_.h(); }

    void next(turn& p) {
        if (!begun_) {
            begun_ = true;
            if (radius(s_.at) != 1.0) { p.set(y, p(y) / radius(s_.at)); }
            ask(p, y, s_, {.begins_step = true, .editable = true});
            asked_ = 1;
            return;
        }
        if (asked_ == 0) {
            judge(p);
            return;
        }
        const std::size_t i = asked_;
        std::array<combination, 8> k{};
        combination from = p(y);
        for (std::size_t j = 1; j < i; ++j) { k[j] = p(j); }
        if (i == 1) {
            k[1] = velocity(p, y);
            p.set(1, k[1]);
            if (!(end_.theta < s_.theta)) {  // nothing between the two ends
                end(p, p(y), k[1]);
                return;
            }
            begin(p, from, k[1]);
            return;
        }
        if (i == 2) {
            if (moved_) {  // the step before was accepted; its registers were kept until now
                from = p(u);
                k[1] = p(stages());
                p.take(y, u);
                p.take(1, stages());
                moved_ = false;
                s_ = t_before_;
            }
            k[2] = velocity(p, other);
        } else {
            k[i] = velocity(p, u);
        }
        p.set(i, k[i]);
        if (i < stages()) {
            combination to = from;
            for (std::size_t j = 1; j <= i; ++j) { to.add(h_ * a(i + 1, j), k[j]); }
            p.set(u, to);
            stage_ = i + 1 == stages() ? t_ : inside(node(i + 1));
            ask(p, u, stage_);
            asked_ = i + 1;
            return;
        }
        combination low = from;
        for (std::size_t j = 1; j <= i; ++j) { low.add(h_ * low_weight(j), k[j]); }
        p.set(other, low);
        error_ = p.scaled_error(other, u, y, o_.atol, o_.rtol);
        asked_ = 0;
    }

    [[nodiscard]] bool has_dense() const { return moved_; }
    [[nodiscard]] level dense_from() const { return s_.at; }
    [[nodiscard]] level dense_to() const { return t_before_.at; }

    [[nodiscard]] combination dense(const level& at, double& scale) const {
        scale = radius(at);
        const double h = t_before_.theta - s_.theta;
        const double w = (std::atan2(at.sigma, at.alpha) - s_.theta) / h;
        const combination c1(y);
        const combination c2 = combination(u) - c1;
        const combination c3 = h * combination(1) - c2;
        const combination c4 = c2 - h * combination(stages()) - c3;
        combination c5;
        if (dormand()) {
            constexpr std::array<double, 8> d = {
                0.0,
                -12715105075.0 / 11282082432.0,
                0.0,
                87487479700.0 / 32700410799.0,
                -10690763975.0 / 1880347072.0,
                701980252875.0 / 199316789632.0,
                -1453857185.0 / 822651844.0,
                69997945.0 / 29380423.0,
            };
            for (std::size_t j = 1; j <= 7; ++j) { c5.add(h * d[j], combination(j)); }
        }
        return c1 + w * (c2 + (1 - w) * (c3 + w * (c4 + (1 - w) * c5)));
    }

private:
    // registers 1 to 7 hold the stages' velocities
    static constexpr std::size_t y = 0;
    static constexpr std::size_t u = 8;      // a stage; the last one is y at the end of the step
    static constexpr std::size_t other = 9;  // the second stage, and the solution of lower order

    struct angle {
        level at;
        double theta = 0.0;
    };

    [[nodiscard]] bool dormand() const { return o_.variant == pair::dormand_prince; }
    [[nodiscard]] std::size_t stages() const { return dormand() ? 7 : 4; }

    [[nodiscard]] static double radius(const level& l) {
        if (l.alpha == 1.0 && l.sigma == 0.0) { return 1.0; }
        const double r = std::hypot(l.alpha, l.sigma);
        return std::abs(r - 1.0) <= 4e-16 ? 1.0 : r;  // variance preserving: y is x
    }

    [[nodiscard]] static angle angle_of(const level& l) { return {l, std::atan2(l.sigma, l.alpha)}; }

    [[nodiscard]] angle inside(double part) const {
        const double theta = s_.theta + part * h_;
        return {at_half_log_snr(schedule_, -std::log(std::tan(theta))), theta};
    }

    void ask(turn& p, std::size_t r, const angle& where, ask_options options = {}) {
        options.scale = radius(where.at);
        p.ask(r, where.at, options);
        asked_at_ = where;
    }

    /// dy/dtheta at the question that was answered.
    [[nodiscard]] combination velocity(const turn& p, std::size_t r) const {
        const double c = std::cos(asked_at_.theta);
        const double s = std::sin(asked_at_.theta);
        return (asked_at_.at.alpha == 0.0 ? 0.0 : c / s) * p(r) - (1.0 / s) * p.x0_hat();
    }

    /// The next step from y with its first velocity; asks for the second stage.
    void begin(turn& p, const combination& from, const combination& k1) {
        const angle& s = moved_ ? t_before_ : s_;
        const double left = s.theta - end_.theta;
        double size = size_.h();
        if (!(size > 1e-14 * s.theta) || size_.accepted() + size_.rejected() >= o_.max_steps) {
            p.set(other, radius(s.at) * from);
            p.give_up(other, s.at);
            return;
        }
        const bool last = !(size < left * (1.0 - 1e-9));
        if (last) { size = left; }
        tried_ = size;
        h_ = -size;
        const level to = last ? end_.at : at_half_log_snr(schedule_, -std::log(std::tan(s.theta + h_)));
        t_ = {to, last ? end_.theta : s.theta + h_};
        const double theta = s.theta + node(2) * h_;
        p.set(other, from + (h_ * a(2, 1)) * k1);
        ask(p, other, {at_half_log_snr(schedule_, -std::log(std::tan(theta))), theta},
            {.begins_step = moved_});
        if (moved_) { p.show(s.at, radius(s.at) * from, std::cos(s.theta) * from - std::sin(s.theta) * k1); }
        asked_ = 2;
    }

    void judge(turn& p) {
        if (!size_.propose(p.worst(error_), tried_)) {
            begin(p, p(y), p(1));
            return;
        }
        moved_ = true;
        t_before_ = t_;
        if (!(end_.theta < t_.theta)) {
            end(p, p(u), p(stages()));
            return;
        }
        begin(p, p(u), p(stages()));
    }

    /// The result; what the dense output reads is left alone.
    void end(turn& p, const combination& state, const combination& k) {
        if (range_.to_clean()) {
            p.set(other, range_.last.alpha * (std::cos(end_.theta) * state - std::sin(end_.theta) * k));
        } else {
            p.set(other, radius(range_.last) * state);
        }
        p.finish(other, range_.last);
    }

    // Butcher's tables.
    [[nodiscard]] double node(std::size_t i) const {
        constexpr std::array<double, 8> b = {0, 0, 0.5, 0.75, 1, 0, 0, 0};
        constexpr std::array<double, 8> d = {0, 0, 0.2, 0.3, 0.8, 8.0 / 9.0, 1, 1};
        return dormand() ? d[i] : b[i];
    }

    [[nodiscard]] double a(std::size_t i, std::size_t j) const {
        constexpr std::array<std::array<double, 8>, 8> b = {
            {{}, {}, {0, 0.5}, {0, 0, 0.75}, {0, 2.0 / 9.0, 1.0 / 3.0, 4.0 / 9.0}, {}, {}, {}}};
        constexpr std::array<std::array<double, 8>, 8> d = {
            {{},
             {},
             {0, 0.2},
             {0, 3.0 / 40.0, 9.0 / 40.0},
             {0, 44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0},
             {0, 19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0},
             {0, 9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0},
             {0, 35.0 / 384.0, 0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0}}};
        return dormand() ? d[i][j] : b[i][j];
    }

    /// Weights of the solution of lower order.
    [[nodiscard]] double low_weight(std::size_t j) const {
        constexpr std::array<double, 8> b = {0, 7.0 / 24.0, 0.25, 1.0 / 3.0, 0.125, 0, 0, 0};
        constexpr std::array<double, 8> d = {0,
                                             5179.0 / 57600.0,
                                             0,
                                             7571.0 / 16695.0,
                                             393.0 / 640.0,
                                             -92097.0 / 339200.0,
                                             187.0 / 2100.0,
                                             1.0 / 40.0};
        return dormand() ? d[j] : b[j];
    }

    runge_kutta_pair o_;
    any_schedule schedule_;
    adaptive_range range_;
    step_size size_;
    bool begun_ = false;
    bool moved_ = false;     // a step was accepted, and its registers still hold it
    std::size_t asked_ = 0;  // the stage under way; 0: the error is
    angle s_, t_, t_before_, end_, stage_, asked_at_;
    double h_ = 0.0;
    double tried_ = 0.0;
    std::size_t error_ = 0;
};

inline runge_kutta_pair::run runge_kutta_pair::loop(const any_schedule& schedule,
                                                    std::span<const level> levels) const {
    return {*this, schedule, levels};
}

}  // namespace tweedie::solver
