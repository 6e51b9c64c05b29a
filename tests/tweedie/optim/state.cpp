// SPDX-License-Identifier: MIT
#include <tweedie/optim/state.hpp>
#include <tweedie/optim/support.hpp>

#include <support/catch.hpp>

#include <cstddef>
#include <limits>
#include <vector>

namespace {

using namespace tweedie;

template <class Scalar>
optim::state<Scalar> some_state() {
    optim::state<Scalar> out;
    out.method = "adam";
    out.slots = 2;
    out.tensors.push_back(
        {.size = 3, .step = 17, .extra = 1, .memory = {0.1, std::numeric_limits<double>::infinity()}});
    out.tensors.push_back({.size = 0, .step = 2, .extra = 0, .memory = {}});
    out.values = numbers<Scalar>(7, 3);
    return out;
}

}  // namespace

TEMPLATE_TEST_CASE("a state is loaded as it was saved, to the bit", "[optim][state]", float, double) {
    const auto state = some_state<TestType>();
    const auto bytes = optim::to_bytes(state);
    CHECK(optim::from_bytes<TestType>(bytes) == state);
    CHECK(optim::to_bytes(optim::from_bytes<TestType>(bytes)) == bytes);
    CHECK(optim::from_bytes<TestType>(optim::to_bytes(optim::state<TestType>{})) == optim::state<TestType>{});
    CHECK(state.step() == 17);
}

TEST_CASE("what is no saved state, or is damaged, is refused in words", "[optim][state][errors]") {
    const auto bytes = optim::to_bytes(some_state<double>());
    const auto refused = [](std::vector<std::byte> data, const char* message) {
        CHECK_THROWS_WITH((void)optim::from_bytes<double>(data), message);
    };
    refused({}, "from_bytes: the data are not a saved state");
    refused(std::vector<std::byte>(100), "from_bytes: the data are not a saved state");
    for (std::size_t size = 24; size < bytes.size(); ++size) {
        refused(std::vector<std::byte>(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)),
                "from_bytes: the data are damaged or end too early");
    }
    for (std::size_t at = 8; at < bytes.size(); ++at) {
        auto damaged = bytes;
        damaged[at] ^= std::byte{0x10};
        refused(damaged, "from_bytes: the data are damaged or end too early");
    }
    CHECK_THROWS_WITH((void)optim::from_bytes<float>(bytes),
                      "from_bytes: the state was saved with another scalar");
}
