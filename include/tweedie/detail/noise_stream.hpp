// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>

namespace tweedie {

/// The normal numbers of one draw: `stream(sample, first_element, out)` writes those of the elements
/// `first_element ... first_element + out.size() - 1` of one sample; `first_element` is a multiple of 4.
///
/// Semantics the compiler cannot check: each number is a function of the sample and the element alone,
/// however the elements are cut into calls and in whatever order they come; calls from several threads at a
/// time are fine.
template <class Stream, class Scalar = float>
concept noise_stream =
    requires(const Stream& stream, std::size_t index, std::span<Scalar> out) { stream(index, index, out); };

}  // namespace tweedie
