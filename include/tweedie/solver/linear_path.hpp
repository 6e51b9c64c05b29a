// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <span>

namespace tweedie::solver {

/// The linear part of an exponential step of the SDE, seen at several levels of it: the state it starts from
/// and the noise of one Brownian path.
///
///     w(u) = decay(u', u) w(u') + exponential_noise(u', u) z,    u' the level asked for before; w(s) = x_s
///
/// A stage in the middle of a step and its end share what entered before the stage; drawing their noise
/// independently costs an order in the variance. A state is w plus what the predictions add
/// (`exponential_step` from an empty form), so that a plan keeps one register for x_s and noise, or none
/// where the predictions are kept. Source: Gonzalez et al. 2023, arXiv:2305.14267 (their decomposition of the
/// stochastic integral), for any tau and schedule.
/// - random  one draw per level asked for, none where nothing enters (tau = 0, sigma = 0).
class linear_path {
public:
    /// - `x`      the state at `s`, where the step starts.
    /// - `tau`    stochasticity, constant over the step.
    /// - `scale`  multiplies all of the noise; 1 is the law.
    linear_path(plan_writer& writer, const linear_form& x, const level& s, form predicts, double tau,
                double scale)
        : writer_(&writer),
          w_(writer.variable("w")),
          from_(s),
          predicts_(predicts),
          tau_(tau),
          scale_(scale) {
        w_ = x;
    }

    /// w at `u`: a level cleaner than the one asked for before, or that one again.
    [[nodiscard]] linear_form at(const level& u) {
        if (u == from_) { return w_; }
        const tau_piece whole{0.0, log_snr_step(from_, u), tau_};
        const std::span<const tau_piece> pieces(&whole, 1);
        w_ = exponential_decay(from_, u, predicts_, pieces) * w_;
        const double fresh = scale_ * exponential_noise(from_, u, predicts_, pieces);
        if (fresh > 0.0) { w_ = w_ + fresh * writer_->noise(); }
        from_ = u;
        return w_;
    }

private:
    plan_writer* writer_;
    plan_variable w_;
    level from_;
    form predicts_;
    double tau_;
    double scale_;
};

}  // namespace tweedie::solver
