// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "data.hpp"

namespace few_steps {

/// What the table is made of.
enum class method { unipc, dpm_solver, ipndm, deis, heun, v3, recommended };
enum class grid { karras, log_snr, align_your_steps, gits, spectrum, found };

[[nodiscard]] const char* name_of(method which);
[[nodiscard]] const char* name_of(grid which);
/// The levels a solver is used on where nothing is known.
[[nodiscard]] grid default_of(method which);

/// A line of the table.
struct line {
    method solver;
    grid levels;
    bool teleported = false;
    std::vector<double> errors = {};  ///< for each number of calls
};

struct table {
    std::vector<int> calls;
    std::vector<line> lines;               ///< the last is that of `tune::recommend`
    std::vector<std::string> recommended;  ///< in words, for each number of calls, on the first problem

    [[nodiscard]] const line& at(method solver, grid levels, bool teleported) const;
};

/// Which lines and columns.
struct extent {
    std::vector<int> calls = {5, 6, 8, 10, 15, 20};
    std::vector<grid> grids = {grid::karras, grid::log_snr, grid::align_your_steps, grid::gits,
                               grid::spectrum};
};

/// The geometric mean over the problems of the median over their starts of the root mean square error of the
/// end. Heun's method makes as many whole steps as the calls are enough for.
[[nodiscard]] table measure(const data_set& on, const extent& of);

/// A column of the picture: what samplers make of the same seeds.
struct strip {
    std::string name;
    Eigen::MatrixXd samples;
};

/// Some lines of the table with `calls` calls, what is recommended and the exact ends, of the first `count`
/// starts.
[[nodiscard]] std::vector<strip> strips(const data_set& of, int calls, Eigen::Index count);

}  // namespace few_steps
