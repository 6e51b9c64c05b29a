// SPDX-License-Identifier: MIT

// Weights that differ from element to element: their algebra, and the plans written with them.

#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/field.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/text.hpp>
#include <tweedie/plan/writer.hpp>

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

const field a(std::vector<double>{1.0, -2.0, 4.0});
const field b(std::vector<double>{0.5, 3.0, 0.25});
const levels_t levels = {{4.0, 1.0, 4.0}, {1.0, 1.0, 1.0}, {0.5, 1.0, 0.5}};

std::vector<double> numbers(const field& f) {
    std::vector<double> out;
    for (std::size_t e = 0; e < f.size(); ++e) { out.push_back(f[e]); }
    return out;
}

/// Two steps that use fields in every place: registers, the output, noise, a constant.
plan with_fields() {
    plan_writer p("fields by hand", levels);
    plan_variable x = p.state();
    plan_variable old = p.variable("old");
    static_cast<void>(p.step(0));
    const linear_form m = p.data_prediction(x, levels[0]);
    old = m;
    x = b * x + (1.0 - b) * m - 0.5 * (b * p.noise()) + p.constant(2.0 * a);
    static_cast<void>(p.step(1));
    const linear_form n = p.data_prediction(x, levels[1]);
    x = -1.0 * x + 1.5 * n - old / a + p.constant(0.25);
    return p.finish(x);
}

/// The same at one element.
plan without_fields(std::size_t e) {
    plan_writer p("fields by hand", levels);
    plan_variable x = p.state();
    plan_variable old = p.variable("old");
    static_cast<void>(p.step(0));
    const linear_form m = p.data_prediction(x, levels[0]);
    old = m;
    x = b[e] * x + (1.0 - b[e]) * m - 0.5 * (b[e] * p.noise()) + p.constant(2.0 * a[e]);
    static_cast<void>(p.step(1));
    const linear_form n = p.data_prediction(x, levels[1]);
    x = -1.0 * x + 1.5 * n - old / a[e] + p.constant(0.25);
    return p.finish(x);
}

}  // namespace

TEST_CASE("arithmetic of fields is that of their numbers", "[plan][field][exact]") {
    CHECK(numbers(a + b) == std::vector<double>{1.5, 1.0, 4.25});
    CHECK(numbers(a - b) == std::vector<double>{0.5, -5.0, 3.75});
    CHECK(numbers(a * b) == std::vector<double>{0.5, -6.0, 1.0});
    CHECK(numbers(a / b) == std::vector<double>{2.0, -2.0 / 3.0, 16.0});
    CHECK(numbers(-a) == std::vector<double>{-1.0, 2.0, -4.0});
    CHECK(numbers(1.0 - 2.0 * a) == std::vector<double>{-1.0, 5.0, -7.0});
    for (std::size_t e = 0; e < 3; ++e) {
        CHECK(exp(a)[e] == std::exp(a[e]));
        CHECK(expm1(a)[e] == std::expm1(a[e]));
        CHECK(log(b)[e] == std::log(b[e]));
        CHECK(sqrt(b)[e] == std::sqrt(b[e]));
    }
    CHECK(numbers(a.map([](double v) { return v < 0.0 ? 0.0 : v; })) == std::vector<double>{1.0, 0.0, 4.0});
}

TEST_CASE("a field of one number goes with any size", "[plan][field]") {
    const field half = 0.5;
    CHECK((half.size() == 1 && half[0] == 0.5 && half[17] == 0.5));
    CHECK(field(std::vector<double>{0.5}) == half);
    CHECK((half * half).size() == 1);
    CHECK(half * a == a / 2.0);
    CHECK(half.uniform());
    CHECK(field(std::vector<double>{2.0, 2.0}).uniform());
    CHECK_FALSE(a.uniform());
    CHECK(a.finite());
    CHECK_FALSE(field(std::vector<double>{1.0, infinity}).finite());
    CHECK_FALSE(field(not_a_number).finite());
}

TEST_CASE("fields of two sizes, and of none, are refused", "[plan][field][errors]") {
    const field two(std::vector<double>{1.0, 2.0});
    CHECK(refusal([&] { static_cast<void>(a * two); }) == "field: sizes differ, 3 and 2");
    CHECK(refusal([] { static_cast<void>(field(std::vector<double>())); }) ==
          "field: need at least one number");
}

TEST_CASE("linear forms with fields obey the algebra of vectors at every element", "[plan][linear_form]") {
    const linear_form x(0);
    const linear_form y(5);
    const linear_form sum = a * x - y / b + 3.0 * (b * (x - y)) + 2.0 * y;
    for (std::size_t e = 0; e < 3; ++e) {
        const linear_form expected = a[e] * x - (1.0 / b[e]) * y + 3.0 * (b[e] * (x - y)) + 2.0 * y;
        CHECK(sum.weights(0)[e] == expected.weight(0));
        CHECK(sum.weights(5)[e] == expected.weight(5));
    }
    CHECK(sum.weights(3) == field(0.0));
    CHECK(a * x == x * a);
    linear_form twice = a * x;
    twice += twice;  // its own argument
    CHECK(twice == 2.0 * a * x);
    // what is the same everywhere is a double
    CHECK(field(std::vector<double>{2.0, 2.0}) * x == 2.0 * x);
    CHECK((a * x - a * x).terms() == (0.0 * x).terms());
    CHECK((a * x - a * x).factors().empty());
    CHECK(a * x / a == x);
    CHECK(refusal([&] { static_cast<void>(a * x + field(std::vector<double>{1.0, 2.0}) * x); }) ==
          "field: sizes differ, 3 and 2");
}

TEST_CASE("a plan with fields is at each element the plan of that element's numbers",
          "[plan][field][exact]") {
    const plan p = with_fields();
    CHECK(p.elements == 3);
    for (std::size_t e = 0; e < 3; ++e) {
        CHECK(element(p, e) == without_fields(e));
        CHECK(analyze(element(p, e), 0.3) == analyze(without_fields(e), 0.3));
        // folding and taking an element are the same in either order
        for (const prediction_type& type : {prediction::epsilon, prediction::v, prediction::edm(0.5)}) {
            const convention network(type, schedule::edm{});
            CHECK(element(fold(p, network), e) == fold(without_fields(e), network));
        }
    }
    CHECK(element(without_fields(1), 99) == without_fields(1));
    CHECK(refusal([&] { static_cast<void>(element(p, 3)); }) == "element: the plan has fewer elements");
    CHECK(refusal([&] { static_cast<void>(analyze(p, 0.3)); }) ==
          "analyze: the plan has fields; analyze element(plan, e)");
}

TEST_CASE("a plan whose fields are the same everywhere is an ordinary plan", "[plan][field][identity]") {
    const auto write = [](const field& keep) {
        plan_writer p("same", levels);
        plan_variable x = p.state();
        x = keep * x + (1.0 - keep) * p.data_prediction(x, levels[0]) + (keep - keep) * p.noise();
        return p.finish(x);
    };
    CHECK(write(field(std::vector<double>(7, 0.3))) == write(0.3));
    CHECK(write(0.3).elements == 0);
    CHECK(write(0.3).calls[0].then.draws.empty());
    CHECK(write(a).calls[0].then.draws.empty());  // a field of zeros reads nothing either
}

TEST_CASE("constants add up over a run, and analyze says what they come to", "[plan][field][exact]") {
    plan_writer p("constants", levels);
    plan_variable x = p.state();
    x = 0.5 * x + 0.5 * p.data_prediction(x, levels[0]) + p.constant(3.0);
    plan_variable memory = p.variable("memory");
    memory = p.constant(0.125);
    const linear_form one = p.constant(1.0);
    const linear_form m = p.data_prediction(x, levels[1]);
    x = 0.25 * x + 0.0 * m + memory + one;  // a constant of an earlier pass
    const plan made = p.finish(x);
    CHECK(made.elements == 0);
    CHECK(analyze(made, 0.3).constant == 1.875);
    CHECK(analyze(made, 0.3).start > 0.0);
    // a register that is a constant is written, not read
    REQUIRE(made.calls[0].then.rows.size() == 2);
    CHECK(made.calls[0].then.rows[1].weights == std::vector<double>{0.0, 0.0});
    CHECK(made.calls[0].then.rows[1].constant == field(0.125));
    double end = 2.0;
    const denoiser zero([](double, const network_level&) { return 0.0; }, prediction::x0, schedule::edm{});
    REQUIRE(sample(made, zero, end));
    CHECK(end == 2.0 * 0.125 + 1.875);
}

TEST_CASE("a plan with fields reads back from its text to the bit", "[plan][field][text]") {
    const plan p = with_fields();
    CHECK(parse_plan(to_text(p)) == p);
    const plan folded = fold(p, {prediction::edm(0.5), schedule::edm{}});
    CHECK(parse_plan(to_text(folded)) == folded);
    CHECK(parse_plan(to_text(without_fields(1))) == without_fields(1));
    CHECK(to_text(p) ==
          "tweedie plan 1\n"
          "solver fields by hand\n"
          "output x0_hat\n"
          "elements 3\n"
          "level 4 1 4\n"
          "level 1 1 1\n"
          "level 0.5 1 0.5\n"
          "start\n"
          "  r0 x = 1 r0\n"
          "call r0 step 0 at 4 1 4\n"
          "  draws z0\n"
          "  r0 x = 1 f0 r0 + 1 f1 out + 1 f2 z0 + 1 f3 one\n"
          "  r1 x0_hat = 1 out\n"
          "call r0 step 1 at 1 1 1\n"
          "  r0 x = -1 r0 + 1 f4 r1 + 1.5 out + 0.25 one\n"
          "field f0 0.5 3 0.25\n"
          "field f1 0.5 -2 0.75\n"
          "field f2 -0.25 -1.5 -0.125\n"
          "field f3 2 -4 8\n"
          "field f4 -1 0.5 -0.25\n");
}

TEST_CASE("a text with wrong fields is refused by line", "[plan][field][text][errors]") {
    const std::string good = to_text(with_fields());
    const auto changed = [&](const std::string& from, const std::string& to) {
        std::string text = good;
        text.replace(text.find(from), from.size(), to);
        return refusal([&] { static_cast<void>(parse_plan(text)); });
    };
    CHECK(changed("1 f2 z0", "1 f9 z0") == "parse_plan: line 12: a field that does not exist");
    CHECK(changed("field f1 0.5", "field f2 0.5") == "parse_plan: line 17: fields must be written in order");
    CHECK(changed("field f4 -1 0.5 -0.25", "field f4") == "parse_plan: line 20: a field needs numbers");
    CHECK(changed("field f4 -1 0.5 -0.25", "field f4 1 nan 2") == "plan: weights must be finite (row x)");
    CHECK(changed("field f4 -1 0.5 -0.25", "field f4 1 2") ==
          "plan: every field must have as many numbers as the plan has elements (row x)");
    CHECK(changed("elements 3", "elements 4") ==
          "plan: every field must have as many numbers as the plan has elements (row x)");
    CHECK(changed("1 f0 r0 + 1 f1 out", "1 f1 out + 1 f0 r0") ==
          "plan: fields must belong to columns, in their order (row x)");
    CHECK(changed("1.5 out + 0.25 one", "1.5 out + 0.25") ==
          "parse_plan: line 15: expected 'r' and a number");
}

TEST_CASE("a writer refuses fields that are not finite or not of one size", "[plan][field][errors]") {
    const auto write = [](const field& keep, const field& constant) {
        plan_writer p("test", levels);
        plan_variable x = p.state();
        x = keep * x + p.data_prediction(x, levels[0]) + p.constant(constant);
        static_cast<void>(p.finish(x));
    };
    const field bad(std::vector<double>{1.0, not_a_number, 2.0});
    CHECK(refusal([&] { write(bad, 0.0); }) == "plan_writer: weights must be finite (in x of test)");
    CHECK(refusal([&] { write(a, infinity * a); }) == "plan_writer: weights must be finite (in x of test)");
    CHECK(refusal([&] { write(a, not_a_number); }) == "plan_writer: weights must be finite (in x of test)");
    CHECK(refusal([&] { write(a, field(std::vector<double>{1.0, 2.0})); }) ==
          "plan: every field must have as many numbers as the plan has elements (row x)");
}

TEST_CASE("fields are counted apart from tensors", "[plan][field][cost]") {
    const plan p = with_fields();
    CHECK(counts(p) == plan_counts{2, 1, 2, 6, 2, 5});
    CHECK(counts(without_fields(0)) == plan_counts{2, 1, 2, 6, 2, 0});
}

TEST_CASE("a corrected state is no register with fields either, if it is one of the query and others",
          "[plan][field][cost]") {
    const schedule::edm edm;
    const levels_t grid = interior_levels(edm, 6);
    // predict from the corrected state, ask, correct; everything weighed by `w`
    const auto write = [&](const field& w) {
        plan_writer p("predictor-corrector", grid);
        plan_variable x = p.state();
        plan_history m = p.remember("m", 2);
        m.push(p.data_prediction(x, grid[0]));
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            const field keep = exp(-w) * (t.sigma / s.sigma);
            plan_variable start = p.variable("start");
            start = x;
            x = keep * start + (1.0 - keep) * m[0] + p.constant(0.1 * w);
            if (i + 1 == p.steps()) { break; }
            const linear_form here = x;
            m.push(p.data_prediction(here, t));
            x = keep * start + (1.0 - keep) * (0.5 * (m[0] + m[1])) + p.constant(0.1 * w);
        }
        return p.finish(x);
    };
    const field w(std::vector<double>{0.1, 0.2, 0.35, 0.5});
    const plan p = write(w);
    CHECK(p.elements == 4);
    CHECK(counts(p).live_tensors == counts(write(0.2)).live_tensors);
    CHECK(counts(p).reads == counts(write(0.2)).reads);
    CHECK(counts(p).live_tensors == 2);  // 3 if the corrected state were one of them
    for (std::size_t e = 0; e < 4; ++e) {
        // two ways to the same weights, a few roundings apart
        CHECK_THAT(run_on_double(element(p, e), edm, 3.0, two_humps),
                   WithinRel(run_on_double(write(w[e]), edm, 3.0, two_humps), tol<double>::identity));
    }
}
