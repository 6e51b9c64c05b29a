// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/plan/exponential.hpp>
#include <tweedie/plan/linear_form.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/solver/exponential_step.hpp>

#include <span>

namespace tweedie::solver {

/// The fresh noise of one exponential step, seen at several levels of it: one Brownian path.
///
///     noise(u) = decay(s', u) noise(s') + exponential_noise(s', u) z,    s' the level asked for before, first s
///
/// A stage in the middle of a step and the end of the step share what entered before the stage; drawing them
/// independently costs an order in the variance. Source: Gonzalez et al. 2023, arXiv:2305.14267 (their
/// decomposition of the stochastic integral), for any tau and schedule.
/// - random  one draw per level asked for, none where nothing enters (tau = 0, sigma = 0).
class step_noise {
public:
    /// - `s`      where the step starts.
    /// - `tau`    stochasticity, constant over the step.
    /// - `scale`  multiplies all of the noise; 1 is the law.
    step_noise(plan_writer& writer, const level& s, form predicts, double tau, double scale)
        : writer_(&writer), from_(s), predicts_(predicts), tau_(tau), scale_(scale) {}

    /// The noise at `u`: a level cleaner than the one asked for before, or that one again.
    [[nodiscard]] linear_form at(const level& u) {
        if (u == from_) { return noise_; }
        const tau_piece whole{0.0, log_snr_step(from_, u), tau_};
        const std::span<const tau_piece> pieces(&whole, 1);
        if (!noise_.terms().empty()) { noise_ = exponential_decay(from_, u, predicts_, pieces) * noise_; }
        const double fresh = scale_ * exponential_noise(from_, u, predicts_, pieces);
        if (fresh > 0.0) { noise_ += fresh * writer_->noise(); }
        from_ = u;
        return noise_;
    }

private:
    plan_writer* writer_;
    level from_;
    form predicts_;
    double tau_;
    double scale_;
    linear_form noise_;
};

}  // namespace tweedie::solver
