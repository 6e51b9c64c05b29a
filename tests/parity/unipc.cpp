// SPDX-License-Identifier: MIT

// UniPC.

#include <tweedie/solver/unipc.hpp>

#include <cstddef>
#include <string>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;
using bh = solver::unipc::bh;

outcome unipc(recorded_case& r) {
    add_thresholding(r);
    solver::unipc method;
    method.order = r.option("solver_order", std::size_t{2});
    method.variant = r.option("solver_type", "bh2") == "bh1" ? bh::bh1 : bh::bh2;
    method.predicts = r.option("predict_x0", true) ? solver::form::data : solver::form::noise;
    for (const std::size_t step : r.option("disable_corrector", std::vector<std::size_t>{})) {
        const auto first =
            r.c.value("t_start", std::size_t{0});  // the peer counts from the start of its list
        if (step >= first) { method.uncorrected.push_back(step - first); }
    }
    method.lower_order_final = r.option("lower_order_final", true);
    return run_all_but_repeated(r, method);
}

outcome official_unipc(recorded_case& r) {
    const std::string variant = r.c.value("variant", "bh2");
    r.levels = r.call_levels();
    r.levels.push_back(official_end(r));
    solver::unipc method;
    method.order = r.option("order", std::size_t{3});
    method.variant = variant == "bh1" ? bh::bh1 : variant == "bh2" ? bh::bh2 : bh::vary_coeff;
    method.predicts = r.c.value("algorithm_type", "data_prediction") == "noise_prediction"
                          ? solver::form::noise
                          : solver::form::data;
    method.lower_order_final = r.option("lower_order_final", true);
    method.peer_formula = variant == "vary_coeff";
    return run_all(r, method, method.peer_formula ? "peer_formula" : "");
}

}  // namespace parity
