// SPDX-License-Identifier: MIT
#include "network.hpp"

#include <tweedie/optim/half.hpp>
#include <tweedie/random/noise.hpp>

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>

namespace train_digits {

namespace {

enum place { w_in, b_in, w_noise, w_class, b_e, first_block, w_out = first_block + 4, b_out, count };

template <class Matrix>
Matrix sigmoid(const Matrix& x) {
    return ((-x.array()).exp() + 1).inverse().matrix();
}

template <class Matrix>
Matrix silu(const Matrix& x) {
    return x.cwiseProduct(sigmoid(x));
}

/// `by_silu`, the derivatives by silu(x), become those by x.
template <class Matrix>
Matrix through_silu(const Matrix& x, const Matrix& by_silu) {
    const Matrix p = sigmoid(x);
    return (by_silu.array() * p.array() * (1 + x.array() * (1 - p.array()))).matrix();
}

}  // namespace

template <class Scalar>
network<Scalar>::network(std::uint64_t seed) {
    std::uint32_t draw = 0;
    const auto random = [&](int rows, int columns, double deviation) {
        std::vector<double> z(static_cast<std::size_t>(rows * columns));
        tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, draw++)(0, 0, std::span<double>(z));
        return matrix(
            (Eigen::Map<Eigen::MatrixXd>(z.data(), rows, columns) * deviation).template cast<Scalar>());
    };
    const auto zero = [](int rows, int columns) { return matrix(matrix::Zero(rows, columns)); };
    weights.resize(count);
    weights[w_in] = random(width, pixels, 1 / std::sqrt(pixels));
    weights[b_in] = zero(width, 1);
    weights[w_noise] = random(width, features, 1 / std::sqrt(features));
    weights[w_class] = random(width, classes + 1, 0.5);
    weights[b_e] = zero(width, 1);
    for (std::size_t k = 0; k < blocks; ++k) {
        weights[first_block + 2 * k] = random(width, width, std::sqrt(2.0 / width));
        weights[first_block + 2 * k + 1] = zero(width, width);
    }
    weights[w_out] = zero(pixels, width);
    weights[b_out] = zero(pixels, 1);
}

template <class Scalar>
auto network<Scalar>::forward(const matrix& x, const Eigen::Ref<const Eigen::RowVectorXd>& condition,
                              const std::vector<int>& labels, trace& kept) const -> matrix {
    const Eigen::Index n = x.cols();
    kept.x = x;
    kept.labels = labels;
    kept.f.resize(features, n);
    for (Eigen::Index i = 0; i < n; ++i) {
        for (int k = 0; k < features / 2;
             ++k) {  // periods from 8 down to 0.5, over conditions from -1.6 to 1.1
            const double angle =
                2 * std::numbers::pi * condition(i) * std::exp2(4.0 * k / (features / 2 - 1)) / 8;
            kept.f(2 * k, i) = static_cast<Scalar>(std::cos(angle));
            kept.f(2 * k + 1, i) = static_cast<Scalar>(std::sin(angle));
        }
    }
    matrix e = weights[w_noise] * kept.f;
    for (Eigen::Index i = 0; i < n; ++i) {
        e.col(i) += weights[w_class].col(labels[static_cast<std::size_t>(i)]) + weights[b_e].col(0);
    }
    kept.h[0] = (weights[w_in] * x).colwise() + weights[b_in].col(0);
    for (std::size_t k = 0; k < blocks; ++k) {
        kept.s[k] = silu(kept.h[k]);
        kept.a[k] = e;
        kept.a[k].noalias() += weights[first_block + 2 * k] * kept.s[k];
        kept.t[k] = silu(kept.a[k]);
        kept.h[k + 1] = kept.h[k];
        kept.h[k + 1].noalias() += weights[first_block + 2 * k + 1] * kept.t[k];
    }
    kept.s[blocks] = silu(kept.h[blocks]);
    return (weights[w_out] * kept.s[blocks]).colwise() + weights[b_out].col(0);
}

template <class Scalar>
void network<Scalar>::backward(const trace& kept, const matrix& by_output,
                               std::vector<matrix>& gradients) const {
    gradients.resize(weights.size());
    gradients[w_out].noalias() = by_output * kept.s[blocks].transpose();
    gradients[b_out] = by_output.rowwise().sum();
    matrix by_h = through_silu(kept.h[blocks], matrix(weights[w_out].transpose() * by_output));
    matrix by_e = matrix::Zero(width, by_h.cols());
    for (std::size_t k = blocks; k-- > 0;) {
        const matrix& a = weights[first_block + 2 * k];
        const matrix& c = weights[first_block + 2 * k + 1];
        gradients[first_block + 2 * k + 1].noalias() = by_h * kept.t[k].transpose();
        const matrix by_a = through_silu(kept.a[k], matrix(c.transpose() * by_h));
        gradients[first_block + 2 * k].noalias() = by_a * kept.s[k].transpose();
        by_e += by_a;
        by_h += through_silu(kept.h[k], matrix(a.transpose() * by_a));
    }
    gradients[w_in].noalias() = by_h * kept.x.transpose();
    gradients[b_in] = by_h.rowwise().sum();
    gradients[w_noise].noalias() = by_e * kept.f.transpose();
    gradients[b_e] = by_e.rowwise().sum();
    gradients[w_class] = matrix::Zero(width, classes + 1);
    for (Eigen::Index i = 0; i < by_e.cols(); ++i) {
        gradients[w_class].col(kept.labels[static_cast<std::size_t>(i)]) += by_e.col(i);
    }
}

template <class Scalar>
std::size_t network<Scalar>::size() const {
    std::size_t sum = 0;
    for (const matrix& w : weights) { sum += static_cast<std::size_t>(w.size()); }
    return sum;
}

template class network<float>;
template class network<double>;

namespace {

constexpr char mark[8] = {'d', 'i', 'g', 'i', 't', 's', '0', '1'};

}  // namespace

void save(const trained& from, const std::filesystem::path& file) {
    std::string bytes(mark, sizeof mark);
    const auto data = std::bit_cast<std::uint64_t>(from.sigma_data);
    for (unsigned i = 0; i < 8; ++i) { bytes.push_back(static_cast<char>((data >> (8 * i)) & 0xffU)); }
    for (const auto& w : from.net.weights) {
        for (Eigen::Index i = 0; i < w.size(); ++i) {
            const std::uint16_t bits = tweedie::optim::float16(w.data()[i]).bits;
            bytes.push_back(static_cast<char>(bits & 0xffU));
            bytes.push_back(static_cast<char>(bits >> 8U));
        }
    }
    std::ofstream out(file, std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (!out.flush()) { throw std::runtime_error("cannot write " + file.string()); }
}

trained load(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) { throw std::runtime_error("cannot read the network " + file.string()); }
    trained out;
    std::string bytes(16 + 2 * out.net.size() + 1, 0);
    in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    bytes.resize(static_cast<std::size_t>(in.gcount()));
    if (bytes.size() != 16 + 2 * out.net.size() || std::memcmp(bytes.data(), mark, sizeof mark) != 0) {
        throw std::runtime_error(file.string() + " is no network for digits");
    }
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    std::uint64_t data = 0;
    for (std::size_t i = 0; i < 8; ++i) { data |= std::uint64_t{byte(8 + i)} << (8 * i); }
    out.sigma_data = std::bit_cast<double>(data);
    std::size_t at = 16;
    for (auto& w : out.net.weights) {
        for (Eigen::Index i = 0; i < w.size(); ++i, at += 2) {
            tweedie::optim::float16 half;
            half.bits = static_cast<std::uint16_t>(byte(at) | (unsigned{byte(at + 1)} << 8U));
            w.data()[i] = static_cast<float>(half);
        }
    }
    return out;
}

}  // namespace train_digits
