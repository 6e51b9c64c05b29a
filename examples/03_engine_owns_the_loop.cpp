// SPDX-License-Identifier: MIT
// The engine owns the loop: two requests with different solvers and steps, first side by side, then sharing
// every call of the network. Both ways give the bits that `sample` gives.
// g++ -std=c++20 -O2 -I include examples/03_engine_owns_the_loop.cpp && ./a.out
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/batch.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/unipc.hpp>

#include <cstddef>
#include <cstdio>
#include <utility>
#include <vector>

using state = std::vector<float>;

// The engine's network: the exact data prediction for data of mean 3 and deviation 1/2.
constexpr auto evaluate = [](const state& x, const tweedie::network_level& at, state& out) {
    const auto a = static_cast<float>(at.alpha);
    const auto s = static_cast<float>(at.sigma);
    for (std::size_t i = 0; i < x.size(); ++i) {
        out[i] = 3.0f + a * (x[i] - 3.0f * a) / (a * a + 4.0f * s * s);
    }
};

int main() {
    using namespace tweedie;
    const schedule::vp_linear schedule;
    const denoiser model(evaluate, prediction::x0, schedule);
    const plan fast = solver::unipc{.order = 3}.plan(schedule, grid::log_snr(schedule, 8));
    const plan slow = solver::ddim{.eta = 1.0}.plan(schedule, grid::log_snr(schedule, 20));  // draws noise
    state x(64), y(64);
    start_from_noise(x, fast.levels.front(), noise{.seed = 1});
    start_from_noise(y, slow.levels.front(), noise{.seed = 2});

    // Two steppers, a call each in turn.
    stepper a(fast, model.convention(), x, noise{.seed = 1});
    stepper b(slow, model.convention(), y, noise{.seed = 2});
    state output(64);
    std::size_t turns = 0;
    for (bool busy = true; busy;) {
        busy = false;
        for (auto* request : {&a, &b}) {
            if (const auto asked = request->next()) {
                evaluate(asked->x, asked->level, output);  // here the engine runs
                request->supply(output);
                ++turns;
                busy = true;
            }
        }
    }

    // The same two in a batch: one call serves all who wait, each at its own noise level.
    std::size_t shared = 0;
    const auto serve = [&](const batched_query<state>& asked) {
        for (std::size_t i = 0; i < asked.inputs.size(); ++i) {
            evaluate(*asked.inputs[i], *asked.levels[i], *asked.outputs[i]);
        }
        ++shared;
    };
    batch requests(stepper(fast, model.convention(), x, noise{.seed = 1}));
    requests.add(stepper(slow, model.convention(), y, noise{.seed = 2}));  // at any time, also in the loop
    state ended[2];
    while (requests.advance(serve, 16) > 0) {
        requests.finished([&](std::size_t name, auto&& run) { ended[name] = std::move(run).take(); });
    }

    const run_result one = sample(fast, model, x);
    const run_result two = sample(slow, model, y, noise{.seed = 2});
    const bool same = a.x() == x && b.x() == y && ended[0] == x && ended[1] == y;
    std::printf("in turn: %zu calls (expected 28), shared: %zu calls (expected 20)\n", turns, shared);
    std::printf("the samples of `sample`, bit for bit: %s (expected yes)\n", same ? "yes" : "no");
    return one && two && same && turns == 28 && shared == 20 ? 0 : 1;
}
