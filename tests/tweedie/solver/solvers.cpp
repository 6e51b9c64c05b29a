// SPDX-License-Identifier: MIT

// What every solver must do on every schedule: finite plans, declared costs, refusals.

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/analyze.hpp>

#include "checks.hpp"

using namespace tweedie;

namespace {

/// Nothing in the plan is NaN or infinite, and it starts, ends and calls where it should.
void check_valid(const plan& p, const levels_t& levels) {
    bool finite = true;
    const auto look = [&](const plan_pass& pass) {
        for (const plan_row& row : pass.rows) {
            for (const double w : row.weights) { finite = finite && std::isfinite(w); }
        }
    };
    look(p.start);
    for (const plan_call& call : p.calls) { look(call.then); }
    CHECK(finite);
    CHECK(p.levels == levels);
    REQUIRE(!p.calls.empty());
    CHECK(p.calls.front().at == levels.front());
    CHECK(p.calls.back().then.rows.size() == 1);
    for (const plan_call& call : p.calls) { CHECK(call.at.sigma > 0.0); }
    const transfer t = analyze(p, 0.5);
    CHECK((std::isfinite(t.start) && std::isfinite(t.mean) && std::isfinite(t.noise_variance)));
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("every solver plans every schedule at 1, 2, 3 and 7 steps, to zero and to sigma_min, without NaN",
          "[solver][plan]") {
    std::size_t plans = 0;
    std::size_t refused = 0;
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 2, 3, 7}) {
            for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
                const levels_t whole = grid::karras(s.schedule, steps, {.last = last});
                const levels_t middle =
                    grid::from(s.schedule, grid::karras(s.schedule, steps + 1, {.last = last}), 3.0);
                for (const levels_t& levels : {whole, middle}) {
                    for (const named_solver& solver : all_solvers()) {
                        INFO(solver.name << " on " << s.name << ", " << levels.size() - 1
                                         << " steps, to sigma " << levels.back().sigma);
                        const bool pure_noise = levels.front().alpha == 0.0;
                        // what cannot be: the time of a zero-SNR table is infinitely steep at alpha = 0
                        const bool steep = pure_noise && contains(s.name, "zero") &&
                                           (solver.name == "euler" || solver.name == "heun") &&
                                           levels[1].sigma > 0.0;
                        if (steep) {
                            const std::string message =
                                refusal([&] { static_cast<void>(solver.plan(s.schedule, levels)); });
                            CHECK(contains(message, "weights must be finite"));
                            ++refused;
                            continue;
                        }
                        check_valid(solver.plan(s.schedule, levels), levels);
                        ++plans;
                    }
                }
            }
        }
    }
    CHECK(plans > 4000);
    CHECK(refused > 10);
}

TEST_CASE("a plan costs what its solver declares", "[solver][cost]") {
    const schedule::vp_linear vp;
    for (const std::size_t n : {1U, 2U, 3U, 10U}) {
        INFO(n << " steps");
        const int steps = static_cast<int>(n);
        const levels_t noisy = grid::karras(vp, steps, {.last = grid::final_level::sigma_min});
        const levels_t clean = grid::karras(vp, steps);

        CHECK(counts(solver::ddim{}.plan(vp, noisy)) == plan_counts{n, 0, 1, 2 * n, n});
        CHECK(counts(solver::ddim{.eta = 1.0}.plan(vp, noisy)) == plan_counts{n, n, 1, 3 * n, n});
        // the step to sigma = 0 is the network's output itself, read once to see that it is finite; no noise
        CHECK(counts(solver::ddim{.eta = 1.0}.plan(vp, clean)) ==
              plan_counts{n, n - 1, 1, 3 * (n - 1) + 1, n});
        CHECK(counts(solver::euler{}.plan(vp, noisy)) == plan_counts{n, 0, 1, 2 * n, n});

        // two calls: x and half from x, then x from half and x
        CHECK(counts(solver::heun{}.plan(vp, noisy)) == plan_counts{2 * n, 0, 2, 5 * n, 3 * n});
        CHECK(counts(solver::heun{}.plan(vp, clean)).network_calls == 2 * n - 1);
        const plan_counts two = counts(solver::dpm_solver{}.plan(vp, noisy));
        CHECK(two.network_calls == n);
        // the last step reads no history, so two steps hold one tensor with lower_order_final
        CHECK(two.live_tensors == (n > 2 ? 2 : 1));
        CHECK(counts(solver::dpm_solver{.lower_order_final = false}.plan(vp, noisy)).live_tensors ==
              (n > 1 ? 2 : 1));

        for (std::size_t order = 1; order <= 8; ++order) {
            INFO("order " << order);
            const plan_counts with = counts(solver::unipc{.order = order}.plan(vp, noisy));
            const plan_counts without =
                counts(solver::unipc{.order = order, .corrector = false}.plan(vp, noisy));
            CHECK(with.network_calls == n);
            CHECK(with.live_tensors <= order + 1);
            CHECK(without.network_calls == n);
            CHECK(without.live_tensors <= order);
            CHECK(counts(solver::unipc{.order = order}.plan(vp, clean)).network_calls == n);
            const solver::unipc noise{.order = order, .predicts = solver::form::noise};
            CHECK(counts(noise.plan(vp, noisy)).live_tensors <= order + 2);
            CHECK(counts(noise.plan(vp, clean)).network_calls == n);
        }
    }
    const levels_t twenty = grid::karras(vp, 20);
    CHECK(counts(solver::unipc{.order = 3}.plan(vp, twenty)).live_tensors == 4);
    CHECK(counts(solver::unipc{.order = 2}.plan(vp, twenty)).live_tensors == 3);
    // in the middle: dpm_solver reads x, x0_hat and the one before, writes x and x0_hat (which is moved, not
    // copied)
    const plan long_one = solver::dpm_solver{}.plan(vp, twenty);
    const plan_pass& middle = long_one.calls[10].then;
    REQUIRE(middle.rows.size() == 2);
    CHECK(middle.rows[0].weights.size() == 3);
}

TEST_CASE("solvers refuse options out of range and levels that cannot be walked", "[solver][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    for (const double eta : {not_a_number, -1.0, -1e-9, 1.0000001, 2.0, infinity}) {
        CHECK(refusal([&] { static_cast<void>(solver::ddim{.eta = eta}.plan(edm, good)); }) ==
              "ddim: eta must lie in [0, 1]");
    }
    for (const std::size_t order : {std::size_t{0}, std::size_t{9}, static_cast<std::size_t>(-1)}) {
        CHECK(refusal([&] { static_cast<void>(solver::unipc{.order = order}.plan(edm, good)); }) ==
              "unipc: order must lie in [1, 8]");
    }

    struct bad {
        levels_t levels;
        std::string rule;
    };
    const level a{10.0, 1.0, 10.0};
    const level b{1.0, 1.0, 1.0};
    const level clean{0.0, 1.0, 0.0};
    const std::vector<bad> bads = {
        {{}, "need at least two levels, where to start and where to end"},
        {{a}, "need at least two levels, where to start and where to end"},
        {{a, b, b}, "level 2: half_log_snr must increase from level to level"},
        {{a, b, a}, "level 2: half_log_snr must increase from level to level"},
        {{a, {1.0, 1.0, not_a_number}}, "level 1: alpha and sigma must be finite and not negative"},
        {{a, {1.0, not_a_number, 1.0}}, "level 1: alpha and sigma must be finite and not negative"},
        {{{infinity, 1.0, infinity}, b}, "level 0: alpha and sigma must be finite and not negative"},
        {{a, {1.0, 1.0, -1.0}}, "level 1: alpha and sigma must be finite and not negative"},
        {{a, {1.0, 0.0, 0.0}}, "level 1: alpha and sigma must not both be zero"},
        {{{not_a_number, 1.0, 10.0}, b}, "level 0: t must be finite"},
    };
    const std::vector<std::pair<std::string, named_solver>> one_each = {
        {"ddim", as_named("", solver::ddim{})},
        {"euler", as_named("", solver::euler{})},
        {"heun", as_named("", solver::heun{})},
        {"dpm_solver", as_named("", solver::dpm_solver{})},
        {"unipc", as_named("", solver::unipc{})}};
    for (const auto& [name, solver] : one_each) {
        for (const bad& l : bads) {
            CHECK(refusal([&] { static_cast<void>(solver.plan(edm, l.levels)); }) == name + ": " + l.rule);
        }
        // levels that rise in noise: inverted by methods that need nothing but x and the levels
        const bool inverts = name != "euler" && name != "heun";
        const std::string walk =
            inverts ? "" : name + ": level 1: half_log_snr must increase from level to level";
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{b, a})); }) == walk);
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{clean, b})); }) ==
              (inverts ? name + ": level 0: levels that rise in noise need sigma > 0 and alpha > 0" : walk));
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{b, a, a})); }) ==
              (inverts
                   ? name + ": level 2: half_log_snr must decrease from level to level, as it does in the "
                            "first step"
                   : walk));
    }
}
