// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/analytic/exact_denoiser.hpp>
#include <tweedie/random/noise.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/trig.hpp>
#include <tweedie/schedule/ve.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/tensor/host.hpp>

#include <Eigen/Dense>
#include <support/catch.hpp>
#include <support/normals.hpp>
#include <support/tolerance.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

/// As many threads while it lives; without OpenMP always one.
class with_threads {
public:
    explicit with_threads([[maybe_unused]] int count) {
#ifdef _OPENMP
        before_ = omp_get_max_threads();
        omp_set_num_threads(count);
#endif
    }
    with_threads(const with_threads&) = delete;
    with_threads& operator=(const with_threads&) = delete;
    ~with_threads() {
#ifdef _OPENMP
        omp_set_num_threads(before_);
#endif
    }

private:
    [[maybe_unused]] int before_ = 1;
};

/// A symmetric matrix with the given eigenvalues.
inline Eigen::MatrixXd covariance_with(const Eigen::VectorXd& eigenvalues, std::uint64_t seed) {
    const Eigen::Index d = eigenvalues.size();
    const Eigen::MatrixXd q = Eigen::HouseholderQR<Eigen::MatrixXd>(normals(d, d, seed)).householderQ();
    return q * eigenvalues.asDiagonal() * q.transpose();
}

/// Levels of every schedule, from nearly pure noise to nearly clean.
inline std::vector<tweedie::level> levels_of_all_schedules() {
    using namespace tweedie;
    std::vector<level> out;
    const auto add = [&](const auto& schedule) {
        for (const double sigma : {40.0, 5.0, 1.0, 0.3, 0.02}) {
            out.push_back(at_half_log_snr(schedule, -std::log(sigma)));
        }
    };
    add(schedule::vp_linear{});
    add(schedule::vp_cosine{});
    add(schedule::ve{});
    add(schedule::edm{});
    add(schedule::flow{});
    add(schedule::trig{});
    add(schedule::discrete::linear());
    return out;
}

/// Relative to the largest element of b.
inline double relative_error(const Eigen::MatrixXd& a, const Eigen::MatrixXd& b) {
    REQUIRE(a.rows() == b.rows());
    REQUIRE(a.cols() == b.cols());
    return (a - b).cwiseAbs().maxCoeff<Eigen::PropagateNaN>() / b.cwiseAbs().maxCoeff();
}

/// The gradient of a log density by central differences of sixth order.
template <class Law>
Eigen::MatrixXd difference_score(const Law& law, const Eigen::MatrixXd& x, const tweedie::level& at,
                                 double h) {
    Eigen::MatrixXd out(x.rows(), x.cols());
    for (Eigen::Index i = 0; i < x.rows(); ++i) {
        const auto there = [&](double k) -> Eigen::VectorXd {
            Eigen::MatrixXd moved = x;
            moved.row(i).array() += k * h;
            return law.log_density(moved, at);
        };
        const Eigen::VectorXd slope =
            (45.0 * (there(1) - there(-1)) - 9.0 * (there(2) - there(-2)) + (there(3) - there(-3))) /
            (60.0 * h);
        out.row(i) = slope.transpose();
    }
    return out;
}

/// What every exact denoiser must be: Tweedie's formula, the score is the slope of the density, any tensor.
template <class Law>
void check_exact_denoiser(const Law& law, double scale) {
    using namespace tweedie;
    const Eigen::Index d = law.dimension();
    for (const level& at : levels_of_all_schedules()) {
        CAPTURE(at.alpha, at.sigma);
        Eigen::MatrixXd x = at.alpha * scale * normals(d, 37, 1) + at.sigma * normals(d, 37, 2);
        x.colwise() += at.alpha * law.mean();
        const Eigen::MatrixXd x0 = law.denoise(x, at);
        const Eigen::MatrixXd score = law.score(x, at);
        // x0_hat = (x + sigma^2 score) / alpha; sigma / alpha times the rounding of x
        const Eigen::MatrixXd tweedie_x0 = (x + at.sigma * at.sigma * score) / at.alpha;
        REQUIRE((tweedie_x0 - x0).cwiseAbs().maxCoeff() <
                tol<double>::identity * (scale + at.sigma / at.alpha));
        const double h = 0.01 * at.sigma;
        REQUIRE(relative_error(difference_score(law, x, at, h), score) < 1e-6);

        // a batch is its samples
        for (const Eigen::Index j : {0, 5, 36}) {
            const Eigen::MatrixXd alone = law.denoise(x.col(j), at);
            REQUIRE((alone - x0.col(j)).cwiseAbs().maxCoeff() < 1e-12 * (scale + at.sigma / at.alpha));
        }
        // tensors of both scalars
        const Eigen::VectorXd first = x.col(0);
        std::vector<double> x_double(first.begin(), first.end());
        std::vector<double> out_double(x_double.size());
        law(x_double, at, out_double);
        const Eigen::Map<const Eigen::VectorXd> as_double(out_double.data(), d);
        REQUIRE((as_double - x0.col(0)).cwiseAbs().maxCoeff() < 1e-12 * (scale + at.sigma / at.alpha));
        std::vector<float> x_float;
        for (const double value : first) { x_float.push_back(static_cast<float>(value)); }
        std::vector<float> out_float(x_float.size());
        law(x_float, at, out_float);
        const Eigen::VectorXd rounded = Eigen::Map<const Eigen::VectorXf>(x_float.data(), d).cast<double>();
        const Eigen::VectorXd expected = law.denoise(rounded, at);
        for (Eigen::Index i = 0; i < d; ++i) {
            REQUIRE(out_float[static_cast<std::size_t>(i)] == static_cast<float>(expected(i)));
        }
    }
}

/// A tensor with a batch: `columns` samples of `rows` elements.
struct picture_batch {
    std::vector<float> pixels;
    std::size_t samples = 1;
};

template <>
struct tweedie::tensor_traits<picture_batch> : tweedie::contiguous_tensor_traits<picture_batch, float> {
    static float* data(picture_batch& x) { return x.pixels.data(); }
    static const float* data(const picture_batch& x) { return x.pixels.data(); }
    static std::size_t size(const picture_batch& x) { return x.pixels.size(); }
    static std::size_t batch(const picture_batch& x) { return x.samples; }
    static picture_batch like(const picture_batch& x) { return x; }
};
