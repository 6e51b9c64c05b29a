// SPDX-License-Identifier: MIT
#pragma once

/// Checks a precondition in debug builds. May be defined by the user before the first include of the library,
/// the same in every translation unit.
#ifndef TWEEDIE_ASSERT
#include <cassert>
#define TWEEDIE_ASSERT(condition, message) assert((condition) && (message))
#endif
