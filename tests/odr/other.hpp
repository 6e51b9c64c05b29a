// SPDX-License-Identifier: MIT
#pragma once

/// The address of `tweedie::version_major` as the other translation unit sees it.
const int* other_version();
