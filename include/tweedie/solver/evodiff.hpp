// SPDX-License-Identifier: MIT
#pragma once

#include <tweedie/grid/levels.hpp>
#include <tweedie/plan/loop.hpp>
#include <tweedie/schedule/concept.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <stdexcept>
#include <vector>

namespace tweedie::solver {

/// EVODiff: a two-point step in data prediction whose second-order term is weighted by inner products of the
/// network's outputs. A heuristic of first order.
///
///     x_E = (sigma_t/sigma_0) x + sigma_t h m0,      h = 1/kappa_t - 1/kappa_0,      kappa = sigma / alpha
///     x_P = x_E + (sigma_t h / 2) P                  the probe, at which m_t = x0_hat(x_P, t) is asked
///     x_t = x_E + (sigma_t h / 2) Z B                B from m0 - r1 m1 and m_t - r2 m0
///
/// `released`, the authors' program (r = ln(kappa_1/kappa_0) / ln(kappa_0/kappa_t), proj(a, b) = <a,b>/<b,b>
/// clipped to [-2, 2], s the logistic function):
///
///     w  = (1 - ((kappa_t + kappa_end) / (kappa_first + kappa_end))^2) / 2
///     q  = (1 - w) sqrt((kappa_t/kappa_0) / (kappa_0/kappa_1))
///     D1 = m0 - (q + w proj(m0, m1)) m1,             D2 = m_t - (q + w proj(m_t, m0)) m0
///     P  = D1 / ri,   ri = r clip(s(|r1|/4), 1/4, 3/2)
///     eta = s(|proj(r D2 + D1/r, r D2 - D1/r)| / 2) / 2,     B = r (1 - eta) D2 - (eta / r) D1
///     Z  = 1 / s(z - 1/2),   z = |proj(sigma_t h (D1 - B) / (2 ri), D1)| / (sigma_t h)
///          (more than 20 steps: Z = 1 / s((1/2 - z) c),
///           c = s(proj(m0, (m0 - m1) / h) (2 - (kappa_t/kappa_0)^2)))
///     last step: x = (1 - sqrt(kappa_t kappa_0)) x_E + (sigma_t h / 2) (m0 - r_f m1)
///
/// `published`, as far as the paper's text is known to us: Bp = (m0 - m1) / h_before, Bn = (m_t - m0) / h,
///
///     P = h Bp,   eta = s(|<Bn - Bp, Bp> / |Bn - Bp|^2|),   B = h ((1 - eta) Bp + eta Bn)
///     Z = s(1/2 - z),   z = |<(h/2) (Bp - B/h), h Bp>| / |h Bp|^2         the last step is DDIM
///
/// Source: Li, Chen and Zeng 2025, arXiv:2509.26096, and its program for EDM. Deviations: the program's sigma
/// and time are kappa here, so that every schedule gives what its equal in EDM gives; a division by <b,b> = 0
/// gives 0; a step from or past pure noise, and one to the clean level, is DDIM.
///
/// - order   1 without `lower_order_final`: Z B does not tend to the second-order term (the program's
///           coefficient stays near a half). The released last step shrinks the state by sqrt(kappa_t
///           kappa_0) and raises its contrast; neither vanishes with more steps, so an error of the size of
///           sigma / alpha at the end stays. The method's merit, where it has one, is contrast, not accuracy.
/// - cost    as many network calls as steps: two before the second step, none for the last; 5 tensors; three
///           inner products per step.
/// - errors  `std::invalid_argument`: blocks 0; levels that are not strictly denoising.
/// - choose  to reproduce its pictures; `unipc` or `dpm_solver` are more accurate at the same cost.
struct evodiff {
    enum class formula {
        released,   ///< the authors' program
        published,  ///< the paper's
    };

    formula variant = formula::released;
    std::size_t blocks = 1;         ///< inner products per sample: 1, or the number of channels (the program)
    bool lower_order_final = true;  ///< the last step to sigma > 0 costs no call; see above

    class run;

    /// The sampler as a loop, for `sample` and `loop_stepper` (`<tweedie/run/loop.hpp>`).
    [[nodiscard]] run loop(const any_schedule& schedule, std::span<const level> levels) const;
};

/// `evodiff` at work.
class evodiff::run {
public:
    run(const evodiff& options, std::span<const level> levels) : o_(options) {
        require_levels(levels, "evodiff");
        if (o_.blocks == 0) { throw std::invalid_argument("evodiff: blocks must be positive"); }
        levels_.assign(levels.begin(), levels.end());
        last_ = levels_.size() - 1;
        if (levels_.back().sigma == 0.0) { --last_; }  // the last step with noise left
    }

    [[nodiscard]] static std::size_t registers() { return 5; }
    [[nodiscard]] std::size_t blocks() const { return o_.blocks; }
    [[nodiscard]] static bool draws() { return false; }
    [[nodiscard]] level first() const { return levels_.front(); }

    void next(turn& p) {
        switch (stage_) {
            case stage::start:
                products_.resize(p.groups());
                ask_state(p);
                return;
            case stage::at_state: at_state(p); return;
            case stage::measured_state:
                for (std::size_t g = 0; g < p.groups(); ++g) {
                    products_[g] = {p.measured(0, g), p.measured(1, g), p.measured(2, g)};
                    probe(p, g, p(x), p(m0), p(m1));
                }
                ask_probe(p);
                return;
            case stage::at_probe:
                p.set(mt, p.x0_hat());
                p.inner(mt, mt);
                p.inner(mt, m0);
                p.inner(mt, m1);
                stage_ = stage::measured_probe;
                return;
            case stage::measured_probe: correct(p); return;
        }
    }

private:
    enum reg : std::size_t { x, m0, m1, mt, u };
    enum class stage { start, at_state, measured_state, at_probe, measured_probe };

    /// Inner products of the last two outputs.
    struct products {
        double m00 = 0.0;
        double m01 = 0.0;
        double m11 = 0.0;
    };

    /// A combination of m_t, m0 and m1.
    using weights = std::array<double, 3>;

    [[nodiscard]] const level& at(std::size_t i) const { return levels_[i]; }
    [[nodiscard]] double kappa(std::size_t i) const { return at(i).sigma / at(i).alpha; }
    [[nodiscard]] double inverse_kappa(std::size_t i) const { return at(i).alpha / at(i).sigma; }
    [[nodiscard]] double h(std::size_t i) const { return inverse_kappa(i + 1) - inverse_kappa(i); }

    [[nodiscard]] static double sigmoid(double v) { return 1.0 / (1.0 + std::exp(-v)); }
    [[nodiscard]] static double ratio(double ab, double bb) {
        return bb > 0.0 ? std::clamp(ab / bb, -2.0, 2.0) : 0.0;
    }

    /// Steps that are DDIM whatever the outputs: the first, those past pure noise, that to the clean level.
    [[nodiscard]] bool plain(std::size_t i) const {
        return i == 0 || at(i + 1).sigma == 0.0 ||
               (o_.variant == formula::released && at(i - 1).alpha == 0.0);
    }
    [[nodiscard]] bool final_step(std::size_t i) const { return o_.lower_order_final && i + 1 == last_; }

    [[nodiscard]] combination ddim(const combination& from, const combination& m) const {
        const level& s = at(i_);
        const level& t = at(i_ + 1);
        if (t.sigma == 0.0) { return t.alpha * m; }
        return (t.sigma / s.sigma) * from + (t.sigma * h(i_)) * m;
    }

    /// The last step with noise left, which costs no call.
    [[nodiscard]] combination last(const combination& from, const combination& m_0,
                                   const combination& m_1) const {
        const combination first_order = ddim(from, m_0);
        if (o_.variant == formula::published) { return first_order; }
        const double shrink = kappa(i_ + 1) / kappa(i_);
        const double r = 1.0 - 0.5 * std::sqrt(shrink < 0.5 ? shrink : shrink - 0.5);
        return (1.0 - std::sqrt(kappa(i_ + 1) * kappa(i_))) * first_order +
               (0.5 * at(i_ + 1).sigma * h(i_)) * (m_0 - r * m_1);
    }

    void ask_state(turn& p) {
        p.ask(x, at(i_), {.begins_step = true});
        stage_ = stage::at_state;
    }

    void end_or_ask_state(turn& p) {
        if (++i_ + 1 == levels_.size()) {
            p.finish(x, levels_.back());
        } else {
            ask_state(p);
        }
    }

    /// The network was asked at the state itself.
    void at_state(turn& p) {
        const combination m = p.x0_hat();
        p.take(m1, m0);
        p.set(m0, m);
        if (plain(i_)) {
            p.set(x, ddim(p(x), m));
            end_or_ask_state(p);
        } else if (final_step(i_)) {
            p.set(x, last(p(x), m, p(m0)));
            end_or_ask_state(p);
        } else {
            p.inner(m0, m0);
            p.inner(m0, m1);
            p.inner(m1, m1);
            stage_ = stage::measured_state;
        }
    }

    /// The released program's numbers of a step that depend on the levels alone.
    struct step_numbers {
        double r = 1.0;
        double w = 0.0;
        double q = 1.0;
    };
    [[nodiscard]] step_numbers numbers() const {
        const double now = kappa(i_ + 1);
        const double before = kappa(i_);
        const double end = kappa(last_);
        const double place = (now + end) / (kappa(0) + end);  // 0 where sampling began at pure noise
        const double w = 0.5 * (1.0 - place * place);
        return {std::log(kappa(i_ - 1) / before) / std::log(before / now), w,
                (1.0 - w) * std::sqrt(now / before / (before / kappa(i_ - 1)))};
    }

    /// The probe of one group: `x_E + weight (m0 - r1 m1)`.
    struct probe_numbers {
        double r1 = 1.0;
        double weight = 0.0;
    };
    [[nodiscard]] probe_numbers probe_of(std::size_t g) const {
        const double half = 0.5 * at(i_ + 1).sigma * h(i_);
        if (o_.variant == formula::published) { return {1.0, half * h(i_) / h(i_ - 1)}; }
        const step_numbers n = numbers();
        const double r1 = n.q + n.w * ratio(products_[g].m01, products_[g].m11);
        const double ri = std::clamp(sigmoid(0.25 * std::abs(r1)), 0.25, 1.5) * n.r;
        return {r1, half / ri};
    }

    void probe(turn& p, std::size_t g, const combination& from, const combination& m_0,
               const combination& m_1) {
        const probe_numbers n = probe_of(g);
        p.set(u, g, ddim(from, m_0) + n.weight * (m_0 - n.r1 * m_1));
    }

    void ask_probe(turn& p) {
        p.ask(u, at(i_ + 1), {.begins_step = true});
        p.show(at(i_ + 1), combination(u), turn::coming_x0_hat());
        stage_ = stage::at_probe;
    }

    /// m_t is known: the step, and at once the next probe.
    void correct(turn& p) {
        for (std::size_t g = 0; g < p.groups(); ++g) {
            const weights b = bend(p, g);
            combination to = ddim(p(x), p(m0));
            to += b[0] * p(mt) + b[1] * p(m0) + b[2] * p(m1);
            products_[g] = {p.measured(0, g), p.measured(1, g), products_[g].m00};
            corrected(p, g, to);
        }
        p.take(m1, m0);
        p.take(m0, mt);
        ++i_;
        if (i_ + 1 == levels_.size()) {
            p.finish(x, levels_.back());
        } else if (at(i_ + 1).sigma == 0.0) {
            ask_state(p);
        } else if (final_step(i_)) {
            end_or_ask_state(p);
        } else {
            ask_probe(p);
        }
    }

    /// What becomes of one group's state after step i_.
    void corrected(turn& p, std::size_t g, const combination& to) {
        const std::size_t step = i_++;
        if (i_ + 1 < levels_.size() && at(i_ + 1).sigma > 0.0) {
            if (final_step(i_)) {
                p.set(x, g, last(to, p(mt), p(m0)));
                i_ = step;
                return;
            }
            probe(p, g, to, p(mt), p(m0));
        }
        p.set(x, g, to);
        i_ = step;
    }

    /// The second-order term of one group, as weights of m_t, m0 and m1.
    [[nodiscard]] weights bend(const turn& p, std::size_t g) const {
        const double tt = p.measured(0, g);
        const double t0 = p.measured(1, g);
        const double t1 = p.measured(2, g);
        const auto [m00, m01, m11] = products_[g];
        const auto dot = [&](const weights& a, const weights& b) {
            return a[0] * b[0] * tt + a[1] * b[1] * m00 + a[2] * b[2] * m11 +
                   (a[0] * b[1] + a[1] * b[0]) * t0 + (a[0] * b[2] + a[2] * b[0]) * t1 +
                   (a[1] * b[2] + a[2] * b[1]) * m01;
        };
        const auto sum = [](double v, const weights& a, double w, const weights& b) {
            return weights{v * a[0] + w * b[0], v * a[1] + w * b[1], v * a[2] + w * b[2]};
        };
        const double size = at(i_ + 1).sigma * h(i_);  // sigma_t h
        if (o_.variant == formula::published) {
            const weights past{0.0, h(i_) / h(i_ - 1), -h(i_) / h(i_ - 1)};  // h Bp
            const weights next{1.0, -1.0, 0.0};                              // h Bn
            const weights change = sum(1.0, next, -1.0, past);
            const double spread = dot(change, change);
            const double eta = sigmoid(spread > 0.0 ? std::abs(dot(change, past) / spread) : 0.0);
            const weights b = sum(1.0 - eta, past, eta, next);
            const double length = dot(past, past);
            const double z = length > 0.0 ? std::abs(0.5 * dot(sum(1.0, past, -1.0, b), past) / length) : 0.0;
            return sum(0.5 * size * sigmoid(0.5 - z), b, 0.0, b);
        }
        const step_numbers n = numbers();
        const probe_numbers probed = probe_of(g);
        const weights d1{0.0, 1.0, -probed.r1};
        const weights d2{1.0, -(n.q + n.w * ratio(t0, m00)), 0.0};
        const weights forward = sum(n.r, d2, 1.0 / n.r, d1);
        const weights backward = sum(n.r, d2, -1.0 / n.r, d1);
        const double eta =
            0.5 * sigmoid(std::abs(0.5 * ratio(dot(forward, backward), dot(backward, backward))));
        const weights b = sum(n.r * (1.0 - eta), d2, -eta / n.r, d1);
        const weights missed = sum(probed.weight, d1, -probed.weight, b);
        const double z = std::abs(ratio(dot(missed, d1), dot(d1, d1))) / size;
        double zeta = sigmoid(z - 0.5);
        if (last_ > 20) {
            const weights slope{0.0, 1.0 / h(i_), -1.0 / h(i_)};
            const double shrink = kappa(i_ + 1) / kappa(i_);
            const double c =
                sigmoid(ratio(dot({0.0, 1.0, 0.0}, slope), dot(slope, slope)) * (2.0 - shrink * shrink));
            zeta = sigmoid((0.5 - z) * c);
        }
        return sum(0.5 * size / zeta, b, 0.0, b);
    }

    evodiff o_;
    std::vector<level> levels_;
    std::size_t last_ = 0;  // the last level with noise left
    std::size_t i_ = 0;     // the step under way, from level i_
    stage stage_ = stage::start;
    std::vector<products> products_;  // per group
};

inline evodiff::run evodiff::loop(const any_schedule& /*schedule*/, std::span<const level> levels) const {
    return {*this, levels};
}

}  // namespace tweedie::solver
