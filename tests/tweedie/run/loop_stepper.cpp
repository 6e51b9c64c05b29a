// SPDX-License-Identifier: MIT
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/loop.hpp>
#include <tweedie/run/loop_stepper.hpp>
#include <tweedie/solver/adaptive_sde.hpp>
#include <tweedie/solver/dpm_adaptive.hpp>
#include <tweedie/solver/evodiff.hpp>
#include <tweedie/solver/predictor_corrector.hpp>
#include <tweedie/solver/runge_kutta_pair.hpp>

#include <support/allocations.hpp>
#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../solver/loop_checks.hpp"

using namespace tweedie;

namespace {

/// DDIM as a loop: coefficients that depend on nothing, so that a run must equal that of the plan.
class ddim_loop {
public:
    ddim_loop(levels_t levels, double eta, bool per_sample)
        : levels_(std::move(levels)), eta_(eta), per_sample_(per_sample) {}

    [[nodiscard]] static std::size_t registers() { return 2; }
    [[nodiscard]] static std::size_t blocks() { return 1; }
    [[nodiscard]] bool draws() const { return eta_ > 0.0; }
    [[nodiscard]] level first() const { return levels_.front(); }

    void next(turn& p) {
        if (asked_) {
            const level& s = levels_[i_];
            const level& t = levels_[i_ + 1];
            const double ratio =
                t.sigma == 0.0 || s.alpha == 0.0 ? 0.0 : t.sigma / t.alpha * (s.alpha / s.sigma);
            const double noise = eta_ * t.sigma * std::sqrt(1.0 - ratio * ratio);
            const double keep = std::sqrt(t.sigma * t.sigma - noise * noise);
            combination x = (keep / s.sigma) * p(0) + (t.alpha - s.alpha * keep / s.sigma) * p.x0_hat();
            if (noise > 0.0) { x += noise * p.noise(draw_++); }
            p.take(0, 1);  // written elsewhere than where it was, for the sake of the test
            for (std::size_t g = 0; per_sample_ && g < p.groups(); ++g) { p.set(0, g, x); }
            if (!per_sample_) { p.set(0, x); }
            ++i_;
        }
        if (i_ + 1 == levels_.size()) {
            p.finish(0, levels_.back());
            return;
        }
        asked_ = true;
        p.ask(0, levels_[i_], {.begins_step = true, .editable = true});
    }

private:
    levels_t levels_;
    double eta_;
    bool per_sample_;
    bool asked_ = false;
    std::size_t i_ = 0;
    std::uint32_t draw_ = 0;
};

static_assert(loop<ddim_loop>);
static_assert(loop<solver::dpm_adaptive::run>);
static_assert(dense_loop<solver::runge_kutta_pair::run>);
static_assert(!dense_loop<solver::dpm_adaptive::run>);

double close(double a, double b) { return std::abs(a - b) / (1.0 + std::abs(b)); }

/// A run of an adaptive method on floats, of the size of the test of plans.
template <class Loop>
std::vector<std::size_t> allocations_per_call(const Loop& method, const prediction_type& is,
                                              const any_schedule& schedule) {
    const convention asked(is, schedule);
    std::vector<float> x(96);
    for (std::size_t i = 0; i < x.size(); ++i) { x[i] = 3.0F * std::sin(static_cast<float>(i)); }
    std::vector<float> out(96);
    loop_stepper s(method, asked, x, noise{.seed = 1});
    std::vector<std::size_t> made;
    made.reserve(10000);
    const gaussian_law law;
    while (const auto query = s.next()) {
        for (std::size_t i = 0; i < out.size(); ++i) {
            out[i] = static_cast<float>(law.x0(static_cast<double>(query->x[i]), query->level));
        }
        const std::size_t before = allocations();
        s.supply(std::move(out));
        made.push_back(allocations() - before);
    }
    CHECK(s.result());
    return made;
}

}  // namespace

TEST_CASE("a turn refuses registers it does not have and more exchanges than it holds",
          "[run][loop][errors]") {
    turn p;
    p.begin(false);
    CHECK_THROWS_WITH(p.take(0, combination::registers), "loop: no such register");
    CHECK_THROWS_WITH(p.set(combination::registers, p(0)), "loop: no such register");
    for (std::size_t r = 0; r < combination::registers; ++r) { p.take(r, 0); }
    CHECK_THROWS_WITH(p.take(0, 1), "loop: too many exchanges in one turn");
    CHECK(p.takes().size() == combination::registers);
}

TEST_CASE("a loop runs as the plan of the same equations, whatever the network returns",
          "[run][loop][identity]") {
    const gaussian_law law;
    for (const named_schedule& named : all_schedules()) {
        const levels_t levels = interior_levels(named.schedule, 5);
        for (const prediction_type& is :
             {prediction::x0, prediction::epsilon, prediction::v, prediction::score, prediction::edm(0.7)}) {
            INFO(named.name << ", " << to_string(is));
            // a network of a schedule of its own, so that its input is scaled
            const any_schedule own = is == prediction::edm(0.7) ? any_schedule(schedule::edm{})
                                                                : any_schedule(schedule::vp_linear{});
            const auto net = [&](const rows_tensor& x, const network_level& at) {
                rows_tensor out = x;
                const read_weights w = convention(is, own).call_at(at).x0;
                const double scale = convention(is, own).call_at(at).input_scale;
                for (double& v : out.elements) { v = (law.x0(v / scale, at) - w.x * v / scale) / w.output; }
                return out;
            };
            const denoiser model(net, is, own);
            for (const double eta : {0.0, 0.7}) {
                rows_tensor planned{{1.0, -2.0, 0.3, 4.0, 0.1, -0.6}, 2};
                rows_tensor looped = planned;
                rows_tensor grouped = planned;
                const noise source{.seed = 4};
                REQUIRE(
                    sample(solver::ddim{.eta = eta}.plan(named.schedule, levels), model, planned, source));
                const run_result result = sample(ddim_loop(levels, eta, false), model, looped, source);
                REQUIRE(sample(ddim_loop(levels, eta, true), model, grouped, source));
                CHECK(result == run_result{run_status::finished, 5, 5});
                for (std::size_t i = 0; i < 6; ++i) {
                    CHECK(close(looped.elements[i], planned.elements[i]) < tol<double>::identity);
                    CHECK(close(grouped.elements[i], planned.elements[i]) < tol<double>::identity);
                }
            }
        }
    }
}

TEST_CASE("every method gives the same samples whatever the network returns", "[run][loop][identity]") {
    const schedule::flow flow;
    const levels_t levels = interior_levels(flow, 8);
    const auto check = [&](const auto& method, double tolerance) {
        const auto run = [&](const prediction_type& is, const any_schedule& own) {
            const convention asked(is, own);
            std::vector<double> x = {1.2, -0.4};
            std::vector<double> seen;
            const auto net = [&](const std::vector<double>& input, const network_level& at) {
                std::vector<double> out = input;
                const network_call call = asked.call_at(at);
                for (double& v : out) {
                    const double y = v / call.input_scale;
                    v = (two_humps(y, at) - call.x0.x * y) / call.x0.output;
                }
                return out;
            };
            REQUIRE(sample(method, denoiser(net, is, own), x, noise{.seed = 6},
                           hooks{.observe = [&](const observation<std::vector<double>>& o) {
                               seen.insert(seen.end(), {o.x[0], o.x[1], o.x0_hat[0], o.x0_hat[1]});
                           }}));
            seen.insert(seen.end(), x.begin(), x.end());
            return seen;
        };
        const std::vector<double> expected = run(prediction::x0, flow);
        for (const std::vector<double>& found :
             {run(prediction::v, flow), run(prediction::epsilon, schedule::vp_linear{}),
              run(prediction::edm(0.5), schedule::edm{})}) {
            REQUIRE(found.size() == expected.size());
            for (std::size_t i = 0; i < found.size(); ++i) {
                CHECK(close(found[i], expected[i]) < tolerance);
            }
        }
    };
    // roundings of x0_hat are amplified by the way, and by step sizes that answer to them
    check(solver::dpm_adaptive{}.loop(flow, levels), 1e-9);
    check(solver::runge_kutta_pair{}.loop(flow, levels), 1e-9);
    check(solver::evodiff{}.loop(flow, levels), 1e-9);
    check(solver::predictor_corrector{}.loop(flow, levels), 1e-9);
    check(solver::adaptive_sde{.rtol = 0.1, .atol = 0.1}.loop(flow, levels), 1e-9);
}

TEST_CASE("hooks see and change a loop's run as a plan's", "[run][loop][identity]") {
    const gaussian_law law;
    const schedule::flow flow;
    const levels_t levels = interior_levels(flow, 6);
    const denoiser model(elementwise([law](double x, const level& at) { return law.x0(x, at); }),
                         prediction::x0, flow);
    const auto plan = solver::ddim{}.plan(flow, levels);
    const ddim_loop method(levels, 0.0, false);
    const auto clip = [](double& x0, const level&) { x0 = std::min(x0, 0.4); };
    const auto push = [](double& x, const level& at) { x += 0.1 * at.sigma; };

    SECTION("observe") {
        std::vector<double> seen[2];
        for (const int which : {0, 1}) {
            double x = 2.0;
            const auto look = [&](const observation<double>& o) {
                seen[which].insert(seen[which].end(), {o.x, o.x0_hat, o.at.sigma, static_cast<double>(o.step),
                                                       static_cast<double>(o.network_calls)});
            };
            if (which == 0) {
                REQUIRE(sample(plan, model, x, hooks{.observe = look}));
            } else {
                REQUIRE(sample(method, model, x, hooks{.observe = look}));
            }
        }
        REQUIRE(seen[0].size() == 30);
        for (std::size_t i = 0; i < 30; ++i) { CHECK(close(seen[1][i], seen[0][i]) < tol<double>::identity); }
    }
    SECTION("transform, edit, stop") {
        double a = 2.0;
        double b = 2.0;
        REQUIRE(sample(plan, model, a, hooks{.transform = clip}));
        REQUIRE(sample(method, model, b, hooks{.transform = clip}));
        CHECK(close(b, a) < tol<double>::identity);
        a = b = 2.0;
        REQUIRE(sample(plan, model, a, hooks{.edit = push}));
        REQUIRE(sample(method, model, b, hooks{.edit = push}));
        CHECK(close(b, a) < tol<double>::identity);
        const auto stop = [](const observation<double>& o) {
            return o.step == 3 ? verdict::stop : verdict::go_on;
        };
        a = b = 2.0;
        const run_result ra = sample(plan, model, a, hooks{.observe = stop});
        const run_result rb = sample(method, model, b, hooks{.observe = stop});
        CHECK(ra == rb);
        CHECK(rb.status == run_status::stopped);
        CHECK(close(b, a) < tol<double>::identity);
    }
    SECTION("an observer of a Runge-Kutta pair sees the state at each accepted step, and may stop there") {
        const auto pair = solver::runge_kutta_pair{.rtol = 1e-6, .atol = 1e-6}.loop(flow, levels);
        std::size_t steps = 0;
        double x = 2.0;
        const auto look = [&](const observation<double>& o) {
            CHECK(o.step == steps++);
            CHECK(close(o.x, law.flow(2.0, levels.front(), o.at)) < 1e-3);            // the default tolerance
            CHECK(close(o.x0_hat, law.x0(o.x, o.at)) < tol<double>::identity * 1e3);  // through 1/sigma
            return o.step == 4 ? verdict::stop : verdict::go_on;
        };
        const run_result result = sample(pair, model, x, hooks{.observe = look});
        CHECK(result.status == run_status::stopped);
        CHECK(result.step == 4);
        loop_stepper s(pair, model.convention(), 2.0);
        while (s.step() < 4) { s.supply(law.x0(s.next()->x, s.next()->level)); }
        CHECK(close(x, law.flow(2.0, levels.front(), s.at())) < 1e-5);
        CHECK_THROWS_AS(sample(pair, model, x, hooks{.edit = push}), std::invalid_argument);
    }
}

TEST_CASE("a loop's stepper is a value: copies go on identically", "[run][loop][identity]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 8);
    const convention data(prediction::x0, vp);
    const auto check = [&](const auto& method) {
        loop_stepper whole(method, data, 2.0, noise{.seed = 3});
        std::size_t calls = 0;
        while (const auto query = whole.next()) {
            whole.supply(two_humps(query->x, query->level));
            ++calls;
        }
        REQUIRE(whole.result());
        for (std::size_t cut = 0; cut <= calls; cut += 3) {
            loop_stepper first(method, data, 2.0, noise{.seed = 3});
            for (std::size_t i = 0; i < cut; ++i) {
                first.supply(two_humps(first.next()->x, first.next()->level));
            }
            loop_stepper copy = first;
            while (const auto query = copy.next()) { copy.supply(two_humps(query->x, query->level)); }
            while (const auto query = first.next()) { first.supply(two_humps(query->x, query->level)); }
            CHECK(copy.x() == whole.x());
            CHECK(first.x() == whole.x());
            CHECK(copy.result() == whole.result());
        }
    };
    check(solver::dpm_adaptive{.rtol = 0.01, .eta = 0.5}.loop(vp, levels));
    check(solver::runge_kutta_pair{}.loop(vp, levels));
    check(solver::evodiff{}.loop(vp, levels));
    check(solver::predictor_corrector{}.loop(vp, levels));
}

TEST_CASE("the ways to hand an output over give the same bits", "[run][loop][identity]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 5);
    const auto method = solver::dpm_adaptive{}.loop(edm, levels);
    const convention asked(prediction::edm(0.5), edm);
    using vec = std::vector<double>;
    const auto net = [](const vec& x, const network_level& at) {
        vec out = x;
        for (double& v : out) { v = std::tanh(v) + 0.1 * at.sigma; }
        return out;
    };
    loop_stepper moved(method, asked, vec{20.0, -3.0});
    loop_stepper lent(method, asked, vec{20.0, -3.0});
    vec memory{20.0, -3.0};
    loop_stepper viewed(method, asked, std::span<double>(memory));
    while (const auto query = moved.next()) {
        const vec output = net(query->x, query->level);
        lent.supply(output);
        viewed.supply(std::span<const double>(output));
        moved.supply(net(query->x, query->level));
    }
    CHECK(lent.x() == moved.x());
    CHECK(viewed.x() == moved.x());
    CHECK(std::move(viewed).take() == moved.x());
}

TEST_CASE("nothing is allocated after the first question", "[run][loop][cost]") {
    const schedule::flow flow;
    const levels_t levels = interior_levels(flow, 8);
    for (const prediction_type& is : {prediction::x0, prediction::edm(0.5)}) {
        const auto check = [&](const auto& method, bool scaled) {
            const std::vector<std::size_t> made = allocations_per_call(method, is, schedule::edm{});
            REQUIRE(made.size() > 5);
            for (std::size_t i = scaled ? 1 : 0; i < made.size(); ++i) {
                INFO("call " << i);
                CHECK(made[i] == 0);
            }
        };
        check(solver::dpm_adaptive{.rtol = 0.01, .eta = 0.5}.loop(flow, levels), false);
        check(solver::runge_kutta_pair{}.loop(flow, levels), false);
        check(solver::evodiff{}.loop(flow, levels), false);
        check(solver::evodiff{.blocks = 3}.loop(flow, levels), false);
        check(solver::predictor_corrector{}.loop(flow, levels), false);
    }
}

TEST_CASE("a number that is not finite ends a loop's run where it came", "[run][loop][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 8);
    for (const std::size_t call : {0U, 1U, 5U, 9U}) {
        loop_stepper s(solver::dpm_adaptive{}.loop(vp, levels), convention(prediction::x0, vp), 2.0);
        for (std::size_t i = 0; i < call; ++i) { s.supply(two_humps(s.next()->x, s.next()->level)); }
        const std::size_t step = s.step();
        s.supply(not_a_number);
        CHECK(s.result() == run_result{run_status::non_finite, call + 1, step});
        CHECK_FALSE(s.next());
    }
}

TEST_CASE("a loop's stepper refuses what it cannot run", "[run][loop][errors]") {
    const schedule::vp_linear vp;
    const levels_t levels = interior_levels(vp, 8);
    const convention data(prediction::x0, vp);
    using vec = std::vector<double>;
    const auto steady = solver::dpm_adaptive{}.loop(vp, levels);
    CHECK(refusal([&] { loop_stepper s(steady, data, vec{}); }) == "stepper: x is empty");
    CHECK(refusal([&] { loop_stepper s(solver::evodiff{.blocks = 2}.loop(vp, levels), data, vec(3)); }) ==
          "loop: blocks must divide the elements of a sample");
    CHECK(refusal([&] {
              loop_stepper s(solver::dpm_adaptive{.eta = 1.0}.loop(vp, levels), data, vec(2));
          }).find("give it a source") != std::string::npos);
    loop_stepper s(steady, data, vec{1.0, 2.0});
    CHECK(refusal([&] { s.supply(vec(3)); }) == "network: the output must have the shape of x");
    CHECK(refusal([&] {
              s.supply(vec(2), [](vec&, const level&) {});
          }).find("output_column::data_prediction") != std::string::npos);
    s.stop();
    CHECK(s.x() == vec{1.0, 2.0});
    CHECK(s.result().status == run_status::stopped);
    CHECK(refusal([&] { s.supply(vec(2)); }) == "stepper: nothing was asked; the run has ended");
}
