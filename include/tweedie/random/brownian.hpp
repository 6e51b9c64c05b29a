// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/rounded_product.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/random/normal.hpp>
#include <tweedie/random/philox.hpp>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

namespace tweedie {

namespace detail {

/// A normal tensor and its weight in a sum of them: word 1 of its counter, and its key.
struct weighted_normal {
    philox_key key{};
    std::uint32_t word = 0;
    double weight = 0.0;
};

/// A Brownian path at some times, as weights over the normals of its tree.
///
/// The path is laid out in pieces [0, 2^-32], [2^-32, 2^-31], ..., [2^1022, 2^1023], each of one normal; a
/// piece is cut in two at its middle, by a normal that is named by the middle, as often as a time needs: 52
/// times at most.
class brownian_tree {
public:
    explicit brownian_tree(std::uint64_t seed) : seed_(seed) {}

    /// Adds `sign * W(t)`.
    void add(double t, double sign) {
        double left = 0.0;
        double right = first_;
        for (; right <= t; left = right, right *= 2.0) {
            entry(left).weight += sign * std::sqrt(right - left);
        }
        if (t == left) { return; }
        // the normals that W(t) - W(left) hangs on: their weights in it so far, and in the increment of the
        // piece
        visited_.clear();
        visited_.push_back({left, 0.0, std::sqrt(right - left)});
        while (true) {
            const double middle = left + (right - left) / 2.0;
            const double half = std::sqrt(right - left) / 2.0;
            const bool beyond = t > middle;
            for (visit& v : visited_) {
                v.increment /= 2.0;
                if (t >= middle) { v.value += v.increment; }
            }
            visited_.push_back({middle, t >= middle ? half : 0.0, beyond ? -half : half});
            if (t == middle) { break; }
            (beyond ? left : right) = middle;
        }
        for (const visit& v : visited_) { entry(v.name).weight += sign * v.value; }
    }

    /// The sum: of W(b) - W(a), what both hang on has cancelled where it can.
    [[nodiscard]] std::vector<weighted_normal> sum(double scale) const {
        std::vector<weighted_normal> terms;
        for (const node& n : nodes_) {
            if (n.weight == 0.0) { continue; }
            const auto name = std::bit_cast<std::uint64_t>(n.name);
            const philox_counter x =
                philox4x32({static_cast<std::uint32_t>(name), static_cast<std::uint32_t>(name >> 32), tag, 0},
                           {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)});
            terms.push_back({{x[0], x[1]}, x[2], n.weight * scale});
        }
        return terms;
    }

private:
    static constexpr double first_ = 0x1p-32;
    static constexpr std::uint32_t tag =
        0xffffffff;  // of counters that name normals: no draw of `noise` has it

    struct node {
        double name;
        double weight;
    };
    struct visit {
        double name;
        double value;
        double increment;
    };

    node& entry(double name) {
        for (node& n : nodes_) {
            if (n.name == name) { return n; }
        }
        return nodes_.emplace_back(node{name, 0.0});
    }

    std::uint64_t seed_;
    std::vector<node> nodes_;
    std::vector<visit> visited_;
};

}  // namespace detail

/// One tensor of a Brownian path: an increment, or a draw of `brownian_noise`. A `noise_stream`.
///
///     out = sum_k weight_k z_k,    z_k the normals of sample, element and node k of the tree
///
/// - cost    about 1 ns per node and element; 20 to 110 nodes, see `brownian_path`. Holds its nodes, shared
///           by copies.
class brownian_stream {
public:
    brownian_stream(std::vector<detail::weighted_normal> terms, std::uint64_t sample)
        : terms_(std::make_shared<const std::vector<detail::weighted_normal>>(std::move(terms))),
          sample_(sample) {}

    void operator()(std::size_t item, std::size_t first_element, std::span<float> out) const {
        fill(item, first_element, out);
    }
    void operator()(std::size_t item, std::size_t first_element, std::span<double> out) const {
        fill(item, first_element, out);
    }

    /// How many normals an element is made of.
    [[nodiscard]] std::size_t nodes() const { return terms_->size(); }

private:
    template <class Scalar>
    void fill(std::size_t item, std::size_t first_element, std::span<Scalar> out) const {
        constexpr std::uint64_t elements = std::uint64_t{1} << 34;
        if (first_element % 4 != 0) {
            throw std::invalid_argument("brownian_stream: need first_element % 4 == 0");
        }
        if (!(first_element <= elements && out.size() <= elements - first_element)) {
            throw std::invalid_argument("brownian_stream: need elements per sample <= 2^34");
        }
        constexpr std::size_t part = 512;
        Scalar z[part];
        double sums[part];
        const std::uint64_t index = sample_ + item;
        for (std::size_t i = 0; i < out.size(); i += part) {
            const std::size_t n = std::min(part, out.size() - i);
            std::fill_n(sums, n, 0.0);
            for (const detail::weighted_normal& term : *terms_) {
                const philox_counter counter = {static_cast<std::uint32_t>((first_element + i) / 4),
                                                term.word, static_cast<std::uint32_t>(index),
                                                static_cast<std::uint32_t>(index >> 32)};
                fill_normal(counter, term.key, std::span<Scalar>(z, n));
                if constexpr (sizeof(Scalar) == sizeof(float)) {
                    // products of two floats are exact in double: nothing to fuse
                    const auto weight = static_cast<double>(static_cast<float>(term.weight));
                    for (std::size_t k = 0; k < n; ++k) { sums[k] += weight * static_cast<double>(z[k]); }
                } else {
                    for (std::size_t k = 0; k < n; ++k) {
                        sums[k] += detail::rounded_product(term.weight, z[k]);
                    }
                }
            }
            for (std::size_t k = 0; k < n; ++k) { out[i + k] = static_cast<Scalar>(sums[k]); }
        }
    }

    std::shared_ptr<const std::vector<detail::weighted_normal>> terms_;
    std::uint64_t sample_;
};

/// A Brownian path W on [0, 2^1023) for every element of every sample: a function of (seed, sample, element,
/// time).
///
///     W(0) = 0,    W(b) - W(a) ~ N(0, |b - a|), independent over intervals that do not overlap
///     W((l + r)/2) = (W(l) + W(r))/2 + sqrt(r - l)/2 z          (the bridge, down to the time asked for)
///
/// A virtual tree: nothing is stored, any interval may be asked for in any order, by anyone, and all answers
/// are of one path: increments of parts add up to that of the whole, to rounding, so that a run on another
/// grid meets the same path. Exact at every double, not to a tolerance.
/// Source: the tree of Jelincic, Foster and Kidger 2024, arXiv:2405.06464, and of k-diffusion's sampler,
/// without their tolerance: the tree is cut exactly at the time, and large times have their own pieces,
/// octave by octave, so that a wide range of times costs no depth.
///
/// - seed, sample  as in `noise`, whose numbers are other ones.
/// - cost          a node per bit of the mantissa of each end, 52 at most, and per octave between (below
///                 2^-32, one per octave below it). No state; an increment allocates its list of nodes.
/// - errors        tier 1: a time that is negative, NaN, or 2^1023 or more.
/// - choose        `solver::brownian_pieces` is the path of a run that does not know its times beforehand and
///                 needs few numbers per step; this one is the same path for every run of its seed.
struct brownian_path {
    std::uint64_t seed = 0;
    std::uint64_t sample = 0;

    /// W(to) - W(from); `from` may be the later one.
    [[nodiscard]] brownian_stream increment(double from, double to) const {
        return scaled_increment(from, to, 1.0);
    }

    /// `scale (W(to) - W(from))`.
    [[nodiscard]] brownian_stream scaled_increment(double from, double to, double scale) const {
        for (const double t : {from, to}) {
            if (!(t >= 0.0 && t < 0x1p1023)) {
                throw std::invalid_argument("brownian_path: times must lie in [0, 2^1023)");
            }
        }
        detail::brownian_tree tree(seed);
        tree.add(std::max(from, to), 1.0);
        tree.add(std::min(from, to), -1.0);
        return {tree.sum(to < from ? -scale : scale), sample};
    }

    friend bool operator==(const brownian_path&, const brownian_path&) = default;
};

/// The times of `brownian_noise` for solvers of the reverse SDE in data prediction, of stochasticity tau.
///
///     time(level) = (alpha / sigma)^(2 tau^2)
///
/// In this clock the noise of `exponential_step`, and for tau = 1 of every ancestral step and of DDPM, is
/// exactly one Brownian motion: a step's noise is what its parts' noises add up to. (k-diffusion's tree runs
/// in sigma, which is this clock for no solver.)
template <class Levels>
[[nodiscard]] std::vector<double> data_clock(const Levels& levels, double tau = 1.0) {
    std::vector<double> times;
    for (const auto& level : levels) {
        times.push_back(std::pow(level.alpha / level.sigma, 2.0 * tau * tau));
    }
    return times;
}

/// The same for solvers in noise prediction: `time(level) = (sigma / alpha)^2`, running down.
template <class Levels>
[[nodiscard]] std::vector<double> noise_clock(const Levels& levels) {
    std::vector<double> times;
    for (const auto& level : levels) { times.push_back(std::pow(level.sigma / level.alpha, 2.0)); }
    return times;
}

/// Times with that of a stage in each step, for solvers that draw up to a stage and from there to the end
/// (`dpmpp_sde`, r being theirs): the stage lies at r of the step in half-log-SNR.
///
/// A step from pure noise or to no noise, which such solvers take at once, gets none.
/// - errors  tier 1: r outside (0, 1).
[[nodiscard]] inline std::vector<double> with_stages(std::span<const double> times, double r = 0.5) {
    if (!(r > 0.0 && r < 1.0)) { throw std::invalid_argument("with_stages: r must lie in (0, 1)"); }
    const auto inside = [](double t) { return t > 0.0 && std::isfinite(t); };
    std::vector<double> out;
    for (std::size_t i = 0; i < times.size(); ++i) {
        out.push_back(times[i]);
        if (i + 1 < times.size() && inside(times[i]) && inside(times[i + 1])) {
            out.push_back(times[i] * std::pow(times[i + 1] / times[i], r));
        }
    }
    return out;
}

/// What `brownian_noise` is made of.
struct brownian_noise_options {
    std::uint64_t seed = 0;
    std::uint64_t sample = 0;  ///< of batch item 0
    int bits = 26;             ///< of a time's mantissa that count; in [8, 53]. A draw costs 2 bits nodes
};

/// A Brownian path as a noise source: a sample keeps its path when the number of steps changes.
///
///     const brownian_noise source({.seed = 7}, data_clock(levels));
///     sample(solver::sde_dpm_solver{}.plan(schedule, levels), model, x, source);
///
///     draw d of kind step = (W(times[d + 1]) - W(times[d])) / sqrt(|times[d + 1] - times[d]|)
///
/// Fewer steps then show what the step size does to one picture, and errors of a path (strong errors) can be
/// measured. Draws of the other kinds are those of `noise` with the same seed, so the start is the same as
/// well.
///
/// - times   one per level for a solver that draws once per step (`data_clock`); for a solver with stages,
///           one per level that it draws up to, in its order (`with_stages`). Up or down.
/// - random  times are rounded to `bits` bits first: two grids that share a time share it still, and the law
///           is exact on the rounded ones.
/// - cost    `2 bits` normals per element and draw, about 75 times `noise`; the lists of nodes are made at
///           the start.
/// - errors  tier 1: `bits` out of range; a draw beyond the times, or of an interval that is empty or reaches
///           a time that is negative or not finite (a level without noise), when asked for.
class brownian_noise {
public:
    brownian_noise(const brownian_noise_options& options, std::vector<double> times)
        : path_{options.seed, options.sample} {
        if (!(options.bits >= 8 && options.bits <= 53)) {
            throw std::invalid_argument("brownian_noise: bits must lie in [8, 53]");
        }
        for (double& t : times) { t = rounded(t, options.bits); }
        for (std::size_t d = 0; d + 1 < times.size(); ++d) {
            const double size = std::abs(times[d + 1] - times[d]);
            const bool usable = size > 0.0 && std::max(times[d], times[d + 1]) < 0x1p1023 &&
                                std::min(times[d], times[d + 1]) >= 0.0;
            draws_.push_back(usable ? path_.scaled_increment(times[d], times[d + 1], 1.0 / std::sqrt(size))
                                    : brownian_stream({}, 0));
        }
    }

    [[nodiscard]] brownian_stream stream(draw_kind kind, std::uint32_t draw) const {
        if (kind == draw_kind::step) {
            if (!(draw < draws_.size() && draws_[draw].nodes() > 0)) {
                throw std::invalid_argument(
                    "brownian_noise: a draw needs two times that differ and are finite");
            }
            return draws_[draw];
        }
        if (!(draw < 1u << 30)) { throw std::invalid_argument("brownian_noise: need draw < 2^30"); }
        const philox_key key = {static_cast<std::uint32_t>(path_.seed),
                                static_cast<std::uint32_t>(path_.seed >> 32)};
        return {{{key, draw | static_cast<std::uint32_t>(kind) << 30, 1.0}}, path_.sample};
    }

private:
    static double rounded(double t, int bits) {
        if (!std::isfinite(t)) { return t; }
        int exponent = 0;
        const double mantissa = std::frexp(t, &exponent);
        return std::ldexp(std::nearbyint(std::ldexp(mantissa, bits)), exponent - bits);
    }

    brownian_path path_;
    std::vector<brownian_stream> draws_;
};

}  // namespace tweedie
