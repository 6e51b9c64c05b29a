// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/detail/number.hpp>
#include <tweedie/model/prediction.hpp>
#include <tweedie/schedule/concept.hpp>

#include <cmath>
#include <optional>
#include <stdexcept>
#include <utility>

namespace tweedie {

/// How a network wants to be told the noise level.
enum class condition {
    time,               ///< t of its schedule
    index,              ///< t rounded to the nearest training step (discrete schedules)
    sigma,              ///< sigma / alpha
    sigma_quarter_log,  ///< ln(sigma / alpha) / 4: EDM's c_noise, Karras et al. 2022, table 1
    half_log_snr,       ///< ln(alpha / sigma)
};

/// A noise level as a network sees it: on the schedule it was trained on, with the number it is conditioned
/// on.
struct told_level : level {
    double condition = 0.0;  ///< what the network takes as its time, see `tweedie::condition`

    /// The nearest training step of a discrete schedule.
    [[nodiscard]] long index() const { return std::lround(t); }

    friend bool operator==(const told_level&, const told_level&) = default;
};

/// What a network is told beside the state: the level it is asked at, and, if it is a flow map, the level it
/// is to go to. Other networks need not look at `to`.
struct network_level : told_level {
    /// Where a flow map is to go; empty unless the solver asks for one. Its condition may be infinite where
    /// that of a clean end is: ln 0, or the time of `schedule::ve`.
    std::optional<told_level> to = {};

    friend bool operator==(const network_level&, const network_level&) = default;
};

/// One network call in the plan's terms: what to feed, and how to read x0 from what comes back.
///
///     input = input_scale * x,    x0_hat = x0.x * x + x0.output * output
struct network_call {
    network_level at;
    double input_scale = 1.0;
    read_weights x0;
};

/// Options of a convention.
struct convention_options {
    condition time = condition::time;  ///< which number the network is conditioned on
    double time_scale =
        1.0;  ///< that number is multiplied by this (1000 for flow networks trained on [0, 1000])
};

/// Everything the library must know about a network but its weights: what it returns, on which schedule it
/// was trained, and how it wants its time. A network is usable with a plan on any other schedule: it is asked
/// at the level of equal signal-to-noise ratio on its own schedule, with the state rescaled to it, and both
/// are folded into the plan.
class convention {
public:
    convention(prediction_type prediction, any_schedule schedule, convention_options options = {})
        : prediction_(prediction), schedule_(std::move(schedule)), options_(options) {
        if (!(std::isfinite(options.time_scale) && options.time_scale != 0.0)) {
            throw std::invalid_argument("convention: time_scale must be finite and not zero");
        }
    }

    [[nodiscard]] const prediction_type& prediction() const { return prediction_; }
    [[nodiscard]] const any_schedule& schedule() const { return schedule_; }
    [[nodiscard]] const convention_options& options() const { return options_; }

    /// The call that evaluates the network for a plan at level `planned`.
    /// - errors  `std::invalid_argument` where x0 is not determined by the network's output at that level.
    [[nodiscard]] network_call call_at(const level& planned) const {
        const auto [own, scale] = on_own_schedule(planned);
        const read_weights x0 = convert(prediction_, prediction::x0, own, schedule_);
        network_call call;
        static_cast<told_level&>(call.at) = told(own);
        if (!std::isfinite(call.at.condition)) {
            throw std::invalid_argument("convention: what the network is told is not finite at alpha = " +
                                        detail::shortest(own.alpha) +
                                        ", sigma = " + detail::shortest(own.sigma) +
                                        "; start at a finite level, for instance by the grid's sigma_max");
        }
        call.input_scale = scale * own_input_scale(own);
        call.x0 = {scale * x0.x, x0.output};
        return call;
    }

    /// The call of a flow map that is asked to go from level `planned` to level `to`. Its output is read as
    /// any other: as the constant prediction that would take the state there.
    [[nodiscard]] network_call call_at(const level& planned, const level& to) const {
        network_call call = call_at(planned);
        call.at.to = told(on_own_schedule(to).at);
        return call;
    }

private:
    struct own_level {
        level at;
        double scale;  // own x = scale * planned x
    };

    [[nodiscard]] own_level on_own_schedule(const level& planned) const {
        if (same_schedule_at(planned)) { return {planned, 1.0}; }
        const level own = level_on_own_schedule(planned);
        return {own, planned.alpha > planned.sigma ? own.alpha / planned.alpha : own.sigma / planned.sigma};
    }

    [[nodiscard]] level level_on_own_schedule(const level& planned) const {
        try {
            return at_half_log_snr(schedule_, planned.half_log_snr());
        } catch (const std::invalid_argument& reason) {
            throw std::invalid_argument(
                "convention: the network's schedule does not reach the plan's level (alpha = " +
                detail::shortest(planned.alpha) + ", sigma = " + detail::shortest(planned.sigma) +
                "); keep the grid within it by sigma_max and sigma_min: " + reason.what());
        }
    }

    // The plan's levels usually come from this very schedule; then nothing is rescaled, to the bit.
    [[nodiscard]] bool same_schedule_at(const level& planned) const {
        const time_range range = schedule_.range();
        const double low = std::fmin(range.noisy, range.clean);
        const double high = std::fmax(range.noisy, range.clean);
        if (!(planned.t >= low && planned.t <= high)) { return false; }
        const auto close = [](double a, double b) {
            return std::abs(a - b) <= 1e-12 * (std::abs(a) + std::abs(b));
        };
        return close(schedule_.alpha(planned.t), planned.alpha) &&
               close(schedule_.sigma(planned.t), planned.sigma);
    }

    [[nodiscard]] told_level told(const level& own) const {
        told_level as_told;
        static_cast<level&>(as_told) = own;
        as_told.condition = options_.time_scale * condition_at(own);
        return as_told;
    }

    [[nodiscard]] double condition_at(const level& own) const {
        switch (options_.time) {
            case condition::time: return own.t;
            case condition::index: return std::round(own.t);
            case condition::sigma: return own.sigma / own.alpha;
            case condition::sigma_quarter_log: return -0.25 * own.half_log_snr();
            case condition::half_log_snr: return own.half_log_snr();
        }
        throw std::invalid_argument("convention: unknown condition");
    }

    // EDM's c_in = 1 / sqrt(s^2 + sigma_data^2) acts on x / alpha.
    [[nodiscard]] double own_input_scale(const level& own) const {
        if (prediction_.is != prediction_type::kind::edm) { return 1.0; }
        const double data = own.alpha * prediction_.parameter;
        return 1.0 / std::sqrt(own.sigma * own.sigma + data * data);
    }

    prediction_type prediction_;
    any_schedule schedule_;
    convention_options options_;
};

}  // namespace tweedie
