// SPDX-License-Identifier: MIT
#include "other.hpp"

#include <tweedie/tweedie.hpp>

const int* other_version() { return &tweedie::version_major; }
