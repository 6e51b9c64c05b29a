// SPDX-License-Identifier: MIT
#include "page.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <ostream>
#include <sstream>
#include <utility>

#include "loops.hpp"
#include "measure.hpp"
#include "table.hpp"

namespace proof {

namespace {

constexpr std::size_t budgets[] = {5, 10, 20, 40};
constexpr int refinements[] = {20, 80, 320};

std::string text_of(const char* format, double value) {
    char text[32];
    std::snprintf(text, sizeof text, format, value);
    return text;
}

/// Stands for a number that was not measured; equal to any.
constexpr const char* unmeasured = "?";
constexpr const char* unmeasured_cell = " ? ";

/// Two digits; what a sampler cannot do is a dash.
std::string error_text(double value) {
    if (std::isnan(value)) { return "-"; }
    if (!(value < 1e3)) { return "> 1000"; }
    if (value < 1e-13) { return "0"; }
    return text_of("%.1e", value);
}

std::string order_text(double order) { return text_of("%.2f", order); }

std::string declared_text(double order) {
    return order == 0.0 ? "-" : text_of(order == std::floor(order) ? "%.0f" : "%.1f", order);
}

void line_of(std::string& page, const std::vector<std::string>& cells) {
    for (const std::string& cell : cells) { page += "| " + cell + " "; }
    page += "|\n";
}

void head_of(std::string& page, const std::vector<std::string>& cells) {
    page += "\n";
    line_of(page, cells);
    for (std::size_t i = 0; i < cells.size(); ++i) { page += i == 0 ? "|---" : "|--:"; }
    page += "|\n";
}

/// The geometric mean; NaN if any is.
double geometric_mean(const std::vector<double>& values) {
    double sum = 0.0;
    for (const double value : values) { sum += std::log(value); }
    return std::exp(sum / static_cast<double>(values.size()));
}

/// Whether a solver has no order on a family: it works in a time that has kinks.
bool off(const row& solver, const family& on) { return on.kinked && (solver.native || solver.steep); }

void deterministic(std::string& page, const std::vector<row>& rows, const std::vector<family>& on,
                   const std::vector<problem>& problems, effort work, std::ostream& progress) {
    std::vector<std::string> head = {"solver", "calls", "tensors", "order"};
    for (const family& f : on) { head.push_back(f.name); }
    head_of(page, head);
    for (const row& r : rows) {
        progress << r.name << ": order\n";
        const step_cost cost = cost_of(r);
        std::vector<std::string> cells = {r.name, text_of("%.3g", cost.calls),
                                          std::to_string(cost.live_tensors), declared_text(r.order)};
        for (const family& f : on) { cells.push_back(off(r, f) ? "-" : order_text(order_of(r, f).order)); }
        line_of(page, cells);
    }

    head = {"solver"};
    for (std::size_t k = 0; k < problems.size(); ++k) {
        for (const std::size_t calls : budgets) {
            head.push_back(std::string(1, static_cast<char>('A' + k)) + ", " + std::to_string(calls));
        }
    }
    for (const std::size_t calls : budgets) { head.push_back("mean, " + std::to_string(calls)); }
    head_of(page, head);
    for (const row& r : rows) {
        progress << r.name << ": error\n";
        std::vector<std::string> cells = {r.name};
        std::vector<std::vector<double>> of_calls(std::size(budgets));
        for (const problem& p : problems) {
            for (std::size_t b = 0; b < std::size(budgets); ++b) {
                if (work == effort::orders) {
                    cells.push_back(unmeasured);
                    continue;
                }
                of_calls[b].push_back(error_with_calls(r, p, budgets[b]));
                cells.push_back(error_text(of_calls[b].back()));
            }
        }
        for (const std::vector<double>& errors : of_calls) {
            cells.push_back(work == effort::orders ? unmeasured : error_text(geometric_mean(errors)));
        }
        line_of(page, cells);
    }
}

void stochastic(std::string& page, const std::vector<row>& rows, const std::vector<family>& on,
                std::ostream& progress) {
    std::vector<std::string> head = {"solver", "calls", "tensors", "weak order"};
    for (const family& f : on) { head.push_back(f.name); }
    head_of(page, head);
    std::string errors;
    head = {"solver"};
    for (const family& f : on) {
        for (const int steps : refinements) { head.push_back(f.name + ", " + std::to_string(steps)); }
    }
    head_of(errors, head);
    for (const row& r : rows) {
        progress << r.name << ": moments\n";
        const step_cost cost = cost_of(r);
        std::vector<std::string> orders = {r.name, text_of("%.3g", cost.calls),
                                           std::to_string(cost.live_tensors), declared_text(r.weak_order)};
        std::vector<std::string> cells = {r.name};
        for (const family& f : on) {
            std::vector<moment_error> found;
            for (const int steps : refinements) {
                found.push_back(moments_of(r, f, steps));
                cells.push_back(error_text(found.back().mean) + " / " + error_text(found.back().variance));
            }
            const double order = slope(found[1], found[2], refinements[2] / refinements[1]);
            orders.push_back(off(r, f) || std::isnan(order) ? "-" : order_text(order));
        }
        line_of(page, orders);
        line_of(errors, cells);
    }
    page += errors;
}

/// The loops: their own table, since they choose their calls. Only named where the errors are not measured.
void loops(std::string& page, const std::vector<problem>& problems, effort work, std::ostream& progress) {
    page += "\n## Steps chosen by what is seen\n";
    std::vector<std::string> head = {"solver"};
    for (std::size_t k = 0; k < problems.size(); ++k) {
        const std::string letter(1, static_cast<char>('A' + k));
        head.push_back(letter + ", calls");
        head.push_back(letter + ", error");
    }
    head_of(page, head);
    for (const loop_row& r : loop_rows()) {
        progress << r.name << ": loop\n";
        std::vector<std::string> cells = {r.name};
        for (const problem& p : problems) {
            const loop_end end = work == effort::orders ? loop_end{} : r.run(p);
            cells.push_back(work == effort::orders ? unmeasured : text_of("%.1f", end.calls));
            cells.push_back(work == effort::orders ? unmeasured : error_text(end.error));
        }
        line_of(page, cells);
    }
    head_of(page, {"solver", "calls", "mean", "variance"});
    for (const stochastic_loop_row& r : stochastic_loop_rows()) {
        progress << r.name << ": loop\n";
        const loop_moments found = work == effort::orders ? loop_moments{} : r.run();
        std::vector<std::string> cells = {r.name};
        for (const std::string& cell :
             {text_of("%.1f", found.calls), error_text(found.mean), error_text(found.variance)}) {
            cells.push_back(work == effort::orders ? unmeasured : cell);
        }
        line_of(page, cells);
    }
}

std::vector<std::string> split(const std::string& text, char at) {
    std::vector<std::string> parts;
    std::istringstream in(text);
    for (std::string part; std::getline(in, part, at);) { parts.push_back(part); }
    return parts;
}

/// Equal, or two numbers as close as different compilers bring them: 0.05 of an order, 10 % of an error, or
/// both at the level of rounding.
bool same_cell(const std::string& a, const std::string& b) {
    if (a == b || a == unmeasured_cell || b == unmeasured_cell) { return true; }
    char* end_a = nullptr;
    char* end_b = nullptr;
    const double x = std::strtod(a.c_str(), &end_a);
    const double y = std::strtod(b.c_str(), &end_b);
    if (end_a == a.c_str() || end_b == b.c_str()) { return false; }
    const bool exponents = a.find('e') != std::string::npos && b.find('e') != std::string::npos;
    const double away = std::abs(x - y);
    return exponents ? away <= 0.1 * std::max(x, y) || std::max(x, y) < 1e-10 : away <= 0.05;
}

}  // namespace

std::string make_page(const std::vector<problem>& problems, effort work, std::ostream& progress) {
    const std::vector<family> on = families();
    std::string page =
        "# Proof\n"
        "\n"
        "Every solver of the library, measured. Made by `cmake -P cmake/proof.cmake`, which measures again "
        "and\n"
        "writes this page; a test compares it with what the code does now.\n"
        "\n"
        "- **calls** network calls per step, in the middle of a long run; **tensors** held at once, the "
        "network's\n"
        "  output not counted.\n"
        "- **order** declared, then measured: slope of the median error of 31 ends over 80 to 320 steps, "
        "equal in\n"
        "  half-log-SNR, from sigma / alpha = 10 to 0.1, exact denoiser of a mixture of three Gaussians, in "
        "double.\n"
        "  A dash: none is declared, or the method works in the time of a table that has kinks. Multistep "
        "methods\n"
        "  whose start caps the order declare none; the row with the single-step start does.\n"
        "- **A, B, C** the three mixtures of `examples/data/mixtures.json` (dimension 8, 16, 4; sigma 80 to "
        "0.002):\n"
        "  median over 384 starts of the root mean square error of the end, with at most 5, 10, 20 and 40 "
        "network\n"
        "  calls, the same levels for all (`grid::karras`, rho 7); then the geometric mean of the three. A "
        "dash: not\n"
        "  one step can be made with so few calls.\n"
        "- **mean, variance** of stochastic solvers: largest error relative to the exact standard deviation "
        "and\n"
        "  variance, for Gaussian data of variance 0.01, 0.25 and 4, at 20, 80 and 320 steps. Not sampled: "
        "computed\n"
        "  from the plan's matrices.\n";
    for (const family_rows& s : all_rows()) {
        page += std::string("\n## ") + s.title + "\n";
        std::vector<row> fixed;
        std::vector<row> random;
        for (const row& r : s.rows) { (cost_of(r).draws ? random : fixed).push_back(r); }
        if (!fixed.empty()) { deterministic(page, fixed, on, problems, work, progress); }
        if (!random.empty()) { stochastic(page, random, on, progress); }
    }
    loops(page, problems, work, progress);
    return page;
}

std::vector<std::string> differences(const std::string& page, const std::string& measured) {
    std::vector<std::string> out;
    const std::vector<std::string> a = split(page, '\n');
    const std::vector<std::string> b = split(measured, '\n');
    if (a.size() != b.size()) {
        out.push_back("the page has " + std::to_string(a.size()) + " lines, the measurement " +
                      std::to_string(b.size()));
    }
    for (std::size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
        const std::vector<std::string> left = split(i < a.size() ? a[i] : std::string(), '|');
        const std::vector<std::string> right = split(i < b.size() ? b[i] : std::string(), '|');
        bool same = left.size() == right.size();
        for (std::size_t c = 0; same && c < left.size(); ++c) { same = same_cell(left[c], right[c]); }
        if (!same) {
            out.push_back("page:     " + (i < a.size() ? a[i] : "") +
                          "\nmeasured: " + (i < b.size() ? b[i] : ""));
        }
    }
    return out;
}

}  // namespace proof
