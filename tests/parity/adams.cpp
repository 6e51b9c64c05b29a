// SPDX-License-Identifier: MIT

// Multistep methods on the noise prediction and DPM2: LMS, iPNDM, PNDM, DEIS, KDPM2.

#include <tweedie/plan/writer.hpp>
#include <tweedie/solver/adams.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/deis.hpp>
#include <tweedie/solver/dpm2.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/lms.hpp>
#include <tweedie/solver/pndm.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "churn.hpp"
#include "listed.hpp"

namespace parity {

using namespace tweedie;

outcome lms(recorded_case& r) {
    return run_all_but_repeated(r, solver::lms{.order = r.option("order", std::size_t{4})});
}

/// Diffusers lists every level but the first and the last two or three times; the level half way is our own.
outcome kdpm2(recorded_case& r) {
    std::vector<level> once;
    for (const level& l : r.levels) {
        if (once.empty() || l.sigma != once.back().sigma) { once.push_back(l); }
    }
    r.levels = once;
    return run_all(r, solver::dpm2{});
}

outcome k_diffusion_dpm_2(recorded_case& r) {
    const solver::churn churn = churn_of(r);
    keep_churned_draws(r, churn);
    return run_all(r, solver::dpm2{.churn = churn});
}

outcome deis(recorded_case& r) {
    add_thresholding(r);
    const std::size_t steps = r.steps();
    solver::deis method;
    method.order = r.option("solver_order", std::size_t{2});
    method.lower_order_final = r.option("lower_order_final", true) && steps < 15;
    return run_all_but_repeated(r, method);
}

outcome ipndm(recorded_case& r) {
    r.levels = r.call_levels();
    const vec alphas = numbers(r.c.at("alphas"));
    const vec sigmas = numbers(r.c.at("betas"));
    r.levels.push_back(level_of(r.kind, alphas.back(), sigmas.back()));
    const bool pure_noise = r.levels.front().alpha == 0.0;
    return run_all(r, solver::ipndm{.peer_formula = true}, pure_noise ? "peer_formula" : "");
}

namespace {

/// Where the peer's step from a time leads: the level of its target, and of the time half way to it.
struct pndm_step {
    level from;
    level half;
    level to;
};

/// The table of a case of PNDMScheduler; half way between two of its entries the peer has none.
struct pndm_table {
    schedule::discrete table;
    level final_level;
    int stride = 1;

    explicit pndm_table(const recorded_case& r)
        : table(table_of(r.c)), stride(r.option("num_train_timesteps", 1000) / steps_of(r)) {
        final_level = level_at(r.option("set_alpha_to_one", false) ? -1.0 : 0.0);
    }

    [[nodiscard]] static int steps_of(const recorded_case& r) {
        return r.c.at("set_timesteps").at("num_inference_steps");
    }
    [[nodiscard]] level level_at(double t) const { return {t, table.alpha(t), table.sigma(t)}; }
    [[nodiscard]] level target(double t) const { return t >= 0.0 ? level_at(t) : final_level; }
    /// The peer's target is t - 1000 / n, whatever the next timestep is; its half step a whole number.
    [[nodiscard]] pndm_step step(double t) const {
        const int half = stride / 2;
        return {level_at(t), target(t - half), target(t - stride)};
    }
};

/// A list of levels whose steps are the peer's, where these do not follow on each other.
///
/// A step only knows alpha_t / alpha_s and sigma_t - (alpha_t / alpha_s) sigma_s. Levels with these numbers
/// are laid end to end; the network is asked at the peer's own levels instead.
struct chained {
    std::vector<level> levels;
    std::vector<level> halves;

    explicit chained(const std::vector<pndm_step>& steps) {
        levels.push_back(steps.front().from);
        for (std::size_t i = 0; i < steps.size(); ++i) {
            const level at = levels.back();
            const auto move = [&](const level& to, double time) {
                const level& from = steps[i].from;
                const double ratio = to.alpha / from.alpha;
                const double sigma = to.sigma - ratio * from.sigma + ratio * at.sigma;
                return level{time, ratio * at.alpha, std::abs(sigma) < 1e-14 ? 0.0 : sigma};
            };
            const double next = -2.0 * static_cast<double>(i + 1);  // any times, two for each step
            halves.push_back(move(steps[i].half, next + 1.0));
            if (i == 0) { levels.front().t = 0.0; }
            levels.push_back(move(steps[i].to, next));
        }
    }
};

/// The same as a schedule.
listed_schedule schedule_of(const chained& steps) {
    listed_schedule out{steps.levels};
    out.levels.insert(out.levels.end(), steps.halves.begin(), steps.halves.end());
    return out;
}

/// PNDM of a network that returns v, as the peer does it: v itself is extrapolated, and becomes epsilon at
/// the start of each step. That is of first order and no method of ours.
plan pndm_of_v(const chained& steps, bool skip_prk) {
    plan_writer p("pndm on v", steps.levels);
    plan_variable x = p.state();
    plan_variable sum = p.variable("sum");
    plan_history v = p.remember("v", 4);
    // v = alpha eps - sigma x0 where alpha^2 + sigma^2 = 1
    const auto v_of = [](const linear_form& q, const linear_form& x0, const level& l) {
        return (l.alpha * q - x0) / l.sigma;
    };
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        const auto move = [&](const linear_form& mean, const level& to) {
            const linear_form now = x;
            return solver::noise_step(now, s, to, s.alpha * mean + s.sigma * now);
        };
        plan_variable q = p.variable("query");
        const auto ask = [&](const linear_form& mean, const level& to) {
            q = move(mean, to);
            const linear_form x0 = p.data_prediction(q, to);
            return v_of(q, x0, to);
        };
        const linear_form x0 = p.data_prediction(x, s);
        v.push(v_of(x, x0, s));
        const std::size_t known = v.size();
        if (t.sigma > 0.0 && skip_prk && known == 1) {
            sum = v[0];
            const linear_form next = ask(v[0], t);
            sum = (static_cast<linear_form>(sum) + next) / 2;
            x = move(sum, t);
        } else if (t.sigma > 0.0 && !skip_prk && known < 4) {
            const level& m = steps.halves[i];
            sum = v[0];
            const linear_form v1 = ask(v[0], m);
            sum = static_cast<linear_form>(sum) + 2 * v1;
            const linear_form v2 = ask(v1, m);
            sum = static_cast<linear_form>(sum) + 2 * v2;
            const linear_form v3 = ask(v2, t);
            x = move((static_cast<linear_form>(sum) + v3) / 6, t);
        } else {
            const std::vector<double> weights = solver::equal_step_adams(known);
            linear_form mean;
            for (std::size_t j = 0; j < known; ++j) { mean += weights[j] * v[j]; }
            x = move(mean, t);
        }
    }
    return p.finish(x);
}

}  // namespace

outcome pndm(recorded_case& r) {
    const bool skip_prk = r.option("skip_prk_steps", false);
    const pndm_table table(r);
    const vec times = numbers(r.c.at("timesteps"));
    // The times of the steps: PLMS repeats the second, PRK lists four calls for each of its three.
    std::vector<double> starts;
    for (std::size_t i = 0; i < times.size(); ++i) {
        if (skip_prk ? i != 2 : (i < 12 ? i % 4 == 0 : true)) { starts.push_back(times[i]); }
    }
    std::vector<pndm_step> steps;
    for (std::size_t i = 0; i < starts.size(); ++i) {
        steps.push_back(table.step(starts[i]));
        if (!skip_prk && i < 3 && 4 * i + 3 < times.size()) {  // PRK leads to the times of its calls
            steps[i].half = table.target(times[4 * i + 1]);
            steps[i].to = table.target(times[4 * i + 3]);
        }
    }
    std::string note;
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
        const bool follows = steps[i].to.t == starts[i + 1] &&
                             (skip_prk || i > 2 || steps[i].half.t == table.step(starts[i]).half.t);
        if (!follows) { note = "to the peer's targets (not its next timesteps)"; }
    }
    const bool stands_still = std::abs(steps.back().to.sigma - steps.back().from.sigma) < 1e-12;
    if (stands_still) { steps.back().to = table.level_at(-1.0); }
    const chained chain(steps);
    const listed_schedule listed = schedule_of(chain);

    const std::string returns = r.c.at("model").at("prediction");
    // a single step has no second time to make it again at
    plan p = times.size() == 1           ? solver::ddim{}.plan(listed, chain.levels)
             : returns == "v_prediction" ? pndm_of_v(chain, skip_prk)
                                         : solver::pndm{.skip_prk = skip_prk}.plan(listed, chain.levels);
    if (returns == "v_prediction" && times.size() > 1) {
        if (!note.empty()) { return unsupported("v, to the peer's targets"); }
        note = "the peer extrapolates v and is of first order, as a plan";
    }
    if (stands_still) { note += (note.empty() ? "" : "; ") + std::string(repeated); }

    // the network as it was asked
    const std::vector<level> asked = r.call_levels();
    run_setup setup = r.setup;
    setup.convention = convention(r.setup.convention.prediction(), listed);
    std::vector<vec> moved(asked.size());  // queries that the peer puts elsewhere
    if (!asked.empty()) {
        setup.network = [&, k = std::size_t{0}, start = vec(), e0 = vec()](const vec& query,
                                                                           const network_level&) mutable {
            network_level at;
            static_cast<level&>(at) = asked.at(k);
            vec x = query;
            if (!skip_prk && k < 12 && k % 4 == 1 && returns == "epsilon") {
                // PRK's first half step leads half a stride on, its second to the time of the call
                const level& s = steps[k / 4].from;
                const level half = table.step(s.t).half;
                const double ratio = half.alpha / s.alpha;
                for (std::size_t d = 0; d < x.size(); ++d) {
                    x[d] = ratio * start[d] + (half.sigma - ratio * s.sigma) * e0[d];
                }
                moved[k] = x;
            }
            const vec out = r.setup.network(x, at);
            if (k % 4 == 0) {
                start = x;
                e0 = out;
            }
            ++k;
            return out;
        };
    }
    if (skip_prk && starts.size() > 1) {
        // PLMS's first step is made again with both predictions, from one stride before the second time
        const pndm_step again = table.step(starts[1] + table.stride);
        const auto transfer = [](const level& s, const level& t) {
            const double ratio = t.alpha / s.alpha;
            return std::pair{ratio, t.sigma - ratio * s.sigma};
        };
        const auto first = transfer(steps[0].from, steps[0].to);
        const auto second = transfer(again.from, again.to);
        if (std::abs(first.second - second.second) > 1e-14) {
            setup.edit = [=, x0 = r.setup.x, step = 0](vec& x, const level&) mutable {
                if (step++ != 1) { return; }
                for (std::size_t k = 0; k < x.size(); ++k) {
                    const double mean = (x[k] - first.first * x0[k]) / first.second;
                    x[k] = second.first * x0[k] + second.second * mean;
                }
            };
        }
    }
    trajectory t = run(p, setup);
    for (std::size_t k = 0; k < moved.size(); ++k) {
        if (!moved[k].empty()) { t.queries.at(k) = moved[k]; }
    }
    return judged(compare(r, t, {.end = !stands_still}), note);
}

}  // namespace parity
