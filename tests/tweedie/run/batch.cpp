// SPDX-License-Identifier: MIT
#include <tweedie/run/batch.hpp>
#include <tweedie/solver/flow_map.hpp>

#include <support/allocations.hpp>
#include <support/catch.hpp>

#include <cstddef>
#include <map>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support.hpp"

using namespace tweedie;

namespace {

using tensor_f = std::vector<float>;

const auto together = [](const batched_query<tensor_f>& asked) {
    for (std::size_t i = 0; i < asked.inputs.size(); ++i) {
        exact_gaussian{}(*asked.inputs[i], *asked.levels[i], *asked.outputs[i]);
    }
};

}  // namespace

TEST_CASE("runs that share network calls give the bits they give alone", "[run][batch][identity]") {
    const plan plans[] = {edm_plan(solver::ddim{.eta = 1.0}, 4), edm_plan(solver::heun{}, 5),
                          edm_plan(solver::unipc{}, 9), edm_plan(solver::dpm_solver{}, 1)};
    const std::size_t sizes[] = {16, 16, 9, 1};
    for (const std::size_t most : {1U, 2U, 3U, 100U}) {
        std::map<std::size_t, tensor_f> alone;
        batch<tensor_f, noise> runs;
        const auto add = [&](std::size_t which, std::uint64_t seed) {
            const plan& p = plans[which];
            tensor_f x = start(sizes[which], p, {.seed = seed});
            const auto id = runs.add(stepper(program(p, exact_model().convention()), x, noise{.seed = seed}));
            REQUIRE(sample(p, exact_model(), x, noise{.seed = seed}));
            alone[id] = x;
        };
        for (std::size_t i = 0; i < 4; ++i) { add(i, i); }
        std::size_t ended = 0;
        std::size_t turn = 0;
        while (runs.advance(together, most) > 0) {
            runs.finished([&](std::size_t id, auto&& run) {
                CHECK(run.x() == alone.at(id));
                CHECK(run.result());
                ++ended;
            });
            if (++turn == 3) { add(2, 40); }  // a latecomer
        }
        CHECK(ended == 5);
        CHECK(runs.size() == 0);
    }
}

TEST_CASE("a batch serves its runs in turn", "[run][batch][contract]") {
    const plan p = edm_plan(solver::ddim{}, 3);
    const program shared(p, exact_model().convention());
    batch runs(stepper(shared, start(2, p, {.seed = 0})));
    for (std::uint64_t i = 1; i < 5; ++i) { runs.add(stepper(shared, start(2, p, {.seed = i}))); }
    std::vector<std::size_t> order;
    std::size_t calls = 0;
    while (runs.advance(together, 2) > 0) {
        ++calls;
        runs.finished([&](std::size_t id, auto&&) { order.push_back(id); });
    }
    CHECK(calls == 8);  // 15 evaluations, two at a time
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3, 4});
}

TEST_CASE("a flow map is told its target however it is run, and the target tells programs apart",
          "[run][stepper][batch][program]") {
    const plan p = edm_plan(solver::flow_map{}, 3);
    const convention asked(prediction::x0, schedule::edm{}, {.time_scale = 2.0});
    const program ready(p, asked);
    std::vector<network_level> told;
    tensor_f x = start(4, p);
    stepper alone(ready, x);
    while (const auto query = alone.next()) {
        told.push_back(query->level);
        alone.supply(tensor_f(4, 0.5F));
    }
    REQUIRE(told.size() == 3);
    for (std::size_t k = 0; k < 3; ++k) {
        CHECK(told[k].condition == 2.0 * p.levels[k].t);
        REQUIRE(told[k].to.has_value());
        CHECK(static_cast<const level&>(*told[k].to) == p.levels[k + 1]);
        CHECK(told[k].to->condition == 2.0 * p.levels[k + 1].t);
    }

    batch runs(stepper(ready, x));
    std::size_t k = 0;
    const auto watch = [&](const batched_query<tensor_f>& query) {
        CHECK(*query.levels[0] == told.at(k++));
        *query.outputs[0] = tensor_f(4, 0.5F);
    };
    while (runs.advance(watch, 1) > 0) {}
    CHECK(k == 3);

    k = 0;
    const denoiser model(
        [&](const tensor_f& y, const network_level& at) {
            CHECK(at == told.at(k++));
            return tensor_f(y.size(), 0.5F);
        },
        asked.prediction(), asked.schedule(), asked.options());
    CHECK(sample(p, model, x));
    CHECK(k == 3);

    plan elsewhere = p;
    elsewhere.calls[1].to = at(schedule::edm{}, 0.25);
    CHECK(program(elsewhere, asked).fingerprint() != ready.fingerprint());
    plan nowhere = p;
    for (plan_call& call : nowhere.calls) { call.to.reset(); }
    CHECK(program(nowhere, asked).fingerprint() != ready.fingerprint());
    CHECK(program(nowhere, asked).fingerprint() == program(edm_plan(solver::ddim{}, 3), asked).fingerprint());
}

TEST_CASE("a batch allocates nothing while runs are in flight", "[run][batch][cost]") {
    const plan p = edm_plan(solver::unipc{}, 10);
    const program shared(p, exact_model().convention());
    batch<tensor_f> runs;
    for (std::uint64_t i = 0; i < 50; ++i) { runs.add(stepper(shared, start(64, p, {.seed = i}))); }
    REQUIRE(runs.advance(together, 50) == 50);
    const std::size_t before = allocations();
    while (runs.advance(together, 50) > 0) {}
    CHECK(allocations() == before);
}

TEST_CASE("ten thousand runs in flight hold their live tensors, and a step of them allocates nothing",
          "[run][batch][cost]") {
    constexpr std::size_t count = 10'000;
    constexpr std::size_t elements = 32;
    const plan p = edm_plan(solver::unipc{}, 3);
    const program shared(p, exact_model().convention());
    batch<tensor_f> runs;
    std::vector<stepper<tensor_f>> made;
    made.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i) {
        made.push_back(stepper(shared, start(elements, p, {.seed = i})));
    }
    const std::size_t before = allocated_bytes();
    const stepper<tensor_f> one = made.front();
    const std::size_t tensors = shared.buffers() * elements * sizeof(float);
    CHECK(allocated_bytes() - before == tensors + shared.buffers() * sizeof(tensor_f));
    for (stepper<tensor_f>& run : made) { runs.add(std::move(run)); }
    REQUIRE(runs.advance(together, 256) == 256);
    const std::size_t allocations_before = allocations();
    std::size_t steps = 256;
    while (const std::size_t served = runs.advance(together, 256)) { steps += served; }
    CHECK(allocations() == allocations_before);
    CHECK(steps == 3 * count);
    std::size_t next = 0;
    bool in_turn = true;
    runs.finished([&](std::size_t name, auto&& run) {
        in_turn = in_turn && name == next++;
        CHECK(run.result());
    });
    CHECK(in_turn);
    CHECK(next == count);
}

TEST_CASE("a run that had ended before it came is handed out, and asks nothing", "[run][batch][contract]") {
    const plan p = edm_plan(solver::ddim{}, 2);
    const program shared(p, exact_model().convention());
    stepper done(shared, start(2, p));
    while (const auto asked = done.next()) { done.supply(tensor_f(asked->x)); }
    batch<tensor_f> runs;
    runs.add(done);
    CHECK(runs.size() == 1);
    CHECK(runs.advance(together, 1) == 0);
    std::size_t taken = 0;
    runs.finished([&](std::size_t, auto&& run) {
        CHECK(run.x() == done.x());
        ++taken;
    });
    CHECK(taken == 1);
    CHECK(runs.size() == 0);
}

TEST_CASE("a batch passes errors on and keeps its runs", "[run][batch][errors]") {
    const plan p = edm_plan(solver::ddim{}, 2);
    const program shared(p, exact_model().convention());
    batch runs(stepper(shared, start(2, p)));
    CHECK_THROWS_AS(runs.advance(together, 0), std::invalid_argument);
    CHECK_THROWS_AS(runs.advance([](const batched_query<tensor_f>&) { throw std::runtime_error("mine"); }, 1),
                    std::runtime_error);
    CHECK_THROWS_AS(
        runs.advance([](const batched_query<tensor_f>& asked) { asked.outputs[0]->resize(7); }, 1),
        std::invalid_argument);
    tensor_f x = start(2, p);
    REQUIRE(sample(p, exact_model(), x));
    while (runs.advance(together, 1) > 0) {}
    runs.finished([&](std::size_t, auto&& run) { CHECK(run.x() == x); });
    CHECK(runs.size() == 0);
    CHECK(runs.advance(together, 1) == 0);
}

TEST_CASE("a run that ended may be followed at once, and its taker may fail", "[run][batch][contract]") {
    const plan p = edm_plan(solver::ddim{}, 2);
    const program shared(p, exact_model().convention());
    batch<tensor_f> runs;
    for (std::uint64_t i = 0; i < 3; ++i) { runs.add(stepper(shared, start(2, p, {.seed = i}))); }
    std::size_t taken = 0;
    std::size_t failed = 0;
    while (taken + failed < 6) {
        runs.advance(together, 8);
        try {
            runs.finished([&](std::size_t id, auto&& run) {
                if (id == 1) { throw std::runtime_error("disk full"); }
                if (id < 3) {
                    runs.add(stepper(shared, start(2, p, {.seed = id + 3})));
                }  // the next one is let in
                if (id == 0) { runs.add(stepper(shared, start(2, p, {.seed = 9}))); }
                CHECK(run.result());
                CHECK(run.x().size() == 2);
                ++taken;
            });
        } catch (const std::runtime_error&) { ++failed; }
    }
    CHECK(taken == 5);
    CHECK(failed == 1);
    CHECK(runs.size() == 0);
    CHECK(runs.advance(together, 8) == 0);
}
