// SPDX-License-Identifier: MIT
// Digits by a perceptron that could learn them by heart: 200 to learn from, 400 to choose the learning rate
// by, the other 1197 to test.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <random>
#include <vector>

#include "contestants.hpp"
#include "experiments.hpp"
#include "perceptron.hpp"

namespace generalization {

namespace {

using matrix = Eigen::MatrixXd;
using net = perceptron<double>;

struct examples {
    matrix x;
    std::vector<int> labels;
};

examples chosen(const examples& from, const std::vector<std::size_t>& which) {
    examples out{matrix(from.x.rows(), static_cast<Eigen::Index>(which.size())), {}};
    for (std::size_t i = 0; i < which.size(); ++i) {
        out.x.col(static_cast<Eigen::Index>(i)) = from.x.col(static_cast<Eigen::Index>(which[i]));
        out.labels.push_back(from.labels[which[i]]);
    }
    return out;
}

struct judged {
    double loss = 0;
    double accuracy = 0;
};

/// Mean cross entropy, and its gradient.
judged judge(const net& network, const examples& on, std::vector<matrix>* gradients) {
    std::vector<matrix> kept;
    matrix p = network.forward(on.x, kept);
    judged out;
    const auto count = static_cast<double>(p.cols());
    for (Eigen::Index i = 0; i < p.cols(); ++i) {
        const int label = on.labels[static_cast<std::size_t>(i)];
        Eigen::Index best = 0;
        const double top = p.col(i).maxCoeff(&best);
        out.accuracy += best == label ? 1 / count : 0;
        p.col(i) = (p.col(i).array() - top).exp();
        p.col(i) /= p.col(i).sum();
        out.loss -= std::log(std::max(p(label, i), 1e-300)) / count;
        p(label, i) -= 1;
    }
    if (gradients != nullptr) { network.backward(kept, p / count, *gradients); }
    return out;
}

/// The largest eigenvalue of the Hessian of the loss, by power iteration on differences of gradients.
double sharpness(net network, const examples& on) {
    const std::vector<matrix> at = network.weights;
    std::vector<matrix> v;
    for (std::size_t k = 0; k < at.size(); ++k) {
        v.push_back(random_matrix<double>(at[k].rows(), at[k].cols(), 5, static_cast<std::uint32_t>(k)));
    }
    std::vector<matrix> up;
    std::vector<matrix> down;
    double eigenvalue = 0;
    for (int round = 0; round < 60; ++round) {
        double norm = 0;
        for (const matrix& one : v) { norm += one.squaredNorm(); }
        norm = std::sqrt(norm);
        if (!(norm > 0)) { return 0; }
        constexpr double h = 1e-4;
        for (std::size_t k = 0; k < at.size(); ++k) {
            v[k] /= norm;
            network.weights[k] = at[k] + h * v[k];
        }
        (void)judge(network, on, &up);
        for (std::size_t k = 0; k < at.size(); ++k) { network.weights[k] = at[k] - h * v[k]; }
        (void)judge(network, on, &down);
        eigenvalue = 0;
        for (std::size_t k = 0; k < at.size(); ++k) {
            const matrix image = (up[k] - down[k]) / (2 * h);
            eigenvalue += image.cwiseProduct(v[k]).sum();
            v[k] = image;
        }
    }
    return eigenvalue;
}

struct result {
    judged train, held_out;
    double sharp = 0;
    bool fine = true;
};

result learn(optimizer method, double rate, const examples& train, const examples& held_out, int steps,
             std::uint64_t seed, bool measure_sharpness) {
    net network({64, 64, 10}, seed);
    std::mt19937_64 engine(seed);
    optim::state<double> state;
    std::vector<matrix> gradients;
    result out;
    for (int t = 0; t < steps && out.fine; ++t) {
        std::vector<std::size_t> batch(32);
        for (std::size_t& i : batch) { i = engine() % train.labels.size(); }
        (void)judge(network, chosen(train, batch), &gradients);
        const double now = rate * 0.5 * (1 + std::cos(3.141592653589793 * t / steps));
        out.fine = step(method, now, network.weights, gradients, state);
    }
    out.train = judge(network, train, nullptr);
    out.held_out = judge(network, held_out, nullptr);
    if (measure_sharpness && out.fine) { out.sharp = sharpness(network, train); }
    return out;
}

}  // namespace

void classify(const digits::real_digits& real, effort how_much) {
    const int steps = how_much == effort::full ? 2000 : 20;
    const int seeds = how_much == effort::full ? 5 : 1;
    examples all{matrix(digits::pixels, 0), {}};
    for (int c = 0; c < digits::classes; ++c) {
        const auto& one = real[static_cast<std::size_t>(c)];
        matrix joined(digits::pixels, all.x.cols() + one.cols());
        joined << all.x, one;
        all.x = joined;
        all.labels.insert(all.labels.end(), static_cast<std::size_t>(one.cols()), c);
    }
    std::vector<std::size_t> order(all.labels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::mt19937_64 engine(3);
    for (std::size_t i = order.size(); i > 1; --i) { std::swap(order[i - 1], order[engine() % i]); }
    const auto part = [&](std::size_t first, std::size_t last) {
        return chosen(all, {order.begin() + static_cast<std::ptrdiff_t>(first),
                            order.begin() + static_cast<std::ptrdiff_t>(last)});
    };
    const examples train = part(0, 200);
    const examples validation = part(200, 600);
    const examples test = part(600, order.size());

    std::printf(
        "(b) Classification of digits: %zu to learn from, %zu to test, perceptron 64-64-10, %d steps of 32, "
        "cosine;\n"
        "    learning rate by the loss on %zu others (one seed of its own). Mean and standard deviation of "
        "%d seeds.\n\n"
        "    %-10s %8s %18s %18s %20s %20s\n",
        train.labels.size(), test.labels.size(), steps, validation.labels.size(), seeds, "", "rate",
        "test error %", "test loss", "test - train loss", "sharpness");
    for (const contestant& one : contestants(steps)) {
        double best = one.rates.front();
        double least = 1e300;
        for (const double rate : one.rates) {
            const result tried = learn(one.method, rate, train, validation, steps, 1000, false);
            if (tried.fine && std::isfinite(tried.held_out.loss) && tried.held_out.loss < least) {
                least = tried.held_out.loss;
                best = rate;
            }
        }
        std::vector<double> errors;
        std::vector<double> losses;
        std::vector<double> gaps;
        std::vector<double> sharp;
        for (int seed = 0; seed < seeds; ++seed) {
            const result r =
                learn(one.method, best, train, test, steps, static_cast<std::uint64_t>(seed), true);
            if (!r.fine || !std::isfinite(r.train.loss)) { continue; }
            errors.push_back(100 * (1 - r.held_out.accuracy));
            losses.push_back(r.held_out.loss);
            gaps.push_back(r.held_out.loss - r.train.loss);
            sharp.push_back(r.sharp);
        }
        std::printf("    %-10s %8g %18s %18s %20s %20s\n", one.name.c_str(), best, spread(errors, 2).c_str(),
                    spread(losses, 3).c_str(), spread(gaps, 3).c_str(), spread(sharp, 2).c_str());
    }
    std::printf("\n");
}

}  // namespace generalization
