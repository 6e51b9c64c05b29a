// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <concepts>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace tweedie {

/// A noise level: the state is `x = alpha * x0 + sigma * eps` with `x0` the data and `eps` standard normal.
///
/// - `t`      time of the schedule the level came from; its unit is the schedule's own.
/// - `alpha`  signal scale; >= 0. `alpha == 0` is pure noise, represented exactly.
/// - `sigma`  noise scale; >= 0. `sigma == 0` is clean data, represented exactly.
struct level {
    double t = 0.0;
    double alpha = 1.0;
    double sigma = 0.0;

    /// `lambda = ln(alpha / sigma)`, half the logarithm of the signal-to-noise ratio: +infinity at sigma = 0,
    /// -infinity at alpha = 0.
    [[nodiscard]] double half_log_snr() const {
        if (sigma == 0.0) { return std::numeric_limits<double>::infinity(); }
        return std::log(alpha / sigma);
    }

    friend bool operator==(const level&, const level&) = default;
};

/// The interval of times a schedule is sampled over by default.
///
/// - `noisy`  where sampling starts.
/// - `clean`  the last level with noise left, `sigma > 0`; the clean end itself is `time_at(+infinity)`.
struct time_range {
    double noisy = 1.0;
    double clean = 0.0;

    friend bool operator==(const time_range&, const time_range&) = default;
};

/// A noise schedule: time to signal and noise scales and back.
///
/// - `alpha(t)`, `sigma(t)`            scales of signal and noise at time t.
/// - `alpha_rate(t)`, `sigma_rate(t)`  their derivatives with respect to t (velocities are made of them).
/// - `half_log_snr(t)`, `time_at(l)`   `ln(alpha / sigma)` and its inverse, exact at both infinite ends.
/// - `range()`                         the interval sampled by default.
///
/// Semantics the compiler cannot check: `half_log_snr` is strictly monotone in t; the functions are pure.
template <class Schedule>
concept noise_schedule = requires(const Schedule& schedule, double t) {
    { schedule.alpha(t) } -> std::convertible_to<double>;
    { schedule.sigma(t) } -> std::convertible_to<double>;
    { schedule.alpha_rate(t) } -> std::convertible_to<double>;
    { schedule.sigma_rate(t) } -> std::convertible_to<double>;
    { schedule.half_log_snr(t) } -> std::convertible_to<double>;
    { schedule.time_at(t) } -> std::convertible_to<double>;
    { schedule.range() } -> std::convertible_to<time_range>;
};

/// Any noise schedule as one value type, so that code that plans needs to be compiled once.
///
/// Owns a copy of the schedule; copies are deep, and a value moved from may only be assigned to or destroyed.
/// - cost  one indirect call per query; one allocation when made or copied. Used at plan time only.
class any_schedule {
public:
    template <class Schedule>
        requires(noise_schedule<std::remove_cvref_t<Schedule>> &&
                 !std::same_as<std::remove_cvref_t<Schedule>, any_schedule> &&
                 std::copy_constructible<std::remove_cvref_t<Schedule>>)
    any_schedule(
        Schedule&& schedule)  // NOLINT: implicit by design, a schedule is usable wherever one is asked for
        : self_(new model<std::remove_cvref_t<Schedule>>(std::forward<Schedule>(schedule))) {}
    any_schedule(const any_schedule& other)
        : self_(other.self_ == nullptr ? nullptr : other.self_->clone()) {}
    any_schedule(any_schedule&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
    any_schedule& operator=(any_schedule other) noexcept {
        std::swap(self_, other.self_);
        return *this;
    }
    ~any_schedule() { delete self_; }

    [[nodiscard]] double alpha(double t) const { return self_->alpha(t); }
    [[nodiscard]] double sigma(double t) const { return self_->sigma(t); }
    [[nodiscard]] double alpha_rate(double t) const { return self_->alpha_rate(t); }
    [[nodiscard]] double sigma_rate(double t) const { return self_->sigma_rate(t); }
    [[nodiscard]] double half_log_snr(double t) const { return self_->half_log_snr(t); }
    [[nodiscard]] double time_at(double half_log_snr) const { return self_->time_at(half_log_snr); }
    [[nodiscard]] time_range range() const { return self_->range(); }

private:
    struct interface {
        interface() = default;
        interface(const interface&) = delete;
        interface& operator=(const interface&) = delete;
        virtual ~interface() = default;
        [[nodiscard]] virtual const interface* clone() const = 0;
        [[nodiscard]] virtual double alpha(double t) const = 0;
        [[nodiscard]] virtual double sigma(double t) const = 0;
        [[nodiscard]] virtual double alpha_rate(double t) const = 0;
        [[nodiscard]] virtual double sigma_rate(double t) const = 0;
        [[nodiscard]] virtual double half_log_snr(double t) const = 0;
        [[nodiscard]] virtual double time_at(double half_log_snr) const = 0;
        [[nodiscard]] virtual time_range range() const = 0;
    };

    template <class Schedule>
    struct model final : interface {
        explicit model(const Schedule& schedule) : schedule_(schedule) {}
        explicit model(Schedule&& schedule) : schedule_(std::move(schedule)) {}
        [[nodiscard]] const interface* clone() const override { return new model(schedule_); }
        [[nodiscard]] double alpha(double t) const override { return schedule_.alpha(t); }
        [[nodiscard]] double sigma(double t) const override { return schedule_.sigma(t); }
        [[nodiscard]] double alpha_rate(double t) const override { return schedule_.alpha_rate(t); }
        [[nodiscard]] double sigma_rate(double t) const override { return schedule_.sigma_rate(t); }
        [[nodiscard]] double half_log_snr(double t) const override { return schedule_.half_log_snr(t); }
        [[nodiscard]] double time_at(double l) const override { return schedule_.time_at(l); }
        [[nodiscard]] time_range range() const override { return schedule_.range(); }
        Schedule schedule_;
    };

    // owned; a plain pointer, because <memory> alone is a quarter of the include budget
    const interface* self_;
};

/// The level of a schedule at a time: `{t, alpha(t), sigma(t)}`.
template <noise_schedule Schedule>
[[nodiscard]] level at(const Schedule& schedule, double t) {
    return {t, schedule.alpha(t), schedule.sigma(t)};
}

/// The level of a schedule at a half-log-SNR; exact at +infinity (clean) and -infinity (pure noise).
template <noise_schedule Schedule>
[[nodiscard]] level at_half_log_snr(const Schedule& schedule, double half_log_snr) {
    return at(schedule, schedule.time_at(half_log_snr));
}

}  // namespace tweedie
