// SPDX-License-Identifier: MIT

// A pass whose weights differ from element to element, against the sum written out.

#include <tweedie/tensor/eigen.hpp>
#include <tweedie/tensor/field_matrix.hpp>
#include <tweedie/tensor/host.hpp>

#include <support/archetypes.hpp>
#include <support/catch.hpp>

#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "checks.hpp"

using namespace tweedie;

namespace {

/// Row r, column c: missing, the same everywhere, or one per element; the last column is the constant.
std::vector<field_matrix::entry> entries_of(std::size_t elements, std::size_t rows, std::size_t columns,
                                            std::size_t seed) {
    std::vector<field_matrix::entry> entries;
    for (std::size_t r = 0; r < rows; ++r) {
        for (std::size_t c = 0; c <= columns; ++c) {
            const std::size_t kind = (3 * r + 5 * c + seed) % 4;
            if (kind == 0) { continue; }
            const bool plain_row = (r + seed) % 3 == 2;
            field_matrix::entry e{r, c, {}};
            for (std::size_t i = 0; i < (kind == 1 || plain_row ? 1 : elements); ++i) {
                e.values.push_back(sample_value<double>(7 * r + c, i));
            }
            if (c == columns && plain_row) { continue; }
            entries.push_back(std::move(e));
        }
    }
    return entries;
}

/// What the matrix says, in the order of its entries and in the tensors' scalar.
template <class Scalar>
Scalar expected(const std::vector<field_matrix::entry>& entries, std::size_t row, std::size_t columns,
                std::size_t element, const auto& input) {
    Scalar sum = 0;
    for (const field_matrix::entry& e : entries) {
        if (e.row != row) { continue; }
        const auto w = static_cast<Scalar>(e.values.size() == 1 ? e.values[0] : e.values[element]);
        const Scalar product = e.column == columns ? w : static_cast<Scalar>(w * input(e.column));
        sum = sum + product;
    }
    return sum;
}

}  // namespace

TEMPLATE_TEST_CASE("affine_fields is the sum written out, for any rows, columns, sizes and samples",
                   "[tensor][fields][exact]", float, double) {
    using scalar = TestType;
    using array = Eigen::Array<scalar, Eigen::Dynamic, Eigen::Dynamic>;
    std::size_t seed = 0;
    for (const std::size_t elements : {1U, 5U, 31U, 33U, 1000U, 1024U, 4100U}) {
        for (const std::size_t rows : {1U, 2U, 3U, 7U}) {
            for (const std::size_t columns : {0U, 1U, 3U, 6U, 9U}) {
                const std::size_t samples = elements > 1000 ? 2 : 3;
                const auto entries = entries_of(elements, rows, columns, ++seed);
                const field_matrix weights(elements, rows, columns, entries);
                std::vector<array> tensors;
                for (std::size_t i = 0; i < rows + columns; ++i) {
                    tensors.emplace_back(static_cast<Eigen::Index>(elements),
                                         static_cast<Eigen::Index>(samples));
                    for (Eigen::Index e = 0; e < tensors[i].size(); ++e) {
                        tensors[i].data()[e] = sample_value<scalar>(i, static_cast<std::size_t>(e));
                    }
                }
                const std::vector<array> before = tensors;
                // every second output is an input
                std::vector<array*> outputs;
                std::vector<const array*> inputs;
                for (std::size_t j = 0; j < columns; ++j) { inputs.push_back(&tensors[j]); }
                for (std::size_t r = 0; r < rows; ++r) {
                    const bool alias = r % 2 == 0 && r < columns;
                    outputs.push_back(&tensors[alias ? columns - 1 - r : columns + r]);
                }
                REQUIRE(tensor_traits<array>::affine_fields(outputs, weights, inputs));
                std::size_t wrong = 0;
                for (std::size_t r = 0; r < rows; ++r) {
                    for (std::size_t i = 0; i < samples * elements; ++i) {
                        const auto at = [&](std::size_t j) { return before[j].data()[i]; };
                        const scalar sum = expected<scalar>(entries, r, columns, i % elements, at);
                        const scalar found = outputs[r]->data()[i];
                        // a machine that contracts a product and a sum rounds once where this line rounds twice
                        const auto bound = static_cast<scalar>(tweedie::detail::may_contract ? 1 : 0) *
                                           std::numeric_limits<scalar>::epsilon() *
                                           static_cast<scalar>(columns + 1);
                        wrong += std::abs(found - sum) <= bound ? 0U : 1U;
                    }
                }
                INFO(elements << " elements, " << rows << " rows, " << columns << " columns");
                CHECK(wrong == 0);
            }
        }
    }
}

TEST_CASE("a matrix tells each of its weights", "[tensor][fields]") {
    const auto entries = entries_of(70, 3, 4, 1);
    const field_matrix weights(70, 3, 4, entries);
    CHECK((weights.elements() == 70 && weights.rows().size() == 3 && weights.columns() == 4));
    for (std::size_t r = 0; r < 3; ++r) {
        for (std::size_t c = 0; c <= 4; ++c) {
            const field_matrix::entry* given = nullptr;
            for (const field_matrix::entry& e : entries) {
                if (e.row == r && e.column == c) { given = &e; }
            }
            for (const std::size_t e : {0U, 1U, 15U, 16U, 69U}) {
                const double value =
                    given == nullptr ? 0.0 : given->values[given->values.size() == 1 ? 0 : e];
                CHECK(weights.weight(r, c, e) == value);
            }
        }
    }
}

TEMPLATE_TEST_CASE("affine_fields tells a value that is not finite", "[tensor][fields][errors]", float,
                   double) {
    using tensor_type = std::vector<TestType>;
    constexpr std::size_t size = 1100;
    const field_matrix weights(size, 2, 2,
                               {{0, 0, std::vector<double>(size, 0.5)}, {1, 0, {1.0}}, {1, 1, {2.0}}});
    for (const std::size_t bad : {0U, 31U, 1000U, 1099U}) {
        tensor_type x(size, 1);
        tensor_type y(size, 1);
        tensor_type* const outputs[] = {&x, &y};
        const tensor_type* const inputs[] = {&x, &y};
        CHECK(tensor_traits<tensor_type>::affine_fields(outputs, weights, inputs));
        y[bad] = std::numeric_limits<TestType>::infinity();
        CHECK_FALSE(tensor_traits<tensor_type>::affine_fields(outputs, weights, inputs));
        y.assign(size, 1);
        x[bad] = std::numeric_limits<TestType>::quiet_NaN();
        CHECK_FALSE(tensor_traits<tensor_type>::affine_fields(outputs, weights, inputs));
        // finite numbers whose sum over a vector is not
        x.assign(size, std::numeric_limits<TestType>::max());
        y.assign(size, -x[0] / 2);
        CHECK(tensor_traits<tensor_type>::affine_fields(outputs, weights, inputs));
    }
}

TEST_CASE("the least a contiguous tensor can do runs fields", "[tensor][fields][archetype]") {
    using least = archetypes::contiguous<double>;
    static_assert(combines_fields<least> && !combines_fields<archetypes::opaque<double>>);
    least x(2);
    x.values()[0] = 3.0;
    x.values()[1] = 5.0;
    least* const outputs[] = {std::addressof(x)};
    const least* const inputs[] = {std::addressof(x)};
    CHECK(tensor_traits<least>::affine_fields(
        outputs, field_matrix(2, 1, 1, {{0, 0, {2.0, 4.0}}, {0, 1, {1.0}}}), inputs));
    CHECK((x.values()[0] == 7.0 && x.values()[1] == 21.0));
}
