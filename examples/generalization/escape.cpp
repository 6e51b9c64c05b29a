// SPDX-License-Identifier: MIT
// Two basins on a line, a sharp one (curvature 200) and a flat one (curvature 2): who leaves the sharp one?
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <vector>

#include "contestants.hpp"
#include "experiments.hpp"
#include "perceptron.hpp"

namespace generalization {

namespace {

/// The derivative of the softmin of 100 (x + 1)^2 and (x - 2)^2.
double slope(double x) {
    const double sharp = 100 * (x + 1) * (x + 1);
    const double flat = (x - 2) * (x - 2);
    const double weight = 1 / (1 + std::exp(std::min(sharp - flat, 700.0)));
    return weight * 200 * (x + 1) + (1 - weight) * 2 * (x - 2);
}

}  // namespace

void escape(effort how_much) {
    const int steps = how_much == effort::full ? 3000 : 30;
    constexpr Eigen::Index runs = 200;
    std::printf(
        "(a) Ends in the flat basin after starting in the sharp one, of %d runs of %d steps, by the "
        "standard\n"
        "    deviation of the gradient's noise. Learning rate 0.01 (sgd 0.001, or it diverges).\n\n"
        "    %-10s %7s %7s %7s %7s\n",
        static_cast<int>(runs), steps, "", "0", "5", "10", "20");
    for (const contestant& one : contestants(steps)) {
        std::printf("    %-10s", one.name.c_str());
        for (const double deviation : {0.0, 5.0, 10.0, 20.0}) {
            optimizer method = one.method;
            if (auto* const dual = std::get_if<optim::dual_adam>(&method)) {
                dual->switch_rate = how_much == effort::full ? 1e-3 : 0.1;
            }
            const double rate = one.name == "sgd" ? 1e-3 : 1e-2;
            Eigen::VectorXd x = (0.1 * random_matrix<double>(runs, 1, 1, 0).array() - 1).matrix();
            optim::state<double> state;
            bool fine = true;
            for (int t = 0; t < steps && fine; ++t) {
                Eigen::VectorXd g =
                    deviation * random_matrix<double>(runs, 1, 2, static_cast<std::uint32_t>(t));
                for (Eigen::Index i = 0; i < runs; ++i) { g(i) += slope(x(i)); }
                fine = step(method, rate, x, g, state);
            }
            std::printf(fine ? "  %3.0f %%" : " diverged", 100 * (x.array() > 0.5).cast<double>().mean());
        }
        std::printf("\n");
    }
    std::printf("\n");
}

}  // namespace generalization
