// SPDX-License-Identifier: MIT
#include <tweedie/schedule/discrete.hpp>

#include "checks.hpp"

using namespace tweedie;

namespace {

std::vector<double> linear_betas(int levels) {
    std::vector<double> betas;
    for (int i = 0; i < levels; ++i) { betas.push_back(1e-4 + (0.02 - 1e-4) * i / (levels - 1)); }
    return betas;
}

// A table that ends in pure noise.
schedule::discrete zero_terminal_snr() {
    std::vector<double> betas = linear_betas(100);
    betas.back() = 1.0;
    return schedule::discrete::from_betas(betas);
}

}  // namespace

TEST_CASE("at whole times the table comes back to the bit", "[schedule][discrete][exact]") {
    std::vector<double> alphas_bar;
    for (int i = 0; i < 500; ++i) { alphas_bar.push_back(std::exp(-1e-5 * (i + 1) * (i + 1))); }
    const auto table = schedule::discrete::from_alphas_bar(alphas_bar);
    CHECK(table.levels() == 500);
    CHECK(table.range() == time_range{499.0, 0.0});
    for (std::size_t i = 0; i < alphas_bar.size(); ++i) {
        const auto t = static_cast<double>(i);
        REQUIRE(table.alpha(t) == std::sqrt(alphas_bar[i]));
        REQUIRE(table.sigma(t) == std::sqrt(1.0 - alphas_bar[i]));
        REQUIRE(table.half_log_snr(t) == at(table, t).half_log_snr());
        REQUIRE(table.time_at(table.half_log_snr(t)) == t);
    }
    CHECK(at(table, -1.0) == level{-1.0, 1.0, 0.0});
}

TEST_CASE("the first levels do not suffer from cancellation", "[schedule][discrete][exact]") {
    const std::vector<double> betas = {1e-12, 2e-12, 0.5};
    const auto table = schedule::discrete::from_betas(betas);
    CHECK_THAT(table.sigma(0.0), WithinRel(1e-6, tol<double>::exact));
    CHECK_THAT(table.sigma(1.0) * table.sigma(1.0), WithinRel(3e-12 - 2e-24, tol<double>::exact));
    // the smallest beta of the cosine table, in long double; 1 - f / f in double is wrong in the 12th digit
    const long double unit = std::acos(-1.0L) / 2.0L / 1.008L;
    const long double p = std::cos(unit * 0.008L);
    const long double q = std::cos(unit * 0.009L);
    const auto beta = static_cast<double>((p - q) * (p + q) / (p * p));
    CHECK_THAT(schedule::discrete::cosine().sigma(0.0), WithinRel(std::sqrt(beta), tol<double>::exact));
}

TEST_CASE("between the levels sigma / alpha is log-linear", "[schedule][discrete][exact]") {
    const auto table = schedule::discrete::scaled_linear();
    for (const double i : {0.0, 1.0, 500.0, 998.0}) {
        for (const double part : {0.25, 0.5, 0.75}) {
            const double expected = (1.0 - part) * table.half_log_snr(i) + part * table.half_log_snr(i + 1.0);
            const double t = i + part;
            CHECK_THAT(table.half_log_snr(t), WithinAbs(expected, tol<double>::exact));
            CHECK_THAT(table.alpha(t) / table.sigma(t), WithinRel(std::exp(expected), tol<double>::exact));
            CHECK_THAT(table.alpha(t) * table.alpha(t) + table.sigma(t) * table.sigma(t),
                       WithinRel(1.0, tol<double>::exact));
        }
    }
}

TEST_CASE("below index 0 sigma^2 is linear down to the clean level", "[schedule][discrete][exact]") {
    const auto table = schedule::discrete::linear();
    const double noise = table.sigma(0.0) * table.sigma(0.0);
    for (const double t : {-1.0 + 1e-12, -0.75, -0.5, -1e-9}) {
        CHECK_THAT(table.sigma(t), WithinRel(std::sqrt(noise * (t + 1.0)), tol<double>::exact));
        CHECK_THAT(table.alpha(t) * table.alpha(t) + table.sigma(t) * table.sigma(t),
                   WithinRel(1.0, tol<double>::exact));
    }
    check_clean_end(table, -1.0);
    CHECK(table.half_log_snr(-1.0 + 1e-15) > 20.0);
}

TEST_CASE("discrete is consistent on all its times", "[schedule][discrete][identity]") {
    for (const auto& table :
         {schedule::discrete::linear(), schedule::discrete::scaled_linear(), schedule::discrete::cosine(),
          schedule::discrete::linear(10), zero_terminal_snr()}) {
        const double last = table.levels() - 1;
        const double end = table.half_log_snr(last) == -infinity ? last - 1e-6 : last;
        check_consistency(table, times_between(1e-3, end, 7919));
        check_consistency(table, times_between(-1.0 + 1e-6, -1e-3, 500));
        CHECK(table.time_at(table.half_log_snr(last)) == last);
        CHECK(table.time_at(table.half_log_snr(0.0)) == 0.0);
    }
}

TEST_CASE("a level's own lambda is accepted however it was rounded", "[schedule][discrete][identity]") {
    const auto table = schedule::discrete::linear();
    for (int i = 0; i < table.levels(); ++i) {
        const double t = i;
        const double lambda = -std::log(table.sigma(t) / table.alpha(t));
        REQUIRE(std::abs(table.time_at(lambda) - t) < 1e-11);
    }
}

TEST_CASE("the rates of discrete are those of its interpolant", "[schedule][discrete][exact]") {
    for (const auto& table : {schedule::discrete::linear(), zero_terminal_snr()}) {
        const double last = table.levels() - 1;
        check_rates(table, {-0.5, 0.5, 1.5, last / 2.0, last - 1.5, last - 0.5}, 0.01);
        // at a level, the interval on its clean side
        for (const double t : {1.0, 7.0, last - 1.0}) {
            const double before = t - 1e-7;
            CHECK_THAT(table.alpha_rate(t), WithinRel(table.alpha_rate(before), 1e-5));
            CHECK_THAT(table.sigma_rate(t), WithinRel(table.sigma_rate(before), 1e-5));
        }
        CHECK_THAT(table.sigma_rate(0.0), WithinRel(table.sigma(0.0) / 2.0, tol<double>::exact));
        CHECK(table.sigma_rate(-1.0) == infinity);
        CHECK_THAT(table.alpha_rate(-1.0),
                   WithinRel(-0.5 * table.sigma(0.0) * table.sigma(0.0), tol<double>::exact));
    }
    CHECK(zero_terminal_snr().alpha_rate(99.0) == -infinity);
}

TEST_CASE("a table may end in pure noise", "[schedule][discrete][exact]") {
    const auto table = zero_terminal_snr();
    check_pure_noise_end(table, 99.0);
    const double signal = table.alpha(98.0) * table.alpha(98.0);
    CHECK_THAT(table.alpha(98.75), WithinRel(std::sqrt(0.25 * signal), tol<double>::exact));
    CHECK_THAT(table.sigma(98.75), WithinRel(std::sqrt(1.0 - 0.25 * signal), tol<double>::exact));
    // the shortest tables
    check_pure_noise_end(schedule::discrete::from_alphas_bar(std::vector<double>{0.0}), 0.0);
    CHECK_THAT(schedule::discrete::from_alphas_bar(std::vector<double>{0.0}).sigma(-0.75),
               WithinRel(0.5, tol<double>::exact));
    CHECK(schedule::discrete::from_alphas_bar(std::vector<double>{0.5, 0.0}).half_log_snr(0.0) == 0.0);
}

TEST_CASE("discrete refuses what it does not have", "[schedule][discrete][errors]") {
    const auto table = schedule::discrete::linear(10);
    check_domain(table, {-1.1, 9.001, infinity}, "schedule::discrete: t must lie in [-1, 9]");
    const char* below = "schedule::discrete: half_log_snr must be at least that of the last level";
    CHECK_THROWS_WITH(table.time_at(-20.0), below);
    CHECK_THROWS_WITH(table.time_at(-infinity), below);
}

TEST_CASE("discrete refuses tables that do not add noise", "[schedule][discrete][errors]") {
    using schedule::discrete;
    using values = std::vector<double>;
    const char* count = "schedule::discrete: the number of levels must lie in [1, 1000000]";
    CHECK_THROWS_WITH(discrete::linear(0), count);
    CHECK_THROWS_WITH(discrete::scaled_linear(-1), count);
    CHECK_THROWS_WITH(discrete::cosine(2000000), count);
    CHECK_THROWS_WITH(discrete::from_betas(values{}), count);
    CHECK_THROWS_WITH(discrete::from_alphas_bar(values{}), count);
    const char* betas = "schedule::discrete: betas must lie in (0, 1); the last may be 1";
    for (const double bad : {0.0, -0.1, 1.0, 1.1, not_a_number, infinity}) {
        CHECK_THROWS_WITH(discrete::from_betas(values{0.1, bad, 0.1}), betas);
    }
    CHECK_THROWS_WITH(discrete::from_betas(values{0.1, 1.1}), betas);
    CHECK_THROWS_WITH(discrete::linear(10, not_a_number), betas);
    CHECK_THROWS_WITH(discrete::scaled_linear(10, -0.1), betas);
    CHECK_THROWS_WITH(discrete::scaled_linear(10, 0.1, not_a_number), betas);
    const std::string most = "schedule::discrete: max_beta must lie in (0, 1)";
    for (const double bad : {not_a_number, 0.0, 1.0, -0.5}) {
        CHECK_THROWS_WITH(discrete::cosine(10, bad), most);
    }
    const char* products = "schedule::discrete: alphas_bar must lie in (0, 1); the last may be 0";
    for (const double bad : {1.0, 0.0, -0.1, not_a_number}) {
        CHECK_THROWS_WITH(discrete::from_alphas_bar(values{0.9, bad, 0.1}), products);
    }
    const char* order = "schedule::discrete: each level must be noisier than the one before it";
    CHECK_THROWS_WITH(discrete::from_alphas_bar(values{0.9, 0.9}), order);
    CHECK_THROWS_WITH(discrete::from_alphas_bar(values{0.8, 0.9}), order);
    CHECK_THROWS_WITH(discrete::from_betas(values{0.9, 1e-18}), order);
}
