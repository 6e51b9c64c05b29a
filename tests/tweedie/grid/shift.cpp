// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/shift.hpp>
#include <tweedie/grid/uniform.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/vp.hpp>

#include <support/reference.hpp>

#include "checks.hpp"

using namespace tweedie;
using grid::final_level;
using grid::mu_is;

namespace {

double shifted(double t, double shift) { return shift * t / (1.0 + (shift - 1.0) * t); }

double worst_half_log_snr(const levels& a, const levels& b) {
    if (a.size() != b.size()) { return infinity; }
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double x = a[i].half_log_snr();
        const double y = b[i].half_log_snr();
        if (x != y) { worst = std::max(worst, std::abs(x - y) / (1.0 + std::abs(x))); }
    }
    return worst;
}

}  // namespace

TEST_CASE("the flow shift is a shift of half_log_snr", "[grid][shift][identity]") {
    const schedule::flow flow;
    for (const double s : {0.25, 1.0, 3.0, 12.0}) {
        for (const levels& l : {grid::uniform(flow, 20), grid::uniform(flow, 20, {.sigma_min = 1e-3}),
                                grid::karras(flow, 20), grid::uniform(flow, 1)}) {
            const levels moved = grid::shift(flow, l, s);
            for (std::size_t i = 0; i < l.size(); ++i) {
                // the published formula, and that of sigma / alpha
                CHECK_THAT(moved[i].t, WithinRel(shifted(l[i].t, s), tol<double>::identity));
            }
            CHECK(worst_half_log_snr(moved, grid::shift_half_log_snr(flow, l, -std::log(s))) == 0.0);
            CHECK(is_grid_of(flow, moved, static_cast<int>(l.size()) - 1));
        }
    }
}

TEST_CASE("a shift means the same on every schedule", "[grid][shift][identity]") {
    const schedule::flow flow;
    const schedule::trig trig;
    const schedule::edm edm;
    const levels on_flow = grid::shift(flow, grid::log_snr(flow, 9, {.sigma_max = 20.0}), 3.0);
    const levels on_trig =
        grid::shift(trig, grid::onto(trig, grid::log_snr(flow, 9, {.sigma_max = 20.0})), 3.0);
    const levels on_edm = grid::shift(edm, grid::onto(edm, grid::log_snr(flow, 9, {.sigma_max = 20.0})), 3.0);
    CHECK(worst_half_log_snr(on_flow, on_trig) < tol<double>::exact);
    CHECK(worst_half_log_snr(on_flow, on_edm) < tol<double>::exact);
    // and is the SNR shift of a discrete table by its square
    const auto table = schedule::discrete::scaled_linear();
    const levels room = grid::log_snr(table, 9, {.sigma_max = 4.0});
    const levels moved = grid::shift(table, room, 3.0);
    const auto shifted_table = table.snr_shifted(9.0);
    for (std::size_t i = 0; i + 1 < moved.size(); ++i) {
        // the level that the shifted table has at the time of the unshifted level
        CHECK_THAT(at(shifted_table, std::round(room[i].t)).half_log_snr() -
                       at(table, std::round(room[i].t)).half_log_snr(),
                   WithinRel(moved[i].half_log_snr() - room[i].half_log_snr(), tol<double>::identity));
    }
}

TEST_CASE("shifts compose, and 1 changes nothing", "[grid][shift][identity]") {
    const schedule::flow flow;
    const levels l = grid::uniform(flow, 12);
    CHECK(grid::shift(flow, l, 1.0) == l);
    CHECK(worst_half_log_snr(grid::shift(flow, grid::shift(flow, l, 3.0), 5.0), grid::shift(flow, l, 15.0)) <
          tol<double>::exact);
    CHECK(worst_half_log_snr(grid::shift(flow, grid::shift(flow, l, 3.0), 1.0 / 3.0), l) <
          tol<double>::exact);
    // both ends are fixed points, to the bit
    const levels moved = grid::shift(flow, l, 7.0);
    CHECK(moved.front() == level{1.0, 0.0, 1.0});
    CHECK(moved.back() == level{0.0, 1.0, 0.0});
}

TEST_CASE("once shifted, the last noise level is shifted once", "[grid][shift][exact]") {
    const schedule::flow flow;
    const levels l = grid::uniform(flow, 10, {.sigma_min = 1.0 / 999.0});
    struct row {
        double shift, once, twice;
    };
    // `twice` is what the flow classes of diffusers make of the constructor's shift
    for (const row r : {row{3.0, 0.0030, 0.0089}, row{5.0, 0.0050, 0.0244}, row{7.0, 0.0070, 0.0468}}) {
        CHECK_THAT(grid::shift(flow, l, r.shift)[9].t, WithinAbs(r.once, 5e-5));
        const levels peer = grid::uniform(flow, 10, {.sigma_min = r.shift / 999.0});
        CHECK_THAT(grid::shift(flow, peer, r.shift)[9].t, WithinAbs(r.twice, 5e-5));
    }
}

TEST_CASE("dynamic shifting is a shift by exp(mu) or by mu", "[grid][shift][exact]") {
    const schedule::flow flow;
    const levels l = grid::uniform(flow, 8);
    for (const double mu : {0.5, 1.15}) {
        const levels exponential = grid::shift(flow, l, grid::shift_of(mu));
        const levels linear = grid::shift(flow, l, grid::shift_of(mu, mu_is::shift));
        for (std::size_t i = 1; i + 1 < l.size(); ++i) {
            const double odds = 1.0 / l[i].t - 1.0;
            CHECK_THAT(exponential[i].t, WithinRel(std::exp(mu) / (std::exp(mu) + odds), tol<double>::exact));
            CHECK_THAT(linear[i].t, WithinRel(mu / (mu + odds), tol<double>::exact));
        }
    }
}

TEST_CASE("mu by sequence length is that of diffusers", "[grid][shift][reference]") {
    const auto recorded = reference("diffusers_extra.json")["shift"]["calculate_shift"];
    REQUIRE(recorded.size() == 5);
    for (const auto& r : recorded) {
        CHECK_THAT(grid::mu_of_tokens(r["image_seq_len"]),
                   WithinRel(r["mu"].get<double>(), tol<double>::exact));
    }
    CHECK(grid::mu_of_tokens(100.0, {.base_tokens = 100.0, .base_mu = 0.25}) == 0.25);
}

TEST_CASE("stretch_terminal ends at the terminal and keeps the ratios of 1 - t", "[grid][stretch][exact]") {
    const schedule::flow flow;
    for (const double terminal : {0.02, 0.1, 0.6}) {
        const levels l = grid::shift(flow, grid::uniform(flow, 6, {.sigma_min = 1e-3}), 2.0);
        const levels out = grid::stretch_terminal(flow, l, terminal);
        CHECK_THAT(out[5].t, WithinRel(terminal, tol<double>::exact));
        for (std::size_t i = 0; i < 6; ++i) {
            const double expected = 1.0 - (1.0 - l[i].t) * (1.0 - terminal) / (1.0 - l[5].t);
            CHECK_THAT(out[i].t, WithinRel(expected, tol<double>::identity));
        }
        CHECK(out[0] == l[0]);
        CHECK(out[6] == l[6]);
        CHECK(is_grid_of(flow, out, 6));
        // twice is once
        CHECK(worst_half_log_snr(grid::stretch_terminal(flow, out, terminal), out) < tol<double>::identity);
    }
    // the same levels of another schedule go the same way
    const schedule::edm edm;
    const levels noisy = grid::log_snr(flow, 6, {.sigma_max = 30.0});
    CHECK(worst_half_log_snr(grid::stretch_terminal(edm, grid::onto(edm, noisy), 0.1),
                             grid::stretch_terminal(flow, noisy, 0.1)) < tol<double>::identity);
    // a grid that keeps its noise is stretched to its end
    const levels kept = grid::uniform(flow, 4, {.last = final_level::sigma_min});
    CHECK_THAT(grid::stretch_terminal(flow, kept, 0.3).back().t, WithinRel(0.3, tol<double>::exact));
}

TEST_CASE("stretch_terminal of one step from pure noise changes nothing", "[grid][stretch][exact]") {
    const schedule::flow flow;
    const levels one = grid::uniform(flow, 1);
    CHECK(grid::stretch_terminal(flow, one, 0.1) == one);
    const levels two = grid::stretch_terminal(flow, grid::uniform(flow, 2), 0.1);
    CHECK_THAT(two[1].t, WithinRel(0.1, tol<double>::exact));
    // one step from a level with signal in it
    const levels middle = grid::stretch_terminal(flow, grid::uniform(flow, 1, {.sigma_max = 1.0}), 0.1);
    CHECK_THAT(middle[0].t, WithinRel(0.1, tol<double>::exact));
}

TEST_CASE("onto carries levels over at equal half_log_snr", "[grid][onto][exact]") {
    const schedule::vp_linear vp;
    const schedule::edm edm;
    const levels l = grid::uniform(vp, 5, {.last = final_level::sigma_min});
    const levels carried = grid::onto(edm, l);
    for (std::size_t i = 0; i < l.size(); ++i) {
        CHECK_THAT(carried[i].sigma, WithinRel(l[i].sigma / l[i].alpha, tol<double>::identity));
        CHECK(carried[i].alpha == 1.0);
    }
    CHECK(worst_half_log_snr(grid::onto(vp, carried), l) < tol<double>::exact);
    const levels ends = grid::onto(schedule::trig{}, grid::uniform(schedule::flow{}, 1));
    CHECK(ends.front().alpha == 0.0);
    CHECK(ends.back().sigma == 0.0);
}

TEST_CASE("the maps refuse what they cannot map", "[grid][shift][errors]") {
    const schedule::flow flow;
    const levels l = grid::uniform(flow, 4);
    for (const double bad : {0.0, -1.0, infinity, not_a_number}) {
        CHECK_THROWS_WITH(grid::shift(flow, l, bad), "grid::shift: shift must be positive and finite");
        CHECK_THROWS_WITH(grid::mu_of_tokens(bad), "grid::mu_of_tokens: tokens must be positive and finite");
        CHECK_THROWS_WITH(grid::shift_of(bad, mu_is::shift),
                          "grid::shift_of: mu must give a positive and finite shift");
        CHECK_THROWS_WITH(grid::stretch_terminal(flow, l, bad),
                          "grid::stretch_terminal: terminal must lie in (0, 1)");
        CHECK_THROWS_AS(grid::mu_of_tokens(10.0, {.base_tokens = bad}), std::invalid_argument);
        CHECK_THROWS_AS(grid::mu_of_tokens(10.0, {.max_tokens = bad}), std::invalid_argument);
    }
    for (const double bad : {infinity, -infinity, not_a_number}) {
        CHECK_THROWS_WITH(grid::shift_half_log_snr(flow, l, bad),
                          "grid::shift_half_log_snr: change must be finite");
        CHECK_THROWS_AS(grid::mu_of_tokens(10.0, {.base_mu = bad}), std::invalid_argument);
        CHECK_THROWS_AS(grid::shift_of(bad), std::invalid_argument);
    }
    CHECK_THROWS_WITH(grid::stretch_terminal(flow, l, 1.0),
                      "grid::stretch_terminal: terminal must lie in (0, 1)");
    CHECK_THROWS_WITH(grid::shift(flow, levels{}, 3.0),
                      "grid::shift_half_log_snr: need at least two levels, where to start and where to end");
    CHECK_THROWS_AS(grid::stretch_terminal(flow, levels{}, 0.1), std::invalid_argument);
    CHECK_THROWS_AS(grid::onto(flow, levels{}), std::invalid_argument);
    // no noisier level than the noisiest one
    const schedule::vp_linear vp;
    CHECK_THROWS_WITH(grid::shift(vp, grid::uniform(vp, 4), 3.0),
                      "schedule::vp_linear: half_log_snr must be at least that of t = 1");
    CHECK_NOTHROW(grid::shift(vp, grid::uniform(vp, 4, {.sigma_max = 40.0}), 3.0));
    CHECK_THROWS_AS(grid::onto(schedule::edm{}, l), std::invalid_argument);
}
