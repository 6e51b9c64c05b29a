// SPDX-License-Identifier: MIT

#include <tweedie/model/convention.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

using namespace tweedie;

namespace {

/// The message of what `action` throws; empty when it throws nothing.
template <class Action>
std::string refusal(const Action& action) {
    try {
        action();
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

}  // namespace

TEST_CASE("a network is told its level in the number it was trained with", "[model][convention]") {
    const schedule::discrete table = schedule::discrete::linear();
    const level l = at(table, 421.0);
    const auto told = [&](convention_options options) {
        return convention(prediction::epsilon, table, options).call_at(l).at.condition;
    };
    CHECK(told({}) == 421.0);
    CHECK(told({.time = condition::index}) == 421.0);
    CHECK_THAT(told({.time = condition::sigma}), WithinRel(l.sigma / l.alpha, tol<double>::exact));
    CHECK_THAT(told({.time = condition::sigma_quarter_log}),
               WithinRel(0.25 * std::log(l.sigma / l.alpha), tol<double>::exact));
    CHECK_THAT(told({.time = condition::half_log_snr}),
               WithinRel(std::log(l.alpha / l.sigma), tol<double>::exact));
    CHECK(told({.time_scale = 0.001}) == 0.421);

    const schedule::flow flow;
    CHECK(convention(prediction::flow_velocity, flow, {.time_scale = 1000.0})
              .call_at(at(flow, 0.25))
              .at.condition == 250.0);

    // c_noise of EDM's table 1
    const schedule::edm edm;
    const convention raw(prediction::edm(0.5), edm, {.time = condition::sigma_quarter_log});
    CHECK_THAT(raw.call_at(at(edm, 80.0)).at.condition, WithinRel(0.25 * std::log(80.0), tol<double>::exact));

    // between the training levels: the time is fractional, the index the nearest
    const network_call between =
        convention(prediction::epsilon, table, {.time = condition::index}).call_at(at(table, 421.3));
    CHECK(between.at.condition == 421.0);
    CHECK(between.at.index() == 421);
    CHECK(between.at.t == 421.3);
}

TEST_CASE("on its own schedule a network is fed the state as it is", "[model][convention]") {
    const schedule::vp_linear vp;
    for (const double t : {1.0, 0.5, 0.01}) {
        const level l = at(vp, t);
        const network_call call = convention(prediction::epsilon, vp).call_at(l);
        CHECK(static_cast<const level&>(call.at) == l);
        CHECK(call.input_scale == 1.0);
        CHECK(call.x0 == convert(prediction::epsilon, prediction::x0, l, vp));
    }
}

TEST_CASE("on another schedule a network is asked at the level of equal signal-to-noise ratio",
          "[model][convention]") {
    const schedule::edm edm;
    const schedule::vp_linear vp;
    const convention network(prediction::epsilon, vp);
    for (const double sigma : {0.02, 1.0, 30.0}) {
        const network_call call = network.call_at(at(edm, sigma));
        const double alpha = 1.0 / std::hypot(1.0, sigma);
        CHECK_THAT(call.at.alpha, WithinRel(alpha, 1e-12));
        CHECK_THAT(call.at.sigma, WithinRel(alpha * sigma, 1e-12));
        CHECK_THAT(call.input_scale, WithinRel(alpha, 1e-12));  // diffusers' scale_model_input
        // x0 = x - sigma eps in EDM's coordinates
        CHECK_THAT(call.x0.x, WithinRel(1.0, 1e-12));
        CHECK_THAT(call.x0.output, WithinRel(-sigma, 1e-12));
    }
    // EDM's raw network wants c_in x, c_in = 1 / sqrt(sigma^2 + sigma_data^2)
    CHECK_THAT(convention(prediction::edm(0.5), edm).call_at(at(edm, 3.0)).input_scale,
               WithinRel(1.0 / std::hypot(3.0, 0.5), tol<double>::exact));
    // a plan on flow that starts at pure noise asks a VP network, which has no such level, in vain
    CHECK(refusal([&] { static_cast<void>(network.call_at(at(schedule::flow{}, 1.0))); }) ==
          "convention: the network's schedule does not reach the plan's level (alpha = 0, sigma = 1); keep "
          "the grid "
          "within it by sigma_max and sigma_min: schedule::vp_linear: half_log_snr must be at least that of "
          "t = 1");
}

TEST_CASE("a flow map is told where to go like where it is, on its own schedule", "[model][convention]") {
    const schedule::edm edm;
    const schedule::flow flow;
    const convention network(prediction::flow_velocity, flow, {.time_scale = 1000.0});
    CHECK(!network.call_at(at(edm, 3.0)).at.to.has_value());
    const network_call call = network.call_at(at(edm, 3.0), at(edm, 0.25));
    const network_call alone = network.call_at(at(edm, 3.0));
    CHECK(static_cast<const told_level&>(call.at) == alone.at);
    CHECK((call.input_scale == alone.input_scale && call.x0 == alone.x0));
    const told_level to = call.at.to.value();
    CHECK_THAT(to.t, WithinRel(0.2, tol<double>::exact));  // t / (1 - t) = 0.25
    CHECK_THAT(to.condition, WithinRel(200.0, tol<double>::exact));
    CHECK((to.alpha == flow.alpha(to.t) && to.sigma == flow.sigma(to.t)));

    // its own levels to the bit, the clean end among them
    const schedule::discrete table = schedule::discrete::linear();
    const convention indexed(prediction::epsilon, table, {.time = condition::index});
    for (const double t : {500.3, 0.0, -1.0}) {
        const told_level own = indexed.call_at(at(table, 999.0), at(table, t)).at.to.value();
        CHECK(static_cast<const level&>(own) == at(table, t));
        CHECK(own.condition == std::round(t));
        CHECK(own.index() == std::lround(t));
    }
    // where a clean end has no finite number, that is what the network is told
    const convention logarithmic(prediction::edm(0.5), edm, {.time = condition::sigma_quarter_log});
    CHECK(logarithmic.call_at(at(edm, 3.0), at(edm, 0.0)).at.to->condition ==
          -std::numeric_limits<double>::infinity());
}

TEST_CASE("conventions refuse what they cannot use", "[model][convention][errors]") {
    const schedule::edm edm;
    for (const double scale :
         {0.0, std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
        CHECK(refusal([&] { static_cast<void>(convention(prediction::x0, edm, {.time_scale = scale})); }) ==
              "convention: time_scale must be finite and not zero");
    }
    const schedule::flow flow;
    CHECK(refusal([&] { static_cast<void>(convention(prediction::epsilon, flow).call_at(at(flow, 1.0))); }) ==
          "prediction: x0 is not determined by epsilon at alpha = 0, sigma = 1");
}

TEST_CASE("a denoiser is a network with its convention", "[model][denoiser]") {
    int calls = 0;
    denoiser model([&](double x, const network_level&) { return ++calls, x; }, prediction::v,
                   schedule::vp_linear{}, {.time_scale = 1000.0});
    CHECK(model.convention().prediction() == prediction::v);
    CHECK(model.convention().options().time_scale == 1000.0);
    CHECK(model.network()(3.0, network_level{}) == 3.0);
    CHECK(calls == 1);
}

TEST_CASE("a network is never told an infinite number", "[model][convention][errors]") {
    for (const condition time : {condition::sigma, condition::sigma_quarter_log, condition::half_log_snr}) {
        const convention c(prediction::flow_velocity, schedule::flow{}, {.time = time});
        CHECK_THROWS_AS(c.call_at(at(schedule::flow{}, 1.0)), std::invalid_argument);
        CHECK(std::isfinite(c.call_at(at(schedule::flow{}, 0.999)).at.condition));
    }
}

TEST_CASE("an end without a digit left is refused like the end itself", "[model][prediction][errors]") {
    const schedule::flow flow;
    CHECK_THROWS_AS(convert(prediction::epsilon, prediction::x0, {0.0, 1e-200, 1.0}, flow),
                    std::invalid_argument);
    CHECK_THROWS_AS(convert(prediction::epsilon, prediction::x0, {0.0, 1e-14, 1.0}, flow),
                    std::invalid_argument);
    CHECK_NOTHROW(
        convert(prediction::epsilon, prediction::x0, {0.0, 2.4e-4, 1.0}, flow));  // the usual patched end
    CHECK_NOTHROW(convert(prediction::score, prediction::x0, {0.0, 1.0, 1e6}, flow));
}
