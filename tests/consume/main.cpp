// SPDX-License-Identifier: MIT
// What a stranger's first program needs: it compiles, links and gives the right numbers however tweedie was
// found.
#include <tweedie/schedule/concept.hpp>
#include <tweedie/version.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstdio>
#include <vector>

/// Rectified flow, written by the user.
struct flow {
    double alpha(double t) const { return 1.0 - t; }
    double sigma(double t) const { return t; }
    double alpha_rate(double) const { return -1.0; }
    double sigma_rate(double) const { return 1.0; }
    double half_log_snr(double t) const { return std::log((1.0 - t) / t); }
    double time_at(double l) const { return 1.0 / (1.0 + std::exp(l)); }
    tweedie::time_range range() const { return {1.0, 1e-3}; }
};

int main() {
    const tweedie::any_schedule schedule(flow{});
    std::vector<double> noise_levels;
    for (const double t : {1.0, 0.5, 0.0}) { noise_levels.push_back(tweedie::at(schedule, t).sigma); }
    std::printf("tweedie %s\n", tweedie::version_string);
    return noise_levels == std::vector<double>{1.0, 0.5, 0.0} && Eigen::Vector2d(3.0, 4.0).norm() == 5.0 ? 0
                                                                                                         : 1;
}
