// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/random/noise.hpp>
#include <tweedie/random/philox.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <span>
#include <stdexcept>

namespace tweedie {

/// What torch's CUDA numbers depend on besides the seed: how many threads the device runs at once.
///
///     torch.cuda.get_device_properties(0).multi_processor_count, .max_threads_per_multi_processor
///
/// 0 multiprocessors are an infinite grid, one thread for every element: what A1111 ("NV"), ComfyUI's and
/// stable-diffusion.cpp's ports of it compute. It is right for tensors that fit one launch, wrong beyond.
struct torch_cuda_grid {
    std::uint32_t multiprocessors = 0;
    std::uint32_t threads_per_multiprocessor = 2048;

    /// Threads launched for a tensor of `size` elements.
    [[nodiscard]] std::uint64_t threads(std::uint64_t size) const {
        constexpr std::uint64_t block = 256;
        const std::uint64_t wanted = (size + block - 1) / block;
        const std::uint64_t resident =
            std::uint64_t{multiprocessors} * (threads_per_multiprocessor / static_cast<std::uint32_t>(block));
        return block * (multiprocessors == 0 ? wanted : std::min(wanted, resident));
    }

    friend bool operator==(const torch_cuda_grid&, const torch_cuda_grid&) = default;
};

/// Grids of devices, by their data sheets; which of them met published numbers, see `torch_cuda_noise`.
namespace torch_cuda_device {

inline constexpr torch_cuda_grid infinite{0, 2048};

inline constexpr torch_cuda_grid v100{80, 2048};
inline constexpr torch_cuda_grid a100{108, 2048};
inline constexpr torch_cuda_grid h100_pcie{114, 2048};
inline constexpr torch_cuda_grid h100_sxm{132, 2048};
inline constexpr torch_cuda_grid h200{132, 2048};
inline constexpr torch_cuda_grid h20{78, 2048};
inline constexpr torch_cuda_grid b200{148, 2048};

inline constexpr torch_cuda_grid t4{40, 1024};
inline constexpr torch_cuda_grid a10g{80, 1536};
inline constexpr torch_cuda_grid l4{58, 1536};
inline constexpr torch_cuda_grid l40{142, 1536};
inline constexpr torch_cuda_grid l40s{142, 1536};
inline constexpr torch_cuda_grid rtx_a4000{48, 1536};
inline constexpr torch_cuda_grid rtx_a6000{84, 1536};

inline constexpr torch_cuda_grid rtx_2070_super{40, 1024};
inline constexpr torch_cuda_grid rtx_2080_ti{68, 1024};
inline constexpr torch_cuda_grid rtx_3060{28, 1536};
inline constexpr torch_cuda_grid rtx_3070{46, 1536};
inline constexpr torch_cuda_grid rtx_3080{68, 1536};
inline constexpr torch_cuda_grid rtx_3090{82, 1536};
inline constexpr torch_cuda_grid rtx_4070{46, 1536};
inline constexpr torch_cuda_grid rtx_4080{76, 1536};
inline constexpr torch_cuda_grid rtx_4090{128, 1536};
inline constexpr torch_cuda_grid rtx_5080{84, 1536};
inline constexpr torch_cuda_grid rtx_5090{170, 1536};

}  // namespace torch_cuda_device

/// One `torch.randn` of float32 on a CUDA device: any of its elements, computed where it is asked for.
///
///     G = grid.threads(size), t = i mod G, q = i div G
///     (x0, x1, x2, x3) = philox4x32({first + q div 4, 0, t, 0}, seed)
///     element i = number q mod 4 of (r(x0) sin a(x1), r(x0) cos a(x1), r(x2) sin a(x3), r(x2) cos a(x3))
///     r(x) = sqrt(-2 ln(2^-32 x + 2^-33))       a(x) = 2 pi (2^-32 x + 2^-33)
///
/// - cost    one Philox block per element where a thread has one element, one per four where it has many.
struct torch_cuda_stream {
    std::uint64_t seed = 0;
    std::uint64_t first = 0;     ///< counter that the draw begins at
    std::uint64_t threads = 1;   ///< of the launch
    std::uint64_t elements = 0;  ///< per sample
    std::uint64_t sample = 0;    ///< of batch item 0
    std::uint64_t samples = 1;
    bool seed_per_sample = false;

    void operator()(std::size_t item, std::size_t first_element, std::span<float> out) const {
        fill(item, first_element, out);
    }
    void operator()(std::size_t item, std::size_t first_element, std::span<double> out) const {
        fill(item, first_element, out);
    }

    friend bool operator==(const torch_cuda_stream&, const torch_cuda_stream&) = default;

private:
    template <class Scalar>
    void fill(std::size_t item, std::size_t first_element, std::span<Scalar> out) const {
        if (!(sample < samples && item < samples - sample)) {
            throw std::invalid_argument("torch_cuda_noise: asked for more samples than it says");
        }
        if (!(first_element <= elements && out.size() <= elements - first_element)) {
            throw std::invalid_argument("torch_cuda_noise: asked for more elements than it says");
        }
        const std::uint64_t place = sample + item;
        const std::uint64_t key = seed_per_sample ? seed + place : seed;
        const std::uint64_t begin = (seed_per_sample ? 0 : place * elements) + first_element;
        for (std::size_t k = 0; k < out.size(); ++k) { out[k] = static_cast<Scalar>(number(key, begin + k)); }
    }

    [[nodiscard]] float number(std::uint64_t key, std::uint64_t i) const {
        const std::uint64_t thread = i % threads;
        const std::uint64_t turn = i / threads;
        const std::uint64_t counter = first + turn / 4;
        const philox_counter x =
            philox4x32({static_cast<std::uint32_t>(counter), static_cast<std::uint32_t>(counter >> 32),
                        static_cast<std::uint32_t>(thread), static_cast<std::uint32_t>(thread >> 32)},
                       {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
        const std::size_t pair = turn % 4 / 2 * 2;
        // what the device rounds to float is rounded here: near 1 the radius hangs on it
        constexpr float unit = 0x1p-32f;
        constexpr float turn_unit = static_cast<float>(2.0 * std::numbers::pi) * unit;
        const float u = static_cast<float>(x[pair]) * unit + unit / 2;
        const float angle = std::fma(static_cast<float>(x[pair + 1]), turn_unit, turn_unit / 2);
        const auto radius = static_cast<float>(std::sqrt(-2.0 * std::log(static_cast<double>(u))));
        const auto a = static_cast<double>(angle);
        return radius * static_cast<float>(turn % 2 == 0 ? std::sin(a) : std::cos(a));
    }
};

/// The `torch.randn` calls of a torch program on a CUDA device as a noise source, float32.
///
///     torch_cuda_noise source{.seed = 42, .elements = 4 * 64 * 64, .grid = torch_cuda_device::rtx_4090};
///
/// Draws and batches are those of `torch_cpu_noise`: `initial_draws` calls for the state, then one per step,
/// each for the whole batch or, with `seed_per_sample`, for each sample with a generator of its own, of seed
/// + b. A device gives other numbers than another from the element on that its launch has no thread of its
/// own for. Source: Salmon et al. 2011 for Philox4x32-10; cuRAND's documentation and torch's issues 143086,
/// 158398, 194676 and 196613 for the layout.
///
/// | claim                                       | how it was checked                                     |
/// |---------------------------------------------|--------------------------------------------------------|
/// | layout on A100 and H100 SXM, 9,483,264 long | first and last three published, to 4 decimals          |
/// | layout on RTX A4000, 100,000 long           | 36 numbers published, to 4 decimals                    |
/// | sizes below a launch                        | published, to 4 decimals                               |
/// | other devices, later draws, samples > 1     | not: they follow from the layout                       |
/// | bits                                        | not: a device's log, sin and cos differ; expect 1e-6   |
///
/// Unlike `torch_cpu_noise` it has no state: any draw in any order, from any thread.
/// - cost    some 36 ns a number, 85 times `noise`: for pictures that have to be matched.
/// - errors  tier 1: `elements` or `samples` 0; a draw of kind `user`, or beyond `initial_draws`; more than
///           2^29 numbers in a draw, which torch launches in parts; samples or elements beyond what was said.
struct torch_cuda_noise {
    std::uint64_t seed = 0;
    std::size_t elements = 0;       ///< per sample; > 0
    std::size_t samples = 1;        ///< in the whole batch, on all machines together; > 0
    std::size_t sample = 0;         ///< where this part of the batch begins
    std::size_t initial_draws = 1;  ///< `randn` of the state before the first step's
    torch_cuda_grid grid = torch_cuda_device::infinite;  ///< of the device to be matched
    bool seed_per_sample = false;                        ///< a list of generators, one picture each

    [[nodiscard]] torch_cuda_stream stream(draw_kind kind, std::uint32_t draw) const {
        if (!(elements > 0 && samples > 0)) {
            throw std::invalid_argument("torch_cuda_noise: need elements > 0 and samples > 0");
        }
        if (kind == draw_kind::user) {
            throw std::invalid_argument(
                "torch_cuda_noise: draws of kind user have no place in torch's order");
        }
        if (kind == draw_kind::initial && !(draw < initial_draws)) {
            throw std::invalid_argument("torch_cuda_noise: an initial draw beyond initial_draws");
        }
        constexpr std::uint64_t most = std::uint64_t{1} << 29;
        const std::uint64_t parts = seed_per_sample ? 1 : samples;
        if (!(elements <= most / parts)) {
            throw std::invalid_argument("torch_cuda_noise: need at most 2^29 numbers in a draw");
        }
        const std::uint64_t size = elements * parts;
        const std::uint64_t threads = grid.threads(size);
        if (threads == 0) { throw std::invalid_argument("torch_cuda_noise: need a grid with threads"); }
        const std::uint64_t blocks_per_draw = (size - 1) / (4 * threads) + 1;
        const std::uint64_t position = kind == draw_kind::initial ? draw : initial_draws + draw;
        return {seed, position * blocks_per_draw, threads, elements, sample, samples, seed_per_sample};
    }

    friend bool operator==(const torch_cuda_noise&, const torch_cuda_noise&) = default;
};

}  // namespace tweedie
