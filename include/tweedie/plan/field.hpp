// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/assert.hpp>

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie {

/// One number for each element of a sample: a weight of a plan that differs from element to element.
///
///     const field l(std::vector<double>{0.9, 0.5, 0.7});           // of samples of three elements
///     x = exp(-l * h) * x + (1.0 - exp(-l * h)) / l * x0;
///
/// Arithmetic is element by element. A `double` is a field of size 1, the same everywhere, and goes with any
/// size. Element e is the e-th of a sample in memory; all samples of a batch share the field. Plan-time only.
/// - errors  `std::invalid_argument`: no number at all; two fields of different sizes above 1.
class field {
public:
    field(double everywhere) : one_(everywhere) {}  // NOLINT: implicit by design, a double is a field

    explicit field(std::vector<double> values) : many_(std::move(values)) {
        if (many_.empty()) { throw std::invalid_argument("field: need at least one number"); }
        one_ = many_[0];
        if (many_.size() == 1) { many_.clear(); }
    }

    [[nodiscard]] std::size_t size() const { return many_.empty() ? 1 : many_.size(); }

    /// The number at element `e`; of a field of size 1, at any element.
    [[nodiscard]] double operator[](std::size_t e) const {
        TWEEDIE_ASSERT(many_.empty() || e < many_.size(), "field: element past the end");
        return many_.empty() ? one_ : many_[e];
    }

    /// Whether it is the same number everywhere.
    [[nodiscard]] bool uniform() const {
        for (const double v : many_) {
            if (v != one_) { return false; }
        }
        return true;
    }

    [[nodiscard]] bool finite() const {
        for (const double v : many_) {
            if (!std::isfinite(v)) { return false; }
        }
        return std::isfinite(one_);
    }

    /// The field of `function(number)`.
    template <class Function>
    [[nodiscard]] field map(const Function& function) const {
        field result(function(one_));
        result.many_.reserve(many_.size());
        for (const double v : many_) { result.many_.push_back(function(v)); }
        return result;
    }

    /// The field of `function(number, number of other)`.
    template <class Function>
    [[nodiscard]] field combined(const field& other, const Function& function) const {
        if (many_.empty() && other.many_.empty()) { return field(function(one_, other.one_)); }
        if (!many_.empty() && !other.many_.empty() && many_.size() != other.many_.size()) {
            throw std::invalid_argument("field: sizes differ, " + std::to_string(many_.size()) + " and " +
                                        std::to_string(other.many_.size()));
        }
        std::vector<double> values(many_.empty() ? other.many_.size() : many_.size());
        for (std::size_t e = 0; e < values.size(); ++e) { values[e] = function((*this)[e], other[e]); }
        return field(std::move(values));
    }

    friend field operator+(const field& a, const field& b) {
        return a.combined(b, [](double x, double y) { return x + y; });
    }
    friend field operator-(const field& a, const field& b) {
        return a.combined(b, [](double x, double y) { return x - y; });
    }
    friend field operator*(const field& a, const field& b) {
        return a.combined(b, [](double x, double y) { return x * y; });
    }
    friend field operator/(const field& a, const field& b) {
        return a.combined(b, [](double x, double y) { return x / y; });
    }
    friend field operator-(const field& a) {
        return a.map([](double x) { return -x; });
    }
    friend field exp(const field& a) {
        return a.map([](double x) { return std::exp(x); });
    }
    friend field expm1(const field& a) {
        return a.map([](double x) { return std::expm1(x); });
    }
    friend field log(const field& a) {
        return a.map([](double x) { return std::log(x); });
    }
    friend field sqrt(const field& a) {
        return a.map([](double x) { return std::sqrt(x); });
    }

    friend bool operator==(const field&, const field&) = default;

private:
    double one_;  // of all elements, or the first
    std::vector<double> many_;
};

}  // namespace tweedie
