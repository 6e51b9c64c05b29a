// SPDX-License-Identifier: MIT

// What every solver must do on every schedule: finite plans, declared costs, refusals.

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/random/noise.hpp>

#include <examples/proof/table.hpp>

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
    // a sampler that adds noise may do so before it asks
    CHECK((counts(p).draws > 0 || p.calls.front().at == levels.front()));
    CHECK(p.calls.back().then.rows.size() == 1);
    for (const plan_call& call : p.calls) { CHECK(call.at.sigma > 0.0); }
    const transfer t = analyze(p, 0.5);
    CHECK((std::isfinite(t.start) && std::isfinite(t.mean) && std::isfinite(t.noise_variance)));
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/// The whole table, and more orders and variants of UniPC than it has.
std::vector<proof::row> every_row() {
    std::vector<proof::row> out;
    for (const proof::family_rows& family : proof::all_rows()) {
        for (const proof::row& r : family.rows) { out.push_back(r); }
    }
    for (const named_solver& more : all_solvers()) {
        out.push_back(
            {.name = more.name, .steep = more.name == "euler" || more.name == "heun", .plan = more.plan});
    }
    return out;
}

}  // namespace

TEST_CASE(
    "every solver plans and runs on every schedule at 1, 2, 3 and 7 steps, to zero and to sigma_min, whole "
    "and "
    "from the middle, without NaN",
    "[solver][plan]") {
    std::size_t plans = 0;
    std::size_t refused = 0;
    const std::vector<proof::row> solvers = every_row();
    for (const named_schedule& s : all_schedules()) {
        for (const int steps : {1, 2, 3, 7}) {
            for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
                const levels_t whole = grid::karras(s.schedule, steps, {.last = last});
                const levels_t middle =
                    grid::from(s.schedule, grid::karras(s.schedule, steps + 1, {.last = last}), 3.0);
                for (const levels_t& levels : {whole, middle}) {
                    for (const proof::row& solver : solvers) {
                        INFO(solver.name << " on " << s.name << ", " << levels.size() - 1
                                         << " steps, to sigma " << levels.back().sigma);
                        // what cannot be: some methods have no limit at alpha = 0, and the time of a zero-SNR
                        // table is infinitely steep there
                        const bool from_noise = levels.front().alpha == 0.0;
                        const bool may_refuse =
                            from_noise && (!solver.pure_noise || (solver.steep && contains(s.name, "zero")));
                        plan p;
                        const std::string message = refusal([&] { p = solver.plan(s.schedule, levels); });
                        if (!message.empty()) {
                            CHECK(may_refuse);
                            CHECK(contains(message, ": "));
                            ++refused;
                            continue;
                        }
                        check_valid(p, levels);
                        double x = start_of(levels);
                        const denoiser model(two_humps, prediction::x0, s.schedule);
                        CHECK(sample(p, model, x, noise{.seed = 5}).status == run_status::finished);
                        CHECK(std::isfinite(x));
                        ++plans;
                    }
                }
            }
        }
    }
    CHECK(plans > 20000);
    CHECK(refused > 10);
}

TEST_CASE("every solver refuses equal levels, and levels that do not fall, by name", "[solver][errors]") {
    for (const proof::row& solver : every_row()) {
        INFO(solver.name);
        const schedule::edm edm;
        const levels_t equal = {at(edm, 2.0), at(edm, 1.0), at(edm, 1.0), at(edm, 0.5)};
        const std::string message = refusal([&] { static_cast<void>(solver.plan(edm, equal)); });
        CHECK(contains(message, "half_log_snr must"));
        const levels_t back_and_forth = {at(edm, 2.0), at(edm, 1.0), at(edm, 1.5), at(edm, 0.5)};
        CHECK(contains(refusal([&] { static_cast<void>(solver.plan(edm, back_and_forth)); }),
                       "half_log_snr must"));
        CHECK(contains(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{at(edm, 1.0)})); }),
                       "two levels"));
        CHECK(contains(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{})); }), "two levels"));
        levels_t broken = {at(edm, 2.0), at(edm, 1.0), at(edm, 0.5)};
        broken[1].sigma = not_a_number;
        CHECK(contains(refusal([&] { static_cast<void>(solver.plan(edm, broken)); }), "must"));
    }
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
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{b, a})); }).empty());
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{clean, b})); }) ==
              name + ": level 0: levels that rise in noise need sigma > 0 and alpha > 0");
        CHECK(refusal([&] { static_cast<void>(solver.plan(edm, levels_t{b, a, a})); }) ==
              name +
                  ": level 2: half_log_snr must decrease from level to level, as it does in the first "
                  "step");
    }
    // churn adds noise by itself
    const std::string walk = ": level 1: half_log_snr must increase from level to level";
    const solver::churn churn{.s_churn = 1.0};
    CHECK(refusal([&] { static_cast<void>(solver::euler{.churn = churn}.plan(edm, levels_t{b, a})); }) ==
          "euler" + walk);
    CHECK(refusal([&] { static_cast<void>(solver::heun{.churn = churn}.plan(edm, levels_t{b, a})); }) ==
          "heun" + walk);
}
