// SPDX-License-Identifier: MIT
#include "sampling.hpp"

#include <tweedie/analytic/mixture.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/verify/exactness.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include "solvers.hpp"

namespace digits {

using tweedie::analytic::mixture;

struct digit_laws::content {
    std::vector<mixture> laws;

    [[nodiscard]] const mixture& of(int digit) const { return laws[static_cast<std::size_t>(digit)]; }
};

namespace {

pictures start(int digit, int first, int count, const tweedie::level& at, std::uint64_t seed) {
    constexpr std::uint64_t apart = 1'000'000;  // from the sample numbers of one class to those of the next
    pictures x(pixels, count);
    const auto sample = static_cast<std::uint64_t>(digit) * apart + static_cast<std::uint64_t>(first);
    tweedie::start_from_noise(x, at, tweedie::noise{.seed = seed, .sample = sample});
    return x;
}

}  // namespace

digit_laws::digit_laws(const real_digits& real) {
    // About nine pictures to a component: enough for clear strokes, too many for a copy of any one picture.
    constexpr Eigen::Index components = 20;
    constexpr auto dropped = tweedie::analytic::left_out::dropped;  // or the paper would be grainy
    const auto fitted = std::make_shared<content>();
    for (const pictures& digit : real) {
        fitted->laws.push_back(
            mixture::fit(digit, std::min(components, digit.cols()),
                         {.each = {.rank = 8, .added_variance = 0.001, .remainder = dropped}}));
    }
    content_ = fitted;
}

pictures digit_laws::sample(int digit, int count, const tweedie::plan& plan, std::uint64_t seed,
                            const watcher& watch) const {
    return sample_from(digit, 0, count, plan, seed, watch);
}

pictures digit_laws::sample_from(int digit, int first, int count, const tweedie::plan& plan,
                                 std::uint64_t seed, const watcher& watch) const {
    using namespace tweedie;
    const denoiser model(std::cref(content_->of(digit)), prediction::x0, schedule());
    pictures x = start(digit, first, count, plan.levels.front(), seed);
    const run_result ended = watch ? tweedie::sample(plan, model, x, no_noise{}, hooks{.observe = watch})
                                   : tweedie::sample(plan, model, x);
    if (!ended) { throw std::runtime_error(to_string(ended.status)); }
    return x;
}

pictures digit_laws::flow(int digit, int count, const tweedie::level& to, std::uint64_t seed) const {
    const tweedie::level from = tweedie::at(schedule(), schedule().range().noisy);
    const pictures x = start(digit, 0, count, from, seed);
    auto end =
        tweedie::verify::reference_flow(content_->of(digit), schedule(), from, to, x, {.tolerance = 1e-6});
    if (!end) { throw std::runtime_error(to_string(end.status)); }
    return std::move(end.x);
}

}  // namespace digits
