// SPDX-License-Identifier: MIT

// Runs recorded cases of other implementations through our solvers and compares every number.
//
//     parity DIR [TEXT]
//
// reads every *.json in DIR (format: README of the records), runs each case whose method and id contain TEXT
// in double, and prints a line for each case that is not passed, a summary, and last `N passed, N failed, N
// unsupported`. Exit status 1 when a case failed, 2 when nothing could be read.
//
// A case runs on the recorded noise levels, so that its solver is tested apart from the tables; where our
// schedules and grids can make the levels from the configuration, they are made too, and a line is printed
// where they differ.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "levels.hpp"
#include "table.hpp"

using namespace parity;

namespace {

struct count {
    std::size_t passed = 0;
    std::size_t failed = 0;
    std::size_t unsupported = 0;
    double worst = 0.0;
    std::map<std::string, std::size_t> notes;  // of the passed and of the unsupported
    std::size_t made = 0;                      // levels made from the configuration
    double worst_made = 0.0;
    std::size_t differ = 0;  // made, and other than the recorded ones
    std::map<std::string, std::size_t> not_made;
};

/// The stem under which an official repository's runs are known, from what the record says of its source.
std::string stem_of(const json& recorded, const std::string& file_stem) {
    const std::pair<const char*, const char*> sources[] = {{"wl-zhao/UniPC", "official_unipc"},
                                                           {"crowsonkb/k-diffusion", "official_k_diffusion"},
                                                           {"thu-ml/DPM-Solver-v3", "official_dpm_solver_v3"},
                                                           {"LuChengTHU/dpm-solver", "official_dpm_solver"},
                                                           {"NVlabs/edm", "official_edm"},
                                                           {"scxue/SA-Solver", "official_sa_solver"}};
    if (recorded.contains("meta") && recorded["meta"].contains("source") &&
        recorded["meta"]["source"].is_string()) {
        const std::string source = recorded["meta"]["source"];
        for (const auto& [repository, stem] : sources) {
            if (source.find(repository) != std::string::npos) { return stem; }
        }
    }
    return file_stem;
}

std::string method_of(const json& c, const std::string& stem) {
    if (c.contains("scheduler")) { return c["scheduler"].get<std::string>(); }
    return c.contains("sampler") ? stem + "/" + c["sampler"].get<std::string>() : stem;
}

const json& data_of(const json& recorded) {
    const json& meta = recorded.at("meta");
    return meta.contains("gmm") ? meta["gmm"] : meta.at("model");
}

outcome run_case(const json& c, const json& meta, const mixture& data, const std::string& method) {
    const entry* by = find(method);
    if (by == nullptr) { return unsupported("no solver is mapped to " + method); }
    try {
        recorded_case r(c, meta, data, method);
        return by->run(r);
    } catch (const json::exception& error) {
        return unsupported(std::string("not of the format: ") + error.what());
    } catch (const std::exception& error) {
        return {outcome::kind::failed, std::numeric_limits<double>::infinity(), error.what()};
    }
}

/// Makes the levels of a passed case from its configuration, and compares them with the recorded ones, on which it ran.
void check_levels(const json& c, const json& meta, const mixture& data, const std::string& method,
                  const std::string& label, const outcome& o, count& n) {
    if (o.is != outcome::kind::passed) { return; }
    made_levels made;
    try {
        const recorded_case r(c, meta, data, method);
        made = r.official() ? make_official_levels(r) : make_levels(r);
    } catch (const std::exception& error) { made.note = error.what(); }
    if (made.levels.empty()) {
        ++n.not_made[made.note];
    } else if (made.error <= tolerance) {
        ++n.made;
        n.worst_made = std::max(n.worst_made, made.error);
    } else {
        ++n.differ;
        std::printf("levels       %s: those made from the configuration differ by %.3e  %s\n", label.c_str(),
                    made.error, made.note.c_str());
    }
}

/// Runs the cases of a file; false when it could not be read.
bool run_file(const std::filesystem::path& path, const std::string& only,
              std::map<std::string, count>& counts) {
    const std::string name = path.filename().string();
    json recorded;
    try {
        std::ifstream file(path);
        recorded = json::parse(file);
    } catch (const std::exception& error) {
        std::printf("unsupported  %s: not readable: %s\n", name.c_str(), error.what());
        return false;
    }
    if (!recorded.is_object() || !recorded.contains("cases") || !recorded["cases"].is_array()) {
        if (only.empty()) { std::printf("unsupported  %s: holds no cases\n", name.c_str()); }
        return true;
    }
    const std::string stem = stem_of(recorded, path.stem().string());
    try {
        const mixture data(data_of(recorded));
        for (const json& c : recorded["cases"]) {
            const std::string method = method_of(c, stem);
            const std::string id = c.value("id", "?");
            const std::string label = name + "  " + method + "  " + id;
            if (label.find(only) == std::string::npos) { continue; }
            outcome o = run_case(c, recorded["meta"], data, method);
            count& n = counts[name + "  " + method];
            check_levels(c, recorded["meta"], data, method, label, o, n);
            if (o.is == outcome::kind::passed && !c.value("finite", true)) {
                o.note += o.note.empty() ? "" : "; ";
                o.note += "up to where the peer's numbers stop being finite";
            }
            if (o.is == outcome::kind::failed && c.value("fragile", false)) {
                char text[80];
                std::snprintf(text, sizeof text, "fragile: ran, relative error %.1e", o.error);
                std::printf("fragile      %s: relative error %.3e  %s\n", label.c_str(), o.error,
                            o.note.c_str());
                o = unsupported(text);
            } else if (o.is == outcome::kind::failed) {
                std::printf("failed       %s: relative error %.3e  %s\n", label.c_str(), o.error,
                            o.note.c_str());
            } else if (o.is == outcome::kind::unsupported) {
                std::printf("unsupported  %s: %s\n", label.c_str(), o.note.c_str());
            }
            if (o.is == outcome::kind::passed) {
                ++n.passed;
                n.worst = std::max(n.worst, o.error);
            } else {
                ++(o.is == outcome::kind::failed ? n.failed : n.unsupported);
            }
            if (o.is != outcome::kind::failed && !o.note.empty()) { ++n.notes[o.note]; }
        }
    } catch (const std::exception& error) {
        std::printf("unsupported  %s: not of the format: %s\n", name.c_str(), error.what());
        return false;
    }
    return true;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fputs("usage: parity DIR [TEXT]\n", stderr);
        return 2;
    }
    std::vector<std::filesystem::path> files;
    std::error_code error;
    for (const auto& f : std::filesystem::directory_iterator(argv[1], error)) {
        if (f.path().extension() == ".json") { files.push_back(f.path()); }
    }
    if (error || files.empty()) {
        std::fprintf(stderr, "parity: no *.json in %s\n", argv[1]);
        return 2;
    }
    std::sort(files.begin(), files.end());
    std::map<std::string, count> counts;
    for (const auto& f : files) { run_file(f, argc > 2 ? argv[2] : "", counts); }

    count total;
    std::size_t missing = 0;
    std::printf("\n");
    for (const auto& [name, n] : counts) {
        std::printf("%s: %zu passed, %zu failed, %zu unsupported, worst relative error %.1e\n", name.c_str(),
                    n.passed, n.failed, n.unsupported, n.worst);
        for (const auto& [note, times] : n.notes) { std::printf("    %4zu  %s\n", times, note.c_str()); }
        if (n.made > 0) {
            std::printf("    %4zu  levels made from the configuration, worst relative error %.1e\n", n.made,
                        n.worst_made);
        }
        for (const auto& [why, times] : n.not_made) {
            std::printf("    %4zu  levels not made: %s\n", times, why.c_str());
        }
        total.made += n.made;
        total.differ += n.differ;
        for (const auto& [why, times] : n.not_made) { missing += times; }
        total.passed += n.passed;
        total.failed += n.failed;
        total.unsupported += n.unsupported;
    }
    std::printf(
        "\nnoise levels: %zu made from the configuration, %zu not made, %zu made otherwise than recorded\n",
        total.made, missing, total.differ);
    std::printf("%zu passed, %zu failed, %zu unsupported\n", total.passed, total.failed, total.unsupported);
    return total.failed == 0 ? 0 : 1;
}
