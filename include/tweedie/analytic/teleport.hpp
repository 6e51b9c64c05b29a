// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/tensor/concept.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::analytic {

/// A jump along the Gaussian flow, then a plan that goes on from where it ends. Made by `teleport::then`, run
/// by `sample` of `<tweedie/run/jump.hpp>`; plain data, cheap to copy but for the plan.
template <class Jump, class Plan>
class teleported_plan {
public:
    /// - errors  `std::invalid_argument`: the plan has no level, or its first is not `jump.to()` (alpha and
    ///           sigma, to 1e-12).
    teleported_plan(Jump jump, Plan rest) : jump_(std::move(jump)), rest_(std::move(rest)) {
        const auto equal = [](double a, double b) {
            return std::abs(a - b) <= 1e-12 * std::max(std::abs(a), std::abs(b));
        };
        if (rest_.levels.empty() || !equal(rest_.levels.front().alpha, jump_.to().alpha) ||
            !equal(rest_.levels.front().sigma, jump_.to().sigma)) {
            throw std::invalid_argument("teleport: the plan must begin at the level teleported to");
        }
    }

    [[nodiscard]] const Jump& jump() const { return jump_; }
    [[nodiscard]] const Plan& rest() const { return rest_; }

private:
    Jump jump_;
    Plan rest_;
};

/// Goes from one noise level to another, less noisy one without the network: along the exact probability flow
/// of Gaussian data with the mean and the covariance of the real ones.
///
///     y   = x - alpha_s mu,    c = U^T y,    e = y - U c
///     x_t = alpha_t mu + U (sqrt((alpha_t^2 l_k + sigma_t^2) / (alpha_s^2 l_k + sigma_s^2)) c_k)
///                      + sqrt((alpha_t^2 residual + sigma_t^2) / (alpha_s^2 residual + sigma_s^2)) e
///
/// Source: Wang and Vastola 2024, arXiv:2412.09726 (analytical teleportation), here for any alpha and sigma;
/// s is `from`, t is `to`. Exact for Gaussian data at any length; on other data what it gets wrong falls as
/// the inverse square of sigma_t / alpha_t (see `tune::skip_level`).
///
///     const auto levels = grid::karras(schedule, 8, {.sigma_max = 5.0});
///     const analytic::teleport jump(gaussian::fit(data), schedule, 5.0);
///     start_from_noise(x, jump.from(), noise{.seed = 7});
///     const auto result = sample(jump.then(solver::unipc{}.plan(schedule, levels)), model, x);
///
/// or, where the engine owns the loop, `jump(x)` and then a `stepper` on x.
///
/// - classes    one Gaussian per class, or per component of a mixture: `labelled` says whose each sample is.
///              A network told a class needs that of its class, one told nothing that of all data.
/// - mixture    data of a mixture without labels are teleported by the one Gaussian with their mean and
///              covariance: at a noise level that covers the components, the flow follows that, not the flow
///              of any component.
/// - alpha = 0  at the start (pure noise): the formula's limit, nothing special.
/// - sigma = 0  at the end: all the way to a sample of the Gaussian.
/// - cost       two matrix products d x r per sample, in double inside, a block of 32 samples at a time;
///              scratch of four such blocks per thread. Holds d (r + 2) doubles per class, shared by copies.
/// - errors     `std::invalid_argument`: levels that are not finite, a start without noise or less noisy than
///              the end, no Gaussian, Gaussians of different dimension; when called: x of another shape,
///              labels missing, too many or out of range.
/// - choose     with every solver, down to the sigma / alpha where the data stop looking Gaussian: 10 to 20
///              for images in [-1, 1], 5 for data of deviation 1/2.
class teleport {
public:
    /// - `data`  the Gaussian of all data.
    /// - `from`  where the state is; sigma > 0.
    /// - `to`    where it goes; no noisier than `from`. Equal levels: nothing happens.
    teleport(const gaussian& data, const level& from, const level& to)
        : teleport(std::vector<gaussian>{data}, from, to) {}

    /// - `data`  its mean and covariance are used, see above. - cost  an eigendecomposition, O(d^3).
    teleport(const mixture& data, const level& from, const level& to)
        : teleport(gaussian(data.mean(), data.covariance()), from, to) {}

    /// - `classes`  one per class, of one dimension; label i means `classes[i]`.
    teleport(const std::vector<gaussian>& classes, const level& from, const level& to)
        : from_(from), to_(to) {
        if (classes.empty()) { throw std::invalid_argument("teleport: need at least one Gaussian"); }
        for (const level& end : {from, to}) {
            if (!(end.alpha >= 0.0 && end.sigma >= 0.0 && end.alpha + end.sigma > 0.0 &&
                  std::isfinite(end.alpha) && std::isfinite(end.sigma))) {
                throw std::invalid_argument(
                    "teleport: alpha and sigma must be finite, not negative and not both zero");
            }
        }
        if (!(from.sigma > 0.0)) { throw std::invalid_argument("teleport: the start must have sigma > 0"); }
        if (!(from.sigma * to.alpha >= to.sigma * from.alpha)) {
            throw std::invalid_argument("teleport: the start must not be less noisy than the end");
        }
        std::vector<part> parts;
        for (const gaussian& g : classes) {
            if (g.dimension() != classes.front().dimension()) {
                throw std::invalid_argument("teleport: the Gaussians must have the same dimension");
            }
            parts.push_back(part_of(g));
        }
        parts_ = std::make_shared<const std::vector<part>>(std::move(parts));
    }

    /// From where sampling of a schedule starts.
    /// - `data`   any of the above.
    /// - `sigma`  sigma / alpha of the level to go to; in the schedule's range, or 0 for its clean end.
    template <class Data, noise_schedule Schedule>
        requires std::constructible_from<teleport, const Data&, const level&, const level&>
    teleport(const Data& data, const Schedule& schedule, double sigma)
        : teleport(data, at(schedule, schedule.range().noisy), level_at(schedule, sigma)) {}

    [[nodiscard]] const level& from() const { return from_; }
    [[nodiscard]] const level& to() const { return to_; }
    [[nodiscard]] Eigen::Index dimension() const { return parts_->front().mean.size(); }

    /// The same jump for a batch of known classes: sample i is of class `labels[i]`.
    [[nodiscard]] teleport labelled(std::span<const int> labels) const {
        for (const int label : labels) {
            if (!(label >= 0 && static_cast<std::size_t>(label) < parts_->size())) {
                throw std::invalid_argument("teleport: label " + std::to_string(label) +
                                            " is none of the classes 0 to " +
                                            std::to_string(parts_->size() - 1));
            }
        }
        teleport out = *this;
        out.labels_.assign(labels.begin(), labels.end());
        out.has_labels_ = true;
        return out;
    }

    /// Moves every sample of x, in place.
    /// - `x`  `batch(x)` samples of `dimension()` elements; a `cpu_tensor`, or a view of one.
    template <class X>
        requires tensor_or_view<std::remove_cvref_t<X>> && cpu_tensor<owned_t<std::remove_cvref_t<X>>>
    void operator()(X&& x) const {
        using traits = tensor_traits<std::remove_cvref_t<X>>;
        if constexpr (tensor<std::remove_cvref_t<X>>) {
            move(traits::data(x), traits::size(x), traits::batch(x));
        } else {
            owned_t<std::remove_cvref_t<X>> owned = traits::like(x);
            traits::load(owned, x);
            (*this)(owned);
            traits::store(x, owned);
        }
    }

    /// This jump, then a plan from where it ends.
    template <class Plan>
        requires requires(const Plan& rest) {
            { rest.levels.front() } -> std::convertible_to<level>;
        }
    [[nodiscard]] teleported_plan<teleport, Plan> then(Plan rest) const {
        return {*this, std::move(rest)};
    }

private:
    struct part {
        Eigen::VectorXd mean;
        Eigen::MatrixXd eigenvectors;
        Eigen::VectorXd along;  // gain of each eigenvector, less `across`
        double across = 0.0;    // gain of every other direction
    };

    [[nodiscard]] part part_of(const gaussian& g) const {
        const bool spans = g.rank() == g.dimension();
        const double across =
            spans ? 0.0 : std::sqrt(g.noisy_residual(to_)) / std::sqrt(g.noisy_residual(from_));
        const Eigen::ArrayXd gains =
            (g.noisy_variances(to_).array() / g.noisy_variances(from_).array()).sqrt();
        return {g.mean(), g.eigenvectors(), (gains - across).matrix(), across};
    }

    template <noise_schedule Schedule>
    [[nodiscard]] static level level_at(const Schedule& schedule, double sigma) {
        const double noisy = schedule.half_log_snr(schedule.range().noisy);
        const double clean = schedule.half_log_snr(schedule.range().clean);
        const double wanted = -std::log(sigma);  // sigma = 0: +infinity, the clean end
        constexpr double rounding = 1e-12;
        if (!(sigma == 0.0 || (sigma > 0.0 && wanted >= noisy - rounding && wanted <= clean + rounding))) {
            throw std::invalid_argument("teleport: sigma must lie in the schedule's range, " +
                                        std::to_string(std::exp(-clean)) + " to " +
                                        std::to_string(std::exp(-noisy)) + ", or be 0");
        }
        return at_half_log_snr(schedule, wanted);
    }

    template <class Scalar>
    void move(Scalar* values, std::size_t size, std::size_t batch) const {
        using matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;
        const Eigen::Index rows = dimension();
        const auto samples = static_cast<Eigen::Index>(batch);
        if (static_cast<Eigen::Index>(size) != rows * samples) {
            throw std::invalid_argument("teleport: x must hold " + std::to_string(rows) +
                                        " elements per sample; it has " + std::to_string(size) + " in " +
                                        std::to_string(batch) + " samples");
        }
        if (has_labels_ ? labels_.size() != batch : parts_->size() > 1) {
            throw std::invalid_argument("teleport: need one label per sample, " + std::to_string(batch) +
                                        ", not " + std::to_string(labels_.size()));
        }
        Eigen::Map<matrix> x(values, rows, samples);
        std::vector<Eigen::Index> members(batch);
        if (!has_labels_) {
            std::iota(members.begin(), members.end(), Eigen::Index{0});
            move_some(x, parts_->front(), members);
            return;
        }
        for (std::size_t c = 0; c < parts_->size(); ++c) {
            members.clear();
            for (std::size_t i = 0; i < batch; ++i) {
                if (static_cast<std::size_t>(labels_[i]) == c) {
                    members.push_back(static_cast<Eigen::Index>(i));
                }
            }
            move_some(x, (*parts_)[c], members);
        }
    }

    /// The columns `members` of x.
    template <class Columns>
    void move_some(Columns& x, const part& p, const std::vector<Eigen::Index>& members) const {
        using scalar = typename Columns::Scalar;
        const auto count = static_cast<Eigen::Index>(members.size());
        const Eigen::VectorXd before = from_.alpha * p.mean;
        const Eigen::VectorXd after = to_.alpha * p.mean;
        detail::for_each_block(
            count, 2 * x.rows() * count * (p.along.size() + 1),
            [&](Eigen::Index first, Eigen::Index columns) {
                Eigen::MatrixXd y(x.rows(), columns);
                for (Eigen::Index j = 0; j < columns; ++j) {
                    y.col(j) =
                        x.col(members[static_cast<std::size_t>(first + j)]).template cast<double>() - before;
                }
                Eigen::MatrixXd c = detail::product(p.eigenvectors.transpose(), y);
                c.array().colwise() *= p.along.array();
                Eigen::MatrixXd moved = detail::product(p.eigenvectors, c);
                if (p.across != 0.0) { moved += p.across * y; }
                for (Eigen::Index j = 0; j < columns; ++j) {
                    x.col(members[static_cast<std::size_t>(first + j)]) =
                        (moved.col(j) + after).template cast<scalar>();
                }
            });
    }

    level from_;
    level to_;
    std::shared_ptr<const std::vector<part>> parts_;
    std::vector<int> labels_;
    bool has_labels_ = false;
};

}  // namespace tweedie::analytic
