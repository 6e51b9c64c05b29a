// SPDX-License-Identifier: MIT
#include <tweedie/run/stepper.hpp>

#include <support/allocations.hpp>
#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace tweedie;

namespace {

using tensor_f = std::vector<float>;

tensor_f evaluate(const query<tensor_f>& asked) {
    tensor_f out(asked.x.size());
    exact_gaussian{}(asked.x, asked.level, out);
    return out;
}

}  // namespace

TEST_CASE("a stepper gives the bits of sample, however outputs are handed over", "[run][stepper][identity]") {
    for (const plan& p : {edm_plan(solver::ddim{.eta = 0.7}, 6), edm_plan(solver::heun{}, 6),
                          edm_plan(solver::dpm_solver{}, 6), edm_plan(solver::unipc{}, 9)}) {
        const tensor_f x_start = start(37, p);
        const auto model = exact_model();
        tensor_f x = x_start;
        REQUIRE(sample(p, model, x, noise{.seed = 7}));

        stepper moved(p, model.convention(), x_start, noise{.seed = 7});
        while (const auto asked = moved.next()) { moved.supply(evaluate(*asked)); }
        CHECK(moved.x() == x);
        CHECK(moved.result());
        CHECK(moved.result().network_calls == counts(p).network_calls);

        stepper lent(p, model.convention(), x_start, noise{.seed = 7});
        while (const auto asked = lent.next()) {
            const tensor_f output = evaluate(*asked);
            const tensor_f before = output;
            lent.supply(output);
            CHECK(output == before);
        }
        CHECK(lent.x() == x);

        tensor_f memory = x_start;
        stepper viewed(p, model.convention(), std::span<float>(memory), noise{.seed = 7});
        while (const auto asked = viewed.next()) {
            const tensor_f output = evaluate(*asked);
            viewed.supply(std::span<const float>(output));
        }
        CHECK(std::move(viewed).take() == x);
    }
}

TEST_CASE("a stepper is a value: copies and checkpoints go on identically", "[run][stepper][identity]") {
    for (const plan& p :
         {edm_plan(solver::ddim{.eta = 1.0}, 7), edm_plan(solver::heun{}, 7), edm_plan(solver::unipc{}, 7)}) {
        const program shared(p, exact_model().convention());
        stepper whole(shared, start(21, p), noise{.seed = 2});
        while (const auto asked = whole.next()) { whole.supply(evaluate(*asked)); }

        for (std::size_t cut = 0; cut <= shared.network_calls(); ++cut) {
            stepper first(shared, start(21, p), noise{.seed = 2});
            for (std::size_t i = 0; i < cut; ++i) { first.supply(evaluate(*first.next())); }
            stepper copy = first;
            stepper resumed(shared, first.save(), noise{.seed = 2});
            CHECK(resumed.result() == first.result());
            while (const auto asked = copy.next()) { copy.supply(evaluate(*asked)); }
            while (const auto asked = resumed.next()) { resumed.supply(evaluate(*asked)); }
            while (const auto asked = first.next()) { first.supply(evaluate(*asked)); }
            CHECK(first.x() == whole.x());
            CHECK(copy.x() == whole.x());
            CHECK(resumed.x() == whole.x());
            CHECK(resumed.result() == whole.result());
        }
    }
}

TEST_CASE("a stepper holds the plan's live tensors and nothing else", "[run][stepper][cost]") {
    const plan p = edm_plan(solver::unipc{.order = 3}, 10);
    const program shared(p, exact_model().convention());
    CHECK(shared.buffers() == counts(p).live_tensors);
    CHECK(shared.buffers() == 4);

    stepper s(shared, start(4096, p));
    tensor_f output(4096);
    const std::size_t before = allocations();
    while (const auto asked = s.next()) {
        exact_gaussian{}(asked->x, asked->level, output);
        s.supply(std::move(output));
        CHECK(output.size() == 4096);
    }
    CHECK(allocations() == before);
}

TEST_CASE("a stepper says where it stands", "[run][stepper][contract]") {
    const plan p = edm_plan(solver::heun{}, 3);
    const auto model = exact_model();
    stepper s(p, model.convention(), start(4, p));
    const std::size_t steps[] = {0, 0, 1, 1, 2};
    for (std::size_t i = 0; i < 5; ++i) {
        REQUIRE(s.next());
        CHECK(s.next()->x == s.next()->x);  // asking twice is asking once
        CHECK(s.step() == steps[i]);
        CHECK(s.at_step_start() == (i % 2 == 0));
        CHECK(s.at() == p.calls[i].at);
        CHECK(s.result() == run_result{run_status::running, i, steps[i]});
        s.supply(evaluate(*s.next()));
    }
    CHECK_FALSE(s.next());
    CHECK(s.result() == run_result{run_status::finished, 5, 3});
}

TEST_CASE("a stepper refuses wrong use in words", "[run][stepper][errors]") {
    const plan p = edm_plan(solver::ddim{}, 2);
    const auto model = exact_model();
    stepper s(p, model.convention(), start(4, p));
    CHECK_THROWS_AS(s.supply(tensor_f(3)), std::invalid_argument);
    s.supply(evaluate(*s.next()));
    const auto saved = s.save();
    s.supply(evaluate(*s.next()));
    CHECK_FALSE(s.next());
    CHECK_THROWS_AS(s.supply(tensor_f(4)), std::invalid_argument);
    CHECK_THROWS_AS(s.supply(tensor_f(4), [](tensor_f&, const level&) {}), std::invalid_argument);

    const program other(edm_plan(solver::unipc{}, 5), model.convention());
    CHECK_THROWS_AS(stepper(other, saved), std::invalid_argument);
    auto bad = saved;
    bad.status = run_status::finished;
    CHECK_THROWS_AS(stepper(program(p, model.convention()), bad), std::invalid_argument);

    stepper folded(p, model.convention(), start(4, p));
    CHECK_THROWS_AS(folded.supply(tensor_f(4), [](tensor_f&, const level&) {}), std::invalid_argument);
}

TEST_CASE("a stepper transforms the data prediction where its program allows", "[run][stepper][hooks]") {
    const plan p = edm_plan(solver::unipc{}, 6);
    const denoiser model(exact_gaussian{}, prediction::x0, schedule::edm{});
    tensor_f x = start(8, p);
    const auto half = [](tensor_f& x0, const level&) {
        for (float& v : x0) { v *= 0.5F; }
    };
    stepper s(program(p, model.convention(), output_column::data_prediction), x);
    while (const auto asked = s.next()) { s.supply(evaluate(*asked), half); }
    REQUIRE(sample(p, model, x, {}, hooks{.transform = half}));
    CHECK(s.x() == x);
}
