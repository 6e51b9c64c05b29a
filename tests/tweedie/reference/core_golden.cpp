// SPDX-License-Identifier: MIT

// The recorded numbers of core_golden.json: a mixture of three anisotropic Gaussians in the plane, on EDM.

#include <tweedie/grid/karras.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/ddim.hpp>
#include <tweedie/solver/dpm_solver.hpp>
#include <tweedie/solver/euler.hpp>
#include <tweedie/solver/heun.hpp>
#include <tweedie/solver/ipndm.hpp>
#include <tweedie/solver/unipc.hpp>

#include <parity/recorded.hpp>
#include <support/catch.hpp>
#include <support/plane_mixture.hpp>
#include <support/reference.hpp>
#include <support/tolerance.hpp>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "tally.hpp"

using namespace tweedie;
using parity::relative_error;
using parity::vec;

TEST_CASE("the solvers give the numbers of core_golden.json", "[reference][solver]") {
    const nlohmann::json golden = reference("core_golden.json");
    const plane_mixture denoise(golden["problem"]);
    const schedule::edm edm(
        {.sigma_min = golden["problem"]["sigma_min"], .sigma_max = golden["problem"]["sigma_max"]});
    const convention data(prediction::x0, edm);
    const auto network = [&](const vec& x, const network_level& at) { return denoise(x, at.sigma); };
    const auto starts = golden["problem"]["xT"].get<std::vector<vec>>();

    SECTION("the denoiser") {
        for (const auto& point : golden["D_at"]) {
            CHECK(relative_error(denoise(point["x"].get<vec>(), point["sigma"]), point["D"].get<vec>()) <
                  tol<double>::exact);
        }
    }

    SECTION("the exact flow") {
        // UniPC-3 is of order 4: its error here is far below that of the reference
        const plan p =
            solver::unipc{}.plan(edm, grid::log_snr(edm, 4000, {.last = grid::final_level::sigma_min}));
        for (std::size_t i = 0; i < starts.size(); ++i) {
            const vec end = parity::run(p, {data, network, starts[i]}).end;
            CHECK(relative_error(end, golden["reference_rk4_20000"][i].get<vec>()) < tol<double>::reference);
        }
    }

    SECTION("every solver at 5, 8 and 10 steps") {
        using bh = solver::unipc::bh;
        const std::string loop = "evodiff_code_lof";  // in tests/tweedie/solver/evodiff.cpp
        const auto teleported = golden["teleport"]["5.0"].get<std::vector<vec>>();
        tally count("core_golden.json");
        for (const int n : {5, 8, 10}) {
            const auto log_snr = grid::log_snr(edm, n, {.last = grid::final_level::sigma_min});
            const auto karras = grid::karras(edm, n, {.last = grid::final_level::sigma_min});
            const auto log_snr_5 =
                grid::log_snr(edm, n, {.sigma_max = 5.0, .last = grid::final_level::sigma_min});
            const auto karras_5 =
                grid::karras(edm, n, {.sigma_max = 5.0, .last = grid::final_level::sigma_min});
            const std::map<std::string, plan> plans = {
                {"ddim_logsnr", solver::ddim{}.plan(edm, log_snr)},
                {"dpmpp2m_logsnr_lof", solver::dpm_solver{}.plan(edm, log_snr)},
                {"dpmpp3m_official_logsnr_lof",
                 solver::dpm_solver{.order = 3, .peer_formula = true}.plan(edm, log_snr)},
                {"dpmpp3m_fixedD2_logsnr_lof",
                 solver::dpm_solver{.order = 3, .variant = solver::difference::taylor}.plan(edm, log_snr)},
                {"unipc3_bh1_logsnr_lof", solver::unipc{.variant = bh::bh1}.plan(edm, log_snr)},
                {"unipc3_bh2_logsnr_lof", solver::unipc{}.plan(edm, log_snr)},
                {"unipc2_bh2_logsnr_lof", solver::unipc{.order = 2}.plan(edm, log_snr)},
                {"ipndm4_edm", solver::ipndm{}.plan(edm, karras)},
                {"euler_edm", solver::euler{}.plan(edm, karras)},
                {"heun_edm_nsteps", solver::heun{}.plan(edm, karras)},
                {"teleport5_then_unipc3_bh2", solver::unipc{}.plan(edm, log_snr_5)},
                {"teleport5_then_heun_edm", solver::heun{}.plan(edm, karras_5)},
            };
            for (const auto& [name, recorded] : golden["solvers"][std::to_string(n)].items()) {
                const auto found = plans.find(name);
                if (found == plans.end()) {
                    INFO(name);
                    CHECK(name == loop);
                    count.left_out("a loop, compared in the tests of its solver");
                    continue;
                }
                double worst = 0.0;
                for (std::size_t i = 0; i < starts.size(); ++i) {
                    const vec& start = name.starts_with("teleport5") ? teleported[i] : starts[i];
                    worst =
                        std::max(worst, relative_error(parity::run(found->second, {data, network, start}).end,
                                                       recorded[i].get<vec>()));
                }
                count.compared(name + "/n" + std::to_string(n), worst, tol<double>::identity);
            }
        }
        WARN(count.summary());
        REQUIRE(count.matched() >= 36);
    }
}
