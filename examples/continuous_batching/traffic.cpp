// SPDX-License-Identifier: MIT
#include "traffic.hpp"

#include <tweedie/random/philox.hpp>

#include <cmath>

namespace continuous_batching {

std::vector<request> traffic(std::size_t count, double gap, std::uint64_t seed) {
    const char* const solvers[] = {"ddim", "unipc", "dpm_solver", "heun", "ddim, stochastic", "2M SDE"};
    std::vector<request> all;
    double now = 0.0;
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto draw = [&](std::uint32_t part) {
            return tweedie::philox4x32(
                {static_cast<std::uint32_t>(i), part, 0, 0},
                {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
        };
        const auto a = draw(0);
        const auto b = draw(1);
        now -= gap * std::log((static_cast<double>(a[0]) + 0.5) / 4294967296.0);
        all.push_back({.arrival = now,
                       .seed = i,
                       .digit = static_cast<int>(a[1] % 10),
                       .solver = solvers[a[2] % 6],
                       .steps = 5 + static_cast<int>(a[3] % 26),
                       .guidance = b[0] % 3 == 0 ? 1.0 : 1.0 + 0.5 * static_cast<double>(1 + b[1] % 4)});
    }
    return all;
}

}  // namespace continuous_batching
