// SPDX-License-Identifier: MIT
// The tables made by name and the maps from table to table.
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/reference.hpp>

#include <string>

#include "checks.hpp"

using namespace tweedie;
using schedule::discrete;

namespace {

/// Recorded numbers of a table: indices and alpha^2 there.
struct recorded_table {
    std::vector<double> index;
    std::vector<double> alphas_bar;
};

recorded_table recorded(const std::string& name) {
    const auto file = reference("diffusers_schedules.json");
    for (const auto& entry : file["betas"]) {
        if (entry["name"] == name) {
            return {entry["index"].get<std::vector<double>>(),
                    entry["alphas_cumprod_f64"].get<std::vector<double>>()};
        }
    }
    throw std::runtime_error("no recorded table " + name);
}

/// The largest error of alpha^2, relative to it, and of sigma^2, absolute: the peers form it as 1 - alpha^2.
double worst_against(const discrete& table, const std::string& name) {
    const recorded_table r = recorded(name);
    REQUIRE(r.index.size() == 26);
    double worst = 0.0;
    for (std::size_t i = 0; i < r.index.size(); ++i) {
        const double signal = table.alpha(r.index[i]) * table.alpha(r.index[i]);
        const double noise = table.sigma(r.index[i]) * table.sigma(r.index[i]);
        const double expected = r.alphas_bar[i];
        worst = std::max(worst, expected == 0.0 ? signal : std::abs(signal / expected - 1.0));
        worst = std::max(worst, std::abs(noise - (1.0 - expected)));
    }
    return worst;
}

std::vector<discrete> every_table() {
    return {discrete::linear(),        discrete::scaled_linear(), discrete::cosine(),   discrete::sigmoid(),
            discrete::exponential(),   discrete::laplace(),       discrete::linear(17), discrete::sigmoid(17),
            discrete::exponential(17), discrete::laplace(17),     discrete::laplace(2), discrete::laplace(1),
            discrete::exponential(1)};
}

}  // namespace

TEST_CASE("the tables made by name are those of diffusers", "[schedule][discrete][reference]") {
    // the recorded products were formed one factor after another: 1000 roundings
    CHECK(worst_against(discrete::linear(), "linear") < tol<double>::identity);
    CHECK(worst_against(discrete::linear(1000, 0.00085, 0.012), "linear_sd") < tol<double>::identity);
    CHECK(worst_against(discrete::scaled_linear(), "scaled_linear") < tol<double>::identity);
    CHECK(worst_against(discrete::sigmoid(), "sigmoid") < tol<double>::identity);
    // these recorded betas are 1 - f / f, which loses digits to cancellation
    CHECK(worst_against(discrete::cosine(), "squaredcos_cap_v2") < 1e-10);
    CHECK(worst_against(discrete::laplace(1000, {.peer_formula = true}), "laplace") < tol<double>::identity);
    const auto betas = reference("diffusers_schedules.json")["betas"].back();
    REQUIRE(betas["name"] == "betas_for_alpha_bar_exp");
    const double alpha = discrete::exponential().alpha(0.0);
    for (const double beta : betas["betas_f64"]) { CHECK_THAT(1.0 - alpha * alpha, WithinAbs(beta, 1e-14)); }
}

TEST_CASE("the maps from table to table are those of diffusers", "[schedule][discrete][reference]") {
    // Lin et al.: diffusers goes through betas, whose last but one is 1 - (small / small)
    CHECK(worst_against(discrete::linear().zero_terminal_snr(), "zsnr_linear") < 1e-11);
    CHECK(worst_against(discrete::scaled_linear().zero_terminal_snr(), "zsnr_scaled_linear") < 1e-11);
    CHECK(worst_against(discrete::cosine().zero_terminal_snr(), "zsnr_squaredcos") < 1e-10);
    const double stand_in = std::ldexp(1.0, -24);
    CHECK(worst_against(discrete::scaled_linear().zero_terminal_snr(stand_in),
                        "zsnr_scaled_linear_dpmsolver") < 1e-11);
    CHECK(worst_against(discrete::scaled_linear().snr_shifted(3.0), "cogvideox_snr_shift3") <
          tol<double>::identity);
    // CogVideoX rescales alpha^2: the same map
    CHECK(worst_against(discrete::scaled_linear().snr_shifted(1.0).zero_terminal_snr(),
                        "cogvideox_snr_shift1_zsnr") < 1e-11);
}

TEST_CASE("the noise schedules of dpm_solver are ours at its levels", "[schedule][discrete][reference]") {
    const auto file = reference("official_dpm_solver.json");
    int compared = 0;
    for (const auto& entry : file["noise_schedule"]) {
        const std::string name = entry["schedule"];
        CAPTURE(name);
        const auto times = entry["t"].get<std::vector<double>>();
        const auto lambdas = entry["lam"].get<std::vector<double>>();
        const int total = entry["total_N"];
        // its cosine table is cut where lambda falls below -5.1, and stretched over [0, 1] again
        const discrete table = name == "linear"          ? discrete::linear()
                               : name == "scaled_linear" ? discrete::scaled_linear()
                                                         : discrete::cosine().cut_below(-5.1);
        if (name != "vp_continuous") { REQUIRE(table.levels() == total); }
        for (std::size_t i = 0; i < times.size(); ++i) {
            if (name == "vp_continuous") {
                CHECK_THAT(schedule::vp_linear{}.half_log_snr(times[i]),
                           WithinAbs(lambdas[i], tol<double>::identity));
                CHECK_THAT(schedule::vp_linear{}.alpha(times[i]),
                           WithinRel(entry["alpha"][i].get<double>(), tol<double>::identity));
                ++compared;
                continue;
            }
            const double t = times[i] * total - 1.0;
            if (t < 0.0) { continue; }  // before the first level: the peer extrapolates
            const double whole = std::nearbyint(t);
            if (std::abs(t - whole) < 1e-9) {
                // the cosine betas of the peer carry the cancellation of 1 - f / f
                CHECK_THAT(table.half_log_snr(whole), WithinAbs(lambdas[i], name == "cosine" ? 1e-9 : 1e-12));
                ++compared;
            } else {
                // between levels ln alpha is linear there, lambda here; next to the clean end they differ
                // most
                CHECK_THAT(table.half_log_snr(t), WithinAbs(lambdas[i], t < 1.0 ? 0.05 : 1e-3));
            }
        }
    }
    CHECK(compared >= 30);
}

TEST_CASE("every table and every map of it is a schedule", "[schedule][discrete][identity]") {
    for (const discrete& table : every_table()) {
        const double last = table.levels() - 1;
        check_clean_end(table, -1.0);
        if (table.levels() == 1) { continue; }
        for (const discrete& made :
             {table, table.snr_shifted(3.0), table.snr_shifted(0.1), table.zero_terminal_snr(1e-20)}) {
            CHECK(made.levels() == table.levels());
            check_consistency(made, times_between(1e-3, last, 997));
        }
        check_pure_noise_end(table.zero_terminal_snr(), last);
        check_pure_noise_end(table.zero_terminal_snr().snr_shifted(3.0), last);
        check_pure_noise_end(table.snr_shifted(3.0).zero_terminal_snr(), last);
    }
}

TEST_CASE("the exponential table is the variance-preserving schedule of a constant rate",
          "[schedule][discrete][identity]") {
    const schedule::vp_linear vp({.beta_min = 12.0, .beta_max = 12.0});
    const discrete table = discrete::exponential(1000);
    for (const double i : {0.0, 1.0, 10.0, 500.0, 999.0}) {
        const double t = (i + 1.0) / 1000.0;
        CHECK_THAT(table.alpha(i), WithinRel(vp.alpha(t), tol<double>::identity));
        CHECK_THAT(table.sigma(i), WithinRel(vp.sigma(t), tol<double>::identity));
    }
}

TEST_CASE("the Laplace table has the closed form of its law", "[schedule][discrete][exact]") {
    for (const double scale : {0.25, 0.5, 1.0}) {
        for (const int levels : {1000, 999, 10, 2, 1}) {
            const discrete table =
                discrete::laplace(levels, {.mu = 0.3, .scale = scale, .max_beta = 0.9999999});
            const discrete peer = discrete::laplace(
                levels, {.mu = 0.3, .scale = scale, .max_beta = 0.9999999, .peer_formula = true});
            // a beta next to 1 leaves few digits of 1 - beta: of a few coarse levels the last has that
            const double close = levels > 100 ? tol<double>::identity : tol<double>::reference;
            const auto odds = [&](double u) {  // sigma^2 / alpha^2 of the law
                const double tail = 1.0 - 2.0 * std::abs(u - 0.5) + 1e-6;
                return std::exp(-0.3) * std::pow(tail, u <= 0.5 ? scale : -scale);
            };
            for (int i = 0; i < levels; i += 1 + levels / 20) {
                const double u = (i + 1.0) / levels;
                const double signal = (1.0 + odds(0.0)) / (1.0 + odds(u));
                const double noise = (odds(u) - odds(0.0)) / (1.0 + odds(u));
                CHECK_THAT(table.alpha(i), WithinRel(std::sqrt(signal), close));
                CHECK_THAT(table.sigma(i), WithinRel(std::sqrt(noise), close));
                // the peer takes alpha for alpha^2
                CHECK_THAT(peer.alpha(i) * peer.alpha(i), WithinRel(table.alpha(i), close));
            }
        }
    }
    // a width so large that only the cap keeps it finite
    CHECK(discrete::laplace(10, {.scale = 2.0, .max_beta = 0.5}).alpha(9.0) > 0.01);
}

TEST_CASE("an SNR shift moves lambda by a constant and composes", "[schedule][discrete][identity]") {
    for (const discrete& table : every_table()) {
        const discrete shifted = table.snr_shifted(3.0);
        const discrete there_and_back = shifted.snr_shifted(1.0 / 3.0);
        const discrete twice = shifted.snr_shifted(5.0);
        const discrete once = table.snr_shifted(15.0);
        for (double i = 0.0; i < table.levels(); i += 1.0) {
            const double lambda = table.half_log_snr(i);
            const double room = tol<double>::exact * (1.0 + std::abs(lambda));
            REQUIRE(std::abs(shifted.half_log_snr(i) - (lambda - 0.5 * std::log(3.0))) <= room);
            REQUIRE(std::abs(there_and_back.half_log_snr(i) - lambda) <= room);
            REQUIRE(std::abs(twice.half_log_snr(i) - once.half_log_snr(i)) <= room);
        }
        CHECK_THAT(table.snr_shifted(1.0).half_log_snr(0.0),
                   WithinRel(table.half_log_snr(0.0), tol<double>::exact));
    }
}

TEST_CASE("the zero-terminal-SNR map keeps the first level, and the first digits of the others",
          "[schedule][discrete][exact]") {
    const discrete table = discrete::from_betas(std::vector<double>{1e-12, 2e-12, 3e-12, 0.5});
    const discrete made = table.zero_terminal_snr();
    CHECK(made.alpha(0.0) == table.alpha(0.0));
    CHECK(made.sigma(0.0) == table.sigma(0.0));
    // to first order in the betas: sigma'^2 = sigma_0^2 + (sigma^2 - sigma_0^2) / (1 - alpha_last)
    const double span = 1.0 - std::sqrt(0.5);
    CHECK_THAT(made.sigma(1.0) * made.sigma(1.0), WithinRel(1e-12 + 2e-12 / span, 1e-10));
    CHECK_THAT(made.sigma(2.0) * made.sigma(2.0), WithinRel(1e-12 + 5e-12 / span, 1e-10));
    // of a table that ends in pure noise already it is the identity
    const discrete again = made.zero_terminal_snr();
    for (const double i : {0.0, 1.0, 2.0, 3.0}) {
        CHECK_THAT(again.sigma(i), WithinRel(made.sigma(i), tol<double>::exact));
        CHECK_THAT(again.alpha(i), WithinRel(made.alpha(i), tol<double>::exact));
    }
}

TEST_CASE("cut_below keeps the levels above a lambda, as they are", "[schedule][discrete][exact]") {
    const discrete table = discrete::cosine();
    const discrete cut = table.cut_below(-5.1);
    CHECK(cut.levels() == 996);
    CHECK(cut.half_log_snr(995.0) >= -5.1);
    CHECK(table.half_log_snr(996.0) < -5.1);
    CHECK(at(cut, 500.0) == at(table, 500.0));
    CHECK(table.cut_below(-infinity).levels() == 1000);
    CHECK(table.cut_below(table.half_log_snr(0.0)).levels() == 1);
    CHECK(table.zero_terminal_snr().cut_below(-100.0).levels() == 999);
}

TEST_CASE("tables and maps refuse what they cannot make", "[schedule][discrete][errors]") {
    const char* betas = "schedule::discrete: betas must lie in (0, 1); the last may be 1";
    const char* count = "schedule::discrete: the number of levels must lie in [1, 1000000]";
    for (const double bad : {-1.0, not_a_number, infinity}) {
        CHECK_THROWS_WITH(discrete::sigmoid(10, bad), betas);
        CHECK_THROWS_WITH(discrete::sigmoid(10, 1e-4, bad == -1.0 ? 2.0 : bad), betas);
        if (bad != infinity) { CHECK_THROWS_WITH(discrete::exponential(10, bad), betas); }
        CHECK_THROWS_WITH(
            discrete::laplace(10, {.scale = bad}),
            "schedule::discrete: laplace needs a finite mu, a finite scale > 0 and max_beta in (0, 1)");
        CHECK_THROWS_AS(discrete::laplace(10, {.max_beta = bad}), std::invalid_argument);
        CHECK_THROWS_WITH(discrete::linear().snr_shifted(bad),
                          "schedule::discrete: scale must be positive and finite");
        CHECK_THROWS_WITH(
            discrete::linear().zero_terminal_snr(bad),
            "schedule::discrete: last must lie in [0, 1) and below alpha^2 of the level before");
    }
    CHECK_THROWS_AS(discrete::laplace(10, {.mu = not_a_number}), std::invalid_argument);
    CHECK_THROWS_WITH(discrete::linear().snr_shifted(0.0),
                      "schedule::discrete: scale must be positive and finite");
    for (const int levels : {0, -1, 1000001}) {
        CHECK_THROWS_WITH(discrete::sigmoid(levels), count);
        CHECK_THROWS_WITH(discrete::exponential(levels), count);
        CHECK_THROWS_WITH(discrete::laplace(levels), count);
    }
    CHECK_THROWS_WITH(discrete::linear().zero_terminal_snr(0.5),
                      "schedule::discrete: each level must be noisier than the one before it");
    CHECK_THROWS_WITH(discrete::linear(1).zero_terminal_snr(),
                      "schedule::discrete: zero_terminal_snr needs at least two levels");
    const char* cut = "schedule::discrete: cut_below must leave at least one level";
    CHECK_THROWS_WITH(discrete::linear().cut_below(infinity), cut);
    CHECK_THROWS_WITH(discrete::linear().cut_below(not_a_number), cut);
}
