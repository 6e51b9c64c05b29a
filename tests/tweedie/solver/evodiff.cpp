// SPDX-License-Identifier: MIT
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/evodiff.hpp>

#include <support/catch.hpp>
#include <support/plane_mixture.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "loop_checks.hpp"

using namespace tweedie;
using solver::evodiff;
using formula = solver::evodiff::formula;
using vec = std::vector<double>;

namespace {

double run_to_end(const evodiff& method, const any_schedule& schedule, const levels_t& levels, double x,
                  std::size_t* calls = nullptr) {
    const denoiser model(elementwise([](double v, const level& at) { return two_humps(v, at); }),
                         prediction::x0, schedule);
    const run_result result = sample(method.loop(schedule, levels), model, x);
    CHECK(result.status == run_status::finished);
    if (calls != nullptr) { *calls = result.network_calls; }
    return x;
}

}  // namespace

TEST_CASE("evodiff gives the numbers of its authors' program", "[solver][evodiff][reference]") {
    const auto golden = reference("core_golden.json");
    const schedule::edm edm(
        {.sigma_min = golden["problem"]["sigma_min"], .sigma_max = golden["problem"]["sigma_max"]});
    const plane_mixture law{golden["problem"]};
    const denoiser model([&](const vec& x, const network_level& at) { return law(x, at.sigma); },
                         prediction::x0, edm);
    for (const int n : {5, 8, 10}) {
        const levels_t levels = grid::log_snr(edm, n, {.last = grid::final_level::sigma_min});
        const auto& recorded = golden["solvers"][std::to_string(n)]["evodiff_code_lof"];
        for (std::size_t i = 0; i < 8; ++i) {
            vec x = golden["problem"]["xT"][i];
            const run_result result = sample(evodiff{}.loop(edm, levels), model, x);
            CHECK(result == run_result{run_status::finished, static_cast<std::size_t>(n), result.step});
            for (std::size_t d = 0; d < 2; ++d) {
                CHECK(std::abs(x[d] - recorded[i][d].get<double>()) < tol<double>::identity);
            }
        }
    }
}

TEST_CASE("evodiff is a heuristic of about first order", "[solver][evodiff][order]") {
    const schedule::edm edm;
    const auto levels = [&](int n) {
        return grid::log_snr(edm, n,
                             {.sigma_max = 20.0, .sigma_min = 0.05, .last = grid::final_level::sigma_min});
    };
    const std::vector<double> starts = {-31.0, -17.0, -6.0, 7.0, 13.0, 22.0, 37.0};
    std::vector<double> exact;
    const plan fine = solver::unipc{}.plan(edm, levels(600));
    for (const double start : starts) { exact.push_back(run_on_double(fine, edm, start, two_humps)); }
    const auto median_error = [&](const evodiff& method, int n) {
        std::vector<double> errors;
        for (std::size_t i = 0; i < starts.size(); ++i) {
            errors.push_back(std::abs(run_to_end(method, edm, levels(n), starts[i]) - exact[i]));
        }
        std::sort(errors.begin(), errors.end());
        return errors[starts.size() / 2];
    };
    for (const formula variant : {formula::released, formula::published}) {
        const evodiff method{.variant = variant, .lower_order_final = false};
        const double order = std::log2(median_error(method, 40) / median_error(method, 160)) / 2.0;
        WARN((variant == formula::released ? "released " : "published ") << order);
        CHECK(order > 0.8);
        CHECK(order < 1.3);  // no method of second order
    }
    // the released last step shrinks the state by a factor of about sigma / alpha at the end, whatever the
    // grid
    const double left = median_error({}, 320);
    CHECK(left > 0.01);
    CHECK(left < 0.1);
}

TEST_CASE("each block of evodiff is a run of its own", "[solver][evodiff][identity]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 9);
    const denoiser model(elementwise([](double v, const level& at) { return two_humps(v, at); }),
                         prediction::x0, vp);
    for (const formula variant : {formula::released, formula::published}) {
        rows_tensor together{{0.3, 1.0, -0.6, 0.9, -1.4, 0.2, 1.2, 1.1},
                             2};  // two samples of two blocks of two
        const rows_tensor begin = together;
        REQUIRE(sample(evodiff{.variant = variant, .blocks = 2}.loop(vp, levels), model, together));
        for (std::size_t b = 0; b < 4; ++b) {
            rows_tensor alone{{begin.elements[2 * b], begin.elements[2 * b + 1]}, 1};
            REQUIRE(sample(evodiff{.variant = variant}.loop(vp, levels), model, alone));
            CHECK(alone.elements[0] == together.elements[2 * b]);
            CHECK(alone.elements[1] == together.elements[2 * b + 1]);
        }
    }
}

TEST_CASE("evodiff runs on every schedule, from pure noise, to the clean level, in any number of steps",
          "[solver][evodiff][exact]") {
    for (const named_schedule& named : all_schedules()) {
        for (const formula variant : {formula::released, formula::published}) {
            for (const bool lower : {true, false}) {
                for (const int n : {1, 2, 3, 4, 25}) {
                    INFO(named.name << ", " << n);
                    const evodiff method{.variant = variant, .lower_order_final = lower};
                    std::size_t calls = 0;
                    const levels_t to_clean = grid::log_snr(named.schedule, n);
                    CHECK(std::isfinite(
                        run_to_end(method, named.schedule, to_clean, start_of(to_clean), &calls)));
                    CHECK(calls <= static_cast<std::size_t>(n) + 1);
                    const levels_t inside = interior_levels(named.schedule, n);
                    CHECK(
                        std::isfinite(run_to_end(method, named.schedule, inside, start_of(inside), &calls)));
                    CHECK(calls == static_cast<std::size_t>(n) + (lower || n == 1 ? 0U : 1U));
                    // one step is DDIM
                    if (n == 1) {
                        CHECK(std::abs(run_to_end(method, named.schedule, inside, 1.0) -
                                       run_on_double(solver::ddim{}.plan(named.schedule, inside),
                                                     named.schedule, 1.0, two_humps)) <
                              tol<double>::identity);
                    }
                }
            }
        }
    }
}

TEST_CASE("evodiff divides by no inner product that is zero", "[solver][evodiff][errors]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 8);
    for (const formula variant : {formula::released, formula::published}) {
        for (const double constant : {0.0, 0.7}) {
            const denoiser model(elementwise([=](double, const level&) { return constant; }), prediction::x0,
                                 edm);
            vec x = {3.0, -4.0};
            REQUIRE(sample(evodiff{.variant = variant}.loop(edm, levels), model, x));
            CHECK(std::isfinite(x[0]));
            if (constant == 0.0) { CHECK(std::abs(x[0]) < 3.0); }
        }
    }
    CHECK(refusal([&] { (void)evodiff{.blocks = 0}.loop(edm, levels); }) ==
          "evodiff: blocks must be positive");
    CHECK(refusal([&] {
              (void)evodiff{}.loop(edm, levels_t{levels[1], levels[0]});
          }).starts_with("evodiff: level 1"));
}
