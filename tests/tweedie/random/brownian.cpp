// SPDX-License-Identifier: MIT
#include <tweedie/model/denoiser.hpp>
#include <tweedie/random/brownian.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/dpmpp_sde.hpp>
#include <tweedie/solver/euler_ancestral.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <numbers>
#include <span>
#include <stdexcept>
#include <vector>

using namespace tweedie;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

// Statistics of independent normals lie within this many of their own standard deviations; the seeds are
// fixed.
constexpr double deviations = 4.5;

template <class Scalar = double, class Stream>
std::vector<Scalar> drawn(const Stream& stream, std::size_t size, std::size_t item = 0) {
    std::vector<Scalar> out(size);
    stream(item, 0, std::span<Scalar>(out));
    return out;
}

/// Covariance of two sums of the path's normals, exactly: those of the same counter are the same.
double covariance(const std::vector<detail::weighted_normal>& a,
                  const std::vector<detail::weighted_normal>& b) {
    double sum = 0.0;
    for (const auto& x : a) {
        for (const auto& y : b) {
            if (x.key == y.key && x.word == y.word) { sum += x.weight * y.weight; }
        }
    }
    return sum;
}

std::vector<detail::weighted_normal> increment(double from, double to) {
    detail::brownian_tree tree(1);
    tree.add(to, 1.0);
    tree.add(from, -1.0);
    return tree.sum(1.0);
}

/// Numbers in (0, 1), the same everywhere.
std::vector<double> uniforms(std::size_t n, std::uint32_t draw) {
    std::vector<std::uint32_t> words(n);
    fill_philox4x32({0, draw, 0, 0}, {17, 4}, words);
    std::vector<double> out;
    for (const std::uint32_t word : words) { out.push_back((word + 0.5) * 0x1p-32); }
    return out;
}

double root_mean_square(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) { sum += (a[i] - b[i]) * (a[i] - b[i]); }
    return std::sqrt(sum / static_cast<double>(a.size()));
}

double mean_absolute(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) { sum += std::abs(a[i] - b[i]); }
    return sum / static_cast<double>(a.size());
}

/// Slope of -ln error over ln steps.
double order(const std::vector<double>& steps, const std::vector<double>& errors) {
    double mx = 0.0, my = 0.0, xy = 0.0, xx = 0.0;
    const auto n = static_cast<double>(steps.size());
    for (std::size_t i = 0; i < steps.size(); ++i) {
        mx += std::log(steps[i]) / n;
        my += std::log(errors[i]) / n;
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
        xy += (std::log(steps[i]) - mx) * (std::log(errors[i]) - my);
        xx += (std::log(steps[i]) - mx) * (std::log(steps[i]) - mx);
    }
    return -xy / xx;
}

}  // namespace

static_assert(noise_stream<brownian_stream, float> && noise_stream<brownian_stream, double>);
static_assert(noise_source<brownian_noise, float> && noise_source<brownian_noise, double>);

TEST_CASE("The path has the covariance of Brownian motion at all times, exactly",
          "[random][brownian][exact]") {
    // every increment is a sum of independent normals, so its law is that of their weights: Cov(W(s), W(t)) =
    // min(s, t)
    const std::vector<double> u = uniforms(400, 0);
    for (std::size_t i = 0; i + 1 < u.size(); i += 2) {
        const double s = std::exp(40.0 * (u[i] - 0.6));
        const double t = i % 4 == 0 ? std::exp(40.0 * (u[i + 1] - 0.6)) : s * (1.0 + 1e-3 * u[i + 1]);
        INFO("s = " << s << ", t = " << t);
        CHECK_THAT(covariance(increment(0.0, s), increment(0.0, t)), WithinRel(std::min(s, t), 1e-13));
        CHECK_THAT(covariance(increment(s, t), increment(s, t)),
                   WithinRel(std::abs(t - s), 1e-12 + 1e-15 * t / std::abs(t - s)));
        CHECK_THAT(covariance(increment(0.0, std::min(s, t)), increment(s, t)),
                   WithinAbs(0.0, 1e-13 * std::max(s, t)));
    }
    CHECK_THAT(covariance(increment(0.0, 0x1p-40), increment(0.0, 3.0)), WithinRel(0x1p-40, 1e-13));
    CHECK_THAT(covariance(increment(1.0, 1e300), increment(1.0, 1e300)), WithinRel(1e300, 1e-13));
    CHECK(increment(0.7, 0.7).empty());
}

TEST_CASE("Increments of parts add up to that of the whole, however the whole is cut",
          "[random][brownian][identity]") {
    const brownian_path path{.seed = 5, .sample = 2};
    const std::size_t n = 64;
    for (const double scale : {1.0, 1e-6, 3e5}) {
        std::vector<double> times = uniforms(30, 1);
        times.push_back(0.5);
        for (double& t : times) { t *= scale; }
        std::sort(times.begin(), times.end());
        const std::vector<double> whole = drawn(path.increment(times.front(), times.back()), n);
        std::vector<double> sum(n, 0.0);
        for (std::size_t k = 0; k + 1 < times.size(); ++k) {
            const std::vector<double> part = drawn(path.increment(times[k], times[k + 1]), n);
            for (std::size_t i = 0; i < n; ++i) { sum[i] += part[i]; }
        }
        for (std::size_t i = 0; i < n; ++i) {
            CHECK_THAT(sum[i], WithinAbs(whole[i], 1e-12 * std::sqrt(scale)));
        }
        const std::vector<double> back = drawn(path.increment(times.back(), times.front()), n);
        for (std::size_t i = 0; i < n; ++i) { CHECK(back[i] == -whole[i]); }
    }
}

TEST_CASE("Increments have the law of Brownian motion: mean, variance, independence, Kolmogorov-Smirnov",
          "[random][brownian][statistics]") {
    const std::size_t n = 100'000;
    const double root = std::sqrt(static_cast<double>(n));
    const brownian_path path{.seed = 11};
    const double times[] = {0.0, 0.3, 0.37, 1.0, 1.25, 90.0};
    std::vector<std::vector<double>> z;
    for (std::size_t k = 0; k + 1 < std::size(times); ++k) {
        z.push_back(drawn(
            path.scaled_increment(times[k], times[k + 1], 1.0 / std::sqrt(times[k + 1] - times[k])), n));
    }
    for (std::size_t k = 0; k < z.size(); ++k) {
        double mean = 0.0, square = 0.0;
        for (const double value : z[k]) {
            mean += value / static_cast<double>(n);
            square += value * value / static_cast<double>(n);
        }
        CHECK_THAT(mean, WithinAbs(0.0, deviations / root));
        CHECK_THAT(square, WithinAbs(1.0, deviations * std::numbers::sqrt2 / root));
        for (std::size_t j = 0; j < k; ++j) {
            double product = 0.0, squares = 0.0;
            for (std::size_t i = 0; i < n; ++i) {
                product += z[k][i] * z[j][i] / static_cast<double>(n);
                squares +=
                    (z[k][i] * z[k][i] - 1.0) * (z[j][i] * z[j][i] - 1.0) / 2.0 / static_cast<double>(n);
            }
            CHECK_THAT(product, WithinAbs(0.0, deviations / root));
            CHECK_THAT(squares, WithinAbs(0.0, deviations / root));
        }
        std::vector<double> sorted = z[k];
        std::sort(sorted.begin(), sorted.end());
        double distance = 0.0;
        for (std::size_t i = 0; i < n; ++i) {
            const double law = std::erfc(-sorted[i] / std::numbers::sqrt2) / 2.0;
            distance = std::max({distance, law - static_cast<double>(i) / static_cast<double>(n),
                                 static_cast<double>(i + 1) / static_cast<double>(n) - law});
        }
        CHECK(distance * root < 1.9495);  // level 0.1 %
    }
    // neighbouring elements, samples and seeds do not know of each other
    const std::vector<double> other = drawn(brownian_path{.seed = 12}.increment(0.0, 1.0), n);
    const std::vector<double> here = drawn(path.increment(0.0, 1.0), n);
    const std::vector<double> next = drawn(path.increment(0.0, 1.0), n, 1);
    double seeds = 0.0, samples = 0.0, neighbours = 0.0;
    for (std::size_t i = 0; i + 1 < n; ++i) {
        seeds += here[i] * other[i] / static_cast<double>(n);
        samples += here[i] * next[i] / static_cast<double>(n);
        neighbours += here[i] * here[i + 1] / static_cast<double>(n);
    }
    for (const double c : {seeds, samples, neighbours}) { CHECK_THAT(c, WithinAbs(0.0, deviations / root)); }
}

TEST_CASE("A path does not depend on how it is asked for", "[random][brownian][exact]") {
    const brownian_stream stream = brownian_path{.seed = 3, .sample = 5}.increment(0.2, 0.9);
    const std::vector<float> whole = drawn<float>(stream, 3000, 1);
    for (const std::size_t first : {0u, 4u, 508u, 512u, 1000u, 2044u}) {
        for (const std::size_t size : {1u, 3u, 100u, 800u}) {
            std::vector<float> part(size);
            stream(1, first, std::span(part));
            REQUIRE(std::equal(part.begin(), part.end(), whole.begin() + static_cast<std::ptrdiff_t>(first)));
        }
    }
    CHECK(drawn<float>(brownian_path{.seed = 3, .sample = 6}.increment(0.2, 0.9), 3000) == whole);
    const std::vector<double> same = drawn<double>(stream, 3000, 1);
    for (std::size_t i = 0; i < whole.size(); ++i) {
        REQUIRE_THAT(static_cast<double>(whole[i]), WithinAbs(same[i], 2e-6));
    }
}

TEST_CASE("A path has the same bits on every machine, with every compiler and flag",
          "[random][brownian][reference]") {
    const auto checksum = [](const auto& numbers) {  // FNV-1a by bytes
        std::uint64_t hash = 0xcbf29ce484222325;
        std::vector<unsigned char> bytes(numbers.size() * sizeof(numbers[0]));
        std::memcpy(bytes.data(), numbers.data(), bytes.size());
        for (const unsigned char byte : bytes) { hash = (hash ^ byte) * 0x100000001b3; }
        return hash;
    };
    const brownian_stream stream = brownian_path{.seed = 7, .sample = 9}.increment(0.3, 7.7);
    CHECK(checksum(drawn<float>(stream, 10'003)) == 0xa675bfa037401586);
    CHECK(checksum(drawn<double>(stream, 10'003)) == 0x6ad59184ce56fef1);
}

TEST_CASE("Euler-Maruyama and Milstein meet their strong orders on one path of many grids",
          "[random][brownian][order]") {
    // dX = a X dt + b X dW, X(1) = exp(a - b^2 / 2 + b W(1))
    const double a = 0.5;
    const double b = 1.0;
    const std::size_t n = 4000;
    const brownian_path path{.seed = 21};
    std::vector<double> exact = drawn(path.increment(0.0, 1.0), n);
    for (double& x : exact) { x = std::exp(a - b * b / 2.0 + b * x); }
    std::vector<double> steps, euler, milstein;
    for (const int count : {16, 24, 48, 100, 192}) {  // no grid contains all others
        std::vector<double> x(n, 1.0);
        std::vector<double> y(n, 1.0);
        const double h = 1.0 / count;
        for (int k = 0; k < count; ++k) {
            const std::vector<double> w = drawn(path.increment(k * h, k + 1 == count ? 1.0 : (k + 1) * h), n);
            for (std::size_t i = 0; i < n; ++i) {
                x[i] += x[i] * (a * h + b * w[i]);
                y[i] += y[i] * (a * h + b * w[i] + b * b / 2.0 * (w[i] * w[i] - h));
            }
        }
        steps.push_back(count);
        euler.push_back(root_mean_square(x, exact));
        milstein.push_back(root_mean_square(y, exact));
    }
    CHECK_THAT(order(steps, euler), WithinAbs(0.5, 0.1));
    CHECK_THAT(order(steps, milstein), WithinAbs(1.0, 0.1));
}

namespace {

/// Two points of data at -1 and 1: x0_hat = tanh(alpha x / sigma^2).
struct two_points {
    std::vector<double> operator()(const std::vector<double>& x, const network_level& at) const {
        std::vector<double> out(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) {
            out[i] = std::tanh(at.alpha * x[i] / (at.sigma * at.sigma));
        }
        return out;
    }
};

/// States of a stochastic solver after `n` steps from sigma / alpha = 10 to 0.5, one path for all n.
template <class Solver, class Source>
std::vector<double> run(const Solver& solver, const any_schedule& schedule, int n,
                        const Source& make_source) {
    std::vector<level> levels;
    for (int i = 0; i <= n; ++i) {
        const double lambda = std::log(0.1) + (std::log(2.0) - std::log(0.1)) * i / n;
        levels.push_back(at_half_log_snr(schedule, lambda));
    }
    const auto source = make_source(levels);
    std::vector<double> x(1500);
    start_from_noise(x, levels.front(), source);
    const denoiser model(two_points{}, prediction::x0, schedule);
    REQUIRE(sample(solver.plan(schedule, levels), model, x, source).status == run_status::finished);
    return x;
}

template <class Solver, class Source>
double strong_order(const Solver& solver, const any_schedule& schedule, const Source& make_source,
                    const std::vector<int>& grids = {16, 24, 36, 54, 80}) {
    const std::vector<double> reference = run(solver, schedule, 16 * grids.back(), make_source);
    std::vector<double> steps, errors;
    for (const int n : grids) {
        steps.push_back(n);
        // not the mean square, which a few samples between the two points rule
        errors.push_back(mean_absolute(run(solver, schedule, n, make_source), reference));
    }
    return order(steps, errors);
}

}  // namespace

TEST_CASE("SDE solvers converge to one sample as the steps grow, with strong order 1",
          "[random][brownian][order]") {
    const auto one_path = [](const std::vector<level>& levels) {
        return brownian_noise({.seed = 8, .bits = 20}, data_clock(levels));
    };
    for (const any_schedule& schedule :
         {any_schedule(schedule::edm{}), any_schedule(schedule::vp_linear{})}) {
        CHECK_THAT(strong_order(solver::euler_ancestral{}, schedule, one_path), WithinAbs(1.0, 0.1));
        CHECK_THAT(strong_order(solver::sde_dpm_solver{.order = 1}, schedule, one_path), WithinAbs(1.0, 0.1));
    }
    // a solver with a stage draws up to it, then to the end; its order shows later (0.89 on the grids above)
    const auto with_stage = [](const std::vector<level>& levels) {
        return brownian_noise({.seed = 8, .bits = 20}, with_stages(data_clock(levels)));
    };
    CHECK_THAT(strong_order(solver::dpmpp_sde{}, schedule::edm{}, with_stage, {60, 90, 120}),
               WithinAbs(1.0, 0.1));
    // with a fresh draw for each step there is no sample to converge to
    const auto fresh = [](const std::vector<level>&) { return noise{.seed = 8}; };
    CHECK(std::abs(strong_order(solver::euler_ancestral{}, schedule::edm{}, fresh)) < 0.2);
}

TEST_CASE("brownian_noise draws the increments of its path, and noise elsewhere",
          "[random][brownian][noise]") {
    const std::vector<double> times = {0.25, 0.5, 2.0, infinity};
    const brownian_noise source({.seed = 4, .sample = 1, .bits = 53}, times);
    const brownian_path path{.seed = 4, .sample = 1};
    CHECK(drawn(source.stream(draw_kind::step, 1), 100) ==
          drawn(path.scaled_increment(0.5, 2.0, 1.0 / std::sqrt(1.5)), 100));
    CHECK(drawn(source.stream(draw_kind::initial, 0), 100) ==
          drawn(noise{.seed = 4, .sample = 1}.stream(draw_kind::initial, 0), 100));
    CHECK(drawn<float>(source.stream(draw_kind::user, 3), 100) ==
          drawn<float>(noise{.seed = 4, .sample = 1}.stream(draw_kind::user, 3), 100));
    const brownian_noise down({.seed = 4, .sample = 1}, {2.0, 0.5});
    const std::vector<double> up = drawn(source.stream(draw_kind::step, 1), 100);
    const std::vector<double> z = drawn(down.stream(draw_kind::step, 0), 100);
    for (std::size_t i = 0; i < z.size(); ++i) { CHECK_THAT(z[i], WithinAbs(-up[i], 1e-13)); }

    SECTION("its clocks are the squares of the signal-to-noise ratio and its inverse") {
        const std::vector<level> levels = {at(schedule::edm{}, 4.0), at(schedule::edm{}, 2.0)};
        CHECK(data_clock(levels) == std::vector<double>{0.0625, 0.25});
        CHECK(noise_clock(levels) == std::vector<double>{16.0, 4.0});
        CHECK_THAT(data_clock(levels, std::sqrt(0.5))[0], WithinRel(0.25, 1e-15));
    }
    SECTION("a stage lies between the ends of its step, and none where a step has only one end") {
        const std::vector<double> ends = {0.0, 1.0, 16.0, infinity};
        CHECK(with_stages(ends) == std::vector<double>{0.0, 1.0, 4.0, 16.0, infinity});
        CHECK_THAT(with_stages(ends, 0.25)[2], WithinRel(2.0, 1e-15));
    }
    SECTION("bits are the price of a draw") {
        const std::vector<double> odd = {0.3, 0.7};
        CHECK(brownian_noise({.bits = 12}, odd).stream(draw_kind::step, 0).nodes() <= 26);
        CHECK(brownian_noise({.bits = 53}, odd).stream(draw_kind::step, 0).nodes() > 80);
    }
}

TEST_CASE("brownian rejects what it cannot do", "[random][brownian][errors]") {
    const brownian_path path{};
    for (const double t : {-1.0, infinity, not_a_number, 0x1p1023}) {
        CHECK_THROWS_AS(path.increment(0.0, t), std::invalid_argument);
        CHECK_THROWS_AS(path.increment(t, 1.0), std::invalid_argument);
    }
    for (const double r : {0.0, 1.0, not_a_number}) {
        CHECK_THROWS_AS(with_stages(std::vector<double>{1.0, 2.0}, r), std::invalid_argument);
    }
    CHECK_THROWS_AS(brownian_noise({.bits = 7}, {1.0, 2.0}), std::invalid_argument);
    CHECK_THROWS_AS(brownian_noise({.bits = 54}, {1.0, 2.0}), std::invalid_argument);
    const brownian_noise source({}, {1.0, 1.0, infinity, -2.0, 3.0, not_a_number});
    for (std::uint32_t draw = 0; draw < 7; ++draw) {
        CHECK_THROWS_AS(source.stream(draw_kind::step, draw), std::invalid_argument);
    }
    double out[4];
    CHECK_THROWS_AS(path.increment(0.0, 1.0)(0, 2, std::span<double>(out)), std::invalid_argument);
}
