// SPDX-License-Identifier: MIT

#include <tweedie/plan/writer.hpp>
#include <tweedie/run/sample.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/tensor/xtensor.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <vector>

#include "support.hpp"

using namespace tweedie;

TEST_CASE("a plan with fields gives xtensor the bits it gives vectors, sample by sample",
          "[run][fields][parity]") {
    const std::vector<level> levels = {{4.0, 1.0, 4.0}, {1.0, 1.0, 1.0}, {0.25, 1.0, 0.25}};
    std::vector<double> numbers;
    for (int e = 0; e < 24; ++e) { numbers.push_back(0.2 + 0.03 * e); }
    const field keep(numbers);
    plan_writer p("fields", levels);
    plan_variable x = p.state();
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        const linear_form m = p.data_prediction(x, s);
        x = keep * x + (1.0 - keep) * m + p.constant(0.1 * keep);
    }
    const plan made = p.finish(x);

    xt::xtensor<float, 3> all = xt::xtensor<float, 3>::from_shape({5, 4, 6});
    for (std::size_t i = 0; i < all.size(); ++i) {
        all.data()[i] = static_cast<float>(static_cast<double>(i) * 0.07 - 4.0);
    }
    std::vector<float> expected;
    for (std::size_t sample_index = 0; sample_index < 5; ++sample_index) {
        std::vector<float> one(all.data() + 24 * sample_index, all.data() + 24 * (sample_index + 1));
        REQUIRE(sample(made, exact_model(), one));
        expected.insert(expected.end(), one.begin(), one.end());
    }
    const denoiser model(
        [](const xt::xtensor<float, 3>& y, const network_level& at) {
            xt::xtensor<float, 3> out = y;
            for (float& v : out) {
                v = static_cast<float>(exact_gaussian{}.x0_hat(static_cast<double>(v), at));
            }
            return out;
        },
        prediction::x0, schedule::edm{});
    REQUIRE(sample(made, model, all));
    CHECK(std::vector<float>(all.data(), all.data() + all.size()) == expected);
}
