// SPDX-License-Identifier: MIT
#include "tally.hpp"

#include <support/catch.hpp>

#include <sstream>

void tally::compared(const std::string& id, double error, double tolerance, const std::string& how) {
    ++cases_;
    const bool equal = error <= tolerance;
    INFO(file_ << ": " << id << (how.empty() ? "" : " (" + how + ")") << ": relative error " << error);
    CHECK(equal);
    if (!equal) { return; }
    ++matched_;
    if (how.empty()) {
        ++plain_;
    } else {
        ++special_[how];
    }
    if (error >= worst_) {
        worst_ = error;
        worst_id_ = id;
    }
}

void tally::left_out(const std::string& reason) {
    ++cases_;
    ++reasons_[reason];
}

std::string tally::summary() const {
    std::ostringstream line;
    line << file_ << ": " << matched_ << " of " << cases_ << " recorded runs matched, worst relative error "
         << worst_ << " (" << worst_id_ << ")";
    line << "\n    " << plain_ << " as they are";
    for (const auto& [how, count] : special_) { line << "\n    " << count << " " << how; }
    for (const auto& [reason, count] : reasons_) { line << "\n    " << count << " left out: " << reason; }
    return line.str();
}
