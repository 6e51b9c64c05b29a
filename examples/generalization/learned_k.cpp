// SPDX-License-Identifier: MIT
// k-Diff: the network predicts u = k x - (1 - k) n of z = t x + (1 - t) n, and k is learned with it.
#include <tweedie/optim/groups.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <numbers>
#include <vector>

#include "contestants.hpp"
#include "experiments.hpp"
#include "perceptron.hpp"

namespace generalization {

namespace {

using matrix = Eigen::MatrixXf;

/// The k that a training ends with: a spiral in a random plane of R^D, loss of the velocity x - n.
///
///     v_hat = ((1 - 2 k) z + u) / delta,   delta = max(0.05, t (1 - k) + (1 - t) k),   k = 1 / (1 + exp(-w))
double learn_k(Eigen::Index dimension, int steps, std::uint64_t seed) {
    constexpr Eigen::Index batch = 128;
    const matrix plane = [&] {  // two orthonormal columns
        matrix p = random_matrix<float>(dimension, 2, seed, 100);
        p.col(0).normalize();
        p.col(1) -= p.col(0).dot(p.col(1)) * p.col(0);
        p.col(1).normalize();
        return p;
    }();
    perceptron<float> network({dimension + 1, 128, 128, 128, dimension}, seed);
    std::vector<float> w{0.0F};
    std::vector<float> by_w(1);
    optim::state<float> state;
    optim::state<float> state_of_w;
    std::vector<matrix> kept;
    std::vector<matrix> gradients;
    for (int step = 0; step < steps; ++step) {
        const auto draw = static_cast<std::uint32_t>(3 * step + 1000);
        const matrix places = random_matrix<float>(2, batch, seed, draw);
        const matrix noise = random_matrix<float>(dimension, batch, seed, draw + 1);
        matrix x(dimension, batch);
        matrix input(dimension + 1, batch);
        Eigen::RowVectorXf t(batch);
        for (Eigen::Index i = 0; i < batch; ++i) {
            const double part = 0.5 * (1 + std::erf(static_cast<double>(places(0, i)) / std::numbers::sqrt2));
            const double angle = 3 * std::numbers::pi * std::sqrt(part);
            const double radius =
                angle / (3 * std::numbers::pi) * 2;  // of variance 1 along each axis, nearly
            x.col(i) = plane.col(0) * static_cast<float>(radius * std::cos(angle)) +
                       plane.col(1) * static_cast<float>(radius * std::sin(angle));
            t(i) = static_cast<float>(1 / (1 + std::exp(0.8 - 0.8 * static_cast<double>(places(1, i)))));
        }
        const float k = 1 / (1 + std::exp(-w[0]));
        const matrix z = x * t.asDiagonal() + noise * (1 - t.array()).matrix().asDiagonal();
        input << z, t;
        const matrix u = network.forward(input, kept);
        matrix by_u(dimension, batch);
        double by_k = 0;
        const auto count = static_cast<float>(dimension * batch);
        for (Eigen::Index i = 0; i < batch; ++i) {
            const float plain = t(i) * (1 - k) + (1 - t(i)) * k;
            const float delta = std::max(0.05F, plain);
            const Eigen::VectorXf v = ((1 - 2 * k) * z.col(i) + u.col(i)) / delta;
            const Eigen::VectorXf by_v = (v - (x.col(i) - noise.col(i))) * (2 / count);
            by_u.col(i) = by_v / delta;
            by_k += static_cast<double>(by_v.dot(z.col(i)) * (-2 / delta));
            if (plain > 0.05F) { by_k -= static_cast<double>(by_v.dot(v) * (1 - 2 * t(i)) / delta); }
        }
        network.backward(kept, by_u, gradients);
        by_w[0] = static_cast<float>(by_k) * k * (1 - k);
        const auto result = optim::step_groups(
            {}, optim::group(optim::adam{.learning_rate = 1e-3}, network.weights, gradients, state),
            optim::group(optim::adam{.learning_rate = 1e-2}, w, by_w, state_of_w));
        if (!result) { return -1; }
    }
    return 1 / (1 + std::exp(-static_cast<double>(w[0])));
}

}  // namespace

void learned_k(effort how_much) {
    const int steps = how_much == effort::full ? 3000 : 5;
    const std::uint64_t seeds = how_much == effort::full ? 3 : 1;
    std::printf(
        "(d) k-Diff: k learned by the loss of the velocity, data of dimension 2 in D dimensions, %d steps; "
        "theory says\n"
        "    D / (D + 2).\n\n    %4s %8s %18s\n",
        steps, "D", "theory", "learned");
    for (const Eigen::Index dimension : {2, 16, 128}) {
        std::vector<double> ends;
        for (std::uint64_t seed = 0; seed < seeds; ++seed) {
            ends.push_back(learn_k(dimension, steps, seed));
        }
        const auto d = static_cast<double>(dimension);
        std::printf("    %4.0f %8.3f %18s\n", d, d / (d + 2), spread(ends, 3).c_str());
        std::fflush(stdout);
    }
    std::printf("\n");
}

}  // namespace generalization
