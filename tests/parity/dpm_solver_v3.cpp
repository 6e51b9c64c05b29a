// SPDX-License-Identifier: MIT

// DPM-Solver-v3 without statistics (l = 1, s = b = 0).

#include <tweedie/plan/writer.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "table.hpp"

namespace parity {

using namespace tweedie;

namespace {

struct node {
    double lambda;
    linear_form m;  // the data prediction
};

/// Without statistics v3 is a multistep integrator of data predictions, but its integrals are trapezoids on
/// the nodes of its statistics, and "pseudo" takes divided differences for derivatives. No method of ours:
/// the peer's equations as a plan.
class degenerated {
public:
    degenerated(const std::vector<level>& levels, int intervals)
        : from_(levels.front().half_log_snr()),
          spacing_((levels.back().half_log_snr() - from_) / intervals) {}

    /// The step from s to t with the nodes given, the first at s.
    [[nodiscard]] linear_form step(const linear_form& x, const level& s, const level& t,
                                   const std::vector<node>& nodes, bool pseudo) const {
        linear_form out = (t.sigma / s.sigma) * x + t.alpha * integral(s, t, 0) * nodes[0].m;
        const std::vector<linear_form> c = pseudo ? divided(nodes) : polynomial(nodes);
        double factorial = 1.0;
        for (std::size_t k = 1; k < nodes.size(); ++k) {
            factorial *= static_cast<double>(k);
            out += t.alpha * integral(s, t, static_cast<int>(k)) * factorial * c[k];
        }
        return out;
    }

private:
    /// Trapezoids for int e^(lambda - lambda_t) (lambda - lambda_s)^k / k!.
    [[nodiscard]] double integral(const level& s, const level& t, int k) const {
        const double begin = s.half_log_snr();
        const double end = t.half_log_snr();
        const long count = std::lround((end - begin) / spacing_);
        const auto f = [&](long i) {
            const double l = static_cast<double>(i) / static_cast<double>(count) * (end - begin);
            return std::exp(begin + l - end) * std::pow(l, k) / std::tgamma(k + 1.0);
        };
        double sum = 0.5 * (f(0) + f(count));
        for (long i = 1; i < count; ++i) { sum += f(i); }
        return sum * (end - begin) / static_cast<double>(count);
    }

    /// Newton's divided differences over the nodes in their order: [0], [0, 1], ...
    [[nodiscard]] static std::vector<linear_form> divided(const std::vector<node>& nodes) {
        std::vector<linear_form> d;
        for (const node& n : nodes) { d.push_back(n.m); }
        for (std::size_t k = 1; k < d.size(); ++k) {
            for (std::size_t j = d.size() - 1; j >= k; --j) {
                d[j] = (d[j] - d[j - 1]) / (nodes[j].lambda - nodes[j - k].lambda);
            }
        }
        return d;
    }

    /// The coefficients of the polynomial through the nodes, in powers of lambda - lambda_s.
    [[nodiscard]] static std::vector<linear_form> polynomial(const std::vector<node>& nodes) {
        const std::vector<linear_form> d = divided(nodes);
        std::vector<linear_form> c(nodes.size());
        for (std::size_t k = nodes.size(); k-- > 0;) {  // Horner: c <- c (u - u_k) + d_k
            const double u = nodes[k].lambda - nodes[0].lambda;
            for (std::size_t j = c.size() - 1; j > 0; --j) { c[j] = c[j - 1] - u * c[j]; }
            c[0] = d[k] - u * c[0];
        }
        return c;
    }

    double from_;
    double spacing_;
};

}  // namespace

outcome official_dpm_solver_v3(recorded_case& r) {
    if (!r.c.value("degenerated", false)) {
        return unsupported("the statistics of DPM-Solver-v3 (a tensor per level): a later issue");
    }
    r.levels = r.call_levels();
    r.levels.push_back(official_end(r));
    const degenerated method(r.levels, r.meta.at("ems").at("steps"));
    const auto order = r.option("order", std::size_t{3});
    const bool pseudo = r.option("p_pseudo", false);
    const bool corrects = r.option("use_corrector", false);
    const bool corrector_pseudo = r.option("c_pseudo", false);
    const bool lower_final = r.option("lower_order_final", true);

    plan_writer p("DPM-Solver-v3 without statistics", r.levels);
    plan_variable x = p.state();
    plan_variable predicted = p.variable("x~");
    predicted = x;
    plan_history m = p.remember("x0_hat", order + 1);
    std::size_t used = 0;
    for (std::size_t i = 0; i < p.steps(); ++i) {
        const auto [s, t] = p.step(i);
        m.push(p.data_prediction(predicted, s));
        const auto known = [&](std::size_t age) { return node{r.levels[i - age].half_log_snr(), m[age]}; };
        const std::size_t corrector_order = used + (corrector_pseudo ? 1 : 0);
        if (corrects && i > 0 && corrector_order > 1) {
            std::vector<node> nodes = {known(1), known(0)};
            for (std::size_t age = 2; age < corrector_order; ++age) { nodes.push_back(known(age)); }
            x = method.step(x, r.levels[i - 1], s, nodes, corrector_pseudo);
        } else {
            x = predicted;
        }
        used = std::min(order, i + 1);
        if (lower_final) { used = std::min(used, p.steps() - i); }
        std::vector<node> nodes;
        for (std::size_t age = 0; age < used; ++age) { nodes.push_back(known(age)); }
        predicted = method.step(x, s, t, nodes, pseudo);
    }
    const trajectory t = run(p.finish(predicted), r.setup);
    return judged(compare(r, t), "without statistics, trapezoids for its integrals, as a plan");
}

}  // namespace parity
