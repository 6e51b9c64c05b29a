// SPDX-License-Identifier: MIT
// The demonstration's promises: a picture is the same however many are drawn, digits are legible and no
// copies, and the plans of the table make the network calls that its columns say.
#include <cstddef>
#include <cstdio>

#include "../nearest.hpp"
#include "../optdigits.hpp"
#include "../picture.hpp"
#include "../sampling.hpp"
#include "../solvers.hpp"

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    std::printf("%s: %s\n", holds ? "yes" : "NO", what);
    failures += holds ? 0 : 1;
}

std::array<digits::pictures, digits::classes> sample(const digits::digit_laws& laws, int count,
                                                     std::uint64_t seed) {
    std::array<digits::pictures, digits::classes> sampled;
    const tweedie::plan plan = digits::plan_with_steps("unipc", 10);
    for (int digit = 0; digit < digits::classes; ++digit) {
        sampled[static_cast<std::size_t>(digit)] = laws.sample(digit, count, plan, seed);
    }
    return sampled;
}

// Every pixel of a narrower picture that is not its right margin is in the wider one.
bool begins_with(const digits::image& wide, const digits::image& narrow, int margin) {
    if (wide.height != narrow.height) { return false; }
    for (int y = 0; y < narrow.height; ++y) {
        for (int x = 0; x < narrow.width - margin; ++x) {
            if (wide.grey[static_cast<std::size_t>(y * wide.width + x)] !=
                narrow.grey[static_cast<std::size_t>(y * narrow.width + x)]) {
                return false;
            }
        }
    }
    return true;
}

}  // namespace

int main() {
    using namespace digits;
    const real_digits real = read_optdigits(TWEEDIE_EXAMPLE_DATA);
    const digit_laws laws(real);

    const auto one = sample(laws, 1, 7);
    const auto two = sample(laws, 2, 7);
    const auto many = sample(laws, 40, 7);
    const auto other = sample(laws, 2, 8);
    const image drawn = draw_grid(many);
    expect(begins_with(draw_grid(two), draw_grid(one), 8), "two pictures of each digit begin with the one");
    expect(begins_with(drawn, draw_grid(two), 8), "40 pictures of each digit begin with the two");
    expect(!begins_with(drawn, draw_grid(other), 8), "another seed gives other pictures");

    const comparison seen = compare(many, real);
    expect(seen.recognised >= 380, "at least 380 of 400 digits look most like a real digit of their class");
    expect(seen.sampled > 0.7 * seen.real,
           "a sampled digit is no copy: others are about as near to a real one");
    expect(seen.sampled < 1.2 * seen.real, "a sampled digit is no farther from the real ones than they are");

    for (const std::string& name : solver_names()) {
        for (const int calls : {5, 10, 20, 40}) {
            expect(plan_with_calls(name, calls).calls.size() == static_cast<std::size_t>(calls),
                   name.c_str());
        }
    }
    return failures == 0 ? 0 : 1;
}
