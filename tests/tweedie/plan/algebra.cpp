// SPDX-License-Identifier: MIT

// Symbols, histories, variables: what a solver writes its equations with.

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/writer.hpp>

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

const level far{10.0, 1.0, 10.0};
const level near{1.0, 1.0, 1.0};
const levels_t two_levels = {far, near};

}  // namespace

TEST_CASE("linear forms obey the algebra of vectors", "[plan][linear_form]") {
    const linear_form a(0);
    const linear_form b(1);
    const linear_form c(7);
    const linear_form sum = 2.0 * a - b / 4.0 + (c - a) * 3.0;
    CHECK(sum.weight(0) == -1.0);
    CHECK(sum.weight(1) == -0.25);
    CHECK(sum.weight(7) == 3.0);
    CHECK(sum.weight(5) == 0.0);
    REQUIRE(sum.terms().size() == 3);
    CHECK((sum.terms()[0].symbol == 0 && sum.terms()[1].symbol == 1 && sum.terms()[2].symbol == 7));

    CHECK(a + b == b + a);
    CHECK((a + b) + c == a + (b + c));
    CHECK(4.0 * (a + b) == 4.0 * a + 4.0 * b);
    CHECK(-(a - b) == b - a);
    CHECK(a + linear_form() == a);
    CHECK((a - a).weight(0) == 0.0);
    CHECK(linear_form().terms().empty());

    linear_form x = a;
    x += 2.0 * b;
    x -= c;
    CHECK(x == a + 2.0 * b - c);
    x += x;  // its own argument
    CHECK(x == 2.0 * a + 4.0 * b - 2.0 * c);
}

TEST_CASE("a memory gives its newest values and refuses what it does not hold", "[plan][writer][errors]") {
    plan_writer p("test", two_levels);
    CHECK(refusal([&] { static_cast<void>(p.remember("none", 0)); }) ==
          "plan_writer: the depth of none must be at least 1");
    plan_history m = p.remember("m", 2);
    CHECK(m.size() == 0);
    CHECK(refusal([&] { static_cast<void>(m[0]); }) == "plan_writer: m is read before it was written");
    m.push(linear_form(1));
    CHECK(m[0] == linear_form(1));
    CHECK(refusal([&] { static_cast<void>(m[1]); }) == "plan_writer: m is read before it was written");
    CHECK(refusal([&] { static_cast<void>(m[2]); }) == "plan_writer: m is read beyond its declared depth");
    m.push(linear_form(2));
    m.push(linear_form(3));
    CHECK(m.size() == 2);
    CHECK((m[0] == linear_form(3) && m[1] == linear_form(2)));
    CHECK(refusal([&] { static_cast<void>(m[2]); }) == "plan_writer: m is read beyond its declared depth");
}

TEST_CASE("a writer refuses unwritten variables, weights that are not finite, and a plan without a call",
          "[plan][writer][errors]") {
    CHECK(refusal([] {
              plan_writer p("test", two_levels);
              plan_variable v = p.variable("old");
              static_cast<void>(linear_form(v));
          }) == "plan_writer: old is read before it was written");
    CHECK(refusal([] {
              plan_writer p("test", two_levels);
              plan_variable x = p.state();
              static_cast<void>(p.finish(x));
          }) == "plan_writer: a plan needs at least one network call");
    for (const double weight : {not_a_number, infinity}) {
        CHECK(refusal([&] {
                  plan_writer p("test", two_levels);
                  plan_variable x = p.state();
                  x = weight * p.data_prediction(x, far);
                  static_cast<void>(p.finish(x));
              }) == "plan_writer: weights must be finite (in x of test)");
    }
}

TEST_CASE("a memory of a plan keeps values, not what they were made of", "[plan][writer][errors]") {
    const levels_t levels = {far, near, {0.5, 1.0, 0.5}};
    plan_writer p("test", levels);
    plan_variable x = p.state();
    plan_history m = p.remember("d", 2);
    CHECK(m.size() == 0);
    CHECK(refusal([&] { static_cast<void>(m[0]); }) == "plan_writer: d is read before it was written");
    CHECK(refusal([&] { static_cast<void>(m[2]); }) == "plan_writer: d is read beyond its declared depth");
    CHECK(refusal([&] { static_cast<void>(p.remember("d", 0)); }) ==
          "plan_writer: the depth of d must be at least 1");
    const linear_form first = p.data_prediction(x, far);
    m.push((x - first) / 2.0);
    CHECK(m.size() == 1);
    CHECK(refusal([&] { static_cast<void>(m[1]); }) == "plan_writer: d is read before it was written");
    x = x - m[0];
    const linear_form second = p.data_prediction(x, near);
    m.push((x - second) / 4.0);
    CHECK(m.size() == 2);
    x = x + m[0] + m[1];
    m.push(x);
    CHECK(m.size() == 2);
    const plan made = p.finish(x);
    REQUIRE(made.calls[0].then.rows.size() == 2);
    CHECK(made.calls[0].then.rows[0].weights == std::vector<double>{0.5, 0.5});
    CHECK(made.calls[0].then.rows[1].name == "d");
    CHECK(made.calls[0].then.rows[1].weights == std::vector<double>{0.5, -0.5});
    CHECK(made.calls[1].then.rows[0].weights == std::vector<double>{1.25, 1.0, -0.25});
}

TEST_CASE("a writer keeps what later equations read, and nothing else", "[plan][writer]") {
    plan_writer p("test", two_levels);
    plan_variable x = p.state();
    plan_variable unread = p.variable("unread");
    plan_variable first = p.variable("first");
    CHECK(p.steps() == 1);
    const auto [s, t] = p.step(0);
    CHECK((s == far && t == near));
    first = x;
    const linear_form m = p.data_prediction(x, s);
    unread = 3.0 * m;
    x = 0.5 * x + m + 2.0 * p.noise();
    const linear_form n = p.data_prediction(x, t);
    const linear_form unused = p.noise();
    x = x + 0.25 * n - first;
    const plan made = p.finish(x);

    REQUIRE(made.calls.size() == 2);
    CHECK(made.start.rows.size() == 1);  // first is x itself
    REQUIRE(made.calls[0].then.rows.size() == 2);
    CHECK(made.calls[0].then.rows[0].weights == std::vector<double>{0.5, 1.0, 2.0});
    CHECK(made.calls[0].then.rows[1].weights == std::vector<double>{1.0, 0.0, 0.0});
    CHECK(made.calls[0].then.draws == std::vector<std::uint32_t>{0});
    REQUIRE(made.calls[1].then.rows.size() == 1);
    CHECK(made.calls[1].then.rows[0].weights == std::vector<double>{1.0, -1.0, 0.25});
    CHECK(made.calls[1].then.draws.empty());
    CHECK(counts(made) == plan_counts{2, 1, 2, 6, 2});
    static_cast<void>(unused);
}

TEST_CASE("variables of a step make the plan that variables of the whole run make", "[plan][writer]") {
    const levels_t levels = interior_levels(schedule::edm{}, 6);
    const auto midpoint = [&](plan_writer& p, plan_variable& x, plan_variable& start, std::size_t i) {
        const auto [s, t] = p.step(i);
        const level middle{0.5 * (s.t + t.t), 1.0, 0.5 * (s.sigma + t.sigma)};
        start = x;
        x = x + (middle.sigma - s.sigma) * p.noise_prediction(x, s);
        const linear_form slope = p.noise_prediction(x, middle);
        x = start + (t.sigma - s.sigma) * slope;
    };
    plan_writer once("test", levels);
    plan_variable x = once.state();
    plan_variable start = once.variable("start");
    for (std::size_t i = 0; i < once.steps(); ++i) { midpoint(once, x, start, i); }

    plan_writer each("test", levels);
    plan_variable y = each.state();
    for (std::size_t i = 0; i < each.steps(); ++i) {
        plan_variable step_start = each.variable("start");
        plan_history unread = each.remember("unread", 2);
        unread.push(y);
        midpoint(each, y, step_start, i);
    }
    CHECK(each.finish(y) == once.finish(x));
}

TEST_CASE("the predictions of a writer are those of the schedule", "[plan][writer]") {
    const schedule::flow flow;
    const levels_t levels = {at(flow, 0.8), at(flow, 0.3)};
    const level& s = levels[0];
    const double start = 0.7;
    const double x0 = two_humps(start, s);
    const auto value = [&](const auto& write) {
        plan_writer p("test", levels);
        plan_variable x = p.state();
        return run_on_double(p.finish(write(p, x)), flow, start, two_humps);
    };
    const double eps = (start - s.alpha * x0) / s.sigma;
    CHECK_THAT(value([&](plan_writer& p, plan_variable& x) { return p.data_prediction(x, s); }),
               WithinRel(x0, tol<double>::exact));
    CHECK_THAT(value([&](plan_writer& p, plan_variable& x) { return p.noise_prediction(x, s); }),
               WithinRel(eps, tol<double>::exact));
    CHECK_THAT(value([&](plan_writer& p, plan_variable& x) { return p.velocity(x, s, flow); }),
               WithinRel(eps - x0, tol<double>::exact));
}

TEST_CASE("plans are equal when every number is", "[plan]") {
    const schedule::edm edm;
    const levels_t levels = interior_levels(edm, 4);
    const plan p = solver::unipc{}.plan(edm, levels);
    CHECK(p == solver::unipc{}.plan(edm, levels));
    CHECK(p != solver::unipc{.order = 2}.plan(edm, levels));
    plan q = p;
    CHECK(q == p);
    q.calls[2].then.rows[0].weights[0] = std::nextafter(q.calls[2].then.rows[0].weights[0], 2.0);
    CHECK(q != p);
}
