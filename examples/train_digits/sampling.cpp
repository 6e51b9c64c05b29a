// SPDX-License-Identifier: MIT
#include "sampling.hpp"

#include <tweedie/model/denoiser.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <stdexcept>
#include <vector>

namespace train_digits {

digits::pictures sample(const trained& from, int digit, int count, const tweedie::plan& plan, double guidance,
                        std::uint64_t seed) {
    using namespace tweedie;
    using matrix = network<float>::matrix;
    network<float>::trace kept;
    // Both predictions in one call: first the columns with their label, then the same without.
    const auto guided = [&](const matrix& x, const network_level& at) {
        matrix both(x.rows(), 2 * x.cols());
        both << x, x;
        std::vector<int> labels(static_cast<std::size_t>(2 * x.cols()), network<float>::classes);
        for (std::size_t i = 0; i < labels.size() / 2; ++i) { labels[i] = digit; }
        const matrix out =
            from.net.forward(both, Eigen::RowVectorXd::Constant(2 * x.cols(), at.condition), labels, kept);
        const auto w = static_cast<float>(guidance);
        return matrix(w * out.leftCols(x.cols()) + (1 - w) * out.rightCols(x.cols()));
    };
    const denoiser model(guided, prediction::edm(from.sigma_data), schedule::edm{},
                         {.time = condition::sigma_quarter_log});
    constexpr std::uint64_t apart = 1'000'000;  // from the sample numbers of one class to those of the next
    matrix x(digits::pixels, count);
    start_from_noise(x, plan.levels.front(),
                     noise{.seed = seed, .sample = static_cast<std::uint64_t>(digit) * apart});
    const run_result ended = tweedie::sample(plan, model, x);
    if (!ended) { throw std::runtime_error(to_string(ended.status)); }
    return x.cast<double>();
}

}  // namespace train_digits
