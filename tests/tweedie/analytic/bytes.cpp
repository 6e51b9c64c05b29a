// SPDX-License-Identifier: MIT
#include <tweedie/analytic/bytes.hpp>

#include <bit>
#include <string>

#include "checks.hpp"

using namespace tweedie;
using analytic::gaussian;
using analytic::gaussian_from_bytes;
using analytic::mixture;
using analytic::mixture_from_bytes;
using analytic::to_bytes;

namespace {

bool equal(const gaussian& a, const gaussian& b) {
    return a.mean() == b.mean() && a.eigenvectors() == b.eigenvectors() &&
           a.eigenvalues() == b.eigenvalues() && a.residual() == b.residual();
}

gaussian thin(Eigen::Index d, Eigen::Index rank, std::uint64_t seed) {
    return gaussian::fit(normals(d, 3 * d, seed), {.rank = rank});
}

mixture three() {
    // weights whose sum rounds: dividing by it a second time would change them
    return {{0.1, 0.3, 0.6000004}, {thin(5, 5, 1), thin(5, 2, 2), thin(5, 0, 3)}};
}

/// Puts a right checksum in the place of the last one.
void reseal(std::vector<std::byte>& bytes) {
    bytes.resize(bytes.size() - 8);
    const std::uint64_t sum = detail::byte_writer::sum(bytes);
    for (unsigned i = 0; i < 8; ++i) { bytes.push_back(static_cast<std::byte>((sum >> (8 * i)) & 0xffU)); }
}

}  // namespace

TEST_CASE("a saved Gaussian comes back to the bit", "[analytic][bytes][identity]") {
    for (const gaussian& g :
         {thin(4, 4, 4), thin(7, 3, 5), thin(6, 0, 6), gaussian::isotropic(Eigen::VectorXd::Zero(1), 0.0)}) {
        const std::vector<std::byte> bytes = to_bytes(g);
        const gaussian back = gaussian_from_bytes(bytes);
        CHECK(equal(back, g));
        CHECK(to_bytes(back) == bytes);
        const auto d = static_cast<std::size_t>(g.dimension());
        const auto r = static_cast<std::size_t>(g.rank());
        CHECK(bytes.size() == 8 * (d * r + d + r) + 40);
    }
}

TEST_CASE("a saved mixture comes back to the bit", "[analytic][bytes][identity]") {
    const mixture m = three();
    const mixture back = mixture_from_bytes(to_bytes(m));
    CHECK(back.weights() == m.weights());
    REQUIRE(back.components().size() == 3);
    for (std::size_t c = 0; c < 3; ++c) { CHECK(equal(back.components()[c], m.components()[c])); }
    CHECK(to_bytes(back) == to_bytes(m));
    // many weights, as a fit leaves them
    const mixture fitted = mixture::fit(normals(3, 97, 7), 13);
    CHECK(mixture_from_bytes(to_bytes(fitted)).weights() == fitted.weights());
}

TEST_CASE("the saved form of version 1 does not change", "[analytic][bytes][reference]") {
    // one dimension, rank 1, residual 0.5, mean 2, variance 0.25, direction 1
    const gaussian g = gaussian::low_rank(Eigen::VectorXd::Constant(1, 2.0), Eigen::MatrixXd::Identity(1, 1),
                                          Eigen::VectorXd::Constant(1, 0.25), 0.5);
    std::vector<std::byte> expected;
    const auto number = [&](std::uint64_t value) {
        for (unsigned i = 0; i < 8; ++i) {
            expected.push_back(static_cast<std::byte>((value >> (8 * i)) & 0xffU));
        }
    };
    for (const char letter : std::string("tweegau1")) { expected.push_back(static_cast<std::byte>(letter)); }
    number(1);
    number(1);
    for (const double value : {0.5, 2.0, 0.25, 1.0}) { number(std::bit_cast<std::uint64_t>(value)); }
    number(detail::byte_writer::sum(expected));
    CHECK(to_bytes(g) == expected);
}

TEST_CASE("damaged data are refused in words", "[analytic][bytes][errors]") {
    const std::vector<std::byte> one = to_bytes(thin(4, 2, 8));
    const std::vector<std::byte> many = to_bytes(three());
    const char* damaged = "from_bytes: the data are damaged or end too early";
    for (std::size_t size = 0; size < one.size(); ++size) {
        CHECK_THROWS_AS(gaussian_from_bytes(std::span(one).first(size)), std::invalid_argument);
    }
    CHECK_THROWS_WITH(gaussian_from_bytes(std::span(one).first(one.size() - 1)), damaged);
    CHECK_THROWS_WITH(mixture_from_bytes(std::span(many).first(many.size() - 9)), damaged);
    for (std::size_t place = 8; place < one.size(); place += 3) {
        std::vector<std::byte> flipped = one;
        flipped[place] ^= std::byte{4};
        CHECK_THROWS_WITH(gaussian_from_bytes(flipped), damaged);
    }
    CHECK_THROWS_WITH(gaussian_from_bytes({}), "from_bytes: the data are no saved gaussian");
    CHECK_THROWS_WITH(gaussian_from_bytes(many), "from_bytes: the data are no saved gaussian");
    CHECK_THROWS_WITH(mixture_from_bytes(one), "from_bytes: the data are no saved mixture");
    std::vector<std::byte> newer = one;
    newer[7] = std::byte{'2'};
    CHECK_THROWS_WITH(gaussian_from_bytes(newer), "from_bytes: the gaussian was saved in another version");
    newer = many;
    newer[7] = std::byte{'0'};
    CHECK_THROWS_WITH(mixture_from_bytes(newer), "from_bytes: the mixture was saved in another version");

    // whole, but not what to_bytes writes
    const auto with_number = [&](std::vector<std::byte> bytes, std::size_t place, std::uint64_t value) {
        for (unsigned i = 0; i < 8; ++i) {
            bytes[8 + 8 * place + i] = static_cast<std::byte>((value >> (8 * i)) & 0xffU);
        }
        reseal(bytes);
        return bytes;
    };
    const char* early = "from_bytes: the data end too early";
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 0, ~std::uint64_t{0})), early);
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 1, 3)), early);
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 1, 5)), early);
    std::vector<std::byte> longer = one;
    longer.resize(longer.size() + 8);
    reseal(longer);
    CHECK_THROWS_WITH(gaussian_from_bytes(longer), "from_bytes: the data are longer than they say");
    CHECK_THROWS_WITH(mixture_from_bytes(with_number(many, 0, ~std::uint64_t{0} / 4)), early);
    const auto nan = std::bit_cast<std::uint64_t>(not_a_number);
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 2, nan)),
                      "gaussian: a variance must be finite and not negative");
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 3, nan)), "gaussian: the mean must be finite");
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 7, std::bit_cast<std::uint64_t>(-1.0))),
                      "gaussian: the covariance must not have a negative eigenvalue");
    CHECK_THROWS_WITH(gaussian_from_bytes(with_number(one, 9, std::bit_cast<std::uint64_t>(3.0))),
                      "gaussian::low_rank: the eigenvectors must be orthonormal");
    CHECK_THROWS_WITH(mixture_from_bytes(with_number(many, 1, std::bit_cast<std::uint64_t>(0.5))),
                      "mixture: weights must sum to 1");
}
