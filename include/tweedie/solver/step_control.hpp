// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <string>

namespace tweedie::solver {

/// How an adaptive method answers the error of a step.
enum class step_rule {
    /// accept where the error is at most 1; next step `safety E^(-1/order)` times as long (Lu et al. 2022,
    /// arXiv:2206.00927, algorithm of DPM-Solver-12 and -23), at least a tenth and at most five times: an
    /// error that is small by accident must not be followed by a step as long as the way
    published,
    /// a PID controller whose factor is limited to `1 + atan(factor - 1)`, accepting where that is at least
    /// `accept_safety`; as k-diffusion does
    pid,
};

/// Options of step-size control.
struct step_control {
    step_rule rule = step_rule::pid;
    double pcoeff = 0.0;          ///< pid: proportional
    double icoeff = 1.0;          ///< pid: integral; 1 alone is the elementary controller
    double dcoeff = 0.0;          ///< pid: derivative
    double accept_safety = 0.81;  ///< pid: smallest factor that is accepted; in (0, 1)
    double safety = 0.9;          ///< published: of the next step; in (0, 1)

    /// Throws unless the options make sense; `who` begins the message.
    void require(const char* who) const {
        const auto refuse = [who](const char* what) {
            throw std::invalid_argument(std::string(who) + ": " + what);
        };
        if (!(std::isfinite(pcoeff) && std::isfinite(icoeff) && std::isfinite(dcoeff) &&
              pcoeff + icoeff + dcoeff > 0.0)) {
            refuse("pcoeff, icoeff and dcoeff must be finite and have a positive sum");
        }
        if (!(accept_safety > 0.0 && accept_safety < 1.0)) { refuse("accept_safety must lie in (0, 1)"); }
        if (!(safety > 0.0 && safety < 1.0)) { refuse("safety must lie in (0, 1)"); }
    }
};

/// Step-size control at work: proposes steps, remembers errors. A value.
class step_size {
public:
    /// - `order`   of the method that moves on.
    /// - `peer`    round the factor of `published` to single precision and let it be as large as it is, as
    ///             its authors' program does.
    step_size(const step_control& options, double h, double order, bool peer = false)
        : options_(options), h_(h), order_(order), peer_(peer) {}

    [[nodiscard]] double h() const { return h_; }

    /// Takes note of the error of a step of size `tried`, and changes the step size.
    /// - `error`   1 is the tolerance; +infinity for a step that failed.
    /// - returns   whether the step is accepted.
    bool propose(double error, double tried) {
        double factor = 0.0;
        bool accept = false;
        if (options_.rule == step_rule::published) {
            accept = error <= 1.0;
            factor = std::pow(error, -1.0 / order_);
            if (peer_) { factor = static_cast<double>(static_cast<float>(factor)); }
            factor = std::max(options_.safety * factor, peer_ ? 1e-3 : 0.1);
            h_ = tried * (peer_ ? factor : std::min(factor, 5.0));
        } else {
            const double inverse = 1.0 / (error + 1e-8);
            if (!begun_) { before_ = before_that_ = inverse; }
            begun_ = true;
            const auto& o = options_;
            factor = power(inverse, (o.pcoeff + o.icoeff + o.dcoeff) / order_) *
                     power(before_, -(o.pcoeff + 2 * o.dcoeff) / order_) *
                     power(before_that_, o.dcoeff / order_);
            factor = 1.0 + std::atan(factor - 1.0);
            accept = factor >= o.accept_safety;
            if (accept) {
                before_that_ = before_;
                before_ = inverse;
            }
            h_ *= factor;
        }
        ++(accept ? accepted_ : rejected_);
        return accept;
    }

    [[nodiscard]] std::size_t accepted() const { return accepted_; }
    [[nodiscard]] std::size_t rejected() const { return rejected_; }

private:
    [[nodiscard]] static double power(double base, double exponent) {
        return exponent == 0.0 ? 1.0 : std::pow(base, exponent);
    }

    step_control options_;
    double h_;
    double order_;
    bool peer_ = false;
    bool begun_ = false;
    double before_ = 0.0;
    double before_that_ = 0.0;
    std::size_t accepted_ = 0;
    std::size_t rejected_ = 0;
};

/// Throws unless tolerances make sense; `who` begins the message.
inline void require_tolerances(double rtol, double atol, const char* who) {
    if (!(rtol >= 0.0 && std::isfinite(rtol))) {
        throw std::invalid_argument(std::string(who) + ": rtol must be finite and not negative");
    }
    if (!(atol > 0.0 && std::isfinite(atol))) {
        throw std::invalid_argument(std::string(who) + ": atol must be positive and finite");
    }
}

}  // namespace tweedie::solver
