// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/detail/fit_counter.hpp>
#include <tweedie/random/philox.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace tweedie::analytic {

/// How k-means chooses its first centres among the samples.
enum class cluster_start {
    /// The sample nearest the mean, then always the one farthest from those chosen (Gonzalez 1985). No seed;
    /// finds small clusters far away, and outliers.
    farthest,
    /// At random, with probabilities proportional to the squared distance from those chosen: k-means++
    /// (Arthur and Vassilvitskii 2007). The mean squared distance is on average at most 8 (ln k + 2) times
    /// the least possible, before any iteration.
    plus_plus,
};

}  // namespace tweedie::analytic

namespace tweedie::detail {

using clusters = std::vector<std::vector<Eigen::Index>>;

[[nodiscard]] inline Eigen::MatrixXd farthest_samples(const Eigen::MatrixXd& samples, Eigen::Index wanted) {
    Eigen::MatrixXd chosen(samples.rows(), wanted);
    Eigen::Index next = 0;
    samples.colwise().squaredNorm().minCoeff(&next);
    chosen.col(0) = samples.col(next);
    Eigen::RowVectorXd nearest = (samples.colwise() - chosen.col(0)).colwise().squaredNorm();
    for (Eigen::Index k = 1; k < wanted; ++k) {
        if (!(nearest.maxCoeff(&next) > 0.0)) { return chosen.leftCols(k); }  // no other distinct sample
        chosen.col(k) = samples.col(next);
        nearest = nearest.cwiseMin((samples.colwise() - chosen.col(k)).colwise().squaredNorm());
    }
    return chosen;
}

/// Each sample is chosen with a probability proportional to its squared distance from the nearest of those
/// chosen before.
[[nodiscard]] inline Eigen::MatrixXd plus_plus_samples(const Eigen::MatrixXd& samples, Eigen::Index wanted,
                                                       std::uint64_t seed) {
    const auto uniform = [&](Eigen::Index k) {  // in [0, 1), 53 bits
        const philox_counter words =
            philox4x32(fit_counter(fit_draw::centres, static_cast<std::uint64_t>(k)), fit_key(seed));
        return (static_cast<double>(words[0] >> 5) * 67108864.0 + static_cast<double>(words[1] >> 6)) *
               0x1p-53;
    };
    const Eigen::Index n = samples.cols();
    Eigen::MatrixXd chosen(samples.rows(), wanted);
    Eigen::Index next = std::min(n - 1, static_cast<Eigen::Index>(uniform(0) * static_cast<double>(n)));
    Eigen::RowVectorXd nearest = Eigen::RowVectorXd::Constant(n, std::numeric_limits<double>::infinity());
    for (Eigen::Index k = 0;;) {
        chosen.col(k) = samples.col(next);
        nearest = nearest.cwiseMin((samples.colwise() - chosen.col(k)).colwise().squaredNorm());
        if (++k == wanted) { return chosen; }
        double left = uniform(k) * std::accumulate(nearest.begin(), nearest.end(), 0.0);
        next = -1;
        for (Eigen::Index j = 0; j < n && left >= 0.0; ++j) {
            if (!(nearest(j) > 0.0)) { continue; }
            next = j;  // the last one with a chance, should rounding reach the end
            left -= nearest(j);
        }
        if (next < 0) { return chosen.leftCols(k); }  // no other distinct sample
    }
}

/// The nearest centre of each sample; the first of equals.
[[nodiscard]] inline std::vector<Eigen::Index> nearest_centres(const Eigen::MatrixXd& samples,
                                                               const Eigen::MatrixXd& centres) {
    const Eigen::VectorXd half = 0.5 * centres.colwise().squaredNorm().transpose();
    std::vector<Eigen::Index> owner(static_cast<std::size_t>(samples.cols()));
    for_each_block(samples.cols(), samples.size() * centres.cols(),
                   [&](Eigen::Index first, Eigen::Index count) {
                       const Eigen::MatrixXd away =
                           (-product(centres.transpose(), samples.middleCols(first, count))).colwise() + half;
                       for (Eigen::Index j = 0; j < count; ++j) {
                           away.col(j).minCoeff(&owner[static_cast<std::size_t>(first + j)]);
                       }
                   });
    return owner;
}

/// Gives every empty cluster the sample farthest from its own centre, while distinct samples share one.
inline void refill_empty(const Eigen::MatrixXd& samples, Eigen::MatrixXd& centres, clusters& found) {
    for (std::size_t k = 0; k < found.size(); ++k) {
        if (!found[k].empty()) { continue; }
        double farthest = 0.0;
        std::size_t from = 0;
        std::size_t place = 0;
        for (std::size_t other = 0; other < found.size(); ++other) {
            for (std::size_t m = 0; found[other].size() > 1 && m < found[other].size(); ++m) {
                const double away =
                    (samples.col(found[other][m]) - centres.col(static_cast<Eigen::Index>(other)))
                        .squaredNorm();
                if (away > farthest) {
                    farthest = away;
                    from = other;
                    place = m;
                }
            }
        }
        if (!(farthest > 0.0)) { return; }
        const Eigen::Index moved = found[from][place];
        found[from].erase(found[from].begin() + static_cast<std::ptrdiff_t>(place));
        found[k].push_back(moved);
        centres.col(static_cast<Eigen::Index>(k)) = samples.col(moved);
        centres.col(static_cast<Eigen::Index>(from)) = samples(Eigen::all, found[from]).rowwise().mean();
    }
}

/// The clusters of k-means, none of them empty.
[[nodiscard]] inline clusters k_means(const Eigen::Ref<const Eigen::MatrixXd>& data, Eigen::Index wanted,
                                      analytic::cluster_start start, std::uint64_t seed, int iterations) {
    const Eigen::Index n = data.cols();
    const Eigen::VectorXd middle = data.rowwise().mean();
    const Eigen::MatrixXd samples = data.colwise() - middle;  // smaller numbers, more exact distances
    Eigen::MatrixXd centres = start == analytic::cluster_start::farthest
                                  ? farthest_samples(samples, wanted)
                                  : plus_plus_samples(samples, wanted, seed);
    std::vector<Eigen::Index> owner;
    clusters found;
    for (int i = 0; i <= iterations; ++i) {
        const std::vector<Eigen::Index> next = nearest_centres(samples, centres);
        if (next == owner) { break; }
        owner = next;
        found.assign(static_cast<std::size_t>(centres.cols()), {});
        for (Eigen::Index j = 0; j < n; ++j) {
            found[static_cast<std::size_t>(owner[static_cast<std::size_t>(j)])].push_back(j);
        }
        for (std::size_t k = 0; k < found.size(); ++k) {
            if (found[k].empty()) { continue; }
            centres.col(static_cast<Eigen::Index>(k)) = samples(Eigen::all, found[k]).rowwise().mean();
        }
        refill_empty(samples, centres, found);
    }
    std::erase_if(found, [](const std::vector<Eigen::Index>& members) { return members.empty(); });
    return found;
}

}  // namespace tweedie::detail
