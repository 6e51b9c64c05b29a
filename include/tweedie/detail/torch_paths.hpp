// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

#define TWEEDIE_TORCH_PATH torch_scalar
#define TWEEDIE_TORCH_TARGET
#define TWEEDIE_TORCH_LANES 1
#include <tweedie/detail/torch_kernel.inc>

#if defined(__GNUC__) && defined(__x86_64__)
#define TWEEDIE_TORCH_X86
#define TWEEDIE_TORCH_PATH torch_avx2
#define TWEEDIE_TORCH_TARGET [[gnu::target("avx2,fma")]]
#define TWEEDIE_TORCH_LANES 8
#include <tweedie/detail/torch_kernel.inc>

#define TWEEDIE_TORCH_PATH torch_avx512
#define TWEEDIE_TORCH_TARGET [[gnu::target("avx512f")]]
#define TWEEDIE_TORCH_LANES 16
#include <tweedie/detail/torch_kernel.inc>
#endif

namespace tweedie::detail {

/// The ways to compute the same bits of MT19937 and of torch's normals.
struct torch_path {
    void (*twist)(std::uint32_t* state);
    void (*words)(const std::uint32_t* state, std::uint32_t* out, std::size_t size);
    void (*uniforms)(const std::uint32_t* state, float* out, std::size_t size);
    void (*normals)(float* data, std::size_t blocks);
};

enum class torch_instructions { scalar, avx2, avx512 };

/// Whether this compiler made the path and this machine can run it.
[[nodiscard]] inline bool torch_path_available([[maybe_unused]] torch_instructions set) {
#if defined(TWEEDIE_TORCH_X86)
    if (set == torch_instructions::avx512) { return __builtin_cpu_supports("avx512f"); }
    if (set == torch_instructions::avx2) {
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    }
#endif
    return set == torch_instructions::scalar;
}

[[nodiscard]] inline torch_path torch_path_of([[maybe_unused]] torch_instructions set) {
#if defined(TWEEDIE_TORCH_X86)
    if (set == torch_instructions::avx512) {
        return {torch_avx512::twist, torch_avx512::words, torch_avx512::uniforms, torch_avx512::normals};
    }
    if (set == torch_instructions::avx2) {
        return {torch_avx2::twist, torch_avx2::words, torch_avx2::uniforms, torch_avx2::normals};
    }
#endif
    return {torch_scalar::twist, torch_scalar::words, torch_scalar::uniforms, torch_scalar::normals};
}

/// The widest path available.
[[nodiscard]] inline torch_path widest_torch_path() {
    for (const auto set : {torch_instructions::avx512, torch_instructions::avx2}) {
        if (torch_path_available(set)) { return torch_path_of(set); }
    }
    return torch_path_of(torch_instructions::scalar);
}

}  // namespace tweedie::detail

#undef TWEEDIE_TORCH_X86
