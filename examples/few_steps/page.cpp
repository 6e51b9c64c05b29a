// SPDX-License-Identifier: MIT
#include "page.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <limits>

namespace few_steps {

namespace {

std::string number(double value) {
    char text[16];
    std::snprintf(text, sizeof text, "%.1e", value);
    std::string out = text;
    if (const std::size_t zero = out.find("e-0"); zero != std::string::npos) { out.erase(zero + 2, 1); }
    if (const std::size_t zero = out.find("e+0"); zero != std::string::npos) { out.erase(zero, 4); }
    return out;
}

std::string padded(std::string text, std::size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
}

std::string levels_of(const line& l) {
    return std::string(name_of(l.levels)) + (l.levels == default_of(l.solver) ? " (default)" : "");
}

double least(const table& of, std::size_t column) {
    double best = std::numeric_limits<double>::infinity();
    for (const line& l : of.lines) {
        if (l.solver != method::recommended) { best = std::min(best, l.errors[column]); }
    }
    return best;
}

}  // namespace

std::string page_of(const data_set& on, const table& measured, options::text as) {
    const bool markdown = as == options::text::markdown;
    std::string out = (markdown ? "**" + on.name + "**: " : on.name + ": ") + on.what + "\n\n";
    const auto row = [&](const std::string& solver, const std::string& levels, const std::string& jump,
                         const std::vector<std::string>& cells) {
        if (markdown) {
            out += "| " + solver + " | " + levels + " | " + jump + " |";
            for (const std::string& c : cells) { out += " " + c + " |"; }
        } else {
            out += padded(solver, 11) + padded(levels, 19) + padded(jump, 10);
            for (const std::string& c : cells) {
                out += std::string(10 - std::min<std::size_t>(9, c.size()), ' ') + c;
            }
        }
        out += "\n";
    };
    std::vector<std::string> calls;
    for (const int n : measured.calls) { calls.push_back(std::to_string(n)); }
    row("solver", "levels", "teleport", calls);
    if (markdown) {
        out += "|---|---|---|";
        for (std::size_t i = 0; i < calls.size(); ++i) { out += "---|"; }
        out += "\n";
    }
    for (const line& l : measured.lines) {
        const bool last = l.solver == method::recommended;
        std::vector<std::string> cells;
        for (std::size_t c = 0; c < l.errors.size(); ++c) {
            std::string text = number(l.errors[c]);
            if (markdown && (last || l.errors[c] == least(measured, c))) { text = "**" + text + "**"; }
            cells.push_back(std::move(text));
        }
        row(markdown && last ? "**`recommend`**" : name_of(l.solver), levels_of(l),
            last           ? "its own"
            : l.teleported ? "yes"
                           : "",
            cells);
    }
    out += "\n";
    for (std::size_t c = 0; c < measured.recommended.size(); ++c) {
        out += (markdown ? "- " : "") + calls[c] + " calls: " + measured.recommended[c] + "\n";
    }
    return out + "\n";
}

std::vector<claim> claims_of(const data_set& on, const table& measured) {
    std::vector<claim> out;
    const auto say = [&](bool holds, const std::string& what) {
        out.push_back({on.name + ": " + what, holds});
    };
    const line& best = measured.lines.back();
    const line& unipc = measured.at(method::unipc, default_of(method::unipc), false);
    for (std::size_t c = 0; c < measured.calls.size(); ++c) {
        const std::string with = " with " + std::to_string(measured.calls[c]) + " calls";
        for (const method solver : {method::v3, method::ipndm, method::dpm_solver, method::unipc}) {
            if (measured.calls[c] < 6) { continue; }
            const double before = measured.at(solver, default_of(solver), false).errors[c];
            const double after = measured.at(solver, default_of(solver), true).errors[c];
            say(after < before, std::string("teleportation makes ") + name_of(solver) + with +
                                    " better: " + number(before) + " to " + number(after));
        }
        const double times = unipc.errors[c] / best.errors[c];
        if (measured.calls[c] == 5 || measured.calls[c] == 8 || measured.calls[c] == 10) {
            char text[32];
            std::snprintf(text, sizeof text, "%.1f", times);
            say(times >= 6.0, "recommend is " + std::string(text) + " times as accurate as UniPC-3" + with);
        }
        const double rest = least(measured, c);
        say(best.errors[c] <= 1.1 * rest, "recommend is no worse than the best line" + with + ": " +
                                              number(best.errors[c]) + " and " + number(rest));
    }
    return out;
}

}  // namespace few_steps
