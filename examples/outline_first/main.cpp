// SPDX-License-Identifier: MIT
// Outlines first, details later: what the network believes the picture to be, from noise to digit, and when each
// principal direction of real digits is decided, by the theory of Gaussian data and as it happens.
#include <tweedie/analytic/trajectory.hpp>
#include <tweedie/grid/log_snr.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <vector>

#include "../digits/options.hpp"
#include "../digits/picture.hpp"
#include "data.hpp"
#include "plot.hpp"

namespace outline_first {

namespace {

constexpr double sigma_max = 20.0;
constexpr double sigma_min = 0.05;
constexpr int steps = 60;
constexpr int shown = 10;     // columns of digits
constexpr int samples = 400;  // whose variances are measured
constexpr std::array<Eigen::Index, 6> directions{0, 2, 6, 14, 26, 44};

/// Where a falling noise level takes the share across 1/2, interpolated in ln sigma.
double half_way(const curve& c) {
    for (std::size_t i = 1; i < c.measured.size(); ++i) {
        const double before = c.measured[i - 1];
        const double after = c.measured[i];
        if (before < 0.5 && after >= 0.5) {
            const double f = (0.5 - before) / (after - before);
            return std::exp((1.0 - f) * std::log(c.sigma[i - 1]) + f * std::log(c.sigma[i]));
        }
    }
    return 0.0;
}

int run(const std::filesystem::path& out) {
    using namespace tweedie;
    const digits::pictures real = all_digits(digits::read_optdigits(TWEEDIE_EXAMPLE_DATA));
    digits::require_writable(out);
    const analytic::gaussian outline = analytic::gaussian::fit(real);
    const analytic::mixture law = law_of_digits(real);

    // x0_hat of every step, as sampling meets it
    const schedule::edm edm;
    const auto levels = grid::log_snr(edm, steps, {.sigma_max = sigma_max, .sigma_min = sigma_min});
    const plan way = solver::unipc{.order = 2}.plan(edm, levels);
    digits::pictures x(digits::pixels, samples);
    start_from_noise(x, levels.front(), noise{.seed = 11});
    std::vector<double> sigma;
    std::vector<Eigen::MatrixXd> x0_hat;
    const auto watch = [&](const observation<digits::pictures>& seen) {
        sigma.push_back(seen.at.sigma);
        x0_hat.push_back(seen.x0_hat);
    };
    if (!sample(way, denoiser(std::cref(law), prediction::x0, edm), x, hooks{.observe = watch})) {
        std::fputs("outline_first: the sampling did not end\n", stderr);
        return 1;
    }

    std::vector<curve> curves;
    for (const Eigen::Index k : directions) {
        const Eigen::VectorXd u = outline.eigenvectors().col(k);
        const auto variance = [&](const Eigen::MatrixXd& m) {
            const Eigen::RowVectorXd c = u.transpose() * m;
            return (c.array() - c.mean()).square().mean();
        };
        curve c{static_cast<int>(k) + 1, sigma, {}, {}};
        for (std::size_t i = 0; i < sigma.size(); ++i) {
            c.theory.push_back(
                analytic::committed_share(outline.eigenvalues()(k), level{sigma[i], 1.0, sigma[i]}));
            c.measured.push_back(variance(x0_hat[i]) / variance(x));
        }
        curves.push_back(std::move(c));
    }

    std::array<digits::pictures, digits::classes> rows;
    std::vector<double> columns;  // their sigma
    for (digits::pictures& row : rows) { row.resize(digits::pixels, shown); }
    for (int column = 0; column < shown; ++column) {
        const auto i =
            static_cast<std::size_t>(std::lround(static_cast<double>(column) * (steps - 1) / (shown - 1)));
        columns.push_back(sigma[i]);
        for (std::size_t r = 0; r < rows.size(); ++r) {
            rows[r].col(column) = x0_hat[i].col(static_cast<Eigen::Index>(r));
        }
    }
    digits::write_png(with_plot(digits::draw_grid(rows), columns, curves), out);

    std::printf("sigma at which half of a principal direction's variance is decided: %s\n\n",
                out.string().c_str());
    std::printf("direction  deviation of digits  by theory  window        measured\n");
    bool ordered = true;
    double last = sigma_max;
    for (const curve& c : curves) {
        const double variance = outline.eigenvalues()(c.direction - 1);
        const auto when = analytic::committed_between(variance);
        const double measured = half_way(c);
        std::printf("%9d  %19.3f  %9.3f  %5.2f - %5.2f  %8.3f\n", c.direction, std::sqrt(variance),
                    when.centre, when.begins, when.ends, measured);
        ordered = ordered && measured > 0.0 && measured < last;
        last = measured;
    }
    std::printf(
        "\nLarge directions first: %s. Earlier than by the theory of one Gaussian, the details most: that "
        "the picture\n"
        "will be a 3 is decided by its outline, and says much of what is small.\n",
        ordered ? "yes" : "no");
    return ordered ? 0 : 1;
}

}  // namespace

}  // namespace outline_first

int main(int count, char** arguments) {
    try {
        return outline_first::run(count > 1 ? arguments[1] : "out/outline_first.png");
    } catch (const digits::user_error& error) {
        std::fprintf(stderr, "outline_first: %s\n", error.what());
        return 2;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "outline_first: %s\n", error.what());
        return 1;
    }
}
