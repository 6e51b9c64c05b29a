// SPDX-License-Identifier: MIT
#include "curve.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace train_digits {

namespace {

constexpr int width = 640;
constexpr int height = 360;

void paint(digits::image& on, int x, int y, std::uint8_t grey) {
    if (x < 0 || y < 0 || x >= width || y >= height) { return; }
    std::uint8_t& at = on.grey[static_cast<std::size_t>(y * width + x)];
    at = std::min(at, grey);
}

}  // namespace

digits::image draw_curve(const std::vector<double>& losses) {
    digits::image out{width, height,
                      std::vector<std::uint8_t>(static_cast<std::size_t>(width * height), 255)};
    if (losses.empty()) { return out; }
    std::vector<double> column(width);  // the mean of a window around each column
    const auto count = static_cast<double>(losses.size());
    for (int x = 0; x < width; ++x) {
        const auto first = static_cast<std::size_t>(std::max(0.0, std::floor(count * (x - 2) / width)));
        const auto last = static_cast<std::size_t>(std::min(count, std::floor(count * (x + 3) / width) + 1));
        double sum = 0;
        for (std::size_t i = first; i < last; ++i) { sum += losses[i]; }
        column[static_cast<std::size_t>(x)] =
            std::log10(std::max(sum / static_cast<double>(last - first), 1e-9));
    }
    const double low = *std::min_element(column.begin(), column.end()) - 0.05;
    const double high = *std::max_element(column.begin(), column.end()) + 0.05;
    const auto row = [&](double value) {
        return static_cast<int>(std::lround((high - value) / (high - low) * (height - 1)));
    };
    for (int decade = static_cast<int>(std::floor(low)); decade <= static_cast<int>(std::ceil(high));
         ++decade) {
        for (const double factor : {1.0, 2.0, 5.0}) {
            const int y = row(decade + std::log10(factor));
            for (int x = 0; x < width; ++x) { paint(out, x, y, factor == 1.0 ? 160 : 225); }
        }
    }
    for (int x = 1; x < width; ++x) {
        const int from = row(column[static_cast<std::size_t>(x - 1)]);
        const int to = row(column[static_cast<std::size_t>(x)]);
        for (int y = std::min(from, to); y <= std::max(from, to) + 1; ++y) { paint(out, x, y, 20); }
    }
    return out;
}

}  // namespace train_digits
