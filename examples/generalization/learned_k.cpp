// SPDX-License-Identifier: MIT
// k-Diff: the network predicts u = k x - (1 - k) n of z = t x + (1 - t) n, and k is learned with it.
//
// A perfect network has the same loss of the velocity for every k: what is learned depends on what the network
// finds hard. So each learned k stands beside the exact best k of the network that finds everything hard and
// says u = 0, and both are measured for two distributions of t.
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

/// t of a standard normal number.
double time_of(double normal, double mean) { return 1 / (1 + std::exp(-mean - 0.8 * normal)); }

/// The least of E |(1 - 2 k) z / delta - v|^2, the loss of the velocity where u = 0, from second moments:
/// E |x|^2 = 2, E |n|^2 = D, no correlation.
double best_k_of_silence(double dimension, double mean) {
    const auto loss = [&](double k) {
        double sum = 0;
        for (int i = -400; i <= 400; ++i) {  // the normal density on a grid: exact to many digits
            const double normal = 0.02 * i;
            const double t = time_of(normal, mean);
            const double c = (1 - 2 * k) / std::max(0.05, t * (1 - k) + (1 - t) * k);
            const double zz = 2 * t * t + dimension * (1 - t) * (1 - t);
            const double zv = 2 * t - dimension * (1 - t);
            sum += std::exp(-0.5 * normal * normal) * (c * c * zz - 2 * c * zv);
        }
        return sum;
    };
    double best = 0;
    for (int i = 1; i <= 1000; ++i) {
        if (loss(i / 1000.0) < loss(best)) { best = i / 1000.0; }
    }
    return best;
}

/// The k that a training ends with: a spiral in a random plane of R^D, loss of the velocity v = x - n.
///
///     v_hat = ((1 - 2 k) z + u) / delta,   delta = max(0.05, t (1 - k) + (1 - t) k),   k = 1 / (1 + exp(-w))
double learn_k(Eigen::Index dimension, double mean, int steps, std::uint64_t seed) {
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
            const double radius = 2 * std::sqrt(part);  // E |x|^2 = 2
            x.col(i) = plane.col(0) * static_cast<float>(radius * std::cos(angle)) +
                       plane.col(1) * static_cast<float>(radius * std::sin(angle));
            t(i) = static_cast<float>(time_of(static_cast<double>(places(1, i)), mean));
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
        "(d) k-Diff: k learned by the loss of the velocity; data of dimension 2 in D dimensions, %d steps; "
        "t is the logistic\n"
        "    function of a normal number of mean m and deviation 0.8. Theory: D / (D + 2). Silence: the best "
        "k "
        "where u = 0.\n\n"
        "    %4s %8s %6s %8s %18s\n",
        steps, "D", "theory", "m", "silence", "learned");
    for (const Eigen::Index dimension : {2, 16, 128}) {
        const auto d = static_cast<double>(dimension);
        for (const double mean : {0.0, -0.8}) {
            std::vector<double> ends;
            for (std::uint64_t seed = 0; seed < seeds; ++seed) {
                ends.push_back(learn_k(dimension, mean, steps, seed));
            }
            std::printf("    %4.0f %8.3f %6.1f %8.3f %18s\n", d, d / (d + 2), mean,
                        best_k_of_silence(d, mean), spread(ends, 3).c_str());
            std::fflush(stdout);
        }
    }
    std::printf("\n");
}

}  // namespace generalization
