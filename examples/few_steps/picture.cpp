// SPDX-License-Identifier: MIT
#include "picture.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <system_error>

#include "options.hpp"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if defined(__GNUC__)  // reported where its code is inlined, system header or not
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnull-dereference"
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <stb_easy_font.h>
#include <stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace few_steps {

namespace {

constexpr int cell = 84;
constexpr int gap = 4;
constexpr int between = 28;  // panels
constexpr int caption = 20;
constexpr std::uint8_t paper = 255;

struct canvas {
    int width = 0;
    int height = 0;
    std::vector<std::uint8_t> grey;

    void put(int x, int y, std::uint8_t value) {
        if (x >= 0 && y >= 0 && x < width && y < height) {
            grey[static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                 static_cast<std::size_t>(x)] = value;
        }
    }
};

/// The value of a sample at a place in pixels, by Catmull and Rom's spline; `outside` beyond its edges.
double smooth(const Eigen::MatrixXd& samples, Eigen::Index column, int side, double x, double y,
              double outside) {
    const auto weights = [](double f) {
        return std::array{f * (f * (1.0 - 0.5 * f) - 0.5), 1.0 + f * f * (1.5 * f - 2.5),
                          f * (0.5 + f * (2.0 - 1.5 * f)), f * f * (0.5 * f - 0.5)};
    };
    const int left = static_cast<int>(std::floor(x));
    const int top = static_cast<int>(std::floor(y));
    const auto across = weights(x - left);
    const auto down = weights(y - top);
    double sum = 0.0;
    for (int j = 0; j < 4; ++j) {
        for (int i = 0; i < 4; ++i) {
            const int px = left - 1 + i;
            const int py = top - 1 + j;
            const bool inside = px >= 0 && py >= 0 && px < side && py < side;
            const double value = inside ? samples(py * side + px, column) : outside;
            sum += across[static_cast<std::size_t>(i)] * down[static_cast<std::size_t>(j)] * value;
        }
    }
    return sum;
}

void draw(canvas& on, int left, int top, const panel& from, const strip& column, Eigen::Index row) {
    for (int y = 0; y < cell; ++y) {
        for (int x = 0; x < cell; ++x) {
            const double scale = static_cast<double>(from.side) / cell;
            const double value = smooth(column.samples, row, from.side, (x + 0.5) * scale - 0.5,
                                        (y + 0.5) * scale - 0.5, -1.0);
            const double light = std::clamp(0.5 + (from.dark_on_light ? -0.5 : 0.5) * value, 0.0, 1.0);
            on.put(left + x, top + y, static_cast<std::uint8_t>(std::lround(255.0 * light)));
        }
    }
}

void write(canvas& on, int left, int top, std::string text) {
    constexpr int most = 4000;
    std::vector<char> quads(most * 64);
    const int width = stb_easy_font_width(text.data());
    const int count =
        stb_easy_font_print(0.0F, 0.0F, text.data(), nullptr, quads.data(), static_cast<int>(quads.size()));
    const int shift = (cell - width) / 2;
    for (int q = 0; q < count;
         ++q) {  // a quad is four vertices of three floats and a colour, a rectangle each
        float from[2];
        float to[2];
        std::memcpy(from, quads.data() + static_cast<std::size_t>(q) * 64, sizeof from);
        std::memcpy(to, quads.data() + static_cast<std::size_t>(q) * 64 + 32, sizeof to);
        for (int y = static_cast<int>(from[1]); y < static_cast<int>(to[1]); ++y) {
            for (int x = static_cast<int>(from[0]); x < static_cast<int>(to[0]); ++x) {
                on.put(left + shift + x, top + y, 0);
            }
        }
    }
}

}  // namespace

void write_picture(const std::vector<panel>& panels, const std::filesystem::path& file) {
    canvas on;
    Eigen::Index rows = 0;
    on.width = gap;
    for (const panel& p : panels) {
        on.width += static_cast<int>(p.strips.size()) * (cell + gap) + between;
        for (const strip& s : p.strips) { rows = std::max(rows, s.samples.cols()); }
    }
    on.width -= between;
    on.height = caption + static_cast<int>(rows) * (cell + gap);
    on.grey.assign(static_cast<std::size_t>(on.width) * static_cast<std::size_t>(on.height), paper);
    int left = gap;
    for (const panel& p : panels) {
        for (const strip& s : p.strips) {
            write(on, left, 6, s.name);
            for (Eigen::Index r = 0; r < s.samples.cols(); ++r) {
                draw(on, left, caption + static_cast<int>(r) * (cell + gap), p, s, r);
            }
            left += cell + gap;
        }
        left += between;
    }

    std::error_code failed;
    if (file.has_parent_path()) { std::filesystem::create_directories(file.parent_path(), failed); }
    std::ofstream out(file, std::ios::binary);
    const auto append = [](void* context, void* data, int size) {
        static_cast<std::ofstream*>(context)->write(static_cast<const char*>(data), size);
    };
    const int made = stbi_write_png_to_func(append, &out, on.width, on.height, 1, on.grey.data(), on.width);
    out.close();
    if (made == 0 || !out) { throw user_error("cannot write " + file.string()); }
}

}  // namespace few_steps
