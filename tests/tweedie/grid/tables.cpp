// SPDX-License-Identifier: MIT
// Grids published as lists of numbers.
#include <tweedie/grid/align_your_steps.hpp>
#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/gits.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>

#include <support/reference.hpp>

#include "checks.hpp"

using namespace tweedie;
using grid::align_your_steps_for;
using grid::final_level;

namespace {

/// A recorded list against one of ours; where they end in the clean level, ours keeps its last noise level.
void check_sigmas(const char* name, align_your_steps_for network) {
    const auto recorded = reference("diffusers_extra.json")["ays"][name].get<std::vector<double>>();
    const auto sigmas = grid::align_your_steps_sigmas(network);
    REQUIRE(recorded.size() == sigmas.size());
    for (std::size_t i = 0; i + 1 < sigmas.size(); ++i) { CHECK(sigmas[i] == recorded[i]); }
    CHECK(recorded.back() == 0.0);
}

void check_times(const char* name, align_your_steps_for network) {
    const auto recorded = reference("diffusers_extra.json")["ays"][name].get<std::vector<double>>();
    const auto times = grid::align_your_steps_times(network);
    REQUIRE(recorded.size() + 1 == times.size());
    for (std::size_t i = 0; i < recorded.size(); ++i) { CHECK(times[i] == recorded[i]); }
    CHECK(times.back() == -1.0);
}

}  // namespace

TEST_CASE("the lists of Align Your Steps are those of diffusers", "[grid][align_your_steps][reference]") {
    check_sigmas("StableDiffusionSigmas", align_your_steps_for::stable_diffusion_1);
    check_sigmas("StableDiffusionXLSigmas", align_your_steps_for::stable_diffusion_xl);
    check_sigmas("StableDiffusionVideoSigmas", align_your_steps_for::stable_video_diffusion);
    check_times("StableDiffusionTimesteps", align_your_steps_for::stable_diffusion_1);
    check_times("StableDiffusionXLTimesteps", align_your_steps_for::stable_diffusion_xl);
}

TEST_CASE("the sigmas and the training indices of Align Your Steps are the same levels",
          "[grid][align_your_steps][exact]") {
    const auto table = schedule::discrete::scaled_linear();
    for (const auto network :
         {align_your_steps_for::stable_diffusion_1, align_your_steps_for::stable_diffusion_xl}) {
        const levels by_sigma = grid::align_your_steps(table, 10, network);
        const levels by_time = grid::from_times(table, grid::align_your_steps_times(network));
        REQUIRE(by_sigma.size() == by_time.size());
        for (std::size_t i = 0; i < by_sigma.size(); ++i) {
            CHECK_THAT(by_sigma[i].t, WithinAbs(by_time[i].t, 1.5));
        }
    }
}

TEST_CASE("at the number of steps of its list a tabulated grid is the list", "[grid][tabulated][exact]") {
    const schedule::edm edm;
    for (const auto network :
         {align_your_steps_for::stable_diffusion_1, align_your_steps_for::stable_diffusion_xl,
          align_your_steps_for::stable_video_diffusion, align_your_steps_for::deepfloyd_if}) {
        const auto sigmas = grid::align_your_steps_sigmas(network);
        const levels kept = grid::align_your_steps(edm, 10, network, {.last = final_level::sigma_min});
        levels zero = grid::align_your_steps(edm, 10, network);
        CHECK(is_grid_of(edm, zero, 10));
        for (std::size_t i = 0; i <= 10; ++i) {
            CHECK_THAT(kept[i].sigma, WithinRel(sigmas[i], tol<double>::exact));
            if (i < 10) { CHECK(zero[i] == kept[i]); }
        }
        CHECK(zero[10].sigma == 0.0);
    }
    const levels gits = grid::gits_cifar10(edm, 6, {.last = final_level::sigma_min});
    for (std::size_t i = 0; i <= 6; ++i) {
        CHECK_THAT(gits[i].sigma, WithinRel(grid::gits_cifar10_sigmas[i], tol<double>::exact));
    }
    CHECK(gits.front().t == 80.0);
}

TEST_CASE("at other numbers of steps a tabulated grid is log-linear in between", "[grid][tabulated][exact]") {
    const schedule::edm edm;
    const std::vector<double> list = {16.0, 4.0, 2.0, 0.125};
    const levels six = grid::tabulated(edm, 6, list, {.last = final_level::sigma_min});
    const double expected[] = {16.0, 8.0, 4.0, std::sqrt(8.0), 2.0, 0.5, 0.125};
    for (std::size_t i = 0; i <= 6; ++i) {
        CHECK_THAT(six[i].sigma, WithinRel(expected[i], tol<double>::exact));
    }
    const levels two = grid::tabulated(edm, 2, list);
    CHECK_THAT(two[1].sigma, WithinRel(std::sqrt(8.0), tol<double>::exact));
    CHECK(two[2].sigma == 0.0);
    int bad = 0;
    for (int steps = 1; steps <= 60; ++steps) {
        bad += is_grid_of(edm, grid::tabulated(edm, steps, list), steps) ? 0 : 1;
        bad += is_grid_of(edm, grid::gits_cifar10(edm, steps), steps) ? 0 : 1;
        const levels table = grid::align_your_steps(schedule::discrete::scaled_linear(), steps,
                                                    align_your_steps_for::stable_diffusion_xl);
        bad += table.front().t == 999.0 ? 0 : 1;  // 14.615 is the noisiest level, rounded
        const levels flow =
            grid::align_your_steps(schedule::flow{}, steps, align_your_steps_for::stable_diffusion_xl);
        bad += is_grid_of(schedule::flow{}, flow, steps) ? 0 : 1;
    }
    CHECK(bad == 0);
}

TEST_CASE("tabulated grids refuse what they cannot lay out", "[grid][tabulated][errors]") {
    const schedule::edm edm;
    using values = std::vector<double>;
    const char* rule = "grid::tabulated: sigmas must be at least two, positive, finite and strictly falling";
    for (const values& bad : {values{}, values{1.0}, values{1.0, 1.0}, values{1.0, 2.0}, values{1.0, 0.0},
                              values{infinity, 1.0}, values{1.0, not_a_number}, values{not_a_number, 1.0}}) {
        CHECK_THROWS_WITH(grid::tabulated(edm, 3, bad), rule);
    }
    CHECK_THROWS_WITH(grid::gits_cifar10(edm, 0), "grid::tabulated: steps must lie in [1, 1000000]");
    CHECK_THROWS_WITH(grid::tabulated(edm, 3, values{2.0, 1.0}, {.last = static_cast<final_level>(5)}),
                      "grid::tabulated: last must be final_level::zero or final_level::sigma_min");
    CHECK_THROWS_WITH(grid::align_your_steps_sigmas(static_cast<align_your_steps_for>(9)),
                      "grid::align_your_steps: no such network");
    CHECK_THROWS_WITH(grid::align_your_steps_times(align_your_steps_for::deepfloyd_if),
                      "grid::align_your_steps: training indices are published for SD 1.5 and SDXL only");
    // 700 is no rounding of 14.6
    CHECK_THROWS_AS(grid::align_your_steps(schedule::discrete::scaled_linear(), 10,
                                           align_your_steps_for::stable_video_diffusion),
                    std::invalid_argument);
}
