// SPDX-License-Identifier: MIT
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "mixtures.hpp"

namespace proof {

/// Measures every solver and writes the page, in Markdown. A line of progress for each solver goes to `progress`.
[[nodiscard]] std::string make_page(const std::vector<problem>& problems, std::ostream& progress);

/// What differs between a page and the one just measured: headings, names, and numbers by more than measurement
/// noise. Empty when nothing does.
[[nodiscard]] std::vector<std::string> differences(const std::string& page, const std::string& measured);

}  // namespace proof
