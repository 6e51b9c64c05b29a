// SPDX-License-Identifier: MIT

// Plans whose weights differ from element to element run as one plan per element would.

#include <tweedie/plan/element.hpp>
#include <tweedie/plan/fold.hpp>
#include <tweedie/plan/writer.hpp>
#include <tweedie/run/batch.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>
#include <tweedie/tensor/eigen.hpp>

#include <support/allocations.hpp>
#include <support/archetypes.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "../solver/checks.hpp"

using namespace tweedie;

namespace {

/// A tensor with all that is required and nothing optional.
struct somewhere_else {
    std::vector<double> values;
};

}  // namespace

template <>
struct tweedie::tensor_traits<somewhere_else> {
    using tensor = somewhere_else;
    using host = tensor_traits<std::vector<double>>;
    using scalar = double;
    using owned = tensor;
    static tensor like(const tensor& x) { return {host::like(x.values)}; }
    static std::size_t size(const tensor& x) { return x.values.size(); }
    static std::size_t batch(const tensor&) { return 1; }
    static bool same_shape(const tensor& a, const tensor& b) { return host::same_shape(a.values, b.values); }
    static bool affine(std::span<tensor* const> outputs, std::span<const double> coefficients,
                       std::span<const tensor* const> inputs) {
        std::vector<std::vector<double>*> to;
        std::vector<const std::vector<double>*> from;
        for (tensor* const t : outputs) { to.push_back(&t->values); }
        for (const tensor* const t : inputs) { from.push_back(&t->values); }
        return host::affine(to, coefficients, from);
    }
    static void normal(tensor& out, const auto& stream) { host::normal(out.values, stream); }
    static bool assign(tensor& out, const tensor& x) { return host::assign(out.values, x.values); }
};

namespace {

/// A number in [low, high) for each element, none like the other.
field spread(std::size_t elements, double low, double high, std::size_t which) {
    std::vector<double> values(elements);
    for (std::size_t e = 0; e < elements; ++e) {
        const double place = static_cast<double>((e * 7919 + which * 104729 + 13) % 10007) / 10007.0;
        values[e] = low + (high - low) * place;
    }
    return field(std::move(values));
}

struct ingredients {
    field keep = 0.9;      // of x
    field past = 0.0;      // of the difference of predictions
    field constant = 0.0;  // added
    field noise = 0.0;
};

ingredients all_differ(std::size_t elements) {
    return {spread(elements, 0.2, 0.9, 1), spread(elements, -0.2, 0.2, 2), spread(elements, -0.1, 0.1, 3),
            spread(elements, 0.0, 0.3, 4)};
}

ingredients at_element(const ingredients& all, std::size_t e) {
    return {all.keep[e], all.past[e], all.constant[e], all.noise[e]};
}

/// A two-step method that remembers the prediction itself, as many solvers do.
plan two_steps(const levels_t& levels, const ingredients& of) {
    plan_writer p("two steps", levels);
    plan_variable x = p.state();
    plan_history m = p.remember("m", 2);
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        m.push(p.data_prediction(x, s));
        const field keep = of.keep * (t.sigma / s.sigma);
        linear_form next = keep * x + (t.alpha - keep * s.alpha) * m[0];
        if (m.size() > 1) { next += of.past * (m[0] - m[1]); }
        if (of.constant != field(0.0)) { next += p.constant(of.constant * t.sigma); }
        if (of.noise != field(0.0)) { next += of.noise * t.sigma * p.noise(); }
        x = next;
    }
    return p.finish(x);
}

/// What a network of this type returns that knows the two humps.
struct two_humps_network {
    prediction_type type = prediction::x0;
    any_schedule schedule = schedule::edm{};

    [[nodiscard]] double operator()(double input, const level& at) const {
        const double x = type.is == prediction_type::kind::edm
                             ? input * std::hypot(at.sigma, at.alpha * type.parameter)
                             : input;
        const double x0 = two_humps(x, at);
        const target_weights law = target(type, at, schedule);
        return (law.data * x0 + law.noise * (x - at.alpha * x0) / at.sigma) / law.gain;
    }

    template <class Tensor>
    void operator()(const Tensor& x, const network_level& at, Tensor& out) const {
        using traits = tensor_traits<Tensor>;
        for (std::size_t i = 0; i < traits::size(x); ++i) {
            traits::data(out)[i] =
                static_cast<scalar_t<Tensor>>((*this)(static_cast<double>(traits::data(x)[i]), at));
        }
    }
};

denoiser<two_humps_network> humps(const prediction_type& type = prediction::x0,
                                  const any_schedule& schedule = schedule::edm{}) {
    return {two_humps_network{type, schedule}, type, schedule};
}

/// Starts and draws: one number per element and draw, known to whoever wants to run one element alone.
double start_at(std::size_t i) { return 3.0 * std::sin(static_cast<double>(i) + 0.3); }
double drawn_at(std::size_t draw, std::size_t i) { return std::sin(static_cast<double>(17 * draw + 5 * i)); }

template <class Scalar>
injected_noise<Scalar> draws_of(std::size_t draws, std::size_t first, std::size_t count,
                                std::size_t samples = 1) {
    noise_record<Scalar> record{.samples = samples, .elements = count};
    for (std::size_t d = 0; d < draws; ++d) {
        std::vector<Scalar> values(samples * count);
        for (std::size_t i = 0; i < values.size(); ++i) {
            values[i] = static_cast<Scalar>(drawn_at(d, first + i));
        }
        record.step.push_back(std::move(values));
    }
    return injected_noise<Scalar>(std::move(record));
}

/// One element of a run, by the ordinary plan of that element.
template <class Scalar>
Scalar alone(const plan& p, std::size_t i, const auto& model) {
    Scalar x = static_cast<Scalar>(start_at(i));
    REQUIRE(sample(p, model, x, draws_of<Scalar>(counts(p).draws, i, 1)));
    return x;
}

}  // namespace

TEMPLATE_TEST_CASE("a plan with fields is, at every element, the plan of that element",
                   "[run][fields][exact]", float, double) {
    using scalar = TestType;
    const levels_t levels = interior_levels(schedule::edm{}, 6);
    // one element; less than a vector; a vector and a rest; more than a block of weights
    for (const std::size_t elements : {1U, 3U, 37U, 700U, 1500U}) {
        const ingredients all = all_differ(elements);
        for (const bool constants : {false, true}) {
            for (const bool noisy : {false, true}) {
                ingredients some = all;
                if (!constants) { some.constant = 0.0; }
                if (!noisy) { some.noise = 0.0; }
                const plan p = two_steps(levels, some);
                CHECK(p.elements == (elements > 1 ? elements : 0));
                std::vector<scalar> x(elements);
                for (std::size_t e = 0; e < elements; ++e) { x[e] = static_cast<scalar>(start_at(e)); }
                REQUIRE(sample(p, humps(), x, draws_of<scalar>(counts(p).draws, 0, elements)));
                std::size_t wrong = 0;
                for (std::size_t e = 0; e < elements; ++e) {
                    const plan one = two_steps(levels, at_element(some, e));
                    REQUIRE(one.elements == 0);
                    wrong += x[e] == alone<scalar>(one, e, humps()) ? 0U : 1U;
                    wrong += x[e] == alone<scalar>(element(p, e), e, humps()) ? 0U : 1U;
                }
                INFO(elements << " elements, constants " << constants << ", noise " << noisy);
                CHECK(wrong == 0);
            }
        }
    }
}

TEST_CASE("every sample of a batch shares the fields", "[run][fields][identity]") {
    const levels_t levels = interior_levels(schedule::edm{}, 5);
    for (const std::size_t elements : {2U, 5U, 1030U, 5000U}) {
        const plan p = two_steps(levels, all_differ(elements));
        constexpr std::size_t samples = 7;
        const auto rows = static_cast<Eigen::Index>(elements);
        Eigen::ArrayXXf by_columns(rows, samples);
        Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> by_rows(samples, rows);
        for (Eigen::Index i = 0; i < by_columns.size(); ++i) {
            by_columns.data()[i] = static_cast<float>(start_at(static_cast<std::size_t>(i)));
        }
        by_rows = by_columns.transpose();
        const auto source = [&](std::size_t sample) {
            return draws_of<float>(counts(p).draws, sample * elements, elements);
        };
        std::vector<float> expected;
        for (std::size_t s = 0; s < samples; ++s) {
            const float* const first = by_columns.data() + s * elements;
            std::vector<float> x(first, first + elements);
            REQUIRE(sample(p, humps(), x, source(s)));
            expected.insert(expected.end(), x.begin(), x.end());
        }
        const auto all = draws_of<float>(counts(p).draws, 0, elements, samples);
        REQUIRE(sample(p, humps(), by_columns, all));
        REQUIRE(sample(p, humps(), by_rows, all));
        CHECK(std::vector<float>(by_columns.data(), by_columns.data() + by_columns.size()) == expected);
        CHECK((by_rows == by_columns.transpose()).all());
    }
}

TEST_CASE("fields fold into any network's convention", "[run][fields][identity]") {
    constexpr std::size_t elements = 9;
    for (const any_schedule& schedule : {any_schedule(schedule::edm{}), any_schedule(schedule::vp_linear{}),
                                         any_schedule(schedule::flow{})}) {
        const levels_t levels = interior_levels(schedule, 6);
        const plan p = two_steps(levels, all_differ(elements));
        const auto run = [&](const auto& model) {
            std::vector<double> x(elements);
            for (std::size_t e = 0; e < elements; ++e) { x[e] = start_at(e); }
            REQUIRE(sample(p, model, x, draws_of<double>(counts(p).draws, 0, elements)));
            return x;
        };
        const std::vector<double> expected = run(humps(prediction::x0, schedule));
        for (const prediction_type& type : {prediction::epsilon, prediction::v, prediction::flow_velocity,
                                            prediction::edm(0.5), prediction::edm(2.0)}) {
            const auto model = humps(type, schedule);
            const std::vector<double> found = run(model);
            for (std::size_t e = 0; e < elements; ++e) {
                CHECK_THAT(found[e], WithinRel(expected[e], tol<double>::identity) ||
                                         WithinAbs(expected[e], tol<double>::identity));
                CHECK(found[e] == alone<double>(element(p, e), e, model));
            }
        }
    }
}

TEST_CASE("a stepper runs fields however outputs are handed over, and from any checkpoint",
          "[run][fields][identity]") {
    constexpr std::size_t elements = 45;
    const plan p = two_steps(interior_levels(schedule::edm{}, 6), all_differ(elements));
    const auto model = humps();
    std::vector<float> start(elements);
    for (std::size_t e = 0; e < elements; ++e) { start[e] = static_cast<float>(start_at(e)); }
    const auto answer = [&](const auto& asked) {
        std::vector<float> out(elements);
        model.network()(asked.x, asked.level, out);
        return out;
    };
    std::vector<float> whole = start;
    REQUIRE(sample(p, model, whole, noise{.seed = 3}));

    const program shared(p, model.convention());
    CHECK(shared.elements() == elements);
    CHECK(shared.buffers() == counts(p).live_tensors);
    for (std::size_t cut = 0; cut <= shared.network_calls(); ++cut) {
        stepper first(shared, start, noise{.seed = 3});
        for (std::size_t i = 0; i < cut; ++i) {
            const std::vector<float> lent = answer(*first.next());
            first.supply(lent);
        }
        stepper resumed(shared, first.save(), noise{.seed = 3});
        while (const auto asked = resumed.next()) { resumed.supply(answer(*asked)); }
        CHECK(resumed.x() == whole);
    }

    batch runs(stepper(shared, start, noise{.seed = 3}));
    runs.add(stepper(shared, whole, noise{.seed = 4}));
    const auto all = [&](const batched_query<std::vector<float>>& asked) {
        for (std::size_t i = 0; i < asked.inputs.size(); ++i) {
            model.network()(*asked.inputs[i], *asked.levels[i], *asked.outputs[i]);
        }
    };
    while (runs.advance(all, 3) > 0) {}
    std::size_t ended = 0;
    runs.finished([&](auto id, auto&& run) {
        ++ended;
        CHECK((run.x() == whole) == (id == 0));
    });
    CHECK(ended == 2);

    // one number of one field tells programs apart
    plan other = p;
    field& values = other.calls[2].then.rows[0].fields[0].values;
    std::vector<double> numbers(elements);
    for (std::size_t e = 0; e < elements; ++e) { numbers[e] = values[e]; }
    numbers[elements - 1] = std::nextafter(numbers[elements - 1], 2.0);
    values = field(numbers);
    CHECK(program(other, model.convention()).fingerprint() != shared.fingerprint());
    CHECK_THROWS_AS(
        stepper(program(other, model.convention()), stepper(shared, start, noise{}).save(), noise{}),
        std::invalid_argument);
}

TEST_CASE("hooks see and transform a run with fields as any other", "[run][fields][identity]") {
    constexpr std::size_t elements = 6;
    const levels_t levels = interior_levels(schedule::vp_linear{}, 5);
    ingredients all = all_differ(elements);
    const plan p = two_steps(levels, all);
    const auto clip = [](auto& x0, const level&) {
        using tensor = std::remove_cvref_t<decltype(x0)>;
        tensor_traits<tensor>::map(x0, [](double v) { return std::clamp(v, -0.8, 0.8); });
    };
    for (const prediction_type& type : {prediction::x0, prediction::epsilon}) {
        const auto model = humps(type, schedule::vp_linear{});
        std::vector<double> x(elements);
        for (std::size_t e = 0; e < elements; ++e) { x[e] = start_at(e); }
        REQUIRE(
            sample(p, model, x, draws_of<double>(counts(p).draws, 0, elements), hooks{.transform = clip}));
        for (std::size_t e = 0; e < elements; ++e) {
            double one = start_at(e);
            const plan of_one = element(p, e);
            REQUIRE(sample(of_one, model, one, draws_of<double>(counts(p).draws, e, 1),
                           hooks{.transform = clip}));
            CHECK(x[e] == one);
        }
    }
}

TEST_CASE("a run with fields allocates nothing and has the same bits on any number of threads",
          "[run][fields][cost]") {
    const std::size_t elements = 40'000;
    const plan p = two_steps(interior_levels(schedule::edm{}, 4), all_differ(elements));
    const program shared(p, humps().convention());
    std::vector<float> start(elements);
    for (std::size_t e = 0; e < elements; ++e) { start[e] = static_cast<float>(start_at(e)); }
    std::vector<float> output(elements);
    const two_humps_network network;
    std::vector<std::vector<float>> ends;
    for (const int threads : {1, 2, 5}) {
#ifdef _OPENMP
        const int before = omp_get_max_threads();
        omp_set_num_threads(threads);
#endif
        stepper s(shared, start, noise{.seed = 1});
        const std::size_t counted = allocations();
        while (const auto asked = s.next()) {
            network(asked->x, asked->level, output);
            s.supply(std::move(output));
        }
        if (threads == 1) { CHECK(allocations() == counted); }  // OpenMP itself may allocate when it begins
        ends.push_back(s.x());
#ifdef _OPENMP
        omp_set_num_threads(before);
#endif
    }
    CHECK(ends[1] == ends[0]);
    CHECK(ends[2] == ends[0]);
}

TEST_CASE("a value that is not finite ends a run with fields where it came", "[run][fields][errors]") {
    constexpr std::size_t elements = 600;
    ingredients some = all_differ(elements);
    some.noise = 0.0;
    const plan p = two_steps(interior_levels(schedule::edm{}, 5), some);
    for (const std::size_t bad : {0U, 511U, 512U, 599U}) {
        std::size_t calls = 0;
        const denoiser model(
            [&](const std::vector<double>& x, const network_level&) {
                std::vector<double> out = x;
                if (++calls == 3) { out[bad] = infinity; }
                return out;
            },
            prediction::x0, schedule::edm{});
        std::vector<double> x(elements, 0.5);
        const run_result result = sample(p, model, x);
        CHECK(result.status == run_status::non_finite);
        CHECK(result.network_calls == 3);
    }
}

TEST_CASE("a run with fields refuses another size, and tensors that cannot do it", "[run][fields][errors]") {
    const levels_t levels = interior_levels(schedule::edm{}, 3);
    ingredients some = all_differ(5);
    some.noise = 0.0;
    const plan p = two_steps(levels, some);
    const auto model = humps();
    CHECK(refusal([&] {
              std::vector<double> x(4, 1.0);
              static_cast<void>(sample(p, model, x));
          }) == "plan: its fields have 5 elements per sample, x has 4");
    CHECK(refusal([&] {
              Eigen::ArrayXXd x = Eigen::ArrayXXd::Ones(10, 2);
              static_cast<void>(sample(p, model, x));
          }) == "plan: its fields have 5 elements per sample, x has 10");
    const program shared(p, model.convention());
    checkpoint<std::vector<double>> saved = stepper(shared, std::vector<double>(5, 1.0)).save();
    for (std::vector<double>& r : saved.registers) { r.resize(6); }
    CHECK(refusal([&] { stepper s(shared, saved); }) ==
          "plan: its fields have 5 elements per sample, x has 6");
    const program two(two_steps(levels, some), model.convention());
    checkpoint<Eigen::ArrayXXd> empty = stepper(two, Eigen::ArrayXXd::Ones(5, 2).eval()).save();
    for (Eigen::ArrayXXd& r : empty.registers) { r.resize(5, 0); }
    CHECK(refusal([&] { stepper s(two, empty); }) == "stepper: the checkpoint is not of this program");

    static_assert(tensor<somewhere_else> && !combines_fields<somewhere_else> &&
                  combines_fields<std::vector<float>> && combines_fields<Eigen::ArrayXXd> &&
                  combines_fields<archetypes::contiguous<float>>);
    const somewhere_else start{{1.0, -1.0, 2.0, 0.5, 0.0}};
    CHECK(refusal([&] { stepper s(shared, start); }) ==
          "stepper: tensor_traits<T> needs affine_fields to run a plan with fields");
    // without fields it runs as any other
    stepper s(program(two_steps(levels, {}), model.convention()), start);
    while (const auto asked = s.next()) { s.supply(somewhere_else{asked->x.values}); }
    CHECK(s.result());
}
