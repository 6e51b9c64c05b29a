// SPDX-License-Identifier: MIT
#include <tweedie/analytic/randomized.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <algorithm>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;
using analytic::largest_eigenpairs;
using analytic::randomized_fit;
using analytic::randomized_options;

namespace {

/// Samples whose covariance has exactly these eigenvalues.
Eigen::MatrixXd samples_with(const Eigen::VectorXd& eigenvalues, Eigen::Index n, std::uint64_t seed) {
    const Eigen::Index d = eigenvalues.size();
    const Eigen::MatrixXd directions =
        Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, seed)).householderQ();
    Eigen::MatrixXd rows = normals(n, d, seed + 1);
    rows.rowwise() -= rows.colwise().mean().eval();
    const Eigen::MatrixXd scores =
        Eigen::HouseholderQR<Eigen::MatrixXd>(rows).householderQ() * Eigen::MatrixXd::Identity(n, d);
    return directions * (static_cast<double>(n) * eigenvalues).cwiseSqrt().asDiagonal() * scores.transpose();
}

/// The sine of the largest angle between two subspaces, given orthonormal columns.
double sine(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
    const Eigen::MatrixXd outside = a - b * (b.transpose() * a);
    return Eigen::JacobiSVD<Eigen::MatrixXd>(outside).singularValues()(0);
}

Eigen::VectorXd power_law(Eigen::Index d, double exponent) {
    Eigen::VectorXd out(d);
    for (Eigen::Index k = 0; k < d; ++k) { out(k) = std::pow(static_cast<double>(k + 1), -exponent); }
    return out;
}

}  // namespace

TEST_CASE("a falling spectrum is found to the accuracy that its fall allows",
          "[analytic][randomized][exact]") {
    const with_threads one(1);
    const Eigen::Index d = 100;
    const Eigen::Index rank = 16;
    for (const double exponent : {1.0, 2.0, 4.0}) {
        const Eigen::VectorXd l = power_law(d, exponent);
        const Eigen::MatrixXd data = samples_with(l, 250, 1).colwise() + normals(d, 1, 3).col(0);
        const gaussian exact = gaussian::fit(data, {.rank = rank});
        for (const int power : {0, 2, 4}) {
            CAPTURE(exponent, power);
            const gaussian found = randomized_fit(data, {.rank = rank, .power_iterations = power});
            REQUIRE(found.rank() == rank);
            CHECK(relative_error(found.mean(), data.rowwise().mean()) < 1e-13);
            for (Eigen::Index k = 0; k < rank; ++k) {
                // ratio of the first eigenvalue that is left out to this one; the factor is that of a
                // product of normal matrices, 26 columns wide
                const double ratio = l(rank + 10) / l(k);
                const double error = 1.0 - found.eigenvalues()(k) / exact.eigenvalues()(k);
                CHECK(error > -1e-12);  // never above the true one
                CHECK(error < 30.0 * std::pow(ratio, 2.0 * power + 2.0) + 1e-12);
            }
            // the five largest directions; 1e-7: the exact ones are those of the covariance, to rounding
            const double ratio = l(rank + 10) / l(4);
            CHECK(sine(exact.eigenvectors().leftCols(5), found.eigenvectors()) <
                  std::sqrt(30.0) * std::pow(ratio, power + 1.0) + 1e-7);
        }
    }
}

TEST_CASE("a spectrum that falls fast is found to rounding", "[analytic][randomized][identity]") {
    const with_threads one(1);
    Eigen::VectorXd l(120);
    for (Eigen::Index k = 0; k < 120; ++k) { l(k) = std::exp(-0.5 * static_cast<double>(k)); }
    const Eigen::MatrixXd data = samples_with(l, 300, 5).colwise() + normals(120, 1, 6).col(0);
    const gaussian exact = gaussian::fit(data, {.rank = 12});
    const gaussian found = randomized_fit(data, {.rank = 12});
    CHECK(relative_error(found.eigenvalues(), exact.eigenvalues()) < tol<double>::identity);
    CHECK(relative_error(found.covariance(), exact.covariance()) < tol<double>::identity);
    CHECK_THAT(found.residual(), WithinRel(exact.residual(), 1e-10));
    const Eigen::MatrixXd x = normals(120, 8, 7);
    const level here{0.3, 0.9, 0.3};
    CHECK(relative_error(found.denoise(x, here), exact.denoise(x, here)) < tol<double>::identity);
}

TEST_CASE("of a flat spectrum hardly less variance is found than there is", "[analytic][randomized][exact]") {
    // noise alone: eigenvalues between 0.25 and 2.25, no gap anywhere
    const with_threads one(1);  // many small fits
    const Eigen::MatrixXd data = normals(60, 240, 8);
    const gaussian full = gaussian::fit(data);
    const double tail = full.eigenvalues().tail(54).sum();
    for (const Eigen::Index oversampling : {2, 5, 10}) {
        for (const int power : {0, 4}) {
            CAPTURE(oversampling, power);
            double missed = 0.0;
            for (std::uint64_t seed = 0; seed < 12; ++seed) {
                const gaussian found = randomized_fit(
                    data, {.rank = 6, .oversampling = oversampling, .power_iterations = power, .seed = seed});
                CHECK((found.eigenvalues().array() <= full.eigenvalues().head(6).array() + 1e-12).all());
                // the total is kept whatever was missed
                CHECK_THAT(found.eigenvalues().sum() + 54.0 * found.residual(),
                           WithinRel(full.eigenvalues().sum(), tol<double>::identity));
                missed += (full.eigenvalues().sum() - found.eigenvalues().sum()) / 12.0;
            }
            CHECK(missed >= tail);
            CHECK(missed <= (1.0 + 6.0 / (static_cast<double>(oversampling) - 1.0)) * tail);
            if (power == 4) { CHECK(missed <= 1.02 * tail); }
        }
    }
}

TEST_CASE("a randomized fit is the same to the bit however the samples come",
          "[analytic][randomized][parity]") {
    const with_threads few(1);  // but where the threads are what is tested
    const Eigen::MatrixXf data = samples_with(power_law(50, 2.0), 300, 9).cast<float>();
    const randomized_options options{.rank = 6, .seed = 3};
    const gaussian whole = randomized_fit(data, options);
    const auto equal = [&](const gaussian& other) {
        return other.mean() == whole.mean() && other.eigenvalues() == whole.eigenvalues() &&
               other.eigenvectors() == whole.eigenvectors() && other.residual() == whole.residual();
    };
    CHECK(equal(randomized_fit(data, options)));
    CHECK(equal(randomized_fit(Eigen::MatrixXd(data.cast<double>()), options)));
    CHECK(equal(randomized_fit(picture_batch{{data.data(), data.data() + data.size()}, 300}, options)));
    for (const Eigen::Index size : {1, 7, 128, 299}) {
        int passes = 0;
        const auto visit = [&](auto& sink) {
            ++passes;
            for (Eigen::Index first = 0; first < 300; first += size) {
                sink(Eigen::MatrixXf(data.middleCols(first, std::min(size, 300 - first))));
            }
        };
        CHECK(equal(randomized_fit(50, visit, options)));
        CHECK(passes == options.power_iterations + 3);
    }
    const Eigen::MatrixXf wide = normals(700, 300, 10).cast<float>();
    const auto with = [&](int threads) {
        const with_threads set(threads);
        return randomized_fit(wide, {.rank = 40, .power_iterations = 1});
    };
    const gaussian one = with(1);
    const gaussian three = with(3);
    CHECK(one.eigenvectors() == three.eigenvectors());
    CHECK(one.eigenvalues() == three.eigenvalues());
    // another seed is another set of directions, and nearly the same answer
    const gaussian other = randomized_fit(data, {.rank = 6, .seed = 4});
    CHECK(other.eigenvalues() != whole.eigenvalues());
    CHECK(relative_error(other.eigenvalues(), whole.eigenvalues()) < 1e-6);
}

TEST_CASE("what has no more directions than asked for comes out exact", "[analytic][randomized][identity]") {
    // as many directions as dimensions, and fewer samples than directions
    for (const auto& [d, n, rank] :
         {std::array<Eigen::Index, 3>{12, 50, 12}, {12, 50, 5}, {80, 9, 20}, {5, 1, 3}}) {
        CAPTURE(d, n, rank);
        const Eigen::MatrixXd data = normals(d, n, 11).colwise() + 5.0 * normals(d, 1, 12).col(0);
        const analytic::gaussian_fit_options plain{
            .rank = rank, .added_variance = 0.01, .divide_by = analytic::divisor::samples_minus_one};
        const randomized_options options{
            .rank = rank, .added_variance = 0.01, .divide_by = analytic::divisor::samples_minus_one};
        const gaussian exact = gaussian::fit(data, plain);
        const gaussian found = randomized_fit(data, options);
        CHECK(found.rank() == exact.rank());
        CHECK(relative_error(found.covariance(), exact.covariance()) < tol<double>::identity);
    }
    const Eigen::MatrixXd data = normals(6, 40, 13);
    const gaussian round = randomized_fit(data, {.rank = 0});
    CHECK(round.rank() == 0);
    CHECK_THAT(round.residual(), WithinRel(gaussian::fit(data, {.rank = 0}).residual(), 1e-13));
    CHECK(randomized_fit(data, {.rank = 0, .oversampling = 0}).residual() == round.residual());
    const gaussian dropped = randomized_fit(data, {.rank = 2, .remainder = analytic::left_out::dropped});
    CHECK(dropped.residual() == 0.0);
    CHECK(randomized_fit(Eigen::MatrixXd(Eigen::MatrixXd::Ones(4, 7)), {.rank = 2}).residual() == 0.0);
}

TEST_CASE("an operator is enough, and no matrix as large as it", "[analytic][randomized][cost]") {
    // 12,288 dimensions: a matrix would take 1.2 GB
    const Eigen::Index d = 12288;
    const Eigen::VectorXd l = power_law(d, 2.0);
    int calls = 0;
    const auto apply = [&](const Eigen::MatrixXd& x) -> Eigen::MatrixXd {
        ++calls;
        return l.asDiagonal() * x;
    };
    const auto found = largest_eigenpairs(d, apply, {.rank = 8, .power_iterations = 3});
    CHECK(calls == 5);
    REQUIRE(found.values.size() == 8);
    for (Eigen::Index k = 0; k < 8; ++k) {
        const double ratio = l(18) / l(k);
        CHECK(found.values(k) <= l(k) * (1.0 + 1e-13));
        CHECK_THAT(found.values(k), WithinRel(l(k), 30.0 * std::pow(ratio, 8.0) + 1e-13));
    }
    const Eigen::MatrixXd gram = found.vectors.transpose() * found.vectors;
    CHECK((gram - Eigen::MatrixXd::Identity(8, 8)).cwiseAbs().maxCoeff() < 1e-13);
    // nothing there
    const auto none = largest_eigenpairs(
        5, [](const Eigen::MatrixXd& x) -> Eigen::MatrixXd { return 0.0 * x; }, {.rank = 2});
    CHECK(none.values.size() == 0);
    CHECK(none.vectors.rows() == 5);
}

TEST_CASE("a randomized fit refuses what it cannot use", "[analytic][randomized][errors]") {
    const Eigen::MatrixXd data = normals(6, 20, 14);
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = 7}), "randomized: rank must lie in [0, dimension]");
    CHECK_THROWS_WITH(randomized_fit(data), "randomized: rank must lie in [0, dimension]");  // default: 64
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = -1}), "randomized: rank must lie in [0, dimension]");
    const char* negative = "randomized: oversampling and power_iterations must not be negative";
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = 2, .oversampling = -1}), negative);
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = 2, .power_iterations = -1}), negative);
    const char* added = "randomized: added_variance must be finite and not negative";
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = 2, .added_variance = -1.0}), added);
    CHECK_THROWS_WITH(randomized_fit(data, {.rank = 2, .added_variance = not_a_number}), added);
    CHECK_THROWS_WITH(randomized_fit(Eigen::MatrixXd(6, 0), {.rank = 2}),
                      "randomized_fit: need at least one sample of one element");
    CHECK_THROWS_WITH(randomized_fit(6, [](auto&) {}, {.rank = 2}),
                      "randomized_fit: need at least one sample");
    CHECK_THROWS_WITH(randomized_fit(0, [](auto&) {}, {.rank = 0}),
                      "randomized: need samples of at least one element");
    CHECK_THROWS_WITH(randomized_fit(5, [&](auto& sink) { sink(data); }, {.rank = 2}),
                      "randomized_fit: a batch must hold 5 elements per sample; it has 120 in 20 samples");
    Eigen::MatrixXd bad = data;
    bad(3, 3) = not_a_number;
    CHECK_THROWS_WITH(randomized_fit(bad, {.rank = 2}), "randomized_fit: the data must be finite");
    int pass = 0;
    const auto shrinking = [&](auto& sink) { sink(Eigen::MatrixXd(data.leftCols(20 - pass++))); };
    CHECK_THROWS_WITH(randomized_fit(6, shrinking, {.rank = 2}),
                      "randomized_fit: every pass must give the same samples");
    const char* shape =
        "largest_eigenpairs: the operator must return a finite matrix of the shape of its argument";
    const auto short_one = [](const Eigen::MatrixXd& x) -> Eigen::MatrixXd { return x.topRows(3); };
    const auto broken = [](const Eigen::MatrixXd& x) -> Eigen::MatrixXd { return x / 0.0; };
    CHECK_THROWS_WITH(largest_eigenpairs(6, short_one, {.rank = 2}), shape);
    CHECK_THROWS_WITH(largest_eigenpairs(6, broken, {.rank = 2}), shape);
}
