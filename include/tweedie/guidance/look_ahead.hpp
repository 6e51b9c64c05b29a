// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/guidance/gradient.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/blocks.hpp>
#include <tweedie/tensor/concept.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::guidance {

/// Guidance towards a linear measurement of the data, `y = <g, x0> + noise`: looking ahead to x0_hat.
///
///     grad_x log p(y | x) = (y - <g, x0_hat>) J^T g / (noise^2 + sigma^2 / alpha <g, J^T g>)
///
/// With g the gradient of an objective and y a little above <g, z>, samples move up the objective and stay
/// where data are, since J^T maps into the data's directions: optimisation by sampling,
///
///     g = grad f(z),  y = delta + <g, z>,  z <- a sample drawn towards (g, y);  repeat
///
/// Source: Guo, Yuan et al. 2024, arXiv:2404.14743, gradient guidance with look-ahead loss (Algorithm 1 is
/// the loop). Deviation: the variance of <g, x0> given x is sigma^2 / alpha <g, J^T g>, exact for Gaussian
/// data and taken for 0 where a network's comes out negative; theirs takes the data's covariance to be the
/// identity. For a linear objective theta the loop ends at
/// `mean + delta / noise^2 covariance theta`.
///
/// - `direction`  g, a tensor like x.
/// - `target`     y, one number per sample.
/// - `product`    J^T v, see `jacobian_product`.
/// - `deviation`  standard deviation of the noise of y; > 0.
/// - cost    one product, two inner products; one tensor besides g.
/// - errors  `std::invalid_argument`: a deviation that is not positive, a number of targets that is not the
///           batch.
/// - choose  as the gradient of `with_gradient`.
template <grouped_tensor T, class Product>
    requires jacobian_product<Product, T>
class look_ahead {
public:
    look_ahead(T direction, std::vector<double> target, Product product, double deviation)
        : direction_(std::move(direction)),
          target_(std::move(target)),
          product_(std::move(product)),
          variance_(deviation * deviation) {
        if (!(deviation > 0.0 && std::isfinite(deviation))) {
            throw std::invalid_argument("look_ahead: deviation must be positive");
        }
        if (target_.size() != tensor_traits<T>::batch(direction_)) {
            throw std::invalid_argument("look_ahead: need one target for each sample of the direction");
        }
        seen_.resize(target_.size());
        spread_.resize(target_.size());
    }

    void operator()(const T& x, const level& at, const T& x0_hat, T& out) {
        if (!tensor_traits<T>::same_shape(x, direction_)) {
            throw std::invalid_argument("look_ahead: the direction must have the shape of x");
        }
        product_(x, at, std::as_const(direction_), out);
        dot_groups(direction_, x0_hat, std::span<double>(seen_));
        dot_groups(direction_, out, std::span<double>(spread_));
        for (std::size_t s = 0; s < target_.size(); ++s) {
            const double spread = at.sigma * at.sigma / at.alpha * std::max(0.0, spread_[s]);
            seen_[s] = (target_[s] - seen_[s]) / (variance_ + spread);
        }
        T* const written[] = {&out};
        const T* const read[] = {&out};
        affine_groups<T>(written, seen_, read, seen_.size());
    }

private:
    T direction_;
    std::vector<double> target_;
    Product product_;
    double variance_;
    std::vector<double> seen_;
    std::vector<double> spread_;
};

}  // namespace tweedie::guidance
