// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/mixture.hpp>

#include "../digits/optdigits.hpp"

namespace outline_first {

/// The digits of all classes, one per column.
[[nodiscard]] inline digits::pictures all_digits(const digits::real_digits& real) {
    Eigen::Index count = 0;
    for (const digits::pictures& digit : real) { count += digit.cols(); }
    digits::pictures all(digits::pixels, count);
    Eigen::Index next = 0;
    for (const digits::pictures& digit : real) {
        all.middleCols(next, digit.cols()) = digit;
        next += digit.cols();
    }
    return all;
}

/// A mixture fitted to them: its exact denoiser stands where a trained network would.
[[nodiscard]] inline tweedie::analytic::mixture law_of_digits(const digits::pictures& real) {
    constexpr Eigen::Index components = 40;  // some forty pictures each
    constexpr Eigen::Index rank = 40;
    return tweedie::analytic::mixture::fit(
        real, components,
        {.each = {.rank = rank, .added_variance = 1e-4, .remainder = tweedie::analytic::left_out::dropped}});
}

}  // namespace outline_first
