// SPDX-License-Identifier: MIT
#include "error_table.hpp"

#include <tweedie/grid/custom.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/solver/unipc.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include "median.hpp"
#include "progress.hpp"
#include "solvers.hpp"

namespace digits {

namespace {

constexpr int pictures_per_class = 16;
constexpr int columns[] = {5, 10, 20, 40};

// Where the exact flow takes the noise of each class: at the last noise level of the schedule, and clean.
struct flow_ends {
    pictures last_level;
    pictures clean;
};

// Many small steps down to the last level; then halving it until nothing is left.
tweedie::plan fine_plan() {
    constexpr int steps = 200;
    using tweedie::grid::final_level;
    std::vector<double> sigmas;
    for (const tweedie::level& at :
         tweedie::grid::log_snr(schedule(), steps, {.last = final_level::sigma_min})) {
        sigmas.push_back(at.sigma);
    }
    for (int i = 0; i < 24; ++i) {
        sigmas.push_back(sigmas.back() / std::sqrt(2.0));
    }
    sigmas.push_back(0.0);
    return tweedie::solver::unipc{.order = 3}.plan(schedule(),
                                                   tweedie::grid::from_sigmas(schedule(), sigmas));
}

flow_ends exact_flow(const digit_laws& laws, int digit, const tweedie::plan& fine, std::uint64_t seed) {
    flow_ends ends;
    const double last = schedule().range().clean;
    const auto keep = [&](const tweedie::observation<pictures>& seen) {
        if (seen.at.sigma >= last) { ends.last_level = seen.x; }
    };
    ends.clean = laws.sample(digit, pictures_per_class, fine, seed, keep);
    return ends;
}

}  // namespace

std::string error_table(const digit_laws& laws, std::uint64_t seed) {
    const std::vector<std::string> names = solver_names();
    progress bar("measuring", classes * (1 + names.size() * std::size(columns)));
    std::vector<flow_ends> exact;
    const tweedie::plan fine = fine_plan();
    for (int digit = 0; digit < classes; ++digit) {
        exact.push_back(exact_flow(laws, digit, fine, seed));
        bar.advance();
    }

    std::string text = "network calls";
    char cell[32];
    for (const int calls : columns) {
        std::snprintf(cell, sizeof cell, "%9d", calls);
        text += cell;
    }
    for (const std::string& name : names) {
        std::snprintf(cell, sizeof cell, "\n%-13s", name.c_str());
        text += cell;
        for (const int calls : columns) {
            const tweedie::plan plan = plan_with_calls(name, calls);
            const bool ends_clean = plan.levels.back().sigma == 0.0;
            std::vector<double> errors;
            for (int digit = 0; digit < classes; ++digit) {
                const flow_ends& flow = exact[static_cast<std::size_t>(digit)];
                const pictures away = laws.sample(digit, pictures_per_class, plan, seed) -
                                      (ends_clean ? flow.clean : flow.last_level);
                for (Eigen::Index i = 0; i < away.cols(); ++i) {
                    errors.push_back(away.col(i).norm() / side);
                }
                bar.advance();
            }
            std::snprintf(cell, sizeof cell, "%9.4f", median(std::move(errors)));
            text += cell;
        }
    }
    return text + "\n";
}

}  // namespace digits
