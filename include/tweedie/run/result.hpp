// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace tweedie {

/// How a run ended.
enum class run_status {
    running,   ///< not ended yet (only a stepper reports this)
    finished,  ///< the plan was run to its end
    stopped,   ///< the observer asked to stop; the state is at `run_result::step`
    /// the network's output (or the state) was not finite at `run_result::step`; x then holds no use
    non_finite,
    /// an adaptive method could not keep its tolerance, or took as many steps as it may; x is the noisy state
    /// at the step reported
    gave_up,
};

/// What a status means and what to try, in one line.
[[nodiscard]] inline const char* to_string(run_status status) {
    switch (status) {
        case run_status::running: return "running: the plan has network calls left";
        case run_status::finished: return "finished";
        case run_status::stopped:
            return "stopped: the observer asked for it; x is the noisy state at the step reported";
        case run_status::non_finite:
            return "non_finite: the network returned (or the state became) NaN or infinity at the step "
                   "reported; "
                   "check the network's input scale and time convention, or its precision";
        case run_status::gave_up:
            return "gave_up: the step size went to zero or too many steps were taken; ask for a larger "
                   "tolerance, "
                   "more steps, or double precision";
    }
    return "unknown";
}

/// The outcome of a run.
///
/// - `network_calls`  network evaluations made (NFE): one for each call of the plan, and with guidance one
///                    for each network that was asked.
/// - `step`           the solver's step at which the run ended; the number of steps when finished.
struct [[nodiscard]] run_result {
    run_status status = run_status::running;
    std::size_t network_calls = 0;
    std::size_t step = 0;

    /// True when the plan was run to its end and the state is finite.
    explicit operator bool() const { return status == run_status::finished; }

    friend bool operator==(const run_result&, const run_result&) = default;
};

}  // namespace tweedie
