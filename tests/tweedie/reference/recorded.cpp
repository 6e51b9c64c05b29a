// SPDX-License-Identifier: MIT
#include "recorded.hpp"

#include <tweedie/run/sample.hpp>

#include <support/catch.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>
#include <utility>

mixture::mixture(const nlohmann::json& recorded)
    : weights(recorded.at("weights").get<vec>()),
      means(recorded.at("means").get<std::vector<vec>>()),
      variances(recorded.at("var").get<vec>()) {}

mixture::posterior mixture::at(const vec& x, double alpha, double sigma) const {
    posterior p;
    double largest = -std::numeric_limits<double>::infinity();
    for (std::size_t k = 0; k < weights.size(); ++k) {
        const double total = alpha * alpha * variances[k] + sigma * sigma;
        double distance = 0.0;
        for (std::size_t d = 0; d < x.size(); ++d) {
            const double u = x[d] - alpha * means[k][d];
            distance += u * u;
        }
        p.total.push_back(total);
        p.responsibility.push_back(std::log(weights[k]) -
                                   0.5 * static_cast<double>(x.size()) * std::log(total) -
                                   distance / (2.0 * total));
        largest = std::max(largest, p.responsibility.back());
    }
    double sum = 0.0;
    for (double& r : p.responsibility) {
        r = std::exp(r - largest);
        sum += r;
    }
    for (double& r : p.responsibility) { r /= sum; }
    return p;
}

vec mixture::x0(const vec& x, double alpha, double sigma) const {
    const posterior p = at(x, alpha, sigma);
    vec out(x.size(), 0.0);
    for (std::size_t k = 0; k < weights.size(); ++k) {
        for (std::size_t d = 0; d < x.size(); ++d) {
            const double u = x[d] - alpha * means[k][d];
            out[d] += p.responsibility[k] * (means[k][d] + alpha * variances[k] / p.total[k] * u);
        }
    }
    return out;
}

vec mixture::eps(const vec& x, double alpha, double sigma) const {
    const posterior p = at(x, alpha, sigma);
    vec out(x.size(), 0.0);
    for (std::size_t k = 0; k < weights.size(); ++k) {
        for (std::size_t d = 0; d < x.size(); ++d) {
            out[d] += p.responsibility[k] * sigma * (x[d] - alpha * means[k][d]) / p.total[k];
        }
    }
    return out;
}

vec mixture::blend(const vec& x, double alpha, double sigma, double a, double b) const {
    vec out = x0(x, alpha, sigma);
    const vec e = eps(x, alpha, sigma);
    for (std::size_t d = 0; d < out.size(); ++d) { out[d] = a * out[d] + b * e[d]; }
    return out;
}

trajectory run(const tweedie::plan& plan, const run_setup& setup) {
    trajectory t;
    const auto network = [&](const vec& x, const tweedie::network_level& at) {
        t.outputs.push_back(setup.network(x, at));
        return t.outputs.back();
    };
    const tweedie::denoiser model(network, setup.convention.prediction(), setup.convention.schedule(),
                                  setup.convention.options());
    const tweedie::injected_noise<double> source(
        tweedie::noise_record<double>{.elements = setup.x.size(), .step = setup.noise});
    const auto watch = [&](const tweedie::observation<vec>& seen) { t.states.push_back(seen.x); };
    t.end = setup.x;
    tweedie::run_result result;
    if (setup.clip > 0.0) {
        const auto clamp = [&](vec& x0, const tweedie::level&) {
            for (double& v : x0) { v = std::clamp(v, -setup.clip, setup.clip); }
        };
        result =
            tweedie::sample(plan, model, t.end, source, tweedie::hooks{.observe = watch, .transform = clamp});
    } else {
        result = tweedie::sample(plan, model, t.end, source, tweedie::hooks{.observe = watch});
    }
    CHECK(result.status == tweedie::run_status::finished);
    return t;
}

double relative_error(const vec& found, const vec& expected) {
    if (found.size() != expected.size()) { return std::numeric_limits<double>::infinity(); }
    double difference = 0.0;
    double size = 0.0;
    for (std::size_t d = 0; d < found.size(); ++d) {
        const double e = std::abs(found[d] - expected[d]);
        if (!(e <= std::numeric_limits<double>::max())) { return std::numeric_limits<double>::infinity(); }
        difference = std::max(difference, e);
        size = std::max(size, std::abs(expected[d]));
    }
    return difference == 0.0 ? 0.0 : difference / size;
}

tweedie::schedule::discrete table_of(const nlohmann::json& recorded) {
    using tweedie::schedule::discrete;
    const nlohmann::json& config = recorded.at("config");
    const std::string scheduler = recorded.at("scheduler");
    const bool stable_diffusion =
        scheduler == "EulerDiscreteScheduler" || scheduler == "HeunDiscreteScheduler";
    const std::string kind = config.value("beta_schedule", "linear");
    const int levels = config.value("num_train_timesteps", 1000);
    const double start = config.value("beta_start", stable_diffusion ? 0.00085 : 0.0001);
    const double end = config.value("beta_end", stable_diffusion ? 0.012 : 0.02);
    const discrete table = kind == "squaredcos_cap_v2" ? discrete::cosine(levels)
                           : kind == "scaled_linear"   ? discrete::scaled_linear(levels, start, end)
                                                       : discrete::linear(levels, start, end);
    if (!config.value("rescale_betas_zero_snr", false)) { return table; }
    // Lin et al. 2023, arXiv:2305.08891, algorithm 1: alpha is shifted and stretched so that the last one is
    // 0
    const double first = table.alpha(0.0);
    const double last = table.alpha(levels - 1.0);
    vec alphas_bar;
    for (int i = 0; i < levels; ++i) {
        const double a = (table.alpha(i) - last) * first / (first - last);
        alphas_bar.push_back(a * a);
    }
    return discrete::from_alphas_bar(alphas_bar);
}

void tally::compared(const std::string& id, double error, double tolerance, const std::string& how) {
    ++cases_;
    const bool equal = error <= tolerance;
    INFO(file_ << ": " << id << (how.empty() ? "" : " (" + how + ")") << ": relative error " << error);
    CHECK(equal);
    if (!equal) { return; }
    ++matched_;
    if (how.empty()) {
        ++plain_;
    } else {
        ++special_[how];
    }
    if (error >= worst_) {
        worst_ = error;
        worst_id_ = id;
    }
}

void tally::left_out(const std::string& reason) {
    ++cases_;
    ++reasons_[reason];
}

std::string tally::summary() const {
    std::ostringstream line;
    line << file_ << ": " << matched_ << " of " << cases_ << " recorded runs matched, worst relative error "
         << worst_ << " (" << worst_id_ << ")";
    line << "\n    " << plain_ << " as they are";
    for (const auto& [how, count] : special_) { line << "\n    " << count << " " << how; }
    for (const auto& [reason, count] : reasons_) { line << "\n    " << count << " left out: " << reason; }
    return line.str();
}
