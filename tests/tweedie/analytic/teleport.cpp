// SPDX-License-Identifier: MIT
#include <tweedie/analytic/teleport.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/jump.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/verify/exactness.hpp>

#include <support/golden_mixture.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/reference.hpp>

#include <algorithm>
#include <array>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;
using analytic::mixture;
using analytic::teleport;

static_assert(jumped_plan<analytic::teleported_plan<teleport, plan>, std::vector<float>>);
static_assert(!jumped_plan<plan, std::vector<float>>);

namespace {

/// A Gaussian with r directions of their own, all of them where r = d.
gaussian any_rank(Eigen::Index d, Eigen::Index r, double residual, std::uint64_t seed = 1) {
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, seed)).householderQ();
    const Eigen::VectorXd l = normals(r, 1, seed + 1).array().square() + 0.01;
    return gaussian::low_rank(normals(d, 1, seed + 2), q.leftCols(r), l, residual);
}

/// The exact flow, to the rounding of the starts.
template <class Law>
Eigen::MatrixXd exact_flow(const Law& law, const Eigen::MatrixXd& x, const level& from, const level& to,
                           double tolerance = 1e-12) {
    const auto end = verify::reference_flow(law, schedule::edm{}, from, to, x, {.tolerance = tolerance});
    REQUIRE(end);
    return end.x;
}

const auto two_levels = std::array{std::pair{level{0, 1.0, 80.0}, level{0, 1.0, 0.002}},
                                   std::pair{level{0, 0.01, 0.99995}, level{0, 0.9, 0.4}},
                                   std::pair{level{1, 0.0, 1.0}, level{0.5, 0.5, 0.5}},
                                   std::pair{level{1, 0.0, 1.0}, level{0, 1.0, 0.0}}};

}  // namespace

TEST_CASE("teleportation is the Gaussian flow, at any dimension, rank and pair of levels",
          "[analytic][teleport][exact]") {
    for (const auto& [d, r, residual] :
         {std::tuple{1, 1, 0.0}, std::tuple{7, 7, 0.0}, std::tuple{40, 6, 0.3}, std::tuple{40, 6, 0.0},
          std::tuple{40, 0, 0.5}, std::tuple{150, 150, 0.0}, std::tuple{300, 12, 0.02}}) {
        const gaussian g = any_rank(d, r, residual);
        for (const auto& [from, to] : two_levels) {
            CAPTURE(d, r, residual, from.sigma, to.sigma);
            const Eigen::MatrixXd x = from.sigma * normals(d, 70, 5);
            Eigen::MatrixXd moved = x;
            teleport(g, from, to)(moved);
            CHECK((moved - g.flow(x, from, to)).cwiseAbs().maxCoeff() < tol<double>::identity);
        }
    }
}

TEST_CASE("teleportation from 80 to 0.002 is the probability flow of the denoiser to 1e-9",
          "[analytic][teleport][exact]") {
    for (const gaussian& g : {any_rank(6, 6, 0.0), any_rank(12, 3, 0.2), any_rank(12, 3, 0.0)}) {
        const level from{80.0, 1.0, 80.0};
        const level to{0.002, 1.0, 0.002};
        const Eigen::MatrixXd x = 80.0 * normals(g.dimension(), 5, 6);
        Eigen::MatrixXd moved = x;
        teleport(g, from, to)(moved);
        CHECK((moved - exact_flow(g, x, from, to)).cwiseAbs().maxCoeff() < 1e-9);
    }
}

TEST_CASE("two jumps are one", "[analytic][teleport][identity]") {
    const gaussian g = any_rank(9, 4, 0.1);
    const schedule::vp_linear vp;
    Eigen::MatrixXd once = normals(9, 3, 7);
    Eigen::MatrixXd twice = once;
    teleport(g, vp, 0.05)(once);
    const teleport first(g, vp, 4.0);
    first(twice);
    teleport(g, first.to(), teleport(g, vp, 0.05).to())(twice);
    CHECK((once - twice).cwiseAbs().maxCoeff() < tol<double>::identity);
    // no way at all
    const Eigen::MatrixXd before = once;
    teleport(g, first.to(), first.to())(once);
    CHECK((once - before).cwiseAbs().maxCoeff() < tol<double>::identity);
}

TEST_CASE("the schedule's own ends are teleported between", "[analytic][teleport][exact]") {
    const gaussian g = any_rank(3, 3, 0.0);
    const auto check = [&](const auto& s) {
        const teleport part(g, s, 2.5);
        CHECK(part.from() == at(s, s.range().noisy));
        CHECK_THAT(part.to().sigma / part.to().alpha, WithinRel(2.5, tol<double>::identity));
        CHECK(teleport(g, s, 0.0).to().sigma == 0.0);
        // the levels of a grid that starts there
        const auto levels = grid::karras(s, 5, {.sigma_max = 2.5});
        CHECK_NOTHROW(part.then(solver::unipc{}.plan(s, levels)));
    };
    check(schedule::vp_linear{});
    check(schedule::vp_cosine{});
    check(schedule::edm{});
    check(schedule::flow{});
    check(schedule::trig{});
    check(schedule::discrete::linear());
}

TEST_CASE("teleportation gives the states of core_golden.json", "[analytic][teleport][reference]") {
    const auto golden = reference("core_golden.json");
    const mixture data = golden_mixture();
    for (const auto& [sigma, states] : golden["teleport"].items()) {
        const double to = std::stod(sigma);
        const teleport jump(data, level{80.0, 1.0, 80.0}, level{to, 1.0, to});
        for (std::size_t i = 0; i < states.size(); ++i) {
            auto x = golden["problem"]["xT"][i].get<std::vector<double>>();
            jump(x);
            for (std::size_t e = 0; e < 2; ++e) {
                CHECK_THAT(x[e], WithinRel(states[i][e].get<double>(), tol<double>::reference));
            }
        }
    }
}

TEST_CASE("on a mixture the deviation falls as the inverse square of sigma",
          "[analytic][teleport][reference]") {
    // Recorded for these three mixtures, the geometric mean over them of the mean over starts, from starts that
    // were not recorded: 192 others give the mean to 5 %.
    const std::array recorded{std::pair{40.0, 3.5e-5}, std::pair{20.0, 1.6e-4}, std::pair{10.0, 6.3e-4},
                              std::pair{5.0, 2.5e-3}, std::pair{3.0, 6.9e-3}};
    const auto mixtures = recorded_mixtures();
    const level from{80.0, 1.0, 80.0};
    double before = 0.0;
    for (const auto& [sigma, expected] : recorded) {
        CAPTURE(sigma);
        const level to{sigma, 1.0, sigma};
        double log_sum = 0.0;
        for (const recorded_mixture& m : mixtures) {
            const Eigen::MatrixXd x = m.starts.leftCols(192);
            Eigen::MatrixXd moved = x;
            teleport(m.data, from, to)(moved);
            const Eigen::MatrixXd away = moved - exact_flow(m.data, x, from, to, 1e-9);
            log_sum += std::log(away.colwise().norm().mean() / std::sqrt(static_cast<double>(away.rows())));
        }
        const double deviation = std::exp(log_sum / static_cast<double>(mixtures.size()));
        CHECK_THAT(deviation, WithinRel(expected, 0.1));
        if (sigma < 40.0 && sigma >= 5.0) {
            const double slope = std::log(deviation / before) / std::log(0.5);
            CHECK(slope < -1.8);
            CHECK(slope > -2.2);
        }
        before = deviation;
    }
}

TEST_CASE("teleportation to 5 makes every solver better at the same number of calls",
          "[analytic][teleport][statistics]") {
    const schedule::edm edm;
    const auto karras = [&](int n, double sigma_max) {
        return grid::karras(edm, n, {.sigma_max = sigma_max, .last = grid::final_level::sigma_min});
    };
    const auto log_snr = [&](int n, double sigma_max) {
        return grid::log_snr(edm, n, {.sigma_max = sigma_max, .last = grid::final_level::sigma_min});
    };
    const auto mixtures = recorded_mixtures();
    // The geometric mean over the mixtures of the median error of the ends; a quarter of the starts.
    const auto error = [&](const auto& run) {
        double log_sum = 0.0;
        for (const recorded_mixture& m : mixtures) {
            Eigen::MatrixXd x = m.starts.leftCols(96);
            const denoiser model(std::cref(m.data), prediction::x0, edm);
            REQUIRE(run(m, model, x));
            log_sum += std::log(verify::median_rms(x, m.ends.leftCols(96)));
        }
        return std::exp(log_sum / static_cast<double>(mixtures.size()));
    };
    const auto compare = [&](const char* name, const auto& solver, const auto& levels) {
        for (int n = 6; n <= 20; ++n) {
            CAPTURE(name, n);
            const plan all = solver.plan(edm, levels(n, 80.0));
            const plan rest = solver.plan(edm, levels(n, 5.0));
            REQUIRE(counts(rest).network_calls == static_cast<std::size_t>(n));
            REQUIRE(counts(all).network_calls == static_cast<std::size_t>(n));
            const double without =
                error([&](const auto&, const auto& model, auto& x) { return sample(all, model, x); });
            const double with = error([&](const recorded_mixture& m, const auto& model, auto& x) {
                return sample(teleport(m.data, edm, 5.0).then(rest), model, x);
            });
            CHECK(with < without);
        }
    };
    compare("2M", solver::dpm_solver{}, log_snr);
    compare("UniPC-3", solver::unipc{}, log_snr);
    compare("iPNDM-4", solver::ipndm{}, karras);
}

TEST_CASE("each sample of a batch is teleported by the Gaussian of its label",
          "[analytic][teleport][identity]") {
    const std::vector<gaussian> classes{any_rank(5, 5, 0.0, 1), any_rank(5, 2, 0.3, 20),
                                        gaussian::isotropic(normals(5, 1, 30), 0.7)};
    const level from{0, 0.1, 3.0};
    const level to{0, 0.8, 0.6};
    const teleport jump(classes, from, to);
    std::vector<int> labels;
    for (int i = 0; i < 100; ++i) { labels.push_back((i * i + i / 7) % 3); }
    const Eigen::MatrixXd x = normals(5, 100, 40);
    Eigen::MatrixXd moved = x;
    jump.labelled(labels)(moved);
    for (Eigen::Index i = 0; i < x.cols(); ++i) {
        const gaussian& g = classes[static_cast<std::size_t>(labels[static_cast<std::size_t>(i)])];
        CHECK((moved.col(i) - g.flow(x.col(i), from, to)).cwiseAbs().maxCoeff() < tol<double>::exact * 10.0);
    }
    // the components of a mixture are classes too
    const mixture data({0.2, 0.3, 0.5}, classes);
    Eigen::MatrixXd by_component = x;
    teleport(data.components(), from, to).labelled(labels)(by_component);
    CHECK(by_component == moved);
    // without labels, one Gaussian for all
    Eigen::MatrixXd together = x;
    teleport(data, from, to)(together);
    CHECK(relative_error(together, gaussian(data.mean(), data.covariance()).flow(x, from, to)) <
          tol<double>::identity);
}

TEST_CASE("any tensor and view is teleported, floats to their rounding", "[analytic][teleport][parity]") {
    const gaussian g = any_rank(6, 3, 0.2);
    const schedule::flow flow;
    const teleport jump(g, flow, 1.5);
    const Eigen::MatrixXd x = normals(6, 4, 50);
    Eigen::MatrixXd expected = x;
    jump(expected);

    Eigen::MatrixXd memory = x;
    jump(Eigen::Map<Eigen::MatrixXd>(memory.data(), 6, 4));
    CHECK(memory == expected);
    Eigen::MatrixXd wide = normals(6, 8, 51);
    wide.middleCols(2, 4) = x;
    jump(wide.middleCols(2, 4));
    CHECK(Eigen::MatrixXd(wide.middleCols(2, 4)) == expected);
    CHECK(Eigen::MatrixXd(wide.rightCols(2)) == Eigen::MatrixXd(normals(6, 8, 51).rightCols(2)));

    const Eigen::MatrixXd first = x.leftCols(1);
    Eigen::MatrixXd expected_first = first;
    jump(expected_first);
    std::vector<double> numbers(first.data(), first.data() + 6);
    jump(std::span<double>(numbers));
    CHECK(std::equal(numbers.begin(), numbers.end(), expected_first.data()));

    picture_batch pictures{{}, 4};
    for (const double v : x.reshaped()) { pictures.pixels.push_back(static_cast<float>(v)); }
    const Eigen::MatrixXf rounded = x.cast<float>();
    const Eigen::MatrixXd exact = g.flow(rounded.cast<double>(), jump.from(), jump.to());
    jump(pictures);
    for (Eigen::Index i = 0; i < x.size(); ++i) {  // in double inside: rounded once
        CHECK_THAT(pictures.pixels[static_cast<std::size_t>(i)],
                   WithinRel(static_cast<float>(exact.reshaped()(i)), std::numeric_limits<float>::epsilon()));
    }
}

TEST_CASE("a jump and a plan are run as one: hooks, noise, Eigen, views, float",
          "[analytic][teleport][identity]") {
    const schedule::edm edm;
    const mixture data = golden_mixture();
    const teleport jump(data, edm, 5.0);
    const auto levels = grid::log_snr(edm, 6, {.sigma_max = 5.0});
    const denoiser model(std::cref(data), prediction::x0, edm);
    Eigen::MatrixXd x(2, 3);
    start_from_noise(x, jump.from(), noise{.seed = 4});

    const auto by_hand = [&](const plan& rest, auto... source) {
        Eigen::MatrixXd out = x;
        jump(out);
        REQUIRE(sample(rest, model, out, source...));
        return out;
    };
    const plan ode = solver::unipc{}.plan(edm, levels);
    const auto together = jump.then(ode);
    CHECK(together.rest() == ode);
    CHECK(together.jump().to() == jump.to());

    Eigen::MatrixXd out = x;
    const run_result result = sample(together, model, out);
    CHECK(result);
    CHECK(result.network_calls == 6);
    CHECK(out == by_hand(ode));

    const plan sde = solver::sde_dpm_solver{}.plan(edm, levels);
    Eigen::MatrixXd noisy = x;
    REQUIRE(sample(jump.then(sde), model, noisy, noise{.seed = 9}));
    CHECK(noisy == by_hand(sde, noise{.seed = 9}));
    CHECK(noisy != out);

    Eigen::MatrixXd memory = x;
    REQUIRE(sample(together, model, Eigen::Map<Eigen::MatrixXd>(memory.data(), 2, 3)));
    CHECK(memory == out);

    std::vector<level> seen;
    Eigen::MatrixXd hooked = x;
    REQUIRE(sample(together, model, hooked, hooks{.observe = [&](const auto& o) { seen.push_back(o.at); }}));
    CHECK(hooked == out);
    REQUIRE(seen.size() == 6);
    CHECK(seen.front().sigma == levels.front().sigma);
    // a transform of the data prediction
    Eigen::MatrixXd held = x;
    REQUIRE(sample(together, model, held,
                   hooks{.transform = [](Eigen::MatrixXd& x0, const level&) { x0.setConstant(0.25); }}));
    CHECK((held.array() - 0.25).abs().maxCoeff() < tol<double>::identity);

    Eigen::MatrixXf single = x.cast<float>();
    REQUIRE(sample(together, model, single));
    CHECK((single.cast<double>() - out).cwiseAbs().maxCoeff() < static_cast<double>(tol<float>::reference));

    // an engine that owns the loop
    Eigen::MatrixXd driven = x;
    jump(driven);
    stepper s(ode, model.convention(), driven);
    while (auto query = s.next()) {
        Eigen::MatrixXd answer(2, 3);
        model.network()(query->x, query->level, answer);
        s.supply(std::move(answer));
    }
    CHECK(s.x() == out);
}

TEST_CASE("what cannot be teleported is refused", "[analytic][teleport][errors]") {
    const gaussian g = any_rank(4, 4, 0.0);
    const level from{0, 1.0, 10.0};
    const level to{0, 1.0, 5.0};
    const schedule::edm edm;

    const char* scales = "teleport: alpha and sigma must be finite, not negative and not both zero";
    CHECK_THROWS_WITH(teleport(g, level{0, 1.0, not_a_number}, to), scales);
    CHECK_THROWS_WITH(teleport(g, from, level{0, 1.0, -1.0}), scales);
    CHECK_THROWS_WITH(teleport(g, from, level{0, 0.0, 0.0}), scales);
    CHECK_THROWS_WITH(teleport(g, from, level{0, infinity, 1.0}), scales);
    CHECK_THROWS_WITH(teleport(g, to, from), "teleport: the start must not be less noisy than the end");
    CHECK_THROWS_WITH(teleport(g, from, level{1, 0.0, 1.0}),
                      "teleport: the start must not be less noisy than the end");
    CHECK_THROWS_WITH(teleport(g, level{0, 1.0, 0.0}, level{0, 1.0, 0.0}),
                      "teleport: the start must have sigma > 0");
    CHECK_THROWS_WITH(teleport(std::vector<gaussian>{}, from, to), "teleport: need at least one Gaussian");
    CHECK_THROWS_WITH(teleport(std::vector<gaussian>{g, any_rank(3, 3, 0.0)}, from, to),
                      "teleport: the Gaussians must have the same dimension");
    for (const double outside : {81.0, 0.001, -1.0, not_a_number, infinity}) {
        CHECK_THROWS_WITH(
            teleport(g, edm, outside),
            Catch::Contains("teleport: sigma must lie in the schedule's range, 0.002000 to 80.0"));
    }

    const teleport jump(g, from, to);
    std::vector<double> five(5);
    CHECK_THROWS_WITH(jump(five), "teleport: x must hold 4 elements per sample; it has 5 in 1 samples");
    Eigen::MatrixXd turned(3, 4);
    CHECK_THROWS_AS(jump(turned), std::invalid_argument);

    const teleport classes(std::vector<gaussian>{g, g}, from, to);
    Eigen::MatrixXd x = normals(4, 3, 60);
    const Eigen::MatrixXd before = x;
    CHECK_THROWS_WITH(classes(x), "teleport: need one label per sample, 3, not 0");
    CHECK_THROWS_WITH(classes.labelled(std::array{0, 1})(x), "teleport: need one label per sample, 3, not 2");
    CHECK_THROWS_WITH(classes.labelled(std::vector<int>{})(x),
                      "teleport: need one label per sample, 3, not 0");
    CHECK_THROWS_WITH(classes.labelled(std::array{0, 2, 1}),
                      "teleport: label 2 is none of the classes 0 to 1");
    CHECK_THROWS_WITH(classes.labelled(std::array{-1}), "teleport: label -1 is none of the classes 0 to 1");
    CHECK(x == before);

    const char* elsewhere = "teleport: the plan must begin at the level teleported to";
    const plan other = solver::unipc{}.plan(edm, grid::karras(edm, 4, {.sigma_max = 5.0 + 1e-10}));
    CHECK_THROWS_WITH(jump.then(other), elsewhere);
    CHECK_THROWS_WITH(jump.then(plan{}), elsewhere);

    // x is as it was when the network, or the jump, throws
    const plan rest = solver::unipc{}.plan(edm, grid::karras(edm, 4, {.sigma_max = 5.0}));
    const denoiser throws(
        [](const Eigen::MatrixXd&, const network_level&) -> Eigen::MatrixXd {
            throw std::runtime_error("network");
        },
        prediction::x0, edm);
    CHECK_THROWS_WITH(sample(jump.then(rest), throws, x), "network");
    CHECK(x == before);
    CHECK_THROWS_AS(sample(classes.then(rest), throws, x), std::invalid_argument);
    CHECK(x == before);
}
