// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

// Plans on single directions of simple data, many at once: what tells good levels from bad without a network.

namespace tweedie::detail {

inline void require_directions(const analytic::spectrum& of, const char* who) {
    require_spectrum(of, who);
    double directions = 0.0;
    for (const double count : of.counts) { directions += count; }
    if (!(directions > 0.0 && std::isfinite(directions))) {
        throw std::invalid_argument(std::string(who) + ": a spectrum must count at least one direction");
    }
}

/// The standard deviation at a level along a direction of the data's variance.
[[nodiscard]] inline double deviation(const level& at, double variance) {
    return std::sqrt(at.alpha * at.alpha * variance + at.sigma * at.sigma);
}

/// The draws a plan makes, each once.
[[nodiscard]] inline std::vector<std::uint32_t> draws_of(const plan& p) {
    std::vector<std::uint32_t> all = p.start.draws;
    for (const plan_call& call : p.calls) {
        all.insert(all.end(), call.then.draws.begin(), call.then.draws.end());
    }
    std::ranges::sort(all);
    const auto repeated = std::ranges::unique(all);
    all.erase(repeated.begin(), repeated.end());
    return all;
}

/// A plan on an array, row by row. `x0_hat(call, query)` answers; `normal(i)` is the i-th of `draws`.
template <class Answer, class Normal>
[[nodiscard]] Eigen::ArrayXXd run_on_rows(const plan& p, Eigen::ArrayXXd start, const Answer& x0_hat,
                                          const std::vector<std::uint32_t>& draws, const Normal& normal) {
    std::vector<Eigen::ArrayXXd> registers(1, std::move(start));
    const auto run = [&](const plan_pass& pass) {  // the output is the last register
        std::vector<Eigen::ArrayXXd> next;
        for (const plan_row& row : pass.rows) {
            if (!row.plain()) {
                throw std::invalid_argument(
                    "spectrum_levels: the plan's weights must be the same for every element");
            }
            Eigen::ArrayXXd sum = Eigen::ArrayXXd::Zero(registers[0].rows(), registers[0].cols());
            for (std::size_t c = 0; c < registers.size(); ++c) {
                if (row.weights[c] != 0.0) { sum += row.weights[c] * registers[c]; }
            }
            for (std::size_t d = 0; d < pass.draws.size(); ++d) {
                const auto place = std::ranges::lower_bound(draws, pass.draws[d]) - draws.begin();
                sum += row.weights[registers.size() + d] * normal(place);
            }
            next.push_back(std::move(sum));
        }
        registers = std::move(next);
    };
    run(p.start);
    for (const plan_call& call : p.calls) {
        registers.push_back(x0_hat(call, registers[call.query]));
        run(call.then);
    }
    return registers[0];
}

/// Gaussian data, one direction per variance. What a plan reaches from an exact start is kept as coefficients
/// on independent normals: the start's and those of the draws.
class gaussian_directions {
public:
    gaussian_directions(const analytic::spectrum& of, const level& first, const level& last)
        : variances_(of.variances.size()), weights_(of.variances.size()) {
        double directions = 0.0;
        for (const double count : of.counts) { directions += count; }
        for (std::size_t k = 0; k < of.variances.size(); ++k) {
            variances_[static_cast<Eigen::Index>(k)] = of.variances[k];
            weights_[static_cast<Eigen::Index>(k)] = std::sqrt(of.counts[k] / directions);
        }
        start_ = deviations(first);
        end_ = deviations(last);
    }

    /// The error of every direction at the end; their squares sum to that of `gaussian_error`. With
    /// `single_steps`, what each step added to the error, relative, times the deviation at the end and that
    /// weight follows.
    [[nodiscard]] Eigen::VectorXd errors(const plan& p, double single_steps = 0.0) const {
        const std::vector<std::uint32_t> draws = draws_of(p);
        const Eigen::Index normals = static_cast<Eigen::Index>(draws.size()) + 1;
        std::vector<Eigen::ArrayXd> parts(1);
        Eigen::ArrayXd before = Eigen::ArrayXd::Zero(end_.size());
        const auto add = [&](const Eigen::ArrayXd& relative) {
            parts.emplace_back(single_steps * weights_ * (relative - before));
            before = relative;
        };
        const auto reached = [&](const Eigen::ArrayXXd& x) {
            return draws.empty() ? Eigen::ArrayXd(x.col(0))
                                 : Eigen::ArrayXd(x.square().rowwise().sum().sqrt());
        };
        std::size_t step = 0;
        const auto x0_hat = [&](const plan_call& call, const Eigen::ArrayXXd& x) {
            const Eigen::ArrayXd here = deviations(call.at);
            if (single_steps > 0.0 && call.step != step) {
                step = call.step;
                add((reached(x) / here - 1.0) * end_);
            }
            const Eigen::ArrayXd gain = call.at.alpha * variances_ / here.square();
            return Eigen::ArrayXXd(x.colwise() * gain);
        };
        const auto normal = [&](Eigen::Index i) {
            Eigen::ArrayXXd z = Eigen::ArrayXXd::Zero(end_.size(), normals);
            z.col(i + 1) = 1.0;
            return z;
        };
        Eigen::ArrayXXd x = Eigen::ArrayXXd::Zero(end_.size(), normals);
        x.col(0) = start_;
        const Eigen::ArrayXd end = reached(run_on_rows(p, std::move(x), x0_hat, draws, normal)) - end_;
        parts[0] = weights_ * end;
        if (single_steps > 0.0) { add(end); }
        Eigen::VectorXd out(end_.size() * static_cast<Eigen::Index>(parts.size()));
        for (std::size_t i = 0; i < parts.size(); ++i) {
            out.segment(static_cast<Eigen::Index>(i) * end_.size(), end_.size()) = parts[i].matrix();
        }
        return out;
    }

private:
    [[nodiscard]] Eigen::ArrayXd deviations(const level& at) const {
        return (at.alpha * at.alpha * variances_ + at.sigma * at.sigma).sqrt();
    }

    Eigen::ArrayXd variances_;
    Eigen::ArrayXd weights_;
    Eigen::ArrayXd start_;
    Eigen::ArrayXd end_;
};

/// Data with two modes along each direction, of the variances of a spectrum: a quarter of the probability in
/// one mode, and 1/2, 4/5 or 19/20 of the variance between the modes. Six starts each, the quantiles of 0.4,
/// 1 and 1.7 standard deviations to both sides.
///
/// The flow in one dimension keeps quantiles, so the exact ends are known.
class two_mode_directions {
public:
    two_mode_directions(const analytic::spectrum& of, const level& first, const level& last) {
        constexpr double between[] = {0.5, 0.8, 0.95};
        constexpr double quantiles[] = {-1.7, -1.0, -0.4, 0.4, 1.0, 1.7};
        double directions = 0.0;
        for (const double count : of.counts) { directions += count; }
        const auto most = static_cast<Eigen::Index>(18 * of.variances.size());
        for (Eigen::ArrayXd* a : {&apart_, &within_, &weights_, &start_, &end_}) { a->resize(most); }
        Eigen::Index i = 0;
        for (std::size_t k = 0; k < of.variances.size(); ++k) {
            for (const double share : between) {
                const double apart = std::sqrt(share * of.variances[k] / (rare * common));
                const double within = (1.0 - share) * of.variances[k];
                for (const double quantile : quantiles) {
                    apart_[i] = apart;
                    within_[i] = within;
                    weights_[i] = std::sqrt(of.counts[k] / (18.0 * directions));
                    start_[i] = at_quantile(quantile, apart, within, first);
                    end_[i] = at_quantile(quantile, apart, within, last);
                    ++i;
                }
            }
        }
    }

    /// The error of every start at the end of a deterministic plan.
    [[nodiscard]] Eigen::VectorXd errors(const plan& p) const {
        const auto x0_hat = [&](const plan_call& call, const Eigen::ArrayXXd& x) {
            const double alpha = call.at.alpha;
            const Eigen::ArrayXd noisy = alpha * alpha * within_ + call.at.sigma * call.at.sigma;
            // the mean of the two modes, at 0, is `common` from the rare one and `rare` from the other
            const Eigen::ArrayXd log_odds =
                std::log(rare / common) +
                alpha * apart_ / noisy * (x.col(0) - 0.5 * (common - rare) * alpha * apart_);
            const Eigen::ArrayXd mode = apart_ * (1.0 / (1.0 + (-log_odds).exp()) - rare);
            const Eigen::ArrayXd gain = alpha * within_ / noisy;
            return Eigen::ArrayXXd(mode + gain * (x.col(0) - alpha * mode));
        };
        const auto none = [&](Eigen::Index) { return Eigen::ArrayXXd::Zero(start_.size(), 1); };
        const Eigen::ArrayXd end = run_on_rows(p, start_, x0_hat, {}, none).col(0);
        return (weights_ * (end - end_)).matrix();
    }

private:
    static constexpr double rare = 0.25;
    static constexpr double common = 0.75;

    /// What share of the noisy data is below x.
    [[nodiscard]] static double below(double x, double apart, double within, const level& at) {
        const double scale = deviation(at, within) * std::sqrt(2.0);
        return 0.5 * rare * std::erfc((at.alpha * common * apart - x) / scale) +
               0.5 * common * std::erfc((-at.alpha * rare * apart - x) / scale);
    }

    [[nodiscard]] static double at_quantile(double normal_quantile, double apart, double within,
                                            const level& at) {
        const double share = 0.5 * std::erfc(-normal_quantile / std::sqrt(2.0));
        double high = at.alpha * apart + 8.0 * deviation(at, within);
        if (high == 0.0) { return 0.0; }
        double low = -high;
        for (double middle = 0.0; low < middle && middle < high; middle = 0.5 * (low + high)) {
            (below(middle, apart, within, at) < share ? low : high) = middle;
        }
        return low;
    }

    Eigen::ArrayXd apart_;   // of the two modes
    Eigen::ArrayXd within_;  // variance of each mode
    Eigen::ArrayXd weights_;
    Eigen::ArrayXd start_;
    Eigen::ArrayXd end_;
};

}  // namespace tweedie::detail
