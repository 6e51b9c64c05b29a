// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace continuous_batching {

/// One picture that somebody asks for.
struct request {
    double arrival = 0.0;  ///< ms
    std::uint64_t seed = 0;
    int digit = 0;
    std::string solver;
    int steps = 10;
    double guidance = 1.0;  ///< 1: none
};

/// Requests with all they may differ in, at random times: exponential gaps, as of many people who do not know
/// of each other. A pure function of its arguments.
/// - gap   ms between requests, on average.
[[nodiscard]] std::vector<request> traffic(std::size_t count, double gap, std::uint64_t seed);

}  // namespace continuous_batching
