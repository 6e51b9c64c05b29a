// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tune/stand_in.hpp>

#include <Eigen/Cholesky>
#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// The weights of a multistep method, fitted to a stand-in on given levels, step by step:
///
///     y_t = x0_hat_s + b (y_s - x0_hat_s) + sum_j w_j (x0_hat_j - x0_hat_s),      y = x / alpha
///
/// with x0_hat_j the data predictions at the five levels before s. b and w_j are those that bring the starts
/// nearest to where the exact flow is at t (least squares, distances to the first power: three rounds of
/// weights). A shift of the data shifts the samples, whatever the weights. From pure noise the step is
/// DDIM's. Others optimise such weights for a network by gradients (S4S); here each step is a small linear
/// system.
class fitted_multistep {
public:
    static constexpr std::size_t memory = 5;

    /// - `data`    knows its exact trajectories (`has_trajectories`).
    /// - `levels`  from the first, or from where starts are teleported to.
    /// - `count`   starts used, the first ones.
    fitted_multistep(const stand_in& data, std::vector<level> levels, Eigen::Index count)
        : levels_(std::move(levels)) {
        const level& first = levels_.front();
        Eigen::MatrixXd x = data.starts_at(first, count);
        std::vector<Eigen::MatrixXd> known;  // x0_hat, newest first
        known.reserve(memory + 2);
        Eigen::MatrixXd y;
        for (std::size_t i = 0; i + 1 < levels_.size(); ++i) {
            const level& s = levels_[i];
            const level& t = levels_[i + 1];
            known.push_back(data.mixture().denoise(i == 0 ? x : s.alpha * y, s));
            std::rotate(known.begin(), known.end() - 1, known.end());
            if (known.size() > memory + 1) { known.pop_back(); }
            if (s.alpha == 0.0) {
                steps_.push_back({t.sigma / t.alpha, {}});
                y = (t.sigma / t.alpha / s.sigma) * x + known[0];
                continue;
            }
            if (i == 0) { y = x / s.alpha; }
            const bool after_noise = levels_.front().alpha == 0.0;
            std::vector<Eigen::MatrixXd> columns = {y - known[0]};
            for (std::size_t j = 1; j < known.size() && j + (after_noise ? 1 : 0) <= i; ++j) {
                columns.push_back(known[j] - known[0]);
            }
            const Eigen::MatrixXd exact = data.flow_at(t, count);
            const Eigen::VectorXd found = fitted(columns, exact - known[0]);
            steps_.push_back({found(0), {found.data() + 1, found.data() + found.size()}});
            y = known[0];
            for (std::size_t j = 0; j < columns.size(); ++j) {
                y += found(static_cast<Eigen::Index>(j)) * columns[j];
            }
        }
        ends_ = levels_.back().alpha * y;
    }

    /// Where the starts end.
    [[nodiscard]] const Eigen::MatrixXd& ends() const { return ends_; }

    [[nodiscard]] tweedie::plan plan() const {
        plan_writer p("multistep fitted to data(order=" + std::to_string(memory + 1) + ")", levels_);
        plan_variable x = p.state();
        plan_history m = p.remember("x0_hat", memory + 1);
        for (std::size_t i = 0; i < p.steps(); ++i) {
            const auto [s, t] = p.step(i);
            m.push(p.data_prediction(x, s));
            if (s.alpha == 0.0) {
                x = (t.sigma / s.sigma) * x + t.alpha * m[0];
                continue;
            }
            const step& with = steps_[i];
            double newest = 1.0 - with.keep;
            for (const double w : with.weights) { newest -= w; }
            linear_form next = (t.alpha * with.keep / s.alpha) * x + (t.alpha * newest) * m[0];
            for (std::size_t j = 0; j < with.weights.size(); ++j) {
                next += (t.alpha * with.weights[j]) * m[j + 1];
            }
            x = next;
        }
        return p.finish(x);
    }

private:
    struct step {
        double keep = 0.0;
        std::vector<double> weights;  // of the data predictions before this one, newest first
    };

    /// The weights of the columns that bring each sample nearest to its target.
    [[nodiscard]] static Eigen::VectorXd fitted(const std::vector<Eigen::MatrixXd>& columns,
                                                const Eigen::MatrixXd& target) {
        const auto n = static_cast<Eigen::Index>(columns.size());
        const Eigen::Index samples = target.cols();
        Eigen::VectorXd share = Eigen::VectorXd::Ones(samples);
        Eigen::VectorXd found = Eigen::VectorXd::Zero(n);
        constexpr int rounds = 3;
        for (int round = 0; round < rounds; ++round) {
            Eigen::MatrixXd normal = Eigen::MatrixXd::Zero(n, n);
            Eigen::VectorXd right = Eigen::VectorXd::Zero(n);
            for (Eigen::Index a = 0; a < n; ++a) {
                const Eigen::MatrixXd& left = columns[static_cast<std::size_t>(a)];
                for (Eigen::Index b = 0; b <= a; ++b) {
                    const Eigen::MatrixXd& other = columns[static_cast<std::size_t>(b)];
                    for (Eigen::Index j = 0; j < samples; ++j) {
                        normal(a, b) += share(j) * left.col(j).dot(other.col(j));
                    }
                    normal(b, a) = normal(a, b);
                }
                for (Eigen::Index j = 0; j < samples; ++j) {
                    right(a) += share(j) * left.col(j).dot(target.col(j));
                }
            }
            // far below what the weights need, and enough where columns are parallel
            normal.diagonal() *= 1.0 + 1e-10;
            found = normal.ldlt().solve(right);
            Eigen::MatrixXd off = target;
            for (Eigen::Index a = 0; a < n; ++a) { off -= found(a) * columns[static_cast<std::size_t>(a)]; }
            const Eigen::VectorXd distance = off.colwise().norm().transpose();
            const double least = 0.1 * distance.mean() + 1e-300;
            share = (distance.array() + least).inverse().matrix();
        }
        return found;
    }

    std::vector<level> levels_;
    std::vector<step> steps_;
    Eigen::MatrixXd ends_;
};

}  // namespace tweedie::detail
