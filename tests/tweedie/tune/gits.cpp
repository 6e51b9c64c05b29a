// SPDX-License-Identifier: MIT
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/gits.hpp>
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>
#include <tweedie/tune/gits.hpp>
#include <tweedie/verify/exactness.hpp>
#include <tweedie/verify/order.hpp>

#include <Eigen/Core>
#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/recorded_mixtures.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

using namespace tweedie;
using tune::trajectory_metric;

namespace {

constexpr auto to_sigma_min = grid::final_level::sigma_min;

/// Costs given as a matrix.
struct given_costs {
    std::vector<level> where;
    Eigen::MatrixXd matrix;

    [[nodiscard]] const std::vector<level>& levels() const { return where; }
    [[nodiscard]] double operator()(std::size_t j, std::size_t i) const {
        return matrix(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(i));
    }
};

/// What the discount makes of a choice of candidates.
double total(const given_costs& costs, const std::vector<std::size_t>& chosen, double discount) {
    double sum = 0.0;
    double factor = 1.0;
    for (std::size_t k = 1; k < chosen.size(); ++k) {
        sum += factor * costs(chosen[k - 1], chosen[k]);
        factor *= discount;
    }
    return sum;
}

/// The least total of `steps` steps from the last of `chosen` to the end, by trying all.
double least_of_all(const given_costs& costs, std::vector<std::size_t> chosen, std::size_t steps,
                    double discount) {
    const std::size_t last = costs.where.size() - 1;
    if (steps == 1) {
        chosen.push_back(last);
        return total(costs, chosen, discount);
    }
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = chosen.back() + 1; i + steps <= last + 1; ++i) {
        std::vector<std::size_t> longer = chosen;
        longer.push_back(i);
        least = std::min(least, least_of_all(costs, longer, steps - 1, discount));
    }
    return least;
}

/// A solver that follows the flow of isotropic Gaussian data around 0 exactly.
struct exact_flow {
    double variance;

    [[nodiscard]] tweedie::plan plan(const any_schedule& /*schedule*/, std::span<const level> levels) const {
        plan_writer p("exact flow", levels);
        plan_variable x = p.state();
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const linear_form x0 = p.data_prediction(x, s);
            const double total = s.alpha * s.alpha * variance + s.sigma * s.sigma;
            const double gain = std::sqrt((t.alpha * t.alpha * variance + t.sigma * t.sigma) / total);
            x = gain * total / (s.alpha * variance) * x0;  // x0_hat = alpha v x / total
        }
        return p.finish(x);
    }
};

std::vector<level> on_edm(int steps) { return grid::log_snr(schedule::edm{}, steps, {.last = to_sigma_min}); }

double distance_from_line(const Eigen::VectorXd& y, const Eigen::VectorXd& from, const Eigen::VectorXd& to) {
    const Eigen::VectorXd along = (to - from) / (to - from).norm();
    const Eigen::VectorXd away = y - from;
    return (away - away.dot(along) * along).norm();
}

}  // namespace

TEST_CASE("dynamic programming finds the least of all choices of levels", "[tune][gits][exact]") {
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
        given_costs costs{on_edm(8), normals(9, 9, seed)};  // negative ones too, as deviations can be
        for (const double discount : {0.7, 1.0, 1.15}) {
            for (int steps = 1; steps <= 8; ++steps) {
                const std::vector<level> levels = tune::gits(steps, costs, {.discount = discount});
                REQUIRE(levels.size() == static_cast<std::size_t>(steps) + 1);
                std::vector<std::size_t> chosen;
                for (const level& at : levels) {
                    std::size_t k = chosen.empty() ? 0 : chosen.back() + 1;
                    while (!(costs.where[k] == at)) { ++k; }
                    chosen.push_back(k);
                }
                CHECK(chosen.front() == 0);
                CHECK(chosen.back() == 8);
                const double least = least_of_all(costs, {0}, static_cast<std::size_t>(steps), discount);
                CHECK_THAT(total(costs, chosen, discount), WithinAbs(least, tol<double>::exact * 100.0));
            }
        }
    }
}

TEST_CASE("a step that must not be taken costs infinity", "[tune][gits][exact]") {
    given_costs costs{on_edm(5), Eigen::MatrixXd::Ones(6, 6)};
    costs.matrix.row(2).setConstant(infinity);
    costs.matrix(0, 1) = infinity;
    const std::vector<level> levels = tune::gits(3, costs);
    CHECK_FALSE(levels[1] == costs.where[1]);
    CHECK_FALSE(levels[1] == costs.where[2]);
}

TEST_CASE("Euler steps off the exact flow of Gaussian data cost what the formula says",
          "[tune][gits][exact]") {
    constexpr double v = 0.25;
    const schedule::edm schedule;
    const analytic::gaussian data = analytic::gaussian::isotropic(Eigen::VectorXd::Zero(1), v);
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const std::vector<level> levels = on_edm(12);
    tune::euler_costs costs(exact_flow{v}.plan(schedule, levels), trajectory_metric::l2);
    const Eigen::MatrixXd starts = 80.0 * normals(1, 20, 4);
    costs.add(model, starts);
    for (std::size_t j = 0; j < 12; ++j) {
        for (std::size_t i = j + 1; i <= 12; ++i) {
            const double s = levels[j].sigma;
            const double t = levels[i].sigma;
            const double y = std::sqrt((v + s * s) / (v + 6400.0)) * starts.cwiseAbs().mean();
            const double euler = t / s + (1.0 - t / s) * v / (v + s * s);
            const double exact = std::sqrt((v + t * t) / (v + s * s));
            // both are near 1 in short steps: relative to them, not to their difference
            CHECK_THAT(costs(j, i), WithinAbs(y * std::abs(euler - exact), y * tol<double>::identity));
        }
    }
}

TEST_CASE("every metric is its formula on a trajectory known in closed form", "[tune][gits][exact]") {
    // a Gaussian with two variances and DDIM as the teacher: y_i = product of its factors, direction by direction
    const schedule::edm schedule;
    const Eigen::Vector2d v(1.0, 0.04);
    const Eigen::Vector2d mean(0.4, -0.3);
    const auto data = analytic::gaussian::low_rank(mean, Eigen::Matrix2d::Identity(), v);
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const std::vector<level> levels = on_edm(9);
    const auto step = [&](const Eigen::Vector2d& y, std::size_t j, std::size_t i) -> Eigen::Vector2d {
        const double r = levels[i].sigma / levels[j].sigma;
        const double noise = levels[j].sigma * levels[j].sigma;
        const Eigen::Vector2d x0 = mean.array() + v.array() / (v.array() + noise) * (y - mean).array();
        return r * y + (1.0 - r) * x0;
    };
    const Eigen::MatrixXd starts = 80.0 * normals(2, 7, 9);
    for (const auto metric : {trajectory_metric::deviation, trajectory_metric::l2, trajectory_metric::l1}) {
        tune::euler_costs costs(solver::ddim{}.plan(schedule, levels), metric);
        costs.add(model, starts);
        for (std::size_t j = 0; j < 9; ++j) {
            for (std::size_t i = j + 1; i <= 9; ++i) {
                double expected = 0.0;
                for (Eigen::Index b = 0; b < 7; ++b) {
                    std::vector<Eigen::VectorXd> y = {starts.col(b)};
                    for (std::size_t k = 0; k < 9; ++k) { y.emplace_back(step(y[k], k, k + 1)); }
                    const Eigen::VectorXd euler = step(y[j], j, i);
                    if (metric == trajectory_metric::deviation) {
                        expected +=
                            (distance_from_line(euler, y[0], y[9]) - distance_from_line(y[i], y[0], y[9])) /
                            7;
                    } else if (metric == trajectory_metric::l2) {
                        expected += (euler - y[i]).norm() / 7;
                    } else {
                        expected += (euler - y[i]).cwiseAbs().sum() / 7;
                    }
                }
                // distances of points that are up to 80 sqrt(2) away
                CHECK_THAT(costs(j, i), WithinAbs(expected, 200.0 * tol<double>::exact));
                if (i == j + 1) { CHECK_THAT(costs(j, i), WithinAbs(0.0, 200.0 * tol<double>::exact)); }
            }
        }
    }
}

TEST_CASE("mirrored starts of data around 0 cost the same, and in one dimension nothing leaves the line",
          "[tune][gits][identity]") {
    const schedule::edm schedule;
    const analytic::mixture data({0.5, 0.5},
                                 {analytic::gaussian::isotropic(Eigen::VectorXd::Constant(1, -1.0), 0.01),
                                  analytic::gaussian::isotropic(Eigen::VectorXd::Constant(1, 1.0), 0.01)});
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const plan teacher = solver::ipndm{}.plan(schedule, grid::karras(schedule, 20, {.last = to_sigma_min}));
    const Eigen::MatrixXd starts = 80.0 * normals(1, 16, 2);
    tune::euler_costs here(teacher, trajectory_metric::l2);
    tune::euler_costs there(teacher, trajectory_metric::l1);  // the same in one dimension
    tune::euler_costs line(teacher);
    here.add(model, starts);
    there.add(model, Eigen::MatrixXd(-starts));
    line.add(model, starts);
    for (std::size_t j = 0; j < 20; ++j) {
        for (std::size_t i = j + 1; i <= 20; ++i) {
            CHECK_THAT(here(j, i), WithinRel(there(j, i), 1e-9) || WithinAbs(there(j, i), 1e-12));
            CHECK_THAT(line(j, i), WithinAbs(0.0, 80.0 * tol<double>::identity));
        }
    }
}

TEST_CASE("the costs are those of equal signal-to-noise ratios on every schedule", "[tune][gits][identity]") {
    const analytic::gaussian data(Eigen::Vector2d(0.3, -0.2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.02}});
    const schedule::vp_linear vp;
    const std::vector<level> on_vp = grid::log_snr(vp, 16, {.last = to_sigma_min});
    std::vector<level> same;
    for (const level& at : on_vp) { same.push_back(at_half_log_snr(schedule::edm{}, at.half_log_snr())); }
    const denoiser model(std::cref(data), prediction::x0, schedule::edm{});
    const Eigen::MatrixXd starts = normals(2, 10, 6);
    for (const auto metric : {trajectory_metric::deviation, trajectory_metric::l2}) {
        tune::euler_costs a(solver::ipndm{}.plan(vp, on_vp), metric);
        tune::euler_costs b(solver::ipndm{}.plan(schedule::edm{}, same), metric);
        a.add(model, Eigen::MatrixXd(on_vp[0].sigma * starts));
        b.add(model, Eigen::MatrixXd(same[0].sigma * starts));
        // the network is asked at levels that went through exp and log: 1e-14 of states up to sigma / alpha = 160
        for (std::size_t j = 0; j < 16; ++j) { CHECK_THAT(a(j, 16), WithinAbs(b(j, 16), 1e-10)); }
        CHECK(tune::gits(5, a).size() == 6);
    }
}

TEST_CASE("from pure noise to clean data every metric is finite, in float too", "[tune][gits]") {
    const schedule::flow schedule;
    const analytic::gaussian data(Eigen::Vector2d(0.3, -0.2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.02}});
    const denoiser model(std::cref(data), prediction::x0, schedule);
    const std::vector<level> levels = grid::log_snr(schedule, 24);
    REQUIRE(levels.front().alpha == 0.0);
    REQUIRE(levels.back().sigma == 0.0);
    for (const auto metric : {trajectory_metric::deviation, trajectory_metric::l2, trajectory_metric::l1}) {
        tune::euler_costs costs(solver::heun{}.plan(schedule, levels), metric);
        costs.add(model, Eigen::MatrixXf(normals(2, 10, 6).cast<float>()));
        CHECK(costs.levels() == levels);  // Heun's steps, not its calls
        const std::vector<level> chosen = tune::gits(4, costs);
        CHECK(chosen.front() == levels.front());
        CHECK(chosen.back() == levels.back());
        CHECK_NOTHROW(require_levels(chosen, "chosen"));
    }
    // the line of pure noise is the limit of lines from ever more of it
    const std::vector<level> nearly = grid::from_half_log_snr(schedule, {-14.0, -3.0, -1.0, 1.0, 3.0});
    std::vector<level> exactly = nearly;
    exactly[0] = at(schedule, schedule.range().noisy);
    tune::euler_costs a(solver::ddim{}.plan(schedule, nearly));
    tune::euler_costs b(solver::ddim{}.plan(schedule, exactly));
    a.add(model, normals(2, 10, 6));
    b.add(model, normals(2, 10, 6));
    for (std::size_t i = 2; i < 5; ++i) { CHECK_THAT(a(1, i), WithinRel(b(1, i), 1e-5)); }  // e^-14 = 8e-7
}

TEST_CASE("batches add up, at the teacher's network calls and no others", "[tune][gits][cost]") {
    const schedule::edm schedule;
    const analytic::gaussian data(Eigen::Vector2d(0.3, -0.2), Eigen::Matrix2d{{0.5, 0.1}, {0.1, 0.02}});
    std::size_t calls = 0;
    const auto net = [&](const Eigen::MatrixXd& x, const network_level& at, Eigen::MatrixXd& out) {
        ++calls;
        data(x, at, out);
    };
    const denoiser model(net, prediction::x0, schedule);
    const plan teacher = solver::ipndm{}.plan(schedule, on_edm(15));
    const Eigen::MatrixXd starts = 80.0 * normals(2, 30, 8);
    tune::euler_costs one(teacher);
    one.add(model, starts);
    CHECK(calls == 15);
    CHECK(one.network_calls() == 15);
    CHECK(one.samples() == 30);
    tune::euler_costs three(teacher);
    for (int b = 0; b < 3; ++b) { three.add(model, Eigen::MatrixXd(starts.middleCols(10 * b, 10))); }
    CHECK(three.network_calls() == 45);
    CHECK(three.samples() == 30);
    for (std::size_t j = 0; j < 15; ++j) {
        CHECK_THAT(three(j, 15), WithinAbs(one(j, 15), 80.0 * tol<double>::exact));
    }
}

TEST_CASE("on three mixtures iPNDM is more accurate on the levels of GITS than on Karras levels",
          "[tune][gits][statistics]") {
    const schedule::edm schedule;
    const plan teacher = solver::ipndm{}.plan(schedule, grid::karras(schedule, 60, {.last = to_sigma_min}));
    const std::vector<recorded_mixture> mixtures = recorded_mixtures();
    std::vector<tune::euler_costs> costs;
    for (const recorded_mixture& m : mixtures) {
        Eigen::MatrixXd starts(m.data.dimension(), 64);
        start_from_noise(starts, teacher.levels.front(), noise{.seed = 21});  // not those of the test
        costs.emplace_back(teacher);
        costs.back().add(denoiser(std::cref(m.data), prediction::x0, schedule), starts);
    }
    for (const int steps : {5, 6, 8, 10}) {
        double ours = 0.0;
        double karras = 0.0;
        for (std::size_t i = 0; i < mixtures.size(); ++i) {
            const recorded_mixture& m = mixtures[i];
            const auto error = [&](const std::vector<level>& levels) {
                const plan p = solver::ipndm{}.plan(schedule, levels);
                const Eigen::MatrixXd x = verify::run_plan(p, m.data, schedule, m.starts.leftCols(64));
                return std::log(verify::median_rms(x, m.ends.leftCols(64)));
            };
            ours += error(tune::gits(steps, costs[i])) / 3.0;
            karras += error(grid::karras(schedule, steps, {.last = to_sigma_min})) / 3.0;
        }
        INFO(steps << " steps: " << std::exp(ours) << ", Karras " << std::exp(karras));
        CHECK(ours < karras - 0.2);  // by a fifth at least; measured: by a half
    }
}

TEST_CASE("the levels have the shape of the published ones: the first and the last step are the longest",
          "[tune][gits][reference]") {
    const auto has_shape = [](const std::vector<double>& sigmas) {
        std::vector<double> gaps;
        for (std::size_t i = 1; i < sigmas.size(); ++i) {
            gaps.push_back(std::log(sigmas[i - 1] / sigmas[i]));
        }
        const double ends = std::min(gaps.front(), gaps.back());
        return *std::max_element(gaps.begin() + 1, gaps.end() - 1) < ends;
    };
    CHECK(has_shape({grid::gits_cifar10_sigmas.begin(), grid::gits_cifar10_sigmas.end()}));
    const schedule::edm schedule;
    for (const recorded_mixture& m : recorded_mixtures()) {
        tune::euler_costs costs(
            solver::ipndm{}.plan(schedule, grid::karras(schedule, 60, {.last = to_sigma_min})));
        costs.add(denoiser(std::cref(m.data), prediction::x0, schedule),
                  Eigen::MatrixXd(m.starts.leftCols(64)));
        std::vector<double> sigmas;
        for (const level& at : tune::gits(6, costs)) { sigmas.push_back(at.sigma); }
        CHECK(has_shape(sigmas));
    }
}

TEST_CASE("GITS refuses what it cannot use", "[tune][gits][errors]") {
    const schedule::edm schedule;
    const plan teacher = solver::ddim{}.plan(schedule, on_edm(6));
    CHECK_THROWS_AS(tune::euler_costs(plan{}), std::invalid_argument);
    CHECK_THROWS_AS(tune::euler_costs(solver::ddim{.eta = 1.0}.plan(schedule, on_edm(6))),
                    std::invalid_argument);
    CHECK_THROWS_AS(tune::euler_costs(teacher, static_cast<trajectory_metric>(9)), std::invalid_argument);
    std::vector<level> rising = on_edm(6);
    std::reverse(rising.begin(), rising.end());
    CHECK_THROWS_AS(tune::euler_costs(solver::ddim{}.plan(schedule, rising)), std::invalid_argument);

    const analytic::gaussian data = analytic::gaussian::isotropic(Eigen::Vector2d::Zero(), 0.5);
    const denoiser model(std::cref(data), prediction::x0, schedule);
    tune::euler_costs costs(teacher);
    CHECK_THROWS_AS(costs(0, 1), std::invalid_argument);
    CHECK_THROWS_AS(tune::gits(3, costs), std::invalid_argument);  // nothing was added
    CHECK_THROWS_AS(costs.add(model, Eigen::MatrixXd(2, 0)), std::invalid_argument);
    CHECK_THROWS_AS(costs.add(model, Eigen::MatrixXd(normals(3, 4, 1))),
                    std::invalid_argument);  // the model's
    Eigen::MatrixXd starts = normals(2, 4, 1);
    starts(0, 3) = not_a_number;
    CHECK_THROWS_AS(costs.add(model, starts), std::invalid_argument);
    CHECK(costs.samples() == 0);
    costs.add(model, Eigen::MatrixXd(normals(2, 4, 1)));
    const analytic::gaussian wide = analytic::gaussian::isotropic(Eigen::Vector3d::Zero(), 0.5);
    CHECK_THROWS_AS(
        costs.add(denoiser(std::cref(wide), prediction::x0, schedule), Eigen::MatrixXd(normals(3, 4, 1))),
        std::invalid_argument);
    CHECK(costs.samples() == 4);

    CHECK_THROWS_AS(tune::gits(0, costs), std::invalid_argument);
    CHECK_THROWS_AS(tune::gits(7, costs), std::invalid_argument);  // 7 candidates
    CHECK(tune::gits(6, costs) == costs.levels());
    for (const double discount : {0.0, -1.0, not_a_number, infinity}) {
        CHECK_THROWS_AS(tune::gits(3, costs, {.discount = discount}), std::invalid_argument);
    }
    given_costs unknown{on_edm(4), Eigen::MatrixXd::Constant(5, 5, not_a_number)};
    CHECK_THROWS_AS(tune::gits(2, unknown), std::invalid_argument);
}
