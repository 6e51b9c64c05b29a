// SPDX-License-Identifier: MIT
#include <tweedie/plan/analyze.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/allocations.hpp>
#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

using namespace tweedie;

TEST_CASE("sample gives what the plan's transfer says, for every host tensor", "[run][sample][exact]") {
    const plan p = edm_plan(solver::unipc{}, 8);
    const exact_gaussian data;
    const transfer exact = analyze(p, data.variance);
    const auto expected = [&](double x) { return exact.start * x + exact.mean * data.mean; };
    auto model = exact_model();

    std::vector<double> x = {80.0, -13.0, 4.5};
    const std::vector<double> x_start = x;
    REQUIRE(sample(p, model, x));
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK_THAT(x[i], WithinRel(expected(x_start[i]), tol<double>::identity));
    }

    std::vector<float> single = {80.0F, -13.0F, 4.5F};
    REQUIRE(sample(p, model, single));
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK_THAT(single[i], WithinRel(static_cast<float>(x[i]), tol<float>::reference));
    }

    std::array<double, 3> fixed = {80.0, -13.0, 4.5};
    REQUIRE(sample(p, model, fixed));
    CHECK(std::equal(x.begin(), x.end(), fixed.begin()));

    std::vector<double> memory = x_start;
    REQUIRE(sample(p, model, std::span<double>(memory)));
    CHECK(memory == x);

    double number = 80.0;
    denoiser scalar([&](double value, const network_level& at) { return data.x0_hat(value, at); },
                    prediction::x0, schedule::edm{});
    REQUIRE(sample(p, scalar, number));
    CHECK(number == x[0]);
}

TEST_CASE("sample takes every form of network, to the same bits", "[run][sample][identity]") {
    using tensor = std::vector<float>;
    const plan p = edm_plan(solver::dpm_solver{}, 6);
    const schedule::edm schedule;
    const exact_gaussian net;
    tensor written = start(17, p);
    const tensor x_start = written;
    REQUIRE(sample(p, exact_model(), written));

    tensor memory(17);
    const auto run = [&](auto network) {
        tensor x = x_start;
        denoiser model(std::move(network), prediction::x0, schedule);
        REQUIRE(sample(p, model, x));
        return x;
    };
    CHECK(run([&](const tensor& x, const network_level& at) {
              tensor out(x.size());
              net(x, at, out);
              return out;
          }) == written);
    CHECK(run([&](const tensor& x, const network_level& at) -> const tensor& {
              net(x, at, memory);
              return memory;
          }) == written);
    CHECK(run([&](const tensor& x, const network_level& at) {
              net(x, at, memory);
              return std::span<const float>(memory);
          }) == written);
    CHECK(run([&](std::span<const float> x, const level& at) {  // a network that knows plain levels only
              for (std::size_t i = 0; i < x.size(); ++i) {
                  memory[i] = static_cast<float>(net.x0_hat(static_cast<double>(x[i]), at));
              }
              return memory;
          }) == written);
    const auto reference_to = [&](const tensor& x, const network_level& at, tensor& out) { net(x, at, out); };
    CHECK(run(std::ref(reference_to)) == written);

    const denoiser constant(net, prediction::x0, schedule);  // a const denoiser with a const network
    tensor x = x_start;
    REQUIRE(sample(p, constant, x));
    CHECK(x == written);
}

TEST_CASE("sample folds prediction, preconditioning and input scale into the same trajectory",
          "[run][sample][identity]") {
    // F of EDM's preconditioning, made from the exact denoiser; it must be fed c_in x and told ln(sigma) / 4.
    const double d2 = 0.25;
    const exact_gaussian data;
    const auto raw = [&](const std::vector<double>& input, const network_level& at) {
        const double s2 = at.sigma * at.sigma;
        std::vector<double> out;
        CHECK_THAT(at.condition, WithinAbs(std::log(at.sigma) / 4, tol<double>::exact));
        for (const double y : input) {
            const double x = y * std::sqrt(s2 + d2);
            out.push_back((data.x0_hat(x, at) - d2 / (s2 + d2) * x) * std::sqrt(s2 + d2) /
                          (at.sigma * std::sqrt(d2)));
        }
        return out;
    };
    const schedule::edm schedule;
    const denoiser preconditioned(raw, prediction::edm(0.5), schedule,
                                  {.time = condition::sigma_quarter_log});
    for (const plan& p :
         {edm_plan(solver::ddim{}, 5), edm_plan(solver::heun{}, 5), edm_plan(solver::unipc{}, 9)}) {
        std::vector<double> plain = start<double>(5, p);
        std::vector<double> folded = plain;
        std::vector<double> seen;
        REQUIRE(sample(p, exact_model(), plain));
        REQUIRE(sample(
            p, preconditioned, folded, {}, hooks{.observe = [&](const observation<std::vector<double>>& o) {
                seen.push_back(o.x[0]);
                CHECK_THAT(o.x0_hat[0], WithinAbs(data.x0_hat(o.x[0], o.at), tol<double>::identity));
            }}));
        CHECK(seen.size() == p.levels.size() - 1);
        CHECK_THAT(seen[0], WithinRel(start<double>(5, p)[0], tol<double>::exact));
        for (std::size_t i = 0; i < plain.size(); ++i) {
            CHECK_THAT(folded[i], WithinRel(plain[i], tol<double>::identity));
        }
    }
}

TEST_CASE("sample makes the plan's network calls and no allocation after the first", "[run][sample][cost]") {
    const plan plans[] = {edm_plan(solver::ddim{}, 12), edm_plan(solver::ddim{.eta = 1.0}, 12),
                          edm_plan(solver::heun{}, 12), edm_plan(solver::dpm_solver{}, 12),
                          edm_plan(solver::unipc{}, 12)};
    for (const plan& p : plans) {
        for (const prediction_type type : {prediction::x0, prediction::epsilon}) {
            std::size_t calls = 0;
            std::size_t at_first = 0;
            std::size_t at_last = 0;
            const auto network = [&](const std::vector<float>& x, const network_level&,
                                     std::vector<float>& out) {
                if (calls == 0) { at_first = allocations(); }
                at_last = allocations();
                ++calls;
                for (std::size_t i = 0; i < x.size(); ++i) { out[i] = 0.5F * x[i]; }
            };
            std::vector<float> x = start(4096, p);
            const run_result result =
                sample(p, denoiser(network, type, schedule::edm{}), x, noise{.seed = 1});
            CHECK(result);
            CHECK(result.network_calls == counts(p).network_calls);
            CHECK(calls == counts(p).network_calls);
            CHECK(result.step == 12);
            CHECK(at_last == at_first);
        }
    }
}

TEST_CASE("sample reports the step at which the network was not finite", "[run][sample][errors]") {
    const plan p = edm_plan(solver::unipc{}, 7);
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        for (const prediction_type type : {prediction::x0, prediction::epsilon}) {
            std::size_t calls = 0;
            const denoiser model(
                [&](const std::vector<float>& x, const network_level&) {
                    std::vector<float> out(x.size(), 0.1F);
                    if (calls++ == 4) { out[13] = static_cast<float>(bad); }
                    return out;
                },
                type, schedule::edm{});
            std::vector<float> x = start(40, p);
            const run_result result = sample(p, model, x);
            CHECK_FALSE(result);
            CHECK(result.status == run_status::non_finite);
            CHECK(result.step == 4);
            CHECK(result.network_calls == 5);
            CHECK(std::string(to_string(result.status)).find("check the network") != std::string::npos);
        }
    }
}

TEST_CASE("sample refuses wrong use in words", "[run][sample][errors]") {
    const plan p = edm_plan(solver::ddim{}, 3);
    const auto message = [](auto&& call) {
        try {
            call();
        } catch (const std::invalid_argument& error) { return std::string(error.what()); }
        return std::string("nothing thrown");
    };
    std::vector<float> x = start(8, p);
    const std::vector<float> before = x;
    const denoiser wrong_shape(
        [](const std::vector<float>&, const network_level&) { return std::vector<float>(5); }, prediction::x0,
        schedule::edm{});
    CHECK(message([&] { (void)sample(p, wrong_shape, x); }) ==
          "network: the output must have the shape of x");
    const denoiser wrong_span(
        [](const std::vector<float>& y, const network_level&) { return std::span(y).subspan(1); },
        prediction::x0, schedule::edm{});
    CHECK(message([&] { (void)sample(p, wrong_span, x); }) == "network: the output must have the shape of x");
    CHECK(x == before);

    std::vector<float> empty;
    CHECK(message([&] { (void)sample(p, exact_model(), empty); }) == "stepper: x is empty");

    const plan stochastic = edm_plan(solver::ddim{.eta = 0.5}, 3);
    CHECK(message([&] { (void)sample(stochastic, exact_model(), x); }).find("give it a source") !=
          std::string::npos);

    plan foreign = p;
    foreign.calls[0].then.rows[0].weights.pop_back();
    CHECK(message([&] { (void)sample(foreign, exact_model(), x); }) ==
          "plan: row x must have one weight per register, output and draw");
    foreign = p;
    foreign.calls.clear();
    CHECK(message([&] { (void)sample(foreign, exact_model(), x); }) ==
          "plan: need at least one network call");
    foreign = p;
    foreign.calls[0].then.rows[0].weights[0] = std::numeric_limits<double>::quiet_NaN();
    CHECK(message([&] { (void)sample(foreign, exact_model(), x); }) ==
          "plan: weights must be finite (row x)");
    foreign = p;
    foreign.calls[1].query = 2;
    CHECK(message([&] { (void)sample(foreign, exact_model(), x); }) ==
          "plan: a call must evaluate an existing register");

    const denoiser throwing(
        [](const std::vector<float>& y, const network_level&) -> std::vector<float> {
            if (y[0] != 80.0F) { throw std::runtime_error("mine"); }
            return y;
        },
        prediction::x0, schedule::edm{});
    CHECK_THROWS_AS(sample(p, throwing, x), std::runtime_error);
    CHECK(x == before);
}

TEST_CASE("an observer sees every step and may stop the run", "[run][sample][hooks]") {
    for (const prediction_type type : {prediction::x0, prediction::edm(0.5)}) {
        const plan p = edm_plan(solver::heun{}, 6);
        const denoiser model([](const std::vector<float>& x, const network_level&) { return x; }, type,
                             schedule::edm{});
        std::vector<float> x = start(9, p);
        std::vector<float> seen_last;
        std::size_t seen = 0;
        const run_result result =
            sample(p, model, x, {}, hooks{.observe = [&](const observation<std::vector<float>>& o) {
                       CHECK(o.step == seen);
                       CHECK(o.steps == 6);
                       CHECK(o.network_calls == 2 * seen + 1);
                       CHECK(o.at == p.levels[seen]);
                       ++seen;
                       seen_last = o.x;
                       return o.step == 3 ? verdict::stop : verdict::go_on;
                   }});
        CHECK(result.status == run_status::stopped);
        CHECK(result.step == 3);
        CHECK(seen == 4);
        for (std::size_t i = 0; i < x.size(); ++i) {
            CHECK_THAT(x[i], WithinRel(seen_last[i], tol<float>::exact));
        }
    }
}

TEST_CASE("a transform of the data prediction acts before the step", "[run][sample][hooks]") {
    // Clipping written into the network must be the same as clipping by the hook.
    const exact_gaussian data{.mean = 0.7, .variance = 4.0};
    const auto clip = [](double v) { return v < -1.0 ? -1.0 : v > 1.0 ? 1.0 : v; };
    const denoiser clipping(
        [&](const std::vector<double>& x, const network_level& at) {
            std::vector<double> out;
            for (const double v : x) { out.push_back(clip(data.x0_hat(v, at))); }
            return out;
        },
        prediction::x0, schedule::edm{});
    const denoiser in_noise(
        [&](const std::vector<double>& x, const network_level& at) {
            std::vector<double> out;
            for (const double v : x) { out.push_back((v - data.x0_hat(v, at)) / at.sigma); }
            return out;
        },
        prediction::epsilon, schedule::edm{});
    for (const plan& p :
         {edm_plan(solver::ddim{.eta = 0.3}, 6), edm_plan(solver::heun{}, 5), edm_plan(solver::unipc{}, 9)}) {
        std::vector<double> a = start<double>(20, p);
        std::vector<double> b = a;
        std::size_t transforms = 0;
        REQUIRE(sample(p, clipping, a, noise{.seed = 5}));
        REQUIRE(sample(p, in_noise, b, noise{.seed = 5},
                       hooks{.transform = [&](std::vector<double>& x0, const level& at) {
                           CHECK(at.sigma > 0.0);
                           ++transforms;
                           for (double& v : x0) { v = clip(v); }
                       }}));
        CHECK(transforms == counts(p).network_calls);
        for (std::size_t i = 0; i < a.size(); ++i) {
            CHECK_THAT(b[i], WithinAbs(a[i], 1e-11));
        }  // eps = (x - x0) / sigma at sigma = 80 costs two digits
    }
}

TEST_CASE("an edit replaces the state, and later steps forget the old one", "[run][sample][hooks]") {
    // Editing the state at step 4 to what another run has there makes the one-step methods continue as that
    // run.
    const plan p = edm_plan(solver::heun{}, 8);
    for (const prediction_type type : {prediction::x0, prediction::edm(0.5)}) {
        const denoiser model(
            [](const std::vector<double>& x, const network_level&) {
                std::vector<double> out;
                for (const double v : x) { out.push_back(std::tanh(v)); }
                return out;
            },
            type, schedule::edm{});
        std::vector<double> other = start<double>(3, p, {.seed = 11});
        std::vector<double> at_four;
        REQUIRE(sample(p, model, other, {}, hooks{.observe = [&](const auto& o) {
                           if (o.step == 4) { at_four = o.x; }
                       }}));
        std::vector<double> x = start<double>(3, p, {.seed = 12});
        REQUIRE(sample(p, model, x, {}, hooks{.edit = [&](std::vector<double>& state, const level& at) {
                           if (at == p.levels[4]) { state = at_four; }
                       }}));
        for (std::size_t i = 0; i < x.size(); ++i) { CHECK_THAT(x[i], WithinRel(other[i], 1e-10)); }
    }
}

TEST_CASE("noise of a stochastic plan depends on seed and sample alone", "[run][sample][statistics]") {
    const plan p = edm_plan(solver::ddim{.eta = 1.0}, 10);
    const auto run = [&](noise source) {
        std::vector<float> x = start(64, p);
        REQUIRE(sample(p, exact_model(), x, source));
        return x;
    };
    CHECK(run({.seed = 1}) == run({.seed = 1}));
    CHECK(run({.seed = 1}) != run({.seed = 2}));
    CHECK(run({.seed = 1}) != run({.seed = 1, .sample = 1}));
}

TEST_CASE("a recorded run is replayed by the record", "[run][sample][noise]") {
    const plan p = edm_plan(solver::ddim{.eta = 1.0}, 5);
    noise_record<float> record{.samples = 1, .elements = 32};
    std::vector<float> a = start(32, p);
    std::vector<float> b = a;
    REQUIRE(sample(p, exact_model(), a, recorded_noise(noise{.seed = 9}, &record)));
    CHECK(record.step.size() == counts(p).draws);
    REQUIRE(sample(p, exact_model(), b, injected_noise(record)));
    CHECK(a == b);
}

TEST_CASE("a value that is not finite is reported at every call, the last one too", "[run][sample][errors]") {
    const auto clip = [](std::vector<double>& x0, const level&) {
        for (double& v : x0) { v *= 0.5; }
    };
    for (const prediction_type type : {prediction::x0, prediction::epsilon}) {
        for (const plan& p : {edm_plan(solver::ddim{}, 4), edm_plan(solver::heun{}, 3),
                              edm_plan(solver::dpm_solver{}, 4), edm_plan(solver::unipc{}, 4)}) {
            for (std::size_t bad = 0; bad < counts(p).network_calls; ++bad) {
                std::size_t calls = 0;
                const denoiser model(
                    [&](const std::vector<double>& x, const network_level&) {
                        std::vector<double> out(x.size(), 0.5);
                        if (calls++ == bad) { out[1] = std::numeric_limits<double>::quiet_NaN(); }
                        return out;
                    },
                    type, schedule::edm{});
                std::vector<double> x = start<double>(3, p);
                run_result result = sample(p, model, x);
                CHECK(result.status == run_status::non_finite);
                CHECK(result.network_calls == bad + 1);
                CHECK(result.step == p.calls[bad].step);

                calls = 0;
                x = start<double>(3, p);
                result = sample(p, model, x, hooks{.transform = clip});
                CHECK(result.status == run_status::non_finite);
                CHECK(result.network_calls == bad + 1);
            }
            std::vector<double> x = start<double>(3, p);
            const auto spoil = [&](std::vector<double>& x0, const level& at) {
                if (at == p.calls.back().at) { x0[2] = std::numeric_limits<double>::infinity(); }
            };
            CHECK(sample(p, exact_model(), x, hooks{.transform = spoil}).status == run_status::non_finite);
        }
    }
}

TEST_CASE("hooks meet outputs of a wrong shape with words, and keep the shape themselves",
          "[run][sample][errors]") {
    const plan p = edm_plan(solver::ddim{}, 3);
    const denoiser longer(
        [](const std::vector<float>& y, const network_level&) { return std::vector<float>(y.size() + 1000); },
        prediction::x0, schedule::edm{});
    std::vector<float> x = start(8, p);
    CHECK_THROWS_AS(sample(p, longer, x, hooks{.observe = [](const auto&) {}}), std::invalid_argument);
    CHECK_THROWS_AS(sample(p, longer, x, hooks{.transform = [](std::vector<float>&, const level&) {}}),
                    std::invalid_argument);
    const auto shrink = [](std::vector<float>& v, const level&) { v.resize(2); };
    CHECK_THROWS_AS(sample(p, exact_model(), x, hooks{.transform = shrink}), std::invalid_argument);
    CHECK_THROWS_AS(sample(p, exact_model(), x, hooks{.edit = shrink}), std::invalid_argument);
}

TEST_CASE("an edit reaches the state of a predictor-corrector, or is refused", "[run][sample][hooks]") {
    const plan data = edm_plan(solver::unipc{.corrector = false}, 6);
    const auto model = exact_model();
    std::vector<double> other = start<double>(3, data, {.seed = 11});
    std::vector<double> at_four;
    REQUIRE(sample(data, model, other, hooks{.observe = [&](const auto& o) {
                       if (o.step == 4) { at_four = o.x; }
                   }}));
    std::vector<double> edited = start<double>(3, data, {.seed = 12});
    std::vector<double> plain = edited;
    REQUIRE(sample(data, model, plain));
    REQUIRE(sample(data, model, edited, hooks{.edit = [&](std::vector<double>& state, const level& at) {
                       if (at == data.levels[4]) { state = at_four; }
                   }}));
    CHECK(std::abs(edited[0] - other[0]) <
          0.5 * std::abs(plain[0] - other[0]));  // it remembers older outputs

    for (const plan_call& call : edm_plan(solver::unipc{}, 6).calls) { CHECK(call.editable); }
    const plan apart = edm_plan(solver::unipc{.predicts = solver::form::noise}, 6);
    std::vector<double> x = start<double>(3, apart);
    CHECK_THROWS_AS(sample(apart, model, x, hooks{.edit = [](std::vector<double>&, const level&) {}}),
                    std::invalid_argument);
    REQUIRE(sample(apart, model, x));
}
