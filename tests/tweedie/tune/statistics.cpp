// SPDX-License-Identifier: MIT
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/dpm_solver_v3.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/tune/statistics.hpp>

#include <support/catch.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <vector>

using namespace tweedie;
using analytic::gaussian;
using solver::dpm_solver_v3;
using solver::model_statistics;
using tune::estimate_statistics;
using tune::exact_statistics;
using tune::statistics_estimator;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

std::vector<level> nodes_of(int count) {
    return grid::log_snr(schedule::edm{}, count - 1,
                         {.sigma_max = 80.0, .sigma_min = 0.002, .last = grid::final_level::sigma_min});
}

Eigen::MatrixXd normals(Eigen::Index rows, Eigen::Index columns, std::uint64_t seed) {
    Eigen::MatrixXd z(rows, columns);
    tensor_traits<Eigen::MatrixXd>::normal(z, noise{.seed = seed}.stream(draw_kind::user, 7));
    return z;
}

Eigen::MatrixXd samples_of(const gaussian& of, Eigen::Index count, std::uint64_t seed) {
    const Eigen::MatrixXd scaled =
        of.eigenvalues().cwiseSqrt().asDiagonal() * normals(of.rank(), count, seed);
    return (of.eigenvectors() * scaled).colwise() + of.mean();
}

/// Each component has its share of the samples, to rounding.
Eigen::MatrixXd samples_of(const analytic::mixture& of, Eigen::Index count, std::uint64_t seed) {
    Eigen::MatrixXd out(of.dimension(), count);
    double upto = 0.0;
    Eigen::Index next = 0;
    for (std::size_t c = 0; c < of.components().size(); ++c) {
        upto += of.weights()[c];
        const auto end =
            std::min(count, static_cast<Eigen::Index>(std::lround(upto * static_cast<double>(count))));
        out.middleCols(next, end - next) = samples_of(of.components()[c], end - next, seed + c);
        next = end;
    }
    return out;
}

gaussian diagonal() {
    const Eigen::Vector4d mean(0.5, -1.0, 0.0, 0.3);
    const Eigen::Vector4d variances(0.01, 0.25, 1.0, 2.0);
    return {mean, variances.asDiagonal().toDenseMatrix()};
}

gaussian rotated() {
    Eigen::Matrix3d covariance;
    covariance << 1.0, 0.6, 0.1, 0.6, 0.8, -0.2, 0.1, -0.2, 0.5;
    return {Eigen::Vector3d(0.5, -1.0, 0.2), covariance};
}

double largest_difference(const std::vector<field>& a, const std::vector<field>& b) {
    REQUIRE(a.size() == b.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        for (std::size_t e = 0; e < std::max(a[i].size(), b[i].size()); ++e) {
            worst = std::max(worst, std::abs(a[i][e] - b[i][e]));
        }
    }
    return worst;
}

}  // namespace

TEST_CASE("exact statistics of a diagonal Gaussian make one step exact", "[tune][statistics][exact]") {
    const gaussian data = diagonal();
    const schedule::edm edm;
    const model_statistics statistics = exact_statistics(data, nodes_of(121));
    for (std::size_t i = 0; i < statistics.half_log_snr.size(); ++i) {
        const double noise = std::exp(-2.0 * statistics.half_log_snr[i]);
        for (Eigen::Index e = 0; e < 4; ++e) {
            const auto at = static_cast<std::size_t>(e);
            const double l = noise / (noise + data.covariance()(e, e));
            CHECK_THAT(statistics.l[i][at], WithinRel(l, 1e-12));
            CHECK_THAT(statistics.b[i][at], WithinAbs(2.0 * l * (1.0 - l) * data.mean()(e), 1e-12));
        }
        CHECK(statistics.s[i] == field(std::vector<double>(4, 0.0)));
    }
    const std::vector<level> levels = {nodes_of(121).front(), nodes_of(121).back()};
    const plan p = dpm_solver_v3{.order = 1, .statistics = statistics}.plan(edm, levels);
    Eigen::MatrixXd x = 80.0 * normals(4, 50, 3);
    const Eigen::MatrixXd expected = data.flow(x, levels[0], levels[1]);
    CHECK(sample(p, denoiser(std::cref(data), prediction::x0, edm), x));
    CHECK((x - expected).cwiseAbs().maxCoeff() < 1e-7);  // what 120 cubics leave
}

TEST_CASE("exact statistics of any Gaussian are what its own denoiser shows", "[tune][statistics][exact]") {
    const std::vector<level> nodes = nodes_of(17);
    const schedule::edm edm;
    const Eigen::MatrixXd tall = normals(5, 3, 9);
    const gaussian low = gaussian::fit(tall, {.rank = 2});  // with a residual
    for (const gaussian& data : {rotated(), low}) {
        const model_statistics exact = exact_statistics(data, nodes);
        Eigen::MatrixXd x0;
        if (data.rank() == data.dimension()) {
            x0 = samples_of(data, 6000, 11);
        } else {
            x0 = (data.eigenvectors() *
                      (data.eigenvalues().array() - data.residual()).sqrt().matrix().asDiagonal() *
                      normals(data.rank(), 6000, 12) +
                  std::sqrt(data.residual()) * normals(data.dimension(), 6000, 13))
                     .colwise() +
                 data.mean();
        }
        const denoiser model(std::cref(data), prediction::x0, edm);
        const model_statistics found =
            estimate_statistics(model, nodes, x0, noise{.seed = 4}, {.ridge = 1e-9}).statistics;
        // 6000 samples: standard errors of about 1 / sqrt(6000) = 0.013 times numbers of order 1/2
        CHECK(largest_difference(found.l, exact.l) < 0.02);
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            const double lambda = exact.half_log_snr[i];
            // where there is next to no noise or signal f has next to no variance
            if (std::abs(lambda) > 1.5) { continue; }
            for (std::size_t e = 0; e < exact.l[i].size(); ++e) {
                INFO("lambda " << lambda << ", element " << e);
                CHECK_THAT(found.s[i][e], WithinAbs(exact.s[i][e], 0.15));
                CHECK_THAT(found.b[i][e], WithinAbs(exact.b[i][e], 0.1));
            }
        }
    }
}

TEST_CASE("estimated statistics of a diagonal Gaussian are its exact ones, s included, in double and float",
          "[tune][statistics][exact]") {
    const gaussian data = diagonal();
    const std::vector<level> nodes = nodes_of(61);
    const model_statistics exact = exact_statistics(data, nodes);
    const schedule::edm edm;
    const denoiser model(std::cref(data), prediction::x0, edm);
    const Eigen::MatrixXd x0 = samples_of(data, 64, 5);
    const auto found = estimate_statistics(model, nodes, x0, noise{.seed = 2});
    // the Jacobian is diagonal: signs find it without variance, and f has none to fit s by
    CHECK(largest_difference(found.statistics.l, exact.l) < 1e-9);
    CHECK(largest_difference(found.statistics.s, exact.s) < 5e-3);  // of the mean 0, where f is rounding
    CHECK(largest_difference(found.statistics.b, exact.b) < 3e-4);  // the slope of l between 61 nodes
    CHECK(found.network_calls == 61 * 5 - 2);
    CHECK(found.derivatives == 61);

    const Eigen::MatrixXf narrow = x0.cast<float>();
    const auto in_float = estimate_statistics(model, nodes, narrow, noise{.seed = 2});
    CHECK(largest_difference(in_float.statistics.l, exact.l) < 2e-4);
    CHECK(largest_difference(in_float.statistics.b, exact.b) < 5e-2);  // errors of l' times y, at kappa 80
}

TEST_CASE("a derivative of yours takes the place of differences", "[tune][statistics][identity]") {
    const gaussian data = rotated();
    const std::vector<level> nodes = nodes_of(31);
    const schedule::vp_linear vp;
    const auto net = [&](const Eigen::MatrixXd& x, const network_level& at) {
        return Eigen::MatrixXd((x - at.alpha * data.denoise(x, at)) / at.sigma);
    };
    const denoiser model(net, prediction::epsilon, vp);
    const auto jvp = [&](const Eigen::MatrixXd&, const network_level& at, const Eigen::MatrixXd& v,
                         Eigen::MatrixXd& out) {
        const Eigen::MatrixXd zero = Eigen::MatrixXd::Zero(v.rows(), v.cols());
        out = net(v, at) - net(zero, at);  // it is affine
    };
    const Eigen::MatrixXd x0 = samples_of(data, 40, 8);
    const auto exact = estimate_statistics(model, nodes, x0, noise{.seed = 3}, {.probes = 2}, jvp);
    const auto differences = estimate_statistics(model, nodes, x0, noise{.seed = 3}, {.probes = 2});
    CHECK(largest_difference(exact.statistics.l, differences.statistics.l) < 1e-8);
    CHECK(exact.network_calls == 31 * 3 - 2);
    CHECK(exact.derivatives == 31 * 2);
    CHECK(differences.network_calls == 31 * 7 - 2);
}

TEST_CASE("statistics belong to half-log-SNR: the schedule of the network and of the nodes does not matter",
          "[tune][statistics][identity]") {
    const analytic::mixture data = recorded_mixtures()[0].data;
    const Eigen::MatrixXd x0 = samples_of(data, 50, 8);
    const std::vector<level> nodes = nodes_of(21);
    const auto found = [&](const any_schedule& schedule, const std::vector<level>& at) {
        return estimate_statistics(denoiser(std::cref(data), prediction::x0, schedule), at, x0,
                                   noise{.seed = 3})
            .statistics;
    };
    const model_statistics on_edm = found(schedule::edm{}, nodes);
    const schedule::flow flow;
    std::vector<level> of_flow;
    for (const level& at : nodes) { of_flow.push_back(at_half_log_snr(flow, at.half_log_snr())); }
    of_flow.push_back(at_half_log_snr(flow, infinity));  // left out
    const model_statistics on_flow = found(flow, of_flow);
    // differences of 1e-4 lose eight digits
    CHECK(largest_difference(on_edm.l, on_flow.l) < 1e-7);
    CHECK(largest_difference(on_edm.b, on_flow.b) < 1e-4);
}

TEST_CASE("batches add up, and the same noise gives the same bits", "[tune][statistics][identity]") {
    const analytic::mixture data = recorded_mixtures()[1].data;
    const Eigen::MatrixXd x0 = samples_of(data, 60, 8);
    const std::vector<level> nodes = nodes_of(21);
    const schedule::edm edm;
    const denoiser model(std::cref(data), prediction::x0, edm);
    const auto whole = estimate_statistics(model, nodes, x0, noise{.seed = 3});
    CHECK(estimate_statistics(model, nodes, x0, noise{.seed = 3}).statistics == whole.statistics);
    CHECK(estimate_statistics(model, nodes, x0, noise{.seed = 4}).statistics != whole.statistics);

    statistics_estimator estimator(nodes);
    for (Eigen::Index first = 0; first < 60; first += 20) {
        estimator.add(model, Eigen::MatrixXd(x0.middleCols(first, 20)), noise{.seed = 3});
    }
    CHECK(estimator.samples() == 60);
    CHECK(estimator.network_calls() == 3 * whole.network_calls);
    // the denoiser rounds a batch of another size otherwise, and differences of 1e-4 kappa magnify that
    CHECK(largest_difference(estimator.statistics().l, whole.statistics.l) < 1e-8);
    CHECK(largest_difference(estimator.statistics().s, whole.statistics.s) < 1e-4);
    CHECK(largest_difference(estimator.statistics().b, whole.statistics.b) < 1e-4);

    // a source that is no `noise` goes on with its next draws
    noise_record<double> record{.samples = 20, .elements = static_cast<std::size_t>(x0.rows())};
    statistics_estimator recorded(nodes);
    const recorded_noise source(noise{.seed = 3}, &record);
    for (Eigen::Index first = 0; first < 60; first += 20) {
        recorded.add(model, Eigen::MatrixXd(x0.middleCols(first, 20)), source);
    }
    CHECK(record.user.size() == 6);
    CHECK(record.user[0] != record.user[2]);
}

TEST_CASE("with estimated statistics v3 needs half the error of UniPC-3 at 8 and 10 calls on the mixtures",
          "[tune][statistics][reference]") {
    const schedule::edm edm;
    const std::vector<recorded_mixture> mixtures = recorded_mixtures();
    std::vector<model_statistics> statistics;
    for (const recorded_mixture& m : mixtures) {
        const denoiser model(std::cref(m.data), prediction::x0, edm);
        statistics.push_back(
            estimate_statistics(model, nodes_of(41), samples_of(m.data, 512, 5), noise{.seed = 1})
                .statistics);
    }
    const auto mean_error = [&](int calls, const auto& plan_for) {
        const auto levels = grid::log_snr(edm, calls, {.last = grid::final_level::sigma_min});
        double logarithms = 0.0;
        for (std::size_t k = 0; k < mixtures.size(); ++k) {
            Eigen::MatrixXd x = mixtures[k].starts;
            const plan p = plan_for(k, levels);
            CHECK(counts(p).network_calls == static_cast<std::size_t>(calls));
            CHECK(sample(p, denoiser(std::cref(mixtures[k].data), prediction::x0, edm), x));
            const Eigen::VectorXd rms = (x - mixtures[k].ends).colwise().norm().transpose() /
                                        std::sqrt(static_cast<double>(x.rows()));
            std::vector<double> errors(rms.begin(), rms.end());
            std::sort(errors.begin(), errors.end());
            logarithms += std::log(0.5 * (errors[errors.size() / 2] + errors[(errors.size() - 1) / 2]));
        }
        return std::exp(logarithms / static_cast<double>(mixtures.size()));
    };
    const auto v3 = [&](int calls) {
        return mean_error(calls, [&](std::size_t k, const std::vector<level>& levels) {
            return dpm_solver_v3{.statistics = statistics[k]}.plan(edm, levels);
        });
    };
    const auto pseudo = [&](int calls) {
        return mean_error(calls, [&](std::size_t k, const std::vector<level>& levels) {
            return dpm_solver_v3{.statistics = statistics[k], .pseudo = true}.plan(edm, levels);
        });
    };
    const auto unipc = [&](int calls) {
        return mean_error(calls, [&](std::size_t, const std::vector<level>& levels) {
            return solver::unipc{.order = 3}.plan(edm, levels);
        });
    };
    for (const int calls : {8, 10}) {
        CHECK(v3(calls) < 0.5 * unipc(calls));
        CHECK(pseudo(calls) < 0.85 * v3(calls));  // a fifth to a quarter less
    }
    // measured with other samples: 5.9e-2, 2.1e-2, 1.1e-2, which these may miss by a quarter
    CHECK_THAT(v3(5), WithinRel(5.9e-2, 0.25));
    CHECK_THAT(v3(8), WithinRel(2.1e-2, 0.25));
    CHECK_THAT(v3(10), WithinRel(1.1e-2, 0.25));
}

TEST_CASE("statistics refuse nodes, options, data and outputs that cannot be used",
          "[tune][statistics][errors]") {
    const std::vector<level> nodes = nodes_of(5);
    const gaussian data = rotated();
    const schedule::edm edm;
    const denoiser model(std::cref(data), prediction::x0, edm);
    const Eigen::MatrixXd x0 = samples_of(data, 4, 1);
    CHECK_THROWS_WITH(exact_statistics(data, std::span(nodes).first(1)),
                      "exact_statistics: need at least two nodes at finite half_log_snr");
    const std::vector<level> clean = {nodes[0], {0.0, 1.0, 0.0}};
    CHECK_THROWS_WITH(exact_statistics(data, clean),
                      "exact_statistics: need at least two nodes at finite half_log_snr");
    const std::vector<level> back(nodes.rbegin(), nodes.rend());
    CHECK_THROWS_WITH(exact_statistics(data, back),
                      "exact_statistics: half_log_snr must increase from node to node");
    CHECK_THROWS_WITH(statistics_estimator(back),
                      "statistics_estimator: half_log_snr must increase from node to node");
    const std::vector<level> broken = {nodes[0], {1.0, 1.0, not_a_number}};
    CHECK_THROWS_WITH(statistics_estimator(broken), "statistics_estimator: a node is NaN");
    for (const double sigma : {1e160, 1e-160}) {
        std::vector<level> far = {{2.0, 1.0, 1.0}, {1.0, 1.0, sigma}};
        if (sigma > 1.0) { std::swap(far[0], far[1]); }
        CHECK_THROWS_WITH(exact_statistics(data, far),
                          "exact_statistics: half_log_snr must lie in [-350, 350]");
        CHECK_THROWS_WITH(statistics_estimator(far),
                          "statistics_estimator: half_log_snr must lie in [-350, 350]");
    }
    CHECK_THROWS_WITH(statistics_estimator(nodes, {.probes = 0}),
                      "statistics_estimator: probes must be positive");
    for (const double bad : {-1.0, infinity, not_a_number}) {
        const char* rule =
            "statistics_estimator: ridge, direction and half_log_snr must be finite and not negative";
        CHECK_THROWS_WITH(statistics_estimator(nodes, {.ridge = bad}), rule);
        CHECK_THROWS_WITH(statistics_estimator(nodes, {.direction = bad}), rule);
        CHECK_THROWS_WITH(statistics_estimator(nodes, {.half_log_snr = bad}), rule);
    }
    statistics_estimator estimator(nodes);
    CHECK_THROWS_WITH(estimator.statistics(), "statistics_estimator: need at least one sample");
    CHECK_THROWS_WITH(estimator.add(model, Eigen::MatrixXd()), "statistics_estimator: the data are empty");
    Eigen::MatrixXd bad = x0;
    bad(1, 2) = not_a_number;
    CHECK_THROWS_WITH(estimator.add(model, bad), "statistics_estimator: the data must be finite");
    estimator.add(model, x0);
    const Eigen::MatrixXd larger = Eigen::MatrixXd::Zero(4, 2);
    CHECK_THROWS_WITH(estimator.add(model, larger),
                      "statistics_estimator: a sample must have 3 elements as before, not 4");
    const auto fails = [&](const Eigen::MatrixXd& x, const network_level& at) {
        return Eigen::MatrixXd(at.sigma < 1.0 ? x / 0.0 : x);
    };
    CHECK(estimator.samples() == 4);
    CHECK_NOTHROW(estimator.statistics());  // what was refused at the door left no trace
    CHECK_THROWS_WITH(estimator.add(denoiser(fails, prediction::x0, edm), x0),
                      "statistics_estimator: the network's output is not finite at node 2");
    // half a batch is in the sums
    const char* spoiled = "statistics_estimator: a batch failed on the way; begin with another";
    CHECK_THROWS_WITH(estimator.statistics(), spoiled);
    CHECK_THROWS_WITH(estimator.add(model, x0), spoiled);
}
