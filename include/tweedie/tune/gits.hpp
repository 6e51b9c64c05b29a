// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/detail/parallel.hpp>
#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/run/result.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>
#include <tweedie/tune/step_costs.hpp>

#include <Eigen/Core>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::tune {

/// How the end of an Euler step is compared with the teacher's state at that level, in y = x / alpha.
enum class trajectory_metric {
    deviation,  ///< how much farther it lies from the straight line through the teacher's start and end
    l2,         ///< its distance
    l1,         ///< the sum of the absolute differences
};

/// What single Euler steps off a teacher's trajectory cost, measured.
///
///     costs(j, i) = mean over samples of  dev(y') - dev(y_i)  or  |y' - y_i|
///     y' = (kappa_i / kappa_j) y_j + (1 - kappa_i / kappa_j) x0_hat(y_j)
///
/// with y = x / alpha, kappa = sigma / alpha, and dev the distance from the line through y_0 and the end.
///
/// Source: Chen et al. 2024 (On the Trajectory Regularity of ODE-based Diffusion Sampling), arXiv:2405.11326,
/// and the authors' code, on sigma of EDM; here on any schedule: the Euler step in kappa is DDIM's.
/// Deviations: batches are averaged (their code keeps the last batch's matrix and divides it by the number of
/// batches); from pure noise the line has the direction of the start, its limit.
///
///     const auto teacher = solver::ipndm{}.plan(
///         schedule, grid::karras(schedule, 60, {.last = grid::final_level::sigma_min}));
///     tune::euler_costs costs(teacher);
///     costs.add(model, starts);
///     const std::vector<level> levels = tune::gits(6, costs);
///
/// - `teacher`  any deterministic plan; the candidates are the levels at which its steps ask the network
///              first, and the level it ends at. 60 steps of iPNDM are published.
/// - `metric`   the published default is the deviation.
/// - errors     `std::invalid_argument`: a plan that cannot be run, draws noise, or does not denoise.
class euler_costs {
public:
    explicit euler_costs(plan teacher, trajectory_metric metric = trajectory_metric::deviation)
        : teacher_(std::move(teacher)), metric_(metric) {
        require_plan(teacher_);
        if (counts(teacher_).draws > 0) {
            throw std::invalid_argument("euler_costs: the teacher must not draw noise");
        }
        if (metric != trajectory_metric::deviation && metric != trajectory_metric::l2 &&
            metric != trajectory_metric::l1) {
            throw std::invalid_argument("euler_costs: no such metric");
        }
        for (std::size_t k = 0; k < teacher_.calls.size(); ++k) {
            if (k == 0 || teacher_.calls[k].step != teacher_.calls[k - 1].step) {
                levels_.push_back(teacher_.calls[k].at);
            }
        }
        if (teacher_.levels.empty()) {
            throw std::invalid_argument("euler_costs: the teacher must have levels");
        }
        levels_.push_back(teacher_.levels.back());
        require_levels(levels_, "euler_costs");
        const auto n = static_cast<Eigen::Index>(levels_.size());
        sums_ = Eigen::MatrixXd::Zero(n, n);
    }

    /// Runs the teacher from a batch of starts. The costs are the means over all that were added.
    ///
    /// - `model`   a `denoiser`.
    /// - `starts`  states at the teacher's first level, see `start_from_noise`; 256 are published.
    /// - cost      the teacher's network calls; the Euler steps need none. Memory for the states and
    ///             predictions at all levels, so give large states in batches; O(levels^2) passes over one.
    /// - errors    `std::invalid_argument`: no sample, states of another size than before, a run that did not
    ///             finish (its status in words). Nothing is added then.
    template <class Model, analytic::cpu_tensor T>
        requires is_denoiser<std::remove_cvref_t<Model>> && network_for<network_of<Model>, T>
    void add(Model&& model, const T& starts) {
        using traits = tensor_traits<T>;
        const std::size_t samples = traits::batch(starts);
        const std::size_t elements = samples == 0 ? 0 : traits::size(starts) / samples;
        if (elements == 0) { throw std::invalid_argument("euler_costs: the starts must not be empty"); }
        if (samples_ > 0 && elements != elements_) {
            throw std::invalid_argument("euler_costs: a state must have " + std::to_string(elements_) +
                                        " elements, as before, not " + std::to_string(elements));
        }
        T x = traits::like(starts);
        traits::assign(x, starts);
        std::vector<T> states;
        std::vector<T> x0_hat;
        const auto copy = [](std::vector<T>& to, const T& from) {
            to.push_back(traits::like(from));
            traits::assign(to.back(), from);
        };
        const auto keep = [&](const observation<T>& seen) {
            copy(states, seen.x);
            copy(x0_hat, seen.x0_hat);
        };
        const run_result ended = sample(teacher_, model, x, hooks{.observe = keep});
        if (!ended) {
            throw std::invalid_argument(std::string("euler_costs: the teacher did not finish: ") +
                                        to_string(ended.status));
        }
        states.push_back(std::move(x));

        std::vector<std::span<const scalar_t<T>>> at;
        std::vector<std::span<const scalar_t<T>>> predicted;
        for (const T& s : states) { at.emplace_back(traits::data(s), traits::size(s)); }
        for (const T& s : x0_hat) { predicted.emplace_back(traits::data(s), traits::size(s)); }
        // one row of the matrix is one thread's work: the same sums in the same order for any number of them
        const std::size_t rows = levels_.size() - 1;
        const std::size_t work = rows * rows * traits::size(starts);
        Eigen::MatrixXd sums = sums_;
        detail::for_each_index(rows, work, [&](std::size_t j) {
            add_row<scalar_t<T>>(j, at, predicted, elements, sums);
            return true;
        });
        if (!sums.allFinite()) { throw std::invalid_argument("euler_costs: the trajectory must be finite"); }
        sums_ = std::move(sums);
        elements_ = elements;
        samples_ += samples;
        calls_ += ended.network_calls;
    }

    [[nodiscard]] const std::vector<level>& levels() const { return levels_; }
    [[nodiscard]] std::size_t samples() const { return samples_; }
    [[nodiscard]] std::size_t network_calls() const { return calls_; }

    /// The cost of the step from level j to level i > j.
    /// - errors  `std::invalid_argument`: nothing was added.
    [[nodiscard]] double operator()(std::size_t j, std::size_t i) const {
        if (samples_ == 0) { throw std::invalid_argument("euler_costs: add starts first"); }
        return sums_(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(i)) /
               static_cast<double>(samples_);
    }

private:
    /// The line that deviations are measured from: through the end, along a unit vector.
    struct chord {
        Eigen::VectorXd end;
        Eigen::VectorXd along;

        [[nodiscard]] double distance(const Eigen::VectorXd& y) const {
            const Eigen::VectorXd away = y - end;
            return (away - along.dot(away) * along).norm();
        }
    };

    template <class Scalar>
    void add_row(std::size_t j, const std::vector<std::span<const Scalar>>& at,
                 const std::vector<std::span<const Scalar>>& predicted, std::size_t elements,
                 Eigen::MatrixXd& sums) const {
        const auto sample_of = [&](std::span<const Scalar> all, std::size_t b) {
            using vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;
            return Eigen::Map<const vector>(all.data() + b * elements, static_cast<Eigen::Index>(elements));
        };
        const level& s = levels_[j];
        const level& end = levels_.back();
        for (std::size_t b = 0; b < at[0].size() / elements; ++b) {
            const Eigen::VectorXd x = sample_of(at[j], b).template cast<double>();
            const Eigen::VectorXd x0 = sample_of(predicted[j], b).template cast<double>();
            chord line;
            if (metric_ == trajectory_metric::deviation) {
                line.end = sample_of(at.back(), b).template cast<double>() / end.alpha;
                line.along = sample_of(at[0], b).template cast<double>() - levels_[0].alpha * line.end;
                line.along.normalize();
            }
            for (std::size_t i = j + 1; i < levels_.size(); ++i) {
                const level& t = levels_[i];
                const double keep = t.sigma / s.sigma;
                const Eigen::VectorXd y = sample_of(at[i], b).template cast<double>() / t.alpha;
                const Eigen::VectorXd euler = (keep * x + (t.alpha - keep * s.alpha) * x0) / t.alpha;
                double cost = 0.0;
                switch (metric_) {
                    case trajectory_metric::deviation: cost = line.distance(euler) - line.distance(y); break;
                    case trajectory_metric::l2: cost = (euler - y).norm(); break;
                    case trajectory_metric::l1: cost = (euler - y).template lpNorm<1>(); break;
                }
                sums(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(i)) += cost;
            }
        }
    }

    plan teacher_;
    trajectory_metric metric_;
    std::vector<level> levels_;
    Eigen::MatrixXd sums_;
    std::size_t elements_ = 0;
    std::size_t samples_ = 0;
    std::size_t calls_ = 0;
};

/// Options of `gits`.
struct gits_options {
    double discount = 1.15;  ///< what each step multiplies the cost of those after it by; > 0, finite
};

/// The levels whose steps cost least, from the noisiest candidate to the cleanest, by dynamic programming.
///
///     V_k(j) = min_i costs(j, i) + discount V_{k-1}(i),    V_1(j) = costs(j, last)
///
/// the least over all choices of k - 1 levels between. With `euler_costs` this is GITS, geometry-inspired
/// time scheduling: levels are placed where sampling trajectories bend. Not to be confused with
/// `grid::gits_cifar10`, the one table the authors published.
///
/// Source: Chen et al. 2024, arXiv:2405.11326, algorithm and discount of the authors' code. Deviation: none.
/// - `steps`     network levels, in [1, number of candidates - 1].
/// - `costs`     `euler_costs`, or any step costs (`network_klub` with discount 1: its global minimum).
/// - returns     steps + 1 of the candidates, their first and their last among them: a teacher that ends at
///               sigma = 0 gives levels that do.
/// - cost        no network call; O(steps * candidates^2).
/// - errors      `std::invalid_argument`: steps or discount out of range, a cost that is NaN.
/// - choose      at 5 to 10 calls, with `solver::ipndm`, for a network that is worth 60 calls on 256 samples.
template <step_costs Costs>
[[nodiscard]] std::vector<level> gits(int steps, const Costs& costs, const gits_options& options = {}) {
    const std::span<const level> candidates = costs.levels();
    require_levels(candidates, "tune::gits");
    const std::size_t last = candidates.size() - 1;
    if (!(steps >= 1 && static_cast<std::size_t>(steps) <= last)) {
        throw std::invalid_argument("tune::gits: steps must lie in [1, number of candidates - 1]");
    }
    if (!(options.discount > 0.0 && std::isfinite(options.discount))) {
        throw std::invalid_argument("tune::gits: discount must be positive and finite");
    }
    const auto cost_of = [&](std::size_t j, std::size_t i) {
        const auto cost = static_cast<double>(costs(j, i));
        if (std::isnan(cost)) { throw std::invalid_argument("tune::gits: a cost must not be NaN"); }
        return cost;
    };
    const auto count = static_cast<std::size_t>(steps);
    std::vector<double> least(last);  // of going on from each candidate with k steps
    std::vector<std::vector<std::size_t>> next(count, std::vector<std::size_t>(last, last));
    for (std::size_t j = 0; j < last; ++j) { least[j] = cost_of(j, last); }
    for (std::size_t k = 1; k < count; ++k) {
        std::vector<double> with_one_more(last, std::numeric_limits<double>::infinity());
        for (std::size_t j = 0; j + k < last; ++j) {
            for (std::size_t i = j + 1; i + k <= last; ++i) {
                const double cost = cost_of(j, i) + options.discount * least[i];
                if (cost < with_one_more[j] || i == j + 1) {
                    with_one_more[j] = cost;
                    next[k][j] = i;
                }
            }
        }
        least = std::move(with_one_more);
    }
    std::vector<level> out = {candidates[0]};
    for (std::size_t k = count, j = 0; k-- > 0;) {
        j = next[k][j];
        out.push_back(candidates[j]);
    }
    return out;
}

}  // namespace tweedie::tune
