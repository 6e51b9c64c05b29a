// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "data.hpp"
#include "options.hpp"
#include "table.hpp"

namespace few_steps {

/// A table as text, its data set's name above it.
[[nodiscard]] std::string page_of(const data_set& on, const table& measured, options::text as);

/// Something the library claims of every data set, and whether a table shows it.
struct claim {
    std::string what;
    bool holds = false;
};

/// - teleportation makes v3-PC, iPNDM-4, 2M and UniPC-3 better on their default levels, with 6 calls and more;
/// - what is recommended is at least 6 times as accurate as UniPC-3 on its default levels with 5, 8 and 10,
/// - and never more than 10 % worse than the best line.
[[nodiscard]] std::vector<claim> claims_of(const data_set& on, const table& measured);

}  // namespace few_steps
