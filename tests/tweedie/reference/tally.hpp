// SPDX-License-Identifier: MIT
#pragma once

// The count of what a test compared with recorded numbers.

#include <cstddef>
#include <map>
#include <string>
#include <utility>

/// The count of one file: how many records matched, how, and which were left out for what reason.
class tally {
public:
    explicit tally(std::string file) : file_(std::move(file)) {}

    /// A record that was compared: the worst error of its numbers, and (if any) in what way it is a special case.
    void compared(const std::string& id, double error, double tolerance, const std::string& how = {});

    /// A record that was not compared.
    void left_out(const std::string& reason);

    [[nodiscard]] std::size_t matched() const { return matched_; }
    [[nodiscard]] std::size_t cases() const { return cases_; }

    /// One line for people.
    [[nodiscard]] std::string summary() const;

private:
    std::string file_;
    std::size_t cases_ = 0;
    std::size_t matched_ = 0;
    std::size_t plain_ = 0;
    double worst_ = 0.0;
    std::string worst_id_;
    std::map<std::string, std::size_t> special_;
    std::map<std::string, std::size_t> reasons_;
};
