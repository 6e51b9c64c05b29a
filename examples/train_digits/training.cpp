// SPDX-License-Identifier: MIT
#include "training.hpp"

#include <tweedie/optim/adabelief.hpp>
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/adan.hpp>
#include <tweedie/optim/dual_adam.hpp>
#include <tweedie/optim/ema.hpp>
#include <tweedie/optim/learning_rate.hpp>
#include <tweedie/optim/lion.hpp>
#include <tweedie/optim/nadam.hpp>
#include <tweedie/optim/radam.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <utility>
#include <variant>

namespace train_digits {

namespace {

namespace optim = tweedie::optim;

using optimizer = std::variant<optim::adam, optim::adamw, optim::dual_adam, optim::inv_adam, optim::nadam,
                               optim::radam, optim::adabelief, optim::adan, optim::lion, optim::sgd>;

struct named {
    const char* name;
    double learning_rate;
    optimizer make;
};

/// With rates found by trying a few on this problem.
std::vector<named> known(int steps) {
    const optim::clipping clip{.norm = 1};
    return {
        {"adam", 3e-3, optim::adam{.clip = clip}},
        {"adamw", 3e-3, optim::adamw{.clip = clip}},
        {"dual_adam", 3e-3, optim::dual_adam{.switch_rate = optim::switch_after(0.16, steps), .clip = clip}},
        {"inv_adam", 30, optim::inv_adam{.clip = clip}},
        {"nadam", 3e-3, optim::nadam{.clip = clip}},
        {"radam", 3e-3, optim::radam{.clip = clip}},
        {"adabelief", 3e-3, optim::adabelief{.clip = clip}},
        {"adan", 5e-3, optim::adan{.clip = clip}},
        {"lion", 3e-4, optim::lion{.clip = clip}},
        {"sgd", 0.3, optim::sgd{.momentum = 0.9, .clip = clip}}};
}

/// All pictures side by side, with their labels.
struct data_set {
    explicit data_set(const digits::real_digits& real) {
        Eigen::Index count = 0;
        for (const auto& one : real) { count += one.cols(); }
        pictures.resize(digits::pixels, count);
        Eigen::Index at = 0;
        for (int c = 0; c < digits::classes; ++c) {
            const auto& one = real[static_cast<std::size_t>(c)];
            pictures.middleCols(at, one.cols()) = one;
            at += one.cols();
            labels.insert(labels.end(), static_cast<std::size_t>(one.cols()), c);
        }
        const double mean = pictures.mean();
        deviation = std::sqrt((pictures.array() - mean).square().mean());
    }
    Eigen::MatrixXd pictures;
    std::vector<int> labels;
    double deviation = 0;
};

/// Pictures with noise, and what the network should say.
template <class Scalar>
struct batch {
    typename network<Scalar>::matrix input, target;
    Eigen::RowVectorXd condition;
    std::vector<int> labels;
};

/// EDM: x = y + sigma n with ln sigma normal; the network sees c_in x and should say (y - c_skip x) / c_out,
/// which has variance 1 at every noise level. Source: Karras et al. 2022, arXiv:2206.00364, table 1.
template <class Scalar>
batch<Scalar> noisy(const data_set& data, const std::vector<std::size_t>& which, std::vector<int> labels,
                    std::uint64_t seed, std::uint32_t step) {
    constexpr double mean_of_log = -0.8;
    constexpr double deviation_of_log = 1.4;
    const auto size = static_cast<Eigen::Index>(which.size());
    Eigen::MatrixXd z(digits::pixels + 1, size);
    tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, 1000 + step)(
        0, 0, std::span<double>(z.data(), static_cast<std::size_t>(z.size())));
    batch<Scalar> out;
    out.labels = std::move(labels);
    out.input.resize(digits::pixels, size);
    out.target.resize(digits::pixels, size);
    out.condition.resize(size);
    const double s = data.deviation;
    for (Eigen::Index i = 0; i < size; ++i) {
        const double sigma = std::exp(mean_of_log + deviation_of_log * z(digits::pixels, i));
        const double all = std::hypot(sigma, s);
        const Eigen::VectorXd y =
            data.pictures.col(static_cast<Eigen::Index>(which[static_cast<std::size_t>(i)]));
        const Eigen::VectorXd x = y + sigma * z.col(i).head(digits::pixels);
        out.condition(i) = std::log(sigma) / 4;
        out.input.col(i) = (x / all).template cast<Scalar>();
        out.target.col(i) = ((y - x * (s * s / (all * all))) * (all / (sigma * s))).template cast<Scalar>();
    }
    return out;
}

/// Random pictures, a part of them without their label.
template <class Scalar>
batch<Scalar> draw(const data_set& data, int size, double dropped_labels, std::mt19937_64& engine,
                   std::uint64_t seed, std::uint32_t step) {
    std::vector<std::size_t> which;
    std::vector<int> labels;
    for (int i = 0; i < size; ++i) {
        which.push_back(engine() % data.labels.size());
        const bool is_dropped = static_cast<double>(engine() >> 11U) * 0x1p-53 < dropped_labels;
        labels.push_back(is_dropped ? network<Scalar>::classes : data.labels[which.back()]);
    }
    return noisy<Scalar>(data, which, std::move(labels), seed, step);
}

/// The mean square over pixels and pictures, and its gradient.
template <class Scalar>
double loss(const network<Scalar>& net, const batch<Scalar>& shown, typename network<Scalar>::trace& kept,
            std::vector<typename network<Scalar>::matrix>& gradients) {
    using matrix = typename network<Scalar>::matrix;
    const matrix wrong = net.forward(shown.input, shown.condition, shown.labels, kept) - shown.target;
    const auto count = static_cast<Scalar>(wrong.size());
    net.backward(kept, matrix(wrong * (2 / count)), gradients);
    return static_cast<double>(wrong.squaredNorm() / count);
}

}  // namespace

std::vector<std::string> optimizer_names() {
    std::vector<std::string> out;
    for (const named& one : known(1)) { out.emplace_back(one.name); }
    return out;
}

double gradient_error(const digits::real_digits& real, std::uint64_t seed) {
    const data_set data(real);
    std::mt19937_64 engine(seed);
    network<double> net(seed);
    std::uint32_t number = 0;
    for (auto& w : net.weights) {  // nothing at zero, or nothing is seen of what is before it
        Eigen::MatrixXd z(w.rows(), w.cols());
        tweedie::noise{.seed = seed}.stream(tweedie::draw_kind::user, 500 + number++)(
            0, 0, std::span<double>(z.data(), static_cast<std::size_t>(z.size())));
        w += 0.05 * z;
    }
    const auto shown = draw<double>(data, 5, 0.3, engine, seed, 0);
    network<double>::trace kept;
    std::vector<Eigen::MatrixXd> gradients;
    std::vector<Eigen::MatrixXd> unused;
    (void)loss(net, shown, kept, gradients);
    double worst = 0;
    double largest = 0;
    for (std::size_t k = 0; k < net.weights.size(); ++k) {
        largest = std::max(largest, gradients[k].cwiseAbs().maxCoeff());
        for (int probe = 0; probe < 20; ++probe) {
            const auto i =
                static_cast<Eigen::Index>(engine() % static_cast<std::uint64_t>(net.weights[k].size()));
            double& w = net.weights[k].data()[i];
            const double before = w;
            constexpr double h = 1e-5;
            w = before + h;
            const double up = loss(net, shown, kept, unused);
            w = before - h;
            const double down = loss(net, shown, kept, unused);
            w = before;
            worst = std::max(worst, std::abs((up - down) / (2 * h) - gradients[k].data()[i]));
        }
    }
    return worst / largest;
}

outcome train(const digits::real_digits& real, const recipe& how, const std::function<void(double)>& watch) {
    const data_set data(real);
    const auto all = known(how.steps);
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const named& one) { return how.optimizer == one.name; });
    if (found == all.end()) { throw std::runtime_error("no optimizer " + how.optimizer); }
    optimizer chosen = found->make;
    const double top = how.learning_rate > 0 ? how.learning_rate : found->learning_rate;
    const optim::rate::warmup rate{
        .steps = 100, .then = optim::rate::cosine{.from = top, .to = top / 100, .steps = how.steps - 100.0}};

    outcome out{{network<float>(how.seed), data.deviation}, {}};
    network<float> net(how.seed);
    network<float>::trace kept;
    std::vector<network<float>::matrix> gradients;
    optim::state<float> memory;
    optim::state<float> average;
    const optim::power_ema ema{.sigma_rel = how.sigma_rel};
    std::mt19937_64 engine(how.seed);
    for (int step = 0; step < how.steps; ++step) {
        const auto shown = draw<float>(data, how.batch, how.dropped_labels, engine, how.seed,
                                       static_cast<std::uint32_t>(step));
        out.losses.push_back(loss(net, shown, kept, gradients));
        const auto result = std::visit(
            [&](auto& one) {
                one.learning_rate = rate(step);
                return one.step(net.weights, gradients, memory);
            },
            chosen);
        if (!result) { throw std::runtime_error(how.optimizer + ": " + to_string(result.status)); }
        ema.update(net.weights, average);
        if (watch) { watch(out.losses.back()); }
    }
    optim::power_ema::copy(average, out.network.net.weights);
    return out;
}

double denoising_loss(const trained& of, const digits::real_digits& on) {
    data_set data(on);
    data.deviation = of.sigma_data;
    std::vector<std::size_t> which(data.labels.size());
    std::iota(which.begin(), which.end(), std::size_t{0});
    network<float>::trace kept;
    double sum = 0;
    constexpr std::uint32_t rounds = 8;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        const auto shown = noisy<float>(data, which, data.labels, 12345, round);
        const network<float>::matrix wrong =
            of.net.forward(shown.input, shown.condition, shown.labels, kept) - shown.target;
        sum += static_cast<double>(wrong.squaredNorm()) / static_cast<double>(wrong.size());
    }
    return sum / rounds;
}

}  // namespace train_digits
