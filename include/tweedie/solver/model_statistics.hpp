// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/bytes.hpp>
#include <tweedie/plan/field.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// The largest size of a node's half-log-SNR.
inline constexpr double most_half_log_snr = 350.0;

}  // namespace tweedie::detail

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
/// Source: Zheng et al. 2023, arXiv:2310.13268. They depend on lambda alone, so they serve every
/// schedule. None at all means l = 1, s = b = 0, data prediction; l = 0, s = -1, b = 0 is noise prediction.
/// Made by `tune::exact_statistics` and `tune::estimate_statistics`, saved by `to_bytes`.
/// - `half_log_snr`  the nodes, ascending, at least two, in [-350, 350]: kappa^2 is a double.
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
        if (!(std::abs(of.half_log_snr[i]) <= detail::most_half_log_snr)) {
            refuse("half_log_snr must lie in [-350, 350]");
        }
        if (i > 0 && !(of.half_log_snr[i] > of.half_log_snr[i - 1])) {
            refuse("half_log_snr must increase from node to node");
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
/// - errors  `std::invalid_argument` if the data are no statistics, are cut off or damaged, or cannot be
///           used.
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
        std::size_t elements = 1;
        for (std::size_t k = 0; k < count; ++k) { elements = std::max(elements, values[first + k].size()); }
        std::vector<double> sum(elements, 0.0);
        for (std::size_t k = 0; k < count; ++k) {
            if (weights[k] == 0.0) { continue; }
            const field& v = values[first + k];
            for (std::size_t e = 0; e < elements; ++e) { sum[e] += weights[k] * v[e]; }
        }
        return field(std::move(sum));
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
    detail::require_end(in);
    require_statistics(out);
    return out;
}

}  // namespace tweedie::solver
