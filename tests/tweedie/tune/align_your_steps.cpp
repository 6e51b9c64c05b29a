// SPDX-License-Identifier: MIT
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/detail/gauss_legendre.hpp>
#include <tweedie/grid/align_your_steps.hpp>
#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/grid/tabulated.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/tune/align_your_steps.hpp>
#include <tweedie/tune/gits.hpp>
#include <tweedie/verify/exactness.hpp>
#include <tweedie/verify/order.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

using namespace tweedie;

namespace {

constexpr auto to_sigma_min = grid::final_level::sigma_min;

std::vector<level> candidates(int steps) {
    return grid::log_snr(schedule::edm{}, steps, {.last = to_sigma_min});
}

std::vector<double> sigmas_of(std::span<const level> levels) {
    std::vector<double> out;
    for (const level& at : levels) { out.push_back(at.sigma / at.alpha); }
    return out;
}

/// The KLUB of a sequence of candidates.
template <class Klub>
double total(const Klub& klub, std::span<const level> levels) {
    double sum = 0.0;
    std::size_t before = 0;
    for (const level& at : levels.subspan(1)) {
        std::size_t here = before + 1;
        while (!(klub.levels()[here] == at)) { ++here; }
        sum += klub(before, here);
        before = here;
    }
    return sum;
}

/// The definition for Gaussian data, by quadrature in ln kappa.
double klub_by_quadrature(double variance, double noisy, double clean) {
    double sum = 0.0;
    detail::gauss_legendre(std::log(clean), std::log(noisy), 0.1, [&](double u, double weight) {
        const double kappa = std::exp(u);
        // v^2 (1 / (kappa^2 + v) - 1 / (noisy^2 + v)), without the cancellation
        const double moved = variance * variance * (noisy - kappa) * (noisy + kappa) /
                             ((kappa * kappa + variance) * (noisy * noisy + variance));
        sum += weight * moved / (kappa * kappa);
    });
    return sum;
}

const analytic::spectrum half{{0.25}, {1.0}};

}  // namespace

TEST_CASE("the KLUB of Gaussian data is the integral that defines it", "[tune][align_your_steps][exact]") {
    const analytic::spectrum data{{4.0, 0.25, 1e-4, 0.0}, {1.0, 6.5, 2.0, 9.0}};
    const tune::gaussian_klub klub(data, candidates(60));
    const std::vector<double> kappa = sigmas_of(klub.levels());
    for (const auto& [j, k] :
         {std::pair<std::size_t, std::size_t>{0, 60}, {0, 1}, {30, 31}, {59, 60}, {20, 50}}) {
        double expected = 0.0;
        for (std::size_t c = 0; c < 3; ++c) {  // a direction without variance costs nothing
            expected += data.counts[c] * klub_by_quadrature(data.variances[c], kappa[j], kappa[k]);
        }
        CHECK_THAT(klub(j, k), WithinRel(expected, tol<double>::identity));
    }
}

TEST_CASE("the KLUB of Gaussian data keeps its digits in steps of any length",
          "[tune][align_your_steps][exact]") {
    for (const double ratio : {1e-12, 1e-8, 1e-4, 0.04, 0.06, 1.0}) {
        const std::vector<level> pair = {{1.0, 1.0, 1.0}, {0.5, 1.0, 1.0 / std::sqrt(1.0 + ratio)}};
        const tune::gaussian_klub klub({{1.0}, {2.0}}, pair);
        const double kappa = pair[1].sigma;
        const double r = (1.0 - kappa) * (1.0 + kappa) / (kappa * kappa) / 2.0;
        // x - ln(1 + x) = int_0^x u / (1 + u) du, which cancels nothing
        double expected = 0.0;
        detail::gauss_legendre(0.0, r, 0.1,
                               [&](double u, double weight) { expected += weight * u / (1.0 + u); });
        // s_k - s_j is a difference of numbers near 1: its last bits are 1e-16 / ratio of it, and count twice
        CHECK_THAT(klub(0, 1), WithinRel(expected, tol<double>::identity + 1e-15 / ratio));
    }
}

TEST_CASE("the KLUB of Gaussian data is that of equal signal-to-noise ratios on every schedule",
          "[tune][align_your_steps][identity]") {
    const schedule::vp_linear vp;
    const std::vector<level> on_vp = grid::log_snr(vp, 20, {.last = to_sigma_min});
    std::vector<level> on_edm;
    for (const level& at : on_vp) { on_edm.push_back(at_half_log_snr(schedule::edm{}, at.half_log_snr())); }
    const tune::gaussian_klub a({{1.0, 0.01}, {1.0, 3.0}}, on_vp);
    const tune::gaussian_klub b({{1.0, 0.01}, {1.0, 3.0}}, on_edm);
    for (std::size_t k = 1; k <= 20; ++k) { CHECK_THAT(a(k - 1, k), WithinRel(b(k - 1, k), 1e-10)); }
}

TEST_CASE("the KLUB of a network on Gaussian data is the closed form within its standard error",
          "[tune][align_your_steps][statistics]") {
    const Eigen::Vector3d variances(1.0, 0.25, 0.01);
    const auto data =
        analytic::gaussian::low_rank(Eigen::Vector3d(0.5, -1.0, 0.0), Eigen::Matrix3d::Identity(), variances);
    const schedule::edm schedule;
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const std::vector<level> where = candidates(120);
    const tune::gaussian_klub exact(analytic::spectrum_of(data), where);

    constexpr int batches = 60;
    const std::vector<std::pair<std::size_t, std::size_t>> steps = {
        {0, 120}, {0, 60}, {30, 61}, {60, 70}, {90, 120}};
    std::vector<double> sum(steps.size());
    std::vector<double> squares(steps.size());
    for (int b = 0; b < batches; ++b) {
        Eigen::MatrixXd samples = normals(3, 32, 100 + static_cast<std::uint64_t>(b));
        samples = (variances.cwiseSqrt().asDiagonal() * samples).colwise() + data.mean();
        tune::network_klub klub(where);
        klub.add(model, samples, noise{.seed = 7, .sample = static_cast<std::uint64_t>(32 * b)});
        for (std::size_t i = 0; i < steps.size(); ++i) {
            const double value = klub(steps[i].first, steps[i].second);
            sum[i] += value / batches;
            squares[i] += value * value / batches;
        }
    }
    for (std::size_t i = 0; i < steps.size(); ++i) {
        const double error = std::sqrt((squares[i] - sum[i] * sum[i]) / (batches - 1));
        const double expected = exact(steps[i].first, steps[i].second);
        INFO("step " << steps[i].first << " to " << steps[i].second << ": " << sum[i] << " +- " << error
                     << ", exact " << expected);
        CHECK(error < 0.05 * expected);  // a test that could tell
        // four standard errors, and the quadrature's 1e-3
        CHECK_THAT(sum[i], WithinAbs(expected, 4.0 * error + 1e-3 * expected));
    }
}

TEST_CASE("the KLUB of a network is the integral over its change, where that is known",
          "[tune][align_your_steps][exact]") {
    const auto net = [](const std::vector<double>& x, const network_level& at) {
        return std::vector<double>(x.size(), at.sigma);  // D = kappa, whatever the state
    };
    const std::vector<level> where = candidates(120);
    tune::network_klub klub(where);
    klub.add(denoiser(net, prediction::x0, schedule::edm{}), std::vector<double>(3), noise{.seed = 1});
    const auto antiderivative = [](double kappa, double noisy) {  // of kappa^-3 (kappa - noisy)^2
        return std::log(kappa) + 2.0 * noisy / kappa - 0.5 * noisy * noisy / (kappa * kappa);
    };
    for (std::size_t j = 0; j + 2 <= 120; j += 7) {
        for (std::size_t k = j + 2; k <= 120; k += 5) {
            const double noisy = where[j].sigma;
            const double expected = antiderivative(noisy, noisy) - antiderivative(where[k].sigma, noisy);
            CHECK_THAT(klub(j, k), WithinRel(3.0 * expected, 1e-3));  // the stated error of the quadrature
        }
    }
}

TEST_CASE("the KLUB of a network does not depend on the schedule of the candidates",
          "[tune][align_your_steps][identity]") {
    const analytic::gaussian data(Eigen::Vector2d(0.3, -0.2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.2}});
    const denoiser model(std::cref(data), prediction::x0, schedule::edm{});
    const Eigen::MatrixXd samples = normals(2, 16, 3);
    const std::vector<level> on_vp = grid::log_snr(schedule::vp_linear{}, 24, {.last = to_sigma_min});
    std::vector<level> on_edm;
    for (const level& at : on_vp) { on_edm.push_back(at_half_log_snr(schedule::edm{}, at.half_log_snr())); }
    tune::network_klub a(on_vp);
    tune::network_klub b(on_edm);
    a.add(model, samples, noise{.seed = 5});
    b.add(model, samples, noise{.seed = 5});
    for (std::size_t j = 0; j < 24; ++j) { CHECK_THAT(a(j, 24), WithinRel(b(j, 24), 1e-9)); }
}

TEST_CASE("the KLUB of a network starts from pure noise and takes tensors of float",
          "[tune][align_your_steps]") {
    const analytic::gaussian data = analytic::gaussian::isotropic(Eigen::VectorXd::Zero(4), 0.25);
    const schedule::flow schedule;
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const std::vector<level> where = grid::log_snr(schedule, 60, {.last = to_sigma_min});
    REQUIRE(where.front().alpha == 0.0);
    tune::network_klub klub(where);
    klub.add(model, Eigen::MatrixXf((0.5 * normals(4, 2000, 3)).cast<float>()), noise{.seed = 5});
    const tune::gaussian_klub exact(analytic::spectrum_of(data), where);
    // 8000 numbers: a relative standard error of sqrt(2 / 8000) = 1.6 %, four of them
    for (const std::size_t k : {30U, 60U}) { CHECK_THAT(klub(0, k), WithinRel(exact(0, k), 0.064)); }
    const std::vector<level> levels = tune::align_your_steps(schedule, 12, klub);
    CHECK(levels.front() == where.front());
    CHECK(levels.back().sigma == 0.0);
    CHECK(levels.size() == 13);
}

TEST_CASE("the KLUB of batches is that of all samples, at one network call per level and batch",
          "[tune][align_your_steps][cost]") {
    const analytic::gaussian data = analytic::gaussian::isotropic(Eigen::VectorXd::Zero(2), 0.5);
    std::size_t calls = 0;
    const auto net = [&](const Eigen::MatrixXd& x, const network_level& at, Eigen::MatrixXd& out) {
        ++calls;
        data(x, at, out);
    };
    const denoiser model(net, prediction::x0, schedule::edm{});
    const Eigen::MatrixXd samples = normals(2, 24, 11);
    // the draws written down: those of the second batch are the next ones of the same source
    noise_record<double> record{.samples = 8, .elements = 2};
    tune::network_klub three(candidates(12));
    for (int b = 0; b < 3; ++b) {
        three.add(model, Eigen::MatrixXd(samples.middleCols(8 * b, 8)),
                  recorded_noise(noise{.seed = 1}, &record));
    }
    CHECK(calls == 39);
    CHECK(three.network_calls() == 39);
    CHECK(three.samples() == 24);
    REQUIRE(record.step.size() == 39);

    noise_record<double> joined{.samples = 24, .elements = 2};
    joined.step.resize(13);
    for (std::size_t draw = 0; draw < 39; ++draw) {
        std::vector<double>& to = joined.step[draw % 13];
        to.insert(to.end(), record.step[draw].begin(), record.step[draw].end());
    }
    tune::network_klub one(candidates(12));
    one.add(model, samples, injected_noise(joined));
    CHECK(one.network_calls() == 13);
    for (std::size_t j = 0; j < 12; ++j) {
        CHECK_THAT(three(j, 12), WithinRel(one(j, 12), tol<double>::identity));
    }
}

TEST_CASE("every sweep of the search lowers the KLUB, down to the least that dynamic programming finds",
          "[tune][align_your_steps][exact]") {
    const tune::gaussian_klub klub(half, candidates(120));
    double before =
        total(klub, tune::align_your_steps(schedule::edm{}, 10, klub, {.last = to_sigma_min, .sweeps = 0}));
    for (const int sweeps : {1, 2, 3, 5, 10}) {
        const double now =
            total(klub, tune::align_your_steps(schedule::edm{}, 10, klub,
                                               {.last = to_sigma_min, .decrease = 1.0, .sweeps = sweeps}));
        CHECK(now < before);
        before = now;
    }
    const double end = total(
        klub, tune::align_your_steps(schedule::edm{}, 10, klub, {.last = to_sigma_min, .decrease = 1.0}));
    const double least = total(klub, tune::gits(10, klub, {.discount = 1.0}));
    CHECK(least <= end);
    // moving one level at a time can stop a candidate away from the minimum, where the KLUB is flat
    CHECK(end < 1.005 * least);
}

TEST_CASE("the search stops after the stated share of the attainable decrease",
          "[tune][align_your_steps][exact]") {
    const tune::gaussian_klub klub(half, candidates(200));
    const auto at = [&](double decrease, int sweeps = 1000) {
        return total(klub,
                     tune::align_your_steps(schedule::edm{}, 10, klub,
                                            {.last = to_sigma_min, .decrease = decrease, .sweeps = sweeps}));
    };
    const double start = at(0.0);
    const double least = at(1.0);
    CHECK(start == at(1.0, 0));
    for (const double decrease : {0.25, 0.5, 0.75}) {
        CHECK(at(decrease) <= start - decrease * (start - least));
        CHECK(at(decrease) > start - (decrease + 0.2) * (start - least));  // a sweep is no more than a fifth
    }
}

TEST_CASE("the least KLUB crowds its levels at the clean end and ruins DDIM, stopped early it improves it",
          "[tune][align_your_steps][exact]") {
    const schedule::edm schedule;  // from 80 to 0.002, with data of standard deviation 1/2
    const tune::gaussian_klub klub(half, candidates(400));
    const std::vector<level> least =
        tune::align_your_steps(schedule, 10, klub, {.last = to_sigma_min, .decrease = 1.0});
    CHECK_THAT(least[1].sigma, WithinAbs(0.36, 0.03));
    CHECK_THAT(least[2].sigma, WithinAbs(0.18, 0.02));
    const auto contrast =
        [&](const std::vector<level>& levels) {  // of the samples' standard deviation, 1 is exact
            return analyze(solver::ddim{}.plan(schedule, levels), 0.25).start /
                   exact_transfer(levels.front(), levels.back(), 0.25).start;
        };
    const std::vector<level> early = tune::align_your_steps(schedule, 10, klub, {.last = to_sigma_min});
    const double before = contrast(grid::log_snr(schedule, 10, {.last = to_sigma_min}));
    CHECK(contrast(least) < 0.6);
    CHECK(before < 0.85);
    CHECK(contrast(early) > before);
    CHECK(early[1].sigma > 1.0);
}

TEST_CASE("other numbers of steps are the ten, interpolated as the published tables are",
          "[tune][align_your_steps][identity]") {
    const schedule::edm schedule;
    const tune::gaussian_klub klub(half, candidates(200));
    const std::vector<double> ten =
        sigmas_of(tune::align_your_steps(schedule, 10, klub, {.last = to_sigma_min}));
    for (const int steps : {1, 5, 7, 10, 15, 19}) {
        for (const auto last : {grid::final_level::zero, to_sigma_min}) {
            const auto ours = tune::align_your_steps(schedule, steps, klub, {.last = last});
            const auto expected = grid::tabulated(schedule, steps, ten, {.last = last});
            REQUIRE(ours.size() == expected.size());
            for (std::size_t i = 0; i < ours.size(); ++i) {
                CHECK_THAT(ours[i].sigma, WithinRel(expected[i].sigma, tol<double>::identity));
            }
        }
    }
}

TEST_CASE("a search with nothing to choose from gives the published table, at every number of steps",
          "[tune][align_your_steps][identity]") {
    const schedule::edm schedule({.sigma_min = 1e-3, .sigma_max = 700.0});
    for (const auto network : {grid::align_your_steps_for::stable_video_diffusion,
                               grid::align_your_steps_for::stable_diffusion_1}) {
        const tune::gaussian_klub klub(half,
                                       grid::from_sigmas(schedule, grid::align_your_steps_sigmas(network)));
        for (const int steps : {4, 10, 25}) {
            const auto ours = tune::align_your_steps(schedule, steps, klub, {.last = to_sigma_min});
            const auto table = grid::align_your_steps(schedule, steps, network, {.last = to_sigma_min});
            for (std::size_t i = 0; i < ours.size(); ++i) {
                CHECK_THAT(ours[i].sigma, WithinRel(table[i].sigma, tol<double>::identity));
            }
        }
    }
}

TEST_CASE("twice as many steps keep the ten and divide each, at less KLUB than interpolation",
          "[tune][align_your_steps][exact]") {
    const schedule::edm schedule;
    const tune::gaussian_klub klub(half, candidates(200));
    const auto ten = tune::align_your_steps(schedule, 10, klub, {.last = to_sigma_min});
    const auto twenty = tune::align_your_steps(schedule, 20, klub, {.last = to_sigma_min});
    const auto middle = tune::align_your_steps(schedule, 20, klub, {.last = to_sigma_min, .decrease = 0.0});
    CHECK_FALSE(twenty == middle);
    for (std::size_t i = 0; i <= 10; ++i) { CHECK(twenty[2 * i] == ten[i]); }
    for (std::size_t i = 0; i < 10; ++i) {  // no step of the ten is divided worse than in its middle
        const std::span<const level> pair(twenty.data() + 2 * i, 3);
        const std::size_t at = [&] {
            std::size_t k = 0;
            while (!(klub.levels()[k] == pair[0])) { ++k; }
            return k;
        }();
        std::size_t to = at;
        while (!(klub.levels()[to] == pair[2])) { ++to; }
        const std::size_t half_way = at + (to - at) / 2;
        std::size_t chosen = at;
        while (!(klub.levels()[chosen] == pair[1])) { ++chosen; }
        CHECK(klub(at, chosen) + klub(chosen, to) <= klub(at, half_way) + klub(half_way, to));
    }
}

TEST_CASE("a validation stops the search where its error stops falling", "[tune][align_your_steps][exact]") {
    const schedule::edm schedule;
    const tune::gaussian_klub klub(half, candidates(200));
    const auto error_of = [&](std::span<const level> levels) {  // DDIM on the same data, exactly
        const double gain = analyze(solver::ddim{}.plan(schedule, levels), 0.25).start;
        return std::abs(gain / exact_transfer(levels.front(), levels.back(), 0.25).start - 1.0);
    };
    std::vector<double> errors;
    const tune::align_your_steps_options options{.last = to_sigma_min};
    const auto best = tune::align_your_steps(schedule, 8, klub, options, [&](std::span<const level> levels) {
        errors.push_back(error_of(levels));
        return errors.back();
    });
    REQUIRE(errors.size() >= 3);  // it went some way, and saw the error rise
    CHECK(errors.size() < 100);
    CHECK(errors.back() >= errors[errors.size() - 2]);
    for (std::size_t i = 1; i + 1 < errors.size(); ++i) { CHECK(errors[i] < errors[i - 1]); }
    CHECK(error_of(best) == errors[errors.size() - 2]);
}

TEST_CASE("on three mixtures the levels of the covariance's spectrum beat log-SNR and Karras levels",
          "[tune][align_your_steps][statistics]") {
    const schedule::edm schedule;
    struct row {
        double ddim = 0.0;
        double multistep = 0.0;
    };
    for (const int steps : {5, 8, 10}) {
        row ours;
        row log_snr;
        row karras;
        row network;
        for (const recorded_mixture& m : recorded_mixtures()) {
            const Eigen::MatrixXd starts = m.starts.leftCols(64);
            const Eigen::MatrixXd ends = m.ends.leftCols(64);
            const auto add = [&](row& to, const std::vector<level>& levels) {
                const auto error = [&](const plan& p) {
                    return std::log(verify::median_rms(verify::run_plan(p, m.data, schedule, starts), ends));
                };
                to.ddim += error(solver::ddim{}.plan(schedule, levels));
                to.multistep += error(solver::dpm_solver{.order = 2}.plan(schedule, levels));
            };
            const tune::gaussian_klub klub(analytic::spectrum_of(m.data), candidates(200));
            add(ours, tune::align_your_steps(schedule, steps, klub, {.last = to_sigma_min}));
            add(log_snr, grid::log_snr(schedule, steps, {.last = to_sigma_min}));
            add(karras, grid::karras(schedule, steps, {.last = to_sigma_min}));

            tune::network_klub measured(candidates(60));
            // the recorded ends are samples of the data to the accuracy of the flow at sigma 0.002
            measured.add(denoiser(std::cref(m.data), prediction::x0, schedule), m.ends, noise{.seed = 2});
            add(network, tune::align_your_steps(schedule, steps, measured, {.last = to_sigma_min}));
        }
        INFO(steps << " steps, log of the geometric mean, times 3");
        CHECK(ours.ddim < log_snr.ddim);
        CHECK(ours.ddim < karras.ddim);
        CHECK(ours.multistep < log_snr.multistep);
        CHECK(ours.multistep < karras.multistep);
        // measured on the network itself: better for DDIM, the solver that it bounds
        CHECK(network.ddim < log_snr.ddim);
        CHECK(network.ddim < karras.ddim);
    }
}

TEST_CASE("the choosers of Align Your Steps refuse what they cannot use",
          "[tune][align_your_steps][errors]") {
    const schedule::edm schedule;
    CHECK_THROWS_AS(tune::gaussian_klub({{}, {}}, candidates(5)), std::invalid_argument);
    CHECK_THROWS_AS(tune::gaussian_klub({{-1.0}, {1.0}}, candidates(5)), std::invalid_argument);
    CHECK_THROWS_AS(tune::gaussian_klub({{not_a_number}, {1.0}}, candidates(5)), std::invalid_argument);
    CHECK_THROWS_AS(tune::gaussian_klub(half, grid::log_snr(schedule, 5)), std::invalid_argument);  // clean
    CHECK_THROWS_AS(tune::gaussian_klub(half, std::vector<level>{}), std::invalid_argument);
    std::vector<level> backwards = candidates(5);
    std::swap(backwards[1], backwards[2]);
    CHECK_THROWS_AS(tune::network_klub(backwards), std::invalid_argument);
    CHECK_THROWS_AS(tune::network_klub(grid::log_snr(schedule, 5)), std::invalid_argument);

    const analytic::gaussian data = analytic::gaussian::isotropic(Eigen::Vector2d::Zero(), 0.5);
    const denoiser model(std::cref(data), prediction::x0, schedule);
    tune::network_klub klub(candidates(20));
    CHECK_THROWS_AS(klub(0, 1), std::invalid_argument);  // no data yet
    CHECK_THROWS_AS(klub.add(model, Eigen::MatrixXd(2, 0), noise{}), std::invalid_argument);
    Eigen::MatrixXd samples = normals(2, 4, 1);
    samples(1, 2) = not_a_number;
    CHECK_THROWS_AS(klub.add(model, samples, noise{}), std::invalid_argument);
    CHECK_THROWS_AS(klub.add(model, Eigen::MatrixXd(normals(3, 4, 1)), noise{}),
                    std::invalid_argument);  // the model's
    const auto broken = [](const Eigen::MatrixXd& x, const network_level&) {
        return Eigen::MatrixXd(x * not_a_number);
    };
    CHECK_THROWS_AS(
        klub.add(denoiser(broken, prediction::x0, schedule), Eigen::MatrixXd(normals(2, 4, 1)), noise{}),
        std::invalid_argument);
    const auto other = [](const Eigen::MatrixXd& x, const network_level&) {
        return Eigen::MatrixXd(x.transpose());
    };
    CHECK_THROWS_AS(
        klub.add(denoiser(other, prediction::x0, schedule), Eigen::MatrixXd(normals(2, 4, 1)), noise{}),
        std::invalid_argument);
    CHECK(klub.samples() == 0);
    klub.add(model, Eigen::MatrixXd(normals(2, 4, 1)), noise{});
    const auto wide = [](const Eigen::MatrixXd& x, const network_level&) { return Eigen::MatrixXd(0.0 * x); };
    CHECK_THROWS_AS(
        klub.add(denoiser(wide, prediction::x0, schedule), Eigen::MatrixXd(normals(3, 4, 1)), noise{}),
        std::invalid_argument);  // not the size of before
    CHECK(klub.samples() == 4);

    const auto choose = [&](int steps, const tune::align_your_steps_options& options) {
        return tune::align_your_steps(schedule, steps, klub, options);
    };
    CHECK_THROWS_AS(choose(0, {}), std::invalid_argument);
    CHECK_THROWS_AS(choose(grid::max_steps + 1, {}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.last = static_cast<grid::final_level>(7)}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.decrease = not_a_number}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.decrease = -0.1}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.decrease = 1.1}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.sweeps = -1}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.coarse_steps = 0}), std::invalid_argument);
    CHECK_THROWS_AS(choose(5, {.coarse_steps = 21}), std::invalid_argument);  // 21 candidates
    CHECK_NOTHROW(choose(5, {.coarse_steps = 20}));
}
