// SPDX-License-Identifier: MIT
#include "picture.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <fstream>
#include <system_error>

#include "options.hpp"

#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#if defined(__GNUC__)  // reported where its code is inlined, system header or not
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnull-dereference"
#endif
#include <stb_image_write.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace digits {

namespace {

constexpr int zoom = 8;
constexpr int cell = side * zoom;
constexpr int margin = 8;

// Weights of the four pixels around a place, `f` of the way from the second to the third: Catmull and Rom's
// spline.
std::array<double, 4> spline(double f) {
    return {f * (f * (1.0 - 0.5 * f) - 0.5), 1.0 + f * f * (1.5 * f - 2.5), f * (0.5 + f * (2.0 - 1.5 * f)),
            f * f * (0.5 * f - 0.5)};
}

std::uint8_t grey_of(double ink) {
    return static_cast<std::uint8_t>(std::lround(std::clamp(0.5 - 0.5 * ink, 0.0, 1.0) * 255.0));
}

void draw_digit(image& on, int left, int top, const pictures& from, Eigen::Index column) {
    const auto ink = [&](int x, int y) {
        return x < 0 || y < 0 || x >= side || y >= side ? -1.0 : from(y * side + x, column);
    };
    for (int y = 0; y < cell; ++y) {
        for (int x = 0; x < cell; ++x) {
            const double at_x = (x + 0.5) / zoom - 0.5;
            const double at_y = (y + 0.5) / zoom - 0.5;
            const int x0 = static_cast<int>(std::floor(at_x));
            const int y0 = static_cast<int>(std::floor(at_y));
            const std::array<double, 4> across = spline(at_x - x0);
            const std::array<double, 4> down = spline(at_y - y0);
            double sum = 0.0;
            for (int j = 0; j < 4; ++j) {
                for (int i = 0; i < 4; ++i) {
                    sum += down[static_cast<std::size_t>(j)] * across[static_cast<std::size_t>(i)] *
                           ink(x0 - 1 + i, y0 - 1 + j);
                }
            }
            on.grey[static_cast<std::size_t>((top + y) * on.width + left + x)] = grey_of(sum);
        }
    }
}

}  // namespace

image draw_grid(const std::array<pictures, classes>& rows) {
    Eigen::Index most = 0;
    for (const pictures& row : rows) { most = std::max(most, row.cols()); }
    image drawn;
    drawn.width = margin + static_cast<int>(most) * (cell + margin);
    drawn.height = margin + classes * (cell + margin);
    drawn.grey.assign(static_cast<std::size_t>(drawn.width * drawn.height), 200);
    for (int c = 0; c < classes; ++c) {
        const pictures& row = rows[static_cast<std::size_t>(c)];
        for (Eigen::Index i = 0; i < row.cols(); ++i) {
            draw_digit(drawn, margin + static_cast<int>(i) * (cell + margin), margin + c * (cell + margin),
                       row, i);
        }
    }
    return drawn;
}

void require_writable(const std::filesystem::path& file) {
    std::error_code failed;
    if (file.has_parent_path()) { std::filesystem::create_directories(file.parent_path(), failed); }
    const std::ofstream out(
        file, std::ios::binary | std::ios::app);  // what is there stays until the picture is made
    if (!out) { throw user_error("cannot write " + file.string()); }
}

void write_png(const image& drawn, const std::filesystem::path& file) {
    std::ofstream out(file, std::ios::binary);
    const auto append = [](void* context, void* data, int size) {
        static_cast<std::ofstream*>(context)->write(static_cast<const char*>(data), size);
    };
    const int made =
        stbi_write_png_to_func(append, &out, drawn.width, drawn.height, 1, drawn.grey.data(), drawn.width);
    out.close();
    if (made == 0 || !out) { throw user_error("cannot write " + file.string()); }
}

}  // namespace digits
