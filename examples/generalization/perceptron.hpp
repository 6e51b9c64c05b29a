// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/random/noise.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace generalization {

/// A random matrix, the same on every machine.
template <class Scalar>
Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> random_matrix(Eigen::Index rows, Eigen::Index columns,
                                                                    std::uint64_t seed, std::uint32_t draw) {
    Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic> out(rows, columns);
    tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, draw)(
        0, 0, std::span<Scalar>(out.data(), static_cast<std::size_t>(out.size())));
    return out;
}

/// Layers with max(0, x) between them; pictures are columns. Weights and biases alternate in `weights`.
template <class Scalar>
class perceptron {
public:
    using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

    perceptron(const std::vector<Eigen::Index>& sizes, std::uint64_t seed) {
        for (std::size_t i = 0; i + 1 < sizes.size(); ++i) {
            const auto deviation = static_cast<Scalar>(std::sqrt(2.0 / static_cast<double>(sizes[i])));
            weights.push_back(deviation * random_matrix<Scalar>(sizes[i + 1], sizes[i], seed,
                                                                static_cast<std::uint32_t>(i)));
            weights.push_back(matrix::Zero(sizes[i + 1], 1));
        }
    }

    /// Keeps what `backward` needs in `kept`: the input of every layer.
    [[nodiscard]] matrix forward(const matrix& x, std::vector<matrix>& kept) const {
        kept.assign(1, x);
        for (std::size_t i = 0; i < weights.size(); i += 2) {
            matrix y = (weights[i] * kept.back()).colwise() + weights[i + 1].col(0);
            if (i + 2 == weights.size()) { return y; }
            kept.push_back(y.cwiseMax(Scalar{0}));
        }
        return x;
    }

    void backward(const std::vector<matrix>& kept, matrix by_output, std::vector<matrix>& gradients) const {
        gradients.resize(weights.size());
        for (std::size_t i = weights.size(); i > 0; i -= 2) {
            const matrix& input = kept[i / 2 - 1];
            gradients[i - 2].noalias() = by_output * input.transpose();
            gradients[i - 1] = by_output.rowwise().sum();
            if (i > 2) {
                const matrix by_input = weights[i - 2].transpose() * by_output;
                by_output = (input.array() > Scalar{0})
                                .select(by_input, matrix::Zero(by_input.rows(), by_input.cols()));
            }
        }
    }

    std::vector<matrix> weights;
};

}  // namespace generalization
