// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/bytes.hpp>
#include <tweedie/plan/field.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace tweedie::solver {

/// The statistics of a model at one noise level.
struct statistics_values {
    field l = 1.0;
    field s = 0.0;
    field b = 0.0;
};

/// The empirical model statistics of DPM-Solver-v3: three numbers for each element of a sample, at nodes of
/// half-log-SNR.
///
///     f = kappa eps_hat - l x / alpha,      kappa = sigma / alpha
///     l = E diag(sigma d eps_hat / dx)      f depends on x as little as one number per element allows
///     f' ~ s f + b                          least squares of its derivative along the probability flow
///
/// Source: Zheng et al. 2023, arXiv:2310.13268, section 3.1. They depend on lambda alone, so they serve every
/// schedule. None at all means l = 1, s = b = 0, data prediction; l = 0, s = -1, b = 0 is noise prediction.
/// Made by `tune::exact_statistics` and `tune::estimate_statistics`, saved by `to_bytes`.
/// - `half_log_snr`  the nodes, ascending, at least two.
/// - `l`, `s`, `b`   at each node a number per element, or one for all.
///
/// Between nodes they are the cubics with the slopes of the polynomial through the five nodes around each:
/// for smooth statistics the error of a step falls with the fourth power of their distance. Beyond the nodes
/// they go on as for Gaussian data, l = 1 / (1 + v kappa^-2), s = -2 (1 - l), b = 0, v such that l is
/// continuous. Where l <= 0 or l >= 1 no Gaussian does: l stays as it is, s too (0 where l >= 1).
struct model_statistics {
    std::vector<double> half_log_snr;
    std::vector<field> l;
    std::vector<field> s;
    std::vector<field> b;

    [[nodiscard]] bool empty() const { return half_log_snr.empty(); }

    /// Elements per sample; 1 where all are the same, and for no statistics.
    [[nodiscard]] std::size_t elements() const {
        std::size_t most = 1;
        for (const std::vector<field>* values : {&l, &s, &b}) {
            for (const field& v : *values) { most = std::max(most, v.size()); }
        }
        return most;
    }

    /// The statistics at a finite half-log-SNR.
    [[nodiscard]] statistics_values at(double lambda) const;

    friend bool operator==(const model_statistics&, const model_statistics&) = default;
};

/// Throws unless the statistics can be used; none at all can.
/// - errors  `std::invalid_argument`, one message per rule.
inline void require_statistics(const model_statistics& of) {
    const auto refuse = [](const std::string& rule) {
        throw std::invalid_argument("model_statistics: " + rule);
    };
    const std::size_t nodes = of.half_log_snr.size();
    if (of.l.size() != nodes || of.s.size() != nodes || of.b.size() != nodes) {
        refuse("need l, s and b at each node");
    }
    if (nodes == 1) { refuse("need at least two nodes"); }
    const std::size_t elements = of.elements();
    for (std::size_t i = 0; i < nodes; ++i) {
        if (!std::isfinite(of.half_log_snr[i]) || (i > 0 && !(of.half_log_snr[i] > of.half_log_snr[i - 1]))) {
            refuse("half_log_snr must be finite and increase from node to node");
        }
        for (const field* v : {&of.l[i], &of.s[i], &of.b[i]}) {
            if (!v->finite()) { refuse("l, s and b must be finite"); }
            if (v->size() != 1 && v->size() != elements) {
                refuse("need a number per element, the same count everywhere, or one for all");
            }
        }
    }
}

/// The statistics as bytes that `statistics_from_bytes` turns into equal ones, to the bit; with a mark, a
/// version and a checksum.
[[nodiscard]] inline std::vector<std::byte> to_bytes(const model_statistics& from);

/// The statistics that `to_bytes` saved.
/// - errors  `std::invalid_argument` if the data are no statistics, are cut off or damaged, or cannot be used.
[[nodiscard]] inline model_statistics statistics_from_bytes(std::span<const std::byte> bytes);

}  // namespace tweedie::solver

namespace tweedie::detail {

inline constexpr std::string_view statistics_mark = "tweediM1";

/// A combination of neighbouring nodes.
struct node_blend {
    std::size_t first = 0;
    std::size_t count = 0;
    std::array<double, 6> weights{};

    [[nodiscard]] field of(const std::vector<field>& values) const {
        field sum = 0.0;
        for (std::size_t k = 0; k < count; ++k) {
            if (weights[k] != 0.0) { sum = sum + weights[k] * values[first + k]; }
        }
        return sum;
    }
};

/// The slope at node i of the polynomial through the five nodes around it (all, where there are fewer).
[[nodiscard]] inline node_blend slope_at(std::span<const double> nodes, std::size_t i) {
    node_blend out;
    out.count = std::min<std::size_t>(5, nodes.size());
    out.first = std::min(i < 2 ? 0 : i - 2, nodes.size() - out.count);
    const auto x = nodes.subspan(out.first, out.count);
    const std::size_t at = i - out.first;
    for (std::size_t j = 0; j < out.count; ++j) {
        if (j == at) { continue; }
        double weight = 1.0 / (x[j] - x[at]);
        for (std::size_t k = 0; k < out.count; ++k) {
            if (k != j && k != at) { weight *= (x[at] - x[k]) / (x[j] - x[k]); }
        }
        out.weights[j] = weight;
        out.weights[at] += 1.0 / (x[at] - x[j]);
    }
    return out;
}

/// The value at `place`, between the first and the last node.
[[nodiscard]] inline node_blend value_at(std::span<const double> nodes, double place) {
    const auto above = std::upper_bound(nodes.begin() + 1, nodes.end() - 1, place);
    const auto right = static_cast<std::size_t>(above - nodes.begin());
    const std::size_t left = right - 1;
    const double h = nodes[right] - nodes[left];
    const double u = (place - nodes[left]) / h;
    const double v = (nodes[right] - place) / h;
    const node_blend before = slope_at(nodes, left);
    const node_blend after = slope_at(nodes, right);
    node_blend out;
    out.first = before.first;
    out.count = after.first + after.count - before.first;
    for (std::size_t k = 0; k < before.count; ++k) { out.weights[k] += h * u * v * v * before.weights[k]; }
    for (std::size_t k = 0; k < after.count; ++k) {
        out.weights[k + after.first - before.first] -= h * u * u * v * after.weights[k];
    }
    out.weights[left - out.first] += v * v * (1.0 + 2.0 * u);
    out.weights[right - out.first] += u * u * (1.0 + 2.0 * v);
    return out;
}

/// The l that Gaussian data can have: l in (0, 1), and 1, that of a point, for any other.
[[nodiscard]] inline field gaussian_l(const field& l) {
    return l.map([](double v) { return v > 0.0 && v < 1.0 ? v : 1.0; });
}

}  // namespace tweedie::detail

namespace tweedie::solver {

inline statistics_values model_statistics::at(double lambda) const {
    if (empty()) { return {}; }
    const bool before = lambda < half_log_snr.front();
    if (!before && !(lambda > half_log_snr.back())) {
        const detail::node_blend blend = detail::value_at(half_log_snr, lambda);
        return {blend.of(l), blend.of(s), blend.of(b)};
    }
    const std::size_t end = before ? 0 : half_log_snr.size() - 1;
    const double growth = std::exp(2.0 * (lambda - half_log_snr[end]));  // of v / kappa^2 from that end
    const field gone_on =
        l[end].map([growth](double v) { return v > 0.0 && v < 1.0 ? v / (v + (1.0 - v) * growth) : v; });
    std::vector<double> slope(std::max(gone_on.size(), s[end].size()));
    for (std::size_t e = 0; e < slope.size(); ++e) {
        const double v = gone_on[e];
        slope[e] = v >= 1.0 ? 0.0 : v > 0.0 ? -2.0 * (1.0 - v) : s[end][e];
    }
    return {gone_on, field(std::move(slope)), 0.0};
}

/// What the equations of DPM-Solver-v3 need of the way from one half-log-SNR to another, `from` to `to`:
///
///     (x / alpha)_to = decay (x / alpha)_from - sum_k kernel[k] g^(k) - forced
///     f_to           = growth f_from + offset           where f' = s f + b is all there is
///
///     decay  = e^(-int l)         kernel[k] = int e^(-int_r^to l + int_from^r s) (r - from)^k / k! dr
///     growth = e^(int s)          offset    = int e^(int_r^to s) b dr
///     forced = int e^(-int_r^to l) (offset from `from` to r) dr
///
/// In the paper's L, S, B, I and C, from any origin: decay = e^(L_s - L_t), kernel[0] = e^(-L_t - S_s) (I_t -
/// I_s), forced = e^(-L_t) (C_t - C_s - B_s (I_t - I_s)), offset = e^(S_t) (B_t - B_s). Here from the start
/// of the way, so that nothing overflows on a long one.
struct statistics_stretch {
    field decay = 1.0;
    std::vector<field> kernel;
    field forced = 0.0;
    field growth = 1.0;
    field offset = 0.0;
};

}  // namespace tweedie::solver

namespace tweedie::detail {

/// Sums up a `statistics_stretch` from its start.
class stretch_sum {
public:
    stretch_sum(double from, std::size_t terms) : from_(from), kernel_(terms, field(0.0)) {}

    /// l, s and b are these over a panel of length h that begins at r: Gauss's three points, of sixth order.
    void gauss(const solver::model_statistics& of, double r, double h) {
        const double root = std::sqrt(15.0);
        const std::array<double, 3> node = {0.5 - root / 10.0, 0.5, 0.5 + root / 10.0};
        const std::array<double, 3> weight = {5.0 / 18.0, 4.0 / 9.0, 5.0 / 18.0};
        const std::array<std::array<double, 3>, 3> up_to = {
            {{5.0 / 36.0, 2.0 / 9.0 - root / 15.0, 5.0 / 36.0 - root / 30.0},
             {5.0 / 36.0 + root / 24.0, 2.0 / 9.0, 5.0 / 36.0 - root / 24.0},
             {5.0 / 36.0 + root / 30.0, 2.0 / 9.0 + root / 15.0, 5.0 / 36.0}}};
        std::vector<solver::statistics_values> at;
        for (const double c : node) { at.push_back(of.at(r + c * h)); }
        const auto sum = [h](const std::array<double, 3>& w, const field& a, const field& b, const field& c) {
            return h * w[0] * a + h * w[1] * b + h * w[2] * c;
        };
        std::vector<field> grown;  // int s up to each point
        std::vector<field> drive;  // e^(-int s) b there
        for (std::size_t i = 0; i < 3; ++i) {
            grown.push_back(s_ + sum(up_to[i], at[0].s, at[1].s, at[2].s));
            drive.push_back(exp(-grown[i]) * at[i].b);
        }
        for (std::size_t i = 0; i < 3; ++i) {
            add(h * weight[i], r + node[i] * h, l_ + sum(up_to[i], at[0].l, at[1].l, at[2].l), grown[i],
                b_ + sum(up_to[i], drive[0], drive[1], drive[2]));
        }
        l_ = l_ + sum(weight, at[0].l, at[1].l, at[2].l);
        s_ = s_ + sum(weight, at[0].s, at[1].s, at[2].s);
        b_ = b_ + sum(weight, drive[0], drive[1], drive[2]);
    }

    /// The same by the trapezoid rule on every integral, from node i to the neighbouring node j.
    void trapezoid(const solver::model_statistics& of, std::size_t i, std::size_t j) {
        const double half = (of.half_log_snr[j] - of.half_log_snr[i]) / 2.0;
        add(half, of.half_log_snr[i], l_, s_, b_);
        const field drive = exp(-s_) * of.b[i];
        l_ = l_ + half * (of.l[i] + of.l[j]);
        s_ = s_ + half * (of.s[i] + of.s[j]);
        b_ = b_ + half * (drive + exp(-s_) * of.b[j]);
        add(half, of.half_log_snr[j], l_, s_, b_);
    }

    [[nodiscard]] solver::statistics_stretch finish() const {
        solver::statistics_stretch out;
        out.decay = exp(-l_);
        for (const field& k : kernel_) { out.kernel.push_back(out.decay * k); }
        out.forced = out.decay * forced_;
        out.growth = exp(s_);
        out.offset = out.growth * b_;
        return out;
    }

private:
    void add(double weight, double r, const field& l, const field& s, const field& b) {
        const field e = weight * exp(l + s);
        double power = 1.0;
        for (std::size_t k = 0; k < kernel_.size(); ++k) {
            if (k > 0) { power *= (r - from_) / static_cast<double>(k); }
            kernel_[k] = kernel_[k] + power * e;
        }
        forced_ = forced_ + e * b;
    }

    double from_;
    field l_ = 0.0;  // int l
    field s_ = 0.0;  // int s
    field b_ = 0.0;  // int e^(-int s) b
    std::vector<field> kernel_;
    field forced_ = 0.0;
};

/// The node at a half-log-SNR.
[[nodiscard]] inline std::size_t node_at(const solver::model_statistics& of, double lambda) {
    const std::vector<double>& nodes = of.half_log_snr;
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const double spacing = i > 0 ? nodes[i] - nodes[i - 1] : nodes[1] - nodes[0];
        if (std::abs(nodes[i] - lambda) <= 1e-6 * spacing) { return i; }
    }
    throw std::invalid_argument("dpm_solver_v3: with peer_formula levels must be nodes of the statistics");
}

}  // namespace tweedie::detail

namespace tweedie::solver {

/// The `statistics_stretch` from one finite half-log-SNR to another, to a relative 1e-14 of what `at` gives.
/// - `terms`  of the kernel; as many as the order.
[[nodiscard]] inline statistics_stretch stretch_between(const model_statistics& of, double from, double to,
                                                        std::size_t terms) {
    constexpr double panel = 1.0 / 32.0;
    std::vector<double> ends;  // where the statistics change their formula
    for (const double node : of.half_log_snr) {
        if (node > std::min(from, to) && node < std::max(from, to)) { ends.push_back(node); }
    }
    if (to < from) { std::reverse(ends.begin(), ends.end()); }
    ends.push_back(to);
    detail::stretch_sum sum(from, terms);
    double r = from;
    for (const double end : ends) {
        const double panels = std::ceil(std::abs(end - r) / panel);
        for (double k = 0.0; k < panels; k += 1.0) {
            sum.gauss(of, r + k / panels * (end - r), (end - r) / panels);
        }
        r = end;
    }
    return sum.finish();
}

/// The same as the authors' code has it: trapezoids on the nodes, where both ends lie.
/// - errors  `std::invalid_argument`: an end that is no node.
[[nodiscard]] inline statistics_stretch peer_stretch(const model_statistics& of, double from, double to,
                                                     std::size_t terms) {
    std::size_t at = detail::node_at(of, from);
    const std::size_t end = detail::node_at(of, to);
    detail::stretch_sum sum(of.half_log_snr[at], terms);
    for (; at != end; at = at < end ? at + 1 : at - 1) { sum.trapezoid(of, at, at < end ? at + 1 : at - 1); }
    return sum.finish();
}

/// The stretch from a finite half-log-SNR to clean data, of one term: beyond the last node as for Gaussian
/// data, where x/alpha ends at `x/alpha - kappa eps_hat / (1 + sqrt(1 - l))`. Without statistics, and where
/// no Gaussian has l, that is x0_hat.
[[nodiscard]] inline statistics_stretch stretch_to_clean(const model_statistics& of, double from) {
    const double last = of.empty() ? from : std::max(from, of.half_log_snr.back());
    statistics_stretch out = stretch_between(of, from, last, 1);
    const field l = of.at(last).l;
    const field share = detail::gaussian_l(l).map([](double v) { return 1.0 / (1.0 + std::sqrt(1.0 - v)); });
    // kappa eps_hat = f + l x / alpha
    out.forced = (1.0 - share * l) * out.forced + share * out.offset;
    out.kernel[0] = (1.0 - share * l) * out.kernel[0] + share * out.growth;
    out.decay = (1.0 - share * l) * out.decay;
    return out;
}

/// Where a step from pure noise ends: `x / alpha = noise x_s / sigma_s + data x0_hat - forced`.
struct pure_noise_stretch {
    field noise;
    field data;
    field forced;
};

/// The way from pure noise to any half-log-SNR, clean data included: before the first node as for Gaussian
/// data of mean x0_hat. Without statistics `noise` is kappa and `data` 1, the step of DDIM.
[[nodiscard]] inline pure_noise_stretch stretch_from_noise(const model_statistics& of, double to) {
    const bool clean = std::isinf(to);
    const double first = !of.empty() ? std::min(to, of.half_log_snr.front()) : clean ? 0.0 : to;
    const statistics_stretch then = clean ? stretch_to_clean(of, first) : stretch_between(of, first, to, 1);
    const field l = of.at(first).l;
    const field root = sqrt(detail::gaussian_l(l));
    // there x / alpha = x0_hat + kappa / root z and kappa eps_hat = kappa root z
    const field of_x = then.decay + then.kernel[0] * l;
    return {std::exp(-first) * (of_x / root - then.kernel[0] * root), of_x, then.forced};
}

inline std::vector<std::byte> to_bytes(const model_statistics& from) {
    require_statistics(from);
    detail::byte_writer out;
    out.text(detail::statistics_mark);
    out.number(from.half_log_snr.size());
    out.values(from.half_log_snr);
    for (const std::vector<field>* values : {&from.l, &from.s, &from.b}) {
        for (const field& v : *values) {
            std::vector<double> numbers(v.size());
            for (std::size_t e = 0; e < numbers.size(); ++e) { numbers[e] = v[e]; }
            out.number(numbers.size());
            out.values(numbers);
        }
    }
    return out.sealed();
}

inline model_statistics statistics_from_bytes(std::span<const std::byte> bytes) {
    detail::byte_reader in = detail::open_sealed(bytes, detail::statistics_mark,
                                                 "statistics_from_bytes: the data are no saved statistics");
    model_statistics out;
    out.half_log_snr = in.values<double>(in.number());
    for (std::vector<field>* values : {&out.l, &out.s, &out.b}) {
        for (std::size_t i = 0; i < out.half_log_snr.size(); ++i) {
            values->push_back(field(in.values<double>(in.number())));
        }
    }
    require_statistics(out);
    return out;
}

}  // namespace tweedie::solver
