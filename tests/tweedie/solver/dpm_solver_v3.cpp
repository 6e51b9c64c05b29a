// SPDX-License-Identifier: MIT
#include <tweedie/solver/dpm_solver_v3.hpp>
#include <tweedie/solver/unipc.hpp>
#include <tweedie/tensor/host.hpp>

#include <cmath>
#include <string>
#include <vector>

#include "order_checks.hpp"

using namespace tweedie;
using solver::dpm_solver_v3;
using solver::model_statistics;
using correction = solver::dpm_solver_v3::correction;

namespace {

constexpr auto single_step = solver::start::single_step;

std::vector<double> equally_spaced(double from, double to, int intervals) {
    std::vector<double> out;
    for (int i = 0; i <= intervals; ++i) { out.push_back(from + i * (to - from) / intervals); }
    return out;
}

/// Gaussian data of several elements, independent of each other.
struct independent_gaussians {
    std::vector<double> mean = {0.5, -1.0, 0.0, 0.3};
    std::vector<double> variance = {0.01, 0.25, 1.0, 2.0};

    [[nodiscard]] std::vector<double> x0(const std::vector<double>& x, const level& at) const {
        std::vector<double> out(x.size());
        for (std::size_t e = 0; e < x.size(); ++e) {
            const double gain =
                at.alpha * variance[e] / (at.alpha * at.alpha * variance[e] + at.sigma * at.sigma);
            out[e] = mean[e] + gain * (x[e] - at.alpha * mean[e]);
        }
        return out;
    }

    [[nodiscard]] model_statistics statistics(const std::vector<double>& nodes) const {
        model_statistics out;
        out.half_log_snr = nodes;
        for (const double lambda : nodes) {
            std::vector<double> l;
            std::vector<double> b;
            for (std::size_t e = 0; e < mean.size(); ++e) {
                l.push_back(1.0 / (1.0 + variance[e] * std::exp(2.0 * lambda)));
                b.push_back(2.0 * l.back() * (1.0 - l.back()) * mean[e]);
            }
            out.l.push_back(field(l));
            out.s.push_back(0.0);
            out.b.push_back(field(b));
        }
        return out;
    }

    /// RMS error of x / alpha at the end of a plan, over starts and elements.
    [[nodiscard]] double error(const plan& p, const any_schedule& schedule) const {
        const level& s = p.levels.front();
        const level& t = p.levels.back();
        const denoiser model([&](const std::vector<double>& x, const network_level& at) { return x0(x, at); },
                             prediction::x0, schedule);
        double squares = 0.0;
        int count = 0;
        for (double z = -2.1; z < 2.2; z += 0.7) {
            std::vector<double> x;
            for (std::size_t e = 0; e < mean.size(); ++e) {
                x.push_back(s.alpha * mean[e] + std::hypot(s.alpha * std::sqrt(variance[e]), s.sigma) *
                                                    (z + 0.1 * static_cast<double>(e)));
            }
            CHECK(sample(p, model, x));
            for (std::size_t e = 0; e < mean.size(); ++e) {
                const double y = mean[e] + std::hypot(std::sqrt(variance[e]), t.sigma / t.alpha) *
                                               (z + 0.1 * static_cast<double>(e));
                squares += (x[e] / t.alpha - y) * (x[e] / t.alpha - y);
                ++count;
            }
        }
        return std::sqrt(squares / count);
    }
};

/// Smooth statistics of one number, not those of any network.
model_statistics smooth_statistics(double from, double to, int intervals) {
    model_statistics out;
    out.half_log_snr = equally_spaced(from, to, intervals);
    for (const double lambda : out.half_log_snr) {
        out.l.push_back(1.0 / (1.0 + 0.3 * std::exp(1.5 * lambda)));
        out.s.push_back(-0.4 + 0.3 * std::sin(lambda));
        out.b.push_back(0.2 * std::cos(0.7 * lambda));
    }
    return out;
}

model_statistics constant_statistics(double l, double s, double b) {
    return {{-8.0, 8.0}, {l, l}, {s, s}, {b, b}};
}

/// Levels from kappa = 80 to 0.002, its two only.
levels_t one_step(const any_schedule& schedule) {
    return {at_half_log_snr(schedule, -std::log(80.0)), at_half_log_snr(schedule, -std::log(0.002))};
}

const std::vector<double>& karras_range(int intervals) {
    static std::vector<double> nodes;
    nodes = equally_spaced(-std::log(80.0), -std::log(0.002), intervals);
    return nodes;
}

}  // namespace

TEST_CASE("one first-order step with the exact statistics takes Gaussian data from kappa 80 to 0.002",
          "[solver][dpm_solver_v3][exact]") {
    const independent_gaussians data;
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        const levels_t levels = one_step(s.schedule);
        const auto error = [&](int nodes, bool peer) {
            return data.error(
                dpm_solver_v3{
                    .order = 1, .statistics = data.statistics(karras_range(nodes)), .peer_formula = peer}
                    .plan(s.schedule, levels),
                s.schedule);
        };
        // what the integrals leave: that of the cubics between the nodes, then of rounding
        CHECK(error(120, false) < 1e-8);
        CHECK(error(1200, false) < 2e-12);
        CHECK(error(60, false) / error(240, false) > 200.0);
        // the authors' trapezoids: N^-2
        CHECK(error(1200, true) < 4e-8);
        CHECK_THAT(std::log2(error(120, true) / error(240, true)), WithinAbs(2.0, 0.1));
        CHECK_THAT(std::log2(error(600, true) / error(1200, true)), WithinAbs(2.0, 0.1));
        // without b the drift of the mean is lost
        model_statistics without = data.statistics(karras_range(120));
        for (field& b : without.b) { b = 0.0; }
        CHECK(data.error(dpm_solver_v3{.order = 1, .statistics = without}.plan(s.schedule, levels),
                         s.schedule) > 0.02);
    }
}

TEST_CASE("the exact statistics are exact on any levels of any schedule, pure noise and clean data included",
          "[solver][dpm_solver_v3][exact]") {
    const independent_gaussians data;
    const model_statistics statistics = data.statistics(karras_range(960));
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        for (const int steps : {1, 2, 3, 7}) {
            for (const grid::final_level last : {grid::final_level::zero, grid::final_level::sigma_min}) {
                for (const std::size_t order : {1U, 3U}) {
                    const levels_t levels = grid::karras(s.schedule, steps, {.last = last});
                    const plan p =
                        dpm_solver_v3{.order = order, .statistics = statistics}.plan(s.schedule, levels);
                    CHECK(counts(p).network_calls == static_cast<std::size_t>(steps));
                    CHECK(data.error(p, s.schedule) < 1e-8);
                }
            }
        }
        // between the nodes, and beyond them on either side
        for (const double sigma_max : {31.4, 300.0}) {
            if (-std::log(sigma_max) < s.schedule.half_log_snr(s.schedule.range().noisy)) { continue; }
            const levels_t levels = {at_half_log_snr(s.schedule, -std::log(sigma_max)),
                                     at_half_log_snr(s.schedule, 0.123), at_half_log_snr(s.schedule, 5.0)};
            CHECK(data.error(dpm_solver_v3{.statistics = statistics}.plan(s.schedule, levels), s.schedule) <
                  1e-8);
        }
    }
}

TEST_CASE("dpm_solver_v3 has its order on a variance-preserving schedule, EDM and a flow",
          "[solver][dpm_solver_v3][order]") {
    const model_statistics statistics = smooth_statistics(-2.5, 2.5, 200);
    // in y = x / alpha over half-log-SNR the method is the same on all of them; one has all its variants
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        const auto check = [&](dpm_solver_v3 method, double order, int refined = 1) {
            method.statistics = statistics;
            method.lower_order_final = false;
            INFO(method.plan(s.schedule, interior_levels(s.schedule, 2)).solver);
            CHECK_THAT(measured_order(method, s.schedule, {160 * refined, 320 * refined, 640 * refined}),
                       WithinAbs(order, 0.1));
        };
        check({.order = 2}, 2.0);
        check({.order = 3, .corrector = correction::higher, .start = single_step}, 4.0);
        if (s.name != "edm") { continue; }
        check({.order = 1, .corrector = correction::none}, 1.0);
        check({.order = 1}, 1.0);
        check({.order = 1, .corrector = correction::higher}, 2.0);
        check({.order = 2, .corrector = correction::none}, 2.0);
        check({.order = 2, .corrector = correction::higher}, 3.0);
        check({.order = 3, .corrector = correction::none, .start = single_step}, 3.0);
        check({.order = 3, .start = single_step}, 3.0, 2);
        check({.order = 3, .corrector = correction::none, .pseudo = true}, 2.0);
        check({.order = 2, .corrector = correction::pseudo}, 2.0, 2);
        check({.order = 3, .corrector = correction::pseudo, .pseudo = true}, 2.0);
    }
}

TEST_CASE("without statistics it is DPM-Solver++, with a higher corrector UniPC",
          "[solver][dpm_solver_v3][identity]") {
    for (const named_schedule& s : all_schedules()) {
        for (const std::size_t order : {1U, 2U, 3U}) {
            for (const bool lower : {false, true}) {
                INFO(s.name << ", order " << order);
                const levels_t levels = grid::karras(s.schedule, 9);
                const dpm_solver_v3 method{
                    .order = order, .corrector = correction::none, .lower_order_final = lower};
                const solver::dpm_solver plus{
                    .order = order, .variant = solver::difference::taylor, .lower_order_final = lower};
                CHECK_THAT(end_of(method.plan(s.schedule, levels), s.schedule),
                           WithinRel(end_of(plus.plan(s.schedule, levels), s.schedule), 1e-12));
                const dpm_solver_v3 higher{
                    .order = order, .corrector = correction::higher, .lower_order_final = lower};
                const solver::unipc unipc{
                    .order = order, .variant = solver::unipc::bh::vary_coeff, .lower_order_final = lower};
                CHECK_THAT(end_of(higher.plan(s.schedule, levels), s.schedule),
                           WithinRel(end_of(unipc.plan(s.schedule, levels), s.schedule), 1e-12));
            }
        }
        const levels_t levels = interior_levels(s.schedule, 9);
        const dpm_solver_v3 method{
            .corrector = correction::none, .lower_order_final = false, .start = single_step};
        const solver::dpm_solver plus{.order = 3,
                                      .variant = solver::difference::taylor,
                                      .lower_order_final = false,
                                      .start = single_step};
        CHECK_THAT(end_of(method.plan(s.schedule, levels), s.schedule),
                   WithinRel(end_of(plus.plan(s.schedule, levels), s.schedule), 1e-9));
    }
}

TEST_CASE("l = 0, s = -1, b = 0 is noise prediction, l = 1, s = b = 0 data prediction",
          "[solver][dpm_solver_v3][identity]") {
    for (const named_schedule& s : all_schedules()) {
        INFO(s.name);
        const levels_t levels = grid::log_snr(s.schedule, 9, {.sigma_max = 20.0});
        for (const solver::form predicts : {solver::form::noise, solver::form::data}) {
            const bool noise = predicts == solver::form::noise;
            const dpm_solver_v3 method{.statistics = noise ? constant_statistics(0.0, -1.0, 0.0)
                                                           : constant_statistics(1.0, 0.0, 0.0),
                                       .corrector = correction::none,
                                       .lower_order_final = false};
            const solver::dpm_solver plain{.order = 3,
                                           .predicts = predicts,
                                           .variant = solver::difference::taylor,
                                           .lower_order_final = false};
            CHECK_THAT(end_of(method.plan(s.schedule, levels), s.schedule),
                       WithinRel(end_of(plain.plan(s.schedule, levels), s.schedule), 1e-11));
        }
    }
}

TEST_CASE("elements are independent: each is stepped by its own statistics",
          "[solver][dpm_solver_v3][identity]") {
    const schedule::vp_linear vp;
    const levels_t levels = grid::karras(vp, 6);
    const std::vector<double> ratio = {1.0, 0.6, -0.4};
    model_statistics three = smooth_statistics(-5.0, 7.0, 60);
    std::vector<model_statistics> each(3, three);
    for (std::size_t i = 0; i < three.half_log_snr.size(); ++i) {
        const auto spread = [&](std::vector<field>& of, std::vector<field> model_statistics::* member) {
            std::vector<double> numbers;
            for (std::size_t e = 0; e < 3; ++e) {
                numbers.push_back(of[i][0] * ratio[e]);
                (each[e].*member)[i] = numbers.back();
            }
            of[i] = field(numbers);
        };
        spread(three.l, &model_statistics::l);
        spread(three.s, &model_statistics::s);
        spread(three.b, &model_statistics::b);
    }
    const plan p = dpm_solver_v3{.statistics = three, .corrector = correction::pseudo}.plan(vp, levels);
    CHECK(p.elements == 3);
    const denoiser model(
        [](const std::vector<double>& x, const network_level& at) {
            std::vector<double> out;
            for (const double v : x) { out.push_back(two_humps(v, at)); }
            return out;
        },
        prediction::x0, vp);
    std::vector<double> x = {0.7, 1.3, -0.2};
    const std::vector<double> start = x;
    CHECK(sample(p, model, x));
    for (std::size_t e = 0; e < 3; ++e) {
        const plan one =
            dpm_solver_v3{.statistics = each[e], .corrector = correction::pseudo}.plan(vp, levels);
        CHECK(one.elements == 0);
        CHECK_THAT(x[e], WithinRel(run_on_double(one, vp, start[e], two_humps), tol<double>::identity));
    }
    // the same number for every element is one number
    model_statistics same = smooth_statistics(-5.0, 7.0, 60);
    const plan scalar = dpm_solver_v3{.statistics = same}.plan(vp, levels);
    for (std::vector<field>* values : {&same.l, &same.s, &same.b}) {
        for (field& v : *values) { v = field(std::vector<double>(3, v[0])); }
    }
    CHECK(dpm_solver_v3{.statistics = same}.plan(vp, levels) == scalar);
}

TEST_CASE("results are corrected where sigma / alpha is above the bound only", "[solver][dpm_solver_v3]") {
    const schedule::edm edm;
    const model_statistics statistics = smooth_statistics(-5.0, 7.0, 60);
    const levels_t levels = grid::karras(edm, 8);
    const auto end = [&](dpm_solver_v3 method) {
        method.statistics = statistics;
        return end_of(method.plan(edm, levels), edm);
    };
    const double none = end({.corrector = correction::none});
    const double all = end({});
    CHECK(all != none);
    CHECK(end({.corrected_above = infinity}) == none);
    CHECK(end({.corrected_above = levels[1].sigma}) == none);
    CHECK(end({.corrected_above = levels[2].sigma / 2}) != none);
    CHECK(end({.corrected_above = levels[4].sigma}) != all);
    CHECK(end({.corrected_above = levels[7].sigma / 2}) == all);
}

TEST_CASE("dpm_solver_v3 inverts with its order", "[solver][dpm_solver_v3][inversion][order]") {
    const model_statistics statistics = smooth_statistics(-2.5, 2.5, 200);
    for (const named_schedule& s : order_schedules()) {
        INFO(s.name);
        const dpm_solver_v3 two{.order = 2, .statistics = statistics, .lower_order_final = false};
        CHECK_THAT(measured_order(two, s.schedule, {80, 160, 320}, inversion), WithinAbs(2.0, 0.1));
        const dpm_solver_v3 three{.order = 2,
                                  .statistics = statistics,
                                  .corrector = correction::higher,
                                  .lower_order_final = false};
        CHECK_THAT(measured_order(three, s.schedule, {80, 160, 320}, inversion), WithinAbs(3.0, 0.1));
    }
}

TEST_CASE("dpm_solver_v3 costs what it declares", "[solver][dpm_solver_v3][cost]") {
    const schedule::vp_linear vp;
    const auto cost = [&](dpm_solver_v3 method, int steps) {
        method.statistics = smooth_statistics(-5.0, 7.0, 60);
        method.lower_order_final = false;
        return counts(method.plan(vp, grid::karras(vp, steps, {.last = grid::final_level::sigma_min})));
    };
    for (const std::size_t order : {1U, 2U, 3U}) {
        INFO("order " << order);
        for (const correction c :
             {correction::none, correction::same, correction::higher, correction::pseudo}) {
            CHECK(cost({.order = order, .corrector = c}, 20).network_calls == 20);
        }
        CHECK(cost({.order = order, .corrector = correction::none}, 20).live_tensors == order);
        CHECK(cost({.order = order}, 20).live_tensors == (order == 1 ? 1 : order + 1));
        CHECK(cost({.order = order, .corrector = correction::higher}, 20).live_tensors == order + 2);
        const std::size_t extra = order == 3 ? 1 : 0;
        CHECK(cost({.order = order, .start = single_step}, 20).network_calls == 20 + extra);
        const std::size_t extra_higher = order == 3 ? 2 : 0;
        CHECK(
            cost({.order = order, .corrector = correction::higher, .start = single_step}, 20).network_calls ==
            20 + extra_higher);
    }
}

TEST_CASE("statistics between their nodes are of fourth order, at a node what is stored",
          "[solver][model_statistics]") {
    const auto l = [](double lambda) { return 1.0 / (1.0 + 0.3 * std::exp(1.5 * lambda)); };
    const auto error = [&](int intervals) {
        const model_statistics statistics = smooth_statistics(-4.0, 4.0, intervals);
        for (std::size_t i = 0; i < statistics.half_log_snr.size(); ++i) {
            const auto here = statistics.at(statistics.half_log_snr[i]);
            CHECK(here.l == statistics.l[i]);
            CHECK(here.s == statistics.s[i]);
            CHECK(here.b == statistics.b[i]);
        }
        double worst = 0.0;
        for (double lambda = -4.0; lambda <= 4.0; lambda += 0.0137) {
            worst = std::max(worst, std::abs(statistics.at(lambda).l[0] - l(lambda)));
        }
        return worst;
    };
    CHECK_THAT(std::log2(error(80) / error(160)), WithinAbs(4.0, 0.2));
    // straight lines through two nodes, and nodes that are not equally spaced
    const model_statistics two{{-1.0, 3.0}, {0.8, 0.4}, {0.0, 1.0}, {1.0, 1.0}};
    CHECK_THAT(two.at(0.0).l[0], WithinRel(0.7, 1e-14));
    const model_statistics uneven{{-1.0, 0.0, 0.5, 2.0, 4.0, 4.5},
                                  {1.0, 0.0, 0.25, 4.0, 16.0, 20.25},
                                  {0, 0, 0, 0, 0, 0},
                                  {0, 0, 0, 0, 0, 0}};
    for (const double lambda : {-0.7, 0.1, 1.0, 3.3, 4.2}) {  // a parabola is met
        CHECK_THAT(uneven.at(lambda).l[0], WithinRel(lambda * lambda, 1e-12));
    }
    CHECK(model_statistics{}.at(1.0).l == field(1.0));
}

TEST_CASE("beyond their nodes statistics go on as for Gaussian data", "[solver][model_statistics]") {
    const double v = 0.25;
    const auto l = [&](double lambda) { return 1.0 / (1.0 + v * std::exp(2.0 * lambda)); };
    model_statistics statistics{{-1.0, 0.0, 1.0}, {l(-1.0), l(0.0), l(1.0)}, {0.3, 0.3, 0.3}, {1, 1, 1}};
    for (const double lambda : {-6.0, -1.5, 1.5, 6.0}) {
        CHECK_THAT(statistics.at(lambda).l[0], WithinRel(l(lambda), 1e-14));
        CHECK_THAT(statistics.at(lambda).s[0], WithinAbs(-2.0 * (1.0 - l(lambda)), 1e-14));
        CHECK(statistics.at(lambda).b == field(0.0));
    }
    // no Gaussian has these
    statistics.l = {1.1, 0.5, -0.1};
    CHECK(statistics.at(-3.0).l == field(1.1));
    CHECK(statistics.at(-3.0).s == field(0.0));
    CHECK(statistics.at(3.0).l == field(-0.1));
    CHECK(statistics.at(3.0).s == field(0.3));
}

TEST_CASE("two stretches make one, and the way back undoes the way there", "[solver][model_statistics]") {
    const model_statistics statistics = smooth_statistics(-3.0, 3.0, 20);
    const auto whole = solver::stretch_between(statistics, -4.1, 3.7, 1);
    const auto first = solver::stretch_between(statistics, -4.1, 0.33, 1);
    const auto second = solver::stretch_between(statistics, 0.33, 3.7, 1);
    const auto close = [](const field& found, const field& expected) {
        CHECK_THAT(found[0], WithinRel(expected[0], 1e-12));
    };
    // y and f through the middle, from (y, f)
    close(first.decay * second.decay, whole.decay);
    close(second.decay * first.kernel[0] + second.kernel[0] * first.growth, whole.kernel[0]);
    close(second.decay * first.forced + second.kernel[0] * first.offset + second.forced, whole.forced);
    close(first.growth * second.growth, whole.growth);
    close(second.growth * first.offset + second.offset, whole.offset);
    const auto back = solver::stretch_between(statistics, 3.7, -4.1, 1);
    close(back.growth * whole.growth, 1.0);
    close(back.offset, -whole.offset / whole.growth);
    close(back.decay * whole.decay, 1.0);
    close(-back.decay * whole.kernel[0], back.kernel[0] * whole.growth);
}

TEST_CASE("statistics are loaded as they were saved, to the bit", "[solver][model_statistics]") {
    model_statistics statistics = independent_gaussians{}.statistics(equally_spaced(-4.0, 6.0, 12));
    statistics.s[3] = 1.0 / 3.0;  // one number among fields
    const std::vector<std::byte> bytes = to_bytes(statistics);
    CHECK(solver::statistics_from_bytes(bytes) == statistics);
    CHECK(to_bytes(solver::statistics_from_bytes(bytes)) == bytes);
    CHECK(solver::statistics_from_bytes(to_bytes(model_statistics{})) == model_statistics{});
    const schedule::edm edm;
    const levels_t levels = grid::karras(edm, 5);
    CHECK(dpm_solver_v3{.statistics = solver::statistics_from_bytes(bytes)}.plan(edm, levels) ==
          dpm_solver_v3{.statistics = statistics}.plan(edm, levels));

    const auto refused = [](std::vector<std::byte> data) {
        return refusal([&] { static_cast<void>(solver::statistics_from_bytes(data)); });
    };
    CHECK(refused({}) == "statistics_from_bytes: the data are no saved statistics");
    CHECK(refused(std::vector<std::byte>(100)) == "statistics_from_bytes: the data are no saved statistics");
    for (std::size_t size = 24; size < bytes.size(); size += 7) {
        CHECK(refused({bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}) ==
              "from_bytes: the data are damaged or end too early");
    }
    for (std::size_t place = 8; place < bytes.size(); place += 5) {
        std::vector<std::byte> damaged = bytes;
        damaged[place] ^= std::byte{0x10};
        CHECK(refused(damaged) == "from_bytes: the data are damaged or end too early");
    }
    // eight bytes more, with the checksum that belongs to them
    tweedie::detail::byte_writer longer;
    for (const std::byte b : bytes) { longer.text(std::string(1, static_cast<char>(b))); }
    CHECK(refused(longer.sealed()) == "from_bytes: the data are longer than they say");
}

TEST_CASE("statistics that cannot be used are refused", "[solver][model_statistics][errors]") {
    const model_statistics good{{-1.0, 0.0, 1.0}, {0.9, 0.5, 0.1}, {0, 0, 0}, {0, 0, 0}};
    const schedule::edm edm;
    const levels_t levels = grid::karras(edm, 4);
    const auto refused = [&](const model_statistics& of) {
        const std::string message = refusal([&] { solver::require_statistics(of); });
        CHECK(refusal([&] { static_cast<void>(dpm_solver_v3{.statistics = of}.plan(edm, levels)); }) ==
              message);
        CHECK(refusal([&] { static_cast<void>(to_bytes(of)); }) == message);
        return message;
    };
    CHECK(refused(good).empty());
    CHECK(refused({}).empty());
    CHECK(refused({{0.0}, {1.0}, {0.0}, {0.0}}) == "model_statistics: need at least two nodes");
    model_statistics bad = good;
    bad.s.pop_back();
    CHECK(refused(bad) == "model_statistics: need l, s and b at each node");
    for (const double node : {-2.0, -1.0}) {
        bad = good;
        bad.half_log_snr[1] = node;
        CHECK(refused(bad) == "model_statistics: half_log_snr must increase from node to node");
    }
    for (const double node : {351.0, 1e300, infinity, not_a_number}) {
        bad = good;
        bad.half_log_snr[2] = node;
        CHECK(refused(bad) == "model_statistics: half_log_snr must lie in [-350, 350]");
    }
    for (const double value : {infinity, not_a_number}) {
        bad = good;
        bad.b[2] = field(std::vector<double>{1.0, value});
        CHECK(refused(bad) == "model_statistics: l, s and b must be finite");
    }
    bad = good;
    bad.l[0] = field(std::vector<double>{1.0, 2.0});
    bad.b[2] = field(std::vector<double>{1.0, 2.0, 3.0});
    CHECK(refused(bad) ==
          "model_statistics: need a number per element, the same count everywhere, or one for all");
}

TEST_CASE("dpm_solver_v3 refuses what it cannot do", "[solver][dpm_solver_v3][errors]") {
    const schedule::edm edm;
    const levels_t good = grid::karras(edm, 4);
    const auto refused = [&](const dpm_solver_v3& method) {
        return refusal([&] { static_cast<void>(method.plan(edm, good)); });
    };
    for (const std::size_t order : {std::size_t{0}, std::size_t{4}, static_cast<std::size_t>(-1)}) {
        CHECK(refused({.order = order}) == "dpm_solver_v3: order must lie in [1, 3]");
    }
    // alpha / sigma is 0 or infinite to rounding
    const model_statistics statistics = constant_statistics(0.5, 0.0, 0.0);
    const levels_t ends = {{3.0, 1e-200, 1e200}, {1.0, 1.0, 1.0}, {0.0, 1.0, 1e-310}};
    for (std::size_t first = 0; first < 2; ++first) {
        const levels_t two(ends.begin() + static_cast<std::ptrdiff_t>(first),
                           ends.begin() + static_cast<std::ptrdiff_t>(first + 2));
        CHECK(refusal([&] { static_cast<void>(dpm_solver_v3{.statistics = statistics}.plan(edm, two)); }) ==
              "dpm_solver_v3: half_log_snr must be finite where alpha and sigma are not zero");
    }
    for (const double above : {-1.0, -infinity, not_a_number}) {
        CHECK(refused({.corrected_above = above}) == "dpm_solver_v3: corrected_above must not be negative");
    }
    CHECK(refused({.statistics = constant_statistics(0.5, 0.0, 0.0), .peer_formula = true}) ==
          "dpm_solver_v3: with peer_formula levels must be nodes of the statistics");
    CHECK(refused({.peer_formula = true}) ==
          "dpm_solver_v3: with peer_formula levels must be nodes of the statistics");
}
