// SPDX-License-Identifier: MIT
#pragma once

// A recorded run of another implementation, in our words: its noise levels, its network, its numbers; and
// running a plan against it.

#include <tweedie/model/convention.hpp>
#include <tweedie/plan/plan.hpp>
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/discrete.hpp>

#include <nlohmann/json.hpp>

#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace parity {

using vec = std::vector<double>;
using json = nlohmann::json;

/// Largest relative error of a run that matches its record.
inline constexpr double tolerance = 1e-9;

/// Mixture of isotropic Gaussians, the data of all recorded runs: `sum_k w_k N(m_k, v_k I)`.
struct mixture {
    vec weights;
    std::vector<vec> means;
    vec variances;

    /// From the recorded `{weights, means, var}`.
    explicit mixture(const json& recorded);

    /// `E[x0 | x]` at `x = alpha x0 + sigma eps`.
    [[nodiscard]] vec x0(const vec& x, double alpha, double sigma) const;

    /// `E[eps | x]`.
    [[nodiscard]] vec eps(const vec& x, double alpha, double sigma) const;

    /// `a E[x0 | x] + b E[eps | x]`.
    [[nodiscard]] vec blend(const vec& x, double alpha, double sigma, double a, double b) const;

private:
    struct posterior {
        vec responsibility;
        vec total;  // alpha^2 v_k + sigma^2
    };
    [[nodiscard]] posterior at(const vec& x, double alpha, double sigma) const;
};

/// What the network is: input and level to output.
using network_law = std::function<vec(const vec&, const tweedie::network_level&)>;

/// Changes a state or a data prediction in place.
using change = std::function<void(vec&, const tweedie::level&)>;

/// What a run needs besides its plan.
struct run_setup {
    tweedie::convention convention;
    network_law network;
    vec x;                        // start
    std::vector<vec> noise = {};  // injected, in order
    change transform = {};        // of x0_hat, at every call
    change edit = {};             // of the state, before the first call of every step
};

/// What happened in a run.
///
/// - `queries`  the state at every network call, free of the network's input scale.
/// - `outputs`  what the network returned there.
/// - `states`   the queries at which a step of the plan begins.
/// - `end`      the state after the last step.
struct trajectory {
    std::vector<vec> queries;
    std::vector<vec> outputs;
    std::vector<vec> states;
    vec end;
    bool finished = false;  // false when a number was not finite
};

[[nodiscard]] trajectory run(const tweedie::plan& plan, const run_setup& setup);

/// Largest difference relative to the largest element of `expected`; infinity for different sizes or NaN.
[[nodiscard]] double relative_error(const vec& found, const vec& expected);

/// Numbers of a record, where those that are not finite are written as strings.
[[nodiscard]] vec numbers(const json& recorded);
[[nodiscard]] std::vector<vec> rows(const json& recorded);

/// Which law joins signal and noise.
enum class space {
    vp,    ///< alpha^2 + sigma^2 = 1
    ve,    ///< alpha = 1
    flow,  ///< alpha + sigma = 1
};

/// A level from its scales; its time is that of `trig`, `edm` or `flow`, which have all levels of their kind.
[[nodiscard]] tweedie::level level_of(space s, double alpha, double sigma);

/// A level from an entry of a peer's list of sigmas.
[[nodiscard]] tweedie::level level_of(space s, double sigma);

/// The schedule that has all levels of its kind: `trig`, `edm` or `flow`.
[[nodiscard]] tweedie::any_schedule schedule_of(space s);

/// A recorded run.
///
/// Everything a family's adapter needs; an adapter may change the levels and the setup before it runs.
/// - `c`         the record itself, and `meta` what its file says of all its cases.
/// - `method`    what its adapter is found by: the scheduler's class, or `official_<repository>[/<sampler>]`.
/// - `kind`      the law of its levels.
/// - `levels`    from the start to the target of the last step; each level of a two-call method once. Empty
///               where the record does not say.
/// - `setup`     convention, network, start and noise.
struct recorded_case {
    recorded_case(const json& recorded, const json& of_file, const mixture& data, std::string method);

    const json& c;
    const json& meta;
    const mixture& data;
    std::string method;
    std::string id;
    bool fragile = false;
    space kind = space::vp;
    std::vector<tweedie::level> levels;
    run_setup setup;

    [[nodiscard]] tweedie::any_schedule schedule() const { return schedule_of(kind); }
    [[nodiscard]] std::size_t steps() const { return levels.empty() ? 0 : levels.size() - 1; }
    [[nodiscard]] bool official() const { return method.starts_with("official_"); }
    [[nodiscard]] bool scheduler_is(const char* name) const { return method == name; }

    /// An option of `config`, `kwargs` or `step_kwargs`, or the peer's default.
    template <class T>
    [[nodiscard]] T option(const char* name, T otherwise) const {
        for (const char* group : {"config", "kwargs", "step_kwargs"}) {
            if (c.contains(group) && c[group].contains(name) && !c[group][name].is_null()) {
                return c[group][name].get<T>();
            }
        }
        return otherwise;
    }
    [[nodiscard]] std::string option(const char* name, const char* otherwise) const {
        return option<std::string>(name, otherwise);
    }
    [[nodiscard]] bool has_option(const char* name) const;

    /// The levels of the recorded network calls, in their order; empty for "dummy" networks.
    [[nodiscard]] std::vector<tweedie::level> call_levels() const;
};

/// The table of noise levels that a case of diffusers was made with, from its class and configuration.
[[nodiscard]] tweedie::schedule::discrete table_of(const json& recorded);

/// Does the peer's list of levels end with the same level twice? Then its last network call changes nothing.
[[nodiscard]] bool repeats_last(const std::vector<tweedie::level>& levels);

/// The note of a case run without that last level.
inline constexpr const char* shorter =
    "up to the level the peer repeats at its end (its last network call changes nothing there)";

/// The note of a case whose last step, which stands still, is not compared.
inline constexpr const char* repeated =
    "but for the last step, to the level it starts from (its network call changes nothing)";

/// Puts another level where the peer repeats the last one, so that the list can be walked: clean, or noisier
/// where noise rises.
void replace_repeated(std::vector<tweedie::level>& levels, space s);

/// Where the official repositories' runs on VP end: no network call, so not recorded.
[[nodiscard]] tweedie::level official_end(const recorded_case& r);

/// Gives the run the thresholding of x0 that the case's configuration asks for, if any.
void add_thresholding(recorded_case& r);

/// How much of a record is compared; everything by default.
///
/// - `calls`  network calls, from the first; the states between them too.
/// - `end`    whether the state after the last of these calls is the run's end.
struct extent {
    std::size_t calls = std::numeric_limits<std::size_t>::max();
    bool end = true;
};

/// The largest error of a run against its record: every network output, the state after every call, the end.
/// Where the peer's numbers stop being finite, the comparison stops. Infinity where the counts differ.
[[nodiscard]] double compare(const recorded_case& r, const trajectory& t, extent how_much = {});

/// The largest error over two lists of vectors; infinity where the lengths differ.
[[nodiscard]] double worst_of(const std::vector<vec>& found, const std::vector<vec>& expected);

/// What came of a case.
struct outcome {
    enum class kind { passed, failed, unsupported };
    kind is = kind::failed;
    double error = 0.0;
    std::string note = {};  // by what named rule it passed, or why it did not
};

/// Passed if the error is within the tolerance; `note` says under which rule, if it is no plain comparison.
[[nodiscard]] outcome judged(double error, std::string note = {});

/// Not run, for a reason.
[[nodiscard]] outcome unsupported(std::string reason);

/// Plans with the solver on the levels of the case, runs it and compares all of it.
template <class Solver>
[[nodiscard]] outcome run_all(const recorded_case& r, const Solver& solver, std::string note = {}) {
    return judged(compare(r, run(solver.plan(r.schedule(), r.levels), r.setup)), std::move(note));
}

/// The same where the peer's last step may lead to the level it starts from: everything but that step is
/// compared, its network call included.
template <class Solver>
[[nodiscard]] outcome run_all_but_repeated(recorded_case& r, const Solver& solver, std::string note = {}) {
    if (!repeats_last(r.levels)) { return run_all(r, solver, std::move(note)); }
    replace_repeated(r.levels, r.kind);
    const trajectory t = run(solver.plan(r.schedule(), r.levels), r.setup);
    return judged(compare(r, t, {.end = false}), note.empty() ? repeated : note + "; " + repeated);
}

}  // namespace parity
