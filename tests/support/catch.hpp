// SPDX-License-Identifier: MIT
#pragma once

// Catch2 version 2 and version 3 alike. Compare numbers with WithinRel, WithinAbs and WithinULP, which are
// the same in both; `Approx` is not.

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
#else
#include <catch2/catch.hpp>
#endif

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
using Catch::Matchers::WithinULP;
