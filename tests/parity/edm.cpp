// SPDX-License-Identifier: MIT

// Karras et al.'s own samplers: Euler and Heun on any column of their table 1.

#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>

#include "churn.hpp"

namespace parity {

using namespace tweedie;

namespace {

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

outcome official_edm(recorded_case& r) {
    const solver::churn churn = churn_of(r);
    const double alpha = r.option("alpha", 1.0);
    const bool heun = r.option("solver", "heun") == "heun";
    const std::string grid = r.option("discretization", "edm");
    const std::string noise = r.option("schedule", "linear");
    const std::string scaling = r.option("scaling", "none");
    // the betas that join the two ends of the grid, their equation 170 and below
    const double vp_low = std::sqrt(std::expm1(0.5 * 19.9 * 1e-6 + 0.1 * 1e-3));
    const double vp_high = std::sqrt(std::expm1(0.5 * 19.9 + 0.1));
    const double low = r.option("sigma_min", grid == "vp" ? vp_low : grid == "ve" ? 0.02 : 0.002);
    const double high = r.option("sigma_max", grid == "vp"      ? vp_high
                                              : grid == "ve"    ? 100.0
                                              : grid == "iddpm" ? 81.0
                                                                : 80.0);
    const double beta_d = 2.0 * (std::log1p(low * low) / 1e-3 - std::log1p(high * high)) / (1e-3 - 1.0);
    const double beta_min = std::log1p(high * high) - 0.5 * beta_d;
    const table_1 schedule(noise == "vp"   ? table_1::noise_level::vp
                           : noise == "ve" ? table_1::noise_level::ve
                                           : table_1::noise_level::linear,
                           scaling == "vp" ? table_1::scaling::vp : table_1::scaling::none, beta_d, beta_min);

    // The network is called at the raised level of each step and, for Heun, at the next level of the grid.
    const vec calls = numbers(r.c.at("call_sigma"));
    const std::size_t steps = heun ? (calls.size() + 1) / 2 : calls.size();
    const double gamma = std::min(churn.s_churn / static_cast<double>(steps), std::sqrt(2.0) - 1.0);
    const auto before_churn = [&](double sigma) {
        const double base = sigma / (1.0 + gamma);
        return base >= churn.s_tmin && base <= churn.s_tmax ? base : sigma;
    };
    r.levels.clear();
    for (std::size_t i = 0; i < steps; ++i) {
        const bool seen = heun && alpha == 1.0 && i > 0;
        const double sigma = seen ? calls[2 * i - 1] : before_churn(calls[heun ? 2 * i : i]);
        r.levels.push_back(at(schedule, schedule.time_of(sigma)));
    }
    r.levels.push_back({0.0, 1.0, 0.0});
    keep_churned_draws(r, churn);
    r.setup.convention = {prediction::x0, schedule};
    r.setup.x = numbers(r.c.at("latents"));
    for (double& v : r.setup.x) { v *= r.levels[0].sigma; }
    const plan p = heun ? solver::heun{.alpha = alpha, .churn = churn}.plan(schedule, r.levels)
                        : solver::euler{.churn = churn}.plan(schedule, r.levels);
    const trajectory t = run(p, r.setup);
    // On a curved schedule the peer's last step, to t = 0, is an extrapolation; ours lands on the data
    // prediction.
    const bool straight = noise == "linear" && scaling == "none";
    return judged(compare(r, t, {.end = straight}),
                  straight
                      ? ""
                      : "other columns of table 1, but for the end (the peer extrapolates to t = 0, ours "
                        "lands on x0)");
}

}  // namespace parity
