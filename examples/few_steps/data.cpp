// SPDX-License-Identifier: MIT
#include "data.hpp"

#include <tweedie/analytic/expectation_maximization.hpp>
#include <tweedie/analytic/mixture.hpp>
#include <tweedie/analytic/randomized.hpp>
#include <tweedie/run/start.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/verify/exactness.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <utility>

#include "../digits/optdigits.hpp"

#ifdef TWEEDIE_EXAMPLE_ZLIB
#include <zlib.h>
#endif

namespace few_steps {

namespace {

using tweedie::analytic::mixture;

/// Starts at the noisy end of EDM's schedule, and where the exact flow takes them.
proof::problem problem_of(mixture data, Eigen::Index starts) {
    const tweedie::schedule::edm edm;
    const auto [noisy, clean] = edm.range();
    Eigen::MatrixXd x(data.dimension(), starts);
    tweedie::start_from_noise(x, tweedie::at(edm, noisy), tweedie::noise{.seed = 11});
    auto exact = tweedie::verify::reference_flow(data, edm, tweedie::at(edm, noisy), tweedie::at(edm, clean),
                                                 x, {.tolerance = 1e-7});
    if (!exact) { throw std::runtime_error(to_string(exact.status)); }
    return {std::move(data), noisy, clean, std::move(x), std::move(exact.x)};
}

#ifdef TWEEDIE_EXAMPLE_ZLIB
/// The bytes of a gzip file after its header of `header` bytes, as many as are wanted.
std::optional<std::vector<unsigned char>> unzipped(const std::filesystem::path& file, std::size_t header,
                                                   std::size_t wanted) {
    const gzFile in = gzopen(file.string().c_str(), "rb");
    if (in == nullptr) { return std::nullopt; }
    std::vector<unsigned char> bytes(header + wanted);
    const int got = gzread(in, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(in);
    if (got < 0 || static_cast<std::size_t>(got) != bytes.size()) { return std::nullopt; }
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(header));
    return bytes;
}
#endif

}  // namespace

data_set read_mixtures(const std::filesystem::path& file) {
    data_set out{"Mixtures", "", proof::read_problems(file.string()), 0};
    out.what =
        "geometric mean over " + std::to_string(out.problems.size()) + " Gaussian mixtures of dimension";
    for (const proof::problem& p : out.problems) {
        out.what += (&p == out.problems.data() ? " " : ", ") + std::to_string(p.data.dimension());
    }
    return out;
}

data_set fit_digits(const std::filesystem::path& file) {
    const digits::real_digits real = digits::read_optdigits(file);
    constexpr Eigen::Index components = 30;
    constexpr Eigen::Index rank = 12;
    constexpr double grain = 0.002;  // variance of what the components do not know
    Eigen::MatrixXd all(digits::pixels, 0);
    for (const digits::pictures& of_class : real) {
        const Eigen::Index before = all.cols();
        all.conservativeResize(Eigen::NoChange, before + of_class.cols());
        all.rightCols(of_class.cols()) = of_class;
    }
    const mixture start = mixture::fit(all, components,
                                       {.each = {.rank = rank, .added_variance = grain},
                                        .iterations = 30,
                                        .start = tweedie::analytic::cluster_start::plus_plus});
    auto fitted = tweedie::analytic::maximize_likelihood(
        start, all, {.rank = rank, .least_variance = grain, .iterations = 30});
    data_set out{"Digits", "", {}, digits::side};
    out.what = "a mixture of " + std::to_string(fitted.model.components().size()) +
               " Gaussians of rank 12 fitted to 1797 handwritten digits of 8 x 8";
    out.problems.push_back(problem_of(std::move(fitted.model), 128));
    return out;
}

#ifdef TWEEDIE_EXAMPLE_ZLIB
data_set fit_fashion(const std::filesystem::path& folder) {
    constexpr Eigen::Index side = 28;
    constexpr Eigen::Index pixels = side * side;
    constexpr Eigen::Index pictures = 20000;  // of the 60,000, which are in random order
    constexpr Eigen::Index rank = 24;
    constexpr std::size_t classes = 10;
    data_set out{"Fashion-MNIST", "", {}, static_cast<int>(side)};
    const auto images = unzipped(folder / "train-images-idx3-ubyte.gz", 16, pictures * pixels);
    const auto labels = unzipped(folder / "train-labels-idx1-ubyte.gz", 8, pictures);
    if (!images || !labels) {
        out.what =
            "left out: no Fashion-MNIST in " + folder.string() + " (Debian's package dataset-fashion-mnist)";
        return out;
    }
    std::array<std::vector<Eigen::Index>, classes> members;
    for (Eigen::Index i = 0; i < pictures; ++i) {
        members.at((*labels)[static_cast<std::size_t>(i)]).push_back(i);
    }
    std::vector<double> weights;
    std::vector<tweedie::analytic::gaussian> parts;
    for (const std::vector<Eigen::Index>& of_class : members) {
        Eigen::MatrixXd x(pixels, static_cast<Eigen::Index>(of_class.size()));
        for (Eigen::Index j = 0; j < x.cols(); ++j) {
            for (Eigen::Index i = 0; i < pixels; ++i) {
                const Eigen::Index at = of_class[static_cast<std::size_t>(j)] * pixels + i;
                x(i, j) = (*images)[static_cast<std::size_t>(at)] / 127.5 - 1.0;
            }
        }
        weights.push_back(static_cast<double>(x.cols()) / static_cast<double>(pictures));
        parts.push_back(tweedie::analytic::randomized_fit(
            x, {.rank = rank, .added_variance = 5e-4, .remainder = tweedie::analytic::left_out::dropped}));
    }
    out.what = "the ten class Gaussians of Fashion-MNIST, 28 x 28, of rank 24 each";
    out.problems.push_back(problem_of(mixture(std::move(weights), std::move(parts)), 64));
    return out;
}
#else
data_set fit_fashion(const std::filesystem::path&) {
    return {"Fashion-MNIST", "left out: built without zlib", {}, 0};
}
#endif

}  // namespace few_steps
