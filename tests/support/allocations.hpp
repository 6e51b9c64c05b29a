// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

/// How often this program called `operator new` so far.
std::size_t allocations();

/// How many bytes it asked for by them; what was given back is not taken off.
std::size_t allocated_bytes();
