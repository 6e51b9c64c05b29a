// SPDX-License-Identifier: MIT

#include <tweedie/model/prediction.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace tweedie;

namespace {

const std::vector<std::pair<std::string, any_schedule>> schedules = {
    {"vp_linear", schedule::vp_linear{}},
    {"vp_cosine", schedule::vp_cosine{}},
    {"discrete", schedule::discrete::scaled_linear()},
    {"ve", schedule::ve{}},
    {"edm", schedule::edm{}},
    {"flow", schedule::flow{}},
    {"flow, data at one", schedule::flow({.time = schedule::flow_time::data_at_one})},
    {"trig", schedule::trig{}},
};

const std::vector<std::pair<std::string, prediction_type>> types = {
    {"epsilon", prediction::epsilon},
    {"x0", prediction::x0},
    {"v", prediction::v},
    {"flow_velocity", prediction::flow_velocity},
    {"score", prediction::score},
    {"k_diff 0", prediction::k_diff(0.0)},
    {"k_diff 0.3", prediction::k_diff(0.3)},
    {"k_diff 0.5", prediction::k_diff(0.5)},
    {"k_diff 1", prediction::k_diff(1.0)},
    {"edm 0.5", prediction::edm(0.5)},
    {"edm 1.7", prediction::edm(1.7)},
};

/// What a network of this type returns for given data and noise.
double output(const prediction_type& type, const level& at, const any_schedule& schedule, double x0,
              double eps) {
    const target_weights law = target(type, at, schedule);
    return (law.data * x0 + law.noise * eps) / law.gain;
}

/// The message of what `action` throws; empty when it throws nothing.
template <class Action>
std::string refusal(const Action& action) {
    try {
        action();
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("each prediction is what its definition says", "[model][prediction][exact]") {
    const double x0 = 0.7;
    const double eps = -1.3;
    for (const auto& [name, schedule] : schedules) {
        for (const double lambda : {-2.0, 0.3, 2.5}) {
            INFO(name << " at half-log-SNR " << lambda);
            const level l = at_half_log_snr(schedule, lambda);
            const auto gives = [&](const prediction_type& type, double value) {
                CHECK_THAT(output(type, l, schedule, x0, eps), WithinRel(value, tol<double>::exact));
            };
            gives(prediction::epsilon, eps);
            gives(prediction::x0, x0);
            gives(prediction::v, l.alpha * eps - l.sigma * x0);
            gives(prediction::flow_velocity, schedule.alpha_rate(l.t) * x0 + schedule.sigma_rate(l.t) * eps);
            gives(prediction::score, -eps / l.sigma);
            gives(prediction::k_diff(0.3), 0.3 * x0 - 0.7 * eps);
            gives(prediction::k_diff(1.0), x0);
            gives(prediction::k_diff(0.0), -eps);
        }
    }
}

TEST_CASE("any prediction converts to any other and back", "[model][prediction][identity]") {
    std::size_t pairs = 0;
    for (const auto& [schedule_name, schedule] : schedules) {
        for (const double lambda : {-2.5, -1.0, 0.0, 0.4, 1.0, 4.0}) {
            const level l = at_half_log_snr(schedule, lambda);
            for (const auto& [from_name, from] : types) {
                for (const auto& [to_name, to] : types) {
                    INFO(from_name << " to " << to_name << " on " << schedule_name << " at half-log-SNR "
                                   << lambda);
                    const double x0 = 0.7;
                    const double eps = -1.3;
                    const double x = l.alpha * x0 + l.sigma * eps;
                    const double y = output(from, l, schedule, x0, eps);
                    const read_weights there = convert(from, to, l, schedule);
                    const read_weights back = convert(to, from, l, schedule);
                    const double z = there.x * x + there.output * y;
                    CHECK_THAT(z, WithinAbs(output(to, l, schedule, x0, eps),
                                            tol<double>::identity * (1.0 + std::abs(z))));
                    CHECK_THAT(back.x * x + back.output * z,
                               WithinAbs(y, tol<double>::identity * (1.0 + std::abs(y))));
                    ++pairs;
                }
            }
            for (const auto& [name, type] : types) {
                CHECK(convert(type, type, l, schedule) == read_weights{0.0, 1.0});
            }
        }
    }
    CHECK(pairs == 8 * 6 * 121);
}

TEST_CASE("k = 1/2 is half the flow velocity of data at t = 1", "[model][prediction][identity]") {
    const schedule::flow to_data({.time = schedule::flow_time::data_at_one});
    const schedule::flow to_noise;
    for (const double t : {0.0, 0.2, 0.5, 0.9, 1.0}) {
        CHECK(convert(prediction::k_diff(0.5), prediction::flow_velocity, at(to_data, t), to_data) ==
              read_weights{0.0, 2.0});
        CHECK(convert(prediction::flow_velocity, prediction::k_diff(0.5), at(to_data, t), to_data) ==
              read_weights{0.0, 0.5});
        CHECK_THAT(
            convert(prediction::k_diff(0.5), prediction::flow_velocity, at(to_noise, t), to_noise).output,
            WithinRel(-2.0, tol<double>::exact));
    }
}

TEST_CASE("the preconditioning of EDM is that of its table 1", "[model][prediction][reference]") {
    const schedule::edm edm;
    for (const double d : {0.5, 1.0, 2.0}) {
        for (const double s : {0.002, 0.1, 0.5, 1.0, 7.0, 80.0}) {
            INFO("sigma " << s << ", sigma_data " << d);
            const read_weights x0 = convert(prediction::edm(d), prediction::x0, at(edm, s), edm);
            CHECK_THAT(x0.x, WithinRel(d * d / (s * s + d * d), tol<double>::exact));                // c_skip
            CHECK_THAT(x0.output, WithinRel(s * d / std::sqrt(s * s + d * d), tol<double>::exact));  // c_out
            // on a scaled schedule the same acts on x / alpha
            const schedule::vp_linear vp;
            const level l = at_half_log_snr(vp, -std::log(std::fmin(s, 60.0)));
            const double ratio = l.sigma / l.alpha;
            const read_weights scaled = convert(prediction::edm(d), prediction::x0, l, vp);
            CHECK_THAT(scaled.x * l.alpha, WithinRel(d * d / (ratio * ratio + d * d), 1e-12));
            CHECK_THAT(scaled.output, WithinRel(ratio * d / std::sqrt(ratio * ratio + d * d), 1e-12));
        }
    }
    // the training target has unit variance for data of variance sigma_data^2, whatever the level
    for (const double s : {0.01, 1.0, 50.0}) {
        const double d = 0.7;
        const target_weights f = target(prediction::edm(d), at(edm, s), edm);
        CHECK_THAT((f.data * f.data * d * d + f.noise * f.noise) / (f.gain * f.gain), WithinRel(1.0, 1e-12));
    }
}

TEST_CASE("at the ends, what the output determines is converted and the rest is refused by name",
          "[model][prediction][errors]") {
    const schedule::flow flow;
    const level noise = at(flow, 1.0);
    const level data = at(flow, 0.0);
    struct end {
        const level& at;
        prediction_type from, to;
        bool determined;
    };
    const std::vector<end> ends = {
        // at pure noise x is eps: what says nothing of x0 gives no x0
        {noise, prediction::epsilon, prediction::x0, false},
        {noise, prediction::score, prediction::x0, false},
        {noise, prediction::k_diff(0.0), prediction::x0, false},
        {noise, prediction::epsilon, prediction::v, false},
        {noise, prediction::v, prediction::x0, true},
        {noise, prediction::flow_velocity, prediction::x0, true},
        {noise, prediction::k_diff(0.3), prediction::x0, true},
        {noise, prediction::edm(0.5), prediction::x0, true},
        {noise, prediction::x0, prediction::epsilon, true},
        // at clean data x is x0: what says nothing of eps gives no eps
        {data, prediction::x0, prediction::epsilon, false},
        {data, prediction::k_diff(1.0), prediction::epsilon, false},
        {data, prediction::edm(0.5), prediction::epsilon, false},
        {data, prediction::epsilon, prediction::score, false},
        {data, prediction::v, prediction::epsilon, true},
        {data, prediction::flow_velocity, prediction::epsilon, true},
        {data, prediction::epsilon, prediction::x0, true},
        {data, prediction::score, prediction::x0, true},
        {data, prediction::k_diff(0.3), prediction::x0, true},
    };
    for (const end& e : ends) {
        const std::string names =
            "prediction: " + to_string(e.to) + " is not determined by " + to_string(e.from) + " at alpha = ";
        const std::string message = refusal([&] { static_cast<void>(convert(e.from, e.to, e.at, flow)); });
        INFO(to_string(e.from) << " to " << to_string(e.to) << " at sigma " << e.at.sigma << ": " << message);
        if (e.determined) {
            REQUIRE(message.empty());
            const double x0 = e.at.alpha == 0.0 ? 0.7 : 0.4;
            const double eps = -1.3;
            const double x = e.at.alpha * x0 + e.at.sigma * eps;
            const read_weights w = convert(e.from, e.to, e.at, flow);
            const target_weights from = target(e.from, e.at, flow);
            if (from.gain != 0.0) {  // the score at sigma = 0 has no value; there x alone tells
                const double y = (from.data * x0 + from.noise * eps) / from.gain;
                CHECK_THAT(w.x * x + w.output * y,
                           WithinRel(output(e.to, e.at, flow, x0, eps), tol<double>::exact));
            } else {
                CHECK(w == read_weights{1.0, 0.0});
            }
        } else {
            CHECK(message.starts_with(names));
        }
    }
}

TEST_CASE("parameters out of range are refused", "[model][prediction][errors]") {
    for (const double k : {-0.1, 1.1, not_a_number}) {
        CHECK(refusal([&] { static_cast<void>(prediction::k_diff(k)); }) ==
              "prediction::k_diff: k must lie in [0, 1]");
    }
    for (const double d : {0.0, -1.0, not_a_number, std::numeric_limits<double>::infinity()}) {
        CHECK(refusal([&] { static_cast<void>(prediction::edm(d)); }) ==
              "prediction::edm: sigma_data must be positive and finite");
    }
    CHECK(to_string(prediction::epsilon) == "epsilon");
    CHECK(to_string(prediction::k_diff(0.3)) == "k_diff");
    CHECK(prediction::k_diff(0.3) != prediction::k_diff(0.4));
}

TEST_CASE("predictions of the same quantity convert at every level", "[model][prediction][exact]") {
    const schedule::flow schedule;
    const level noise = at(schedule, 1.0);  // alpha = 0
    CHECK(convert(prediction::epsilon, prediction::k_diff(0.0), noise, schedule) == read_weights{0.0, -1.0});
    CHECK(convert(prediction::k_diff(0.0), prediction::epsilon, noise, schedule) == read_weights{0.0, -1.0});
    CHECK(convert(prediction::epsilon, prediction::score, noise, schedule) == read_weights{0.0, -1.0});
    const level clean = at(schedule, 0.0);  // sigma = 0: the score has no value
    CHECK(convert(prediction::x0, prediction::k_diff(1.0), clean, schedule) == read_weights{0.0, 1.0});
    CHECK_THROWS_AS(convert(prediction::epsilon, prediction::score, clean, schedule), std::invalid_argument);
}
