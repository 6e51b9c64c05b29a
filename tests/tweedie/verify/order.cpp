// SPDX-License-Identifier: MIT
#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/verify/order.hpp>

#include "problem.hpp"

using namespace tweedie;

static_assert(verify::plan_solver<solver::unipc> && !verify::plan_solver<verify::measured>);

namespace {

enum class spacing { log_snr, karras };

/// The golden mixture between two noise levels of a schedule, from 32 starts.
template <class Schedule>
class problem_on {
public:
    problem_on(Schedule schedule, spacing kind, double sigma_max, double sigma_min)
        : schedule_(std::move(schedule)), kind_(kind), sigma_max_(sigma_max), sigma_min_(sigma_min) {
        const level first = levels(1).front();
        problem_.starts = (first.sigma * normals(2, 32, 1)).colwise() + first.alpha * mixture_.mean();
        const auto end =
            verify::reference_flow(mixture_, schedule_, first, levels(1).back(), problem_.starts);
        REQUIRE(end);
        REQUIRE(end.error < 1e-11);  // the smallest error measured is 1e-9
        problem_.ends = end.x;
        problem_.steps = {160, 226, 320, 453, 640};
    }

    [[nodiscard]] std::vector<level> levels(int steps) const {
        if (kind_ == spacing::karras) {
            return grid::karras(
                schedule_, steps,
                {.sigma_max = sigma_max_, .sigma_min = sigma_min_, .last = grid::final_level::sigma_min});
        }
        return grid::log_snr(
            schedule_, steps,
            {.sigma_max = sigma_max_, .sigma_min = sigma_min_, .last = grid::final_level::sigma_min});
    }

    template <class Solver>
    [[nodiscard]] verify::measured order(const Solver& solver, int refine = 1) const {
        const auto nodes = [&](int steps) { return levels(refine * steps); };
        return verify::measured_order(solver, schedule_, nodes, mixture_, problem_);
    }

private:
    Schedule schedule_;
    spacing kind_;
    double sigma_max_;
    double sigma_min_;
    analytic::mixture mixture_ = golden_mixture();
    verify::order_problem problem_;
};

template <class Problem>
void check_orders(const Problem& problem) {
    const auto check = [&](const char* name, const auto& solver, double declared, int refine = 1) {
        const verify::measured m = problem.order(solver, refine);
        CAPTURE(name, m.order, m.spread);
        CHECK_THAT(m.order, WithinAbs(declared, 0.1));
        CHECK(m.spread < 0.05);
    };
    check("euler", solver::euler{}, 1.0);
    check("ddim", solver::ddim{}, 1.0);
    check("heun", solver::heun{}, 2.0);
    check("2m", solver::dpm_solver{.lower_order_final = false}, 2.0);
    check("2m taylor", solver::dpm_solver{.variant = solver::difference::taylor, .lower_order_final = false},
          2.0);
    check("unipc-2 without corrector",
          solver::unipc{.order = 2, .corrector = false, .lower_order_final = false}, 2.0);
    check("unipc-2", solver::unipc{.order = 2, .lower_order_final = false}, 3.0);
    check("unipc-2 bh1",
          solver::unipc{.order = 2, .variant = solver::unipc::bh::bh1, .lower_order_final = false}, 3.0,
          3);  // it comes down to 3 from above, later than bh2
    const verify::measured third = problem.order(solver::unipc{.order = 3, .lower_order_final = false});
    CAPTURE(third.order);
    CHECK(third.order > 3.0);
    CHECK(third.order < 4.1);
    CHECK(third.spread < 0.05);
}

}  // namespace

TEST_CASE("every solver has its order on EDM", "[verify][order]") {
    check_orders(problem_on(schedule::edm{}, spacing::log_snr, 80.0, 0.002));
    check_orders(problem_on(schedule::edm{}, spacing::karras, 80.0, 0.002));
}

TEST_CASE("every solver has its order on a variance-preserving schedule", "[verify][order]") {
    check_orders(problem_on(schedule::vp_linear{}, spacing::log_snr, 80.0, 0.01));
    check_orders(problem_on(schedule::vp_linear{}, spacing::karras, 80.0, 0.01));
}

TEST_CASE("every solver has its order on a flow", "[verify][order]") {
    check_orders(problem_on(schedule::flow{}, spacing::log_snr, 80.0, 0.01));
    check_orders(problem_on(schedule::flow{}, spacing::karras, 80.0, 0.01));
}

namespace {

enum class bug { none, wrong_sign, wrong_weight, stale_history, inconsistent };

/// DPM-Solver++(2M) with mistakes people make.
struct planted {
    bug mistake;

    [[nodiscard]] tweedie::plan plan(const any_schedule&, std::span<const level> levels) const {
        plan_writer p("planted", levels);
        plan_variable x = p.state();
        plan_history m = p.remember("x0_hat", 2);
        double h_prev = 0.0;
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const double h = std::log(t.alpha / t.sigma) - std::log(s.alpha / s.sigma);
            m.push(p.data_prediction(x, s));
            linear_form d = m[0];
            if (i > 0) {
                const double r = mistake == bug::stale_history ? 1.0 : h_prev / h;
                const double weight = mistake == bug::wrong_sign     ? -0.5
                                      : mistake == bug::wrong_weight ? 0.4
                                                                     : 0.5;
                d = m[0] + (weight / r) * (m[0] - m[1]);
            }
            const double gain = mistake == bug::inconsistent ? 1.001 : 1.0;
            x = (t.sigma / s.sigma) * x - gain * t.alpha * std::expm1(-h) * d;
            h_prev = h;
        }
        return p.finish(x);
    }
};

}  // namespace

TEST_CASE("a planted mistake shows as a wrong order", "[verify][order]") {
    const problem_on problem(schedule::edm{}, spacing::karras, 80.0, 0.002);
    CHECK_THAT(problem.order(planted{bug::none}).order, WithinAbs(2.0, 0.1));
    CHECK_THAT(problem.order(planted{bug::wrong_sign}).order, WithinAbs(1.0, 0.1));
    const auto slightly = problem.order(planted{bug::wrong_weight});
    CHECK(slightly.order < 1.5);
    // with r = 1 the weights still agree in the limit of a smooth grid; where the steps alternate they do not
    const auto alternate = [](const std::vector<level>& even) {
        std::vector<level> out;
        for (std::size_t i = 0; i < even.size(); ++i) {
            if (i % 3 != 1 || i + 1 == even.size()) { out.push_back(even[i]); }
        }
        return out;
    };
    const analytic::mixture m = golden_mixture();
    const schedule::edm edm;
    const auto nodes = [&](int n) { return alternate(problem.levels(n)); };
    const level first = problem.levels(1).front();
    const Eigen::MatrixXd starts = first.sigma * normals(2, 32, 1);
    const auto end = verify::reference_flow(m, edm, first, problem.levels(1).back(), starts);
    const verify::order_problem uneven{.starts = starts, .ends = end.x, .steps = {162, 228, 321, 453, 642}};
    CHECK_THAT(verify::measured_order(planted{bug::none}, edm, nodes, m, uneven).order, WithinAbs(2.0, 0.1));
    CHECK(verify::measured_order(planted{bug::stale_history}, edm, nodes, m, uneven).order < 1.5);
    CHECK(problem.order(planted{bug::inconsistent}).order < 0.1);
}

TEST_CASE("lower_order_final costs the order it says", "[verify][order]") {
    const problem_on problem(schedule::vp_linear{}, spacing::log_snr, 80.0, 0.01);
    CHECK_THAT(problem.order(solver::dpm_solver{}).order,
               WithinAbs(2.0, 0.1));  // one step of first order: h^2 in all
    CHECK(problem.order(solver::unipc{}).order < 3.0);
}

TEST_CASE("an order is fitted exactly to a power law", "[verify][order][exact]") {
    const auto power =
        verify::measured_order([](int n) { return 7.0 * std::pow(n, -2.5); }, {10, 20, 30, 80});
    CHECK_THAT(power.order, WithinRel(2.5, tol<double>::exact));
    CHECK(power.spread < 1e-13);
    CHECK(power.steps == std::vector<int>{10, 20, 30, 80});
    CHECK(power.errors.size() == 4);
    // a floor is seen in the spread
    const auto floored =
        verify::measured_order([](int n) { return std::pow(n, -3.0) + 1e-5; }, {20, 40, 80, 160});
    CHECK(floored.spread > 0.1);
}

TEST_CASE("orders that cannot be measured are refused", "[verify][order][errors]") {
    const std::vector<int> steps{10, 20};
    const auto fit = [&](double a, double b) { return verify::fit_order(steps, std::vector<double>{a, b}); };
    CHECK_THROWS_WITH(fit(1.0, 0.0), "fit_order: the error at 20 steps must be positive and finite");
    CHECK_THROWS_WITH(fit(not_a_number, 1.0), "fit_order: the error at 10 steps must be positive and finite");
    CHECK_THROWS_WITH(fit(infinity, 1.0), "fit_order: the error at 10 steps must be positive and finite");
    CHECK_THROWS_WITH(verify::fit_order(std::vector<int>{10}, std::vector<double>{1.0}),
                      "fit_order: need at least two numbers of steps, and one error for each");
    CHECK_THROWS_WITH(verify::fit_order(std::vector<int>{0, 10}, std::vector<double>{1.0, 1.0}),
                      "fit_order: steps must be positive");
    CHECK_THROWS_WITH(verify::fit_order(std::vector<int>{10, 10}, std::vector<double>{1.0, 1.0}),
                      "fit_order: need at least two different numbers of steps");
    // a network that fails half way
    const auto broken = [](const Eigen::MatrixXd& x, const level& at) -> Eigen::MatrixXd {
        return at.sigma < 1.0 ? Eigen::MatrixXd(not_a_number * x) : x;
    };
    const schedule::edm edm;
    const auto nodes = [&](int n) { return grid::karras(edm, n); };
    const verify::order_problem problem{
        .starts = normals(2, 3, 1), .ends = normals(2, 3, 2), .steps = {10, 20}};
    CHECK_THROWS_WITH(verify::measured_order(solver::ddim{}, edm, nodes, broken, problem),
                      "fit_order: the error at 10 steps must be positive and finite");
}

TEST_CASE("run_plan is what analyze says, on a Gaussian", "[verify][order][identity]") {
    const schedule::flow flow;
    const auto levels = grid::log_snr(flow, 12, {.sigma_max = 50.0});
    const plan p = solver::unipc{}.plan(flow, levels);
    const Eigen::VectorXd l = Eigen::Vector3d(2.0, 0.3, 0.0);
    const Eigen::VectorXd mean = Eigen::Vector3d(1.0, -1.0, 0.5);
    const auto g = analytic::gaussian::low_rank(mean, Eigen::MatrixXd::Identity(3, 3), l);
    const Eigen::MatrixXd x = normals(3, 20, 3);
    const Eigen::MatrixXd end = verify::run_plan(p, g, flow, x);
    for (Eigen::Index k = 0; k < 3; ++k) {
        const transfer t = analyze(p, l(k));
        const Eigen::RowVectorXd expected = t.start * x.row(k).array() + t.mean * mean(k);
        CHECK((end.row(k) - expected).cwiseAbs().maxCoeff() < 1e-13);
    }
}
