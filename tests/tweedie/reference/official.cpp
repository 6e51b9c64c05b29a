// SPDX-License-Identifier: MIT

// Recorded runs of the methods' own repositories: UniPC, k-diffusion, EDM.

#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "recorded.hpp"

using namespace tweedie;
using json = nlohmann::json;

namespace {

constexpr double tolerance = tol<double>::reference;

/// The largest error over a list of vectors; 1 where the lengths differ.
double worst_of(const std::vector<vec>& found, const json& recorded) {
    if (found.size() != recorded.size()) { return 1.0; }
    double worst = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        worst = std::max(worst, relative_error(found[i], recorded[i].get<vec>()));
    }
    return worst;
}

/// EDM's table 1: `x = s(t) (x0 + sigma(t) n)` with the noise level and scaling of VP, VE or EDM's own, in
/// that column's time. A schedule of the user, as far as the library is concerned.
class table_1 {
public:
    enum class noise_level { vp, ve, linear };
    enum class scaling { vp, none };

    table_1(noise_level noise, scaling scale, double beta_d, double beta_min)
        : noise_(noise), scaling_(scale), beta_d_(beta_d), beta_min_(beta_min) {}

    [[nodiscard]] double alpha(double t) const {
        return scaling_ == scaling::vp ? 1.0 / std::hypot(1.0, level_(t)) : 1.0;
    }
    [[nodiscard]] double sigma(double t) const { return alpha(t) * level_(t); }
    [[nodiscard]] double alpha_rate(double t) const {
        const double s = alpha(t);
        return scaling_ == scaling::vp ? -level_(t) * rate_(t) * s * s * s : 0.0;
    }
    [[nodiscard]] double sigma_rate(double t) const {
        return alpha_rate(t) * level_(t) + alpha(t) * rate_(t);
    }
    [[nodiscard]] double half_log_snr(double t) const { return -std::log(level_(t)); }
    [[nodiscard]] double time_at(double half_log_snr) const { return time_of(std::exp(-half_log_snr)); }
    [[nodiscard]] time_range range() const { return {time_of(80.0), time_of(0.002)}; }

    [[nodiscard]] double time_of(double level) const {
        if (noise_ == noise_level::ve) { return level * level; }
        if (noise_ == noise_level::linear) { return level; }
        return (std::sqrt(beta_min_ * beta_min_ + 2.0 * beta_d_ * std::log1p(level * level)) - beta_min_) /
               beta_d_;
    }

private:
    [[nodiscard]] double level_(double t) const {
        if (noise_ == noise_level::ve) { return std::sqrt(t); }
        if (noise_ == noise_level::linear) { return t; }
        return std::sqrt(std::expm1(0.5 * beta_d_ * t * t + beta_min_ * t));
    }
    [[nodiscard]] double rate_(double t) const {
        if (noise_ == noise_level::ve) { return 0.5 / std::sqrt(t); }
        if (noise_ == noise_level::linear) { return 1.0; }
        return 0.5 * (beta_min_ + beta_d_ * t) * (level_(t) + 1.0 / level_(t));
    }

    noise_level noise_;
    scaling scaling_;
    double beta_d_;
    double beta_min_;
};

}  // namespace

TEST_CASE("unipc gives the recorded runs of its own repository", "[reference][solver][unipc]") {
    const json recorded = reference("official_unipc.json");
    const mixture data(recorded["meta"]["gmm"]);
    tally count("official_unipc.json");
    const schedule::discrete linear = schedule::discrete::linear();
    for (const json& c : recorded["cases"]) {
        INFO(c["id"]);
        const json& options = c["kwargs"];
        if (c.value("variant", "") == "vary_coeff") {
            count.left_out("vary_coeff: of a later issue (and wrong above order 1)");
            continue;
        }
        std::vector<level> levels;
        for (std::size_t i = 0; i < c["call_alpha"].size(); ++i) {
            const double alpha = c["call_alpha"][i];
            const double sigma = c["call_sigma"][i];
            levels.push_back({std::atan2(sigma, alpha), alpha, sigma});
        }
        // the last target, t = 1/1000 of the table or 0.001 of the continuous schedules, is no network call:
        // it is not recorded
        const std::string kind = c["schedule"];
        level last = at(linear, 0.0);
        if (kind == "vp_continuous") { last = at(schedule::vp_linear{}, 0.001); }
        if (kind == "cosine") { last = at(schedule::vp_cosine{}, 0.001); }
        last.t = std::atan2(last.sigma, last.alpha);
        levels.push_back(last);
        solver::unipc method;
        method.order = options["order"];
        method.variant = c.value("variant", "bh2") == "bh1" ? solver::unipc::bh::bh1 : solver::unipc::bh::bh2;
        method.predicts = c.value("algorithm_type", "data_prediction") == "noise_prediction"
                              ? solver::unipc::form::noise
                              : solver::unipc::form::data;
        method.lower_order_final = options.value("lower_order_final", true);
        const run_setup setup{
            {prediction::epsilon, schedule::trig{}},
            [&](const vec& x, const network_level& l) { return data.eps(x, l.alpha, l.sigma); },
            c["x_init"].get<vec>()};
        const trajectory t = run(method.plan(schedule::trig{}, levels), setup);
        count.compared(
            c["id"],
            std::max(worst_of(t.outputs, c["model_out"]), relative_error(t.end, c["x_final"].get<vec>())),
            tolerance);
    }
    WARN(count.summary());
    CHECK(count.cases() == recorded["cases"].size());
    REQUIRE(count.matched() >= 34);
}

TEST_CASE("euler, heun, dpmpp_2m and ddim give the recorded runs of k-diffusion", "[reference][solver]") {
    const json recorded = reference("official_k_diffusion.json");
    const mixture data(recorded["meta"]["gmm"]);
    const schedule::edm edm;
    tally count("official_k_diffusion.json");
    for (const json& c : recorded["cases"]) {
        INFO(c["id"]);
        const std::string sampler = c["sampler"];
        if (c["kwargs"].contains("s_churn")) {
            count.left_out("churn: a stochastic sampler of a later issue");
            continue;
        }
        if (!c.contains("denoised") || !c.contains("sigmas")) {
            count.left_out("samplers of later issues");
            continue;
        }
        std::vector<level> levels;
        for (const double s : c["sigmas"].get<vec>()) { levels.push_back({s, 1.0, s}); }
        run_setup setup{{prediction::x0, edm},
                        [&](const vec& x, const network_level& l) { return data.x0(x, l.alpha, l.sigma); },
                        c["x_init"].get<vec>()};
        if (c.contains("noise")) { setup.noise = c["noise"].get<std::vector<vec>>(); }
        std::string how;
        plan p;
        if (sampler == "sample_euler") {
            p = solver::euler{}.plan(edm, levels);
        } else if (sampler == "sample_heun") {
            p = solver::heun{}.plan(edm, levels);
        } else if (sampler == "sample_dpmpp_2m" || sampler == "sample_dpmpp_2m_sde") {
            p = solver::dpmpp_2m{.lower_order_final = false}.plan(edm, levels);
            if (sampler == "sample_dpmpp_2m_sde") { how = "dpmpp_2m_sde at eta = 0, as dpmpp_2m"; }
        } else if (sampler == "sample_euler_ancestral") {
            p = solver::ddim{.eta = c["kwargs"].value("eta", 1.0)}.plan(edm, levels);
            how = "euler_ancestral, as ddim of the same eta";
        } else {
            count.left_out("samplers of later issues");
            continue;
        }
        const trajectory t = run(p, setup);
        double worst = worst_of(t.outputs, c["denoised"]);
        worst = std::max(worst, worst_of(t.states, c["x_at_step"]));
        worst = std::max(worst, relative_error(t.end, c["x_final"].get<vec>()));
        count.compared(c["id"], worst, tolerance, how);
    }
    WARN(count.summary());
    CHECK(count.cases() == recorded["cases"].size());
    REQUIRE(count.matched() >= 20);
}

TEST_CASE("euler and heun give the recorded runs of EDM, on any schedule",
          "[reference][solver][euler][heun]") {
    const json recorded = reference("official_edm.json");
    const mixture data(recorded["meta"]["gmm"]);
    tally count("official_edm.json");
    for (const json& c : recorded["cases"]) {
        INFO(c["id"]);
        const json& options = c["kwargs"];
        if (options.contains("S_churn")) {
            count.left_out("churn: a stochastic sampler of a later issue");
            continue;
        }
        if (options.contains("alpha")) {
            count.left_out("second-order methods other than Heun's: of a later issue");
            continue;
        }
        const bool heun = options.value("solver", "heun") == "heun";
        const std::string grid = options.value("discretization", "edm");
        const std::string noise = options.value("schedule", "linear");
        const std::string scaling = options.value("scaling", "none");
        // the betas that join the two ends of the grid, their equation 170 and below
        const double vp_low = std::sqrt(std::expm1(0.5 * 19.9 * 1e-6 + 0.1 * 1e-3));
        const double vp_high = std::sqrt(std::expm1(0.5 * 19.9 + 0.1));
        const double low = grid == "vp" ? vp_low : grid == "ve" ? 0.02 : 0.002;
        const double high = grid == "vp" ? vp_high : grid == "ve" ? 100.0 : grid == "iddpm" ? 81.0 : 80.0;
        const double beta_d = 2.0 * (std::log1p(low * low) / 1e-3 - std::log1p(high * high)) / (1e-3 - 1.0);
        const double beta_min = std::log1p(high * high) - 0.5 * beta_d;
        const table_1 schedule(noise == "vp"   ? table_1::noise_level::vp
                               : noise == "ve" ? table_1::noise_level::ve
                                               : table_1::noise_level::linear,
                               scaling == "vp" ? table_1::scaling::vp : table_1::scaling::none, beta_d,
                               beta_min);
        std::vector<level> levels;
        const vec calls = c["call_sigma"].get<vec>();
        for (std::size_t i = 0; i < calls.size(); i += i == 0 || !heun ? 1 : 2) {
            levels.push_back(at(schedule, schedule.time_of(calls[i])));
        }
        levels.push_back({0.0, 1.0, 0.0});
        vec x = c["latents"].get<vec>();
        for (double& v : x) { v *= levels[0].sigma; }
        const run_setup setup{
            {prediction::x0, schedule},
            [&](const vec& y, const network_level& l) { return data.x0(y, l.alpha, l.sigma); },
            x};
        const plan p = heun ? solver::heun{}.plan(schedule, levels) : solver::euler{}.plan(schedule, levels);
        const trajectory t = run(p, setup);
        const double outputs = worst_of(t.outputs, c["denoised"]);
        // On a curved schedule the peer's last step, to t = 0, is an extrapolation; ours lands on the data
        // prediction.
        if (noise == "linear" && scaling == "none") {
            count.compared(c["id"], std::max(outputs, relative_error(t.end, c["x_final"].get<vec>())),
                           tolerance);
        } else {
            count.compared(c["id"], outputs, tolerance,
                           "on other schedules of table 1, but for the last step (the peer extrapolates, "
                           "ours lands on x0)");
        }
    }
    WARN(count.summary());
    CHECK(count.cases() == recorded["cases"].size());
    REQUIRE(count.matched() >= 31);
}
