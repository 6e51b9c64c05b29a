// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/dual_adam.hpp>
#include <tweedie/optim/nadam.hpp>
#include <tweedie/optim/radam.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <cmath>
#include <cstdio>
#include <string>
#include <variant>
#include <vector>

namespace generalization {

namespace optim = tweedie::optim;

/// Who is compared.
using optimizer = std::variant<optim::sgd, optim::adam, optim::adamw, optim::radam, optim::nadam,
                               optim::inv_adam, optim::dual_adam>;

struct contestant {
    std::string name;
    optimizer method;
    std::vector<double> rates;  ///< learning rates to choose from
};

/// All of them, for a training of `steps` steps.
inline std::vector<contestant> contestants(int steps) {
    const std::vector<double> usual{3e-4, 1e-3, 3e-3, 1e-2, 3e-2};
    return {{"sgd", optim::sgd{.momentum = 0.9}, {1e-2, 3e-2, 0.1, 0.3, 1}},
            {"adam", optim::adam{}, usual},
            {"adamw", optim::adamw{}, usual},
            {"radam", optim::radam{.decay = optim::decoupled(0.01)}, usual},
            {"nadam", optim::nadam{}, usual},
            {"inv_adam", optim::inv_adam{}, {0.1, 1, 10, 100, 1000}},
            {"dual_adam", optim::dual_adam{.switch_rate = optim::switch_after(0.16, steps)}, usual}};
}

/// One step at a learning rate; false if something was not finite.
template <class Parameters, class Gradients, class State>
bool step(optimizer& method, double rate, Parameters& parameters, const Gradients& gradients, State& state) {
    return std::visit(
        [&](auto& one) {
            one.learning_rate = rate;
            return static_cast<bool>(one.step(parameters, gradients, state));
        },
        method);
}

/// "mean +- standard deviation"
inline std::string spread(const std::vector<double>& values, int digits) {
    if (values.empty()) { return "diverged"; }
    double sum = 0;
    double squares = 0;
    for (const double v : values) { sum += v; }
    const double mean = sum / static_cast<double>(values.size());
    for (const double v : values) { squares += (v - mean) * (v - mean); }
    char a[32];
    char b[32];
    std::snprintf(a, sizeof a, "%.*f", digits, mean);
    std::snprintf(b, sizeof b, "%.*f", digits,
                  std::sqrt(squares / static_cast<double>(values.size() > 1 ? values.size() - 1 : 1)));
    return std::string(a) + " +- " + b;
}

}  // namespace generalization
