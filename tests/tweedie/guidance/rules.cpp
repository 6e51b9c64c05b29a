// SPDX-License-Identifier: MIT

// Rules of guidance that depend on the predictions themselves.

#include <tweedie/grid/uniform.hpp>
#include <tweedie/guidance/apg.hpp>
#include <tweedie/guidance/cfg_rescale.hpp>
#include <tweedie/guidance/cfg_zero_star.hpp>
#include <tweedie/guidance/frequency_decoupled.hpp>
#include <tweedie/guidance/precision_weighted.hpp>
#include <tweedie/guidance/rectified_cfgpp.hpp>
#include <tweedie/guidance/s_cfg.hpp>
#include <tweedie/guidance/tcfg.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/run/threshold.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/SVD>

#include "../solver/checks.hpp"
#include "support.hpp"

using namespace tweedie;
using namespace tweedie::guidance;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

/// Samples as columns: 24 elements, a plane of 4 x 6.
MatrixXd states(std::uint64_t seed) {
    MatrixXd x(24, 3);
    start_from_noise(x, level{0.0, 0.0, 1.0}, noise{.seed = seed});
    return x;
}

const any_schedule vp = schedule::vp_linear{};
const any_schedule flow = schedule::flow{};

/// The rule applied once.
template <class Rule>
MatrixXd combined(Rule& rule, const MatrixXd& c, const MatrixXd& u, const call_site& where = {}) {
    MatrixXd a = c;
    MatrixXd b = u;
    MatrixXd* const predictions[] = {&a, &b};
    rule.combine(std::span<MatrixXd* const>(predictions), where);
    return a;
}

double largest(const MatrixXd& x) { return x.cwiseAbs().maxCoeff(); }

template <class Model>
MatrixXd end_of(const plan& p, Model&& model, std::size_t* calls = nullptr) {
    MatrixXd x(24, 3);
    start_from_noise(x, p.levels.front(), noise{.seed = 3});
    const run_result ended = sample(p, model, x, noise{.seed = 5});
    REQUIRE(ended);
    if (calls != nullptr) { *calls = ended.network_calls; }
    return x;
}

constexpr std::size_t one_region[] = {0};
const auto everywhere = [](const call_site&) { return std::span<const std::size_t>(one_region); };
const auto squares = [](const MatrixXd& c, const MatrixXd&, const call_site&, MatrixXd& out) {
    out = c.cwiseAbs2();
};

const precision_weighted no_power{.weight = 2.5, .spread = squares, .power = 0.0};
const precision_weighted no_bounds{.weight = 2.5, .spread = squares, .lowest = 1.0, .highest = 1.0};

/// Every rule with the options that make it cfg of weight 2.5, and a name.
template <class Check>
void for_each_like_cfg(const Check& check) {
    check("apg", apg{.weight = 2.5, .momentum = 0.0, .eta = 1.0});
    check("cfg_rescale", cfg_rescale{.weight = 2.5, .phi = 0.0});
    check("frequency_decoupled", frequency_decoupled{.weights = {2.5, 2.5, 2.5}, .height = 4, .width = 6});
    check("s_cfg", s_cfg{.weight = 2.5, .regions = everywhere});
    check("precision_weighted, power", no_power);
    check("precision_weighted, bounds", no_bounds);
}

}  // namespace

TEST_CASE("data-dependent rules are cfg where their formulas say so, for any solver and prediction",
          "[guidance][rules][identity]") {
    const MatrixXd c = states(1);
    const MatrixXd u = states(2);
    const MatrixXd expected = u + 2.5 * (c - u);
    for_each_like_cfg([&](const char* name, auto rule) {
        INFO(name);
        CHECK(largest(combined(rule, c, u) - expected) < 1e-13);
        for (const prediction_type& type : {prediction::x0, prediction::epsilon, prediction::v}) {
            const auto one = gaussian_model(1.0, 0.5, type, vp);
            const auto any = gaussian_model(-0.3, 2.0, type, vp);
            for (const plan& p : {solver::ddim{}.plan(vp, interior_levels(vp, 5)),
                                  solver::unipc{}.plan(vp, interior_levels(vp, 5)),
                                  solver::heun{}.plan(vp, interior_levels(vp, 5)),
                                  solver::sde_dpm_solver{}.plan(vp, interior_levels(vp, 5))}) {
                INFO(p.solver << ", " << to_string(type));
                std::size_t calls = 0;
                const MatrixXd found = end_of(p, guided(rule, one, any), &calls);
                CHECK(largest(found - end_of(p, guided(cfg{.weight = 2.5}, one, any))) < 1e-11);
                CHECK(calls == 2 * p.calls.size());
            }
        }
    });
    // tcfg and cfg_zero_star: where both predictions lie along one line
    tcfg damped{.weight = 2.5};
    const MatrixXd along = c * Eigen::Vector3d(0.5, -2.0, 3.0).asDiagonal();
    CHECK(largest(combined(damped, c, along) - (along + 2.5 * (c - along))) < 1e-12);
    cfg_zero_star scaled{.weight = 2.5};
    CHECK(largest(combined(scaled, c, c) - c) < 1e-13);
}

TEST_CASE("rules of weight 1 are the condition, and do not ask the base", "[guidance][rules][exact]") {
    const plan p = solver::dpm_solver{}.plan(vp, interior_levels(vp, 5));
    const auto c = gaussian_model(1.0, 0.5, prediction::v, vp);
    const auto nobody = silent_model(prediction::v, vp);
    const MatrixXd alone = end_of(p, c);
    std::size_t calls = 0;
    CHECK(end_of(p, guided(cfg_zero_star{}, c, nobody), &calls) == alone);
    CHECK(end_of(p, guided(tcfg{}, c, nobody)) == alone);
    CHECK(calls == 5);
    CHECK(largest(end_of(p, guided(apg{}, c, nobody)) - alone) < 1e-13);
    CHECK(largest(end_of(p, guided(cfg_rescale{}, c, nobody)) - alone) < 1e-13);
    CHECK(largest(end_of(p, guided(precision_weighted{.spread = squares}, c, nobody)) - alone) < 1e-13);
}

TEST_CASE("apg takes out what lies along the condition, after momentum and norm",
          "[guidance][rules][exact]") {
    const MatrixXd c = states(1);
    const MatrixXd u = states(2);
    apg rule{.weight = 4.0, .momentum = 0.0};
    const MatrixXd g = combined(rule, c, u);
    CHECK((g - c).cwiseProduct(c).colwise().sum().cwiseAbs().maxCoeff() < 1e-12);
    CHECK(largest(g - c) > 1.0);

    apg bounded{.weight = 4.0, .momentum = 0.0, .radius = 2.5, .eta = 1.0};
    const MatrixXd near = combined(bounded, c, u) - c;
    CHECK(largest(near.colwise().norm() - Eigen::RowVector3d::Constant(3.0 * 2.5)) < 1e-12);

    // Two calls by hand, for each sample.
    apg full{.weight = 3.0, .momentum = -0.5, .radius = 6.0, .eta = 0.3};
    MatrixXd m = MatrixXd::Zero(24, 3);
    for (std::size_t call = 0; call < 3; ++call) {
        const MatrixXd x = states(10 + call);
        const MatrixXd y = states(20 + call);
        m = (x - y) - 0.5 * m;
        MatrixXd expected = x;
        for (Eigen::Index i = 0; i < 3; ++i) {
            const VectorXd cut = std::min(1.0, 6.0 / m.col(i).norm()) * m.col(i);
            const VectorXd along = cut.dot(x.col(i)) / x.col(i).squaredNorm() * x.col(i);
            expected.col(i) += 2.0 * (cut - along + 0.3 * along);
        }
        call_site where;
        where.index = call;
        CHECK(largest(combined(full, x, y, where) - expected) < 1e-12);
    }
}

TEST_CASE("apg begins every run without momentum", "[guidance][rules]") {
    const plan p = solver::dpm_solver{}.plan(vp, interior_levels(vp, 6));
    auto g = guided(apg{.weight = 3.0, .momentum = -0.75}, gaussian_model(1.0, 0.5, prediction::v, vp),
                    gaussian_model(-0.3, 2.0, prediction::v, vp));
    const MatrixXd first = end_of(p, g);
    CHECK(end_of(p, g) == first);
    auto without = guided(apg{.weight = 3.0, .momentum = 0.0}, gaussian_model(1.0, 0.5, prediction::v, vp),
                          gaussian_model(-0.3, 2.0, prediction::v, vp));
    CHECK(largest(end_of(p, without) - first) > 1e-2);
}

TEST_CASE("cfg_rescale keeps the condition's standard deviation", "[guidance][rules][exact]") {
    const MatrixXd c = states(1).array() + 0.7;
    const MatrixXd u = states(2);
    const auto deviation = [](const MatrixXd& x) {
        const MatrixXd centred = x.rowwise() - x.colwise().mean();
        return Eigen::RowVectorXd(centred.colwise().norm());
    };
    cfg_rescale all{.weight = 5.0, .phi = 1.0};
    const MatrixXd g = u + 5.0 * (c - u);
    const MatrixXd found = combined(all, c, u);
    CHECK((deviation(found) - deviation(c)).cwiseAbs().maxCoeff() < 1e-12);
    CHECK(largest(found - g * (deviation(c).array() / deviation(g).array()).matrix().asDiagonal()) < 1e-12);
    cfg_rescale some{.weight = 5.0, .phi = 0.7};
    CHECK(largest(combined(some, c, u) - (0.7 * found + 0.3 * g)) < 1e-12);
}

TEST_CASE("cfg_zero_star leaves nothing of the scaled base in the difference", "[guidance][rules][exact]") {
    const MatrixXd c = states(1);
    const MatrixXd u = states(2);
    cfg_zero_star rule{.weight = 0.0};
    const MatrixXd su = combined(rule, c, u);
    CHECK((c - su).cwiseProduct(u).colwise().sum().cwiseAbs().maxCoeff() < 1e-13);
    cfg_zero_star strong{.weight = 3.0};
    CHECK(largest(combined(strong, c, u) - (su + 3.0 * (c - su))) < 1e-12);
    const MatrixXd none = MatrixXd::Zero(24, 3);
    CHECK(largest(combined(strong, c, none) - 3.0 * c) < 1e-13);
}

TEST_CASE("cfg_zero_star holds velocities at zero first, and asks nobody", "[guidance][rules][cost]") {
    const std::vector<level> levels = grid::uniform(flow, 10);
    const plan p = solver::euler{}.plan(flow, levels);
    std::size_t of_c = 0;
    const auto c = gaussian_model(1.0, 0.5, prediction::flow_velocity, flow, &of_c);
    const auto u = gaussian_model(-0.3, 2.0, prediction::flow_velocity, flow);
    MatrixXd x = states(4);
    const MatrixXd begin = x;
    MatrixXd held = x;
    const auto ended = sample(p, guided(cfg_zero_star{.weight = 3.0, .zero_steps = 2}, c, u), x,
                              hooks{.observe = [&](const observation<MatrixXd>& o) {
                                  if (o.step == 2) { held = o.x; }
                              }});
    REQUIRE(ended);
    CHECK(largest(held - begin) < 1e-14);
    CHECK(ended.network_calls == 16);
    CHECK(of_c == 8);
}

TEST_CASE("tcfg projects the base on the first singular vector", "[guidance][rules][exact]") {
    const MatrixXd c = states(1);
    const MatrixXd u = 0.7 * states(2) + 0.4 * c;
    tcfg rule{.weight = 3.0};
    const MatrixXd found = combined(rule, c, u);
    for (Eigen::Index i = 0; i < 3; ++i) {
        MatrixXd rows(2, 24);
        rows << c.col(i).transpose(), u.col(i).transpose();
        const Eigen::JacobiSVD<MatrixXd> svd(rows, Eigen::ComputeThinU | Eigen::ComputeThinV);
        const VectorXd v = svd.matrixV().col(0);
        const VectorXd damped = v.dot(u.col(i)) * v;
        CHECK((found.col(i) - (damped + 3.0 * (c.col(i) - damped))).cwiseAbs().maxCoeff() < 1e-12);
    }
}

TEST_CASE("frequency_decoupled weighs the finest detail by the first weight, what is constant by the last",
          "[guidance][rules][exact]") {
    for (const std::size_t height : {1U, 4U, 5U, 7U, 16U}) {
        for (const std::size_t width : {3U, 6U, 8U, 9U}) {
            const std::size_t size = height * width;
            std::vector<double> c(2 * size);  // two planes of one sample
            const std::vector<double> u(2 * size, 0.5);
            for (std::size_t i = 0; i < size; ++i) {
                c[i] = 1.5;
                c[size + i] = 0.5 + ((i / width + i % width) % 2 == 0 ? 1.0 : -1.0);
            }
            frequency_decoupled rule{.weights = {4.0, 3.0, 2.0}, .height = height, .width = width};
            std::vector<double> guided_c = c;
            std::vector<double> base = u;
            std::vector<double>* const predictions[] = {&guided_c, &base};
            rule.combine(std::span<std::vector<double>* const>(predictions), {});
            for (std::size_t i = 0; i < size; ++i) {
                CHECK_THAT(guided_c[i], WithinAbs(0.5 + 2.0, 1e-12));
                CHECK_THAT(guided_c[size + i], WithinAbs(0.5 + 4.0 * (c[size + i] - 0.5), 1e-12));
            }
        }
    }
    laplacian_pyramid small(2, 2, 5);
    CHECK(small.levels() == 2);
    CHECK(laplacian_pyramid(64, 64, 3).levels() == 3);
}

TEST_CASE("s_cfg guides every region as much as every other", "[guidance][rules][exact]") {
    const MatrixXd c = states(1);
    const MatrixXd u = states(2);
    std::vector<std::size_t> map(24);
    for (std::size_t i = 0; i < 24; ++i) { map[i] = i < 5 ? 2 : i % 2; }
    s_cfg rule{.weight = 3.0, .regions = [&](const call_site&) { return std::span<const std::size_t>(map); }};
    const MatrixXd moved = (combined(rule, c, u) - u).cwiseAbs();
    for (Eigen::Index i = 0; i < 3; ++i) {
        for (std::size_t k = 0; k < 3; ++k) {
            double sum = 0.0;
            double count = 0.0;
            for (std::size_t e = 0; e < 24; ++e) {
                if (map[e] != k) { continue; }
                sum += moved(static_cast<Eigen::Index>(e), i);
                count += 1.0;
            }
            CHECK_THAT(sum / count, WithinRel(3.0 * (c - u).col(i).cwiseAbs().mean(), 1e-12));
        }
    }
}

TEST_CASE("precision_weighted guides most where the spread is largest", "[guidance][rules][exact]") {
    const MatrixXd c = states(1);
    const MatrixXd u = states(2);
    precision_weighted rule{
        .weight = 3.0, .spread = [](const MatrixXd& x, const MatrixXd&, const call_site&, MatrixXd& out) {
            for (Eigen::Index i = 0; i < x.size(); ++i) { out.data()[i] = static_cast<double>(i % 3 + 1); }
        }};
    const MatrixXd gain = (combined(rule, c, u) - u).cwiseQuotient(c - u);
    for (Eigen::Index i = 0; i < gain.size(); ++i) {  // mean spread 2: lambda 1/2, 1, 3/2
        CHECK_THAT(gain.data()[i], WithinRel(1.0 + 2.0 * (static_cast<double>(i % 3) + 1.0) / 2.0, 1e-10));
    }
}

TEST_CASE("rectified_cfgpp is its published steps, and Euler's method at no strength",
          "[guidance][rules][identity]") {
    const std::vector<level> levels = grid::uniform(flow, 8);
    const auto c = gaussian_model(1.0, 0.5, prediction::flow_velocity, flow);
    const auto u = gaussian_model(-0.3, 2.0, prediction::flow_velocity, flow);
    const rectified_cfgpp method{.lambda = 1.7, .gamma = 1.5};
    const plan p = method.plan(flow, levels);
    MatrixXd x = states(4);
    MatrixXd y = x;
    const auto ended = sample(p, guided(method, c, u), x);
    REQUIRE(ended);
    CHECK(ended.network_calls == 8 + 2 * 7);  // at t = 1 the strength is 0
    for (std::size_t i = 0; i < 8; ++i) {
        const double t = levels[i].t;
        const double dt = levels[i + 1].t - t;
        const level m = at(flow, t + dt / 2);
        for (Eigen::Index e = 0; e < y.size(); ++e) {
            double& v = y.data()[e];
            const double own = c.network().at(v, levels[i]);
            const double ahead = v + dt / 2 * own;
            v += dt *
                 (own + 1.7 * std::pow(1.0 - t, 1.5) * (c.network().at(ahead, m) - u.network().at(ahead, m)));
        }
    }
    CHECK(largest(x - y) < 1e-13);

    const rectified_cfgpp none{.lambda = 0.0};
    const plan euler = solver::euler{}.plan(flow, levels);
    const auto nobody = silent_model(prediction::flow_velocity, flow);
    std::size_t calls = 0;
    CHECK(largest(end_of(none.plan(flow, levels), guided(none, c, nobody), &calls) - end_of(euler, c)) <
          1e-13);
    CHECK(calls == 8);
    CHECK(refusal([&] { static_cast<void>(rectified_cfgpp{.lambda = infinity}.plan(flow, levels)); }) ==
          "rectified_cfgpp: lambda and gamma must be finite");
    const std::vector<level> up(levels.rbegin(), levels.rend());
    CHECK(refusal([&] { static_cast<void>(method.plan(flow, up)); }) ==
          "rectified_cfgpp: levels must be strictly denoising, at finite times");
}

TEST_CASE("rules treat the samples of a batch one by one, in single precision too", "[guidance][rules]") {
    const plan p = solver::dpm_solver{}.plan(vp, interior_levels(vp, 5));
    const auto check = [&](auto rule) {
        const auto c = gaussian_model(1.0, 0.5, prediction::v, vp);
        const auto u = gaussian_model(-0.3, 2.0, prediction::v, vp);
        const MatrixXd all = end_of(p, guided(rule, c, u));
        MatrixXd x(24, 3);
        start_from_noise(x, p.levels.front(), noise{.seed = 3});
        for (Eigen::Index i = 0; i < 3; ++i) {
            MatrixXd one = x.col(i);
            REQUIRE(sample(p, guided(rule, c, u), one));
            CHECK(largest(one - all.col(i)) < 1e-13);
            std::vector<float> single(24);
            for (std::size_t e = 0; e < 24; ++e) {
                single[e] = static_cast<float>(x(static_cast<Eigen::Index>(e), i));
            }
            REQUIRE(sample(p, guided(rule, c, u), single));
            for (std::size_t e = 0; e < 24; ++e) {
                CHECK_THAT(static_cast<double>(single[e]),
                           WithinAbs(all(static_cast<Eigen::Index>(e), i), 2e-4));
            }
        }
    };
    check(apg{.weight = 3.0, .momentum = -0.5, .radius = 3.0});
    check(cfg_rescale{.weight = 3.0});
    check(cfg_zero_star{.weight = 3.0});
    check(tcfg{.weight = 3.0});
    check(frequency_decoupled{.weights = {3.0, 2.0}, .height = 4, .width = 6});
    check(s_cfg{.weight = 3.0, .regions = everywhere});
}

TEST_CASE("rules compose with hooks and with steppers of one's own", "[guidance][rules]") {
    const plan p = solver::dpm_solver{}.plan(vp, interior_levels(vp, 5));
    const auto c = gaussian_model(1.0, 0.5, prediction::v, vp);
    const auto u = gaussian_model(-0.3, 2.0, prediction::v, vp);
    const auto run = [&](const auto& rule) {
        MatrixXd x(24, 3);
        start_from_noise(x, p.levels.front(), noise{.seed = 3});
        MatrixXd seen;
        std::size_t evaluations = 0;
        REQUIRE(sample(p, guided(rule, c, u), x,
                       hooks{.observe =
                                 [&](const observation<MatrixXd>& o) {
                                     seen = o.x0_hat + 0.1 * o.x;
                                     evaluations = o.network_calls;
                                 },
                             .transform = dynamic_threshold{.max = 1.5}}));
        CHECK(evaluations == 10);
        return MatrixXd(seen + x);
    };
    const MatrixXd expected = run(cfg{.weight = 2.5});
    CHECK(largest(run(apg{.weight = 2.5, .momentum = 0.0, .eta = 1.0}) - expected) < 1e-12);
    CHECK(largest(run(s_cfg{.weight = 2.5, .regions = everywhere}) - expected) < 1e-12);

    const auto g = guided(apg{.weight = 3.0}, c, u);
    MatrixXd x(24, 3);
    start_from_noise(x, p.levels.front(), noise{.seed = 3});
    const auto by_oneself = [&](bool blend) {
        apg rule{.weight = 3.0};
        stepper s(program(p, g), x);
        MatrixXd a = x;
        MatrixXd b = x;
        MatrixXd* const predictions[] = {&a, &b};
        while (const auto asked = s.next()) {
            c.network()(asked->x, asked->level, a);
            u.network()(asked->x, asked->level, b);
            s.data_predictions(predictions);
            if (blend) {
                const auto found = rule.weigh(std::span<MatrixXd* const>(predictions), s.site());
                CHECK(refusal([&] { s.supply_blend(found.tensors, found.weights.first(5)); }) ==
                      "stepper: a blend must have a weight for each tensor and sample");
                s.supply_blend(found.tensors, found.weights);
            } else {
                rule.combine(std::span<MatrixXd* const>(predictions), s.site());
                s.supply_data_prediction(std::move(a));
            }
        }
        CHECK(s.result().network_calls == 10);
        return s.x();
    };
    auto same = g;
    CHECK(by_oneself(true) == end_of(p, same));
    CHECK(largest(by_oneself(false) - by_oneself(true)) < 1e-13);
    MatrixXd b = x;
    stepper folded(program(p, guided(cfg{.weight = 2.0}, c, u)), x);
    CHECK(refusal([&] { folded.supply_data_prediction(std::move(b)); }) ==
          "stepper: a transform of x0_hat needs a program made with output_column::data_prediction");
}

TEST_CASE("rules refuse options that are not numbers", "[guidance][rules][errors]") {
    const plan p = solver::ddim{}.plan(vp, interior_levels(vp, 3));
    const auto run = [&](const auto& rule) {
        return refusal([&] {
            static_cast<void>(end_of(p, guided(rule, gaussian_model(1.0, 0.5, prediction::v, vp),
                                               gaussian_model(-0.3, 2.0, prediction::v, vp))));
        });
    };
    CHECK(run(apg{.weight = not_a_number}) == "apg: the weight must be finite");
    CHECK(run(apg{.momentum = not_a_number}) == "apg: momentum and eta must be finite");
    CHECK(run(apg{.eta = not_a_number}) == "apg: momentum and eta must be finite");
    CHECK(run(apg{.radius = not_a_number}) == "apg: radius must be positive");
    CHECK(run(cfg_rescale{.weight = infinity}) == "cfg_rescale: the weight must be finite");
    CHECK(run(cfg_rescale{.phi = not_a_number}) == "cfg_rescale: phi must lie in [0, 1]");
    CHECK(run(cfg_zero_star{.weight = not_a_number}) == "cfg_zero_star: the weight must be finite");
    CHECK(run(tcfg{.weight = not_a_number}) == "tcfg: the weight must be finite");
    CHECK(run(frequency_decoupled{}) == "frequency_decoupled: need a weight for each level");
    CHECK(run(frequency_decoupled{.weights = {not_a_number}}) ==
          "frequency_decoupled: the weight must be finite");
    CHECK(run(frequency_decoupled{.weights = {1.0}, .height = 5, .width = 5}) ==
          "frequency_decoupled: a sample must be planes of height x width");
    CHECK(run(s_cfg{}) == "s_cfg: need regions");
    CHECK(run(s_cfg{.weight = not_a_number, .regions = everywhere}) == "s_cfg: the weight must be finite");
    const std::vector<std::size_t> five(5, 0);
    CHECK(run(s_cfg{.regions = [&](const call_site&) { return std::span<const std::size_t>(five); }}) ==
          "s_cfg: the regions must fit x");
    CHECK(run(precision_weighted{.weight = not_a_number, .spread = squares}) ==
          "precision_weighted: the weight must be finite");
    CHECK(run(precision_weighted{.spread = squares, .lowest = 2.0, .highest = 1.0}) ==
          "precision_weighted: need a finite power and bounds 0 <= lowest <= highest");
}
