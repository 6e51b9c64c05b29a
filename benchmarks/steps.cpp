// SPDX-License-Identifier: MIT
// What does a sampler cost beside its network? Whole steps of a stepper, the network's output given, against
// the loop one would write by hand for just this solver and an epsilon network (VP schedule): same reads,
// same writes, and for stochastic ones the same normal numbers made on the way. Bars: 1.15 in time, no
// allocation.

#include <tweedie/grid/karras.hpp>
#include <tweedie/guidance/cfg.hpp>
#include <tweedie/plan/field.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/sa_solver.hpp>
#include <tweedie/solver/sde_dpm_solver.hpp>
#include <tweedie/solver/unipc.hpp>

#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace {

std::atomic<std::size_t> allocated{0};

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t size) {
    ++allocated;
    if (void* const memory = std::malloc(size == 0 ? 1 : size)) { return memory; }
    throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace {

using tensor = std::vector<float>;

constexpr std::size_t steps = 20;

tensor ramp(std::size_t size, float scale) {
    tensor x(size);
    for (std::size_t i = 0; i < size; ++i) { x[i] = scale * (static_cast<float>(i % 97) - 48.0F) / 48.0F; }
    return x;
}

tweedie::program make_program(const auto& solver) {
    const tweedie::schedule::vp_linear schedule;
    const auto plan = solver.plan(schedule, tweedie::grid::karras(schedule, static_cast<int>(steps)));
    return {plan, tweedie::convention(tweedie::prediction::epsilon, schedule)};
}

/// Whole runs of `start()`, each step by `supply(stepper)`.
void measure(benchmark::State& state, std::size_t size, const auto& start, const auto& supply) {
    std::size_t during = 0;
    for (auto unused : state) {
        state.PauseTiming();
        auto s = start();
        const std::size_t before = allocated;
        state.ResumeTiming();
        while (s.next()) { supply(s); }
        benchmark::DoNotOptimize(s.x().data());
        state.PauseTiming();
        during = allocated - before;
        if (!s.result()) { state.SkipWithError("the run did not finish"); }
        state.ResumeTiming();
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size * steps));
    state.counters["bar"] = 1.15;
    state.counters["count"] = static_cast<double>(during);
    state.counters["bar_count"] = 0.0;
}

void ours(benchmark::State& state, const tweedie::program& shared, std::size_t size) {
    const tensor begin = ramp(size, 80.0F);
    const tensor output = ramp(size, 1.0F);
    measure(
        state, size, [&] { return tweedie::stepper(shared, begin, tweedie::noise{.seed = 7}); },
        [&](auto& s) { s.supply(output); });
}

/// Guided steps: both outputs given.
void ours_guided(benchmark::State& state, const tweedie::program& shared, std::size_t size) {
    const tensor begin = ramp(size, 80.0F);
    tensor conditional = ramp(size, 1.0F);
    tensor base = ramp(size, 0.7F);
    tensor* const outputs[] = {&conditional, &base};
    measure(
        state, size, [&] { return tweedie::stepper(shared, begin); }, [&](auto& s) { s.supply(outputs); });
}

// The hand-written loops. `c` holds made-up coefficients that keep the numbers small.
constexpr float c[] = {0.9F, 0.05F, 0.02F, -0.01F, 0.015F, 0.3F};

void hand_one(std::size_t size, float* __restrict x, const float* __restrict e) {
    const float a = c[0], b = c[1];
    for (std::size_t i = 0; i < size; ++i) { x[i] = a * x[i] + b * e[i]; }
}

void hand_two(std::size_t size, float* __restrict x, float* __restrict m, const float* __restrict e) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = a * x_i + b * e_i + d * m[i];
        m[i] = r * x_i + s * e_i;
    }
}

void hand_two_guided(std::size_t size, float* __restrict x, float* __restrict m, const float* __restrict e,
                     const float* __restrict g) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], q = c[4], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i], g_i = g[i];
        x[i] = a * x_i + b * e_i + q * g_i + d * m[i];
        m[i] = r * x_i + s * e_i + b * g_i;
    }
}

void hand_three(std::size_t size, float* __restrict x, const float* __restrict m0, const float* __restrict m1,
                float* __restrict m2, const float* __restrict e) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], q = c[4], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = a * x_i + b * e_i + d * m0[i] + q * m1[i] + s * m2[i];
        m2[i] = r * x_i + s * e_i;
    }
}

void hand_memory_of_two(std::size_t size, float* __restrict x, const float* __restrict m0,
                        float* __restrict m1, const float* __restrict e) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], q = c[4], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = a * x_i + b * e_i + d * m0[i] + q * m1[i];
        m1[i] = r * x_i + s * e_i;
    }
}

// Weights that differ from element to element: of step i, those of x, of the network's output, of the memory, and
// a constant.
constexpr std::size_t fields = 4;

float weight_at(std::size_t i, std::size_t which, std::size_t e) {
    return c[which] * (1.0F - 0.001F * static_cast<float>((e + 7 * i) % 13));
}

tweedie::program make_field_program(std::size_t size) {
    const tweedie::schedule::vp_linear schedule;
    const auto levels = tweedie::grid::karras(schedule, static_cast<int>(steps));
    tweedie::plan_writer p("two steps with fields", levels);
    tweedie::plan_variable x = p.state();
    tweedie::plan_variable m = p.variable("m");
    m = x;
    for (std::size_t i = 0; i < steps; ++i) {
        std::vector<tweedie::field> w;
        for (std::size_t which = 0; which < fields; ++which) {
            std::vector<double> values(size);
            for (std::size_t e = 0; e < size; ++e) {
                values[e] = static_cast<double>(weight_at(i, which, e));
            }
            w.emplace_back(std::move(values));
        }
        const auto [s, t] = p.step(i);
        const tweedie::linear_form out = p.data_prediction(x, s);
        const tweedie::linear_form past = m;
        m = out;
        x = w[0] * x + w[1] * out + w[2] * past + p.constant(w[3]);
    }
    return {p.finish(x), tweedie::convention(tweedie::prediction::x0, schedule)};
}

void hand_fields(std::size_t size, float* __restrict x, float* __restrict m, const float* __restrict e,
                 const float* __restrict w) {
    const float *const wx = w, *const we = w + size, *const wm = w + 2 * size, *const one = w + 3 * size;
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = wx[i] * x_i + we[i] * e_i + wm[i] * m[i] + one[i];
        m[i] = e_i;
    }
}

// Noise is made in pieces that stay in the first-level cache, by the library's generator, and used at once.
constexpr std::size_t piece = 4096;

template <class Loop>
void hand_with_noise(std::size_t size, std::size_t draw, const Loop& loop) {
    const auto stream =
        tweedie::noise{.seed = 7}.stream(tweedie::draw_kind::step, static_cast<std::uint32_t>(draw));
    alignas(64) std::array<float, piece> z;
    for (std::size_t first = 0; first < size; first += piece) {
        const std::size_t count = std::min(piece, size - first);
        stream(0, first, std::span<float>(z.data(), count));
        loop(first, count, z.data());
    }
}

void hand_one_past(std::size_t size, float* __restrict x, float* __restrict m, const float* __restrict e,
                   const float* __restrict z) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], q = c[4], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = a * x_i + b * e_i + d * m[i] + q * z[i];
        m[i] = r * x_i + s * e_i;
    }
}

void hand_two_past(std::size_t size, float* __restrict x, const float* __restrict m0, float* __restrict m1,
                   const float* __restrict e, const float* __restrict z) {
    const float a = c[0], b = c[1], d = c[2], s = c[3], q = c[4], r = c[5];
    for (std::size_t i = 0; i < size; ++i) {
        const float x_i = x[i], e_i = e[i];
        x[i] = a * x_i + b * e_i + d * m0[i] + q * m1[i] + s * z[i];
        m1[i] = r * x_i + s * e_i;
    }
}

template <class Step>
void baseline(benchmark::State& state, std::size_t size, const Step& step) {
    const tensor output = ramp(size, 1.0F);
    std::vector<tensor> held(4, ramp(size, 1.0F));
    for (auto unused : state) {
        for (std::size_t i = 0; i < steps; ++i) {
            step(size, held, i, output);
            benchmark::DoNotOptimize(held[0].data());
            benchmark::ClobberMemory();
        }
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(size * steps));
}

template <class Step>
void add(const std::string& name, const tweedie::program& shared, const Step& step) {
    struct named_size {
        const char* name;
        std::size_t size;
    };
    for (const auto& [shape, size] :
         {named_size{"4x64x64", 4 * 64 * 64}, named_size{"16x128x128", 16 * 128 * 128},
          named_size{"3x1024x1024", 3 * 1024 * 1024}}) {
        const std::string what = name + " steps float " + shape;
        benchmark::RegisterBenchmark(
            (what + "/ours").c_str(),
            [shared, size = size](benchmark::State& state) { ours(state, shared, size); });
        benchmark::RegisterBenchmark(
            (what + "/baseline").c_str(),
            [step, size = size](benchmark::State& state) { baseline(state, size, step); });
    }
}

/// A guided step of DPM-Solver++(2M), of two epsilon networks.
void add_guided(const std::string& shape, std::size_t size) {
    const std::string what = "guided dpm_solver steps float " + shape;
    const auto network = [](const tensor&, const tweedie::network_level&, tensor&) {};
    const tweedie::schedule::vp_linear schedule;
    const tweedie::denoiser model(network, tweedie::prediction::epsilon, schedule);
    const auto guided = tweedie::guidance::guided(tweedie::guidance::cfg{.weight = 3.0}, model, model);
    const tweedie::program shared(tweedie::solver::dpm_solver{.lower_order_final = false}.plan(
                                      schedule, tweedie::grid::karras(schedule, static_cast<int>(steps))),
                                  guided);
    benchmark::RegisterBenchmark((what + "/ours").c_str(), [shared, size](benchmark::State& state) {
        ours_guided(state, shared, size);
    });
    benchmark::RegisterBenchmark((what + "/baseline").c_str(), [size](benchmark::State& state) {
        const tensor base = ramp(size, 0.7F);
        baseline(state, size,
                 [&](std::size_t count, std::vector<tensor>& held, std::size_t, const tensor& e) {
                     hand_two_guided(count, held[0].data(), held[1].data(), e.data(), base.data());
                 });
    });
}

/// The rows of a method with fields; the program and the hand-written loop have the same numbers.
void add_fields(const std::string& shape, std::size_t size) {
    const std::string what = "two steps with fields, float " + shape;
    benchmark::RegisterBenchmark((what + "/ours").c_str(), [size](benchmark::State& state) {
        ours(state, make_field_program(size), size);
    });
    benchmark::RegisterBenchmark((what + "/baseline").c_str(), [size](benchmark::State& state) {
        tensor w;
        for (std::size_t i = 0; i < steps; ++i) {
            for (std::size_t which = 0; which < fields; ++which) {
                for (std::size_t e = 0; e < size; ++e) { w.push_back(weight_at(i, which, e)); }
            }
        }
        baseline(
            state, size, [&](std::size_t count, std::vector<tensor>& held, std::size_t i, const tensor& e) {
                hand_fields(count, held[0].data(), held[1].data(), e.data(), w.data() + i * fields * count);
            });
    });
}

const int registered = [] {
    add_fields("3x32x32", 3 * 32 * 32);
    add_fields("4x64x64", 4 * 64 * 64);
    add_fields("16x128x128", 16 * 128 * 128);
    add("ddim", make_program(tweedie::solver::ddim{}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t, const tensor& e) {
            hand_one(size, held[0].data(), e.data());
        });
    add("dpm_solver", make_program(tweedie::solver::dpm_solver{.lower_order_final = false}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t, const tensor& e) {
            hand_two(size, held[0].data(), held[1].data(), e.data());
        });
    add_guided("4x64x64", 4 * 64 * 64);
    add_guided("16x128x128", 16 * 128 * 128);
    add_guided("3x1024x1024", 3 * 1024 * 1024);
    add("unipc-3", make_program(tweedie::solver::unipc{.lower_order_final = false}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t i, const tensor& e) {
            hand_three(size, held[0].data(), held[1 + i % 3].data(), held[1 + (i + 1) % 3].data(),
                       held[1 + (i + 2) % 3].data(), e.data());
        });
    add("dpm_solver-3m", make_program(tweedie::solver::dpm_solver{.order = 3, .lower_order_final = false}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t i, const tensor& e) {
            hand_memory_of_two(size, held[0].data(), held[1 + i % 2].data(), held[1 + (i + 1) % 2].data(),
                               e.data());
        });
    add("dpmpp_2m_sde", make_program(tweedie::solver::sde_dpm_solver{.lower_order_final = false}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t i, const tensor& e) {
            hand_with_noise(size, i, [&](std::size_t first, std::size_t count, const float* z) {
                hand_one_past(count, held[0].data() + first, held[1].data() + first, e.data() + first, z);
            });
        });
    add("sa_solver-2/2", make_program(tweedie::solver::sa_solver{.lower_order_final = false}),
        [](std::size_t size, std::vector<tensor>& held, std::size_t i, const tensor& e) {
            hand_with_noise(size, i, [&](std::size_t first, std::size_t count, const float* z) {
                hand_two_past(count, held[0].data() + first, held[1 + i % 2].data() + first,
                              held[1 + (i + 1) % 2].data() + first, e.data() + first, z);
            });
        });
    return 0;
}();

}  // namespace
