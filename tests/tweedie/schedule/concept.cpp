// SPDX-License-Identifier: MIT
#include <tweedie/schedule/concept.hpp>
#include <tweedie/schedule/discrete.hpp>
#include <tweedie/schedule/edm.hpp>
#include <tweedie/schedule/flow.hpp>
#include <tweedie/schedule/vp.hpp>

#include <string>
#include <utility>

#include "checks.hpp"

using namespace tweedie;

namespace {

// The least a user has to write.
struct straight {
    double alpha(double t) const { return 1.0 - t; }
    double sigma(double t) const { return t; }
    double alpha_rate(double) const { return -1.0; }
    double sigma_rate(double) const { return 1.0; }
    double half_log_snr(double t) const { return std::log((1.0 - t) / t); }
    double time_at(double l) const { return 1.0 / (1.0 + std::exp(l)); }
    time_range range() const { return {1.0, 0.01}; }
};

struct without_inverse {
    double alpha(double t) const { return 1.0 - t; }
    double sigma(double t) const { return t; }
    double alpha_rate(double) const { return -1.0; }
    double sigma_rate(double) const { return 1.0; }
    double half_log_snr(double t) const { return std::log((1.0 - t) / t); }
    time_range range() const { return {1.0, 0.01}; }
};

static_assert(noise_schedule<straight>);
static_assert(noise_schedule<any_schedule>);
static_assert(!noise_schedule<without_inverse>);
static_assert(!noise_schedule<double>);
static_assert(!noise_schedule<std::string>);
static_assert(std::is_convertible_v<straight, any_schedule>);
static_assert(!std::is_convertible_v<without_inverse, any_schedule>);
static_assert(!std::is_convertible_v<double, any_schedule>);

}  // namespace

TEST_CASE("half_log_snr of a level is exact at both ends", "[schedule][level][exact]") {
    CHECK(level{0.0, 1.0, 0.0}.half_log_snr() == infinity);
    CHECK(level{1.0, 0.0, 1.0}.half_log_snr() == -infinity);
    CHECK(level{0.5, 0.5, 0.5}.half_log_snr() == 0.0);
    CHECK_THAT((level{80.0, 1.0, 80.0}.half_log_snr()), WithinRel(-4.382026634673881, tol<double>::exact));
}

TEST_CASE("any_schedule answers as the schedule it holds", "[schedule][any_schedule][identity]") {
    const schedule::vp_linear vp;
    const any_schedule any = vp;
    for (const double t : {0.0, 1e-3, 0.3, 1.0}) {
        CHECK(any.alpha(t) == vp.alpha(t));
        CHECK(any.sigma(t) == vp.sigma(t));
        CHECK(any.alpha_rate(t) == vp.alpha_rate(t));
        CHECK(any.sigma_rate(t) == vp.sigma_rate(t));
        CHECK(any.half_log_snr(t) == vp.half_log_snr(t));
        CHECK(any.time_at(any.half_log_snr(t)) == vp.time_at(vp.half_log_snr(t)));
        CHECK(at(any, t) == at(vp, t));
    }
    CHECK(any.range() == vp.range());
    CHECK_THROWS_WITH(any.alpha(2.0), "schedule::vp_linear: t must lie in [0, 1]");
}

TEST_CASE("any_schedule is a value that outlives what it was made of", "[schedule][any_schedule][contract]") {
    any_schedule kept = straight{};
    {
        const any_schedule inner = schedule::discrete::linear(10);
        kept = inner;
        const any_schedule copy = inner;
        CHECK(copy.sigma(9.0) == inner.sigma(9.0));
    }
    CHECK(kept.range() == time_range{9.0, 0.0});
    const any_schedule& same = kept;
    kept = same;
    CHECK(kept.range() == time_range{9.0, 0.0});
    any_schedule moved = std::move(kept);
    CHECK(moved.range() == time_range{9.0, 0.0});
    kept = schedule::edm{};
    CHECK(kept.range() == time_range{80.0, 0.002});
    moved = std::move(kept);
    CHECK(moved.range() == time_range{80.0, 0.002});
}

TEST_CASE("a schedule written by a user is a noise schedule", "[schedule][concept][archetype]") {
    CHECK_THAT(at_half_log_snr(straight{}, 0.0).t, WithinRel(0.5, tol<double>::exact));
    CHECK(at(any_schedule(straight{}), 0.25) == level{0.25, 0.75, 0.25});
}
