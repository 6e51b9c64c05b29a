// SPDX-License-Identifier: MIT
#pragma once

/// Tolerances of the comparisons, one row per scalar type. Every value is a relative error.
///
/// - `exact`      the same few operations in another order: a handful of roundings.
/// - `identity`   two ways to the same number over a whole run: tens of steps of roundings.
/// - `reference`  numbers recorded from a published implementation or from 50-digit arithmetic.
template <class Scalar>
struct tol;

template <>
struct tol<double> {
    static constexpr double exact = 1e-14;
    static constexpr double identity = 1e-12;
    static constexpr double reference = 1e-9;
};

template <>
struct tol<float> {
    static constexpr float exact = 1e-6F;
    static constexpr float identity = 1e-5F;
    static constexpr float reference = 1e-4F;
};
