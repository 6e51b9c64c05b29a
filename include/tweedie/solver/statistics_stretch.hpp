// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/field.hpp>
#include <tweedie/solver/model_statistics.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

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

/// The l that Gaussian data can have: l in (0, 1), and 1, that of a point, for any other.
[[nodiscard]] inline field gaussian_l(const field& l) {
    return l.map([](double v) { return v > 0.0 && v < 1.0 ? v : 1.0; });
}

/// Gauss's four points on [0, 1], the integrals to 1 and those up to each point: of order eight, and exact at
/// the points for cubics.
struct gauss_rule {
    std::array<double, 4> node{};
    std::array<double, 4> weight{};
    std::array<std::array<double, 4>, 4> up_to{};

    gauss_rule() {
        constexpr std::array<double, 2> place = {0.8611363115940526, 0.3399810435848563};
        constexpr std::array<double, 2> share = {0.3478548451374538, 0.6521451548625461};
        for (std::size_t i = 0; i < 2; ++i) {
            node[i] = 0.5 - place[i] / 2.0;
            node[3 - i] = 0.5 + place[i] / 2.0;
            weight[i] = weight[3 - i] = share[i] / 2.0;
        }
        for (std::size_t i = 0; i < 4; ++i) {
            for (std::size_t j = 0; j < 4; ++j) {
                for (std::size_t k = 0; k < 4; ++k) {  // Lagrange's polynomial of node j at the inner points
                    double value = weight[k] * node[i];
                    for (std::size_t m = 0; m < 4; ++m) {
                        if (m != j) { value *= (node[i] * node[k] - node[m]) / (node[j] - node[m]); }
                    }
                    up_to[i][j] += value;
                }
            }
        }
    }
};

/// Sums up a `statistics_stretch` from its start.
class stretch_sum {
public:
    stretch_sum(double from, std::size_t elements, std::size_t terms)
        : from_(from), l_(elements), s_(elements), b_(elements), kernel_(terms, l_), forced_(elements) {}

    /// Over a panel of length h that begins at r, on which the statistics are smooth.
    void gauss(const solver::model_statistics& of, double r, double h) {
        static const gauss_rule rule;
        std::array<solver::statistics_values, 4> at;
        for (std::size_t i = 0; i < 4; ++i) { at[i] = of.at(r + rule.node[i] * h); }
        for (std::size_t e = 0; e < l_.size(); ++e) {
            std::array<double, 4> weight{};  // e^(int l + int s)
            std::array<double, 4> drive{};   // e^(-int s) b
            for (std::size_t i = 0; i < 4; ++i) {
                double l = l_[e];
                double s = s_[e];
                for (std::size_t j = 0; j < 4; ++j) {
                    l += h * rule.up_to[i][j] * at[j].l[e];
                    s += h * rule.up_to[i][j] * at[j].s[e];
                }
                weight[i] = std::exp(l + s);
                drive[i] = at[i].b[e] == 0.0 ? 0.0 : std::exp(-s) * at[i].b[e];
            }
            for (std::size_t i = 0; i < 4; ++i) {
                double b = b_[e];
                for (std::size_t j = 0; j < 4; ++j) { b += h * rule.up_to[i][j] * drive[j]; }
                add(e, h * rule.weight[i] * weight[i], r + rule.node[i] * h, b);
            }
            for (std::size_t i = 0; i < 4; ++i) {
                l_[e] += h * rule.weight[i] * at[i].l[e];
                s_[e] += h * rule.weight[i] * at[i].s[e];
                b_[e] += h * rule.weight[i] * drive[i];
            }
        }
    }

    /// The same by the trapezoid rule on every integral, from node i to the neighbouring node j.
    void trapezoid(const solver::model_statistics& of, std::size_t i, std::size_t j) {
        const double half = (of.half_log_snr[j] - of.half_log_snr[i]) / 2.0;
        for (std::size_t e = 0; e < l_.size(); ++e) {
            add(e, half * std::exp(l_[e] + s_[e]), of.half_log_snr[i], b_[e]);
            const double drive = std::exp(-s_[e]) * of.b[i][e];
            l_[e] += half * (of.l[i][e] + of.l[j][e]);
            s_[e] += half * (of.s[i][e] + of.s[j][e]);
            b_[e] += half * (drive + std::exp(-s_[e]) * of.b[j][e]);
            add(e, half * std::exp(l_[e] + s_[e]), of.half_log_snr[j], b_[e]);
        }
    }

    [[nodiscard]] solver::statistics_stretch finish() const {
        solver::statistics_stretch out;
        out.decay = exp(-field(l_));
        for (const std::vector<double>& k : kernel_) { out.kernel.push_back(out.decay * field(k)); }
        out.forced = out.decay * field(forced_);
        out.growth = exp(field(s_));
        out.offset = out.growth * field(b_);
        return out;
    }

private:
    void add(std::size_t e, double weight, double r, double b) {
        forced_[e] += weight * b;
        for (std::size_t k = 0; k < kernel_.size(); ++k) {
            if (k > 0) { weight *= (r - from_) / static_cast<double>(k); }
            kernel_[k][e] += weight;
        }
    }

    double from_;
    std::vector<double> l_;  // int l
    std::vector<double> s_;  // int s
    std::vector<double> b_;  // int e^(-int s) b
    std::vector<std::vector<double>> kernel_;
    std::vector<double> forced_;
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
/// - errors   `std::invalid_argument`: an end that is not finite.
[[nodiscard]] inline statistics_stretch stretch_between(const model_statistics& of, double from, double to,
                                                        std::size_t terms) {
    if (!(std::isfinite(from) && std::isfinite(to))) {
        throw std::invalid_argument(
            "dpm_solver_v3: half_log_snr must be finite where alpha and sigma are not zero");
    }
    constexpr double panel = 1.0 / 8.0;
    std::vector<double> ends;  // where the statistics change their formula
    for (const double node : of.half_log_snr) {
        if (node > std::min(from, to) && node < std::max(from, to)) { ends.push_back(node); }
    }
    if (to < from) { std::reverse(ends.begin(), ends.end()); }
    ends.push_back(to);
    detail::stretch_sum sum(from, of.elements(), terms);
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
    detail::stretch_sum sum(of.half_log_snr[at], of.elements(), terms);
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

}  // namespace tweedie::solver
