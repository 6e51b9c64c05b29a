// SPDX-License-Identifier: MIT
#include <tweedie/analytic/empirical.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/tune/skip_level.hpp>
#include <tweedie/verify/exactness.hpp>

#include <support/catch.hpp>
#include <support/golden_mixture.hpp>
#include <support/normals.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <functional>
#include <vector>

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;

namespace {

gaussian whole(const mixture& data) { return {data.mean(), data.covariance()}; }

/// The true deviation of teleported states, divided by alpha: root mean square per element.
template <class Schedule>
double true_deviation(const mixture& data, const Schedule& schedule, const Eigen::MatrixXd& x,
                      const level& from, const level& to) {
    const auto exact = verify::reference_flow(data, schedule, from, to, x, {.tolerance = 1e-10});
    REQUIRE(exact);
    const Eigen::MatrixXd away = (whole(data).flow(x, from, to) - exact.x) / to.alpha;
    return std::sqrt(away.squaredNorm() / static_cast<double>(away.size()));
}

template <class Schedule>
tune::skip_choice choose(const mixture& data, const Schedule& schedule, const Eigen::MatrixXd& x,
                         std::span<const level> candidates, double tolerance) {
    return tune::skip_level(whole(data), denoiser(std::cref(data), prediction::x0, schedule), x, candidates,
                            tolerance);
}

}  // namespace

TEST_CASE("the predicted deviation of a teleported state is the true one within a factor of two",
          "[tune][skip_level][exact]") {
    const auto check = [](const mixture& data, const auto& schedule) {
        const auto candidates = grid::log_snr(schedule, 24);
        const double deviation = std::sqrt(data.covariance().trace() / static_cast<double>(data.dimension()));
        const Eigen::MatrixXd x = candidates.front().sigma * normals(data.dimension(), 60, 1);
        const auto choice = choose(data, schedule, x, candidates, 0.01);
        std::size_t compared = 0;
        for (const tune::skip_candidate& c : choice.table) {
            if (c.at == candidates.front()) { continue; }
            const double kappa = c.at.sigma / c.at.alpha;
            if (kappa < 2.0 * deviation) { break; }  // first order ends where the modes part
            const double truth = true_deviation(data, schedule, x, candidates.front(), c.at);
            if (truth < 1e-6) { continue; }  // below the reference's own error
            CAPTURE(kappa, truth, c.deviation);
            CHECK(c.deviation < 2.0 * truth);
            CHECK(c.deviation > 0.5 * truth);
            ++compared;
        }
        REQUIRE(compared >= 5);
    };
    check(golden_mixture(), schedule::edm{});
    check(golden_mixture(), schedule::flow{});  // from pure noise
    check(golden_mixture(), schedule::vp_linear{});
    for (const recorded_mixture& m : recorded_mixtures()) { check(m.data, schedule::edm{}); }
}

TEST_CASE("the predicted deviation falls as the inverse square of sigma", "[tune][skip_level][order]") {
    const mixture data = golden_mixture();
    const schedule::edm edm({.sigma_max = 1e4});  // far above, so that the start does not show
    const auto levels = grid::log_snr(edm, 60, {.sigma_min = 4.0, .last = grid::final_level::sigma_min});
    const Eigen::MatrixXd x = levels.front().sigma * normals(2, 100, 2);
    const auto table = choose(data, edm, x, levels, 1.0).table;
    for (std::size_t i = 10; i + 10 < table.size(); i += 10) {
        if (table[i].at.sigma > 200.0) { continue; }
        const double slope = std::log(table[i + 10].deviation / table[i].deviation) /
                             std::log(table[i + 10].at.sigma / table[i].at.sigma);
        CAPTURE(table[i].at.sigma);
        CHECK(slope < -1.8);
        CHECK(slope > -2.2);
    }
}

TEST_CASE("the level chosen is the cleanest that keeps the tolerance", "[tune][skip_level][exact]") {
    const schedule::edm edm;
    for (const recorded_mixture& m : recorded_mixtures()) {
        const auto candidates = grid::log_snr(edm, 30);
        const Eigen::MatrixXd x = m.starts.leftCols(64);
        double last = 0.0;
        for (const double tolerance : {0.02, 0.005, 0.001}) {
            const auto choice = choose(m.data, edm, x, candidates, tolerance);
            REQUIRE(choice.table.size() == 30);
            CHECK(choice.network_calls == 30);
            std::size_t i = 0;
            while (!(choice.table[i].at == choice.at)) { ++i; }
            CHECK(choice.table[i].deviation <= tolerance);
            CHECK(choice.table[i + 1].deviation > tolerance);
            CHECK(choice.at.sigma > last);  // a smaller tolerance stops earlier
            last = choice.at.sigma;
            CHECK(true_deviation(m.data, edm, x, candidates.front(), choice.at) < 2.0 * tolerance);
        }
    }
}

TEST_CASE("a network that is the Gaussian lets everything be teleported", "[tune][skip_level][exact]") {
    const gaussian g = whole(golden_mixture());
    const schedule::vp_linear vp;
    const auto candidates = grid::log_snr(vp, 12);
    const Eigen::MatrixXd x = candidates.front().sigma * normals(2, 8, 3);
    const auto choice = tune::skip_level(g, denoiser(std::cref(g), prediction::x0, vp), x, candidates, 1e-9);
    CHECK(choice.at == candidates[11]);  // the last with noise
    // and one that is not, none of it
    const auto none = choose(golden_mixture(), vp, x, candidates, 1e-9);
    CHECK(none.at == candidates.front());
}

TEST_CASE("data alone, any prediction and any tensor choose the same level", "[tune][skip_level][parity]") {
    const mixture data = golden_mixture();
    const gaussian g = whole(data);
    const schedule::vp_linear vp;
    const auto candidates = grid::log_snr(vp, 16);
    const Eigen::MatrixXd x = candidates.front().sigma * normals(2, 20, 4);
    const auto expected = choose(data, vp, x, candidates, 0.01);
    const denoiser noise_prediction(
        [&](const Eigen::MatrixXd& state, const network_level& at) -> Eigen::MatrixXd {
            return (state - at.alpha * data.denoise(state, at)) / at.sigma;
        },
        prediction::epsilon, vp);
    const auto other = tune::skip_level(g, noise_prediction, x, candidates, 0.01);
    CHECK(other.at == expected.at);
    for (std::size_t i = 0; i < other.table.size(); ++i) {
        CHECK_THAT(other.table[i].deviation, WithinAbs(expected.table[i].deviation, 1e-10));
    }
    // a network trained on another schedule, asked on this one
    const auto foreign =
        tune::skip_level(g, denoiser(std::cref(data), prediction::x0, schedule::edm{}), x, candidates, 0.01);
    CHECK(foreign.at == expected.at);
    // views and floats
    Eigen::MatrixXd memory = x;
    const Eigen::Map<Eigen::MatrixXd> view(memory.data(), 2, 20);
    CHECK(tune::skip_level(g, denoiser(std::cref(data), prediction::x0, vp), view, candidates, 0.01).table ==
          expected.table);
    CHECK(memory == x);
    const Eigen::MatrixXf single = x.cast<float>();
    const auto rounded =
        tune::skip_level(g, denoiser(std::cref(data), prediction::x0, vp), single, candidates, 0.01);
    CHECK(rounded.at == expected.at);
    // samples of the law in its place
    Eigen::MatrixXd samples(2, 2000);
    const Eigen::MatrixXd z = normals(2, 2000, 5);
    Eigen::Index next = 0;
    for (std::size_t c = 0; c < data.components().size(); ++c) {
        const gaussian& part = data.components()[c];
        const auto count = c + 1 < data.components().size()
                               ? static_cast<Eigen::Index>(std::lround(2000.0 * data.weights()[c]))
                               : 2000 - next;
        samples.middleCols(next, count) = part.flow(z.middleCols(next, count), {1, 0.0, 1.0}, {0, 1.0, 0.0});
        next += count;
    }
    const analytic::empirical known(samples);
    const auto sampled = tune::skip_level(
        gaussian::fit(samples), denoiser(std::cref(known), prediction::x0, vp), x, candidates, 0.01);
    const auto index = [&](const level& at) {
        std::size_t i = 0;
        while (!(candidates[i] == at)) { ++i; }
        return static_cast<int>(i);
    };
    CHECK(std::abs(index(sampled.at) - index(expected.at)) <= 1);
}

TEST_CASE("skip_level refuses what it cannot answer", "[tune][skip_level][errors]") {
    const gaussian g = whole(golden_mixture());
    const schedule::edm edm;
    const denoiser model(std::cref(g), prediction::x0, edm);
    const Eigen::MatrixXd x = normals(2, 3, 6);
    const auto levels = grid::log_snr(edm, 5);
    for (const double wrong : {0.0, -1.0, not_a_number, infinity}) {
        CHECK_THROWS_WITH(tune::skip_level(g, model, x, levels, wrong),
                          "tune::skip_level: tolerance must be positive and finite");
    }
    const auto refuse = [&](const std::vector<level>& candidates, const char* rule) {
        CHECK_THROWS_WITH(tune::skip_level(g, model, x, candidates, 0.1), rule);
    };
    refuse({}, "tune::skip_level: need at least two candidates with sigma > 0");
    refuse({levels[0]}, "tune::skip_level: need at least two candidates with sigma > 0");
    refuse({levels[0], levels.back()}, "tune::skip_level: need at least two candidates with sigma > 0");
    const char* order = "tune::skip_level: the candidates must be finite, noisy to clean";
    refuse({levels[1], levels[0]}, order);
    refuse({levels[0], levels[0]}, order);
    refuse({levels[0], levels.back(), levels[1]}, order);
    refuse({levels[0], level{0, 1.0, not_a_number}}, order);
    CHECK_THROWS_AS(tune::skip_level(g, model, normals(3, 1, 7), levels, 0.1), std::invalid_argument);
    const denoiser broken(
        [](const Eigen::MatrixXd& state, const network_level&) -> Eigen::MatrixXd {
            return Eigen::MatrixXd::Constant(state.rows(), state.cols(), not_a_number);
        },
        prediction::x0, edm);
    CHECK_THROWS_WITH(tune::skip_level(g, broken, x, levels, 0.1),
                      "tune::skip_level: the network's output must be finite");
}
