// SPDX-License-Identifier: MIT
#include <tweedie/optim/adam.hpp>
#include <tweedie/optim/adan.hpp>
#include <tweedie/optim/amsgrad.hpp>
#include <tweedie/optim/dual_adam.hpp>
#include <tweedie/optim/ema.hpp>
#include <tweedie/optim/lion.hpp>
#include <tweedie/optim/sgd.hpp>
#include <tweedie/optim/support.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <Eigen/Core>
#include <support/archetypes.hpp>
#include <support/catch.hpp>
#include <support/normals.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

namespace {

/// Elements wherever they are, and the two functions that optimizers need of such tensors.
class remote : public archetypes::opaque<double> {
public:
    using opaque::opaque;
};

}  // namespace

template <>
struct tweedie::tensor_traits<remote> {
    using base = tensor_traits<archetypes::opaque<double>>;
    using scalar = double;
    using owned = remote;
    static remote like(const remote& x) { return remote(x.samples(), x.size()); }
    static std::size_t size(const remote& x) { return x.size(); }
    static std::size_t batch(const remote& x) { return x.samples(); }
    static bool same_shape(const remote& a, const remote& b) { return base::same_shape(a, b); }
    static bool affine(std::span<remote* const>, std::span<const double>, std::span<const remote* const>) {
        return false;
    }
    template <class Stream>
    static void normal(remote& out, const Stream& stream) {
        base::normal(out, stream);
    }
    static bool assign(remote& out, const remote& x) { return base::assign(out, x); }
    static void read(const remote& x, std::span<double> to) {
        for (std::size_t i = 0; i < to.size(); ++i) { to[i] = x.at(i); }
    }
    static void write(remote& x, std::span<const double> from) {
        for (std::size_t i = 0; i < from.size(); ++i) { x.at(i) = from[i]; }
    }
};

namespace {

using namespace tweedie;
using optim::adam;
using optim::step_status;

std::vector<detail::pack_path> vector_paths() {
    std::vector<detail::pack_path> out;
    for (const auto path :
         {detail::pack_path::vector128, detail::pack_path::avx2, detail::pack_path::avx512}) {
        if (detail::pack_path_available(path)) { out.push_back(path); }
    }
    return out;
}

/// A formula with arbitrary numbers, on arrays of every tail.
template <std::size_t Slots, class Scalar, class Numbers>
void paths_agree() {
    Numbers step;
    static_assert(std::is_trivially_copyable_v<Numbers> && sizeof(Numbers) % sizeof(Scalar) == 0);
    Scalar some[sizeof(Numbers) / sizeof(Scalar)];
    for (std::size_t i = 0; i < std::size(some); ++i) {
        some[i] = static_cast<Scalar>(0.9 - 0.07 * double(i));
    }
    std::memcpy(&step, some, sizeof step);
    const auto run = [&](detail::pack_path path, std::size_t size) {
        auto theta = numbers<Scalar>(size, 1);
        const auto g = numbers<Scalar>(size, 2);
        auto values = numbers<Scalar>(Slots * size, 3);
        for (Scalar& v : values) { v = v * v; }
        Scalar* slots[Slots + 1] = {};
        for (std::size_t k = 0; k < Slots; ++k) { slots[k] = values.data() + k * size; }
        detail::update_range<Slots>(path, step,
                                    detail::gradient_terms<Scalar>{Scalar(1.5), Scalar(2), Scalar(0.1)},
                                    theta.data(), g.data(), slots, size);
        theta.insert(theta.end(), values.begin(), values.end());
        return theta;
    };
    for (const std::size_t size : std::vector<std::size_t>{0, 1, 3, 7, 8, 15, 16, 17, 33, 100}) {
        const auto expected = run(detail::pack_path::scalar, size);
        for (const auto path : vector_paths()) { CHECK(run(path, size) == expected); }
    }
}

}  // namespace

TEMPLATE_TEST_CASE("every instruction set gives the bits of plain scalars", "[optim][identity]", float,
                   double) {
    using S = TestType;
    paths_agree<2, S, detail::adam_numbers<S>>();
    paths_agree<2, S, detail::inv_adam_numbers<S>>();
    paths_agree<2, S, detail::dual_adam_numbers<S>>();
    paths_agree<3, S, detail::amsgrad_numbers<S>>();
    paths_agree<2, S, detail::nadam_numbers<S>>();
    paths_agree<2, S, detail::adabelief_numbers<S>>();
    paths_agree<2, S, detail::adabound_numbers<S>>();
    paths_agree<2, S, detail::adamax_numbers<S>>();
    paths_agree<2, S, detail::yogi_numbers<S>>();
    paths_agree<1, S, detail::lion_numbers<S>>();
    paths_agree<4, S, detail::adan_numbers<S>>();
    paths_agree<1, S, detail::sgd_numbers<S>>();
    paths_agree<2, S, detail::schedule_free_numbers<S>>();
}

TEMPLATE_TEST_CASE("every instruction set finds what is not finite, wherever it is", "[optim][identity]",
                   float, double) {
    using limits = std::numeric_limits<TestType>;
    std::vector<detail::pack_path> paths = vector_paths();
    paths.push_back(detail::pack_path::scalar);
    for (const std::size_t size : std::vector<std::size_t>{0, 1, 17, 64, 131, 300}) {
        std::vector<TestType> x(size, limits::max());
        for (std::size_t i = 0; i < size; i += 3) {
            x[i] = i % 2 == 0 ? limits::lowest() : -limits::denorm_min();
        }
        for (const auto path : paths) {
            REQUIRE(detail::finite_range(path, x.data(), size));
            for (std::size_t i = 0; i < size; ++i) {
                for (const TestType bad : {limits::infinity(), -limits::infinity(), limits::quiet_NaN()}) {
                    const TestType good = std::exchange(x[i], bad);
                    REQUIRE_FALSE(detail::finite_range(path, x.data(), size));
                    x[i] = good;
                }
            }
        }
    }
}

TEST_CASE("a list of tensors is stepped as each of them alone", "[optim][parity]") {
    std::vector<std::vector<float>> list;
    std::vector<std::vector<float>> gradients;
    for (std::size_t i = 0; i < 300; ++i) {  // more than fit on the stack, of every tail
        list.push_back(numbers<float>(i % 70, i));
        gradients.push_back(numbers<float>(i % 70, 1000 + i));
    }
    const auto start = list;
    optim::state<float> state;
    for (int k = 0; k < 3; ++k) { REQUIRE(adam{}.step(list, gradients, state)); }
    for (std::size_t i = 0; i < 300; ++i) {
        auto alone = start[i];
        optim::state<float> own;
        for (int k = 0; k < 3; ++k) { REQUIRE(adam{}.step(alone, gradients[i], own)); }
        REQUIRE(alone == list[i]);
        CHECK(state.tensors[i].step == 3);
    }
}

TEST_CASE("tensors of a list count their steps on their own", "[optim][parity]") {
    std::vector<std::vector<double>> x{numbers<double>(5, 1), numbers<double>(9, 2), numbers<double>(4, 3)};
    const std::vector<std::vector<double>> g{numbers<double>(5, 4), numbers<double>(9, 5),
                                             numbers<double>(4, 6)};
    const optim::dual_adam optimizer{.learning_rate = 0.1, .switch_rate = 0.2};
    optim::state<double> state;
    REQUIRE(optimizer.step(x, g, state));
    state.tensors[1].step =
        3;  // as if it had rested, or joined: one is in the first phase, one in the second
    auto alone = x;
    REQUIRE(optimizer.step(x, g, state));
    REQUIRE(optimizer.step(x, g, state));
    for (std::size_t i = 0; i < 3; ++i) {
        optim::state<double> own;
        auto fresh = std::vector<std::vector<double>>{numbers<double>(5, 1), numbers<double>(9, 2),
                                                      numbers<double>(4, 3)}[i];
        REQUIRE(optimizer.step(fresh, g[i], own));
        own.tensors[0].step = i == 1 ? 3 : 1;
        REQUIRE(fresh == alone[i]);
        REQUIRE(optimizer.step(fresh, g[i], own));
        REQUIRE(optimizer.step(fresh, g[i], own));
        CHECK(fresh == x[i]);
        CHECK(own.tensors[0].step == state.tensors[i].step);
    }
}

TEST_CASE("tensors of several types are one list when tied", "[optim][parity]") {
    Eigen::MatrixXf w = Eigen::MatrixXf::Random(5, 7);
    Eigen::VectorXf b = Eigen::VectorXf::Random(5);
    std::vector<float> c = numbers<float>(11, 1);
    const auto w0 = w;
    const std::vector<float> wv(w.data(), w.data() + w.size());
    const Eigen::MatrixXf gw = Eigen::MatrixXf::Random(5, 7);
    const Eigen::VectorXf gb = Eigen::VectorXf::Random(5);
    const auto gc = numbers<float>(11, 2);
    optim::state<float> state;
    REQUIRE(adam{}.step(std::tie(w, b, c), std::tie(gw, gb, gc), state));
    auto alone = wv;
    optim::state<float> own;
    REQUIRE(adam{}.step(alone, std::vector<float>(gw.data(), gw.data() + gw.size()), own));
    CHECK(std::equal(alone.begin(), alone.end(), w.data()));
    CHECK(state.tensors.size() == 3);
    CHECK((w - w0).cwiseAbs().maxCoeff() > 0);
}

TEST_CASE("a view is read once and written once", "[optim][parity]") {
    Eigen::MatrixXd m = Eigen::MatrixXd::Random(6, 6);
    const Eigen::MatrixXd before = m;
    Eigen::MatrixXd block = m.block(1, 2, 3, 2);
    const Eigen::MatrixXd g = Eigen::MatrixXd::Random(3, 2);
    auto view = m.block(1, 2, 3, 2);
    optim::state<double> a;
    optim::state<double> b;
    REQUIRE(adam{}.step(view, g, a));
    REQUIRE(adam{}.step(block, g, b));
    CHECK((m.block(1, 2, 3, 2).array() == block.array()).all());
    CHECK((m.row(0).array() == before.row(0).array()).all());
    CHECK(a == b);
    std::vector<double> x{1.0, 2.0};
    const std::vector<double> gx{1.0, 1.0};
    optim::state<double> s;
    REQUIRE(adam{}.step(std::span<double>(x), std::span<const double>(gx), s));
    CHECK(x[0] < 1.0);
}

TEST_CASE("a tensor that is elsewhere is copied there and back", "[optim][archetype]") {
    static_assert(optim::parameter_set<remote>);
    static_assert(optim::parameter_set<archetypes::contiguous<float>>);
    static_assert(!optim::parameter_set<archetypes::opaque<double>>);
    static_assert(!optim::parameter_set<std::vector<int>>);
    remote x(2, 6);
    remote g(2, 6);
    auto y = numbers<double>(6, 1);
    const auto h = numbers<double>(6, 2);
    tensor_traits<remote>::write(x, y);
    tensor_traits<remote>::write(g, h);
    optim::state<double> a;
    optim::state<double> b;
    REQUIRE(adam{}.step(x, g, a));
    REQUIRE(adam{}.step(y, h, b));
    CHECK(a == b);
    for (std::size_t i = 0; i < 6; ++i) { CHECK(x.at(i) == y[i]); }
}

TEST_CASE("16-bit parameters are rounded to nearest after a step in float", "[optim][half]") {
    const auto x = numbers<float>(1500, 4);
    const auto g = numbers<float>(1500, 5);
    const auto check = [&](auto zero) {
        using half = decltype(zero);
        std::vector<half> small;
        std::vector<half> small_gradient;
        std::vector<float> wide;
        std::vector<float> wide_gradient;
        for (std::size_t i = 0; i < x.size(); ++i) {
            small.emplace_back(x[i]);
            small_gradient.emplace_back(g[i]);
            wide.push_back(static_cast<float>(small.back()));
            wide_gradient.push_back(static_cast<float>(small_gradient.back()));
        }
        auto same = small;
        optim::state<float> a;
        optim::state<float> b;
        optim::state<float> c;
        REQUIRE(adam{.learning_rate = 0.1}.step(small, small_gradient, a));
        REQUIRE(adam{.learning_rate = 0.1}.step(wide, wide_gradient, b));
        REQUIRE(adam{.learning_rate = 0.1}.step(std::span<half>(same), wide_gradient, c));
        for (std::size_t i = 0; i < x.size(); ++i) { CHECK(small[i] == half(wide[i])); }
        CHECK(small == same);
        CHECK(a == b);
    };
    check(optim::bfloat16{});
    check(optim::float16{});
}

TEST_CASE("16-bit gradients are clipped, checked and averaged too", "[optim][half]") {
    using optim::bfloat16;
    std::vector<bfloat16> x{bfloat16(1.0F), bfloat16(2.0F)};
    std::vector<bfloat16> g{bfloat16(3.0F), bfloat16(-4.0F)};
    optim::state<float> state;
    const auto result = optim::sgd{.learning_rate = 1, .clip = {.norm = 2.5}}.step(x, g, state);
    CHECK(result);
    CHECK(result.gradient_norm == 5.0);
    CHECK(static_cast<float>(x[0]) == -0.5F);
    CHECK(static_cast<float>(x[1]) == 4.0F);
    optim::state<float> average;
    optim::ema{.decay = 0.5}.update(x, average);
    x[0] = bfloat16(1.5F);
    optim::ema{.decay = 0.5}.update(x, average);
    std::vector<float> out(2);
    optim::ema::copy(average, out);
    CHECK(out == std::vector<float>{0.5F, 4.0F});
    g[1] = bfloat16(std::numeric_limits<float>::infinity());
    const auto before = x;
    CHECK(adam{}.step(x, g, average = {}).status == step_status::gradient_not_finite);
    CHECK(x == before);
}

TEST_CASE("16-bit numbers are converted as IEEE says", "[optim][half]") {
    using optim::bfloat16;
    using optim::float16;
    for (unsigned bits = 0; bits < 0x10000U; ++bits) {  // every one of them comes back
        float16 h;
        h.bits = static_cast<std::uint16_t>(bits);
        bfloat16 b;
        b.bits = h.bits;
        const bool h_is_nan = (bits & 0x7fffU) > 0x7c00U;
        const bool b_is_nan = (bits & 0x7fffU) > 0x7f80U;
        const auto fh = static_cast<float>(h);
        const auto fb = static_cast<float>(b);
        REQUIRE((h_is_nan ? fh != fh : float16(fh) == h));
        REQUIRE((b_is_nan ? fb != fb : bfloat16(fb) == b));
    }
    CHECK(static_cast<float>(float16(1.0F / 3)) == 0.333251953125F);
    CHECK(float16(65520.0F).bits == 0x7c00U);  // halfway to the next: to infinity
    CHECK(float16(65519.0F).bits == 0x7bffU);
    CHECK(float16(5.9604645e-8F).bits == 1U);         // the smallest
    CHECK(float16(2.9802322e-8F).bits == 0U);         // half of it: to even
    CHECK(float16(1.0F + 0x1p-11F).bits == 0x3c00U);  // ties to even
    CHECK(float16(1.0F + 3 * 0x1p-11F).bits == 0x3c02U);
    CHECK(bfloat16(1.0F + 0x1p-8F).bits == 0x3f80U);
    CHECK(bfloat16(1.0F + 3 * 0x1p-8F).bits == 0x3f82U);
    CHECK((bfloat16(std::numeric_limits<float>::quiet_NaN()).bits & 0x7fffU) > 0x7f80U);
}

TEST_CASE("a step gives the same bits on any number of threads", "[optim][threads]") {
#ifdef _OPENMP
    const auto run = [](int threads) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
        std::vector<std::vector<float>> x{numbers<float>(100'003, 1), numbers<float>(7, 2),
                                          numbers<float>(50'001, 3)};
        const std::vector<std::vector<float>> g{numbers<float>(100'003, 4), numbers<float>(7, 5),
                                                numbers<float>(50'001, 6)};
        optim::state<float> state;
        const adam optimizer{.clip = {.norm = 3, .value = 0.01}};
        for (int k = 0; k < 2; ++k) { CHECK(optimizer.step(x, g, state)); }
        omp_set_num_threads(before);
        return std::pair(x, state);
    };
    const auto one = run(1);
    CHECK(run(2) == one);
    CHECK(run(5) == one);
#endif
}

TEST_CASE("every elementwise optimizer resumes from saved bytes to the bit", "[optim][identity]") {
    const auto check = [](const auto& optimizer) {
        auto x = numbers<double>(65, 1);
        optim::state<double> state;
        for (int k = 0; k < 3; ++k) { REQUIRE(optimizer.step(x, bowl(x), state)); }
        auto y = x;
        auto loaded = optim::from_bytes<double>(optim::to_bytes(state));
        for (int k = 0; k < 4; ++k) {
            REQUIRE(optimizer.step(x, bowl(x), state));
            REQUIRE(optimizer.step(y, bowl(y), loaded));
        }
        CHECK(x == y);
        CHECK(state == loaded);
        CHECK(state.step() == 7);
    };
    check(adam{});
    check(optim::amsgrad{});
    check(optim::adan{});
    check(optim::lion{});
    check(optim::sgd{});
    check(optim::sgd{.momentum = 0.9});
}

TEST_CASE("clipping by norm and by value is what it would be by hand", "[optim][clip]") {
    const std::vector<double> g{3, -4, 0};
    const auto step = [&](optim::clipping clip) {
        std::vector<double> x(3, 0.0);
        optim::state<double> state;
        const auto result = optim::sgd{.learning_rate = 1, .clip = clip}.step(x, g, state);
        CHECK(result);
        return std::pair(x, result.gradient_norm);
    };
    CHECK(step({.norm = 5}).first == std::vector<double>{-3, 4, 0});
    CHECK(step({.norm = 2.5}) == std::pair(std::vector<double>{-1.5, 2, 0}, 5.0));
    CHECK(step({.value = 3.5}).first == std::vector<double>{-3, 3.5, 0});
    CHECK(step({.norm = 2.5, .value = 1.75}).first == std::vector<double>{-1.5, 1.75, 0});
    CHECK(step({.norm = 2.5, .scale = -0.25}) == std::pair(std::vector<double>{0.75, -1, 0}, 1.25));
}

TEST_CASE("a gradient that is not finite changes nothing and is named", "[optim][errors]") {
    std::vector<std::vector<double>> x{{1, 2}, {3, 4, 5}, {6}};
    std::vector<std::vector<double>> g{{1, 1}, {1, 1, 1}, {1}};
    const auto before = x;
    optim::state<double> state;
    REQUIRE(adam{}.step(x, g, state));
    const auto after = x;
    const auto saved = state;
    for (const double bad : {not_a_number, infinity, -infinity}) {
        g[1][2] = bad;
        const auto result = adam{}.step(x, g, state);
        CHECK(result.status == step_status::gradient_not_finite);
        CHECK(result.tensor == 1);
        CHECK_FALSE(result);
        CHECK(adam{.clip = {.norm = 1}}.step(x, g, state).tensor == 1);
        CHECK(x == after);
        CHECK(state == saved);
    }
    const auto late = adam{.non_finite = optim::on_non_finite::report}.step(x, g, state);
    CHECK(late.status == step_status::parameter_not_finite);
    CHECK(late.tensor == 1);
    CHECK(std::string(to_string(late.status)).substr(0, 20) == "parameter_not_finite");
    CHECK(before != after);
}

TEST_CASE("a parameter that overflows is reported", "[optim][errors]") {
    std::vector<float> x{1, 3e38F, 1};
    optim::state<float> state;
    const auto result = optim::sgd{.learning_rate = 1}.step(x, std::vector<float>{0, -3e38F, 0}, state);
    CHECK(result.status == step_status::parameter_not_finite);
    std::vector<float> fine(100, 3e37F);  // their sum overflows, none of them does
    optim::state<float> other;
    CHECK(optim::sgd{}.step(fine, std::vector<float>(100, 1.0F), other));
}

TEST_CASE("lists and states that do not fit are refused in words", "[optim][errors]") {
    std::vector<std::vector<double>> x{{1, 2}, {3}};
    optim::state<double> state;
    using list = std::vector<std::vector<double>>;
    CHECK_THROWS_WITH((void)adam{}.step(x, list{{1, 2}}, state),
                      "adam: 2 parameter tensors, but 1 gradients");
    CHECK_THROWS_WITH((void)adam{}.step(x, list{{1, 2}, {3, 4}}, state),
                      "adam: tensor 1 has 1 elements, its gradient 2");
    CHECK(adam{}.step(x, x, state));
    CHECK_THROWS_WITH((void)optim::lion{}.step(x, x, state), "lion: the state is of adam, not of lion");
    std::vector<double> one{1};
    CHECK_THROWS_WITH((void)adam{}.step(one, one, state), "adam: the state is of 2 tensors, not of 1");
    list other{{1, 2}, {3, 4}};
    CHECK_THROWS_WITH((void)adam{}.step(other, other, state), "adam: tensor 1 has 2 elements, its state 1");
    state.values.pop_back();
    CHECK_THROWS_WITH((void)adam{}.step(x, x, state),
                      "adam: the state does not hold the values of its tensors");
    optim::state<double> fresh;
    CHECK(optim::sgd{}.step(x, x, fresh));
    CHECK_THROWS_WITH((void)optim::sgd{.momentum = 0.5}.step(x, x, fresh),
                      "sgd: the state has another number of values per element");
    CHECK_THROWS_WITH((void)adam{.clip = {.norm = not_a_number}}.step(x, x, fresh),
                      "adam: clip.norm must be > 0");
    CHECK_THROWS_WITH((void)adam{.clip = {.value = 0}}.step(x, x, fresh), "adam: clip.value must be > 0");
    CHECK_THROWS_WITH((void)adam{.clip = {.scale = infinity}}.step(x, x, fresh),
                      "adam: clip.scale must be finite");
}

TEST_CASE("no tensors and empty tensors are fine", "[optim][errors]") {
    std::vector<std::vector<double>> none;
    optim::state<double> state;
    CHECK(adam{}.step(none, none, state));
    std::vector<double> empty;
    optim::state<double> other;
    CHECK(adam{}.step(empty, empty, other));
}
