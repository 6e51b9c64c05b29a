// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/schedule/discrete.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::grid {

/// Whether training index 0, the least noisy level, is one of the levels a network sees.
enum class index_zero {
    visited,  ///< DDPM, DDIM, PNDM and the Euler family of diffusers
    skipped,  ///< DPM-Solver, UniPC, DEIS and SA-Solver of diffusers: its step is hardly worth a call
};

/// Options of `leading`.
struct leading_options {
    int offset = 0;                         ///< added to every index; Stable Diffusion 1 and 2 use 1; >= 0
    index_zero zero = index_zero::visited;  ///< whether the indices start at 0 or one spacing above it
    final_level last = final_level::zero;   ///< zero: the clean level; sigma_min: training index 0
};

/// Options of `trailing`.
struct trailing_options {
    final_level last = final_level::zero;  ///< zero: the clean level; sigma_min: training index 0
};

/// Options of `simple`.
struct simple_options {
    final_level last = final_level::zero;  ///< zero: the clean level; sigma_min: training index 0
};

/// Options of `linspace`.
struct linspace_options {
    index_zero zero = index_zero::visited;  ///< whether the last index is 0 or one spacing above it
    final_level last = final_level::zero;   ///< zero: the clean level; sigma_min: training index 0
};

}  // namespace tweedie::grid

namespace tweedie::detail {

inline void require_steps(int steps, std::int64_t most, const char* who) {
    if (steps < 1 || steps > most) {
        throw std::invalid_argument(std::string(who) + ": steps must lie in [1, " + std::to_string(most) +
                                    "]");
    }
}

// The levels at falling training indices `index(0) .. index(steps - 1)`, then the end.
template <class Index>
[[nodiscard]] std::vector<level> at_indices(const schedule::discrete& schedule, int steps,
                                            grid::final_level last, const Index& index, const char* who) {
    require_final_level(last, who);
    std::vector<level> out;
    out.reserve(static_cast<std::size_t>(steps) + 1);
    for (int i = 0; i < steps; ++i) { out.push_back(at(schedule, static_cast<double>(index(i)))); }
    if (last == grid::final_level::sigma_min && out.back().t == 0.0) {
        throw std::invalid_argument(
            std::string(who) +
            ": training index 0 is visited already, so it cannot be the final level; use "
            "final_level::zero or skip index 0");
    }
    out.push_back(at(schedule, last == grid::final_level::zero ? -1.0 : 0.0));
    require_levels(out, who);
    return out;
}

}  // namespace tweedie::detail

namespace tweedie::grid {

/// Training indices at multiples of a whole spacing, from below: they start short of the noisiest level.
///
///     index_i = (steps - 1 - i) d + offset,    d = floor(N / steps)          (index_zero::visited)
///     index_i = (steps - i) d + offset,        d = floor(N / (steps + 1))    (index_zero::skipped)
///
/// Source: Song et al. 2020 (DDIM), arXiv:2010.02502, the linear choice tau_i = floor(c i); "leading" in
/// diffusers and in Lin et al. 2023, arXiv:2305.08891, table 2. Deviation: the target of a step is the next
/// index, as it must be; the last target is the clean level or index 0 (`last`).
/// - `steps`  network levels, in [1, N] (visited) or [1, N - 1] (skipped). One step starts at index `offset`,
///            the least noisy one (visited): use `trailing` for few steps.
/// - returns  steps + 1 levels at distinct falling whole indices, then the end.
/// - errors   tier 1: steps or offset out of range; an offset that pushes the first index past N - 1 (at
///            steps = N it must be 0); `final_level::sigma_min` where index 0 is visited already.
[[nodiscard]] inline std::vector<level> leading(const schedule::discrete& schedule, int steps,
                                                const leading_options& options = {}) {
    constexpr const char* who = "grid::leading";
    const std::int64_t count = schedule.levels();
    const std::int64_t skip = options.zero == index_zero::skipped ? 1 : 0;
    detail::require_steps(steps, count - skip, who);
    const std::int64_t spacing = count / (steps + skip);
    const std::int64_t first = (steps - 1 + skip) * spacing;
    if (options.offset < 0 || first + options.offset > count - 1) {
        throw std::invalid_argument("grid::leading: offset must lie in [0, " +
                                    std::to_string(count - 1 - first) + "] for this number of steps");
    }
    const auto index = [=, offset = options.offset](int i) { return first - i * spacing + offset; };
    return detail::at_indices(schedule, steps, options.last, index, who);
}

/// Training indices in equal shares of the whole range, from the noisiest level down. The right one for few
/// steps.
///
///     index_i = round(N - i N / steps) - 1
///
/// Source: Lin et al. 2023, arXiv:2305.08891, table 2, "trailing"; diffusers. Deviation: i counts, not the
/// accumulated time (whose rounding makes one index too many, -1, for dozens of step counts), so there are
/// exactly `steps` of them for every step count; the target of a step is the next index. Halves round as they
/// do in diffusers, that is in double precision, to even.
/// - `steps`  network levels, in [1, N].
/// - returns  steps + 1 levels at distinct falling whole indices from N - 1 down, then the end.
/// - errors   tier 1: steps out of range; `final_level::sigma_min` where index 0 is visited already.
[[nodiscard]] inline std::vector<level> trailing(const schedule::discrete& schedule, int steps,
                                                 const trailing_options& options = {}) {
    constexpr const char* who = "grid::trailing";
    detail::require_steps(steps, schedule.levels(), who);
    const double count = schedule.levels();
    const double spacing = (count - count / steps) - count;
    // fma with 0 is a product no compiler contracts with the sum: the same indices whatever the flags
    const auto index = [=](int i) { return std::nearbyint(count + std::fma(i, spacing, 0.0)) - 1.0; };
    return detail::at_indices(schedule, steps, options.last, index, who);
}

/// Training indices equally spaced from the noisiest level to the least noisy one, both included.
///
///     index_i = round((steps - 1 - i) d),    d = (N - 1) / (steps - 1)    (index_zero::visited)
///     index_i = round((steps - i) d),        d = (N - 1) / steps          (index_zero::skipped)
///
/// Source: Lin et al. 2023, arXiv:2305.08891, table 2, "linspace"; diffusers, whose classes differ in whether
/// index 0 is visited. Halves round as they do there, that is in double precision, to even. Deviation: one
/// step starts at N - 1, the noisy end (diffusers: at 0); the target of a step is the next index.
/// - `steps`  network levels, in [1, N] (visited) or [1, N - 1] (skipped).
/// - returns  steps + 1 levels at distinct falling whole indices from N - 1 down, then the end.
/// - errors   tier 1: steps out of range; `final_level::sigma_min` where index 0 is visited already.
[[nodiscard]] inline std::vector<level> linspace(const schedule::discrete& schedule, int steps,
                                                 const linspace_options& options = {}) {
    constexpr const char* who = "grid::linspace";
    const int count = schedule.levels();
    const int skip = options.zero == index_zero::skipped ? 1 : 0;
    detail::require_steps(steps, count - skip, who);
    const int parts = steps - 1 + skip;
    const double top = count - 1;
    const double spacing = parts == 0 ? 0.0 : top / parts;
    const auto index = [=](int i) { return i == 0 ? top : std::nearbyint((parts - i) * spacing); };
    return detail::at_indices(schedule, steps, options.last, index, who);
}

/// Training indices in equal shares from the noisiest level down, rounded down from it.
///
///     index_i = N - 1 - floor(i N / steps)
///
/// Source: "simple" of ComfyUI. Deviation: the floor is that of whole numbers. It differs from `trailing` by
/// the rounding alone.
/// - `steps`  network levels, in [1, N].
/// - returns  steps + 1 levels at distinct falling whole indices from N - 1 down, then the end.
/// - errors   tier 1: steps out of range; `final_level::sigma_min` where index 0 is visited already.
[[nodiscard]] inline std::vector<level> simple(const schedule::discrete& schedule, int steps,
                                               const simple_options& options = {}) {
    constexpr const char* who = "grid::simple";
    detail::require_steps(steps, schedule.levels(), who);
    const std::int64_t count = schedule.levels();
    const auto index = [=](int i) { return count - 1 - i * count / steps; };
    return detail::at_indices(schedule, steps, options.last, index, who);
}

}  // namespace tweedie::grid
