// SPDX-License-Identifier: MIT
// The fewest network calls: how far from the exact ends samplers arrive with 5 to 20 calls, on every sort of
// levels, with and without teleportation, and what `tune::recommend` makes of it; on mixtures, on handwritten
// digits and on Fashion-MNIST, whose exact denoisers stand where networks would. A picture shows the same
// seeds side by side. `cmake -P cmake/few_steps.cmake` builds and runs it.
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "data.hpp"
#include "options.hpp"
#include "page.hpp"
#include "picture.hpp"
#include "table.hpp"

namespace few_steps {

namespace {

constexpr int pictured_calls = 6;
constexpr Eigen::Index pictured_seeds = 8;

/// - returns  whether everything claimed holds.
bool run(const options& asked) {
    const auto start = std::chrono::steady_clock::now();
    std::vector<data_set> sets;
    const auto wanted = [&](const std::string& name) { return name.starts_with(asked.only); };
    if (wanted("Mixtures")) { sets.push_back(read_mixtures(asked.mixtures)); }
    if (wanted("Digits") && !asked.quick) { sets.push_back(fit_digits(asked.digits)); }
    if (wanted("Fashion") && !asked.quick) { sets.push_back(fit_fashion(asked.fashion)); }
    if (sets.empty()) { throw user_error("--only: no such data set"); }
    const extent of = asked.quick ? extent{{5, 8}, {grid::karras, grid::log_snr, grid::gits}} : extent{};

    std::puts("Median over starts of the root mean square error of the end, by network calls.\n");
    std::vector<panel> panels;
    std::vector<claim> claims;
    for (const data_set& set : sets) {
        if (set.problems.empty()) {
            std::printf("%s: %s\n\n", set.name.c_str(), set.what.c_str());
            continue;
        }
        const table measured = measure(set, of);
        std::fputs(page_of(set, measured, asked.as).c_str(), stdout);
        std::fflush(stdout);
        for (claim& c : claims_of(set, measured)) { claims.push_back(std::move(c)); }
        if (set.side > 0) {
            panels.push_back({strips(set, pictured_calls, pictured_seeds), set.side, set.side == 8});
        }
    }
    if (!panels.empty()) {
        write_picture(panels, asked.out);
        std::printf("%s: the same seeds with %d calls.\n", asked.out.string().c_str(), pictured_calls);
    }

    std::size_t failed = 0;
    for (const claim& c : claims) {
        if (c.holds) { continue; }
        ++failed;
        std::printf("does not hold: %s\n", c.what.c_str());
    }
    std::printf("%zu of %zu claims hold. %.0f s.\n", claims.size() - failed, claims.size(),
                std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    return failed == 0;
}

}  // namespace

}  // namespace few_steps

int main(int count, char** arguments) {
    try {
        const few_steps::options asked =
            few_steps::read_options({arguments + 1, static_cast<std::size_t>(count > 1 ? count - 1 : 0)});
        if (asked.what == few_steps::options::task::help) {
            std::fputs(few_steps::help().c_str(), stdout);
            return 0;
        }
        return few_steps::run(asked) || !asked.check ? 0 : 1;
    } catch (const few_steps::user_error& error) {
        std::fprintf(stderr, "few_steps: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "few_steps: %s\n", error.what());
        return 1;
    }
}
