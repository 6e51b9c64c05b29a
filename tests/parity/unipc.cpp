// SPDX-License-Identifier: MIT

// UniPC.

#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/solver/unipc.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

outcome unipc(recorded_case& r) {
    if (r.option("thresholding", false)) { return unsupported("thresholding"); }
    solver::unipc method;
    method.order = r.option("solver_order", std::size_t{2});
    method.variant =
        r.option("solver_type", "bh2") == "bh1" ? solver::unipc::bh::bh1 : solver::unipc::bh::bh2;
    method.predicts = r.option("predict_x0", true) ? solver::form::data : solver::form::noise;
    method.uncorrected = r.option("disable_corrector", std::vector<std::size_t>{});
    method.lower_order_final = r.option("lower_order_final", true);
    if (!repeats_last(r.levels)) { return run_all(r, method); }
    // The peer counts the step that does nothing, so its orders fall one step later than ours: compare what comes
    // before the first step that differs.
    r.levels.pop_back();
    const bool all = !method.lower_order_final || method.order <= 2;
    method.lower_order_final = false;
    const trajectory t = run(method.plan(r.schedule(), r.levels), r.setup);
    return judged(compare(r, t, {.calls = r.steps(), .end = all}), shorter);
}

/// The last target of the official repositories' runs: it is no network call, and not recorded.
level official_end(const recorded_case& r) {
    const double t = r.option("t_end", 1e-3);
    const std::string kind = r.c["schedule"];
    level last = at(schedule::discrete::linear(), t * 1000.0 - 1.0);
    if (kind == "vp_continuous") { last = at(schedule::vp_linear{}, t); }
    if (kind == "cosine") { last = at(schedule::vp_cosine{}, t); }
    return level_of(space::vp, last.alpha, last.sigma);
}

outcome official_unipc(recorded_case& r) {
    const std::string variant = r.c.value("variant", "bh2");
    if (variant == "vary_coeff") { return unsupported("vary_coeff"); }
    r.levels = r.call_levels();
    r.levels.push_back(official_end(r));
    solver::unipc method;
    method.order = r.option("order", std::size_t{3});
    method.variant = variant == "bh1" ? solver::unipc::bh::bh1 : solver::unipc::bh::bh2;
    method.predicts = r.c.value("algorithm_type", "data_prediction") == "noise_prediction"
                          ? solver::form::noise
                          : solver::form::data;
    method.lower_order_final = r.option("lower_order_final", true);
    return run_all(r, method);
}

}  // namespace parity
