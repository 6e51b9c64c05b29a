// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <limits>

namespace tweedie::detail {

// The continued fraction of the incomplete beta function, by Lentz's method; converges fast for x below the
// mean, (a + 1) / (a + b + 2), in a number of terms that grows like the square root of a + b.
[[nodiscard]] inline double beta_fraction(double x, double a, double b) {
    constexpr double tiny = 1e-300;
    const auto away_from_zero = [](double v) { return std::abs(v) < tiny ? tiny : v; };
    double c = 1.0;
    double d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    double product = d;
    for (int i = 1; i <= 10000; ++i) {
        const double m = i;
        const double even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        product *= c * d;
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        const double change = c * d;
        product *= change;
        if (std::abs(change - 1.0) < std::numeric_limits<double>::epsilon()) { break; }
    }
    return product;
}

// ln of the inverse of the beta function; not by lgamma, which writes a global. For a + b <= 170.
[[nodiscard]] inline double log_inverse_beta(double a, double b) {
    return std::log(std::tgamma(a + b) / std::tgamma(a) / std::tgamma(b));
}

// ln of the beta density times x (1 - x): the common factor of everything below.
[[nodiscard]] inline double log_beta_weight(double x, double a, double b) {
    return log_inverse_beta(a, b) + a * std::log(x) + b * std::log1p(-x);
}

// The regularised incomplete beta function I_x(a, b), 0 <= x <= 1: the share of a beta law below x.
[[nodiscard]] inline double beta_share(double x, double a, double b) {
    if (x <= 0.0) { return 0.0; }
    if (x >= 1.0) { return 1.0; }
    const double weight = std::exp(log_beta_weight(x, a, b));
    if (x <= (a + 1.0) / (a + b + 2.0)) { return weight * beta_fraction(x, a, b) / a; }
    return 1.0 - weight * beta_fraction(1.0 - x, b, a) / b;
}

// x with I_x(a, b) = share, for share <= 1/2. Newton's method in ln x on ln I: there the function is concave
// for b >= 1 and convex for b <= 1, so that it converges from everywhere, and next to x = 0 it is a straight
// line.
[[nodiscard]] inline double lower_beta_quantile(double share, double a, double b) {
    const double log_share = std::log(share);
    // I ~ x^a / (a B) next to 0
    double u = (log_share + std::log(a) - log_inverse_beta(a, b)) / a;
    if (!(u < -1e-3)) { u = std::log(a / (a + b)); }
    for (int i = 0; i < 200; ++i) {
        const double x = std::exp(u);
        const double here = beta_share(x, a, b);
        if (!(here > 0.0)) { return x; }  // x so small that its share is no number any more
        const double slope = std::exp(log_beta_weight(x, a, b)) / ((1.0 - x) * here);
        const double step = (std::log(here) - log_share) / slope;
        const double next = u - step < 0.0 ? u - step : 0.5 * u;
        const bool done =
            std::abs(next - u) <= 4.0 * std::numeric_limits<double>::epsilon() * (1.0 + std::abs(u));
        u = next;
        if (done) { break; }
    }
    return std::exp(u);
}

// The quantile of the beta law with parameters a and b, both positive: x with I_x(a, b) = share. Solved in
// the smaller of the two tails, so that it is accurate relative to x where x is small, and to 1 - x where
// that is.
//
// - `share`, `rest`  share + rest = 1, each given so that neither is formed by a difference; in [0, 1].
// - accuracy         1e-13 relative to the tail, for a and b up to 50.
[[nodiscard]] inline double beta_quantile(double share, double rest, double a, double b) {
    if (share <= 0.0) { return 0.0; }
    if (rest <= 0.0) { return 1.0; }
    if (share <= 0.5) { return lower_beta_quantile(share, a, b); }
    return 1.0 - lower_beta_quantile(rest, b, a);
}

}  // namespace tweedie::detail
