// SPDX-License-Identifier: MIT
#include <tweedie/tweedie.hpp>

#include "other.hpp"

int main() { return other_version() == &tweedie::version_major ? 0 : 1; }
