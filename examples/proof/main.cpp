// SPDX-License-Identifier: MIT

// Writes docs/proof.md: every solver, measured.
//
//     proof --out docs/proof.md        measures and writes the page
//     proof --check docs/proof.md      measures costs and orders, and fails if the page says something else
//     --mixtures FILE                  other mixtures than the bundled ones

#include <cstdio>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "mixtures.hpp"
#include "page.hpp"

namespace {

struct options {
    std::string out;
    std::string check;
    std::string mixtures = TWEEDIE_EXAMPLE_DATA "/mixtures.json";
};

options parse(int count, char** words) {
    options o;
    for (int i = 1; i < count; i += 2) {
        const std::string word = words[i];
        std::string* target = word == "--out"        ? &o.out
                              : word == "--check"    ? &o.check
                              : word == "--mixtures" ? &o.mixtures
                                                     : nullptr;
        if (target == nullptr || i + 1 == count) {
            throw std::invalid_argument("usage: proof (--out FILE | --check FILE) [--mixtures FILE]");
        }
        *target = words[i + 1];
    }
    if (o.out.empty() == o.check.empty()) {
        throw std::invalid_argument("usage: proof (--out FILE | --check FILE) [--mixtures FILE]");
    }
    return o;
}

std::string content_of(const std::string& file) {
    std::ifstream in(file);
    if (!in) { throw std::runtime_error(file + ": cannot be read"); }
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

}  // namespace

int main(int count, char** words) {
    try {
        const options o = parse(count, words);
        const std::string page =
            proof::make_page(proof::read_problems(o.mixtures),
                             o.check.empty() ? proof::effort::all : proof::effort::orders, std::cerr);
        if (!o.check.empty()) {
            const auto differences = proof::differences(content_of(o.check), page);
            for (const std::string& d : differences) { std::cout << d << "\n"; }
            std::cout << (differences.empty()
                              ? o.check + " is true\n"
                              : o.check + " is out of date: run cmake -P cmake/proof.cmake\n");
            return differences.empty() ? 0 : 1;
        }
        std::ofstream out(o.out);
        out << page;
        out.close();
        if (!out) { throw std::runtime_error(o.out + ": cannot be written"); }
        std::cout << o.out << "\n";
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 2;
    }
}
