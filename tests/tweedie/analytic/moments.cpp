// SPDX-License-Identifier: MIT
#include <tweedie/analytic/gaussian.hpp>
#include <tweedie/analytic/moments.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <algorithm>

#include "checks.hpp"

using namespace tweedie;
using analytic::divisor;
using analytic::gaussian;
using analytic::moments;

static_assert(analytic::sample_batch<Eigen::MatrixXf> && analytic::sample_batch<picture_batch>);
static_assert(analytic::sample_batch<std::span<float>> && !analytic::sample_batch<std::vector<int>>);

namespace {

/// Mean and covariance in two passes, in numbers longer than double.
std::pair<Eigen::VectorXd, Eigen::MatrixXd> two_passes(const Eigen::MatrixXd& data) {
    const auto n = static_cast<long double>(data.cols());
    std::vector<long double> mean;
    Eigen::MatrixXd covariance(data.rows(), data.rows());
    for (Eigen::Index i = 0; i < data.rows(); ++i) {
        long double sum = 0.0L;
        for (Eigen::Index k = 0; k < data.cols(); ++k) { sum += data(i, k); }
        mean.push_back(sum / n);
    }
    for (Eigen::Index i = 0; i < data.rows(); ++i) {
        for (Eigen::Index j = 0; j < data.rows(); ++j) {
            long double sum = 0.0L;
            for (Eigen::Index k = 0; k < data.cols(); ++k) {
                sum += (data(i, k) - mean[static_cast<std::size_t>(i)]) *
                       (data(j, k) - mean[static_cast<std::size_t>(j)]);
            }
            covariance(i, j) = static_cast<double>(sum / n);
        }
    }
    Eigen::VectorXd rounded(data.rows());
    for (Eigen::Index i = 0; i < data.rows(); ++i) {
        rounded(i) = static_cast<double>(mean[static_cast<std::size_t>(i)]);
    }
    return {rounded, covariance};
}

moments of(const Eigen::MatrixXd& data) {
    moments out(data.rows());
    out.add(data);
    return out;
}

bool equal(const moments& a, const moments& b) {
    return a.count() == b.count() && a.mean() == b.mean() && a.covariance() == b.covariance();
}

}  // namespace

TEST_CASE("moments are those of two passes, whatever the mean", "[analytic][moments][exact]") {
    for (const Eigen::Index n : {1, 2, 7, 511, 512, 1300}) {
        for (const double offset : {0.0, 1.0, 1e6}) {
            CAPTURE(n, offset);
            Eigen::MatrixXd data = normals(9, n, 1);
            data.row(3) *= 1e-3;
            data.colwise() += offset * normals(9, 1, 2).col(0);
            const moments m = of(data);
            const auto [mean, covariance] = two_passes(data);
            CHECK(m.count() == n);
            CHECK(m.dimension() == 9);
            CHECK(relative_error(m.mean(), mean) < tol<double>::exact);
            // squares of numbers of 1e6 would leave 1e-4; one sample has no variance at all
            CHECK((m.covariance() - covariance).cwiseAbs().maxCoeff() < 1e-13);
            CHECK(m.covariance() == m.covariance().transpose());
            const double unbiased = static_cast<double>(n) / std::max(1.0, static_cast<double>(n - 1));
            CHECK((m.covariance(divisor::samples_minus_one) - unbiased * covariance).cwiseAbs().maxCoeff() <
                  1e-13);
        }
    }
}

TEST_CASE("a mean that drifts from batch to batch costs no digits", "[analytic][moments][exact]") {
    // the first samples say nothing about where the others are
    Eigen::MatrixXd data = 1e-3 * normals(3, 2000, 3);
    for (Eigen::Index j = 1000; j < 2000; ++j) { data.col(j).array() += 1e5; }
    data.middleCols(600, 400).array() -= 7.0;
    const auto [mean, covariance] = two_passes(data);
    CHECK(relative_error(of(data).mean(), mean) < tol<double>::exact);
    CHECK(relative_error(of(data).covariance(), covariance) < 1e-13);
}

TEST_CASE("moments are the same to the bit however the samples come", "[analytic][moments][parity]") {
    const Eigen::MatrixXf coarse = normals(20, 1200, 4).cast<float>();
    const moments whole = of(coarse.cast<double>());
    for (const Eigen::Index size : {1, 3, 64, 511, 600, 1200}) {
        CAPTURE(size);
        moments matrices(20);
        moments tensors(20);
        moments views(20);
        for (Eigen::Index first = 0; first < 1200; first += size) {
            const Eigen::MatrixXf part = coarse.middleCols(first, std::min(size, 1200 - first));
            matrices.add(part);
            tensors.add(picture_batch{{part.data(), part.data() + part.size()},
                                      static_cast<std::size_t>(part.cols())});
            views.add(Eigen::Map<Eigen::MatrixXf>(const_cast<float*>(part.data()), 20, part.cols()));
            REQUIRE(matrices.count() == first + part.cols());
        }
        CHECK(equal(matrices, whole));
        CHECK(equal(tensors, whole));
        CHECK(equal(views, whole));
    }
    moments one_by_one(20);
    for (Eigen::Index j = 0; j < 1200; ++j) {
        std::vector<float> sample(coarse.col(j).begin(), coarse.col(j).end());
        if (j % 2 == 0) {
            one_by_one.add(sample);
        } else {
            one_by_one.add(std::span<float>(sample));
        }
        if (j == 700) { (void)one_by_one.covariance(); }  // looking changes nothing
    }
    CHECK(equal(one_by_one, whole));
}

TEST_CASE("moments do not depend on the number of threads", "[analytic][moments][parity]") {
    const Eigen::MatrixXd data = normals(300, 700, 5);  // six tiles
    const auto with = [&](int threads) {
        const with_threads set(threads);
        const moments m = of(data);
        return std::pair(m.mean(), m.covariance());
    };
    CHECK(with(1) == with(3));
}

TEST_CASE("merged moments are those of all samples", "[analytic][moments][identity]") {
    Eigen::MatrixXd data = normals(6, 1500, 6);
    data.rightCols(400).array() += 3.0;
    const moments whole = of(data);
    for (const Eigen::Index cut : {1, 40, 511, 1022, 1100}) {
        CAPTURE(cut);
        moments merged = of(data.leftCols(cut));
        const moments rest = of(data.rightCols(1500 - cut));
        merged.merge(rest);
        CHECK(merged.count() == 1500);
        CHECK(relative_error(merged.mean(), whole.mean()) < tol<double>::identity);
        CHECK(relative_error(merged.covariance(), whole.covariance()) < tol<double>::identity);
        moments again = of(data.leftCols(cut));
        again.merge(rest);
        CHECK(equal(again, merged));
        // and more samples afterwards
        merged.add(data);
        CHECK(relative_error(merged.covariance(), whole.covariance()) < tol<double>::identity);
    }
    moments with_nothing = whole;
    with_nothing.merge(moments(6));
    CHECK(equal(with_nothing, whole));
    moments from_nothing(6);
    from_nothing.merge(whole);
    CHECK(relative_error(from_nothing.covariance(), whole.covariance()) < tol<double>::exact);
    moments twice = whole;
    twice.merge(twice);
    CHECK(twice.count() == 3000);
    CHECK(relative_error(twice.covariance(), whole.covariance()) < tol<double>::identity);
}

TEST_CASE("moments sent as numbers are the same to the bit", "[analytic][moments][identity]") {
    const Eigen::MatrixXd data = normals(7, 1500, 14);
    for (const Eigen::Index n : {0, 1, 511, 600}) {
        CAPTURE(n);
        const moments sent = n == 0 ? moments(7) : of(data.leftCols(n));
        const std::vector<double> numbers = sent.numbers();
        CHECK(numbers.size() == 2 + 7 * 12 / 2);
        const moments received = moments::from_numbers(numbers);
        CHECK(received.count() == n);
        CHECK(received.numbers() == numbers);
        if (n > 0) { CHECK(equal(received, sent)); }
        moments with_sent = of(data.rightCols(900));
        moments with_received = with_sent;
        with_sent.merge(sent);
        with_received.merge(received);
        CHECK(equal(with_sent, with_received));
        moments more = received;
        more.add(Eigen::MatrixXd(data.rightCols(900)));
        CHECK(more.count() == n + 900);
        CHECK(relative_error(more.covariance(), with_sent.covariance()) < tol<double>::identity);
    }
    std::vector<double> numbers = of(data).numbers();
    const auto refused = [](const std::vector<double>& wrong) {
        CHECK_THROWS_WITH(moments::from_numbers(wrong), "moments: from_numbers needs what numbers() gave");
    };
    refused({});
    refused({1.0});
    refused({1e300, 5.0});
    refused({numbers.begin(), numbers.end() - 1});
    for (const double wrong : {-1.0, 0.5, 1e300, std::numeric_limits<double>::quiet_NaN()}) {
        for (const std::size_t place : {0U, 1U}) {
            std::vector<double> changed = numbers;
            changed[place] = wrong;
            refused(changed);
        }
    }
}

TEST_CASE("a Gaussian of moments is the Gaussian of the samples", "[analytic][moments][fit]") {
    const Eigen::MatrixXd data = covariance_with(Eigen::Vector4d(4.0, 2.0, 1.0, 0.1), 7) * normals(4, 900, 8);
    for (const analytic::gaussian_fit_options& options :
         {analytic::gaussian_fit_options{},
          {.rank = 2, .added_variance = 0.1},
          {.rank = 1, .remainder = analytic::left_out::dropped},
          {.divide_by = divisor::samples_minus_one, .least_variance = 0.5}}) {
        const gaussian streamed = gaussian::fit(of(data), options);
        const gaussian at_once = gaussian::fit(data, options);
        CHECK(streamed.rank() == at_once.rank());
        CHECK(relative_error(streamed.mean(), at_once.mean()) < tol<double>::exact);
        CHECK(relative_error(streamed.covariance(), at_once.covariance()) < tol<double>::identity);
    }
    // fewer samples than dimensions: nothing negative is left of the rounding
    const gaussian few = gaussian::fit(of(normals(30, 5, 9)));
    CHECK(few.eigenvalues().minCoeff() >= 0.0);
    CHECK(few.eigenvalues()(3) > 0.1);
    CHECK(few.eigenvalues()(4) < 1e-13);
}

TEST_CASE("moments refuse samples that are none", "[analytic][moments][errors]") {
    CHECK_THROWS_WITH(moments(0), "moments: dimension must be at least 1");
    CHECK_THROWS_WITH(moments(-3), "moments: dimension must be at least 1");
    moments m(4);
    CHECK_THROWS_WITH(m.mean(), "moments: need at least one sample");
    CHECK_THROWS_WITH(m.covariance(), "moments: need at least one sample");
    CHECK_THROWS_WITH(gaussian::fit(m), "moments: need at least one sample");
    m.add(Eigen::MatrixXd(4, 0));
    CHECK(m.count() == 0);
    CHECK_THROWS_WITH(m.add(Eigen::MatrixXd(3, 2)),
                      "moments: a batch must hold 4 elements per sample; it has 6 in 2 samples");
    CHECK_THROWS_WITH(m.add(std::vector<float>(8)),
                      "moments: a batch must hold 4 elements per sample; it has 8 in 1 samples");
    m.add(normals(4, 3, 10));
    const moments before = m;
    Eigen::MatrixXf bad = Eigen::MatrixXf::Ones(4, 600);
    bad(2, 599) = std::numeric_limits<float>::quiet_NaN();
    CHECK_THROWS_WITH(m.add(bad), "moments: the data must be finite");
    bad(2, 599) = std::numeric_limits<float>::infinity();
    CHECK_THROWS_WITH(m.add(bad), "moments: the data must be finite");
    CHECK(equal(m, before));
    CHECK_THROWS_WITH(m.merge(moments(5)), "moments: merge needs samples of the same dimension");
    moments large(4);
    large.add(Eigen::MatrixXd(1e200 * normals(4, 3, 11)));
    CHECK_THROWS_WITH(gaussian::fit(large), "gaussian::fit: the covariance must be finite");
    CHECK_THROWS_WITH(gaussian::fit(m, {.rank = 5}), "gaussian::fit: rank must lie in [0, dimension]");
}
