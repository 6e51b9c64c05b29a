// SPDX-License-Identifier: MIT
// The noise levels that published implementations list, made by our grids.
#include <tweedie/grid/beta.hpp>
#include <tweedie/grid/crash.hpp>
#include <tweedie/grid/discrete.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/linear_quadratic.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/polyexponential.hpp>
#include <tweedie/grid/shift.hpp>
#include <tweedie/grid/time_power.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/reference.hpp>

#include <string>

#include "checks.hpp"

using namespace tweedie;
using grid::final_level;
using grid::index_zero;
using numbers = std::vector<double>;

namespace {

numbers without_last(const levels& l) {
    numbers times = times_of(l);
    times.pop_back();
    return times;
}

}  // namespace

TEST_CASE("the timesteps of six classes of diffusers are our spacings", "[grid][recorded][reference]") {
    const auto table = schedule::discrete::linear();
    const auto file = reference("diffusers_schedules.json");
    int cases = 0;
    for (const auto& recorded : file["spacings"]) {
        auto expected = recorded["timesteps"].get<numbers>();
        const std::string spacing = recorded["spacing"];
        const std::string scheduler = recorded["scheduler"];
        const int n = recorded["n"];
        const bool late = scheduler.starts_with("DPMSolver") || scheduler.starts_with("UniPC");
        const index_zero zero = late ? index_zero::skipped : index_zero::visited;
        CAPTURE(scheduler, spacing, n);
        // PNDM calls the network twice at the second timestep
        if (scheduler == "PNDMScheduler" && n > 1) { expected.erase(expected.begin() + 1); }
        ++cases;
        if (spacing == "leading") {
            const int offset = recorded["steps_offset"];
            CHECK(without_last(grid::leading(table, n, {.offset = offset, .zero = zero})) == expected);
        } else if (spacing == "trailing") {
            CHECK(without_last(grid::trailing(table, n)) == expected);
        } else if (n == 1 && !late) {
            // one step: the peer starts at the clean end
            CHECK(expected == numbers{0.0});
            CHECK(without_last(grid::linspace(table, n)) == numbers{999.0});
        } else if (scheduler == "EulerDiscreteScheduler") {
            // between the training levels: the times of our uniform grid down to index 0
            const level last = at(table, 0.0);
            const levels l = grid::uniform(table, n, {.sigma_min = last.sigma / last.alpha});
            for (std::size_t i = 0; i < expected.size(); ++i) {
                CHECK_THAT(l[i].t, WithinAbs(expected[i], 1e-9));
            }
        } else {
            CHECK(without_last(grid::linspace(table, n, {.zero = zero})) == expected);
        }
    }
    CHECK(cases == 168);
}

TEST_CASE("the sigmas of diffusers are our grids over a table", "[grid][recorded][reference]") {
    const auto table = schedule::discrete::scaled_linear();
    const auto file = reference("diffusers_schedules.json");
    int cases = 0;
    for (const auto& recorded : file["sigmas"]) {
        const std::string kind = recorded["sigmas_kind"];
        const std::string scheduler = recorded["scheduler"];
        const bool euler = scheduler == "EulerDiscreteScheduler";
        const int n = recorded["n"];
        const auto sigmas = recorded["sigmas"].get<numbers>();
        const auto times = recorded["timesteps"].get<numbers>();
        CAPTURE(scheduler, kind, n);
        ++cases;
        if (kind == "default" && euler) {
            // sigma linear between the training levels, ours log-linear: equal at the levels, and close
            // between
            const level first = at(table, 0.0);
            const levels l = grid::uniform(table, n, {.sigma_min = first.sigma / first.alpha});
            for (std::size_t i = 0; i < times.size(); ++i) {
                const bool whole = std::abs(times[i] - std::nearbyint(times[i])) < 1e-9;
                CHECK_THAT(l[i].sigma / l[i].alpha,
                           WithinRel(sigmas[i], whole ? tol<double>::identity : 1e-4));
            }
            CHECK(sigmas.back() == 0.0);
            continue;
        }
        const levels l = kind == "use_karras_sigmas"        ? grid::karras(table, n)
                         : kind == "use_exponential_sigmas" ? grid::log_snr(table, n)
                         : kind == "use_beta_sigmas"
                             ? grid::beta(table, n, {.over = grid::beta_over::sigma})
                             : grid::linspace(table, n, {.zero = index_zero::skipped});
        CHECK(worst_ratio(l, sigmas) < tol<double>::identity);
        for (std::size_t i = 0; i < times.size(); ++i) {
            if (euler) {
                CHECK_THAT(l[i].t, WithinAbs(times[i], 1e-9));
            } else if (kind == "use_karras_sigmas") {
                CHECK(std::nearbyint(l[i].t) == times[i]);
            } else {
                // the peer truncates, a training index too low for most; 998.999... may be either
                CHECK(std::floor(l[i].t + 1e-9) == times[i]);
            }
        }
    }
    CHECK(cases == 36);
}

TEST_CASE("the sigmas of k-diffusion are our grids", "[grid][recorded][reference]") {
    const schedule::edm edm;
    const auto file = reference("official_k_diffusion.json");
    int cases = 0;
    for (const auto& recorded : file["sigmas"]) {
        const std::string name = recorded["fn"];
        const int n = recorded["n"];
        CAPTURE(name, n);
        ++cases;
        levels l;
        if (name == "get_sigmas_vp") {
            const double beta_min = recorded["beta_min"];
            const schedule::vp_linear vp({.beta_min = beta_min,
                                          .beta_max = beta_min + recorded["beta_d"].get<double>(),
                                          .clean = recorded["eps_s"]});
            const level last = at(vp, vp.range().clean);
            l = grid::onto(edm, grid::uniform(vp, n, {.sigma_min = last.sigma / last.alpha}));
        } else {
            const double high = recorded["sigma_max"];
            const double low = recorded["sigma_min"];
            l = name == "get_sigmas_karras"
                    ? grid::karras(edm, n, {.rho = recorded["rho"], .sigma_max = high, .sigma_min = low})
                : name == "get_sigmas_exponential"
                    ? grid::log_snr(edm, n, {.sigma_max = high, .sigma_min = low})
                    : grid::polyexponential(edm, n,
                                            {.rho = recorded["rho"], .sigma_max = high, .sigma_min = low});
        }
        // of get_sigmas_vp, whose exp(b) - 1 cancels at the clean end
        CHECK(worst_ratio(l, recorded["sigmas"].get<numbers>()) <
              (name == "get_sigmas_vp" ? 1e-11 : tol<double>::identity));
    }
    CHECK(cases == 20);
}

TEST_CASE("the three spacings of dpm_solver are our grids", "[grid][recorded][reference]") {
    const auto file = reference("official_dpm_solver.json");
    int cases = 0;
    for (const auto& recorded : file["cases"]) {
        const auto& kwargs = recorded["kwargs"];
        if (!kwargs.contains("skip_type") || kwargs["method"] != "multistep") { continue; }
        const std::string skip = kwargs["skip_type"];
        const std::string name = recorded["schedule"];
        const int n = kwargs["steps"];
        CAPTURE(skip, name);
        const any_schedule schedule = name == "vp_continuous" ? any_schedule(schedule::vp_linear{})
                                      : name == "linear"      ? any_schedule(schedule::discrete::linear())
                                      : name == "scaled_linear"
                                          ? any_schedule(schedule::discrete::scaled_linear())
                                          : any_schedule(schedule::discrete::cosine().cut_below(-5.1));
        const levels l = skip == "logSNR" ? grid::log_snr(schedule, n, {.last = final_level::sigma_min})
                         : skip == "time_uniform"
                             ? grid::uniform(schedule, n, {.last = final_level::sigma_min})
                             : grid::time_power(schedule, n, {.last = final_level::sigma_min});
        const auto times = recorded["call_t"].get<numbers>();
        for (std::size_t i = 0; i < times.size(); ++i) {
            if (skip == "logSNR") {
                const double lambda = std::log(recorded["call_alpha"][i].get<double>() /
                                               recorded["call_sigma"][i].get<double>());
                // the cosine betas of the peer carry the cancellation of 1 - f / f
                CHECK_THAT(l[i].half_log_snr(), WithinAbs(lambda, name == "cosine" ? 1e-9 : 1e-11));
            } else {
                const double count = name == "vp_continuous" ? 0.0 : schedule.range().noisy + 1.0;
                CHECK_THAT(count == 0.0 ? l[i].t : (l[i].t + 1.0) / count, WithinRel(times[i], 1e-12));
            }
        }
        ++cases;
    }
    CHECK(cases >= 10);
}

TEST_CASE("linear_quadratic is that of diffusers", "[grid][recorded][reference]") {
    const auto recorded = reference("diffusers_extra.json")["shift"]["linear_quadratic"];
    REQUIRE(recorded.size() == 4);
    for (const auto& r : recorded) {
        const int n = r["num_steps"];
        std::optional<int> linear;
        if (!r["linear_steps"].is_null()) { linear = r["linear_steps"].get<int>(); }
        const levels l = grid::linear_quadratic(schedule::flow{}, n,
                                                {.threshold = r["threshold_noise"], .linear_steps = linear});
        const auto sigmas = r["sigmas"].get<numbers>();
        REQUIRE(sigmas.size() + 1 == l.size());
        for (std::size_t i = 0; i < sigmas.size(); ++i) {
            CHECK_THAT(l[i].t, WithinRel(sigmas[i], tol<double>::identity));
        }
        CHECK(l.back().t == 0.0);
    }
}

TEST_CASE("crash has the levels of IPNDM in diffusers", "[grid][recorded][reference]") {
    const auto file = reference("diffusers_ipndm.json");
    for (const auto& recorded : file["cases"]) {
        const levels l = grid::crash(schedule::trig{}, recorded["set_timesteps"]["num_inference_steps"]);
        const auto alphas = recorded["alphas"].get<numbers>();
        const auto sigmas = recorded["betas"].get<numbers>();
        const auto times = recorded["timesteps"].get<numbers>();
        REQUIRE(alphas.size() == l.size());
        for (std::size_t i = 0; i < l.size(); ++i) {
            CHECK_THAT(l[i].alpha, WithinAbs(alphas[i], tol<double>::identity));
            CHECK_THAT(l[i].sigma, WithinAbs(sigmas[i], tol<double>::identity));
            if (i < times.size()) {  // its time is the angle, 1 at pure noise
                CHECK_THAT(l[i].t, WithinRel(1.57079632679489661923 * times[i], tol<double>::identity));
            }
        }
    }
}
