// SPDX-License-Identifier: MIT
// One markdown table out of the JSON results of the benchmark programs: table <result.json>...
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

using nlohmann::json;

/// The two entries of one question.
struct row {
    json ours;
    json baseline;
};

/// The rows by what they measure, in the order in which they came.
struct table {
    std::vector<std::string> order;
    std::map<std::string, row> rows;

    row& at(const std::string& what) {
        if (!rows.contains(what)) { order.push_back(what); }
        return rows[what];
    }
};

/// Splits `affine/ours/4096/min_time:0.1` into what is measured, `affine/4096`, and the side, `ours`.
std::pair<std::string, std::string> what_and_side(const std::string& name) {
    std::string what;
    std::string side;
    std::istringstream parts(name);
    for (std::string part; std::getline(parts, part, '/');) {
        if (part == "ours" || part == "baseline") {
            side = part;
        } else if (part.find(':') == std::string::npos && part != "real_time" && part != "process_time") {
            what += (what.empty() ? "" : "/") + part;
        }
    }
    return {what, side};
}

std::pair<int, int> place_in_program(const json& entry) {
    return {entry.at("family_index").get<int>(), entry.at("per_family_instance_index").get<int>()};
}

void add(table& out, const json& entry) {
    const bool is_median = entry.value("aggregate_name", "") == "median";
    const bool is_single = entry.value("run_type", "") == "iteration" && entry.value("repetitions", 1) == 1;
    if (!is_median && !is_single) { return; }
    const auto [what, side] = what_and_side(entry.at("run_name").get<std::string>());
    if (entry.value("error_occurred", false)) {
        throw std::runtime_error(what + ": " + entry.value("error_message", "failed"));
    }
    if (side == "baseline") {
        out.at(what).baseline = entry;
    } else {
        out.at(what).ours = entry;  // an entry without a side is shown without a ratio
    }
}

double nanoseconds(const json& entry) {
    const auto unit = entry.at("time_unit").get<std::string>();
    const double scale = unit == "ns" ? 1.0 : unit == "us" ? 1e3 : unit == "ms" ? 1e6 : 1e9;
    return entry.at("cpu_time").get<double>() * scale;
}

std::string number(double value, const char* format = "%.3g") {
    char text[64];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

std::string time_text(double ns) {
    if (ns < 1e3) { return number(ns) + " ns"; }
    return ns < 1e6 ? number(ns / 1e3) + " us" : number(ns / 1e6) + " ms";
}

std::string_view met(double value, double bar) { return value <= bar ? "yes" : "NO"; }

void print(const std::string& what, const std::string& ours, const std::string& baseline,
           const std::string& ratio, const std::string& bar, std::string_view is_met) {
    std::printf("| %-48s | %12s | %21s | %6s | %14s | %-3.*s |\n", what.c_str(), ours.c_str(),
                baseline.c_str(), ratio.c_str(), bar.c_str(), static_cast<int>(is_met.size()), is_met.data());
}

void print(const std::string& what, const row& entry) {
    if (entry.ours.is_null()) {
        print(what, "", time_text(nanoseconds(entry.baseline)), "", "", "");
        return;
    }
    const json& ours = entry.ours;
    const double ns = nanoseconds(ours);
    bool printed = false;
    if (ours.contains("bar_count")) {
        const double count = ours.at("count").get<double>();
        const double bar = ours.at("bar_count").get<double>();
        print(what + ", count", number(count), "", "", "<= " + number(bar), met(count, bar));
        printed = true;
    }
    if (ours.contains("bar_ns_per_item")) {
        const double ns_per_item = 1e9 / ours.at("items_per_second").get<double>();
        const double bar = ours.at("bar_ns_per_item").get<double>();
        print(what + ", per item", time_text(ns_per_item), "", "", "<= " + number(bar) + " ns",
              met(ns_per_item, bar));
        printed = true;
    }
    if (!entry.baseline.is_null()) {
        const double ratio = ns / nanoseconds(entry.baseline);
        const bool has_bar = ours.contains("bar");
        const double bar = has_bar ? ours.at("bar").get<double>() : 0.0;
        print(what, time_text(ns), time_text(nanoseconds(entry.baseline)), number(ratio, "%.2f"),
              has_bar ? "<= " + number(bar) : "", has_bar ? met(ratio, bar) : "");
    } else if (ours.contains("bar")) {
        throw std::runtime_error(what + ": has a bar for the ratio but no entry '/baseline'");
    } else if (!printed) {
        print(what, time_text(ns), "", "", "", "");
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        table all;
        for (int i = 1; i < argc; ++i) {
            std::ifstream file(argv[i]);
            std::stringstream text;
            text << file.rdbuf();
            if (text.str().empty()) {
                continue;  // the filter left nothing of this program
            }
            // The coefficient of variation of a counter that is zero is written as a bare NaN, which is no
            // JSON.
            const std::string strict =
                std::regex_replace(text.str(), std::regex(R"(: -?(NaN|Infinity)\b)"), ": null");
            const json results = json::parse(strict);
            std::vector<json> entries = results.at("benchmarks");
            std::ranges::sort(entries, {}, place_in_program);  // they ran in a random order
            for (const json& entry : entries) { add(all, entry); }
        }
        print("what", "ours", "hand-written baseline", "ratio", "bar", "met");
        std::printf("|---|---|---|---|---|---|\n");
        for (const std::string& what : all.order) { print(what, all.rows.at(what)); }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "table: %s\n", error.what());
        return 1;
    }
    return 0;
}
