// SPDX-License-Identifier: MIT

// The noise levels of the recorded runs, made by our schedules and grids.

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/polyexponential.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/vp.hpp>

#include <parity/levels.hpp>
#include <support/catch.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "tally.hpp"

using namespace tweedie;
using parity::vec;
using json = nlohmann::json;

namespace {

double noise_to_signal(const level& l) { return l.sigma / l.alpha; }

/// Every noise-to-signal ratio of `levels` against the recorded one.
double worst_ratio(const std::vector<level>& levels, const vec& recorded) {
    if (levels.size() != recorded.size()) { return 1.0; }
    double worst = 0.0;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        if (recorded[i] == noise_to_signal(levels[i])) { continue; }
        worst = std::max(worst, std::abs(noise_to_signal(levels[i]) / recorded[i] - 1.0));
    }
    return worst;
}

}  // namespace

TEST_CASE("the grids give the noise levels of the recorded runs of diffusers from their configuration",
          "[reference][grid]") {
    std::size_t files = 0;
    std::size_t cases = 0;
    std::size_t matched = 0;
    for (const auto& file : std::filesystem::directory_iterator(TWEEDIE_REFERENCE_DIR)) {
        const std::string name = file.path().filename().string();
        if (!name.starts_with("diffusers_")) { continue; }
        const json recorded = reference(name);
        if (!recorded.contains("cases")) { continue; }
        const json& meta = recorded.at("meta");
        const parity::mixture data(meta.contains("gmm") ? meta["gmm"] : meta.at("model"));
        tally count("levels of " + name);
        for (const json& c : recorded["cases"]) {
            const parity::recorded_case r(c, meta, data, c["scheduler"]);
            const parity::made_levels made = parity::make_levels(r);
            if (made.levels.empty()) {
                count.left_out(made.note);
            } else {
                count.compared(r.id, made.error, 1e-11, made.note);
            }
        }
        WARN(count.summary());
        CHECK(count.cases() == recorded["cases"].size());
        ++files;
        cases += count.cases();
        matched += count.matched();
    }
    CHECK(files >= 30);
    // left out: levels that rise, a network of its own, a run without levels, one from the middle of PRK
    CHECK(static_cast<double>(matched) >= 0.95 * static_cast<double>(cases));
}

TEST_CASE("the grids give the noise levels of the recorded runs of k-diffusion and EDM",
          "[reference][grid]") {
    const json k_diffusion = reference("official_k_diffusion.json");
    tally count("levels of official_k_diffusion.json");
    for (const json& c : k_diffusion["cases"]) {
        INFO(c["id"]);
        if (!c.contains("sigmas_kind")) {
            count.left_out("steps chosen by the sampler");
            continue;
        }
        const json& kind = c["sigmas_kind"];
        const std::string name = kind["fn"];
        const int steps = c["n"];
        const vec sigmas = c["sigmas"].get<vec>();
        std::vector<level> levels;
        const schedule::vp_linear vp;
        if (name == "get_sigmas_vp") {
            levels = grid::uniform(vp, steps, {.sigma_min = noise_to_signal(at(vp, 1e-3))});
        } else {
            const schedule::edm edm({.sigma_min = kind["sigma_min"], .sigma_max = kind["sigma_max"]});
            const double rho = kind.value("rho", 7.0);
            levels = name == "get_sigmas_karras"        ? grid::karras(edm, steps, {.rho = rho})
                     : name == "get_sigmas_exponential" ? grid::log_snr(edm, steps)
                                                        : grid::polyexponential(edm, steps, {.rho = rho});
        }
        count.compared(c["id"], worst_ratio(levels, sigmas), tol<double>::reference);
    }
    WARN(count.summary());
    CHECK(count.matched() >= 55);

    // EDM's own sampler calls the network twice at each level but the first
    const json edm = reference("official_edm.json");
    const vec calls = edm["cases"][0]["call_sigma"].get<vec>();
    vec sigmas = {calls[0]};
    for (std::size_t i = 1; i < calls.size(); i += 2) { sigmas.push_back(calls[i]); }
    sigmas.push_back(0.0);
    CHECK(worst_ratio(grid::karras(schedule::edm{}, 18), sigmas) < tol<double>::reference);
}
