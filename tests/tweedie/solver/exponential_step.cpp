// SPDX-License-Identifier: MIT
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

namespace {

using tweedie::level;
using tweedie::linear_form;
using tweedie::solver::exponential_node;
using tweedie::solver::form;
using tweedie::solver::tau_piece;

// sums of a few terms of size one
constexpr double rounding = 1e-14;

/// Symbols 0 (the state), 1, 2, ... with one node each at the half-log-SNRs of `levels`.
std::vector<exponential_node> nodes_at(std::span<const level> levels) {
    std::vector<exponential_node> out;
    for (const level& l : levels) { out.push_back({l.half_log_snr(), linear_form(out.size() + 1)}); }
    return out;
}

double largest_difference(const linear_form& a, const linear_form& b) {
    double size = 0.0;
    const linear_form difference = a - b;
    for (const auto& t : difference.terms()) { size = std::max(size, std::abs(t.weight)); }
    return size;
}

}  // namespace

TEST_CASE("A step whose tau is constant in pieces equals the constant one when the pieces agree",
          "[solver][exponential_step][identity]") {
    const tweedie::schedule::vp_linear vp;
    const level s = tweedie::at_half_log_snr(vp, -1.0);
    const level t = tweedie::at_half_log_snr(vp, 0.5);
    const level before = tweedie::at_half_log_snr(vp, -1.7);
    const std::vector<level> known = {s, before};
    const double h = tweedie::log_snr_step(s, t);
    for (const form predicts : {form::data, form::noise}) {
        for (const double tau : {0.0, 0.7, 1.0}) {
            const std::vector<tau_piece> pieces = {{0.0, 0.3, tau}, {0.3, 1.0, tau}, {1.0, h, tau}};
            const linear_form whole =
                tweedie::solver::exponential_step(linear_form(0), s, t, nodes_at(known), predicts, tau);
            const linear_form parts =
                tweedie::solver::exponential_step(linear_form(0), s, t, nodes_at(known), predicts, pieces);
            CHECK(largest_difference(whole, parts) < rounding);
            CHECK_THAT(tweedie::solver::exponential_noise(s, t, predicts, pieces),
                       Catch::Matchers::WithinAbs(tweedie::solver::exponential_noise(s, t, predicts, tau),
                                                  rounding));
        }
    }
}

TEST_CASE("Two exponential steps with a constant prediction are one", "[solver][exponential_step][exact]") {
    // the prediction is the same symbol at both levels, so the step is exact and may be cut anywhere
    const tweedie::schedule::flow flow;
    const level s = tweedie::at(flow, 0.8);
    const level u = tweedie::at(flow, 0.6);
    const level t = tweedie::at(flow, 0.3);
    const double first = tweedie::log_snr_step(s, u);
    const double h = tweedie::log_snr_step(s, t);
    const linear_form m(1);
    for (const form predicts : {form::data, form::noise}) {
        const std::vector<tau_piece> all = {{0.0, first, 0.4}, {first, h, 1.3}};
        const exponential_node at_s{s.half_log_snr(), m};
        const exponential_node at_u{u.half_log_snr(), m};
        const linear_form half =
            tweedie::solver::exponential_step(linear_form(0), s, u, std::span(&at_s, 1), predicts, 0.4);
        const linear_form two =
            tweedie::solver::exponential_step(half, u, t, std::span(&at_u, 1), predicts, 1.3);
        const linear_form one =
            tweedie::solver::exponential_step(linear_form(0), s, t, std::span(&at_s, 1), predicts, all);
        CHECK(largest_difference(one, two) < rounding);

        const tau_piece rest{0.0, h - first, 1.3};
        const double carried = tweedie::solver::exponential_decay(u, t, predicts, std::span(&rest, 1)) *
                               tweedie::solver::exponential_noise(s, u, predicts, 0.4);
        const double fresh = tweedie::solver::exponential_noise(u, t, predicts, 1.3);
        CHECK_THAT(tweedie::solver::exponential_noise(s, t, predicts, all),
                   Catch::Matchers::WithinAbs(std::hypot(carried, fresh), rounding));
    }
}

TEST_CASE("A data prediction that is the data is carried exactly, whatever tau",
          "[solver][exponential_step][exact]") {
    const tweedie::schedule::vp_linear vp;
    const std::vector<level> known = {tweedie::at_half_log_snr(vp, -1.0), tweedie::at_half_log_snr(vp, -2.0),
                                      tweedie::at_half_log_snr(vp, -3.5)};
    const level& s = known.front();
    const level t = tweedie::at_half_log_snr(vp, 0.2);
    const double h = tweedie::log_snr_step(s, t);
    const std::vector<tau_piece> pieces = {{0.0, 0.5, 0.0}, {0.5, 0.9, 2.0}, {0.9, h, 0.5}};
    const linear_form x =
        tweedie::solver::exponential_step(linear_form(0), s, t, nodes_at(known), form::data, pieces);
    const double noise = tweedie::solver::exponential_noise(s, t, form::data, pieces);
    const double predictions = x.weight(1) + x.weight(2) + x.weight(3);
    // x_s = alpha_s x0 + sigma_s eps  ->  x_t = alpha_t x0 + sigma_t eps' in law
    CHECK_THAT(x.weight(0) * s.alpha + predictions, Catch::Matchers::WithinAbs(t.alpha, rounding));
    CHECK_THAT(std::hypot(x.weight(0) * s.sigma, noise), Catch::Matchers::WithinAbs(t.sigma, rounding));
}

TEST_CASE("An exponential step from pure noise and to clean data has its limit",
          "[solver][exponential_step][exact]") {
    const level pure{1.0, 0.0, 1.0};
    const level middle{0.5, 0.5, 0.5};
    const level clean{0.0, 1.0, 0.0};
    const exponential_node m{-std::numeric_limits<double>::infinity(), linear_form(1)};
    const auto step = [&](const level& s, const level& t, form predicts, double tau) {
        return tweedie::solver::exponential_step(linear_form(0), s, t, std::span(&m, 1), predicts, tau);
    };
    CHECK(step(pure, middle, form::data, 0.0) == linear_form(0) * 0.5 + linear_form(1) * 0.5);
    CHECK(step(pure, middle, form::data, 1.0) == linear_form(0) * 0.0 + linear_form(1) * 0.5);
    CHECK(tweedie::solver::exponential_noise(pure, middle, form::data, 1.0) == 0.5);
    CHECK(step(middle, clean, form::data, 1.0) == linear_form(0) * 0.0 + linear_form(1) * 1.0);
    CHECK(step(middle, clean, form::noise, 1.0) == linear_form(0) * 2.0 + linear_form(1) * -1.0);
    CHECK(tweedie::solver::exponential_noise(middle, clean, form::noise, 1.0) == 0.0);
    CHECK_THROWS_AS(step(pure, middle, form::noise, 0.0), std::invalid_argument);
}
