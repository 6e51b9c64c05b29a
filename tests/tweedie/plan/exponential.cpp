// SPDX-License-Identifier: MIT

#include <tweedie/plan/exponential.hpp>

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

/// Integral of a smooth f over [a, b] by Gauss-Legendre of 5 points on 64 panels: exact to rounding here.
template <class Function>
double integral(const Function& f, double a, double b) {
    constexpr double node[] = {0.0, 0.5384693101056830910363144, 0.9061798459386639927976269};
    constexpr double weight[] = {0.5688888888888888888888889, 0.4786286704993664680412915,
                                 0.2369268850561890875142640};
    const double half = (b - a) / 128.0;
    double sum = 0.0;
    for (int panel = 0; panel < 64; ++panel) {
        const double middle = a + (2 * panel + 1) * half;
        sum += weight[0] * f(middle);
        for (int k = 1; k < 3; ++k) {
            sum += weight[k] * (f(middle - half * node[k]) + f(middle + half * node[k]));
        }
    }
    return sum * half;
}

/// Lagrange's polynomial of node j.
double basis(const std::vector<double>& nodes, std::size_t j, double at) {
    double product = 1.0;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        if (i != j) { product *= (at - nodes[i]) / (nodes[j] - nodes[i]); }
    }
    return product;
}

/// Gaussian elimination with pivots, for the paper's small systems.
std::vector<double> solve(std::vector<std::vector<double>> a, std::vector<double> b) {
    const std::size_t n = b.size();
    for (std::size_t k = 0; k < n; ++k) {
        std::size_t pivot = k;
        for (std::size_t i = k; i < n; ++i) {
            if (std::abs(a[i][k]) > std::abs(a[pivot][k])) { pivot = i; }
        }
        std::swap(a[k], a[pivot]);
        std::swap(b[k], b[pivot]);
        for (std::size_t i = k + 1; i < n; ++i) {
            const double f = a[i][k] / a[k][k];
            for (std::size_t j = k; j < n; ++j) { a[i][j] -= f * a[k][j]; }
            b[i] -= f * b[k];
        }
    }
    for (std::size_t k = n; k-- > 0;) {
        for (std::size_t j = k + 1; j < n; ++j) { b[k] -= a[k][j] * b[j]; }
        b[k] /= a[k][k];
    }
    return b;
}

struct interval {
    std::vector<double> nodes;
    double from, to;
};

const std::vector<interval> intervals = {
    {{0.0}, 0.0, 0.5},
    {{-1.0, -1.4}, -1.0, -0.5},
    {{2.0, 1.2, 0.5}, 2.0, 2.9},
    {{2.0, 1.2, 0.5, 2.9}, 2.0, 2.9},
    {{-3.0, -3.7, -4.2, -5.0}, -3.0, -1.0},
    {{0.0, -0.3, -0.9, -1.3, 0.6}, 0.0, 0.6},
    {{0.2, -0.3, -0.9, -1.3, 1.6}, 0.0, 0.7},
    {{0.0, -4.0}, 0.0, 6.0},
    {{0.0}, 0.0, -0.8},  // backwards: inversion
    {{-1.0, -0.4}, -1.0, -1.5},
    {{2.0, 2.9, 3.5}, 2.0, 0.5},
    {{0.0, 0.3, 0.9, 1.3, -0.6}, 0.0, -0.6},
};

}  // namespace

TEST_CASE("phi functions equal their integrals and their closed forms", "[plan][phi][exact]") {
    for (const double z : {-40.0, -9.0, -3.0, -1.0, -0.1, -1e-8, 0.0, 1e-8, 0.1, 1.0, 3.0, 9.0}) {
        CHECK_THAT(phi(0, z), WithinRel(std::exp(z), tol<double>::exact));
        if (z != 0.0) { CHECK_THAT(phi(1, z), WithinRel(std::expm1(z) / z, tol<double>::exact)); }
        double factorial = 1.0;
        for (int k = 1; k <= 8; ++k) {
            INFO("phi_" << k << "(" << z << ")");
            const auto f = [&](double u) { return std::exp((1.0 - u) * z) * std::pow(u, k - 1) / factorial; };
            CHECK_THAT(phi(k, z), WithinRel(integral(f, 0.0, 1.0), 1e-13));
            factorial *= k;
        }
        factorial = 1.0;
        for (int k = 0; k <= 6; ++k) {  // the recurrence z phi_(k+1) = phi_k - 1/k!, which is not used near 0
            if (k > 0) { factorial *= k; }
            CHECK_THAT(z * phi(k + 1, z) + 1.0 / factorial,
                       WithinRel(phi(k, z), 1e-13) || WithinAbs(phi(k, z), 1e-15));
        }
    }
    double factorial = 1.0;
    for (int k = 1; k <= 8; ++k) {
        factorial *= k;
        CHECK_THAT(phi(k, 0.0), WithinRel(1.0 / factorial, tol<double>::exact));
        CHECK(phi(k, -infinity) == 0.0);
    }
}

TEST_CASE("exponential weights are the integrals of Lagrange's polynomials against the kernel",
          "[plan][exponential][exact]") {
    for (const interval& i : intervals) {
        for (const double rate : {1.0, -1.0, 2.0, 0.25, 0.0}) {
            const std::vector<double> w = exponential_weights(i.nodes, i.from, i.to, rate);
            REQUIRE(w.size() == i.nodes.size());
            const double h = i.to - i.from;
            const double total = rate == 0.0 ? h : -std::expm1(-rate * h) / rate;
            double sum = 0.0;
            double size = 0.0;
            for (std::size_t j = 0; j < w.size(); ++j) {
                const auto f = [&](double l) { return std::exp(-rate * (i.to - l)) * basis(i.nodes, j, l); };
                INFO("rate " << rate << ", " << w.size() << " nodes, weight " << j);
                CHECK_THAT(w[j], WithinAbs(integral(f, i.from, i.to), 2e-13 * (1.0 + std::abs(w[j]))));
                sum += w[j];
                size += std::abs(w[j]);
            }
            CHECK_THAT(sum, WithinAbs(total, 1e-14 * size));
        }
    }
}

TEST_CASE("exponential weights solve the moment conditions of UniPC", "[plan][exponential][unipc]") {
    // Zhao et al. 2023, arXiv:2302.04867, equation 6: sum_j r_j^(k-1) a_j B(h) = h^k k! phi_(k+1)(h), with
    // B(h) of either kind.
    for (const interval& i : intervals) {
        if (i.nodes.size() < 2 || i.nodes[0] != i.from) { continue; }
        const double h = i.to - i.from;
        for (const double rate : {1.0, -1.0}) {
            for (const double b : {-rate * h, std::expm1(-rate * h)}) {
                const double z = -rate * h;
                const std::size_t p = i.nodes.size() - 1;
                std::vector<std::vector<double>> rows(p, std::vector<double>(p));
                std::vector<double> right(p);
                for (std::size_t k = 0; k < p; ++k) {
                    const auto kernel = [&](double u) {
                        return std::exp((1.0 - u) * z) * std::pow(u, static_cast<double>(k + 1));
                    };
                    right[k] = z * integral(kernel, 0.0, 1.0) / b;  // k! phi_(k+1) z / B
                    for (std::size_t j = 0; j < p; ++j) {
                        rows[k][j] = std::pow((i.nodes[j + 1] - i.from) / h, static_cast<double>(k));
                    }
                }
                const std::vector<double> a = solve(rows, right);
                const std::vector<double> w = exponential_weights(i.nodes, i.from, i.to, rate);
                for (std::size_t j = 0; j < p; ++j) {
                    const double r = (i.nodes[j + 1] - i.from) / h;
                    INFO("rate " << rate << ", " << p + 1 << " nodes, " << j);
                    // -B a_j (m_j - m0) / r_j, in units of the rate
                    CHECK_THAT(w[j + 1], WithinRel(-b * a[j] / r / rate, 1e-11));
                }
            }
        }
    }
}

TEST_CASE("exponential weights have exact limits and refuse what has none", "[plan][exponential][errors]") {
    const double one[] = {0.3};
    CHECK(exponential_weights(one, -infinity, 1.0).at(0) == 1.0);
    CHECK(exponential_weights(one, 0.3, infinity).at(0) == 1.0);
    CHECK(exponential_weights(one, 0.3, infinity, 2.0).at(0) == 0.5);
    const double two[] = {0.0, -1.0};
    const double equal[] = {0.0, 0.0};
    const double unknown[] = {0.0, not_a_number};
    const auto says = [](std::span<const double> nodes, double from, double to) {
        return refusal([&] { static_cast<void>(exponential_weights(nodes, from, to)); });
    };
    CHECK(says({}, 0.0, 1.0) == "exponential_weights: need at least one node");
    CHECK(says(two, 1.0, 1.0) == "exponential_weights: need from != to");
    CHECK(says(two, 0.0, not_a_number) == "exponential_weights: need from != to");
    CHECK(says(two, not_a_number, 1.0) == "exponential_weights: need from != to");
    CHECK(says(equal, 0.0, 1.0) == "exponential_weights: nodes must be distinct");
    CHECK(says(two, 0.0, infinity) ==
          "exponential_weights: several nodes need a finite interval and finite nodes");
    CHECK(says(unknown, 0.0, 1.0) ==
          "exponential_weights: several nodes need a finite interval and finite nodes");
}

TEST_CASE("the step in half-log-SNR is exact at the ends", "[plan][log_snr_step]") {
    const level s{0.0, 0.5, 0.25};
    CHECK(log_snr_step(s, {0.0, 1.0, 0.0}) == infinity);
    CHECK(log_snr_step({0.0, 0.0, 1.0}, s) == infinity);
    CHECK_THAT(log_snr_step(s, {0.0, 0.5, 0.125}), WithinRel(std::log(2.0), tol<double>::exact));
    // close levels at a large lambda keep their digits
    const level t{0.0, 1.0, 1e-8};
    CHECK_THAT(log_snr_step(t, {0.0, 1.0, 1e-8 * (1.0 - 1e-6)}), WithinRel(-std::log1p(-1e-6), 1e-9));
}
