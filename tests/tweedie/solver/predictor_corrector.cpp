// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/solver/predictor_corrector.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "loop_checks.hpp"

using namespace tweedie;
using solver::predictor_corrector;
using predictor = solver::predictor_corrector::predictor;

namespace {

/// Variance at the end of a run on Gaussian data, relative to the exact one, from many samples; and the
/// mean's error in standard deviations.
struct moments {
    double mean = 0.0;
    double variance = 0.0;
};

moments run_law(const predictor_corrector& method, const any_schedule& schedule, const levels_t& levels) {
    const gaussian_law law;
    constexpr std::size_t samples = 10000;
    // the elements of one long sample: its norms are sharp, as those of a picture are
    std::vector<double> x(samples);
    const noise source{.seed = 21};
    source.stream(draw_kind::initial, 0)(0, 0, std::span<double>(x));
    for (double& v : x) { v = levels.front().alpha * law.mean + law.spread(levels.front()) * v; }
    const denoiser model(elementwise([&](double v, const level& at) { return law.x0(v, at); }),
                         prediction::x0, schedule);
    CHECK(sample(method.loop(schedule, levels), model, x, source));
    double sum = 0.0;
    double squares = 0.0;
    for (const double v : x) {
        const double y = (v - levels.back().alpha * law.mean) / law.spread(levels.back());
        sum += y;
        squares += y * y;
    }
    return {sum / samples, squares / samples};
}

}  // namespace

TEST_CASE("without corrector the ancestral predictor is ddim with eta = 1", "[solver][langevin][identity]") {
    for (const named_schedule& named : all_schedules()) {
        INFO(named.name);
        const levels_t levels = grid::karras(named.schedule, 7);
        const denoiser model(elementwise([](double v, const level& at) { return two_humps(v, at); }),
                             prediction::x0, named.schedule);
        for (const predictor_corrector& method :
             {predictor_corrector{.corrector_steps = 0}, predictor_corrector{.snr = 0.0}}) {
            double a = start_of(levels);
            double b = a;
            REQUIRE(
                sample(solver::ddim{.eta = 1.0}.plan(named.schedule, levels), model, a, noise{.seed = 5}));
            REQUIRE(sample(method.loop(named.schedule, levels), model, b, noise{.seed = 5}));
            CHECK(std::abs(a - b) < 1e-10);  // alphas of 1e-3 and less amplify roundings on the way
        }
    }
}

TEST_CASE("predictor and corrector keep the law as the levels get close", "[solver][langevin][statistics]") {
    // four standard errors of 10000 elements: 0.04 in the mean, 0.057 in the variance
    for (const any_schedule& schedule :
         {any_schedule(schedule::vp_linear{}), any_schedule(schedule::flow{})}) {
        const auto levels = [&](int n) { return interior_levels(schedule, n); };
        for (const predictor variant : {predictor::ancestral, predictor::reverse_diffusion}) {
            const moments coarse = run_law({.variant = variant, .corrector_steps = 0}, schedule, levels(20));
            const moments fine = run_law({.variant = variant, .corrector_steps = 0}, schedule, levels(120));
            CHECK(std::abs(fine.mean) < 0.04);
            CHECK(std::abs(fine.variance - 1.0) < 0.057 + 0.05);  // weak order 1: a sixth of the coarse error
            CHECK(std::abs(fine.variance - 1.0) < 0.4 * std::abs(coarse.variance - 1.0));
            // the corrector mends what few predictor steps break
            const moments corrected = run_law({.variant = variant, .snr = 0.16}, schedule, levels(20));
            CHECK(std::abs(corrected.variance - 1.0) < 0.7 * std::abs(coarse.variance - 1.0));
            CHECK(std::abs(run_law({.variant = variant, .snr = 0.16}, schedule, levels(120)).variance - 1.0) <
                  0.06);
        }
    }
}

TEST_CASE("a sample's Langevin steps are its own", "[solver][langevin][identity]") {
    const schedule::ve ve;
    const levels_t levels = interior_levels(ve, 12);
    const denoiser model(elementwise([](double v, const level& at) { return two_humps(v, at); }),
                         prediction::x0, ve);
    rows_tensor together{{9.0, -14.0, 1.0, 30.0, 0.5, -2.0}, 3};
    const rows_tensor begin = together;
    REQUIRE(sample(predictor_corrector{}.loop(ve, levels), model, together, noise{.seed = 8}));
    for (std::size_t b = 0; b < 3; ++b) {
        rows_tensor alone{{begin.elements[2 * b], begin.elements[2 * b + 1]}, 1};
        REQUIRE(sample(predictor_corrector{}.loop(ve, levels), model, alone, noise{.seed = 8, .sample = b}));
        CHECK(alone.elements[0] == together.elements[2 * b]);
        CHECK(alone.elements[1] == together.elements[2 * b + 1]);
    }
}

TEST_CASE("predictor-corrector counts, guards its division and refuses bad options",
          "[solver][langevin][cost][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 6);
    const denoiser model(elementwise([](double v, const level& at) { return two_humps(v, at); }),
                         prediction::x0, vp);
    for (const std::size_t m : {0U, 1U, 3U}) {
        double x = 1.0;
        const run_result result =
            sample(predictor_corrector{.corrector_steps = m}.loop(vp, levels), model, x, noise{.seed = 1});
        CHECK(result == run_result{run_status::finished, 6 * (1 + m), 6});
    }
    // a score of zero: x = alpha x0_hat at every call
    loop_stepper s(predictor_corrector{}.loop(vp, levels), convention(prediction::epsilon, vp), 1.0,
                   noise{.seed = 1});
    while (s.next()) { s.supply(0.0); }
    CHECK(s.result());
    for (const double bad : {-1.0, infinity, not_a_number}) {
        CHECK(refusal([&] { (void)predictor_corrector{.snr = bad}.loop(vp, levels); }) ==
              "predictor_corrector: snr must be finite and not negative");
    }
    const schedule::flow flow;
    CHECK(refusal([&] {
              (void)predictor_corrector{.variant = predictor::reverse_diffusion}.loop(flow,
                                                                                      grid::karras(flow, 5));
          }) == "predictor_corrector: reverse diffusion cannot start at pure noise (alpha = 0)");
}
