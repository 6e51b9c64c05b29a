// SPDX-License-Identifier: MIT
#pragma once

namespace tweedie {

/// The version of the library, SemVer; a change of numerical results for the same inputs counts as breaking.
/// This file is the only place where it is written: the build reads these lines.
inline constexpr int version_major = 0;
inline constexpr int version_minor = 1;
inline constexpr int version_patch = 0;
inline constexpr const char* version_string = "0.1.0";

}  // namespace tweedie
