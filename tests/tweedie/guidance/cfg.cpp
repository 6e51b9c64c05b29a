// SPDX-License-Identifier: MIT

// Rules of guidance that are linear in the predictions: folded into the plan.

#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/guidance/cfg.hpp>
#include <tweedie/guidance/combined.hpp>
#include <tweedie/guidance/gradient.hpp>
#include <tweedie/plan/element.hpp>
#include <tweedie/plan/text.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/run/batch.hpp>
#include <tweedie/run/jump.hpp>
#include <tweedie/run/loop.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/solver/dpm_adaptive.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>

#include <cstdint>
#include <functional>

#include "../solver/checks.hpp"
#include "support.hpp"

using namespace tweedie;
using Eigen::MatrixXd;
using guidance::cfg;
using guidance::cfgpp;
using guidance::composed;
using guidance::guided;
using guidance::recfg;

namespace {

using state = std::vector<double>;

const state start = {1.1, -0.4, 0.3, 2.0, -1.7};

const auto conditional = [](prediction_type type, const any_schedule& s, std::size_t* calls = nullptr) {
    return gaussian_model(1.0, 0.5, type, s, calls);
};
const auto base = [](prediction_type type, const any_schedule& s, std::size_t* calls = nullptr) {
    return gaussian_model(-0.3, 2.0, type, s, calls);
};

std::vector<named_solver> some_solvers() {
    return {as_named("ddim", solver::ddim{}),
            as_named("ddim eta 1", solver::ddim{.eta = 1.0}),
            as_named("heun", solver::heun{}),
            as_named("dpm_solver", solver::dpm_solver{}),
            as_named("unipc", solver::unipc{}),
            as_named("unipc noise", solver::unipc{.predicts = solver::form::noise}),
            as_named("sde_dpm_solver", solver::sde_dpm_solver{})};
}

template <class Model>
state end_of(const plan& p, Model&& model, std::size_t* calls = nullptr) {
    state x = start;
    const run_result ended = sample(p, model, x, noise{.seed = 5});
    REQUIRE(ended);
    if (calls != nullptr) { *calls = ended.network_calls; }
    return x;
}

void check_close(const state& a, const state& b, double tolerance) {
    REQUIRE(a.size() == b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
        CHECK_THAT(a[i], WithinRel(b[i], tolerance) || WithinAbs(b[i], tolerance));
    }
}

/// Both networks in one, combined by hand in what they return: what the fold must equal.
template <class Weight>
auto by_hand(prediction_type type, const any_schedule& s, const Weight& weight) {
    const gaussian_network c = conditional(type, s).network();
    const gaussian_network u = base(type, s).network();
    return denoiser(
        [=](const state& x, const network_level& at, state& out) {
            const double w = weight(at);
            for (std::size_t i = 0; i < x.size(); ++i) {
                out[i] = u.at(x[i], at) + w * (c.at(x[i], at) - u.at(x[i], at));
            }
        },
        type, s);
}

/// Draw d is 1 at element d + 1 and 0 elsewhere: a linear run of such noise from (1, 0, 0, ...) shows its
/// coefficients, and with them the exact variance of what it ends with.
struct unit_noise {
    std::uint32_t draw = 0;

    [[nodiscard]] unit_noise stream(draw_kind, std::uint32_t d) const { return {d}; }
    template <class Scalar>
    void operator()(std::size_t, std::size_t first, std::span<Scalar> out) const {
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = first + i == draw + 1U ? Scalar(1) : Scalar(0);
        }
    }
};

/// The variance at the end of a guided run on zero-mean Gaussians, from noise of the right law.
template <class Rule>
double variance_of(const plan& p, const any_schedule& s, const Rule& rule, double sc2, double su2) {
    state x(counts(p).draws + 1, 0.0);
    x[0] = p.levels.front().sigma;
    REQUIRE(sample(p,
                   guided(rule, gaussian_model(0.0, sc2, prediction::x0, s),
                          gaussian_model(0.0, su2, prediction::x0, s)),
                   x, unit_noise{}));
    double sum = 0.0;
    for (const double v : x) { sum += v * v; }
    return sum;
}

}  // namespace

TEST_CASE("cfg reads one tensor more per call, and makes no pass more", "[guidance][cfg][cost]") {
    const schedule::vp_linear vp;
    const auto g =
        guided(cfg{.weight = 3.0}, conditional(prediction::epsilon, vp), base(prediction::epsilon, vp));
    for (const named_solver& method : some_solvers()) {
        INFO(method.name);
        const plan p = method.plan(vp, interior_levels(vp, 8));
        const plan_counts one = counts(fold(p, g.convention()));
        const plan_counts two = counts(g.fold(p, output_column::network));
        CHECK(two.network_calls == 2 * one.network_calls);
        CHECK(two.draws == one.draws);
        CHECK(two.live_tensors == one.live_tensors);
        if (method.name == "unipc noise") {
            continue;
        }  // an epsilon network's history moved, and is computed now
        CHECK(two.writes == one.writes);
        CHECK(two.reads == one.reads + p.calls.size());
        CHECK(program(p, g).network_calls() == p.calls.size());
        CHECK(program(p, g).evaluations() == 2 * p.calls.size());
    }
}

TEST_CASE("cfg of weight 1 is the conditional run to the bit, of weight 0 the base's; nobody else is asked",
          "[guidance][cfg][exact]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 6);
        for (const prediction_type& type : {prediction::x0, prediction::v, prediction::edm(0.5)}) {
            const auto c = conditional(type, s.schedule);
            const auto nobody = silent_model(type, s.schedule);
            for (const named_solver& method : some_solvers()) {
                INFO(method.name << " on " << s.name << ", " << to_string(type));
                const plan p = method.plan(s.schedule, levels);
                std::size_t calls = 0;
                const state alone = end_of(p, c);
                CHECK(end_of(p, guided(cfg{}, c, nobody), &calls) == alone);
                CHECK(calls == p.calls.size());
                CHECK(end_of(p, guided(cfg{.weight = 0.0}, nobody, c), &calls) == alone);
                CHECK(calls == p.calls.size());
            }
        }
    }
}

TEST_CASE("cfg is the same as combining what the networks return, for any solver, schedule and prediction",
          "[guidance][cfg][identity]") {
    for (const named_schedule& s : all_schedules()) {
        const levels_t levels = interior_levels(s.schedule, 6);
        for (const prediction_type& type : {prediction::x0, prediction::epsilon, prediction::v,
                                            prediction::flow_velocity, prediction::edm(0.5)}) {
            for (const double w : {3.0, -1.5, 0.3}) {
                const auto weight = [w](const level&) { return w; };
                const auto g =
                    guided(cfg{.weight = w}, conditional(type, s.schedule), base(type, s.schedule));
                for (const named_solver& method : some_solvers()) {
                    INFO(method.name << " on " << s.name << ", " << to_string(type) << ", weight " << w);
                    const plan p = method.plan(s.schedule, levels);
                    // epsilon and -1.5: differences of numbers some 1e2 larger
                    check_close(end_of(p, g), end_of(p, by_hand(type, s.schedule, weight)), 1e-10);
                }
            }
        }
    }
}

TEST_CASE("cfg takes its weight by level, and evaluates the base where it is read", "[guidance][cfg][cost]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 12);
    const plan p = solver::dpm_solver{}.plan(edm, levels);
    const auto cosine = [](const level& at) { return 2.0 + std::cos(at.sigma); };
    check_close(
        end_of(p, guided(cfg{.at = cosine}, conditional(prediction::x0, edm), base(prediction::x0, edm))),
        end_of(p, by_hand(prediction::x0, edm, cosine)), tol<double>::identity);

    const cfg within{.weight = 3.0, .interval = {levels[8].sigma, levels[4].sigma}};
    const auto window = [&](const level& at) { return within.interval.contains(at) ? 3.0 : 1.0; };
    std::size_t of_c = 0;
    std::size_t of_u = 0;
    std::size_t calls = 0;
    check_close(
        end_of(p, guided(within, conditional(prediction::x0, edm, &of_c), base(prediction::x0, edm, &of_u)),
               &calls),
        end_of(p, by_hand(prediction::x0, edm, window)), tol<double>::identity);
    CHECK(of_c == 12);
    CHECK(of_u == 4);  // levels 4 to 7: above the lower end, up to the higher
    CHECK(calls == 16);
}

TEST_CASE("guided Gaussians end with the variances of theory, not with that of the tilted density",
          "[guidance][cfg][exact]") {
    // The base may as well be a weaker network of the same condition: autoguidance has the same law.
    const schedule::edm edm;
    const double sc2 = 1.0;
    const double su2 = 2.0;
    const levels_t levels = grid::log_snr(edm, 600, {.sigma_max = 2000.0, .sigma_min = 1e-3});
    const plan ode = solver::heun{}.plan(edm, levels);
    for (const double w : {-0.5, 0.0, 1.0, 2.0, 3.0}) {
        const double found = variance_of(ode, edm, cfg{.weight = w}, sc2, su2);
        CHECK_THAT(found, WithinRel(std::pow(sc2, w) * std::pow(su2, 1.0 - w), 5e-4));
    }
    const double lo = 0.3;
    const double hi = 2.0;
    const double law = std::pow((sc2 + lo * lo) / (sc2 + hi * hi), 2.0) *
                       std::pow((su2 + lo * lo) / (su2 + hi * hi), -2.0) * sc2;
    // the bounds fall between two of 600 levels
    CHECK_THAT(variance_of(ode, edm, cfg{.weight = 3.0, .interval = {lo, hi}}, sc2, su2),
               WithinRel(law, 1e-2));

    const plan sde = solver::sde_dpm_solver{}.plan(edm, levels);
    for (const double w : {0.0, 1.0, 2.0, 3.0}) {
        const double stochastic = (2.0 - std::pow(2.0, 2.0 - 2.0 * w)) / (2.0 * w - 1.0);
        CHECK_THAT(variance_of(sde, edm, cfg{.weight = w}, sc2, su2), WithinRel(stochastic, 2e-3));
    }
}

TEST_CASE("guided Gaussians of one variance are shifted, exactly", "[guidance][cfg][exact]") {
    const schedule::edm edm;
    const levels_t levels = grid::log_snr(edm, 400, {.sigma_max = 2000.0, .sigma_min = 1e-3});
    const plan p = solver::heun{}.plan(edm, levels);
    state x = {0.0};
    REQUIRE(sample(p,
                   guided(cfg{.weight = 3.0}, gaussian_model(1.5, 0.7, prediction::x0, edm),
                          gaussian_model(0.5, 0.7, prediction::x0, edm)),
                   x));
    CHECK_THAT(x[0], WithinAbs(0.5 + 3.0 * (1.5 - 0.5), 2e-3));
}

TEST_CASE("cfgpp is DDIM whose noise is the base's, and the same up the noise levels",
          "[guidance][cfg][identity]") {
    for (const any_schedule& s : {any_schedule(schedule::vp_linear{}), any_schedule(schedule::flow{})}) {
        levels_t levels = interior_levels(s, 20);
        for (const bool up : {false, true}) {
            if (up) { std::reverse(levels.begin(), levels.end()); }
            for (const double lambda : {0.6, 1.0, 0.0}) {
                const auto c = conditional(prediction::epsilon, s);
                const auto u = base(prediction::epsilon, s);
                state x = start;
                for (std::size_t i = 0; i + 1 < levels.size(); ++i) {
                    const level from = levels[i];
                    const level to = levels[i + 1];
                    for (double& v : x) {
                        const double nu = u.network().at(v, from);
                        const double e = nu + lambda * (c.network().at(v, from) - nu);
                        // down: x0 from e, re-noised with u; up: x0 from u, noised with e
                        v = up ? to.alpha * (v - from.sigma * nu) / from.alpha + to.sigma * e
                               : to.alpha * (v - from.sigma * e) / from.alpha + to.sigma * nu;
                    }
                }
                const plan p = solver::ddim{}.plan(s, levels);
                check_close(end_of(p, guided(cfgpp{.lambda = lambda}, c, u)), x, 1e-13);
            }
        }
    }
}

TEST_CASE("cfgpp draws Gaussians together as its steps become more", "[guidance][cfg][exact]") {
    const schedule::edm edm;
    double last = 10.0;
    for (const int steps : {10, 50, 250}) {
        const plan p =
            solver::ddim{}.plan(edm, grid::log_snr(edm, steps, {.sigma_max = 80.0, .sigma_min = 0.01}));
        const double found = variance_of(p, edm, cfgpp{.lambda = 0.6}, 0.5, 2.0);
        CHECK(found < 0.1 * last);
        last = found;
    }
}

TEST_CASE("recfg combines noise, whatever the networks predict; coefficient -1 is cfg",
          "[guidance][cfg][identity]") {
    const auto lookup = [](const level& at) { return -1.0 + 0.1 * std::tanh(at.sigma / at.alpha); };
    const auto minus_one = [](const level&) { return -1.0; };
    for (const any_schedule& s : {any_schedule(schedule::vp_linear{}), any_schedule(schedule::edm{})}) {
        const levels_t levels = interior_levels(s, 8);
        const gaussian_network c = conditional(prediction::epsilon, s).network();
        const gaussian_network u = base(prediction::epsilon, s).network();
        const denoiser hand(
            [&](const state& x, const network_level& at, state& out) {
                for (std::size_t i = 0; i < x.size(); ++i) {
                    out[i] = 2.5 * c.at(x[i], at) + 1.5 * lookup(at) * u.at(x[i], at);
                }
            },
            prediction::epsilon, s);
        for (const named_solver& method : some_solvers()) {
            INFO(method.name);
            const plan p = method.plan(s, levels);
            for (const prediction_type& type : {prediction::epsilon, prediction::x0, prediction::v}) {
                const auto with = [&](const auto& rule) {
                    return end_of(p, guided(rule, conditional(type, s), base(type, s)));
                };
                check_close(with(recfg{2.5, lookup}), end_of(p, hand), 1e-10);
                check_close(with(recfg{2.5, minus_one}), with(cfg{.weight = 2.5}), 1e-12);
            }
        }
    }
}

TEST_CASE("composed adds the conditions' differences; one of them is cfg", "[guidance][cfg][identity]") {
    const schedule::flow flow;
    const levels_t levels = interior_levels(flow, 8);
    const auto model = [&](double mean, double variance) {
        return gaussian_model(mean, variance, prediction::flow_velocity, flow);
    };
    const auto a = model(1.0, 0.5);
    const auto b = model(-2.0, 0.2);
    const auto avoid = model(0.5, 1.0);
    const auto u = model(0.0, 2.0);
    const denoiser hand(
        [&](const state& x, const network_level& at, state& out) {
            for (std::size_t i = 0; i < x.size(); ++i) {
                const double low = u.network().at(x[i], at);
                out[i] = low + 2.0 * (a.network().at(x[i], at) - low) +
                         1.5 * (b.network().at(x[i], at) - low) - 0.7 * (avoid.network().at(x[i], at) - low);
            }
        },
        prediction::flow_velocity, flow);
    for (const named_solver& method : some_solvers()) {
        INFO(method.name);
        const plan p = method.plan(flow, levels);
        std::size_t calls = 0;
        check_close(end_of(p, guided(composed{{2.0, 1.5, -0.7}}, a, b, avoid, u), &calls), end_of(p, hand),
                    1e-11);
        CHECK(calls == 4 * p.calls.size());
        CHECK(end_of(p, guided(composed{{2.5}}, a, u)) == end_of(p, guided(cfg{.weight = 2.5}, a, u)));
    }
    const plan p = solver::ddim{}.plan(flow, levels);
    const auto outside = guided(composed{{2.0, 1.0, -0.7}, {100.0, 200.0}}, a, b, avoid, u);
    static_cast<void>(end_of(p, outside));
    CHECK(outside.fold(p, output_column::network).calls[0].blend ==
          std::vector<double>{2.0 / 3, 1.0 / 3, 0, 0});
}

TEST_CASE("classifier-free guidance is guidance by the exact classifier's gradient",
          "[guidance][cfg][exact]") {
    // Two Gaussians of one variance: log p(one | x) is a logistic function of a linear one.
    const Eigen::VectorXd m0 = Eigen::Vector2d(2.0, 0.5);
    const Eigen::VectorXd m1 = Eigen::Vector2d(-1.0, 0.0);
    const double v = 0.3;
    const analytic::gaussian one = analytic::gaussian::isotropic(m0, v);
    const analytic::mixture any({0.6, 0.4}, {one, analytic::gaussian::isotropic(m1, v)});
    const auto classifier = [&](const MatrixXd& x, const level& at, const MatrixXd&, MatrixXd& out) {
        const double total = at.alpha * at.alpha * v + at.sigma * at.sigma;
        for (Eigen::Index i = 0; i < x.cols(); ++i) {
            const double d0 = (x.col(i) - at.alpha * m0).squaredNorm();
            const double d1 = (x.col(i) - at.alpha * m1).squaredNorm();
            const double other = 1.0 / (1.0 + 0.6 / 0.4 * std::exp((d1 - d0) / (2.0 * total)));
            out.col(i) = at.alpha / total * other * (m0 - m1);
        }
    };
    for (const any_schedule& s : {any_schedule(schedule::vp_linear{}), any_schedule(schedule::edm{})}) {
        const denoiser c(std::cref(one), prediction::x0, s);
        const denoiser u(std::cref(any), prediction::x0, s);
        const plan p = solver::unipc{}.plan(s, interior_levels(s, 8));
        for (const double w : {1.0, 3.0, -0.5}) {
            MatrixXd x(2, 16);
            start_from_noise(x, p.levels.front(), noise{.seed = 1});
            MatrixXd y = x;
            REQUIRE(sample(p, guided(cfg{.weight = w}, c, u), x));
            REQUIRE(sample(p, guidance::with_gradient(u, classifier, w), y));
            CHECK((x - y).cwiseAbs().maxCoeff() < 1e-11);
        }
    }
}

TEST_CASE("a joint network makes both predictions in one call, and is told which are wanted",
          "[guidance][cfg][cost]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 6);
    const plan p = solver::heun{}.plan(edm, levels);
    const auto c = conditional(prediction::edm(0.5), edm);
    const auto u = base(prediction::edm(0.5), edm);
    std::size_t asked = 0;
    std::size_t wanted = 0;
    const denoiser both(
        [&](const state& x, const network_level& at, std::span<state* const> outputs) {
            ++asked;
            REQUIRE(outputs.size() == 2);
            for (const state* out : outputs) { wanted += out != nullptr ? 1U : 0U; }
            if (outputs[0] != nullptr) { c.network()(x, at, *outputs[0]); }
            if (outputs[1] != nullptr) { u.network()(x, at, *outputs[1]); }
        },
        prediction::edm(0.5), edm);
    const cfg rule{.weight = 2.0, .interval = {1.0, 10.0}};
    std::size_t calls = 0;
    CHECK(end_of(p, guided(rule, both), &calls) == end_of(p, guided(rule, c, u)));
    CHECK(asked == p.calls.size());
    CHECK(wanted == calls);
    CHECK(calls < 2 * p.calls.size());
    CHECK(calls > p.calls.size());
}

TEST_CASE("guided models run in every backend, in steppers of one's own, and after a jump",
          "[guidance][cfg]") {
    const schedule::vp_linear vp;
    const plan p = solver::sde_dpm_solver{}.plan(vp, interior_levels(vp, 6));
    const auto c = conditional(prediction::v, vp);
    const auto u = base(prediction::v, vp);
    auto g = guided(cfg{.weight = 3.0}, c, u);
    const state expected = end_of(p, g);

    std::vector<float> single(start.begin(), start.end());
    REQUIRE(sample(p, g, single, noise{.seed = 5}));
    for (std::size_t i = 0; i < start.size(); ++i) {
        CHECK_THAT(static_cast<double>(single[i]), WithinAbs(expected[i], 1e-4));
    }
    Eigen::VectorXd eigen = Eigen::Map<const Eigen::VectorXd>(start.data(), 5);
    REQUIRE(sample(p, g, eigen, noise{.seed = 5}));
    for (std::size_t i = 0; i < start.size(); ++i) {
        CHECK_THAT(eigen(static_cast<Eigen::Index>(i)), WithinRel(expected[i], 1e-12));
    }

    stepper s(program(p, g), start, noise{.seed = 5});
    const auto go_on = [&](auto& run, std::size_t most) {
        state a(5);
        state b(5);
        while (const auto asked = run.next()) {
            if (most-- == 0) { return; }
            REQUIRE(asked->blend.size() == 2);
            c.network()(asked->x, asked->level, a);
            u.network()(asked->x, asked->level, b);
            state* const outputs[] = {&a, &b};
            run.supply(outputs);
        }
    };
    go_on(s, 3);
    const auto written = s.save();
    stepper resumed(program(p, g), written, noise{.seed = 5});
    go_on(s, 100);
    go_on(resumed, 100);
    CHECK(s.x() == expected);
    CHECK(resumed.x() == expected);
    CHECK(resumed.result().network_calls == 12);
    CHECK(program(p, g).fingerprint() != program(p, guided(cfg{.weight = 2.0}, c, u)).fingerprint());

    struct no_move {
        level at;
        [[nodiscard]] level from() const { return at; }
        [[nodiscard]] level to() const { return at; }
        void operator()(state&) const {}
    };
    struct jumped {
        plan then;
        [[nodiscard]] const plan& rest() const { return then; }
        [[nodiscard]] no_move jump() const { return {then.levels.front()}; }
    };
    state x = start;
    REQUIRE(sample(jumped{p}, g, x, noise{.seed = 5}));
    CHECK(x == expected);
}

TEST_CASE("hooks see and change the guided data prediction", "[guidance][cfg]") {
    const schedule::edm edm;
    const plan p = solver::dpm_solver{}.plan(edm, interior_levels(edm, 6));
    const prediction_type type = prediction::edm(0.5);
    const auto g = guided(cfg{.weight = 3.0}, conditional(type, edm), base(type, edm));
    const auto hand = by_hand(type, edm, [](const level&) { return 3.0; });
    const auto run = [&](const auto& model) {
        state seen;
        std::size_t evaluations = 0;
        state x = start;
        REQUIRE(sample(p, model, x,
                       hooks{.observe =
                                 [&](const observation<state>& o) {
                                     seen.insert(seen.end(), o.x.begin(), o.x.end());
                                     seen.insert(seen.end(), o.x0_hat.begin(), o.x0_hat.end());
                                     evaluations = o.network_calls;
                                 },
                             .transform =
                                 [](state& x0, const level&) {
                                     for (double& v : x0) { v = std::clamp(v, -1.0, 1.0); }
                                 },
                             .edit = [](state& y, const level&) { y[0] += 0.01; }}));
        seen.insert(seen.end(), x.begin(), x.end());
        return std::pair(seen, evaluations);
    };
    const auto [of_guided, evaluations] = run(g);
    check_close(of_guided, run(hand).first, 1e-11);
    CHECK(evaluations == 12);
}

TEST_CASE("a plan of several outputs is written and read back, with fields too", "[guidance][cfg][plan]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 3);
    const auto g = guided(composed{{2.0, -0.5}}, conditional(prediction::v, edm), base(prediction::v, edm),
                          base(prediction::v, edm));
    plan_writer w("fields", levels);
    plan_variable x = w.state();
    plan_variable old = w.variable("old");
    old = x;
    const field a(std::vector<double>{0.5, 0.25, 0.125, 0.1, 0.9});
    for (std::size_t i = 0; i < w.steps(); ++i) {
        const auto [s, t] = w.step(i);
        const linear_form m = w.data_prediction(x, s);
        const linear_form past = old;
        old = m;
        x = a * x + (1.0 - a) * m + 0.1 * past + 0.1 * (a * w.noise()) + w.constant(a);
    }
    const plan p = w.finish(x);
    const plan folded = g.fold(p, output_column::network);
    CHECK(folded.outputs == 3);
    CHECK(parse_plan(to_text(folded)) == folded);
    CHECK(refusal([&] { static_cast<void>(fold(folded, g.convention())); }) ==
          "fold: the plan is folded already");
    const plan sde = solver::sde_dpm_solver{}.plan(edm, levels);
    for (const output_column column : {output_column::network, output_column::data_prediction}) {
        CHECK(parse_plan(to_text(g.fold(sde, column))) == g.fold(sde, column));
    }
    // element by element, a plan with fields is one without
    const state all = end_of(p, g);
    for (std::size_t e = 0; e < 5; ++e) { CHECK_THAT(end_of(element(p, e), g)[e], WithinRel(all[e], 1e-12)); }
}

TEST_CASE("guided runs share the calls of a batch, and get the bits they get alone", "[guidance][cfg]") {
    const schedule::vp_linear vp;
    const plan p = solver::sde_dpm_solver{}.plan(vp, interior_levels(vp, 6));
    const auto c = conditional(prediction::v, vp);
    const auto u = base(prediction::v, vp);
    const auto g = guided(cfg{.weight = 3.0, .interval = {0.5, 5.0}}, c, u);
    batch runs(stepper(program(p, g), start, noise{.seed = 5}));
    runs.add(stepper(p, c.convention(), start, noise{.seed = 5}));
    runs.add(stepper(program(p, guided(cfg{.weight = 0.0}, c, u)), start, noise{.seed = 5}));
    std::size_t evaluated = 0;
    const auto network = [&](const batched_query<state>& asked) {
        for (std::size_t i = 0; i < asked.inputs.size(); ++i) {
            (asked.branches[i] == 0 ? c : u).network()(*asked.inputs[i], *asked.levels[i], *asked.outputs[i]);
            ++evaluated;
        }
    };
    std::size_t expected = 0;
    std::vector<state> alone = {end_of(p, g, &expected), end_of(p, c), end_of(p, u)};
    while (runs.advance(network, 2) > 0) {}
    std::size_t ended = 0;
    runs.finished([&](std::size_t id, auto&& run) {
        CHECK(run.x() == alone[id]);
        ++ended;
    });
    CHECK(ended == 3);
    CHECK(evaluated == expected + 6 + 6);
    CHECK(expected < 12);
}

TEST_CASE("combined is guidance for adaptive samplers, of networks of any conventions",
          "[guidance][cfg][identity]") {
    const schedule::vp_linear vp;
    const auto loop = solver::dpm_adaptive{.rtol = 1e-3}.loop(vp, interior_levels(vp, 2));
    const auto weight = [](const level& at) { return 2.0 + std::tanh(at.sigma); };
    const auto lookup = [](const level&) { return -0.9; };
    const auto c = conditional(prediction::v, vp);
    const auto u = base(prediction::epsilon, vp);
    state x = start;
    state y = start;
    auto both = guidance::combined(cfg{.at = weight}, c, u);
    const auto ended = sample(loop, both, x);
    REQUIRE(ended);
    REQUIRE(sample(loop, by_hand(prediction::x0, vp, weight), y));
    check_close(x, y, 1e-9);
    CHECK(both.network().calls() == 2 * ended.network_calls);

    const plan p = solver::unipc{}.plan(vp, interior_levels(vp, 6));
    for (const double w : {1.0, 2.5}) {
        check_close(end_of(p, guidance::combined(recfg{w, lookup}, c, u)),
                    end_of(p, guided(recfg{w, lookup}, c, base(prediction::v, vp))), 1e-11);
    }
    CHECK(refusal([&] { static_cast<void>(end_of(p, guidance::combined(cfgpp{}, c, u))); }) ==
          "cfgpp: a step must change the noise level");
    CHECK(refusal([&] { static_cast<void>(guidance::combined(cfg{}, c)); }) ==
          "combined: the rule combines 2 networks, given 1");
}

TEST_CASE("guidance refuses what it cannot run", "[guidance][cfg][errors]") {
    const schedule::edm edm;
    const plan p = solver::ddim{}.plan(edm, interior_levels(edm, 3));
    const auto c = conditional(prediction::x0, edm);
    const auto u = base(prediction::x0, edm);
    const auto run = [&](const auto& rule) {
        state x = start;
        return refusal([&] { static_cast<void>(sample(p, guided(rule, c, u), x)); });
    };
    CHECK(run(cfg{.weight = not_a_number}) == "cfg: the weight must be finite");
    CHECK(run(cfg{.weight = infinity}) == "cfg: the weight must be finite");
    CHECK(run(cfg{.at = [](const level&) { return not_a_number; }}) == "cfg: the weight must be finite");
    CHECK(run(cfg{.interval = {2.0, 1.0}}) == "cfg: the interval must have 0 <= low <= high");
    CHECK(run(cfg{.interval = {not_a_number, 1.0}}) == "cfg: the interval must have 0 <= low <= high");
    CHECK(run(cfgpp{.lambda = not_a_number}) == "cfgpp: the weight must be finite");
    CHECK(run(recfg{.weight = 2.0}) == "recfg: need coefficients by level");
    CHECK(run(composed{{not_a_number}}) == "composed: the weight must be finite");
    CHECK(run(composed{{-1.0}, {1e3, 1e4}}) == "composed: outside the interval a weight must be positive");
    CHECK(run(composed{}) == "guided: a rule combines two networks or more, at most 32");
    CHECK(run(composed{{1.0, 2.0}}) == "guided: the rule combines 3 networks, given 2");
    CHECK(refusal([&] { static_cast<void>(guided(cfg{}, c, base(prediction::v, edm))); }) ==
          "guided: the networks must have one convention");
    CHECK(refusal([&] {
              static_cast<void>(guided(cfg{}, c, base(prediction::x0, schedule::vp_linear{}))
                                    .fold(p, output_column::network));
          }) == "guided: the networks must have one convention");

    const auto g = guided(cfg{.weight = 2.0}, c, u);
    stepper s(program(p, g), start);
    state a(5, 0.1);
    state b(4, 0.1);
    state* const outputs[] = {&a, &b};
    CHECK(refusal([&] { s.supply(a); }) == "stepper: the plan's calls have 2 outputs, supplied with 1");
    CHECK(refusal([&] { s.supply(outputs); }) == "network: the output must have the shape of x");
    CHECK(s.result().network_calls == 0);
    const denoiser wrong([](const state&, const network_level&, state& out) { out.resize(3); },
                         prediction::x0, edm);
    state x = start;
    CHECK(refusal([&] { static_cast<void>(sample(p, guided(cfg{.weight = 2.0}, c, wrong), x)); }) ==
          "network: the output must have the shape of x");
    const denoiser nan([](const state&, const network_level&, state& out) { out[0] = not_a_number; },
                       prediction::x0, edm);
    CHECK(sample(p, guided(cfg{.weight = 2.0}, c, nan), x).status == run_status::non_finite);

    plan broken = g.fold(p, output_column::network);
    broken.calls[1].blend = {1.0};
    CHECK(refusal([&] { require_plan(broken); }) ==
          "plan: the blend of a call must have one weight per output");
    broken.calls[1].blend = {1.0, not_a_number};
    CHECK(refusal([&] { require_plan(broken); }) == "plan: the blend of a call must be finite");
    broken.outputs = 0;
    CHECK(refusal([&] { require_plan(broken); }) == "plan: a call must have at least one output");
    CHECK(refusal([&] {
              static_cast<void>(fold(p, g.convention(), output_column::network, {{{1.0, 0.0}}}));
          }) == "fold: need one blend for each network call");
}
