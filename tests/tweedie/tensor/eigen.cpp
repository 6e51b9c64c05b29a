// SPDX-License-Identifier: MIT
#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/host.hpp>

#include <support/catch.hpp>
#include <support/tolerance.hpp>

#include <cstddef>
#include <type_traits>
#include <utility>
#include <vector>

#include "checks.hpp"

using namespace tweedie;

namespace {

using Eigen::ArrayXf;
using Eigen::ArrayXXf;
using Eigen::Dynamic;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXf;
using row_matrix = Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>;
using strided = Eigen::Map<ArrayXf, 0, Eigen::InnerStride<>>;

template <class T>
constexpr bool complete_tensor = batched_tensor<T> && mappable_tensor<T> && fuses_noise<T>;
static_assert(complete_tensor<ArrayXf> && complete_tensor<ArrayXXf> && complete_tensor<MatrixXd>);
static_assert(complete_tensor<row_matrix> && complete_tensor<Eigen::RowVectorXd> &&
              complete_tensor<VectorXf>);
static_assert(complete_tensor<Eigen::Vector2d> && complete_tensor<Eigen::Array<double, 3, 4>>);
static_assert(complete_tensor<Eigen::Matrix<float, Dynamic, 1, 0, 16, 1>>);

static_assert(tensor_view<Eigen::Map<ArrayXf>> && tensor_view<strided> && tensor_view<Eigen::Ref<MatrixXf>>);
static_assert(tensor_view<decltype(std::declval<MatrixXf&>().col(0))>);
static_assert(tensor_view<decltype(std::declval<MatrixXf&>().row(0))>);
static_assert(tensor_view<decltype(std::declval<ArrayXf&>().head(3))>);
static_assert(tensor_view<decltype(std::declval<MatrixXf&>().topLeftCorner(2, 2))>);
static_assert(std::same_as<owned_t<Eigen::Map<ArrayXf>>, ArrayXf> &&
              std::same_as<owned_t<Eigen::Ref<MatrixXf>>, MatrixXf>);

// No tensors: other scalars, constants, values that are computed.
static_assert(!has_tensor_traits<Eigen::MatrixXi> && !has_tensor_traits<Eigen::MatrixXcd>);
static_assert(!has_tensor_traits<Eigen::Map<Eigen::ArrayXi>> && !has_tensor_traits<const ArrayXf>);
static_assert(!tensor_or_view<Eigen::Map<const ArrayXf>> && !tensor_or_view<Eigen::Ref<const ArrayXf>>);
static_assert(!tensor_or_view<decltype(std::declval<const MatrixXf&>().col(0))>);
static_assert(!tensor_or_view<decltype(std::declval<ArrayXf&>() + std::declval<ArrayXf&>())>);
static_assert(!tensor_or_view<decltype(std::declval<MatrixXf&>() * std::declval<MatrixXf&>())>);

// Results: any expression of the same scalar and kind. That Eigen converts double to float on paper is not
// enough.
static_assert(std::is_convertible_v<MatrixXd, MatrixXf> && !accepts_result<MatrixXf, MatrixXd>);
static_assert(accepts_result<MatrixXf, MatrixXf> && accepts_result<MatrixXf, const MatrixXf&>);
static_assert(accepts_result<ArrayXf, decltype(std::declval<ArrayXf&>() * 2.0F)>);
static_assert(accepts_result<ArrayXf, decltype(-std::declval<const ArrayXf&>())>);
static_assert(accepts_result<MatrixXf, decltype(std::declval<MatrixXf&>() * std::declval<MatrixXf&>())>);
static_assert(accepts_result<ArrayXf, Eigen::Map<const ArrayXf>> &&
              accepts_result<ArrayXf, Eigen::Ref<const ArrayXf>>);
static_assert(!accepts_result<ArrayXf, decltype(std::declval<ArrayXf&>().cast<double>())>);
static_assert(!accepts_result<ArrayXf, VectorXf> && !accepts_result<MatrixXf, ArrayXXf>);
static_assert(!accepts_result<Eigen::Vector2d, Eigen::Vector3d> &&
              accepts_result<Eigen::Vector2d, Eigen::VectorXd>);
static_assert(!accepts_result<MatrixXf, float> && !accepts_result<MatrixXf, Eigen::Index>);
static_assert(!accepts_result<ArrayXf, std::vector<float>>);

}  // namespace

TEST_CASE("columns are samples, rows if they are stored one after the other", "[tensor][eigen]") {
    CHECK(tensor_traits<MatrixXf>::batch(MatrixXf(3, 5)) == 5);
    CHECK(tensor_traits<row_matrix>::batch(row_matrix(3, 5)) == 3);
    CHECK(tensor_traits<VectorXf>::batch(VectorXf(7)) == 1);
    CHECK(tensor_traits<Eigen::RowVectorXf>::batch(Eigen::RowVectorXf(7)) == 1);
    CHECK(tensor_traits<Eigen::Array<double, 3, 4>>::batch({}) == 4);
    MatrixXf x(3, 5);
    auto view = x.middleCols(1, 2);
    CHECK(tensor_traits<decltype(view)>::batch(view) == 2);

    for (std::size_t i = 0; i < 15; ++i) { x.data()[i] = sample_value<float>(0, i); }
    const row_matrix y = x;
    double per_column[5];
    double per_row[3];
    tensor_traits<MatrixXf>::dot(x, x, per_column);
    tensor_traits<row_matrix>::dot(y, y, per_row);
    for (Eigen::Index j = 0; j < 5; ++j) {
        CHECK_THAT(per_column[j], WithinRel(x.col(j).cast<double>().squaredNorm(), tol<double>::exact));
    }
    for (Eigen::Index i = 0; i < 3; ++i) {
        CHECK_THAT(per_row[i], WithinRel(x.row(i).cast<double>().squaredNorm(), tol<double>::exact));
    }
}

TEST_CASE("like has the shape and, for a fixed vector of two, not its extents as elements",
          "[tensor][eigen]") {
    const MatrixXf x(4, 6);
    CHECK(tensor_traits<MatrixXf>::same_shape(x, tensor_traits<MatrixXf>::like(x)));
    CHECK_FALSE(tensor_traits<MatrixXf>::same_shape(x, MatrixXf(6, 4)));
    Eigen::Vector2d fixed(7.0, 8.0);
    Eigen::Vector2d other = tensor_traits<Eigen::Vector2d>::like(fixed);
    CHECK(tensor_traits<Eigen::Vector2d>::assign(other, fixed));
    CHECK(other == fixed);
    const MatrixXf empty(0, 3);
    double none[3] = {1, 1, 1};
    tensor_traits<MatrixXf>::dot(empty, empty, none);
    CHECK(none[2] == 0.0);
}

TEST_CASE("an Eigen tensor gives the bits of a host tensor", "[tensor][eigen][identity]") {
    static constexpr std::size_t rows = 37;
    static constexpr std::size_t cols = 29;
    using host = std::vector<float>;
    auto a = filled<MatrixXf>(
        4, [] { return MatrixXf(rows, cols); },
        [](MatrixXf& x, std::size_t i) -> float& { return x.data()[i]; });
    auto b = filled<host>(
        4, [] { return host(rows * cols); }, [](host& x, std::size_t i) -> float& { return x[i]; });
    const auto coefficients = sample_coefficients(8);
    MatrixXf* const a_to[2] = {&a[0], &a[1]};
    host* const b_to[2] = {&b[0], &b[1]};
    CHECK(tensor_traits<MatrixXf>::affine(a_to, coefficients, const_pointers(a)));
    CHECK(tensor_traits<host>::affine(b_to, coefficients, const_pointers(b)));
    CHECK(same_bits(a[0].data(), b[0].data(), rows * cols));
    CHECK(same_bits(a[1].data(), b[1].data(), rows * cols));

    // Noise is drawn sample by sample: the columns here.
    tensor_traits<MatrixXf>::normal(a[2], counting_stream{});
    host column(rows);
    for (std::size_t j = 0; j < cols; ++j) {
        counting_stream{}(j, 0, std::span<float>(column));
        CHECK(same_bits(a[2].col(static_cast<Eigen::Index>(j)).data(), column.data(), rows));
    }
    const counting_stream streams[1] = {{}};
    a[0].setZero();
    const MatrixXf* const from[1] = {&a[0]};
    const double pick[4] = {0.0, 1.0, 1.0, 1.0};
    CHECK(tensor_traits<MatrixXf>::affine_noise(a_to, pick, from, std::span<const counting_stream>(streams)));
    CHECK(a[0] == a[2]);
}

TEST_CASE("expressions are evaluated into a tensor of the same shape only", "[tensor][eigen]") {
    using traits = tensor_traits<ArrayXXf>;
    const ArrayXXf x = ArrayXXf::Constant(2, 3, 2.0F);
    ArrayXXf out = traits::like(x);
    CHECK(traits::assign(out, x * 3.0F + 1.0F));
    CHECK((out == 7.0F).all());
    CHECK(traits::assign(out, x.transpose().transpose()));
    CHECK_FALSE(traits::assign(out, x.transpose()));
    CHECK_FALSE(traits::assign(out, ArrayXXf::Zero(3, 3)));
    CHECK((out == 2.0F).all());
}

TEST_CASE("maps, references and blocks of any stride are loaded and stored", "[tensor][eigen]") {
    std::vector<float> memory(12);
    for (std::size_t i = 0; i < 12; ++i) { memory[i] = static_cast<float>(i); }

    strided every_third(memory.data(), 4, Eigen::InnerStride<>(3));
    ArrayXf owned = tensor_traits<strided>::like(every_third);
    tensor_traits<strided>::load(owned, every_third);
    CHECK(owned.size() == 4);
    CHECK(owned[3] == 9.0F);
    owned[3] = -1.0F;
    tensor_traits<strided>::store(every_third, owned);
    CHECK(memory[9] == -1.0F);
    CHECK(memory[8] == 8.0F);

    MatrixXf matrix = MatrixXf::Constant(4, 4, 1.0F);
    using reference = Eigen::Ref<MatrixXf, 0, Eigen::OuterStride<>>;
    reference corner = matrix.block(1, 1, 2, 3);
    MatrixXf copy = tensor_traits<reference>::like(corner);
    tensor_traits<reference>::load(copy, corner);
    CHECK(tensor_traits<reference>::batch(corner) == 3);
    copy.setConstant(5.0F);
    tensor_traits<reference>::store(corner, copy);
    CHECK(matrix.sum() == 10.0F + 6.0F * 5.0F);

    auto row = matrix.row(3);
    using row_type = decltype(row);
    owned_t<row_type> values = tensor_traits<row_type>::like(row);
    tensor_traits<row_type>::load(values, row);
    values.setConstant(2.0F);
    tensor_traits<row_type>::store(row, values);
    CHECK(matrix(3, 2) == 2.0F);
    CHECK(matrix(2, 0) == 1.0F);
}
