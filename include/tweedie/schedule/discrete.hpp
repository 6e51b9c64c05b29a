// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace tweedie::schedule {

/// Options of `discrete::laplace`; the defaults are those of diffusers.
struct laplace_options {
    double mu = 0.0;            ///< where ln(alpha^2 / sigma^2) is crowded; finite
    double scale = 0.5;         ///< width of the crowd, b of the paper; > 0, finite
    double max_beta = 0.999;    ///< largest noise rate; in (0, 1)
    bool peer_formula = false;  ///< true: diffusers, which takes the paper's alpha for alpha^2
};

/// The noise levels a network was trained at, as a schedule: time is the training index.
///
///     alpha_bar_i = prod_{k <= i} (1 - beta_k)
///     alpha_i = sqrt(alpha_bar_i),    sigma_i = sqrt(1 - alpha_bar_i)
///
/// Source: Ho et al. 2020, arXiv:2006.11239, equation 4 (index i here is their t - 1). Between the levels
/// lambda is linear in t, that is sigma / alpha is log-linear (as k-diffusion maps sigmas to times;
/// dpm_solver's code has ln alpha linear instead). Deviation: the two ends are levels like all others.
///
/// - `t`       in [-1, N - 1]. At every integer 0..N-1 the numbers of the table come back, to the bit.
/// - clean     t = -1, sigma = 0 exactly; on [-1, 0] sigma^2 is linear in t, which joins lambda(0) to
///             +infinity.
/// - noise     a table may end in alpha_bar = 0 (zero terminal SNR); then t = N - 1 is pure noise, alpha = 0
///             exactly, and alpha^2 is linear in t on the last interval. Without it `time_at(-infinity)`
///             throws.
/// - range     {N - 1, 0}.
/// - rates     derivatives of the interpolant; at a level, of the interval on its clean side, which a sampler
///             enters next. Infinite where the true derivative is: `sigma_rate(-1)`, and `alpha_rate(N - 1)`
///             of a zero terminal SNR.
/// - accuracy  from betas: alpha_bar = exp(sum log1p(-beta)) and sigma = sqrt(-expm1(...)), so that the first
///             levels, where 1 - alpha_bar would cancel, have full relative accuracy.
/// - cost      a query costs O(1), `time_at` O(log N); holds 3 N doubles.
/// - errors    tier 1: a table that does not strictly add noise, t outside [-1, N - 1], `half_log_snr` below
///             that of the last level; NaN each time.
class discrete {
public:
    /// The levels made by noise rates `betas`, all in (0, 1); the last one may be 1 (zero terminal SNR). The
    /// way in for every table not named below: diffusers' `trained_betas` are given here.
    [[nodiscard]] static discrete from_betas(std::span<const double> betas) {
        discrete out(betas.size());
        double log_alpha_bar = 0.0;
        for (std::size_t i = 0; i < betas.size(); ++i) {
            const double beta = betas[i];
            const bool last = i + 1 == betas.size();
            if (!(beta > 0.0 && (beta < 1.0 || (last && beta == 1.0)))) {
                throw std::invalid_argument(
                    "schedule::discrete: betas must lie in (0, 1); the last may be 1");
            }
            log_alpha_bar += std::log1p(-beta);
            out.push(std::exp(0.5 * log_alpha_bar), std::sqrt(-std::expm1(log_alpha_bar)));
        }
        out.require_strict();
        return out;
    }

    /// The levels with the given products `alphas_bar` = alpha^2, strictly falling, all in (0, 1); the last
    /// one may be 0.
    [[nodiscard]] static discrete from_alphas_bar(std::span<const double> alphas_bar) {
        discrete out(alphas_bar.size());
        for (std::size_t i = 0; i < alphas_bar.size(); ++i) {
            const double alpha_bar = alphas_bar[i];
            const bool last = i + 1 == alphas_bar.size();
            if (!(alpha_bar < 1.0 && (alpha_bar > 0.0 || (last && alpha_bar == 0.0)))) {
                throw std::invalid_argument(
                    "schedule::discrete: alphas_bar must lie in (0, 1); the last may be 0");
            }
            out.push(std::sqrt(alpha_bar), std::sqrt(1.0 - alpha_bar));
        }
        out.require_strict();
        return out;
    }

    /// beta linear in the index, from `beta_start` to `beta_end`: Ho et al. 2020, section 4 (DDPM).
    [[nodiscard]] static discrete linear(int levels = 1000, double beta_start = 1e-4,
                                         double beta_end = 0.02) {
        std::vector<double> betas(checked(levels));
        for (std::size_t i = 0; i < betas.size(); ++i) {
            betas[i] = between(beta_start, beta_end, i, betas.size());
        }
        return from_betas(betas);
    }

    /// sqrt(beta) linear in the index: Rombach et al. 2022, arXiv:2112.10752 (Stable Diffusion 1, 2 and XL).
    [[nodiscard]] static discrete scaled_linear(int levels = 1000, double beta_start = 0.00085,
                                                double beta_end = 0.012) {
        if (!(beta_start > 0.0 && beta_end > 0.0)) {
            throw std::invalid_argument("schedule::discrete: betas must lie in (0, 1); the last may be 1");
        }
        std::vector<double> betas(checked(levels));
        for (std::size_t i = 0; i < betas.size(); ++i) {
            const double root = between(std::sqrt(beta_start), std::sqrt(beta_end), i, betas.size());
            betas[i] = root * root;
        }
        return from_betas(betas);
    }

    /// The cosine table of improved DDPM, `beta_i = min(1 - f((i + 1) / N) / f(i / N), max_beta)` with `f(u)
    /// = cos^2((u + s) / (1 + s) pi / 2)`, s = 0.008: Nichol and Dhariwal 2021, arXiv:2102.09672, equation 17
    /// and the clipping below it. diffusers calls it squaredcos_cap_v2.
    [[nodiscard]] static discrete cosine(int levels = 1000, double max_beta = 0.999) {
        if (!(max_beta > 0.0 && max_beta < 1.0)) {
            throw std::invalid_argument("schedule::discrete: max_beta must lie in (0, 1)");
        }
        constexpr double offset = 0.008;
        constexpr double frequency = 1.57079632679489661923 / (1.0 + offset);
        std::vector<double> betas(checked(levels));
        const auto count = static_cast<double>(betas.size());
        for (std::size_t i = 0; i < betas.size(); ++i) {
            // 1 - cos^2 q / cos^2 p = sin(q - p) sin(q + p) / cos^2 p: no cancellation in the small betas
            const auto index = static_cast<double>(i);
            const double cos_p = std::sin(frequency * ((count - index) / count));
            const double sum = frequency * ((2.0 * index + 1.0) / count + 2.0 * offset);
            const double beta = std::sin(frequency / count) * std::sin(sum) / (cos_p * cos_p);
            betas[i] = beta > max_beta ? max_beta : beta;
        }
        return from_betas(betas);
    }

    /// beta a sigmoid of the index, from close to `beta_start` to close to `beta_end`:
    ///
    ///     beta_i = beta_start + (beta_end - beta_start) / (1 + exp(-x_i)),    x_i = -6 .. 6 equally spaced
    ///
    /// Source: GeoDiff, Xu et al. 2022, arXiv:2203.02923 (its code); "sigmoid" in diffusers.
    [[nodiscard]] static discrete sigmoid(int levels = 1000, double beta_start = 1e-4,
                                          double beta_end = 0.02) {
        std::vector<double> betas(checked(levels));
        for (std::size_t i = 0; i < betas.size(); ++i) {
            const double x = between(-6.0, 6.0, i, betas.size());
            betas[i] = beta_start + (beta_end - beta_start) / (1.0 + std::exp(-x));
        }
        return from_betas(betas);
    }

    /// alpha^2 = exp(-rate (i + 1) / N), so that all betas are equal; "exp" of diffusers'
    /// betas_for_alpha_bar.
    ///
    /// In continuous time it is `vp_linear{beta_min = beta_max = rate}` at t = (i + 1) / N, exactly.
    [[nodiscard]] static discrete exponential(int levels = 1000, double rate = 12.0) {
        const std::size_t count = checked(levels);
        return from_betas(std::vector<double>(count, -std::expm1(-rate / static_cast<double>(count))));
    }

    /// The levels crowd where ln(alpha^2 / sigma^2) is near mu, by a Laplace law:
    ///
    ///     beta_i = min(1 - f((i + 1) / N) / f(i / N), max_beta),    f(u) = 1 / (1 + exp(-L(u)))
    ///     L(u)   = mu - b sgn(1/2 - u) ln(1 - 2 |u - 1/2| + 1e-6)
    ///
    /// Source: Hang et al. 2024 (Improved Noise Schedule for Diffusion Training), arXiv:2407.03297; the table
    /// and its 1e-6, which keeps both ends finite, are diffusers'. Deviation: their alpha = sqrt(f), which
    /// diffusers uses as if it were alpha^2; `.peer_formula = true` for a network trained with that.
    [[nodiscard]] static discrete laplace(int levels = 1000, const laplace_options& options = {}) {
        if (!(std::isfinite(options.mu) && options.scale > 0.0 && std::isfinite(options.scale) &&
              options.max_beta > 0.0 && options.max_beta < 1.0)) {
            throw std::invalid_argument(
                "schedule::discrete: laplace needs a finite mu, a finite scale > 0 and max_beta in (0, 1)");
        }
        constexpr double cut = 1e-6;
        std::vector<double> betas(checked(levels));
        const auto count = static_cast<double>(betas.size());
        for (std::size_t i = 0; i < betas.size(); ++i) {
            const auto index = static_cast<double>(i);
            // 1 - 2 |u - 1/2| + cut at both ends of the interval, and the fall of L over it, not as a
            // difference
            const bool starts_low = 2.0 * index <= count;
            const bool ends_low = 2.0 * (index + 1.0) <= count;
            const double start = 2.0 * (starts_low ? index : count - index) / count + cut;
            const double end = 2.0 * (ends_low ? index + 1.0 : count - index - 1.0) / count + cut;
            const double fall = ends_low     ? std::log1p(2.0 / (count * start))
                                : starts_low ? -(std::log(start) + std::log(end))
                                             : std::log1p(2.0 / (count * end));
            const double log_snr = options.mu + options.scale * (ends_low ? -std::log(end) : std::log(end));
            double beta = -std::expm1(-options.scale * fall) / (1.0 + std::exp(log_snr));
            if (options.peer_formula) { beta = -std::expm1(0.5 * std::log1p(-beta)); }
            betas[i] = beta < options.max_beta ? beta : options.max_beta;
        }
        return from_betas(betas);
    }

    /// This table with its signal scales shifted and stretched so that the last level is pure noise:
    ///
    ///     alpha_i' = (alpha_i - alpha_last) alpha_0 / (alpha_0 - alpha_last)
    ///
    /// Source: Lin et al. 2023, arXiv:2305.08891, algorithm 1. Their algorithm rescales betas, CogVideoX's
    /// rescales alpha^2 after its SNR shift; the map is the same, only the order differs:
    /// `t.zero_terminal_snr()` is the first, `t.snr_shifted(k).zero_terminal_snr()` the second. sigma' is
    /// formed without 1 - alpha'^2.
    ///
    /// - `last`    alpha^2 of the last level; 0 is pure noise. Diffusers' classes that list sigmas put 2^-24
    ///             there, so that sigma / alpha = 4096 is finite; on the linear table that is less noisy than
    ///             the level before, and is refused here. In [0, alpha^2 of the level before).
    /// - errors    tier 1: fewer than two levels, `last` out of range or NaN.
    [[nodiscard]] discrete zero_terminal_snr(double last = 0.0) const {
        const std::size_t count = alpha_.size();
        if (count < 2) {
            throw std::invalid_argument("schedule::discrete: zero_terminal_snr needs at least two levels");
        }
        if (!(last >= 0.0 && last < 1.0)) {
            throw std::invalid_argument(
                "schedule::discrete: last must lie in [0, 1) and below alpha^2 of the level before");
        }
        const double first = alpha_[0];
        const double span =
            (sigma_[count - 1] - sigma_[0]) * (sigma_[count - 1] + sigma_[0]) / (first + alpha_[count - 1]);
        discrete out(count);
        for (std::size_t i = 0; i + 1 < count; ++i) {
            // how far alpha fell, of how far it falls in all; from sigma, so that nothing cancels early
            const double fell =
                (sigma_[i] - sigma_[0]) * (sigma_[i] + sigma_[0]) / (first + alpha_[i]) / span;
            const double alpha = first * (alpha_[i] - alpha_[count - 1]) / (first - alpha_[count - 1]);
            const double noise = sigma_[0] * sigma_[0] + first * first * fell * (2.0 - fell);
            out.push(i == 0 ? first : alpha, i == 0 ? sigma_[0] : std::sqrt(noise));
        }
        out.push(std::sqrt(last), std::sqrt(1.0 - last));
        out.require_strict();
        return out;
    }

    /// This table with every signal-to-noise ratio divided by `scale`, that is lambda - ln(scale) / 2:
    ///
    ///     alpha_bar' = alpha_bar / (scale + (1 - scale) alpha_bar)
    ///
    /// Source: CogVideoX, Yang et al. 2024, arXiv:2408.06072; `snr_shift_scale` of diffusers (3 for its 2B
    /// model). A flow shifted by s (`grid::shift`) is the same map with scale = s^2. Pure noise stays pure
    /// noise.
    /// - errors  tier 1: `scale` not positive and finite; NaN.
    [[nodiscard]] discrete snr_shifted(double scale) const {
        if (!(scale > 0.0 && std::isfinite(scale))) {
            throw std::invalid_argument("schedule::discrete: scale must be positive and finite");
        }
        const double root = std::sqrt(scale);
        discrete out(alpha_.size());
        for (std::size_t i = 0; i < alpha_.size(); ++i) {
            const double noise = root * sigma_[i];
            const double norm = std::sqrt(alpha_[i] * alpha_[i] + noise * noise);
            out.push(alpha_[i] / norm, noise / norm);
        }
        out.require_strict();
        return out;
    }

    /// This table without the levels noisier than `half_log_snr`; at least one must stay.
    ///
    /// dpm_solver_pytorch cuts at -5.1 and diffusers offers `lambda_min_clipped`: the last levels of the
    /// cosine table are so noisy that a network that predicts epsilon says nothing there.
    [[nodiscard]] discrete cut_below(double half_log_snr) const {
        std::size_t count = alpha_.size();
        while (count > 0 && half_log_snr_[count - 1] < half_log_snr) { --count; }
        if (count == 0 || std::isnan(half_log_snr)) {
            throw std::invalid_argument("schedule::discrete: cut_below must leave at least one level");
        }
        discrete out(count);
        for (std::size_t i = 0; i < count; ++i) { out.push(alpha_[i], sigma_[i]); }
        return out;
    }

    [[nodiscard]] double alpha(double t) const { return query(t).alpha; }
    [[nodiscard]] double sigma(double t) const { return query(t).sigma; }
    [[nodiscard]] double alpha_rate(double t) const { return rates(t).alpha; }
    [[nodiscard]] double sigma_rate(double t) const { return rates(t).sigma; }
    [[nodiscard]] double half_log_snr(double t) const { return query(t).half_log_snr; }

    [[nodiscard]] double time_at(double half_log_snr) const {
        const std::size_t last = half_log_snr_.size() - 1;
        const double end = half_log_snr_[last];
        // a level's own lambda must always be accepted, whatever way it was rounded
        const double rounding = std::isinf(end) ? 0.0 : 1e-12 * (1.0 + std::abs(end));
        if (!(half_log_snr >= end - rounding)) {
            throw std::invalid_argument(
                "schedule::discrete: half_log_snr must be at least that of the last level");
        }
        if (half_log_snr <= end) { return static_cast<double>(last); }
        if (half_log_snr == half_log_snr_[0]) { return 0.0; }
        if (half_log_snr > half_log_snr_[0]) {
            return noise_fraction(half_log_snr) / (sigma_[0] * sigma_[0]) - 1.0;
        }
        // the interval [low, low + 1] with lambda_low >= lambda > lambda_(low + 1)
        std::size_t low = 0;
        std::size_t high = last;
        while (high - low > 1) {
            const std::size_t middle = low + (high - low) / 2;
            if (half_log_snr_[middle] >= half_log_snr) {
                low = middle;
            } else {
                high = middle;
            }
        }
        const auto start = static_cast<double>(low);
        double fraction = 0.0;
        if (alpha_[high] == 0.0) {
            const double alpha_bar = noise_fraction(-half_log_snr);  // alpha^2 = 1 - sigma^2
            fraction = 1.0 - alpha_bar / (alpha_[low] * alpha_[low]);
            fraction = fraction > 0.0 ? fraction : 0.0;
        } else {
            fraction = (half_log_snr_[low] - half_log_snr) / (half_log_snr_[low] - half_log_snr_[high]);
        }
        return start + fraction;
    }

    [[nodiscard]] time_range range() const { return {static_cast<double>(alpha_.size() - 1), 0.0}; }

    /// Number of training levels, N.
    [[nodiscard]] int levels() const { return static_cast<int>(alpha_.size()); }

private:
    struct numbers {
        double alpha;
        double sigma;
        double half_log_snr;
    };
    struct slopes {
        double alpha;
        double sigma;
    };

    explicit discrete(std::size_t levels) {
        if (levels == 0 || levels > max_levels) {
            throw std::invalid_argument("schedule::discrete: the number of levels must lie in [1, 1000000]");
        }
        alpha_.reserve(levels);
        sigma_.reserve(levels);
        half_log_snr_.reserve(levels);
    }

    void push(double alpha, double sigma) {
        alpha_.push_back(alpha);
        sigma_.push_back(sigma);
        half_log_snr_.push_back(level{0.0, alpha, sigma}.half_log_snr());
    }

    void require_strict() const {
        for (std::size_t i = 0; i < alpha_.size(); ++i) {
            const bool falls = i == 0 || half_log_snr_[i] < half_log_snr_[i - 1];
            if (!(falls && sigma_[i] > 0.0)) {
                throw std::invalid_argument(
                    "schedule::discrete: each level must be noisier than the one before it");
            }
        }
    }

    [[nodiscard]] static std::size_t checked(int levels) {
        if (levels < 1 || static_cast<std::size_t>(levels) > max_levels) {
            throw std::invalid_argument("schedule::discrete: the number of levels must lie in [1, 1000000]");
        }
        return static_cast<std::size_t>(levels);
    }

    // number i of `count` equally spaced ones, both ends exact
    [[nodiscard]] static double between(double first, double last, std::size_t i, std::size_t count) {
        if (i == 0) { return first; }
        if (i + 1 == count) { return last; }
        return first + (last - first) * (static_cast<double>(i) / static_cast<double>(count - 1));
    }

    // sigma^2 at a half-log-SNR where alpha^2 + sigma^2 = 1
    [[nodiscard]] static double noise_fraction(double half_log_snr) {
        return 1.0 / (1.0 + std::exp(2.0 * half_log_snr));
    }

    void require(double t) const {
        if (!(t >= -1.0 && t <= static_cast<double>(alpha_.size() - 1))) {
            throw std::invalid_argument("schedule::discrete: t must lie in [-1, " +
                                        std::to_string(alpha_.size() - 1) + "]");
        }
    }

    [[nodiscard]] static numbers made_of(double alpha_bar, double sigma_squared) {
        const double alpha = std::sqrt(alpha_bar);
        const double sigma = std::sqrt(sigma_squared);
        return {alpha, sigma, level{0.0, alpha, sigma}.half_log_snr()};
    }

    [[nodiscard]] numbers query(double t) const {
        require(t);
        if (t < 0.0) {
            if (t == -1.0) { return {1.0, 0.0, std::numeric_limits<double>::infinity()}; }
            const double noise = sigma_[0] * sigma_[0];
            return made_of(alpha_[0] * alpha_[0] - t * noise, (t + 1.0) * noise);
        }
        const double floor = std::floor(t);
        const auto i = static_cast<std::size_t>(floor);
        if (t == floor) { return {alpha_[i], sigma_[i], half_log_snr_[i]}; }
        const double fraction = t - floor;
        if (alpha_[i + 1] == 0.0) {
            const double signal = alpha_[i] * alpha_[i];
            return made_of((1.0 - fraction) * signal, sigma_[i] * sigma_[i] + fraction * signal);
        }
        const double lambda = half_log_snr_[i] + fraction * (half_log_snr_[i + 1] - half_log_snr_[i]);
        return {std::sqrt(noise_fraction(-lambda)), std::sqrt(noise_fraction(lambda)), lambda};
    }

    [[nodiscard]] slopes rates(double t) const {
        const numbers now = query(t);
        if (t <= 0.0) {
            const double half = 0.5 * sigma_[0] * sigma_[0];
            return {-half / now.alpha, half / now.sigma};
        }
        // at a level, the interval on its clean side
        const auto high = static_cast<std::size_t>(std::ceil(t));
        if (alpha_[high] == 0.0) {
            const double half = 0.5 * alpha_[high - 1] * alpha_[high - 1];
            return {-half / now.alpha, half / now.sigma};
        }
        const double slope = half_log_snr_[high] - half_log_snr_[high - 1];
        return {slope * now.alpha * now.sigma * now.sigma, -slope * now.sigma * now.alpha * now.alpha};
    }

    static constexpr std::size_t max_levels = 1000000;

    std::vector<double> alpha_;
    std::vector<double> sigma_;
    std::vector<double> half_log_snr_;
};

}  // namespace tweedie::schedule
