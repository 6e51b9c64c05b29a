// SPDX-License-Identifier: MIT
#pragma once

#include <Eigen/Core>

#include <cstdint>
#include <filesystem>
#include <vector>

namespace train_digits {

/// A class-conditional network for small pictures: a perceptron with two residual blocks, written out
/// forwards and backwards.
///
///     e   = W_noise f(c) + W_class[label] + b_e              f: cosines and sines of the noise condition c
///     h_0 = W_in x + b_in
///     a_k = A_k silu(h_k) + e,   h_{k+1} = h_k + C_k silu(a_k)
///     out = W_out silu(h_last) + b_out
///
/// Pictures are columns. The label `classes` stands for "any digit".
template <class Scalar>
class network {
public:
    using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;

    static constexpr int pixels = 64;
    static constexpr int classes = 10;
    static constexpr int width = 128;
    static constexpr int features = 16;
    static constexpr int blocks = 2;

    /// Random weights; the last layer and the ends of the blocks start at zero.
    explicit network(std::uint64_t seed);

    /// What `forward` leaves for `backward`.
    struct trace {
        matrix x, f;
        std::vector<int> labels;
        matrix h[blocks + 1], s[blocks + 1];  // the residual stream, and silu of it
        matrix a[blocks], t[blocks];          // inside the blocks
    };

    /// - condition  one number per column: a quarter of the logarithm of the noise level.
    /// - labels     one per column, 0 to `classes`.
    [[nodiscard]] matrix forward(const matrix& x, const Eigen::Ref<const Eigen::RowVectorXd>& condition,
                                 const std::vector<int>& labels, trace& kept) const;

    /// The derivatives of a loss by the weights, in the order of `weights`, from those by the output.
    void backward(const trace& kept, const matrix& by_output, std::vector<matrix>& gradients) const;

    /// W_in, b_in, W_noise, W_class, b_e, A_0, C_0, A_1, C_1, W_out, b_out.
    std::vector<matrix> weights;

    [[nodiscard]] std::size_t size() const;
};

extern template class network<float>;
extern template class network<double>;

/// A trained network as it is saved: weights rounded to 16 bits, and what its outputs mean.
struct trained {
    network<float> net{0};
    double sigma_data = 0.5;
};

/// - errors  `std::runtime_error`: the file cannot be written.
void save(const trained& from, const std::filesystem::path& file);

/// - errors  `std::runtime_error`: no such file, or other contents.
[[nodiscard]] trained load(const std::filesystem::path& file);

}  // namespace train_digits
