// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <fstream>
#include <stdexcept>
#include <string>

/// Recorded numbers: the parsed file `tests/reference/<name>`.
inline nlohmann::json reference(const std::string& name) {
    std::ifstream file(std::string(TWEEDIE_REFERENCE_DIR "/") + name);
    if (!file) { throw std::runtime_error("reference: cannot open " + name); }
    return nlohmann::json::parse(file);
}
