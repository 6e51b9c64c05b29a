// SPDX-License-Identifier: MIT
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "mixtures.hpp"

namespace proof {

/// How much is measured.
enum class effort {
    all,     ///< the page
    orders,  ///< all but the errors on the mixtures, for which a question mark stands
};

/// Measures every solver and writes the page, in Markdown. A line of progress for each solver goes to
/// `progress`.
[[nodiscard]] std::string make_page(const std::vector<problem>& problems, effort work,
                                    std::ostream& progress);

/// What differs between a page and the one just measured: headings, names, and numbers by more than
/// measurement noise; a question mark equals anything. Empty when nothing does.
[[nodiscard]] std::vector<std::string> differences(const std::string& page, const std::string& measured);

}  // namespace proof
