// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "engine.hpp"
#include "traffic.hpp"

namespace continuous_batching {

/// How the queue is served.
enum class policy {
    one_at_a_time,  ///< a request is finished before the next one begins
    static_batch,   ///< as many as fit begin together; the next ones begin when the last of these has ended
    continuous,     ///< whoever ends leaves, and the next one takes the place at the next call
};

/// What a network call takes: `start + each * pictures` ms. A GPU's first picture costs most of it.
struct cost {
    double start = 20.0;
    double each = 1.0;
};

/// How it went.
struct outcome {
    std::vector<picture> pictures;  ///< of each request
    std::vector<double> latency;    ///< ms from arrival to picture, of each request
    double end = 0.0;               ///< ms from the first arrival to the last picture
    std::size_t calls = 0;
    std::size_t evaluations = 0;   ///< pictures in all calls together
    std::size_t most_waiting = 0;  ///< longest queue
};

/// Serves all requests. Time is counted by `cost`, so that the outcome is the same on every machine; pictures
/// are made.
[[nodiscard]] outcome serve(engine& network, const std::vector<request>& requests, policy by,
                            const cost& of_call);

}  // namespace continuous_batching
