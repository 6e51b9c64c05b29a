// SPDX-License-Identifier: MIT
#pragma once

// One pass of a sampler step, ours against the loop one would write by hand for just this number of inputs
// and outputs. Both read and write the same arrays. Bar: ours takes at most 1.15 times as long, and ours also
// tells whether every value written is finite.

#include <tweedie/tensor/concept.hpp>

#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// `y = a x + b e0 + c e1`, the DPM-Solver++ 2M step.
inline void three_to_one(std::size_t size, const float* c, const float* __restrict x,
                         const float* __restrict e0, const float* __restrict e1, float* __restrict y) {
    const float a = c[0];
    const float b = c[1];
    const float d = c[2];
    for (std::size_t i = 0; i < size; ++i) { y[i] = a * x[i] + b * e0[i] + d * e1[i]; }
}

inline void three_to_one_in_place(std::size_t size, const float* c, float* __restrict x,
                                  const float* __restrict e0, const float* __restrict e1) {
    const float a = c[0];
    const float b = c[1];
    const float d = c[2];
    for (std::size_t i = 0; i < size; ++i) { x[i] = a * x[i] + b * e0[i] + d * e1[i]; }
}

/// Two new tensors from four old ones.
inline void four_to_two(std::size_t size, const float* c, const float* __restrict x0,
                        const float* __restrict x1, const float* __restrict x2, const float* __restrict x3,
                        float* __restrict y0, float* __restrict y1) {
    const float a0 = c[0], a1 = c[1], a2 = c[2], a3 = c[3];
    const float b0 = c[4], b1 = c[5], b2 = c[6], b3 = c[7];
    for (std::size_t i = 0; i < size; ++i) {
        y0[i] = a0 * x0[i] + a1 * x1[i] + a2 * x2[i] + a3 * x3[i];
        y1[i] = b0 * x0[i] + b1 * x1[i] + b2 * x2[i] + b3 * x3[i];
    }
}

/// Three new tensors from six old ones, as in UniPC with its corrector.
inline void six_to_three(std::size_t size, const float* c, const float* __restrict x0,
                         const float* __restrict x1, const float* __restrict x2, const float* __restrict x3,
                         const float* __restrict x4, const float* __restrict x5, float* __restrict y0,
                         float* __restrict y1, float* __restrict y2) {
    const float a0 = c[0], a1 = c[1], a2 = c[2], a3 = c[3], a4 = c[4], a5 = c[5];
    const float b0 = c[6], b1 = c[7], b2 = c[8], b3 = c[9], b4 = c[10], b5 = c[11];
    const float d0 = c[12], d1 = c[13], d2 = c[14], d3 = c[15], d4 = c[16], d5 = c[17];
    for (std::size_t i = 0; i < size; ++i) {
        y0[i] = a0 * x0[i] + a1 * x1[i] + a2 * x2[i] + a3 * x3[i] + a4 * x4[i] + a5 * x5[i];
        y1[i] = b0 * x0[i] + b1 * x1[i] + b2 * x2[i] + b3 * x3[i] + b4 * x4[i] + b5 * x5[i];
        y2[i] = d0 * x0[i] + d1 * x1[i] + d2 * x2[i] + d3 * x3[i] + d4 * x4[i] + d5 * x5[i];
    }
}

enum class write_to { new_tensors, first_input };

/// `K` outputs and `N` inputs of one size, filled with numbers that no step of any length makes large.
template <class T, std::size_t K, std::size_t N>
struct affine_case {
    std::vector<T> tensors;
    std::array<T*, K> outputs{};
    std::array<const T*, N> inputs{};
    std::array<double, K * N> coefficients{};
    std::array<float, K * N> rounded{};

    template <class Make>
    affine_case(const Make& make, write_to target) {
        tensors.reserve(K + N);
        for (std::size_t i = 0; i < K + N; ++i) {
            tensors.push_back(make());
            float* values = tweedie::tensor_traits<T>::data(tensors.back());
            for (std::size_t e = 0; e < tweedie::tensor_traits<T>::size(tensors.back()); ++e) {
                values[e] = 0.001F * static_cast<float>((e * 7 + i * 13) % 1009);
            }
        }
        for (std::size_t j = 0; j < N; ++j) { inputs[j] = std::addressof(tensors[j]); }
        for (std::size_t k = 0; k < K; ++k) {
            outputs[k] = std::addressof(tensors[target == write_to::first_input ? k : N + k]);
        }
        for (std::size_t i = 0; i < K * N; ++i) {
            coefficients[i] = (i % 2 == 0 ? 0.9 : -0.3) / static_cast<double>(N + i % 3);
            rounded[i] = static_cast<float>(coefficients[i]);
        }
    }

    bool ours() { return tweedie::tensor_traits<T>::affine(outputs, coefficients, inputs); }
    float* out(std::size_t k) { return tweedie::tensor_traits<T>::data(*outputs[k]); }
    const float* in(std::size_t j) { return tweedie::tensor_traits<T>::data(*inputs[j]); }
    std::size_t size() { return tweedie::tensor_traits<T>::size(*outputs[0]); }
};

/// Registers `<name>/ours` and `<name>/baseline` on the same memory.
template <class T, std::size_t K, std::size_t N, class Make, class Baseline>
void add_affine(const std::string& name, const Make& make, write_to target, const Baseline& baseline) {
    using problem = affine_case<T, K, N>;
    const auto shared =
        std::make_shared<std::unique_ptr<problem>>();  // made when first needed: many are large
    const auto get = [shared, make, target]() -> problem& {
        static std::shared_ptr<std::unique_ptr<problem>> last;
        if (last && last != shared) { last->reset(); }
        last = shared;
        if (!*shared) { *shared = std::make_unique<problem>(make, target); }
        return **shared;
    };
    const auto count = [](benchmark::State& state, problem& p) {
        const auto touched = state.iterations() * static_cast<std::int64_t>(p.size());
        state.SetItemsProcessed(touched);
        state.SetBytesProcessed(touched * static_cast<std::int64_t>((K + N) * sizeof(float)));
    };
    benchmark::RegisterBenchmark((name + "/baseline").c_str(),
                                 [get, count, baseline](benchmark::State& state) {
                                     problem& p = get();
                                     for (auto _ : state) {
                                         baseline(p);
                                         benchmark::ClobberMemory();
                                     }
                                     count(state, p);
                                 });
    benchmark::RegisterBenchmark((name + "/ours").c_str(), [get, count](benchmark::State& state) {
        problem& p = get();
        bool finite = true;
        for (auto _ : state) {
            finite = p.ours() && finite;
            benchmark::ClobberMemory();
        }
        if (!finite) { state.SkipWithError("a value is not finite"); }
        state.counters["bar"] = 1.15;
        count(state, p);
    });
}

/// The four cases at one size. `make()` is a tensor of that size.
template <class T, class Make>
void add_affine_cases(const std::string& size, const std::string& backend, const Make& make) {
    const auto name = [&](const std::string& what) {
        return "affine " + what + " float " + size + " " + backend;
    };
    add_affine<T, 1, 3>(name("3->1"), make, write_to::new_tensors, [](auto& p) {
        three_to_one(p.size(), p.rounded.data(), p.in(0), p.in(1), p.in(2), p.out(0));
    });
    add_affine<T, 1, 3>(name("3->1 in place"), make, write_to::first_input, [](auto& p) {
        three_to_one_in_place(p.size(), p.rounded.data(), p.out(0), p.in(1), p.in(2));
    });
    add_affine<T, 2, 4>(name("4->2"), make, write_to::new_tensors, [](auto& p) {
        four_to_two(p.size(), p.rounded.data(), p.in(0), p.in(1), p.in(2), p.in(3), p.out(0), p.out(1));
    });
    add_affine<T, 3, 6>(name("6->3"), make, write_to::new_tensors, [](auto& p) {
        six_to_three(p.size(), p.rounded.data(), p.in(0), p.in(1), p.in(2), p.in(3), p.in(4), p.in(5),
                     p.out(0), p.out(1), p.out(2));
    });
}

/// All sizes. `make(size)` is a tensor of so many elements.
template <class T, class Make>
void add_affine_sizes(const std::string& backend, const Make& make) {
    using named = std::pair<const char*, std::size_t>;
    for (const auto& [text, size] : {named{"4x64x64", 4 * 64 * 64}, named{"16x128x128", 16 * 128 * 128},
                                     named{"3x1024x1024", 3 * 1024 * 1024}}) {
        add_affine_cases<T>(text, backend, [make, elements = size] { return make(elements); });
    }
}

}  // namespace bench
