// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/adamax.hpp>
#include <tweedie/optim/amsgrad.hpp>
#include <tweedie/optim/nadam.hpp>
#include <tweedie/optim/radam.hpp>
#include <tweedie/optim/sgd.hpp>

#include <support/catch.hpp>
#include <support/reference.hpp>

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

namespace {

using namespace tweedie;
using nlohmann::json;

/// The largest relative distance between our trajectory and the recorded one.
template <class Optimizer>
double worst(const json& all, const json& one, const Optimizer& optimizer) {
    const std::vector<double> h = all["h"];
    const std::vector<double> c = all["c"];
    std::vector<double> x = all["x0"];
    std::vector<double> g(x.size());
    optim::state<double> state;
    double most = 0;
    for (const auto& recorded : one["x"]) {
        for (std::size_t i = 0; i < x.size(); ++i) { g[i] = h[i] * (x[i] - c[i]) + 3 * std::cos(3 * x[i]); }
        CHECK(optimizer.step(x, g, state));
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double there = recorded[i];
            most = std::max(most, std::abs(x[i] - there) / std::max(std::abs(there), 1e-3));
        }
    }
    return most;
}

/// Torch's options in our words.
template <class Optimizer>
Optimizer with(const json& options, Optimizer out, double lr) {
    out.learning_rate = options.value("lr", lr);
    out.decay.rate = options.value("weight_decay", out.decay.rate);
    if constexpr (requires { out.beta1; }) {
        if (options.contains("betas")) {
            out.beta1 = options["betas"][0];
            out.beta2 = options["betas"][1];
        }
        out.eps = options.value("eps", out.eps);
    }
    if constexpr (requires { out.momentum_decay; }) {
        out.momentum_decay = options.value("momentum_decay", out.momentum_decay);
    }
    if constexpr (requires { out.momentum; }) {
        out.momentum = options.value("momentum", 0.0);
        out.dampening = options.value("dampening", 0.0);
        if (options.value("nesterov", false)) { out.kind = optim::sgd::variant::nesterov; }
    }
    return out;
}

double worst(const json& all, const json& one) {
    const std::string method = one["method"];
    const json& options = one["options"];
    if (method == "adam") { return worst(all, one, with(options, optim::adam{}, 1e-3)); }
    if (method == "adamw") { return worst(all, one, with(options, optim::adamw{}, 1e-3)); }
    if (method == "amsgrad") { return worst(all, one, with(options, optim::amsgrad{}, 1e-3)); }
    if (method == "nadam") {
        return worst(all, one, with(options, optim::nadam{.peer_formula = true}, 2e-3));
    }
    if (method == "radam") { return worst(all, one, with(options, optim::radam{}, 1e-3)); }
    if (method == "adamax") { return worst(all, one, with(options, optim::adamax{}, 2e-3)); }
    if (method == "sgd") { return worst(all, one, with(options, optim::sgd{}, 1e-2)); }
    return 1;
}

}  // namespace

// 1e-12: a dozen steps, each with a few roundings that torch does in another order.
TEST_CASE("Adam, AdamW, AMSGrad, NAdam, RAdam, AdaMax and SGD give torch's trajectories",
          "[optim][reference]") {
    const json all = reference("optim_torch.json");
    REQUIRE(all["cases"].size() >= 14);
    for (const json& one : all["cases"]) {
        INFO(one["method"] << " " << one["options"]);
        CHECK(worst(all, one) < 1e-12);
    }
}
