// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/random/noise.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

/// Standard normal numbers, the same on every machine.
template <class Scalar>
std::vector<Scalar> numbers(std::size_t size, std::uint64_t seed) {
    std::vector<Scalar> out(size);
    tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, 0)(0, 0, std::span<Scalar>(out));
    return out;
}

/// The gradient of 0.5 sum h x^2 with h = 0.5, 2, 10, 0.5, 2, 10, ...
template <class Vector>
Vector bowl(const Vector& x) {
    Vector g = x;
    for (std::size_t i = 0; i < g.size(); ++i) {
        g[i] = x[i] * static_cast<typename Vector::value_type>(i % 3 == 0 ? 0.5 : i % 3 == 1 ? 2.0 : 10.0);
    }
    return g;
}
