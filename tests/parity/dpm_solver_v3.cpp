// SPDX-License-Identifier: MIT

// DPM-Solver-v3.

#include <tweedie/solver/dpm_solver_v3.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

/// The statistics the records were made with, by formulas in the file's `ems`: on equal steps of
/// half-log-SNR between the ends of the run, u in [0, 1]; c is the element.
solver::model_statistics statistics_of(const recorded_case& r) {
    const int intervals = r.meta.at("ems").at("steps");
    const double from = r.levels.front().half_log_snr();
    const double to = r.levels.back().half_log_snr();
    const bool degenerated = r.c.value("degenerated", false);
    solver::model_statistics out;
    for (int i = 0; i <= intervals; ++i) {
        const double u = static_cast<double>(i) / intervals;
        const auto put = [&](std::vector<field>& values, double without, double everywhere, double element) {
            vec numbers(r.setup.x.size(), without);
            for (std::size_t c = 0; !degenerated && c < numbers.size(); ++c) {
                numbers[c] = everywhere + element * static_cast<double>(c);
            }
            values.push_back(field(std::move(numbers)));
        };
        out.half_log_snr.push_back(from + u * (to - from));
        put(out.l, 1.0, 0.9 - 0.5 * u, 0.02);
        put(out.s, 0.0, 0.3 * std::sin(3.0 * u), 0.01);
        put(out.b, 0.0, 0.2 * std::cos(2.0 * u), -0.03);
    }
    return out;
}

/// The peer's `half` corrects where its time is above 1/2: sigma / alpha above what that is here.
double corrected_above(const recorded_case& r) {
    if (!r.option("half", false)) { return 0.0; }
    double below = 0.0;
    double above = std::numeric_limits<double>::infinity();
    const vec times = numbers(r.c.at("call_t"));
    for (std::size_t i = 0; i < times.size(); ++i) {
        const double ratio = r.levels.at(i).sigma / r.levels.at(i).alpha;
        if (times[i] > 0.5) {
            above = std::fmin(above, ratio);
        } else {
            below = std::fmax(below, ratio);
        }
    }
    return std::sqrt(below * above);
}

}  // namespace

outcome official_dpm_solver_v3(recorded_case& r) {
    using correction = solver::dpm_solver_v3::correction;
    r.levels = r.call_levels();
    r.levels.push_back(official_end(r));
    const bool corrects = r.option("use_corrector", false);
    const bool pseudo = r.option("c_pseudo", false);
    return run_all(r,
                   solver::dpm_solver_v3{.order = r.option("order", std::size_t{3}),
                                         .statistics = statistics_of(r),
                                         .corrector = !corrects ? correction::none
                                                      : pseudo  ? correction::pseudo
                                                                : correction::same,
                                         .pseudo = r.option("p_pseudo", false),
                                         .corrected_above = corrected_above(r),
                                         .lower_order_final = r.option("lower_order_final", true),
                                         .peer_formula = true},
                   "by trapezoids on the nodes of its statistics (peer_formula)");
}

}  // namespace parity
