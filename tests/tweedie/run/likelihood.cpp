// SPDX-License-Identifier: MIT
#include <tweedie/run/likelihood.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <numbers>
#include <string>
#include <vector>

#include "../solver/loop_checks.hpp"

using namespace tweedie;
using vec = std::vector<double>;

namespace {

/// Gaussian data with a covariance that is not diagonal: variances 1.5 and 0.1 along (0.6, 0.8) and (-0.8,
/// 0.6), and a third element of variance 0.4.
struct tilted {
    static constexpr double mean[3] = {0.5, 0.5, 0.5};
    static constexpr double variance[3] = {1.5, 0.1, 0.4};
    static constexpr double axes[3][3] = {{0.6, 0.8, 0.0}, {-0.8, 0.6, 0.0}, {0.0, 0.0, 1.0}};

    /// Multiplies by f(variance) along each axis.
    template <class Function>
    static void along_axes(const double* x, double* out, const Function& f) {
        for (int i = 0; i < 3; ++i) { out[i] = 0.0; }
        for (int k = 0; k < 3; ++k) {
            double c = 0.0;
            for (int i = 0; i < 3; ++i) { c += axes[k][i] * x[i]; }
            for (int i = 0; i < 3; ++i) { out[i] += f(variance[k]) * c * axes[k][i]; }
        }
    }

    rows_tensor operator()(const rows_tensor& x, const network_level& at) const {
        rows_tensor out = x;
        for (std::size_t b = 0; b < x.rows; ++b) {
            double centred[3];
            for (std::size_t i = 0; i < 3; ++i) { centred[i] = x.elements[3 * b + i] - at.alpha * mean[i]; }
            along_axes(centred, out.elements.data() + 3 * b, [&](double v) {
                return at.alpha * v / (at.alpha * at.alpha * v + at.sigma * at.sigma);
            });
            for (std::size_t i = 0; i < 3; ++i) { out.elements[3 * b + i] += mean[i]; }
        }
        return out;
    }

    /// The derivative of the above.
    static void jvp(const rows_tensor& x, const network_level& at, const rows_tensor& direction,
                    rows_tensor& out) {
        for (std::size_t b = 0; b < x.rows; ++b) {
            along_axes(direction.elements.data() + 3 * b, out.elements.data() + 3 * b, [&](double v) {
                return at.alpha * v / (at.alpha * at.alpha * v + at.sigma * at.sigma);
            });
        }
    }

    static double log_density(const double* x, const level& at) {
        double centred[3];
        double inverse[3];
        for (std::size_t i = 0; i < 3; ++i) { centred[i] = x[i] - at.alpha * mean[i]; }
        const auto total = [&](double v) { return at.alpha * at.alpha * v + at.sigma * at.sigma; };
        along_axes(centred, inverse, [&](double v) { return 1.0 / total(v); });
        double sum = 0.0;
        for (std::size_t i = 0; i < 3; ++i) {
            sum += centred[i] * inverse[i] + std::log(2.0 * std::numbers::pi * total(variance[i]));
        }
        return -0.5 * sum;
    }
};

/// Levels equally far apart in angle, from pure noise or sigma / alpha = 5000.
levels_t angles(const any_schedule& schedule, int steps) {
    levels_t out = ends_of(schedule, 5000.0, 0.05);
    if (schedule.alpha(schedule.range().noisy) == 0.0) { out.front() = at(schedule, schedule.range().noisy); }
    const double a = std::atan2(out[0].sigma, out[0].alpha);
    const double b = std::atan2(out[1].sigma, out[1].alpha);
    levels_t levels = {out[0]};
    for (int i = 1; i < steps; ++i) {
        levels.push_back(at_half_log_snr(schedule, -std::log(std::tan(a + (b - a) * i / steps))));
    }
    levels.push_back(out[1]);
    return levels;
}

/// A VP schedule that goes as far towards pure noise as one asks.
any_schedule trig_schedule() { return schedule::trig{}; }

}  // namespace

TEST_CASE("the likelihood of Gaussian data is the exact one on every schedule", "[run][likelihood][exact]") {
    const rows_tensor x{{0.3, 0.9, -0.4, 0.6, 0.4, 1.5}, 2};
    for (const any_schedule& schedule : {trig_schedule(), any_schedule(schedule::edm{{.sigma_max = 6000.0}}),
                                         any_schedule(schedule::flow{})}) {
        for (const prediction_type& is : {prediction::x0, prediction::v}) {
            const auto net = [&](const rows_tensor& input, const network_level& at) {
                rows_tensor out = tilted()(input, at);
                const read_weights w = convert(is, prediction::x0, at, schedule);
                for (std::size_t i = 0; i < 6; ++i) {
                    out.elements[i] = (out.elements[i] - w.x * input.elements[i]) / w.output;
                }
                return out;
            };
            const denoiser model(net, is, schedule);
            const levels_t levels = angles(schedule, 40);
            const likelihood_result result =
                log_likelihood(levels, model, x, noise{},
                               {.trace = divergence::exact, .data_mean = 0.5, .data_variance = 0.6});
            REQUIRE(result.status == run_status::finished);
            CHECK(result.network_calls == 40 * 4 * (1 + 2 * 3));
            CHECK(result.derivatives == 40 * 4 * 3);
            for (std::size_t b = 0; b < 2; ++b) {
                const double exact = tilted::log_density(x.elements.data() + 3 * b, levels.back());
                // order 4 at 40 steps, measured 2e-7; the noisy end's law is off by (alpha / sigma)^2 = 4e-8
                CHECK(std::abs(result.log_density[b] - exact) < 1e-6);
            }
        }
    }
}

TEST_CASE("the likelihood converges with order 4", "[run][likelihood][order]") {
    const any_schedule flow = schedule::flow{};
    const rows_tensor x{{0.3, 0.9, -0.4}, 1};
    const denoiser model(tilted(), prediction::x0, flow);
    const auto error = [&](int steps) {
        const levels_t levels = angles(flow, steps);
        const likelihood_result result =
            log_likelihood(levels, model, x, noise{}, {.trace = divergence::exact}, &tilted::jvp);
        return std::abs(result.log_density[0] - tilted::log_density(x.elements.data(), levels.back()));
    };
    CHECK(std::abs(std::log2(error(120) / error(240)) - 4.0) < 0.1);
}

TEST_CASE("Hutchinson's estimates are right on average, and exact where the Jacobian is diagonal",
          "[run][likelihood][statistics]") {
    const any_schedule flow = schedule::flow{};
    const levels_t levels = angles(flow, 20);
    const rows_tensor x{{0.3, 0.9, -0.4}, 1};
    const denoiser model(tilted(), prediction::x0, flow);
    const double exact =
        log_likelihood(levels, model, x, noise{}, {.trace = divergence::exact}, &tilted::jvp).log_density[0];
    for (const divergence trace : {divergence::rademacher, divergence::gaussian}) {
        constexpr int runs = 400;
        double sum = 0.0;
        double squares = 0.0;
        for (std::uint64_t i = 0; i < runs; ++i) {
            const double e =
                log_likelihood(levels, model, x, noise{.seed = i}, {.trace = trace}, &tilted::jvp)
                    .log_density[0] -
                exact;
            sum += e;
            squares += e * e;
        }
        const double deviation = std::sqrt(squares / runs);
        CHECK(deviation > 0.01);
        CHECK(std::abs(sum / runs) < 4.0 * deviation / std::sqrt(double(runs)));
        // probes are averaged
        const double many =
            log_likelihood(levels, model, x, noise{}, {.trace = trace, .probes = 400}, &tilted::jvp)
                .log_density[0];
        CHECK(std::abs(many - exact) < 5.0 * deviation / std::sqrt(400.0));
    }
    const gaussian_law law;
    const denoiser diagonal(elementwise([&](double v, const level& at) { return law.x0(v, at); }),
                            prediction::x0, flow);
    const double by_signs = log_likelihood(levels, diagonal, x).log_density[0];
    const double by_elements =
        log_likelihood(levels, diagonal, x, noise{}, {.trace = divergence::exact}).log_density[0];
    CHECK(std::abs(by_signs - by_elements) < 1e-8);  // both by differences
}

TEST_CASE("a sample's likelihood is its own, in float too", "[run][likelihood][identity]") {
    const any_schedule flow = schedule::flow{};
    const levels_t levels = angles(flow, 10);
    const denoiser model(tilted(), prediction::x0, flow);
    const rows_tensor both{{0.3, 0.9, -0.4, 0.6, 0.4, 1.5}, 2};
    const vec together = log_likelihood(levels, model, both, noise{.seed = 3}, {}, &tilted::jvp).log_density;
    for (std::size_t b = 0; b < 2; ++b) {
        const rows_tensor one{{both.elements.begin() + static_cast<long>(3 * b),
                               both.elements.begin() + static_cast<long>(3 * b + 3)},
                              1};
        CHECK(log_likelihood(levels, model, one, noise{.seed = 3, .sample = b}, {}, &tilted::jvp)
                  .log_density[0] == together[b]);
    }
    const gaussian_law law;
    const denoiser single(elementwise([&](double v, const level& at) { return law.x0(v, at); }),
                          prediction::x0, flow);
    const double precise = log_likelihood(levels, single, vec{0.2, -0.4}).log_density[0];
    const double coarse = log_likelihood(levels, single, std::vector<float>{0.2F, -0.4F}).log_density[0];
    CHECK(std::abs(coarse - precise) < 0.02);  // differences in single precision, 40 of them over sigma
}

TEST_CASE("the likelihood refuses what it cannot do and says where numbers end",
          "[run][likelihood][errors]") {
    const any_schedule flow = schedule::flow{};
    const levels_t levels = angles(flow, 4);
    const denoiser model([](const vec& x, const network_level&) { return x; }, prediction::x0, flow);
    const vec x(2);
    const auto message = [&](const likelihood_options& o) {
        return refusal([&] { (void)log_likelihood(levels, model, x, noise{}, o); });
    };
    CHECK(message({.probes = 0}) == "log_likelihood: probes must be positive");
    for (const double bad : {-1.0, infinity, not_a_number}) {
        CHECK(message({.step = bad}) == "log_likelihood: step must be finite and not negative");
        CHECK(message({.data_variance = bad}).starts_with("log_likelihood: data_mean and data_variance"));
    }
    levels_t clean = levels;
    clean.push_back({0.0, 1.0, 0.0});
    CHECK(refusal([&] { (void)log_likelihood(clean, model, x); }) ==
          "log_likelihood: the last level must have sigma > 0");
    CHECK(refusal([&] { (void)log_likelihood(levels_t{levels[0]}, model, x); }) ==
          "log_likelihood: need at least two levels");
    CHECK(refusal([&] { (void)log_likelihood(levels_t{levels[1], levels[0]}, model, x); }) ==
          "log_likelihood: half_log_snr must increase from level to level");
    CHECK(refusal([&] { (void)log_likelihood(levels, model, vec{}); }) == "log_likelihood: x is empty");
    const denoiser broken(
        [](const vec& y, const network_level& at) {
            return vec(y.size(), at.sigma > 0.5 ? not_a_number : 0.1);
        },
        prediction::x0, flow);
    CHECK(log_likelihood(levels, broken, x).status == run_status::non_finite);
    const denoiser longer([](const vec& y, const network_level&) { return vec(y.size() + 1); },
                          prediction::x0, flow);
    CHECK(refusal([&] { (void)log_likelihood(levels, longer, x); }) ==
          "network: the output must have the shape of x");
}
