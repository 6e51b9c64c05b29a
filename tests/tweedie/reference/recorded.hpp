// SPDX-License-Identifier: MIT
#pragma once

// Running a plan against a recorded run: the recorded mixture, what is compared, and the count of what was.

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/discrete.hpp>

#include <support/reference.hpp>

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <vector>

using vec = std::vector<double>;

/// Mixture of isotropic Gaussians, the data of all recorded runs in R^4: `sum_k w_k N(m_k, v_k I)`.
struct mixture {
    vec weights;
    std::vector<vec> means;
    vec variances;

    /// From the recorded `{weights, means, var}`.
    explicit mixture(const nlohmann::json& recorded);

    /// `E[x0 | x]` at `x = alpha x0 + sigma eps`.
    [[nodiscard]] vec x0(const vec& x, double alpha, double sigma) const;

    /// `E[eps | x]`.
    [[nodiscard]] vec eps(const vec& x, double alpha, double sigma) const;

    /// `a E[x0 | x] + b E[eps | x]`.
    [[nodiscard]] vec blend(const vec& x, double alpha, double sigma, double a, double b) const;

private:
    struct posterior {
        vec responsibility;
        vec total;  // alpha^2 v_k + sigma^2
    };
    [[nodiscard]] posterior at(const vec& x, double alpha, double sigma) const;
};

/// What the network is: input and level to output.
using network_law = std::function<vec(const vec&, const tweedie::network_level&)>;

/// What a run needs besides its plan.
struct run_setup {
    tweedie::convention convention;
    network_law network;
    vec x;                        // start
    std::vector<vec> noise = {};  // injected, in order
    double clip = 0.0;            // x0_hat is clamped to [-clip, clip] when positive
};

/// What happened in a run: every network output, the state at the start of each step, and the end.
struct trajectory {
    std::vector<vec> outputs;
    std::vector<vec> states;
    vec end;
};

[[nodiscard]] trajectory run(const tweedie::plan& plan, const run_setup& setup);

/// Largest difference relative to the largest element of `expected`; infinity for different sizes or NaN.
[[nodiscard]] double relative_error(const vec& found, const vec& expected);

/// The table of noise levels that a recorded diffusers case was made with, from its class and configuration.
[[nodiscard]] tweedie::schedule::discrete table_of(const nlohmann::json& recorded);

/// The count of one file: how many runs matched, how, and which were left out for what reason.
class tally {
public:
    explicit tally(std::string file) : file_(std::move(file)) {}

    /// A run that was compared: the worst error of its numbers, and (if any) in what way it is a special
    /// case.
    void compared(const std::string& id, double error, double tolerance, const std::string& how = {});

    /// A run that was not compared.
    void left_out(const std::string& reason);

    [[nodiscard]] std::size_t matched() const { return matched_; }
    [[nodiscard]] std::size_t cases() const { return cases_; }

    /// One line for people.
    [[nodiscard]] std::string summary() const;

private:
    std::string file_;
    std::size_t cases_ = 0;
    std::size_t matched_ = 0;
    std::size_t plain_ = 0;
    double worst_ = 0.0;
    std::string worst_id_;
    std::map<std::string, std::size_t> special_;
    std::map<std::string, std::size_t> reasons_;
};
