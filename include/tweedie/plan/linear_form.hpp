// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

namespace tweedie {

/// A weighted sum of symbols: the right-hand side of an equation in a solver's file.
///
/// Symbols are tensors that exist only when the plan runs: states, data predictions, noise draws. Made by a
/// `plan_writer`; combined with `+`, `-`, and multiplication or division by a `double`, so that
///
///     const linear_form d = m0 + (m0 - m1) / (2 * r);
///
/// is the paper's line. A default-constructed form is zero. Plan-time only; cost is linear in the number of
/// terms.
class linear_form {
public:
    struct term {
        std::size_t symbol = 0;
        double weight = 0.0;

        friend bool operator==(const term&, const term&) = default;
    };

    linear_form() = default;
    explicit linear_form(std::size_t symbol) : terms_{{symbol, 1.0}} {}

    /// The terms, by ascending symbol; no symbol twice.
    [[nodiscard]] const std::vector<term>& terms() const { return terms_; }

    /// The weight of one symbol; 0 if absent.
    [[nodiscard]] double weight(std::size_t symbol) const {
        for (const term& t : terms_) {
            if (t.symbol == symbol) { return t.weight; }
        }
        return 0.0;
    }

    /// Adds `weight * other` to this form.
    linear_form& add(double weight, const linear_form& other) {
        std::vector<term> sum;
        sum.reserve(terms_.size() + other.terms_.size());
        std::size_t a = 0;
        std::size_t b = 0;
        while (a < terms_.size() || b < other.terms_.size()) {
            if (b == other.terms_.size() ||
                (a < terms_.size() && terms_[a].symbol < other.terms_[b].symbol)) {
                sum.push_back(terms_[a++]);
            } else if (a == terms_.size() || other.terms_[b].symbol < terms_[a].symbol) {
                sum.push_back({other.terms_[b].symbol, weight * other.terms_[b].weight});
                ++b;
            } else {
                sum.push_back({terms_[a].symbol, terms_[a].weight + weight * other.terms_[b].weight});
                ++a;
                ++b;
            }
        }
        terms_.swap(sum);
        return *this;
    }

    friend bool operator==(const linear_form&, const linear_form&) = default;

private:
    std::vector<term> terms_;
};

[[nodiscard]] inline linear_form operator+(linear_form a, const linear_form& b) { return a.add(1.0, b); }
[[nodiscard]] inline linear_form operator-(linear_form a, const linear_form& b) { return a.add(-1.0, b); }
[[nodiscard]] inline linear_form operator*(double weight, const linear_form& a) {
    return linear_form().add(weight, a);
}
[[nodiscard]] inline linear_form operator*(const linear_form& a, double weight) { return weight * a; }
[[nodiscard]] inline linear_form operator/(const linear_form& a, double divisor) {
    return (1.0 / divisor) * a;
}
[[nodiscard]] inline linear_form operator-(const linear_form& a) { return -1.0 * a; }
inline linear_form& operator+=(linear_form& a, const linear_form& b) { return a.add(1.0, b); }
inline linear_form& operator-=(linear_form& a, const linear_form& b) { return a.add(-1.0, b); }

}  // namespace tweedie
