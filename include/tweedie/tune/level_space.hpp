// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// Where the levels of a search lie: the numbers it changes, and the levels they mean.
///
///     x = (ln of each gap in half-log-SNR, but for a factor; [-lambda of the first]; [lambda of the last])
class level_space {
public:
    /// - `calls`     network calls: levels less one.
    /// - `teleports` whether the first level is free.
    level_space(any_schedule schedule, std::size_t calls, const level& first, const level& last, double noisy,
                double clean, bool teleports)
        : schedule_(std::move(schedule)),
          first_(first),
          last_(last),
          noisy_(noisy),
          clean_(clean),
          gaps_(static_cast<Eigen::Index>(last.sigma == 0.0 ? calls - 1 : calls)),
          teleports_(teleports) {}

    /// Equal to these levels, whose ends are replaced by those of the space where they are not free.
    [[nodiscard]] Eigen::VectorXd place_of(std::span<const level> levels) const {
        Eigen::VectorXd x(size());
        const auto lambda = [&](Eigen::Index i) {
            return i == 0 ? std::max(levels[0].half_log_snr(), noisy_)
                          : levels[static_cast<std::size_t>(i)].half_log_snr();
        };
        for (Eigen::Index i = 0; i < gaps_; ++i) { x(i) = std::log(lambda(i + 1) - lambda(i)); }
        Eigen::Index next = gaps_;
        if (teleports_) { x(next++) = -lambda(0); }
        if (free_end()) { x(next) = lambda(gaps_); }
        return x;
    }

    /// The levels at a place; empty where it means none.
    [[nodiscard]] std::vector<level> levels_at(const Eigen::VectorXd& x) const {
        Eigen::Index next = gaps_;
        const double from = teleports_ ? -x(next++) : noisy_;
        const double to = free_end() ? x(next) : clean_;
        if (!(from >= noisy_ && to <= clean_ && from < to)) { return {}; }
        const Eigen::ArrayXd gaps =
            (x.head(gaps_).array() - (gaps_ > 0 ? x.head(gaps_).maxCoeff() : 0.0)).exp();
        const double unit = gaps_ > 0 ? (to - from) / gaps.sum() : 0.0;
        std::vector<level> out = {from == noisy_ ? first_ : at_half_log_snr(schedule_, from)};
        double lambda = from;
        for (Eigen::Index i = 0; i < gaps_; ++i) {
            const double gap = unit * gaps(i);
            if (!(gap > smallest_gap)) { return {}; }
            lambda += gap;
            const bool ends = i + 1 == gaps_ && !free_end();
            out.push_back(ends ? last_ : at_half_log_snr(schedule_, lambda));
        }
        if (last_.sigma == 0.0) { out.push_back(last_); }
        return out;
    }

    [[nodiscard]] Eigen::Index size() const { return gaps_ + (teleports_ ? 1 : 0) + (free_end() ? 1 : 0); }

private:
    static constexpr double smallest_gap = 0.02;  // closer levels make differences of like predictions

    [[nodiscard]] bool free_end() const { return last_.sigma == 0.0 && gaps_ > 0; }

    any_schedule schedule_;
    level first_;
    level last_;
    double noisy_;  // half-log-SNR of the first level, or what stands in for pure noise
    double clean_;  // of the last level with noise
    Eigen::Index gaps_;
    bool teleports_;
};

}  // namespace tweedie::detail
