// SPDX-License-Identifier: MIT
#include <tweedie/run/threshold.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <support/allocations.hpp>
#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support.hpp"

using namespace tweedie;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
const level any{};

/// What `hook` leaves of x.
template <class Hook, class T>
T after(Hook hook, T x) {
    hook(x, any);
    return x;
}

template <class Hook>
std::string refusal(Hook hook) {
    std::vector<double> x = {1.0};
    try {
        hook(x, any);
    } catch (const std::invalid_argument& error) { return error.what(); }
    return {};
}

}  // namespace

TEST_CASE("clip clamps every element to the range", "[run][clip][exact]") {
    using vec = std::vector<float>;
    CHECK(after(clip{}, vec{-3.0F, -1.0F, 0.25F, 1.5F}) == vec{-1.0F, -1.0F, 0.25F, 1.0F});
    CHECK(after(clip{.range = 2.0}, vec{-3.0F, 1.5F}) == vec{-2.0F, 1.5F});
    CHECK(after(clip{.range = 0.5}, 0.75) == 0.5);
    CHECK(std::isnan(after(clip{}, vec{std::nanf("")})[0]));  // the run reports it
}

TEST_CASE("dynamic_threshold divides by the quantile of the magnitudes, sample by sample",
          "[run][dynamic_threshold][exact]") {
    using array = std::array<double, 5>;
    // magnitudes 0, 1, 2, 3, 4: the quantile of ratio q is 4 q
    const array x = {-1.0, 4.0, 0.0, -3.0, 2.0};
    for (const double ratio : {0.0, 0.25, 0.3, 0.6, 0.99, 1.0}) {
        const double s = std::min(std::max(4.0 * ratio, 1.0), 3.5);
        const array found = after(dynamic_threshold{.ratio = ratio, .max = 3.5}, x);
        for (std::size_t i = 0; i < x.size(); ++i) {
            INFO("ratio " << ratio << ", element " << i);
            CHECK_THAT(found[i], WithinAbs(std::max(-s, std::min(s, x[i])) / s, tol<double>::exact));
        }
    }
    // the columns of a matrix are samples; the second one has no element above 1
    Eigen::MatrixXf pair(3, 2);
    pair << 2.0F, 0.5F, -4.0F, 1.0F, 1.0F, -0.25F;
    Eigen::MatrixXf expected(3, 2);
    expected << 0.5F, 0.5F, -1.0F, 1.0F, 0.25F, -0.25F;
    CHECK(after(dynamic_threshold{.ratio = 1.0, .max = 10.0}, pair) == expected);
    CHECK(after(dynamic_threshold{.ratio = 0.5}, 3.0) == 1.0);
}

TEST_CASE("dynamic_threshold with max = 1 is clip", "[run][dynamic_threshold][identity]") {
    const std::vector<double> x = {-2.0, 0.5, 1.25, -0.75, 7.0};
    CHECK(after(dynamic_threshold{}, x) == after(clip{}, x));
}

TEST_CASE("a sample that is not finite is left as it is, the others are not",
          "[run][dynamic_threshold][exact]") {
    Eigen::MatrixXd pair(2, 2);
    pair << not_a_number, 4.0, 5.0, -2.0;
    const Eigen::MatrixXd found = after(dynamic_threshold{.ratio = 1.0, .max = 9.0}, pair);
    CHECK(std::isnan(found(0, 0)));
    CHECK(found(1, 0) == 5.0);
    CHECK(found(0, 1) == 1.0);
    CHECK(found(1, 1) == -0.5);
}

TEST_CASE("thresholds are transforms of any run", "[run][clip][dynamic_threshold]") {
    const plan p = edm_plan(solver::unipc{}, 8);
    const auto wild = denoiser(exact_gaussian{.mean = 5.0}, prediction::x0, schedule::edm{});
    std::vector<float> x = start(64, p);
    std::vector<float> y = x;
    REQUIRE(sample(p, wild, x, hooks{.transform = clip{.range = 1.0}}));
    REQUIRE(sample(p, wild, y, hooks{.transform = dynamic_threshold{.ratio = 0.9, .max = 2.0}}));
    for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(std::abs(x[i]) <= 1.0F + tol<float>::identity);
        CHECK(std::abs(y[i]) <= 1.0F + tol<float>::identity);
    }
}

TEST_CASE("thresholds allocate at their first use only", "[run][clip][dynamic_threshold][cost]") {
    Eigen::MatrixXf x = Eigen::MatrixXf::Constant(100, 7, 3.0F);
    dynamic_threshold dynamic{.max = 2.0};
    std::size_t before = allocations();
    dynamic(x, any);
    CHECK(allocations() == before + 1);
    before = allocations();
    dynamic(x, any);
    clip{}(x, any);
    CHECK(allocations() == before);
}

TEST_CASE("thresholds refuse options that mean nothing", "[run][clip][dynamic_threshold][errors]") {
    for (const double range : {0.0, -1.0, not_a_number}) {
        CHECK(refusal(clip{.range = range}) == "clip: range must be positive");
    }
    for (const double ratio : {-0.1, 1.1, not_a_number}) {
        CHECK(refusal(dynamic_threshold{.ratio = ratio}) == "dynamic_threshold: ratio must lie in [0, 1]");
    }
    for (const double max : {0.9, -1.0, not_a_number}) {
        CHECK(refusal(dynamic_threshold{.max = max}) == "dynamic_threshold: max must be at least 1");
    }
}
