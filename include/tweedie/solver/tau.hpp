// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/plan/exponential.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tweedie::solver {

/// A range of noise levels with one stochasticity.
///
/// - `sigma_max`, `sigma_min`  its ends as noise-to-signal ratios sigma/alpha; infinity and 0 are allowed.
/// - `tau`                     stochasticity inside it; >= 0.
struct tau_window {
    double sigma_max = 1.0;
    double sigma_min = 0.05;
    double tau = 1.0;
};

/// The stochasticity tau of an SDE solver along the noise levels; 0 is the ODE, 1 the reverse-time SDE.
///
///     .tau = 0.8                                          constant
///     .tau = tau_profile::windows({{.sigma_max = 1, .sigma_min = 0.05, .tau = 1}})    zero outside
///     .tau = tau_profile::per_step({0, 1, 1, 0})          as many values as steps
///
/// Windows are honoured inside a step: the step is cut at their ends and the integral of tau^2 is exact.
/// Source: Xue et al. 2023, arXiv:2309.05019 (tau(t) as a function; their recommendation is piecewise
/// constant).
/// - errors  `std::invalid_argument`: a value negative, NaN or infinite; windows that overlap or are empty; a
///           plan whose number of steps is not that of `per_step`.
class tau_profile {
public:
    tau_profile(double constant)  // NOLINT: implicit by design, a number is a profile
        : values_{constant} {
        require(constant);
    }

    /// One value per step of the grid.
    [[nodiscard]] static tau_profile per_step(std::vector<double> values) {
        if (values.empty()) { throw std::invalid_argument("tau_profile: need a value for each step"); }
        tau_profile out(0.0);
        for (const double v : values) { require(v); }
        out.values_ = std::move(values);
        out.kind_ = kind::per_step;
        return out;
    }

    /// Constant inside each window, zero between and outside them.
    [[nodiscard]] static tau_profile windows(std::vector<tau_window> windows) {
        for (const tau_window& w : windows) {
            require(w.tau);
            if (!(w.sigma_max > w.sigma_min && w.sigma_min >= 0.0)) {
                throw std::invalid_argument("tau_profile: a window needs sigma_max > sigma_min >= 0");
            }
        }
        std::sort(windows.begin(), windows.end(),
                  [](const tau_window& a, const tau_window& b) { return a.sigma_max > b.sigma_max; });
        for (std::size_t i = 1; i < windows.size(); ++i) {
            if (!(windows[i - 1].sigma_min >= windows[i].sigma_max)) {
                throw std::invalid_argument("tau_profile: windows must not overlap");
            }
        }
        tau_profile out(0.0);
        out.windows_ = std::move(windows);
        out.kind_ = kind::windows;
        return out;
    }

    /// Throws unless it has a value for each of `steps` steps.
    void require_steps(std::size_t steps, const char* who) const {
        if (kind_ == kind::per_step && values_.size() != steps) {
            throw std::invalid_argument(std::string(who) + ": tau must have one value per step");
        }
    }

    /// Step `i` from s to t, cut where tau changes.
    [[nodiscard]] std::vector<tau_piece> pieces(std::size_t i, const level& s, const level& t) const {
        const double h = log_snr_step(s, t);
        if (kind_ == kind::constant) { return {{0.0, h, values_[0]}}; }
        if (kind_ == kind::per_step) { return {{0.0, h, values_.at(i)}}; }
        // distances are measured from s; from t where s is pure noise, from lambda = 0 where t is clean as
        // well
        const bool from_noise = s.alpha == 0.0;
        const double origin = !from_noise ? s.half_log_snr() : t.sigma > 0.0 ? t.half_log_snr() : 0.0;
        const double begin = from_noise ? -h : 0.0;
        const double end = !from_noise ? h : t.sigma > 0.0 ? 0.0 : h;
        std::vector<tau_piece> out;
        double now = begin;
        const auto add = [&](double to, double tau) {
            const double until = std::min(to, end);
            if (until > now) {
                out.push_back({now, until, tau});
                now = until;
            }
        };
        for (const tau_window& w : windows_) {
            add(-std::log(w.sigma_max) - origin, 0.0);
            add(-std::log(w.sigma_min) - origin, w.tau);
        }
        add(end, 0.0);
        if (out.empty()) { out.push_back({begin, end, 0.0}); }
        return out;
    }

    [[nodiscard]] std::string describe() const {
        if (kind_ == kind::constant) { return detail::shortest(values_[0]); }
        std::string text;
        if (kind_ == kind::per_step) {
            text += "per step";
            for (const double v : values_) {
                text += ' ';
                text += detail::shortest(v);
            }
            return text;
        }
        if (windows_.empty()) { return "0"; }
        for (const tau_window& w : windows_) {
            if (!text.empty()) { text += ", "; }
            text += detail::shortest(w.tau);
            text += " in [";
            text += detail::shortest(w.sigma_min);
            text += ", ";
            text += detail::shortest(w.sigma_max);
            text += ']';
        }
        return text;
    }

private:
    enum class kind { constant, per_step, windows };

    static void require(double tau) {
        if (!(tau >= 0.0 && std::isfinite(tau))) {
            throw std::invalid_argument("tau_profile: tau must be finite and not negative");
        }
    }

    kind kind_ = kind::constant;
    std::vector<double> values_;
    std::vector<tau_window> windows_;
};

}  // namespace tweedie::solver
