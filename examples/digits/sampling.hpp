// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/plan.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <cstdint>
#include <functional>
#include <memory>

#include "optdigits.hpp"

namespace digits {

/// Called once per step of a plan.
using watcher = std::function<void(const tweedie::observation<pictures>&)>;

/// What handwritten digits look like: for each class a mixture of Gaussians fitted to the real ones. Its
/// denoiser is known exactly and stands where a trained network would.
class digit_laws {
public:
    explicit digit_laws(const real_digits& real);

    /// `count` pictures of one class, made from noise by a plan. Picture i depends on `digit`, `seed` and i,
    /// not on `count`.
    [[nodiscard]] pictures sample(int digit, int count, const tweedie::plan& plan, std::uint64_t seed,
                                  const watcher& watch = {}) const;

    /// Those of them from number `first` on: whoever samples which, they are the same.
    [[nodiscard]] pictures sample_from(int digit, int first, int count, const tweedie::plan& plan,
                                       std::uint64_t seed, const watcher& watch = {}) const;

    /// Where the exact probability flow takes, from the noisy end of the schedule to a level, the noise that
    /// `sample` starts from.
    [[nodiscard]] pictures flow(int digit, int count, const tweedie::level& to, std::uint64_t seed) const;

private:
    struct content;  // the mixtures take long to compile; one file does it
    std::shared_ptr<const content> content_;
};

}  // namespace digits
