// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/analytic/spectrum.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/model/denoiser.hpp>
#include <tweedie/plan/analyze.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/run/observer.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <Eigen/QR>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// The Gaussian with the mean and the covariance of a mixture; without a d x d matrix where its components
/// are of low rank.
[[nodiscard]] inline analytic::gaussian whole_gaussian(const analytic::mixture& data) {
    const Eigen::Index d = data.dimension();
    Eigen::Index columns = 0;
    double residual = 0.0;
    for (std::size_t c = 0; c < data.components().size(); ++c) {
        columns += data.components()[c].rank() + 1;
        residual += data.weights()[c] * data.components()[c].residual();
    }
    const Eigen::VectorXd mean = data.mean();
    if (columns >= d) { return {mean, data.covariance()}; }
    // covariance = residual I + B S B^T, and B = Q R
    Eigen::MatrixXd b(d, columns);
    Eigen::VectorXd s = Eigen::VectorXd::Ones(columns);
    Eigen::Index next = 0;
    for (std::size_t c = 0; c < data.components().size(); ++c) {
        const analytic::gaussian& part = data.components()[c];
        const double w = data.weights()[c];
        b.middleCols(next, part.rank()) = part.eigenvectors();
        s.segment(next, part.rank()) = (w * (part.eigenvalues().array() - part.residual())).matrix();
        b.col(next + part.rank()) = std::sqrt(w) * (part.mean() - mean);
        next += part.rank() + 1;
    }
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(b);
    const Eigen::MatrixXd r = qr.matrixQR().topRows(columns).triangularView<Eigen::Upper>();
    const Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(d, columns);
    const Eigen::MatrixXd small = r * s.asDiagonal() * r.transpose();
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(0.5 * (small + small.transpose()));
    const Eigen::MatrixXd turned = solver.eigenvectors().rowwise().reverse();
    const Eigen::VectorXd variances = (solver.eigenvalues().reverse().array() + residual).cwiseMax(0.0);
    return analytic::gaussian::low_rank(mean, product(q, turned), variances, residual);
}

/// A mixture as it is along the `rank` directions of largest variance of a Gaussian, about its mean: exact,
/// for any part of a Gaussian is one.
[[nodiscard]] inline analytic::mixture projection_of(const analytic::mixture& data,
                                                     const analytic::gaussian& on, Eigen::Index rank) {
    const Eigen::MatrixXd kept = on.eigenvectors().leftCols(rank);
    std::vector<analytic::gaussian> parts;
    for (const analytic::gaussian& g : data.components()) {
        const Eigen::VectorXd mean = product(kept.transpose(), g.mean() - on.mean());
        const Eigen::MatrixXd turned = product(kept.transpose(), g.eigenvectors());
        constexpr double rounding = 1e-9;
        if (product(turned.transpose(), turned).isIdentity(rounding)) {  // all of it is kept, and of low rank
            parts.push_back(analytic::gaussian::low_rank(mean, turned, g.eigenvalues(), g.residual()));
            continue;
        }
        const double outside = g.rank() < g.dimension() ? g.residual() : 0.0;
        const Eigen::VectorXd above = (g.eigenvalues().array() - outside).matrix();
        const Eigen::MatrixXd stretched = turned * above.asDiagonal();
        Eigen::MatrixXd covariance = product(stretched, turned.transpose());
        covariance.diagonal().array() += outside;
        parts.emplace_back(mean, 0.5 * (covariance + covariance.transpose()));
    }
    return {data.weights(), std::move(parts)};
}

/// Mixture data that stand in for the real ones, and exact trajectories of them to measure samplers by.
///
/// The trajectories are of the mixture, which may know only the directions of largest variance; in the others
/// the data count as Gaussian, and what a plan does there is known without trajectories.
/// - random  the `user` draw 0 of a `noise` for each start, draw 1 for each sample, by its number.
class stand_in {
public:
    /// - `first`, `last`  levels of a schedule; `first` may be pure noise, `last` clean.
    /// - `rank`           most dimensions of the trajectories.
    stand_in(const analytic::mixture& data, const level& first, const level& last, std::size_t starts,
             Eigen::Index rank, std::uint64_t seed)
        : original_(whole_gaussian(data)), mixture_(data), whole_(original_), first_(first), last_(last) {
        if (rank < data.dimension() && original_.rank() >= rank) {
            keep(projection_of(data, original_, rank));
        } else if (original_.rank() < data.dimension() && same_residuals(data)) {
            keep(projection_of(data, original_, original_.rank()));
            exact_ = true;  // beyond the span of the components all are alike: Gaussian, and independent
        }
        prepare(starts, seed);
    }

    /// - `whole`   of all dimensions.
    /// - `inside`  along its first eigenvectors, about its mean; as many dimensions as are to be kept.
    stand_in(const analytic::gaussian& whole, analytic::mixture inside, const level& first, const level& last,
             std::size_t starts, std::uint64_t seed)
        : original_(whole), mixture_(inside), whole_(whole), first_(first), last_(last) {
        keep(std::move(inside));
        prepare(starts, seed);
    }

    /// The Gaussian with the mean and the covariance of the data, all dimensions.
    [[nodiscard]] const analytic::gaussian& whole() const { return original_; }
    /// The mixture the trajectories are of.
    [[nodiscard]] const analytic::mixture& mixture() const { return mixture_; }
    [[nodiscard]] bool projected() const { return projected_; }
    /// Whether what was left out is Gaussian indeed, or nothing.
    [[nodiscard]] bool exact() const { return !projected_ || exact_; }
    /// The standard deviation of the data: root mean square over the directions; along the first.
    [[nodiscard]] double deviation() const { return deviation_; }
    [[nodiscard]] double largest_deviation() const { return largest_deviation_; }
    /// The first half of the starts, to search by; the others are to measure by.
    [[nodiscard]] Eigen::Index searched() const { return starts_.cols() / 2; }

    /// Samples of the mixture itself.
    [[nodiscard]] Eigen::MatrixXd samples(std::size_t count) const {
        return drawn(count, 0, 1, {0.0, 1.0, 0.0});
    }

    /// How far the ends of a plan are from the exact ones: the root mean square over the dimensions, for
    /// `count` starts from number `from` on.
    ///
    /// Starts are teleported to the plan's first level if that is not their own. Infinite where a run did not
    /// finish.
    [[nodiscard]] std::vector<double> errors(const plan& p, const any_schedule& schedule, Eigen::Index from,
                                             Eigen::Index count) const {
        Eigen::MatrixXd x = teleported(starts_.middleCols(from, count), p.levels.front());
        const denoiser model(std::cref(mixture_), prediction::x0, schedule);
        std::vector<double> out(static_cast<std::size_t>(count), std::numeric_limits<double>::infinity());
        if (!sample(p, model, x)) { return out; }
        return distances(x, p, from);
    }

    /// Whether `flow_at` can be asked: all directions have trajectories, and they fit in memory.
    [[nodiscard]] bool has_trajectories() const { return !trajectory_.empty(); }

    /// The first starts, teleported to a level.
    [[nodiscard]] Eigen::MatrixXd starts_at(const level& to, Eigen::Index count) const {
        return teleported(starts_.leftCols(count), to);
    }

    /// x / alpha of the first starts, where the exact flow takes them; by cubics between the levels it was
    /// followed through. - at  not before the first of those.
    [[nodiscard]] Eigen::MatrixXd flow_at(const level& at, Eigen::Index count) const {
        if (at == last_) { return ends_.leftCols(count) / last_.alpha; }
        const double place = std::clamp((at.half_log_snr() - trajectory_from_) / trajectory_step_, 0.0,
                                        static_cast<double>(trajectory_.size() - 1));
        const auto last = static_cast<double>(trajectory_.size() - 4);
        const auto k = static_cast<std::size_t>(std::clamp(std::floor(place) - 1.0, 0.0, last));
        const double u = place - static_cast<double>(k);
        const double weights[] = {-(u - 1.0) * (u - 2.0) * (u - 3.0) / 6.0, u * (u - 2.0) * (u - 3.0) / 2.0,
                                  -u * (u - 1.0) * (u - 3.0) / 2.0, u * (u - 1.0) * (u - 2.0) / 6.0};
        Eigen::MatrixXd out = weights[0] * trajectory_[k].leftCols(count);
        for (std::size_t j = 1; j < 4; ++j) { out += weights[j] * trajectory_[k + j].leftCols(count); }
        return out;
    }

    /// The errors of ends that a plan of this kind reached from the starts from number `from` on.
    [[nodiscard]] std::vector<double> distances(const Eigen::MatrixXd& x, const plan& p,
                                                Eigen::Index from) const {
        const Eigen::Index count = x.cols();
        std::vector<double> out(static_cast<std::size_t>(count), std::numeric_limits<double>::infinity());
        double outside = 0.0;
        for (std::size_t k = 0; k < others_.variances.size(); ++k) {
            const double v = others_.variances[k];
            const level& s = p.levels.front();
            const double off = analyze(p, v).start - exact_transfer(s, last_, v).start;
            outside += others_.counts[k] * off * off * (s.alpha * s.alpha * v + s.sigma * s.sigma);
        }
        for (Eigen::Index j = 0; j < count; ++j) {
            const double square = (x.col(j) - ends_.col(from + j)).squaredNorm() + outside;
            if (std::isfinite(square)) { out[static_cast<std::size_t>(j)] = std::sqrt(square / dimension_); }
        }
        return out;
    }

private:
    [[nodiscard]] static bool same_residuals(const analytic::mixture& data) {
        return std::ranges::all_of(data.components(), [&](const analytic::gaussian& g) {
            return g.rank() < g.dimension() && g.residual() == data.components().front().residual();
        });
    }

    [[nodiscard]] Eigen::MatrixXd teleported(const Eigen::MatrixXd& x, const level& to) const {
        return to == first_ ? x : whole_.flow(x, first_, to);
    }

    /// From here on the mixture is this one, in the first eigenvectors.
    void keep(analytic::mixture inside) {
        mixture_ = std::move(inside);
        projected_ = true;
        const Eigen::Index rank = mixture_.dimension();
        whole_ =
            analytic::gaussian::low_rank(Eigen::VectorXd::Zero(rank), Eigen::MatrixXd::Identity(rank, rank),
                                         original_.eigenvalues().head(rank));
        const Eigen::VectorXd tail = original_.eigenvalues().tail(original_.rank() - rank);
        analytic::spectrum rest{{tail.begin(), tail.end()},
                                std::vector<double>(static_cast<std::size_t>(tail.size()), 1.0)};
        if (original_.rank() < original_.dimension()) {
            rest.variances.push_back(original_.residual());
            rest.counts.push_back(static_cast<double>(original_.dimension() - original_.rank()));
        }
        constexpr std::size_t bins = 8;
        if (!rest.variances.empty()) { others_ = binned(rest, bins); }
    }

    void prepare(std::size_t starts, std::uint64_t seed) {
        const analytic::spectrum all = analytic::spectrum_of(original_);
        dimension_ = static_cast<double>(original_.dimension());
        double variance = 0.0;
        for (std::size_t k = 0; k < all.variances.size(); ++k) {
            variance += all.variances[k] * all.counts[k];
        }
        deviation_ = std::sqrt(variance / dimension_);
        largest_deviation_ = std::sqrt(all.variances.front());
        if (!(deviation_ > 0.0)) {
            throw std::invalid_argument("recommend: the data must not all be the same");
        }
        starts_ = drawn(starts, seed, 0, first_);
        follow();
    }

    /// Samples of the mixture, noised to a level.
    [[nodiscard]] Eigen::MatrixXd drawn(std::size_t count, std::uint64_t seed, std::uint32_t draw,
                                        const level& to) const {
        const Eigen::Index d = mixture_.dimension();
        const level pure{0.0, 0.0, 1.0};
        Eigen::MatrixXd out(d, static_cast<Eigen::Index>(count));
        constexpr double golden = 0.6180339887498949;  // its multiples fill [0, 1) evenly, any run of them
        for (std::size_t k = 0; k < count; ++k) {
            Eigen::VectorXd z(d);
            noise{.seed = seed}.stream(draw_kind::user, draw)(
                k, 0, std::span<double>(z.data(), static_cast<std::size_t>(d)));
            const double place = golden * static_cast<double>(k + 1);
            double left = place - std::floor(place);
            std::size_t c = 0;
            while (c + 1 < mixture_.weights().size() && left >= mixture_.weights()[c]) {
                left -= mixture_.weights()[c++];
            }
            out.col(static_cast<Eigen::Index>(k)) = mixture_.components()[c].flow(z, pure, to);
        }
        return out;
    }

    /// Where the probability flow takes them: by UniPC of fourth order in steps of 1/25 in ln(sigma), and
    /// from sigma = 1000 deviations on, above which a Gaussian is exact to 1e-6, no matter the schedule.
    void follow() {
        const double least = 1e-5 * deviation_;
        double from = first_.sigma / first_.alpha;
        const double to = std::max(last_.sigma / last_.alpha, least);
        Eigen::MatrixXd y = starts_;
        if (const double far = 1000.0 * deviation_; !(from <= far)) {
            y = whole_.flow(y, first_, {far, 1.0, far});
            from = far;
        } else {
            y /= first_.alpha;
        }
        const schedule::edm edm({.sigma_min = to, .sigma_max = from});
        const int steps = static_cast<int>(std::ceil(25.0 * std::log(from / to)));
        const std::vector<level> levels = grid::log_snr(
            edm, steps,
            {.last = last_.sigma == 0.0 ? grid::final_level::zero : grid::final_level::sigma_min});
        const plan fine = solver::unipc{.order = 3}.plan(edm, levels);
        const Eigen::Index half = searched();
        constexpr double most = 2e7;  // numbers to remember
        const bool remembers =
            (!projected_ || exact_) && steps >= 4 && static_cast<double>(half * y.rows()) * steps <= most;
        const auto remember = [&](const observation<Eigen::MatrixXd>& seen) {
            if (remembers && seen.x.allFinite()) { trajectory_.push_back(seen.x.leftCols(half)); }
        };
        if (!sample(fine, denoiser(std::cref(mixture_), prediction::x0, edm), y,
                    hooks{.observe = remember})) {
            throw std::invalid_argument("recommend: the flow of the data is not finite");
        }
        if (remembers && last_.sigma > 0.0) { trajectory_.push_back(y.leftCols(half)); }
        trajectory_from_ = -std::log(from);
        trajectory_step_ = levels[1].half_log_snr() - levels[0].half_log_snr();
        ends_ = last_.alpha * y;
    }

    analytic::gaussian original_;
    analytic::mixture mixture_;
    analytic::gaussian whole_;  // of `mixture_`
    level first_;
    level last_;
    bool projected_ = false;
    bool exact_ = false;      // though projected
    double dimension_ = 1.0;  // of the data
    double deviation_ = 0.0;
    double largest_deviation_ = 0.0;
    analytic::spectrum others_;  // of the directions left out
    Eigen::MatrixXd starts_;
    Eigen::MatrixXd ends_;
    std::vector<Eigen::MatrixXd>
        trajectory_;  // x / alpha of the searched half, at equal steps in half-log-SNR
    double trajectory_from_ = 0.0;
    double trajectory_step_ = 1.0;
};

}  // namespace tweedie::detail
