// SPDX-License-Identifier: MIT
#include "sampling.hpp"

#include <tweedie/analytic/mixture.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <vector>

#include "solvers.hpp"

namespace digits {

using tweedie::analytic::mixture;

struct digit_laws::content {
    std::vector<mixture> of_class;
};

digit_laws::digit_laws(const real_digits& real) {
    // About nine pictures to a component: enough for clear strokes, too many for a copy of any one picture.
    constexpr Eigen::Index components = 20;
    constexpr auto dropped = tweedie::analytic::left_out::dropped;  // or the paper would be grainy
    const auto laws = std::make_shared<content>();
    for (const pictures& digit : real) {
        laws->of_class.push_back(
            mixture::fit(digit, std::min(components, digit.cols()),
                         {.each = {.rank = 8, .added_variance = 0.001, .remainder = dropped}}));
    }
    content_ = laws;
}

pictures digit_laws::sample(int digit, int count, const tweedie::plan& plan, std::uint64_t seed,
                            const watcher& watch) const {
    using namespace tweedie;
    const mixture& law = content_->of_class[static_cast<std::size_t>(digit)];
    const denoiser model(std::cref(law), prediction::x0, schedule());

    constexpr std::uint64_t apart = 1'000'000;  // sample numbers of one class to those of the next
    pictures x(pixels, count);
    start_from_noise(x, plan.levels.front(),
                     noise{.seed = seed, .sample = static_cast<std::uint64_t>(digit) * apart});
    const run_result ended = watch ? tweedie::sample(plan, model, x, no_noise{}, hooks{.observe = watch})
                                   : tweedie::sample(plan, model, x);
    if (!ended) { throw std::runtime_error(to_string(ended.status)); }
    return x;
}

}  // namespace digits
