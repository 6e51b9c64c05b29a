// SPDX-License-Identifier: MIT

#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/text.hpp>
#include <tweedie/solver/flow_map.hpp>

#include "../solver/checks.hpp"

using namespace tweedie;

TEST_CASE("every plan reads back from its text to the bit", "[plan][text]") {
    for (const named_schedule& s : all_schedules()) {
        for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
            const levels_t levels = grid::karras(s.schedule, 5, {.sigma_max = 30.0, .last = last});
            for (const named_solver& method : all_solvers()) {
                INFO(method.name << " on " << s.name);
                const plan p = method.plan(s.schedule, levels);
                CHECK(parse_plan(to_text(p)) == p);
                for (const prediction_type& type :
                     {prediction::epsilon, prediction::v, prediction::edm(0.5)}) {
                    const plan folded = fold(p, {type, s.schedule, {.time = condition::sigma_quarter_log}});
                    CHECK(parse_plan(to_text(folded)) == folded);
                    const plan kept = fold(p, {type, s.schedule}, output_column::data_prediction);
                    CHECK(parse_plan(to_text(kept)) == kept);
                }
            }
        }
    }
}

TEST_CASE("the text of a plan is what its documentation shows", "[plan][text]") {
    const schedule::edm edm;
    const levels_t levels = {at(edm, 4.0), at(edm, 1.0), at(edm, 0.0)};
    plan_writer p("by hand", levels);
    plan_variable x = p.state();
    plan_variable old = p.variable("old");
    static_cast<void>(p.step(0));
    const linear_form m = p.data_prediction(x, levels[0]);
    old = m;
    x = 0.25 * x + 0.75 * m - 0.5 * p.noise();
    static_cast<void>(p.step(1));
    const linear_form n = p.data_prediction(x, levels[1]);
    x = -1.0 * x + 1.5 * n - 0.1 * old;
    CHECK(to_text(p.finish(x)) ==
          "tweedie plan 1\n"
          "solver by hand\n"
          "output x0_hat\n"
          "level 4 1 4\n"
          "level 1 1 1\n"
          "level 0 1 0\n"
          "start\n"
          "  r0 x = 1 r0\n"
          "call r0 step 0 at 4 1 4\n"
          "  draws z0\n"
          "  r0 x = 0.25 r0 + 0.75 out - 0.5 z0\n"
          "  r1 x0_hat = 1 out\n"
          "call r0 step 1 at 1 1 1\n"
          "  r0 x = -1 r0 - 0.1 r1 + 1.5 out\n");
}

TEST_CASE("a call of a flow map says where to go", "[plan][text][fold]") {
    const schedule::edm edm;
    const levels_t levels = {at(edm, 4.0), at(edm, 1.0), at(edm, 0.25)};
    const plan p = solver::flow_map{}.plan(edm, levels);
    CHECK(to_text(p) ==
          "tweedie plan 1\n"
          "solver flow_map\n"
          "output x0_hat\n"
          "level 4 1 4\n"
          "level 1 1 1\n"
          "level 0.25 1 0.25\n"
          "start\n"
          "  r0 x = 1 r0\n"
          "call r0 step 0 at 4 1 4 to 1 1 1\n"
          "  r0 x = 0.25 r0 + 0.75 out\n"
          "call r0 step 1 at 1 1 1 to 0.25 1 0.25\n"
          "  r0 x = 0.25 r0 + 0.75 out\n");
    CHECK(parse_plan(to_text(p)) == p);

    const plan folded = fold(p, {prediction::flow_velocity, schedule::flow{}, {.time_scale = 10.0}});
    CHECK(to_text(folded).find("  asks 0.5 0.5 0.5 5 to 0.2 0.8 0.2 2\n") != std::string::npos);
    CHECK(parse_plan(to_text(folded)) == folded);

    // what a file says of the target is what is read, whether it is told or not
    plan untold = p;
    untold.calls[0].asks.to.reset();
    CHECK(parse_plan(to_text(untold)) == untold);
    CHECK(untold != p);
    plan elsewhere = p;
    elsewhere.calls[0].to = levels[2];
    CHECK(parse_plan(to_text(elsewhere)) == elsewhere);
    for (const char* broken : {" to 1 1\n", " to\n", " too 1 1 1\n", " to 1 1 1 1\n"}) {
        std::string text = to_text(p);
        const std::string good = " to 1 1 1\n";
        text.replace(text.find(good), good.size(), broken);
        CHECK(refusal([&] { static_cast<void>(parse_plan(text)); }).find("parse_plan: line 9: ") == 0);
    }
}

TEST_CASE("blank lines and the order of weights do not matter", "[plan][text]") {
    const schedule::edm edm;
    const levels_t levels = {at(edm, 4.0), at(edm, 1.0)};
    const plan p = solver::ddim{}.plan(edm, levels);
    std::string text = to_text(p);
    const std::string row = "  r0 x = 0.25 r0 + 0.75 out\n";
    const std::size_t found = text.find(row);
    REQUIRE(found != std::string::npos);
    text.replace(found, row.size(), "\n   r0 x = 0.75 out + 0.25 r0   \n\n");
    CHECK(parse_plan(text) == p);
}

TEST_CASE("a text that is no plan is refused with its line", "[plan][text][errors]") {
    const std::string head = "tweedie plan 1\nsolver s\noutput x0_hat\nlevel 4 1 4\nlevel 1 1 1\n";
    const std::string good =
        head + "start\n  r0 x = 1 r0\ncall r0 step 0 at 4 1 4\n  r0 x = 0.25 r0 + 0.75 out\n";
    REQUIRE(parse_plan(good).calls.size() == 1);
    struct bad {
        std::string text, message;
    };
    const std::vector<bad> bads = {
        {"", "parse_plan: line 0: expected 'tweedie plan 1'"},
        {"tweedie plan 2\n", "parse_plan: line 1: expected 'tweedie plan 1'"},
        {head, "plan: need at least one network call"},
        {"tweedie plan 1\nsolver s\nwhat 3\n", "parse_plan: line 3: unknown key 'what'"},
        {"tweedie plan 1\nsolver s\noutput raw\n", "parse_plan: line 3: output must be network or x0_hat"},
        {"tweedie plan 1\nlevel 4 1\n", "parse_plan: line 2: expected a number, found ''"},
        {"tweedie plan 1\nlevel 4 one 4\n", "parse_plan: line 2: expected a number, found 'one'"},
        {"tweedie plan 1\nlevel 4 1 4 9\n", "parse_plan: line 2: nothing more expected on this line"},
        {head + "call r0 step 0 at 4 1 4\n", "parse_plan: line 6: 'start' must come before the first call"},
        {head + "start\n  r1 x = 1 r0\n", "parse_plan: line 7: registers must be written in order"},
        {head + "start\n  r0 x 1 r0\n", "parse_plan: line 7: expected ' ='"},
        {head + "start\n  r0 x = 1 r3\n",
         "parse_plan: line 7: a register, output or draw that does not exist there"},
        {head + "start\n  r0 x = 1 out\n",
         "parse_plan: line 7: a register, output or draw that does not exist there"},
        {head + "start\n  r0 x = 1 z0\n",
         "parse_plan: line 7: a register, output or draw that does not exist there"},
        {head + "start\n  r0 x = 1 r0 + 2 r0\n",
         "parse_plan: line 7: a register, output, draw or constant given twice"},
        {head + "start\n  r0 x = 1 one + 2 one\n",
         "parse_plan: line 7: a register, output, draw or constant given twice"},
        {head + "start\n  draws z4294967296\n", "parse_plan: line 7: a draw's number is below 2^32"},
        {head + "start\n  r0 x = 1.5x r0\n", "parse_plan: line 7: expected a number, found '1.5x'"},
        {head + "start\n  r0 x = 1\n", "parse_plan: line 7: expected 'r' and a number"},
        {head + "start\n  r0 x = 1 r0\ncall x step 0 at 4 1 4\n",
         "parse_plan: line 8: expected 'r' and a number"},
        {head + "start\n  r0 x = 1 r0\ncall r0 stop 0 at 4 1 4\n", "parse_plan: line 8: expected 'step'"},
        {head + "start\n  r0 x = 1 r0\ncall r0 step -1 at 4 1 4\n",
         "parse_plan: line 8: expected a number, found '-1'"},
        {good + "  asks 1 2 3\n", "parse_plan: line 10: expected a number, found ''"},
        {good + "  x0 1\n", "parse_plan: line 10: expected a number, found ''"},
    };
    for (const bad& b : bads) {
        INFO(b.text);
        CHECK(refusal([&] { static_cast<void>(parse_plan(b.text)); }) == b.message);
    }
}

TEST_CASE("a plan read from a file is checked before anything uses it", "[plan][text][errors]") {
    const std::string head =
        "tweedie plan 1\nsolver s\noutput x0_hat\nlevel 4 1 4\nlevel 1 1 1\nstart\n  r0 x = 1 r0\n";
    CHECK(refusal([&] {
              static_cast<void>(parse_plan(head + "call r7 step 0 at 4 1 4\n  r0 x = 1 out\n"));
          }) == "plan: a call must evaluate an existing register");
    CHECK(refusal([&] { static_cast<void>(parse_plan(head + "call r0 step 0 at 4 1 4\n")); }) ==
          "plan: every pass must write at least one register");
    plan p = parse_plan(head + "call r0 step 0 at 4 1 4\n  r0 x = 1 out\n");
    for (const char* name : {"", "a =b", "two\nlines", " x"}) {
        p.start.rows[0].name = name;
        CHECK_THROWS_AS(to_text(p), std::invalid_argument);
    }
}

TEST_CASE("a draw that is used twice is one draw", "[plan][analyze][exact]") {
    const plan p = parse_plan(
        "tweedie plan 1\nsolver s\noutput x0_hat\nlevel 4 1 4\nlevel 1 1 1\nstart\n  r0 x = 1 r0\n"
        "call r0 step 0 at 4 1 4\n  draws z0\n  r0 x = 1 r0 + 1 z0\n"
        "call r0 step 1 at 2 1 2\n  draws z0\n  r0 x = 1 r0 - 1 z0\n");
    CHECK(analyze(p, 1.0) == transfer{1.0, 0.0, 0.0});
}
