// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/optim/elementwise.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace tweedie::detail {

/// The average into `out`, tensors like the parameters.
template <std::floating_point Scalar, optim::parameter_set Result>
void copy_average(const char* name, const optim::state<Scalar>& from, Result& out) {
    gathered_set<Result> to(out);
    if (from.method.empty()) { refuse_option(name, "no parameters were averaged yet"); }
    if (from.tensors.size() != to.size()) { refuse_option(name, "the average is of other tensors"); }
    std::size_t offset = 0;
    for (std::size_t i = 0; i < to.size(); ++i) {
        if (from.tensors[i].size != to[i].size) { refuse_option(name, "the average is of other tensors"); }
        for (std::size_t k = 0; k < to[i].size; ++k) {
            to[i].data[k] = static_cast<set_element_t<Result>>(from.values[offset + k]);
        }
        offset += to[i].size;
    }
    to.write_back();
}

/// One update with weight `1 - beta(t)` for the newest parameters, t = 1, 2, ...
template <class Parameters, std::floating_point Scalar, class Beta>
void update_average(const char* name, const Parameters& parameters, optim::state<Scalar>& average,
                    const Beta& beta) {
    gathered_set<const Parameters> all(parameters);
    prepare_state(name, "ema", 1, all, average, no_extra);
    for (optim::tensor_record& tensor : average.tensors) { ++tensor.step; }
    const auto t = static_cast<double>(average.step());
    const double weight = average.step() == 1 ? 1.0 : 1 - beta(t);
    follow(weight, all, average);
}

}  // namespace tweedie::detail

namespace tweedie::optim {

/// The exponential moving average of parameters, which samples better than the last ones.
///
///     average = beta average + (1 - beta) theta,   beta = decay, or min(decay, (1 + t) / (10 + t)) with ramp
///
/// Source: common practice; the ramp is that of TensorFlow and of many diffusion codes.
/// - cost    one pass; one number per element, in `state`, plain data.
struct ema {
    enum class start {
        plain,  ///< the average starts at the first parameters
        ramp,   ///< and forgets them faster at first
    };
    double decay = 0.9999;  ///< in [0, 1)
    start warmup = start::plain;

    template <parameter_set Parameters>
    void update(const Parameters& parameters, state<state_scalar_t<Parameters>>& average) const {
        detail::require_beta("ema", "decay", decay);
        detail::update_average("ema", parameters, average, [&](double t) {
            return warmup == start::ramp ? std::min(decay, (1 + t) / (10 + t)) : decay;
        });
    }
    template <std::floating_point Scalar, parameter_set Result>
    static void copy(const state<Scalar>& average, Result&& out) {
        detail::copy_average("ema", average, out);
    }
};

/// The average of parameters with weights that grow as a power of the step: the width of the profile is a
/// part of the training's length, whatever that will be.
///
///     average = beta average + (1 - beta) theta,   beta = (1 - 1 / t)^(gamma + 1)
///
/// Source: Karras et al. 2024, arXiv:2312.02696, "power function EMA". Deviation: none.
/// - sigma_rel  standard deviation of the profile as a part of the training; `gamma()` is its exponent.
/// - choose     two of them, 0.05 and 0.1, with saved copies every few hundred steps: `ema_weights` makes any
///              other profile from those afterwards.
struct power_ema {
    double sigma_rel = 0.1;  ///< in (0, 0.2886): beyond that no profile is so wide

    /// The root of sigma_rel^2 (gamma + 2)^2 (gamma + 3) = gamma + 1 that is not negative.
    [[nodiscard]] double gamma() const {
        if (!(sigma_rel > 0) || !(sigma_rel < 0.28867)) {
            detail::refuse_option("power_ema", "sigma_rel must be in (0, 0.2886)");
        }
        const double wanted = sigma_rel * sigma_rel;
        double low = 0;
        double high = 1 / sigma_rel;  // sigma_rel < 1 / (gamma + 2)
        while (high - low > 1e-15 * high) {
            const double mid = 0.5 * (low + high);
            if (mid == low || mid == high) { break; }
            const bool wider = (mid + 1) / ((mid + 2) * (mid + 2) * (mid + 3)) > wanted;
            (wider ? low : high) = mid;
        }
        return low;
    }

    template <parameter_set Parameters>
    void update(const Parameters& parameters, state<state_scalar_t<Parameters>>& average) const {
        const double exponent = gamma() + 1;
        detail::update_average("power_ema", parameters, average,
                               [&](double t) { return std::pow(1 - 1 / t, exponent); });
    }
    template <std::floating_point Scalar, parameter_set Result>
    static void copy(const state<Scalar>& average, Result&& out) {
        detail::copy_average("power_ema", average, out);
    }
};

/// A saved power-function average: at which step, of which exponent.
struct ema_snapshot {
    double step = 0;   ///< > 0
    double gamma = 0;  ///< `power_ema::gamma()`; >= 0
};

/// The weights with which saved averages add up to one of another width, as well as they can.
///
///     A x = b,   A_ij = <p_i, p_j>,   b_i = <p_i, p>,   p_i(tau) ~ tau^gamma_i on (0, t_i)
///
/// Source: Karras et al. 2024, arXiv:2312.02696, post-hoc EMA. Deviation: none.
/// - snapshots  no two alike.
/// - target     the profile wanted; its step at most the last one saved for a good fit.
/// - returns    one weight per snapshot; they need not be positive.
[[nodiscard]] inline std::vector<double> ema_weights(std::span<const ema_snapshot> snapshots,
                                                     const ema_snapshot& target) {
    const auto product = [](const ema_snapshot& a, const ema_snapshot& b) {
        const double ratio = a.step / b.step;
        const double power = std::pow(ratio, a.step < b.step ? b.gamma : -a.gamma);
        return (a.gamma + 1) * (b.gamma + 1) * power / ((a.gamma + b.gamma + 1) * std::max(a.step, b.step));
    };
    const auto check = [](const ema_snapshot& one) {
        if (!(one.step > 0) || !(one.gamma >= 0) || !std::isfinite(one.step) || !std::isfinite(one.gamma)) {
            detail::refuse_option("ema_weights", "steps must be > 0 and exponents >= 0");
        }
    };
    check(target);
    const std::size_t n = snapshots.size();
    std::vector<double> a(n * (n + 1));  // rows of A | b
    for (std::size_t i = 0; i < n; ++i) {
        check(snapshots[i]);
        for (std::size_t j = 0; j < n; ++j) { a[i * (n + 1) + j] = product(snapshots[i], snapshots[j]); }
        a[i * (n + 1) + n] = product(snapshots[i], target);
    }
    for (std::size_t i = 0; i < n; ++i) {  // elimination, largest pivot first
        std::size_t best = i;
        for (std::size_t r = i + 1; r < n; ++r) {
            if (std::abs(a[r * (n + 1) + i]) > std::abs(a[best * (n + 1) + i])) { best = r; }
        }
        for (std::size_t c = 0; c <= n; ++c) { std::swap(a[i * (n + 1) + c], a[best * (n + 1) + c]); }
        const double pivot = a[i * (n + 1) + i];
        if (!(std::abs(pivot) > 0)) { detail::refuse_option("ema_weights", "two snapshots are alike"); }
        for (std::size_t r = i + 1; r < n; ++r) {
            const double factor = a[r * (n + 1) + i] / pivot;
            for (std::size_t c = i; c <= n; ++c) { a[r * (n + 1) + c] -= factor * a[i * (n + 1) + c]; }
        }
    }
    std::vector<double> x(n);
    for (std::size_t i = n; i-- > 0;) {
        double rest = a[i * (n + 1) + n];
        for (std::size_t c = i + 1; c < n; ++c) { rest -= a[i * (n + 1) + c] * x[c]; }
        x[i] = rest / a[i * (n + 1) + i];
    }
    return x;
}

/// `sum_i weights[i] * averages[i]`: the average that `ema_weights` asked for.
template <std::floating_point Scalar>
[[nodiscard]] state<Scalar> combine(std::span<const state<Scalar>> averages,
                                    std::span<const double> weights) {
    if (averages.empty() || averages.size() != weights.size()) {
        detail::refuse_option("combine", "need as many weights as averages, and one at least");
    }
    state<Scalar> out = averages.front();
    std::vector<double> sums(out.values.size());
    for (std::size_t i = 0; i < averages.size(); ++i) {
        if (averages[i].method != "ema" || averages[i].values.size() != sums.size()) {
            detail::refuse_option("combine", "the averages are of different tensors");
        }
        for (std::size_t k = 0; k < sums.size(); ++k) {
            sums[k] += weights[i] * static_cast<double>(averages[i].values[k]);
        }
    }
    for (std::size_t k = 0; k < sums.size(); ++k) { out.values[k] = static_cast<Scalar>(sums[k]); }
    return out;
}

}  // namespace tweedie::optim
