// SPDX-License-Identifier: MIT
#include "error_table.hpp"

#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cstddef>
#include <cstdio>
#include <iterator>
#include <utility>

#include "median.hpp"
#include "progress.hpp"
#include "solvers.hpp"

namespace digits {

namespace {

constexpr int pictures_per_class = 16;
constexpr int columns[] = {5, 10, 20, 40};

// Where the exact flow takes the noise of a class: to the last noise level of the schedule, and clean.
struct flow_ends {
    pictures last_level;
    pictures clean;
};

}  // namespace

std::string error_table(const digit_laws& laws, std::uint64_t seed) {
    const std::vector<std::string> names = solver_names();
    progress bar("measuring", classes * (1 + names.size() * std::size(columns)));
    std::vector<flow_ends> exact;
    const tweedie::level last = tweedie::at(schedule(), schedule().range().clean);
    const tweedie::level clean = tweedie::at(schedule(), 0.0);
    for (int digit = 0; digit < classes; ++digit) {
        exact.push_back({laws.flow(digit, pictures_per_class, last, seed),
                         laws.flow(digit, pictures_per_class, clean, seed)});
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
