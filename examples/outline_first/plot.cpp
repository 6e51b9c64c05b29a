// SPDX-License-Identifier: MIT
#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

namespace outline_first {

namespace {

constexpr int cell = 72;  // of the picture above: a digit and its margin
constexpr int margin = 8;
constexpr int scale_height = 26;  // sigma under the columns
constexpr int plot_height = 300;
constexpr int legend_height = 34;
constexpr std::uint8_t paper = 200;  // what surrounds the digits
constexpr std::uint8_t sheet = 255;
constexpr std::uint8_t faint = 225;

/// Letters of 3 x 5 points, each row three bits.
struct letter {
    char name;
    std::array<std::uint8_t, 5> rows;
};
constexpr std::array letters{
    letter{'0', {7, 5, 5, 5, 7}}, letter{'1', {2, 6, 2, 2, 7}}, letter{'2', {7, 1, 7, 4, 7}},
    letter{'3', {7, 1, 7, 1, 7}}, letter{'4', {5, 5, 7, 1, 1}}, letter{'5', {7, 4, 7, 1, 7}},
    letter{'6', {7, 4, 7, 5, 7}}, letter{'7', {7, 1, 1, 1, 1}}, letter{'8', {7, 5, 7, 5, 7}},
    letter{'9', {7, 5, 7, 1, 7}}, letter{'.', {0, 0, 0, 0, 2}}, letter{'%', {5, 1, 2, 4, 5}},
    letter{'a', {7, 5, 7, 5, 5}}, letter{'c', {7, 4, 4, 4, 7}}, letter{'d', {6, 5, 5, 5, 6}},
    letter{'e', {7, 4, 7, 4, 7}}, letter{'g', {7, 4, 5, 5, 7}}, letter{'h', {5, 5, 7, 5, 5}},
    letter{'i', {7, 2, 2, 2, 7}}, letter{'l', {4, 4, 4, 4, 7}}, letter{'m', {5, 7, 7, 5, 5}},
    letter{'n', {7, 5, 5, 5, 5}}, letter{'o', {7, 5, 5, 5, 7}}, letter{'p', {7, 5, 7, 4, 4}},
    letter{'r', {7, 5, 6, 5, 5}}, letter{'s', {7, 4, 7, 1, 7}}, letter{'t', {7, 2, 2, 2, 2}},
    letter{'u', {5, 5, 5, 5, 7}}, letter{'v', {5, 5, 5, 5, 2}}, letter{'y', {5, 5, 7, 2, 2}},
    letter{'f', {7, 4, 7, 4, 4}}, letter{'-', {0, 0, 7, 0, 0}}, letter{':', {0, 2, 0, 2, 0}}};

class canvas {
public:
    explicit canvas(digits::image on) : on_(std::move(on)) {}

    void dot(int x, int y, std::uint8_t grey) {
        if (x < 0 || y < 0 || x >= on_.width || y >= on_.height) { return; }
        on_.grey[static_cast<std::size_t>(y * on_.width + x)] = grey;
    }
    void square(int x, int y, int half, std::uint8_t grey) {
        for (int j = -half; j <= half; ++j) {
            for (int i = -half; i <= half; ++i) { dot(x + i, y + j, grey); }
        }
    }
    void fill(int left, int top, int width, int height, std::uint8_t grey) {
        for (int y = top; y < top + height; ++y) {
            for (int x = left; x < left + width; ++x) { dot(x, y, grey); }
        }
    }
    /// A line two points wide.
    void line(double x0, double y0, double x1, double y1, std::uint8_t grey) {
        const int parts = 1 + static_cast<int>(2.0 * std::max(std::abs(x1 - x0), std::abs(y1 - y0)));
        for (int i = 0; i <= parts; ++i) {
            const double f = static_cast<double>(i) / parts;
            const int x = static_cast<int>(std::lround(x0 + f * (x1 - x0)));
            const int y = static_cast<int>(std::lround(y0 + f * (y1 - y0)));
            dot(x, y, grey);
            dot(x, y + 1, grey);
        }
    }
    [[nodiscard]] static int text_width(std::string_view words) {
        return 8 * static_cast<int>(words.size()) - 2;
    }
    void text(int left, int top, std::string_view words, std::uint8_t grey) {
        for (const char c : words) {
            for (const letter& l : letters) {
                if (l.name != c) { continue; }
                for (int y = 0; y < 10; ++y) {
                    for (int x = 0; x < 6; ++x) {
                        if ((l.rows[static_cast<std::size_t>(y / 2)] >> (2 - x / 2) & 1) != 0) {
                            dot(left + x, top + y, grey);
                        }
                    }
                }
            }
            left += 8;
        }
    }
    [[nodiscard]] const digits::image& picture() const { return on_; }

private:
    digits::image on_;
};

std::string rounded(double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), value < 1.0 ? "%.2f" : value < 10.0 ? "%.1f" : "%.0f", value);
    return text.data();
}

}  // namespace

digits::image with_plot(const digits::image& above, const std::vector<double>& columns,
                        const std::vector<curve>& curves) {
    digits::image whole = above;
    whole.height += scale_height + plot_height + legend_height;
    whole.grey.resize(static_cast<std::size_t>(whole.width * whole.height), paper);
    canvas on(std::move(whole));
    const int width = on.picture().width;

    // the axis: column centres are equally spaced in ln sigma
    const auto centre = [](std::size_t column) {
        return margin + cell / 2 - margin / 2 + cell * static_cast<int>(column);
    };
    const double per_cell =
        std::log(columns.front() / columns.back()) / static_cast<double>(columns.size() - 1);
    const auto place_x = [&](double sigma) {
        return centre(0) + cell * std::log(columns.front() / sigma) / per_cell;
    };
    for (std::size_t c = 0; c < columns.size(); ++c) {
        const std::string label = rounded(columns[c]);
        on.text(centre(c) - canvas::text_width(label) / 2, above.height + 6, label, 0);
    }

    const int top = above.height + scale_height;
    const int bottom = top + plot_height;
    on.fill(margin, top, width - 2 * margin, plot_height, sheet);
    const auto place_y = [&](double share) { return bottom - 14 - share * (plot_height - 40); };
    for (const double share : {0.0, 0.5, 1.0}) {
        const int y = static_cast<int>(place_y(share));
        on.fill(margin, y, width - 2 * margin, 1, faint);
        const std::string label = std::to_string(static_cast<int>(100.0 * share)) + "%";
        on.text(margin + 4, y - 12, label, 120);
    }
    for (std::size_t c = 0; c < columns.size(); ++c) { on.fill(centre(c), top, 1, plot_height, faint); }

    // a direction's line and dots are of one grey, darkest for the largest
    const auto grey_of = [&](std::size_t k) { return static_cast<std::uint8_t>(170 * k / curves.size()); };
    for (std::size_t k = 0; k < curves.size(); ++k) {
        const curve& c = curves[k];
        for (std::size_t i = 1; i < c.sigma.size(); ++i) {
            on.line(place_x(c.sigma[i - 1]), place_y(c.theory[i - 1]), place_x(c.sigma[i]),
                    place_y(c.theory[i]), grey_of(k));
        }
    }
    for (std::size_t k = 0; k < curves.size(); ++k) {
        const curve& c = curves[k];
        for (std::size_t i = 0; i < c.sigma.size(); ++i) {
            on.square(static_cast<int>(place_x(c.sigma[i])),
                      static_cast<int>(place_y(std::min(c.measured[i], 1.05))), 1, grey_of(k));
        }
        // the number, beside the line where it is at a height of its own
        const double height = 0.30 + 0.07 * static_cast<double>(k);
        for (std::size_t i = 1; i < c.sigma.size(); ++i) {
            if (c.theory[i - 1] < height && c.theory[i] >= height) {
                const std::string label = std::to_string(c.direction);
                const int x = static_cast<int>(place_x(c.sigma[i])) + 9;
                const int y = static_cast<int>(place_y(c.theory[i])) - 5;
                on.fill(x - 2, y - 2, canvas::text_width(label) + 4, 14, sheet);
                on.text(x, y, label, 60);
            }
        }
    }
    on.text(margin + 4, bottom + 12,
            "share of each principal direction decided - line: theory - dots: measured", 0);
    return on.picture();
}

}  // namespace outline_first
