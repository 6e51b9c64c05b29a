// SPDX-License-Identifier: MIT

// DDPM's posterior, with each of its variances.

#include <tweedie/random/noise.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/ddpm.hpp>

#include <cstdint>
#include <span>

#include "law_checks.hpp"

using namespace tweedie;
using namespace law;

namespace {

using kind = solver::ddpm::variance;

constexpr double same = 1e-13;  // the same numbers by another formula

/// The variance of x_t given x_s for data N(1, v), by completing the square.
double posterior_variance(const level& s, const level& t, double v) {
    const double a = s.alpha / t.alpha;
    const double prior = t.alpha * t.alpha * v + t.sigma * t.sigma;
    const double forward = s.sigma * s.sigma - a * a * t.sigma * t.sigma;
    return prior * forward / (a * a * prior + forward);
}

/// Noise whose draw i is multiplied by factor[i]: where a network returns a variance per element, this is
/// where it goes.
struct scaled_noise {
    std::vector<double> base;
    std::vector<double> factor;

    struct one_draw {
        double value;
        void operator()(std::size_t /*sample*/, std::size_t /*first*/, std::span<double> out) const {
            for (double& z : out) { z = value; }
        }
        void operator()(std::size_t /*sample*/, std::size_t /*first*/, std::span<float> out) const {
            for (float& z : out) { z = static_cast<float>(value); }
        }
    };

    [[nodiscard]] one_draw stream(draw_kind /*kind*/, std::uint32_t draw) const {
        return {base[draw] * factor[draw]};
    }
};

}  // namespace

TEST_CASE("ddpm with fixed_small is exact on point data, with fixed_large on N(1, 1), however few the steps",
          "[solver][ddpm][exact]") {
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 3, 10}) {
            INFO(s.name << ", " << steps << " steps");
            const levels_t levels = warm_levels(s.schedule, steps);
            CHECK(error(solver::ddpm{.variant = kind::fixed_small}.plan(s.schedule, levels), 0.0) < 1e-12);
            CHECK(error(solver::ddpm{.variant = kind::fixed_large}.plan(s.schedule, levels), 1.0) < 1e-12);
            CHECK(error(solver::ddpm{.variant = kind::fixed_large}.plan(s.schedule, levels), 0.3) > 1e-3);
        }
    }
}

TEST_CASE("ddpm with the data's own posterior variances is exact on Gaussian data", "[solver][ddpm][exact]") {
    for (const named_schedule& s : all_schedules()) {
        for (const double v : {0.0, 0.3, 1.0, 4.0}) {
            INFO(s.name << ", variance " << v);
            const levels_t levels = warm_levels(s.schedule, 4);
            std::vector<double> variances;
            for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
                variances.push_back(posterior_variance(levels[i], levels[i + 1], v));
            }
            CHECK(
                error(solver::ddpm{.variant = kind::learned, .variances = variances}.plan(s.schedule, levels),
                      v) < 1e-12);
        }
    }
}

TEST_CASE("the two fixed variances are beta and beta tilde of a DDPM table", "[solver][ddpm][exact]") {
    const schedule::discrete table = schedule::discrete::linear();
    for (const double t : {1.0, 10.0, 500.0, 999.0}) {
        const double beta = 1e-4 + (0.02 - 1e-4) * t / 999.0;
        const level from = at(table, t);
        const level to = at(table, t - 1.0);
        CHECK_THAT(solver::ddpm::large_variance(from, to),
                   WithinRel(beta, 1e-10));  // beta by a difference of alphas
        CHECK_THAT(solver::ddpm::small_variance(from, to),
                   WithinRel(beta * to.sigma * to.sigma / (from.sigma * from.sigma), 1e-10));
    }
}

TEST_CASE("fixed_small is ddim with eta = 1, its logarithm the same, and the range joins the two",
          "[solver][ddpm][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            INFO(s.name);
            const levels_t levels = grid::karras(s.schedule, 7, {.last = last});
            const plan small = solver::ddpm{}.plan(s.schedule, levels);
            check_same(small, solver::ddim{.eta = 1.0}.plan(s.schedule, levels), same);
            CHECK(solver::ddpm{.variant = kind::fixed_small_log}.plan(s.schedule, levels) == small);
            const plan large = solver::ddpm{.variant = kind::fixed_large}.plan(s.schedule, levels);
            CHECK(solver::ddpm{.variant = kind::fixed_large_log}.plan(s.schedule, levels) == large);
            const auto range = [&](double v) {
                return solver::ddpm{.variant = kind::learned_range, .fractions = std::vector<double>(7, v)}
                    .plan(s.schedule, levels);
            };
            check_same(range(0.0), small, same);
            check_same(range(1.0), large, same);
            CHECK(range(0.5).calls != small.calls);
        }
    }
}

TEST_CASE("a network's variance per element is a factor on the noise", "[solver][ddpm][identity]") {
    const schedule::vp_linear vp;
    const levels_t levels = warm_levels(vp, 3);
    const std::vector<double> v = {0.2, 0.9, 0.5};
    scaled_noise source{{0.3, -1.2, 0.8}, {}};
    for (std::size_t i = 0; i < 3; ++i) {
        const double ratio = solver::ddpm::small_variance(levels[i], levels[i + 1]) /
                             solver::ddpm::large_variance(levels[i], levels[i + 1]);
        source.factor.push_back(std::pow(ratio, (1.0 - v[i]) / 2.0));
    }
    const denoiser model([](double x, const network_level& l) { return two_humps(x, l); }, prediction::x0,
                         vp);
    double x = 1.3;
    const run_result done =
        sample(solver::ddpm{.variant = kind::fixed_large}.plan(vp, levels), model, x, source);
    CHECK(done.status == run_status::finished);
    const plan range = solver::ddpm{.variant = kind::learned_range, .fractions = v}.plan(vp, levels);
    CHECK_THAT(x, WithinRel(law::run(range, 1.3, two_humps, source.base), 1e-12));
}

TEST_CASE("the law of ddpm converges with order 1", "[solver][ddpm][order]") {
    for (const named_schedule& s : families()) {
        INFO(s.name);
        CHECK_THAT(order(solver::ddpm{}, s.schedule, 320), WithinAbs(1.0, 0.1));
        CHECK_THAT(order(solver::ddpm{.variant = kind::fixed_large}, s.schedule, 320), WithinAbs(1.0, 0.1));
    }
}

TEST_CASE("ddpm costs one call and one draw per step", "[solver][ddpm][cost]") {
    const schedule::vp_linear vp;
    for (const std::size_t n : {1U, 2U, 5U}) {
        const int steps = static_cast<int>(n);
        CHECK(counts(
                  solver::ddpm{}.plan(vp, grid::karras(vp, steps, {.last = grid::final_level::sigma_min}))) ==
              plan_counts{n, n, 1, 3 * n, n});
        CHECK(counts(solver::ddpm{.variant = kind::fixed_large}.plan(vp, grid::karras(vp, steps))).draws ==
              n - 1);
    }
    check_short_plans(solver::ddpm{});
    check_short_plans(solver::ddpm{.variant = kind::fixed_large});
}

TEST_CASE("ddpm refuses variances it cannot use", "[solver][ddpm][errors]") {
    const std::vector<double> nine(9, 0.1);
    const std::vector<double> ten(10, 0.1);
    CHECK(refused(solver::ddpm{.variant = kind::learned, .variances = nine})
              .empty());  // the last step is clean
    CHECK(refused(solver::ddpm{.variant = kind::learned, .variances = ten}).empty());
    CHECK(refused(solver::ddpm{.variant = kind::learned}) == "ddpm: variances must hold one number per step");
    CHECK(refused(solver::ddpm{.variant = kind::learned_range, .fractions = {0.5}}) ==
          "ddpm: fractions must hold one number per step");
    for (const double bad : {-0.1, not_a_number, infinity}) {
        std::vector<double> numbers = ten;
        numbers[3] = bad;
        CHECK(refused(solver::ddpm{.variant = kind::learned, .variances = numbers}) ==
              "ddpm: variances must be finite and not negative");
        if (bad < 0.0) { continue; }
        CHECK(refused(solver::ddpm{.variant = kind::learned_range, .fractions = numbers}) ==
              "ddpm: fractions must be finite");
    }
    CHECK(refused(solver::ddpm{.variant = static_cast<kind>(9)}) ==
          "ddpm: variant must be one of ddpm::variance");
}
