// SPDX-License-Identifier: MIT
#include <tweedie/analytic/spectrum.hpp>

#include <algorithm>
#include <functional>

#include "checks.hpp"

using namespace tweedie;
using analytic::binned;
using analytic::gaussian;
using analytic::mixture;
using analytic::spectrum;
using analytic::spectrum_of;

namespace {

/// Every variance as often as it is shared.
Eigen::VectorXd spread(const spectrum& of) {
    std::vector<double> out;
    for (std::size_t k = 0; k < of.variances.size(); ++k) {
        for (double i = 0.0; i < of.counts[k]; i += 1.0) { out.push_back(of.variances[k]); }
    }
    return Eigen::Map<const Eigen::VectorXd>(out.data(), static_cast<Eigen::Index>(out.size()));
}

Eigen::VectorXd dense(const Eigen::MatrixXd& covariance) {
    return Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd>(covariance).eigenvalues().reverse();
}

double total(const spectrum& of) {
    double sum = 0.0;
    for (std::size_t k = 0; k < of.variances.size(); ++k) { sum += of.counts[k] * of.variances[k]; }
    return sum;
}

double directions(const spectrum& of) {
    double sum = 0.0;
    for (const double count : of.counts) { sum += count; }
    return sum;
}

mixture thin(Eigen::Index d, double residual) {
    std::vector<gaussian> parts;
    for (std::uint64_t c = 0; c < 3; ++c) {
        const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, 5 + c)).householderQ();
        const auto rank = static_cast<Eigen::Index>(c);
        parts.push_back(gaussian::low_rank(normals(d, 1, 9 + c), q.leftCols(rank),
                                           Eigen::VectorXd::LinSpaced(rank, 2.0, 0.3), residual));
    }
    return {{0.2, 0.5, 0.3}, parts};
}

}  // namespace

TEST_CASE("the spectrum of a Gaussian is that of its covariance", "[analytic][spectrum][identity]") {
    const Eigen::VectorXd l = Eigen::Vector4d(0.5, 3.0, 0.5, 1.0);
    const gaussian full(normals(4, 1, 1), covariance_with(l, 2));
    CHECK(relative_error(spread(spectrum_of(full)), dense(full.covariance())) < tol<double>::exact);
    // a residual between the eigenvalues takes its place
    const Eigen::MatrixXd axes = Eigen::MatrixXd::Identity(9, 2);
    const gaussian low = gaussian::low_rank(Eigen::VectorXd::Zero(9), axes, Eigen::Vector2d(0.1, 3.0), 0.7);
    const spectrum s = spectrum_of(low);
    CHECK(s.variances == std::vector<double>{3.0, 0.7, 0.1});
    CHECK(s.counts == std::vector<double>{1.0, 7.0, 1.0});
    const spectrum round = spectrum_of(gaussian::isotropic(Eigen::VectorXd::Zero(5), 0.25));
    CHECK(round.variances == std::vector<double>{0.25});
    CHECK(round.counts == std::vector<double>{5.0});
}

TEST_CASE("the spectrum of a mixture is that of its covariance, with and without a large matrix",
          "[analytic][spectrum][identity]") {
    // ranks 0, 1 and 2: six columns, so that 5 dimensions take the covariance and 20 do not; a residual of 1
    // is above some eigenvalues
    for (const Eigen::Index d : {5, 6, 7, 20}) {
        for (const double residual : {0.0, 0.2, 1.0}) {
            CAPTURE(d, residual);
            const mixture m = thin(d, residual);
            const spectrum s = spectrum_of(m);
            CHECK(s.variances.size() == static_cast<std::size_t>(d <= 7 ? d : 7));
            CHECK(relative_error(spread(s), dense(m.covariance())) < 1e-13);
        }
    }
}

TEST_CASE("binning keeps the counts and the total variance", "[analytic][spectrum][exact]") {
    spectrum s;
    for (int k = 0; k < 500; ++k) {
        s.variances.push_back(k % 7 == 0 ? 0.0 : std::exp(-0.05 * k));
        s.counts.push_back(1.0 + 0.5 * (k % 3));
    }
    for (const std::size_t most : {std::size_t{1}, std::size_t{2}, std::size_t{24}, std::size_t{499}}) {
        CAPTURE(most);
        const spectrum b = binned(s, most);
        CHECK(b.variances.size() <= most);
        CHECK(b.variances.size() == b.counts.size());
        CHECK_THAT(total(b), WithinRel(total(s), tol<double>::identity));
        CHECK_THAT(directions(b), WithinRel(directions(s), tol<double>::identity));
        CHECK(std::ranges::is_sorted(b.variances, std::greater<>()));
    }
    // equal parts of the logarithmic range: decades by decades
    const spectrum decades{{1.0, 0.5, 0.05, 0.02, 1e-3}, {1.0, 1.0, 2.0, 1.0, 4.0}};
    const spectrum three = binned(decades, 3);
    REQUIRE(three.variances.size() == 3);
    CHECK_THAT(three.variances[0], WithinRel(0.75, tol<double>::exact));
    CHECK_THAT(three.variances[1], WithinRel(0.12 / 3.0, tol<double>::exact));
    CHECK_THAT(three.variances[2], WithinRel(1e-3, tol<double>::exact));
    CHECK(three.counts == std::vector<double>{2.0, 3.0, 4.0});
    // what is small enough is returned sorted and otherwise as it is
    const spectrum same = binned({{0.1, 0.4}, {3.0, 1.0}}, 2);
    CHECK(same.variances == std::vector<double>{0.4, 0.1});
    CHECK(same.counts == std::vector<double>{1.0, 3.0});
    // no variance at all, and one value many times
    CHECK(binned({{0.0, 0.0, 0.0}, {1.0, 1.0, 1.0}}, 2).variances == std::vector<double>{0.0});
    CHECK(binned({{0.2, 0.2, 0.2}, {1.0, 1.0, 1.0}}, 2).counts == std::vector<double>{3.0});
}

TEST_CASE("a spectrum that is none is refused", "[analytic][spectrum][errors]") {
    const char* count = "binned: a spectrum needs one count for each variance";
    const char* finite = "binned: a spectrum must be finite and nowhere negative";
    CHECK_THROWS_WITH(binned({}, 3), count);
    CHECK_THROWS_WITH(binned({{1.0, 2.0}, {1.0}}, 3), count);
    CHECK_THROWS_WITH(binned({{-1.0}, {1.0}}, 3), finite);
    CHECK_THROWS_WITH(binned({{1.0}, {-1.0}}, 3), finite);
    CHECK_THROWS_WITH(binned({{not_a_number}, {1.0}}, 3), finite);
    CHECK_THROWS_WITH(binned({{1.0}, {not_a_number}}, 3), finite);
    CHECK_THROWS_WITH(binned({{infinity}, {1.0}}, 3), finite);
    CHECK_THROWS_WITH(binned({{1.0}, {1.0}}, 0), "binned: most must be at least 1");
}
