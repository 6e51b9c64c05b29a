// SPDX-License-Identifier: MIT
#pragma once

namespace tweedie::detail {

/// The product as IEEE rounds it: the compiler may not fuse it into a following sum, whatever `-ffp-contract`
/// and `-march` say.
inline double rounded_product(double a, double b) {
    double product = a * b;
#if defined(__GNUC__) && defined(__x86_64__)
    asm("" : "+x"(product));
#elif defined(__GNUC__) && defined(__aarch64__)
    asm("" : "+w"(product));
#elif defined(__GNUC__)
    asm("" : "+m"(product));
#endif
    return product;
}

}  // namespace tweedie::detail
