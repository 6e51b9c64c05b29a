// SPDX-License-Identifier: MIT

// Folding a network's convention into a plan changes what is computed where, never the result; analyze is the
// run itself.

#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/fold.hpp>

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

struct named_prediction {
    std::string name;
    prediction_type type;
};

const std::vector<named_prediction> predictions = {
    {"epsilon", prediction::epsilon},
    {"x0", prediction::x0},
    {"v", prediction::v},
    {"flow_velocity", prediction::flow_velocity},
    {"score", prediction::score},
    {"k_diff 0", prediction::k_diff(0.0)},
    {"k_diff 0.3", prediction::k_diff(0.3)},
    {"k_diff 1", prediction::k_diff(1.0)},
    {"edm", prediction::edm(0.5)},
    {"edm 2", prediction::edm(2.0)},
};

/// What a network of this type returns for `input` at its own level, when it knows the two humps.
double returned(const prediction_type& type, const any_schedule& schedule, double input, const level& at) {
    double x = input;
    if (type.is == prediction_type::kind::edm) {
        x *= std::hypot(at.sigma, at.alpha * type.parameter);
    }  // undo c_in
    const double x0 = two_humps(x, at);
    const double eps = (x - at.alpha * x0) / at.sigma;
    const target_weights law = target(type, at, schedule);
    return (law.data * x0 + law.noise * eps) / law.gain;
}

/// A run with a network of any type on any schedule, through the fold.
double run_folded(const plan& p, const convention& network, double x, std::vector<double>* seen = nullptr) {
    const denoiser model(
        [&](double input, const network_level& at) {
            return returned(network.prediction(), network.schedule(), input, at);
        },
        network.prediction(), network.schedule(), network.options());
    const injected_noise<double> source(
        noise_record<double>{.elements = 1, .step = {{0.3}, {-1.1}, {0.4}, {0.2}, {0.7}, {-0.6}, {0.1}}});
    const auto watch = [&](const observation<double>& o) {
        if (seen != nullptr) { seen->push_back(o.x); }
    };
    const run_result result = sample(p, model, x, source, hooks{.observe = watch});
    CHECK(result.status == run_status::finished);
    return x;
}

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("every prediction type runs folded as x0 runs unfolded", "[plan][fold][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 7);
        const double start = start_of(levels);
        for (const named_solver& method : all_solvers()) {
            const plan p = method.plan(s.schedule, levels);
            std::vector<double> expected;
            const double end = run_folded(p, {prediction::x0, s.schedule}, start, &expected);
            for (const named_prediction& prediction : predictions) {
                INFO(prediction.name << ", " << method.name << " on " << s.name);
                std::vector<double> seen;
                const double found = run_folded(p, {prediction.type, s.schedule}, start, &seen);
                // high orders weigh their history with large numbers of alternating sign
                const double tolerance =
                    contains(method.name, "8") || contains(method.name, "4") ? 1e-9 : tol<double>::identity;
                CHECK_THAT(found, WithinRel(end, tolerance) || WithinAbs(end, tolerance));
                REQUIRE(seen.size() == expected.size());
                for (std::size_t i = 0; i < seen.size(); ++i) {
                    CHECK_THAT(seen[i], WithinRel(expected[i], tolerance));
                }
            }
        }
    }
}

TEST_CASE("folding costs no pass, and x0 is folded without a trace", "[plan][fold][cost]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 10);
    for (const named_solver& method : all_solvers()) {
        INFO(method.name);
        const plan p = method.plan(vp, levels);
        const plan x0 = fold(p, {prediction::x0, vp});
        CHECK(x0.output == output_column::network);
        CHECK(x0.start == p.start);
        for (std::size_t k = 0; k < p.calls.size(); ++k) { CHECK(x0.calls[k].then == p.calls[k].then); }
        const plan_counts before = counts(p);
        const plan_counts after = counts(fold(p, {prediction::v, vp}));
        CHECK(after.network_calls == before.network_calls);
        CHECK(after.live_tensors == before.live_tensors);
        CHECK(after.draws == before.draws);
    }
    // DDIM reads the state and the output whatever the network returns
    CHECK(counts(fold(solver::ddim{}.plan(vp, levels), {prediction::epsilon, vp})) ==
          counts(solver::ddim{}.plan(vp, levels)));
    // an epsilon network feeds the noise form its history without arithmetic
    const plan noise = solver::unipc{.predicts = solver::form::noise}.plan(vp, levels);
    CHECK(counts(fold(noise, {prediction::epsilon, vp})).writes + 8 < counts(noise).writes);
}

TEST_CASE("a transform of x0_hat leaves the column of x0 in the plan", "[plan][fold]") {
    const schedule::vp_linear vp;
    const plan p = solver::dpm_solver{}.plan(vp, interior_levels(vp, 4));
    const plan kept = fold(p, {prediction::v, vp}, output_column::data_prediction);
    CHECK(kept.output == output_column::data_prediction);
    for (std::size_t k = 0; k < p.calls.size(); ++k) {
        CHECK(kept.calls[k].then == p.calls[k].then);
        CHECK(kept.calls[k].x0 == convention(prediction::v, vp).call_at(p.calls[k].at).x0);
    }
}

TEST_CASE("a plan is folded once", "[plan][fold][errors]") {
    const schedule::edm edm;
    const convention network(prediction::edm(0.5), edm);
    const plan p = solver::ddim{}.plan(edm, interior_levels(edm, 3));
    CHECK(refusal([&] { static_cast<void>(fold(fold(p, network), network)); }) ==
          "fold: the plan is folded already");
    const plan scaled = fold(p, network, output_column::data_prediction);
    CHECK(refusal([&] { static_cast<void>(fold(scaled, network)); }) == "fold: the plan is folded already");
}

TEST_CASE("a level that does not determine x0 is refused with both names", "[plan][fold][errors]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = grid::karras(s.schedule, 4);
        if (levels.front().alpha > 0.0) { continue; }
        const plan p = solver::ddim{}.plan(s.schedule, levels);
        for (const named_prediction& prediction : predictions) {
            INFO(prediction.name << " on " << s.name);
            const std::string message =
                refusal([&] { static_cast<void>(fold(p, {prediction.type, s.schedule})); });
            const bool lost =
                prediction.name == "epsilon" || prediction.name == "score" || prediction.name == "k_diff 0";
            if (lost) {
                CHECK(contains(message, "prediction: x0 is not determined by " + to_string(prediction.type) +
                                            " at alpha = 0"));
            } else if (prediction.name == "flow_velocity" && contains(s.name, "discrete")) {
                CHECK(contains(
                    message,
                    "prediction: x0 is not determined by flow_velocity"));  // the rate of alpha is infinite
            } else {
                CHECK(message.empty());
            }
        }
    }
}

TEST_CASE("a network trained on one schedule samples on another as at home", "[plan][fold][identity]") {
    const std::vector<named_schedule> all = all_schedules();
    const auto any = [&](const char* name) {
        return std::find_if(all.begin(), all.end(), [&](const named_schedule& s) { return s.name == name; })
            ->schedule;
    };
    const std::vector<std::pair<any_schedule, const char*>> homes = {{any("vp_linear"), "vp_linear"},
                                                                     {any("discrete"), "discrete"},
                                                                     {any("flow"), "flow"},
                                                                     {any("edm"), "edm"},
                                                                     {any("trig"), "trig"}};
    for (const auto& [home, home_name] : homes) {
        for (const named_schedule& away : all) {
            for (const named_prediction& prediction : predictions) {
                const convention network(prediction.type, home);
                const levels_t there = interior_levels(away.schedule, 6);
                const levels_t native = interior_levels(home, 6);
                const double start = start_of(there);
                for (const named_solver& method :
                     {as_named("ddim", solver::ddim{}), as_named("unipc", solver::unipc{})}) {
                    INFO(prediction.name << " trained on " << home_name << ", " << method.name << " on "
                                         << away.name);
                    // x / alpha at equal sigma / alpha is the same on both
                    const double found =
                        run_folded(method.plan(away.schedule, there), network, start) / there.back().alpha;
                    const double moved = start / there.front().alpha * native.front().alpha;
                    const double expected =
                        run_folded(method.plan(home, native), network, moved) / native.back().alpha;
                    CHECK_THAT(found, WithinRel(expected, 1e-10));
                }
                for (std::size_t i = 0; i < there.size();
                     ++i) {  // asked at its own level of equal signal-to-noise ratio
                    const network_call call = network.call_at(there[i]);
                    CHECK_THAT(call.at.half_log_snr(), WithinAbs(native[i].half_log_snr(), 1e-10));
                    CHECK_THAT(call.at.alpha, WithinRel(native[i].alpha, 1e-10));
                }
            }
        }
    }
}

TEST_CASE("analyze is the run on a double with the exact Gaussian denoiser", "[plan][analyze][identity]") {
    const double mu = 0.7;
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            const levels_t levels = grid::log_snr(s.schedule, 6, {.sigma_max = 30.0, .last = last});
            for (const named_solver& method : all_solvers()) {
                const plan p = method.plan(s.schedule, levels);
                const std::size_t draws = counts(p).draws;
                for (const double v : {0.0, 0.02, 1.0, 40.0}) {
                    INFO(method.name << " on " << s.name << ", variance " << v);
                    const auto gauss = [&](double x, const level& at) {
                        return (at.alpha * v * x + at.sigma * at.sigma * mu) /
                               (at.alpha * at.alpha * v + at.sigma * at.sigma);
                    };
                    const transfer t = analyze(p, v);
                    const double start = start_of(levels);
                    const auto run = [&](double x, const std::vector<std::vector<double>>& noise) {
                        return run_on_double(p, s.schedule, x, gauss, nullptr, noise);
                    };
                    const std::vector<std::vector<double>> still(draws, std::vector<double>(1, 0.0));
                    const double from_zero = run(0.0, still);
                    const double size =
                        std::abs(t.start * start) + std::abs(t.mean * mu) + levels.back().alpha * mu;
                    // high orders weigh their history with large numbers of alternating sign; so does the
                    // noise form near the end
                    const bool high = contains(method.name, "8") || contains(method.name, "4");
                    const double tolerance = (high                             ? 1e-9
                                              : contains(method.name, "noise") ? 1e-12
                                                                               : 1e-13) *
                                             size;
                    CHECK_THAT(run(start, still), WithinAbs(t.start * start + t.mean * mu, tolerance));
                    CHECK_THAT(from_zero, WithinAbs(t.mean * mu, tolerance));
                    double variance = 0.0;  // one unit of each draw at a time
                    for (std::size_t d = 0; d < draws; ++d) {
                        auto one = still;
                        one[d][0] = 1.0;
                        const double gain = run(0.0, one) - from_zero;
                        variance += gain * gain;
                    }
                    CHECK_THAT(t.noise_variance, WithinAbs(variance, 1e-13 * (variance + size * size)));
                }
            }
        }
    }
}

TEST_CASE("the exact transfer is the limit of a fine plan, and ancestral steps keep the variance",
          "[plan][analyze][exact]") {
    const schedule::vp_linear vp;
    const levels_t fine = interior_levels(vp, 400);
    for (const double v : {0.1, 1.0, 4.0}) {
        const transfer exact = exact_transfer(fine.front(), fine.back(), v);
        const transfer ours = analyze(solver::unipc{.lower_order_final = false}.plan(vp, fine), v);
        CHECK_THAT(ours.start, WithinRel(exact.start, 1e-7));
        CHECK_THAT(ours.mean, WithinRel(exact.mean, 1e-7));
        // data in, data out: the variance of the marginal at the end, to first order in the step
        const level& a = fine.front();
        const level& b = fine.back();
        const transfer ancestral = analyze(solver::ddim{.eta = 1.0}.plan(vp, fine), v);
        const double in = a.alpha * a.alpha * v + a.sigma * a.sigma;
        const double out = b.alpha * b.alpha * v + b.sigma * b.sigma;
        CHECK_THAT(ancestral.start * ancestral.start * in + ancestral.noise_variance, WithinRel(out, 0.02));
    }
}

TEST_CASE("analyze refuses folded plans and variances below zero", "[plan][analyze][errors]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 3);
    const plan p = solver::ddim{}.plan(edm, levels);
    for (const double bad : {-1.0, not_a_number}) {
        CHECK(refusal([&] { static_cast<void>(analyze(p, bad)); }) ==
              "analyze: variance must be finite and >= 0");
        CHECK(refusal([&] { static_cast<void>(exact_transfer(levels[0], levels[1], bad)); }) ==
              "exact_transfer: variance must be finite and >= 0");
    }
    CHECK(refusal([&] { static_cast<void>(analyze(fold(p, {prediction::v, edm}), 1.0)); }) ==
          "analyze: the plan must not be folded");
    const plan scaled = fold(p, {prediction::edm(0.5), edm}, output_column::data_prediction);
    CHECK(refusal([&] { static_cast<void>(analyze(scaled, 1.0)); }) ==
          "analyze: the plan must not be folded");
}
