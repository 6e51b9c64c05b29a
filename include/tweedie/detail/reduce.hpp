// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/parallel.hpp>

#include <algorithm>
#include <cstddef>
#include <span>

namespace tweedie::detail {

/// `sum_i x[i] * y[i]` in double, in a fixed order: eight interleaved partial sums, added in pairs at the
/// end.
template <class Scalar>
double dot_range(const Scalar* x, const Scalar* y, std::size_t size) {
    constexpr std::size_t lanes = 8;
    double sums[lanes] = {};
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes) {
        for (std::size_t j = 0; j < lanes; ++j) {
            sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(y[i + j]);
        }
    }
    for (std::size_t j = 0; i + j < size; ++j) {
        sums[j] += static_cast<double>(x[i + j]) * static_cast<double>(y[i + j]);
    }
    return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

/// The dot product of one sample, from at most 64 segments whose bounds depend on `size` alone.
template <class Scalar>
double dot_sample(const Scalar* x, const Scalar* y, std::size_t size, std::size_t work) {
    constexpr std::size_t most = 64;
    constexpr std::size_t least = 4096;
    const std::size_t segment = std::max(least, (size + most - 1) / most);
    const std::size_t segments = (size + segment - 1) / segment;
    double partial[most] = {};
    for_each_index(segments, work, [&](std::size_t s) {
        const std::size_t first = s * segment;
        partial[s] = dot_range(x + first, y + first, std::min(segment, size - first));
        return true;
    });
    double sum = 0;
    for (std::size_t s = 0; s < segments; ++s) { sum += partial[s]; }
    return sum;
}

/// The dot product of each sample: `per_sample[b] = sum_i x[b][i] * y[b][i]`, in double whatever the scalar,
/// in an order that depends on the sample's size alone.
template <class Scalar>
void dot(std::size_t sample_size, const Scalar* x, const Scalar* y, std::span<double> per_sample) {
    const std::size_t batch = per_sample.size();
    const std::size_t work = 2 * batch * sample_size;
    if (2 * sample_size >= parallel_threshold) {  // large samples: threads share each of them
        for (std::size_t b = 0; b < batch; ++b) {
            per_sample[b] = dot_sample(x + b * sample_size, y + b * sample_size, sample_size, work);
        }
        return;
    }
    for_each_index(batch, work, [&](std::size_t b) {
        per_sample[b] = dot_sample(x + b * sample_size, y + b * sample_size, sample_size, 0);
        return true;
    });
}

}  // namespace tweedie::detail
