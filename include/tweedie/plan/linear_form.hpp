// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/field.hpp>

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
/// is the paper's line. A default-constructed form is zero. A `field` in place of the `double` weighs each
/// element of a sample by its own number; one that is the same everywhere is that `double`. Plan-time only;
/// cost is linear in the number of terms.
class linear_form {
public:
    struct term {
        std::size_t symbol = 0;
        double weight = 0.0;

        friend bool operator==(const term&, const term&) = default;
    };

    /// What the weight of a term is multiplied by, element by element.
    struct factor {
        std::size_t symbol = 0;
        field values;

        friend bool operator==(const factor&, const factor&) = default;
    };

    linear_form() = default;
    explicit linear_form(std::size_t symbol) : terms_{{symbol, 1.0}} {}

    /// The terms, by ascending symbol; no symbol twice.
    [[nodiscard]] const std::vector<term>& terms() const { return terms_; }

    /// The factors of the terms that differ from element to element, by ascending symbol; their weight is 1.
    [[nodiscard]] const std::vector<factor>& factors() const { return factors_; }

    /// The weight of one symbol, without its factor; 0 if absent.
    [[nodiscard]] double weight(std::size_t symbol) const {
        for (const term& t : terms_) {
            if (t.symbol == symbol) { return t.weight; }
        }
        return 0.0;
    }

    /// The weight of one symbol at every element.
    [[nodiscard]] field weights(std::size_t symbol) const {
        for (const factor& f : factors_) {
            if (f.symbol == symbol) { return f.values; }
        }
        return weight(symbol);
    }

    /// Adds `weight * other` to this form.
    linear_form& add(double weight, const linear_form& other) {
        if (!factors_.empty() || !other.factors_.empty()) { return add_fields(weight, other); }
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
    linear_form& add(const field& weight, const linear_form& other) {
        return weight.uniform() ? add(weight[0], other) : add_fields(weight, other);
    }

    friend bool operator==(const linear_form&, const linear_form&) = default;

private:
    linear_form& add_fields(const field& weight, const linear_form& other) {
        const linear_form from = other;  // it may be this form
        for (const term& t : from.terms_) {
            put(t.symbol, weights(t.symbol) + weight * from.weights(t.symbol));
        }
        return *this;
    }

    void put(std::size_t symbol, const field& weight) {
        std::size_t at = 0;
        while (at < terms_.size() && terms_[at].symbol < symbol) { ++at; }
        if (at == terms_.size() || terms_[at].symbol != symbol) {
            terms_.insert(terms_.begin() + static_cast<std::ptrdiff_t>(at), {symbol, 0.0});
        }
        std::size_t f = 0;
        while (f < factors_.size() && factors_[f].symbol < symbol) { ++f; }
        if (f < factors_.size() && factors_[f].symbol == symbol) {
            factors_.erase(factors_.begin() + static_cast<std::ptrdiff_t>(f));
        }
        const bool uniform = weight.uniform();
        terms_[at].weight = uniform ? weight[0] : 1.0;
        if (!uniform) {
            factors_.insert(factors_.begin() + static_cast<std::ptrdiff_t>(f), {symbol, weight});
        }
    }

    std::vector<term> terms_;
    std::vector<factor> factors_;
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
[[nodiscard]] inline linear_form operator*(const field& weight, const linear_form& a) {
    return linear_form().add(weight, a);
}
[[nodiscard]] inline linear_form operator*(const linear_form& a, const field& weight) { return weight * a; }
[[nodiscard]] inline linear_form operator/(const linear_form& a, const field& divisor) {
    return (1.0 / divisor) * a;
}
inline linear_form& operator+=(linear_form& a, const linear_form& b) { return a.add(1.0, b); }
inline linear_form& operator-=(linear_form& a, const linear_form& b) { return a.add(-1.0, b); }

}  // namespace tweedie
