// SPDX-License-Identifier: MIT

// Multistep methods on the noise prediction: Adams-Bashforth in kappa, in time, in ln kappa, and for equal
// steps.

#include <tweedie/solver/deis.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/lms.hpp>
#include <tweedie/solver/pndm.hpp>
#include <tweedie/solver/start.hpp>

#include <cstddef>
#include <string>
#include <utility>

#include "table.hpp"

namespace proof {

std::vector<row> adams_rows() {
    namespace s = tweedie::solver;
    using variable = s::deis::variable;
    std::vector<row> rows;
    const auto add = [&rows](std::string name, const auto& solver, double order, bool native = false) {
        // slopes above 2 settle late
        const int refine = order > 2.0 ? 2 : 1;
        rows.push_back(row_of(std::move(name), solver, {.order = order, .refine = refine, .native = native}));
    };
    // above order 2 their own lower orders at the start cap the order, which then is none: it falls towards 2
    const auto capped = [](std::size_t order) { return order > 2 ? 0.0 : static_cast<double>(order); };
    for (const std::size_t order : {1U, 2U, 3U, 4U, 8U}) {
        add("lms " + std::to_string(order), s::lms{.order = order}, capped(order));
    }
    for (const std::size_t order : {3U, 4U}) {
        add("lms " + std::to_string(order) + ", single-step start",
            s::lms{.order = order, .start = s::start::single_step}, static_cast<double>(order));
    }
    for (const std::size_t order : {1U, 2U, 3U, 4U}) {
        add("ipndm " + std::to_string(order), s::ipndm{.order = order}, order == 1 ? 1.0 : 2.0);
    }
    add("ipndm 4 variable", s::ipndm{.variant = s::ipndm::steps::variable}, 0.0);
    add("ipndm 4 variable, single-step start",
        s::ipndm{.variant = s::ipndm::steps::variable, .start = s::start::single_step}, 4.0);
    add("pndm", s::pndm{}, 2.0);
    add("pndm plms", s::pndm{.skip_prk = true}, 2.0);
    for (const auto& [word, variant] : {std::pair{"time", variable::time}, std::pair{"rho", variable::rho},
                                        std::pair{"log_rho", variable::log_rho}}) {
        for (const std::size_t order : {1U, 2U, 3U, 4U}) {
            add("deis " + std::string(word) + " " + std::to_string(order),
                s::deis{.order = order, .variant = variant}, capped(order), variant == variable::time);
        }
        for (const std::size_t order : {3U, 4U}) {
            add("deis " + std::string(word) + " " + std::to_string(order) + ", single-step start",
                s::deis{.order = order,
                        .variant = variant,
                        .start = s::start::single_step,
                        .lower_order_final = false},
                static_cast<double>(order), variant == variable::time);
        }
    }
    return rows;
}

}  // namespace proof
