// SPDX-License-Identifier: MIT
#pragma once

// What every noise schedule must satisfy, whatever its formulas.

#include <tweedie/schedule/concept.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

inline constexpr double infinity = std::numeric_limits<double>::infinity();
inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// `count` times from `first` to `last`, both included.
inline std::vector<double> times_between(double first, double last, int count) {
    std::vector<double> times;
    for (int i = 0; i < count; ++i) { times.push_back(first + (last - first) * i / (count - 1)); }
    times.back() = last;
    return times;
}

/// Derivative by central differences and two Richardson extrapolations: an error of order step^6.
template <class Function>
double derivative(const Function& f, double t, double step) {
    const auto central = [&](double h) { return (f(t + h) - f(t - h)) / (2.0 * h); };
    const double d0 = central(step);
    const double d1 = central(step / 2.0);
    const double d2 = central(step / 4.0);
    const double e0 = (4.0 * d1 - d0) / 3.0;
    const double e1 = (4.0 * d2 - d1) / 3.0;
    return (16.0 * e1 - e0) / 15.0;
}

/// The scales, their quotient and the inverse agree at every time; lambda falls or rises strictly along
/// `times`.
template <class Schedule>
void check_consistency(const Schedule& schedule, const std::vector<double>& times) {
    STATIC_REQUIRE(tweedie::noise_schedule<Schedule>);
    double worst = 0.0;
    double worst_lambda = 0.0;
    bool monotone = true;
    const bool rises = schedule.half_log_snr(times.back()) > schedule.half_log_snr(times.front());
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double t = times[i];
        const double lambda = schedule.half_log_snr(t);
        const double quotient = std::log(schedule.alpha(t) / schedule.sigma(t));
        worst_lambda = std::max(worst_lambda, std::abs(lambda - quotient) / (1.0 + std::abs(lambda)));
        // a time is known relative to its distance from the clean end, where that is not t = 0
        const double clean = schedule.time_at(infinity);
        const double scale = std::isfinite(clean) ? std::max(std::abs(t), std::abs(t - clean)) : std::abs(t);
        worst = std::max(worst, std::abs(schedule.time_at(lambda) - t) / scale);
        if (i > 0) {
            const double before = schedule.half_log_snr(times[i - 1]);
            monotone = monotone && (rises ? lambda > before : lambda < before);
        }
    }
    CHECK(monotone);
    CHECK(worst_lambda < tol<double>::exact);
    CHECK(worst < tol<double>::identity);
}

/// The rates are the derivatives; `step` small against the times and their distance from the ends.
template <class Schedule>
void check_rates(const Schedule& schedule, const std::vector<double>& times, double step) {
    double worst = 0.0;
    for (const double t : times) {
        const double alpha_rate = derivative([&](double u) { return schedule.alpha(u); }, t, step);
        const double sigma_rate = derivative([&](double u) { return schedule.sigma(u); }, t, step);
        const double scale = std::abs(alpha_rate) + std::abs(sigma_rate);
        worst = std::max(worst, std::abs(schedule.alpha_rate(t) - alpha_rate) / scale);
        worst = std::max(worst, std::abs(schedule.sigma_rate(t) - sigma_rate) / scale);
    }
    CHECK(worst < tol<double>::reference);
}

/// Every query refuses a time that is not in the domain, `times` and NaN, with `message`.
template <class Schedule>
void check_domain(const Schedule& schedule, std::vector<double> times, const char* message) {
    times.push_back(not_a_number);
    for (const double t : times) {
        CAPTURE(t);
        CHECK_THROWS_WITH(schedule.alpha(t), message);
        CHECK_THROWS_WITH(schedule.sigma(t), message);
        CHECK_THROWS_WITH(schedule.alpha_rate(t), message);
        CHECK_THROWS_WITH(schedule.sigma_rate(t), message);
        CHECK_THROWS_WITH(schedule.half_log_snr(t), message);
        CHECK_THROWS_AS(schedule.alpha(t), std::invalid_argument);
    }
    CHECK_THROWS_AS(schedule.time_at(not_a_number), std::invalid_argument);
}

/// The clean end: sigma = 0 to the bit, found by `time_at(+infinity)`.
template <class Schedule>
void check_clean_end(const Schedule& schedule, double t) {
    CHECK(schedule.time_at(infinity) == t);
    CHECK(schedule.alpha(t) == 1.0);
    CHECK(schedule.sigma(t) == 0.0);
    CHECK(schedule.half_log_snr(t) == infinity);
    CHECK(tweedie::at_half_log_snr(schedule, infinity) == tweedie::level{t, 1.0, 0.0});
}

/// The pure-noise end: alpha = 0 to the bit, found by `time_at(-infinity)`.
template <class Schedule>
void check_pure_noise_end(const Schedule& schedule, double t) {
    CHECK(schedule.time_at(-infinity) == t);
    CHECK(schedule.alpha(t) == 0.0);
    CHECK(schedule.sigma(t) == 1.0);
    CHECK(schedule.half_log_snr(t) == -infinity);
    CHECK(tweedie::at_half_log_snr(schedule, -infinity) == tweedie::level{t, 0.0, 1.0});
}
