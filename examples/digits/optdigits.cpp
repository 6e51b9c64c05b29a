// SPDX-License-Identifier: MIT
#include "optdigits.hpp"

#include <cstddef>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "options.hpp"

namespace digits {

real_digits read_optdigits(const std::filesystem::path& path) {
    std::error_code ignored;
    const std::filesystem::path file =
        std::filesystem::is_directory(path, ignored) ? path / "optdigits.bin" : path;
    std::ifstream in(file, std::ios::binary);
    if (!in) { throw user_error("cannot read the data file " + file.string()); }

    constexpr std::size_t record = pixels + 1;
    constexpr std::size_t most = 100000;  // records; a wrong file should not fill the memory
    std::vector<unsigned char> bytes;
    std::vector<unsigned char> next(record);
    const auto wrong = [&] { throw user_error("the data file " + file.string() + " is not optdigits.bin"); };
    std::array<Eigen::Index, classes> count{};
    while (in.read(reinterpret_cast<char*>(next.data()), record)) {
        for (int i = 0; i < pixels; ++i) {
            if (next[static_cast<std::size_t>(i)] > 16) { wrong(); }
        }
        if (next[pixels] >= classes || bytes.size() >= most * record) { wrong(); }
        ++count[next[pixels]];
        bytes.insert(bytes.end(), next.begin(), next.end());
    }
    if (in.gcount() != 0) { wrong(); }

    real_digits digits;
    for (std::size_t c = 0; c < classes; ++c) {
        if (count[c] == 0) { wrong(); }
        digits[c].resize(pixels, count[c]);
        count[c] = 0;
    }
    for (std::size_t at = 0; at < bytes.size(); at += record) {
        const std::size_t c = bytes[at + pixels];
        for (int i = 0; i < pixels; ++i) {
            digits[c](i, count[c]) = bytes[at + static_cast<std::size_t>(i)] / 8.0 - 1.0;
        }
        ++count[c];
    }
    return digits;
}

}  // namespace digits
