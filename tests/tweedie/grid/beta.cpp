// SPDX-License-Identifier: MIT
#include <tweedie/grid/beta.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>

#include "checks.hpp"

using namespace tweedie;
using detail::beta_quantile;
using grid::beta_over;
using grid::final_level;

TEST_CASE("the beta quantile has its closed forms", "[grid][beta][exact]") {
    double worst = 0.0;
    const auto compare = [&](double share, double a, double b, double expected) {
        worst = std::max(worst, std::abs(beta_quantile(share, 1.0 - share, a, b) / expected - 1.0));
    };
    for (int i = 1; i < 64; ++i) {
        const double p = i / 64.0;
        compare(p, 1.0, 1.0, p);
        compare(p, 2.0, 1.0, std::sqrt(p));
        compare(p, 0.25, 1.0, p * p * p * p);
        compare(p, 1.0, 3.0, -std::expm1(std::log1p(-p) / 3.0));
        const double s = std::sin(1.57079632679489661923 * p);
        compare(p, 0.5, 0.5, s * s);  // the arcsine law
    }
    CHECK(worst < 1e-13);
    CHECK(beta_quantile(0.0, 1.0, 0.6, 0.6) == 0.0);
    CHECK(beta_quantile(1.0, 0.0, 0.6, 0.6) == 1.0);
}

TEST_CASE("the beta quantile agrees with 40-digit arithmetic in both tails", "[grid][beta][reference]") {
    struct row {
        double share, a, b, x, rest;
    };
    // mpmath: the root of betainc(a, b, 0, x, regularized) = share, by bisection; x and 1 - x
    const row rows[] = {{0.001, 0.6, 0.6, 1.8558738517452003e-5, 0.99998144126148255},
                        {0.125, 0.6, 0.6, 0.057156363622414072, 0.94284363637758593},
                        {0.5, 0.6, 0.6, 0.5, 0.5},
                        {0.75, 0.6, 0.6, 0.82431962134730498, 0.17568037865269502},
                        {0.96875, 0.6, 0.6, 0.99425431171048254, 0.0057456882895174569},
                        {0.001, 0.6, 1.2, 8.0939440461787791e-6, 0.99999190605595382},
                        {0.5, 0.6, 1.2, 0.26424886132263364, 0.73575113867736636},
                        {0.96875, 0.6, 1.2, 0.9122037742517115, 0.087796225748288495},
                        {0.001, 0.1, 0.3, 1.2091193268591451e-29, 1.0},
                        {0.125, 0.1, 0.3, 1.1260801164383433e-8, 0.99999998873919884},
                        {0.75, 0.1, 0.3, 0.4666118456555797, 0.5333881543444203},
                        {0.96875, 0.1, 0.3, 0.99914137725628271, 0.00085862274371729412},
                        {0.001, 5.0, 2.0, 0.18138613308086603, 0.81861386691913397},
                        {0.75, 5.0, 2.0, 0.83883708320967348, 0.16116291679032652},
                        {0.001, 40.0, 60.0, 0.25738009195512262, 0.74261990804487738},
                        {0.5, 40.0, 60.0, 0.39933074269813276, 0.60066925730186724},
                        {0.96875, 40.0, 60.0, 0.49232572534523506, 0.50767427465476494},
                        {0.001, 100.0, 0.5, 0.94717374949417153, 0.052826250505828466},
                        {0.5, 100.0, 0.5, 0.99772222325404447, 0.0022777767459555256},
                        {0.96875, 100.0, 0.5, 0.99999230699273544, 7.6930072645559799e-6},
                        {0.125, 0.05, 0.05, 8.4236641990856189e-13, 0.99999999999915763},
                        {0.96875, 0.05, 0.05, 1.0, 7.6612779585885065e-25}};
    for (const row& r : rows) {
        CAPTURE(r.share, r.a, r.b);
        const double other = 1.0 - r.share;
        CHECK_THAT(beta_quantile(r.share, other, r.a, r.b), WithinRel(r.x, 1e-13));
        // the mirrored law: the other tail, to its own digits
        CHECK_THAT(beta_quantile(other, r.share, r.b, r.a), WithinRel(r.rest, 1e-13));
    }
}

TEST_CASE("the beta quantile is monotone and finds its way back for every shape", "[grid][beta][identity]") {
    int bad = 0;
    double worst = 0.0;
    for (const double a : {0.05, 0.3, 0.6, 1.0, 2.5, 17.0, 80.0}) {
        for (const double b : {0.05, 0.3, 0.6, 1.0, 2.5, 17.0, 80.0}) {
            double before = -1.0;
            for (int i = 0; i <= 128; ++i) {
                const double share = i / 128.0;
                const double x = beta_quantile(share, 1.0 - share, a, b);
                // two shares may fall on one double where all of the law is at an end
                bad += x >= before && x >= 0.0 && x <= 1.0 ? 0 : 1;
                before = x;
                if (x > 1e-3 && x < 0.999) {
                    worst = std::max(worst, std::abs(detail::beta_share(x, a, b) - share));
                }
            }
        }
    }
    CHECK(bad == 0);
    CHECK(worst < 1e-12);
}

TEST_CASE("grid::beta is a grid on every schedule for every step count", "[grid][beta][contract]") {
    int bad = 0;
    for (const any_schedule& schedule :
         {any_schedule(schedule::flow{}), any_schedule(schedule::edm{}), any_schedule(schedule::ve{}),
          any_schedule(schedule::vp_linear{}), any_schedule(schedule::discrete::scaled_linear()),
          any_schedule(schedule::flow({.time = schedule::flow_time::data_at_one}))}) {
        for (const beta_over over : {beta_over::time, beta_over::sigma}) {
            for (const int steps : {1, 2, 3, 10, 100}) {
                for (const final_level last : {final_level::zero, final_level::sigma_min}) {
                    const levels l = grid::beta(schedule, steps, {.over = over, .last = last});
                    bad += is_grid_of(schedule, l, steps) ? 0 : 1;
                    bad += l.front() == at(schedule, schedule.range().noisy) ? 0 : 1;
                    bad += (l.back().sigma == 0.0) == (last == final_level::zero) ? 0 : 1;
                }
            }
        }
    }
    CHECK(bad == 0);
}

TEST_CASE("grid::beta with the flat law is uniform", "[grid][beta][identity]") {
    const schedule::vp_linear vp;
    const levels flat = grid::beta(vp, 7, {.alpha = 1.0, .beta = 1.0});
    for (std::size_t i = 0; i < 8; ++i) {
        CHECK_THAT(flat[i].t, WithinAbs(1.0 - static_cast<double>(i) / 7.0, tol<double>::exact));
    }
    const levels sigmas =
        grid::beta(schedule::edm{}, 5, {.alpha = 1.0, .beta = 1.0, .over = beta_over::sigma});
    for (std::size_t i = 0; i < 5; ++i) {
        const double done = static_cast<double>(i) / 4.0;
        CHECK_THAT(sigmas[i].sigma, WithinRel(80.0 * (1.0 - done) + 0.002 * done, tol<double>::identity));
    }
}

TEST_CASE("grid::beta spreads symmetric times symmetrically", "[grid][beta][exact]") {
    const levels l = grid::beta(schedule::flow{}, 8);
    for (std::size_t i = 0; i <= 8; ++i) {
        CHECK_THAT(l[i].t + l[8 - i].t, WithinRel(1.0, tol<double>::exact));
    }
    CHECK_THAT(l[1].t, WithinRel(0.94284363637758593, 1e-13));
    CHECK_THAT(l[7].t, WithinRel(0.057156363622414072, 1e-13));
}

TEST_CASE("grid::beta refuses what it cannot lay out", "[grid][beta][errors]") {
    const schedule::flow flow;
    const char* shape = "grid::beta: alpha and beta must lie in [0.05, 50]";
    for (const double bad : {0.0, 0.01, -1.0, 51.0, infinity, not_a_number}) {
        CHECK_THROWS_WITH(grid::beta(flow, 5, {.alpha = bad}), shape);
        CHECK_THROWS_WITH(grid::beta(flow, 5, {.beta = bad, .over = beta_over::sigma}), shape);
    }
    CHECK_THROWS_WITH(grid::beta(flow, 5, {.over = static_cast<beta_over>(7)}),
                      "grid::beta: over must be beta_over::time or beta_over::sigma");
    CHECK_THROWS_WITH(grid::beta(flow, 0), "grid::beta: steps must lie in [1, 1000000]");
    CHECK_THROWS_WITH(grid::beta(flow, 5, {.sigma_max = not_a_number}),
                      "grid::beta: sigma_max must be positive");
    CHECK_THROWS_WITH(grid::beta(flow, 5, {.over = beta_over::sigma, .pure_noise_as = not_a_number}),
                      "grid::beta: pure_noise_as must be positive and finite");
    CHECK_THROWS_WITH(grid::beta(flow, 5, {.sigma_max = 1.0, .sigma_min = 2.0}),
                      "grid::beta: the range needs sigma_max > sigma_min");
    // all of the law next to the ends: the levels would coincide
    CHECK_THROWS_AS(grid::beta(flow, 200, {.alpha = 0.05, .beta = 0.05}), std::invalid_argument);
}
