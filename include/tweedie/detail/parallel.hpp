// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#ifdef _OPENMP
#include <exception>
#endif

namespace tweedie::detail {

/// Work smaller than this (scalars read and written) stays on one thread.
inline constexpr std::size_t parallel_threshold = std::size_t{1} << 18;

/// Runs `body(i)` for i = 0 .. count - 1 and returns whether every call returned true.
///
/// On several threads when OpenMP is on and `work` (scalars touched in all) makes it worthwhile. What is
/// computed for an index must depend on that index alone: then results do not depend on the number of
/// threads.
/// - errors  an exception of `body` is rethrown after the other indices have run.
template <class Body>
bool for_each_index(std::size_t count, [[maybe_unused]] std::size_t work, const Body& body) {
#ifdef _OPENMP
    if (count > 1 && work >= parallel_threshold) {
        int refused = 0;
        std::exception_ptr error;
#pragma omp parallel for schedule(static) reduction(+ : refused)
        for (std::ptrdiff_t i = 0; i < static_cast<std::ptrdiff_t>(count); ++i) {
            try {
                refused += body(static_cast<std::size_t>(i)) ? 0 : 1;
            } catch (...) {
#pragma omp critical(tweedie_for_each_index)
                error = std::current_exception();
            }
        }
        if (error) { std::rethrow_exception(error); }
        return refused == 0;
    }
#endif
    bool all = true;
    for (std::size_t i = 0; i < count; ++i) { all = body(i) && all; }
    return all;
}

}  // namespace tweedie::detail
