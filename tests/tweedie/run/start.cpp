// SPDX-License-Identifier: MIT
#include <tweedie/run/start.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include "support.hpp"

using namespace tweedie;

TEST_CASE("start_from_noise is sigma times the initial draw, whatever x held", "[run][start][exact]") {
    const level first{80.0, 1.0, 80.0};
    std::vector<double> z(1001);
    noise{.seed = 4}.stream(draw_kind::initial, 0)(0, 0, std::span<double>(z));
    std::vector<double> x(1001, std::numeric_limits<double>::quiet_NaN());
    start_from_noise(x, first, noise{.seed = 4});
    std::vector<double> memory(1001);
    start_from_noise(std::span<double>(memory), first, noise{.seed = 4});
    for (std::size_t i = 0; i < x.size(); ++i) { CHECK(x[i] == 80.0 * z[i]); }
    CHECK(x == memory);
    CHECK_THROWS_AS(start_from_noise(x, level{0.0, 1.0, 0.0}, noise{}), std::invalid_argument);
}

TEST_CASE("start_from_data reaches a level in the middle", "[run][start][exact]") {
    const level middle{0.4, 0.6, 0.8};
    std::vector<double> z(64);
    noise{.seed = 4}.stream(draw_kind::initial, 0)(0, 0, std::span<double>(z));
    std::vector<double> x(64, 2.0);
    start_from_data(x, middle, noise{.seed = 4});
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK_THAT(x[i], WithinAbs(1.2 + 0.8 * z[i], tol<double>::exact));
    }
    std::vector<double> clean(3, 2.0);
    start_from_data(clean, level{0.0, 1.0, 0.0}, noise{});
    CHECK(clean == std::vector<double>{2.0, 2.0, 2.0});
    CHECK_THROWS_AS(start_from_data(clean, level{0.0, std::nan(""), 1.0}, noise{}), std::invalid_argument);
}
