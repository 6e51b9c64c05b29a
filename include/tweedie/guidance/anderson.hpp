// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Options of `anderson`.
struct anderson_options {
    std::size_t window = 1;  ///< differences it looks back on; 0 is the plain iteration; at most 16
    double damping = 1.0;    ///< beta, share of the residual that is stepped; in (0, 1]
    double ridge = 1e-12;    ///< added to the normal matrix, relative to its largest diagonal element; >= 0
    /// Largest sum of |gamma|: how far beyond the points seen a step may reach; > 0. Where an iteration
    /// hardly contracts, the exact weights extrapolate a hundredfold, and the map is no longer linear there.
    double trust = std::numeric_limits<double>::infinity();
};

/// Throws unless the options are in range; see `anderson`.
inline void require_anderson(const anderson_options& options) {
    if (!(options.window <= 16)) { throw std::invalid_argument("anderson: window must be at most 16"); }
    if (!(options.damping > 0.0 && options.damping <= 1.0)) {
        throw std::invalid_argument("anderson: damping must lie in (0, 1]");
    }
    if (!(options.ridge >= 0.0 && std::isfinite(options.ridge))) {
        throw std::invalid_argument("anderson: ridge must be finite and not negative");
    }
    if (!(options.trust > 0.0)) { throw std::invalid_argument("anderson: trust must be positive"); }
}

/// Anderson acceleration of a fixed-point iteration x <- G(x), with weights of its own for every sample.
///
///     f_k   = G(x_k) - x_k
///     gamma = argmin | f_k - sum_i gamma_i dF_i |^2,     dF_i = f_{i+1} - f_i,  dX_i = x_{i+1} - x_i
///     x_{k+1} = x_k + beta f_k - sum_i gamma_i (dX_i + beta dF_i)
///
/// over the last `window` differences. Source: Anderson 1965, Iterative procedures for nonlinear integral
/// equations; in this form (type II) Walker and Ni 2011, doi:10.1137/10078356X. The ridge and the trust are
/// relative: multiplying all residuals of a sample by a number changes nothing.
///
///     anderson mix(x, {.window = 1});
///     for (int k = 0; k < 5; ++k) { g(x, image); mix.step(x, image); }
///
/// - exact   an affine map in one dimension is solved by two evaluations with window 1; in n dimensions by
///           n + 1 with window n.
/// - cost    per step two passes, and window (window + 3) / 2 inner products; holds 2 window + 3 tensors,
///           all allocated when made.
/// - errors  `std::invalid_argument`: options out of range or NaN, a point of another shape.
template <grouped_tensor T>
class anderson {
public:
    /// - `like`  a tensor of the shape of x; its samples are the groups.
    explicit anderson(const T& like, const anderson_options& options = {})
        : options_(options), groups_(tensor_traits<T>::batch(like)) {
        require_anderson(options);
        if (tensor_traits<T>::size(like) == 0) { throw std::invalid_argument("anderson: x is empty"); }
        for (std::size_t i = 0; i < 2 * options.window + 3; ++i) {
            held_.push_back(tensor_traits<T>::like(like));
        }
        products_.resize(groups_);
        normal_.resize(groups_ * most * (most + 1));
        coefficients_.reserve(groups_ * (options.window > 0 ? 2U : 1U) * (2 * options.window + 2));
        outputs_.reserve(2);
        inputs_.reserve(2 * options.window + 2);
    }

    /// Forgets what it has seen: the next step is a plain one.
    void reset() { seen_ = 0; }

    /// One step of the iteration: x becomes the next point.
    /// - `x`      in: x_k; out: x_{k+1}.
    /// - `image`  G(x_k).
    void step(T& x, const T& image) {
        using traits = tensor_traits<T>;
        if (!traits::same_shape(x, held_[0]) || !traits::same_shape(image, held_[0])) {
            throw std::invalid_argument("anderson: x must keep its shape");
        }
        const std::size_t m = options_.window;
        T& f = held_[2 * m + 2];
        if (m == 0 || seen_ == 0) {
            T* const written[] = {&f};
            const T* const read[] = {&x, &image};
            const double weights[] = {-1.0, 1.0};
            traits::affine(written, weights, read);
        } else {  // the newest difference takes the place of the oldest
            const std::size_t slot = (seen_ - 1) % m;
            T* const written[] = {&f, &held_[2 * slot], &held_[2 * slot + 1]};
            const T* const read[] = {&x, &image, &held_[2 * m], &held_[2 * m + 1]};
            const double weights[] = {-1.0, 1.0, 0.0,  0.0,    // f
                                      1.0,  0.0, -1.0, 0.0,    // dX
                                      -1.0, 1.0, 0.0,  -1.0};  // dF
            traits::affine(written, weights, read);
        }
        const std::size_t used = std::min(seen_, m);
        solve(used, f);

        // x and f become the points before, and x the next one.
        std::vector<T*>& outputs = outputs_;
        std::vector<const T*>& inputs = inputs_;
        outputs.assign({&x});
        inputs.assign({&x, &f});
        for (std::size_t i = 0; i < used; ++i) {
            inputs.push_back(&held_[2 * i]);
            inputs.push_back(&held_[2 * i + 1]);
        }
        if (m > 0) {
            outputs.push_back(&held_[2 * m]);  // keeps x_k
            std::swap(held_[2 * m + 1], f);    // keeps f_k
            inputs[1] = &held_[2 * m + 1];
        }
        const std::size_t n = inputs.size();
        coefficients_.assign(groups_ * outputs.size() * n, 0.0);
        for (std::size_t g = 0; g < groups_; ++g) {
            double* const row = coefficients_.data() + g * outputs.size() * n;
            row[0] = 1.0;
            row[1] = options_.damping;
            for (std::size_t i = 0; i < used; ++i) {
                const double gamma = normal_[g * most * (most + 1) + i];
                row[2 + 2 * i] = -gamma;
                row[3 + 2 * i] = -gamma * options_.damping;
            }
            if (m > 0) { row[n] = 1.0; }
        }
        affine_groups<T>(outputs, coefficients_, inputs, groups_);
        ++seen_;
    }

private:
    static constexpr std::size_t most = 16;

    /// gamma of every group, at the begin of its part of `normal_`.
    void solve(std::size_t used, const T& f) {
        if (used == 0) { return; }
        const std::size_t stride = most * (most + 1);
        for (std::size_t i = 0; i < used; ++i) {
            const T& first = held_[2 * i + 1];
            for (std::size_t j = i; j <= used; ++j) {
                dot_groups(first, j < used ? held_[2 * j + 1] : f, std::span<double>(products_));
                for (std::size_t g = 0; g < groups_; ++g) { entry(g, i, j) = products_[g]; }
            }
        }
        for (std::size_t g = 0; g < groups_; ++g) {
            double gamma[most] = {};
            factor_and_solve(g, used, gamma);
            double sum = 0.0;
            for (std::size_t i = 0; i < used; ++i) { sum += std::abs(gamma[i]); }
            const double scale = sum > options_.trust ? options_.trust / sum : 1.0;
            for (std::size_t i = 0; i < used; ++i) { normal_[g * stride + i] = scale * gamma[i]; }
        }
    }

    /// Element (i, j) of a group's normal matrix, i <= j; column `used` is the right-hand side.
    [[nodiscard]] double& entry(std::size_t g, std::size_t i, std::size_t j) {
        return normal_[g * most * (most + 1) + i * (most + 1) + j];
    }

    /// Cholesky's method; directions in which nothing is left but rounding get no weight.
    void factor_and_solve(std::size_t g, std::size_t n, double* gamma) {
        double largest = 0.0;
        for (std::size_t i = 0; i < n; ++i) { largest = std::max(largest, entry(g, i, i)); }
        if (!(largest > 0.0 && std::isfinite(largest))) { return; }
        double l[most][most] = {};
        double y[most] = {};
        const double floor = 64.0 * std::numeric_limits<double>::epsilon() * largest;
        for (std::size_t i = 0; i < n; ++i) {
            double rest = entry(g, i, n);
            for (std::size_t k = 0; k < i; ++k) { rest -= l[i][k] * y[k]; }
            double diagonal = entry(g, i, i) + options_.ridge * largest;
            for (std::size_t k = 0; k < i; ++k) { diagonal -= l[i][k] * l[i][k]; }
            if (!(diagonal > floor)) { continue; }
            l[i][i] = std::sqrt(diagonal);
            y[i] = rest / l[i][i];
            for (std::size_t j = i + 1; j < n; ++j) {
                double sum = entry(g, i, j);
                for (std::size_t k = 0; k < i; ++k) { sum -= l[i][k] * l[j][k]; }
                l[j][i] = sum / l[i][i];
            }
        }
        for (std::size_t i = n; i-- > 0;) {
            if (l[i][i] == 0.0) { continue; }
            double sum = y[i];
            for (std::size_t k = i + 1; k < n; ++k) { sum -= l[k][i] * gamma[k]; }
            gamma[i] = sum / l[i][i];
        }
    }

    anderson_options options_;
    std::size_t groups_;
    std::size_t seen_ = 0;
    std::vector<T> held_;  // dX_0, dF_0, dX_1, dF_1, ...; then x_{k-1}, f_{k-1}, and room for f_k
    std::vector<double> products_;
    std::vector<double> normal_;
    std::vector<double> coefficients_;
    std::vector<T*> outputs_;
    std::vector<const T*> inputs_;
};

}  // namespace tweedie::guidance
