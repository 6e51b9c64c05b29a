// SPDX-License-Identifier: MIT
#pragma once

// A schedule that is a list: for runs whose levels lie on no schedule of ours.

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <utility>
#include <vector>

namespace parity {

/// Answers for the levels of a list alone, each at its own time; asked for anything else it gives the
/// nearest.
struct listed_schedule {
    std::vector<tweedie::level> levels;

    [[nodiscard]] const tweedie::level& at(double t) const {
        return nearest([t](const tweedie::level& l) { return l.t - t; });
    }
    [[nodiscard]] double alpha(double t) const { return at(t).alpha; }
    [[nodiscard]] double sigma(double t) const { return at(t).sigma; }
    [[nodiscard]] double alpha_rate(double) const { return 0.0; }
    [[nodiscard]] double sigma_rate(double) const { return 0.0; }
    [[nodiscard]] double half_log_snr(double t) const { return at(t).half_log_snr(); }
    [[nodiscard]] double time_at(double half_log_snr) const {
        return nearest([half_log_snr](const tweedie::level& l) {
                   const double found = l.half_log_snr();
                   return found == half_log_snr ? 0.0 : found - half_log_snr;
               })
            .t;
    }
    [[nodiscard]] tweedie::time_range range() const { return {levels.front().t, levels.back().t}; }

private:
    template <class Distance>
    [[nodiscard]] const tweedie::level& nearest(const Distance& away) const {
        const tweedie::level* best = &levels.front();
        for (const tweedie::level& l : levels) {
            if (std::abs(away(l)) < std::abs(away(*best))) { best = &l; }
        }
        return *best;
    }
};

}  // namespace parity
