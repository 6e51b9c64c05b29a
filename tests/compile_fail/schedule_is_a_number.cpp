// SPDX-License-Identifier: MIT
// EXPECT: noise_schedule
#include <tweedie/schedule/concept.hpp>

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
#ifdef TWEEDIE_COMPILE_OK
    const tweedie::any_schedule schedule(flow{});
#else
    const tweedie::any_schedule schedule(3);
#endif
    return tweedie::at(schedule, 0.5).alpha > 0.0 ? 0 : 1;
}
